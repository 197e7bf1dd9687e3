"""A cluster is lost in the very second of a write of an order, and rebuilt at once: OVHcloud lists what was made only later."""

import pytest
from tests.faults.orders import OrderAfterLoss, Ordering
from tests.faults.scene import Scene
from tests.faults.simulated_time import run

MOMENTS = {
    "its cart was opened": ("POST /order/cart {", 1),
    "its cart was filled": ("PUT /order/cart/", 1),
    "it was made": ("/checkout", 1),
    "which order it is was written down": ("POST /order/cart {", 2),
    "it was paid": ("/pay", 1),
}


@pytest.mark.parametrize(("label", "times"), MOMENTS.values(), ids=MOMENTS)
def test_whatever_was_asked_for_last_it_is_ordered_and_paid_once(label, times):
    async def go():
        async with Scene() as scene:
            course = OrderAfterLoss()
            course.act(scene)
            happened = lambda: sum(label in written for written in scene.writes.log) == times  # noqa: E731
            assert await scene.run(600, happened, every=0.01)
            await scene.lose_the_cluster()
            course.act(scene)
            assert await scene.run(course.within, scene.settled)
            # By its own verdict nothing is bought at all, since it begins when the order was paid.
            assert Ordering.judge(course, scene) == ([], [], [])

    run(go())
