"""The three task models of the OVHcloud API, side by side, as the simulator has them: when a task can be seen, in which states,
and what is left of it. Driven by the unmodified Python client; the clock of the simulated world is set by hand.
"""

from urllib.parse import quote

import ovh
import ovh.exceptions
import pytest

from sovereigncloud_sandbox.ovh.seed import BLOCK, SERVERS, VRACK
from sovereigncloud_sandbox.ovh.server import ENDPOINT, Simulator, serving
from sovereigncloud_sandbox.ovh.world import World

SERVER = SERVERS[0]
LAG, TAKES, PURGED = 20.0, 100.0, 600.0
IP = f"/ip/{quote(BLOCK, safe='')}"


class Clock:
    """The time of the simulated world."""

    def __init__(self):
        self.now = 1_790_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def world():
    world = World(clock=Clock())
    timing = world.state.timing
    timing.task_visible_after, timing.task_purged_after = LAG, PURGED
    timing.reinstall = timing.vrack_task = timing.ip_task = TAKES
    return world


@pytest.fixture
def client(world, monkeypatch):
    with serving(Simulator(world)) as simulator:
        monkeypatch.setitem(ovh.client.ENDPOINTS, ENDPOINT, simulator.connection()["endpoint"])
        key = world.state.application_keys[0]
        yield ovh.Client(ENDPOINT, key.application_key, key.application_secret, key.consumer_key, timeout=(1, 5))


def reinstall(client, world):
    task = client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem="debian12_64")
    return (
        f"/dedicated/server/{SERVER}/task",
        task["taskId"],
        lambda: world.state.servers[SERVER].document["os"] == "debian12_64",
    )


def attach(client, world):
    vni = world.state.servers[SERVER].vnis[1]
    task = client.post(f"/vrack/{VRACK}/dedicatedServerInterface", dedicatedServerInterface=vni["uuid"])
    return f"/vrack/{VRACK}/task", task["id"], lambda: vni["vrack"] == VRACK


def move(client, world):
    task = client.post(f"{IP}/move", to=SERVER)
    return f"{IP}/task", task["taskId"], lambda: world.state.ips[BLOCK].routed_to == SERVER


MODELS = [
    ("dedicated.server.Task ends as done, and is purged", reinstall, [404, "init", "doing", "done", 404]),
    ("vrack.Task has no end but its absence", attach, [404, "doing", "doing", 404, 404]),
    ("ip.IpTask ends as done, and is purged", move, [404, "init", "doing", "done", 404]),
]
MOMENTS = (0.0, LAG, TAKES / 2, TAKES, TAKES + PURGED)


@pytest.mark.parametrize(("why", "begin", "seen"), MODELS, ids=[row[0] for row in MODELS])
def test_what_can_be_seen_of_a_task(client, world, why, begin, seen):
    if seen[1] == "init":  # it is seen before it begins
        world.state.timing.task_visible_after = TAKES / 20
    moments = (0.0, world.state.timing.task_visible_after, *MOMENTS[2:])
    root, number, done = begin(client, world)
    began, told = world.clock.now, []
    for moment in moments:
        world.clock.now = began + moment
        client._time_delta = None
        told.append(status(client, f"{root}/{number}"))
        assert (number in client.get(root)) == (told[-1] != 404), "the list shows what can be read"
        assert done() == (moment >= TAKES), "only the resource tells that it is over"
    assert told == seen, why


def status(client, path):
    try:
        return client.get(path)["status"]
    except ovh.exceptions.ResourceNotFoundError:
        return 404
