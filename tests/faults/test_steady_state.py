"""One OVHcloud account with 200 servers, at rest: what five minutes cost.

The shipped settings, the real engine and adapters, the simulator's journal; the minutes pass in simulated time.
"""

import copy
from collections import Counter

import pytest
from tests.faults.api_server import manifest
from tests.faults.scene import Scene
from tests.faults.servers import Hosted
from tests.faults.simulated_time import run

from sovereigncloud_sandbox.ovh.seed import SERVERS, VRACK, add_server, add_vrack

OTHERS = 198
FIVE_MINUTES = 300.0
AT_MOST = 60
LEARNT = 1800.0
"""Seconds in which a new process has read where each member of the vRack stands, ten servers a sweep, once."""


def populate(scene, vracks):
    """198 servers beside the two of the hosted cloud, spread over so many vRacks; their objects."""
    state = scene.ovh.state
    names = [VRACK, *(f"pn-70{number:04}" for number in range(1, vracks))]
    for name in names[1:]:
        add_vrack(state, name)
    for number in range(OTHERS):
        name = f"ns32{number:05}.ip-51-75-{number // 250}.eu"
        vrack = names[number % vracks]
        add_server(state, name, ip=f"51.75.{number // 250}.{number % 250 + 1}").vnis[1]["vrack"] = vrack
        ovh = {
            "endpoint": "ovh-eu",
            "credentialsSecretRef": {"name": "ovh-account"},
            "serviceName": name,
            "vrack": vrack,
        }
        yield manifest("BareMetalServer", f"one-{number}", {"ovh": ovh})


async def at_rest(scene, vracks):
    """Everything is built, and then nothing happens: requests by endpoint class in each of three times five minutes."""
    scene.api.apply(scene.account_secret("ovh-account"), copy.deepcopy(Hosted.cloud), *populate(scene, vracks))
    assert await scene.run(4 * 3600, scene.settled, every=5.0)
    assert len(scene.api.all("BareMetalServer")) == OTHERS + len(SERVERS)
    await scene.run(LEARNT)
    for _ in range(3):
        scene.ovh_journal.reset()
        written = len(scene.writes.log), len(scene.wire.done)
        await scene.run(FIVE_MINUTES)
        assert (len(scene.writes.log), len(scene.wire.done)) == written, "a write at rest"
        yield scene.ovh_journal.counts()


@pytest.mark.parametrize("vracks", [1, 28])
def test_two_hundred_servers_cost_at_most_sixty_requests_in_five_minutes(vracks):
    async def count():
        async with Scene() as scene:
            return [Counter(counts) async for counts in at_rest(scene, vracks)]

    for counts in run(count()):
        print(dict(counts))
        assert 0 < counts.total() <= AT_MOST, dict(counts)
        assert {name.split(" ")[0] for name in counts} == {"GET"}, dict(counts)
