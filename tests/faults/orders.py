"""Courses of events around an order: a server is bought, the cluster is lost meanwhile, the bought server is given back."""

from tests.faults.api_server import manifest
from tests.faults.courses import Course
from tests.faults.verdicts import untagged

ORDER = {
    "planCode": "24scale01",
    "datacenter": "rbx",
    "credentialsSecretRef": {"name": "ovh-orders"},
    "approval": {"maxPrice": "274.79", "currency": "EUR"},
}


class Ordering(Course):
    """A server is ordered, with consent to its price."""

    name = "order"
    within = 4 * 3600.0

    def act(self, scene):
        timing = scene.ovh.state.timing
        timing.payment, timing.check, timing.delivery = 40.0, 20.0, 300.0
        timing.cart_listed_after = timing.order_listed_after = 5.0
        self.apply(
            scene,
            scene.account_secret("ovh"),
            scene.account_secret("ovh-orders"),
            manifest(
                "BareMetalServer",
                "one-9",
                {"ovh": {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "order": ORDER}},
            ),
        )

    def bought_twice(self, scene):
        orders = scene.ovh.state.orders.values()
        payments = sum(len(order.payments) for order in orders)
        duplicates = [f"{len(orders)} orders"] if len(orders) > 1 else []
        return [*duplicates, f"{payments} payments"] if payments > 1 else duplicates

    def judge(self, scene):
        wrongs = list(self._kept(scene))
        delivered = [order.domain for order in scene.ovh.state.orders.values() if order.domain]
        status = scene.api.get("BareMetalServer", "one-9")["status"]
        if [status.get("serviceName")] != delivered:
            wrongs.append(f"it is {status.get('serviceName')}, delivered was {delivered}")
        if status.get("order", {}).get("state") not in {None, "Delivered"}:
            wrongs.append(f"its order is {status['order']}")
        return self.bought_twice(scene), [*untagged(scene)], wrongs


class OrderAfterLoss(Ordering):
    """The cluster is lost with everything in it while the order is on its way; the same manifest, the same installation."""

    name = "order-take-over"

    async def prepare(self, scene):
        super().act(scene)
        timing = scene.ovh.state.timing
        timing.payment = 600.0
        assert await scene.run(600, lambda: any(order.payments for order in scene.ovh.state.orders.values()))
        await scene.lose_the_cluster()

    def act(self, scene):
        super().act(scene)
        scene.ovh.state.timing.payment = 600.0

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        bought = [label for label in scene.writes.log if label.endswith(("/checkout", "/pay"))]
        return [*duplicates, *bought], orphans, wrongs


class OrderGivenBack(Ordering):
    """An ordered server is deleted with Delete: it ends at its expiration."""

    name = "order-delete"

    async def prepare(self, scene):
        super().act(scene)
        assert await scene.run(3600, scene.settled)
        one = scene.api.get("BareMetalServer", "one-9")
        scene.api.apply(manifest("BareMetalServer", "one-9", {**one["spec"], "deletionPolicy": "Delete"}))
        assert await scene.run(600, scene.settled)

    def act(self, scene):
        self.remove(scene, "BareMetalServer", "one-9")

    def over(self, scene):
        return not scene.api.all("BareMetalServer")

    def judge(self, scene):
        (order,) = scene.ovh.state.orders.values()
        server = scene.ovh.state.servers[order.domain]
        wrongs = [] if server.ends else ["it is renewed for ever"]
        orphans = [key for key in server.resource.tags if key.startswith("sovereigncloud.io/")]
        return self.bought_twice(scene), orphans, wrongs
