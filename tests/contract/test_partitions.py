"""Networks break and heal a hundred times, in half of them the provider's API too: never do two copies of one machine run."""

from __future__ import annotations

import random

import pytest
from tests.contract.live_cloud import FAST
from tests.contract.partition_scene import CLOUDS, partitions

from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

TIMES = 25


@pytest.fixture
def sandbox():
    specs = (
        CloudSpec(name, version="7.4.0", hosts=(HostSpec(address),), speeds=FAST) for name, address in CLOUDS.items()
    )
    with BackgroundSandbox(*specs) as running:
        yield running


@pytest.mark.parametrize("confirms", [True, False], ids=["a person confirms", "nobody confirms"])
@pytest.mark.parametrize("power_off", ["Allow", "Deny"])
async def test_partitions_that_heal(sandbox, power_off, confirms) -> None:
    chance = random.Random(f"{power_off} {confirms}")
    scene = await partitions(sandbox, power_off)
    cuts = 0
    for number in range(TIMES):
        home = scene.home
        cuts += provider if (provider := number % 2 == 0) else 0
        scene.cut(home, provider=provider)
        dies, long = chance.random() < 0.4, chance.random() < 0.15
        if number in {1, 19}:  # seen by the provider: here it moves, whatever is allowed and confirmed
            dies = long = True
        if dies:
            scene.switch(home, on=False)
        confirmed = False
        for _ in range(chance.randint(25, 45) if long else chance.randint(1, 7)):
            await scene.turn()
            if confirms and dies and home in scene.world.lost and not confirmed:
                confirmed = True
                scene.confirm(home)
            if scene.home != home:
                break
        if scene.home == home and not (dies or scene.world.fenced.get(home)):
            assert scene.copies()[0] == [home], "it runs on, whoever sees it"
        scene.heal()
        await scene.turn()
        scene.start_again(home)
        await scene.until(scene.settled)
        await scene.tidy()
    assert scene.copies()[1] == 1
    assert cuts == 13
    assert scene.failovers >= 1, "else nothing was tried"
