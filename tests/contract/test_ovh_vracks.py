"""vRacks through the adapter, against the simulator: what may join, and blocks that move whole."""

import asyncio

import pytest

from sovereigncloud.ports.errors import Conflict, NotFound, Rejected
from sovereigncloud.ports.ovh.vrack import Standing
from sovereigncloud.providers.ovh import Endpoint, Limits, ovh_factory
from sovereigncloud_sandbox.ovh.seed import BLOCK, ECO, OTHER_VRACK, SERVERS, SPARE, VRACK, add_block, add_server
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.world import World

FAST = Limits(rate=1000.0, burst=1000, threads=4, timeout=(1.0, 2.0))


@pytest.fixture
async def simulator():
    world = World()
    timing = world.state.timing
    timing.vrack_task = timing.ip_task = timing.eligible_services = 0.05
    timing.task_visible_after = 0.0
    async with Simulator(world) as running:
        yield running


@pytest.fixture
def account(simulator):
    connection, key = simulator.connection(), simulator.world.state.application_keys[0]
    where = {"ovh-eu": Endpoint(connection["endpoint"], connection["tokenURL"])}
    secret = {
        "applicationKey": key.application_key,
        "applicationSecret": key.application_secret,
        "consumerKey": key.consumer_key,
    }
    return ovh_factory(FAST, where)("ovh-eu", secret)


def private(simulator, name):
    return simulator.world.state.servers[name].vnis[1]["uuid"]


def requests(simulator, method="GET"):
    return [entry["path"] for entry in simulator.journal.report()["entries"] if entry["method"] == method]


async def worked_out(account, vrack=VRACK):
    for _ in range(50):
        found = await account.vracks.eligible(vrack)
        if found.interfaces is not None:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("never worked out")


async def test_what_may_join_is_worked_out_while_one_asks(simulator, account):
    simulator.world.state.timing.eligible_services = 60.0
    first = await account.vracks.eligible(VRACK)
    assert first.interfaces is None, "asked for the first time it is only begun"
    simulator.world.state.timing.eligible_services = 0.1
    found = await worked_out(account)
    assert found.interfaces == {private(simulator, name) for name in SERVERS}, (
        "neither the Eco server nor one elsewhere"
    )
    assert found.errors == ()


async def test_an_answer_that_stands_briefly_is_got_by_asking_again_soon(simulator, account):
    """On a busy account the next question may come when the answer is old, and so for ever."""
    found = await account.vracks.eligible(VRACK)
    assert found.interfaces == {private(simulator, name) for name in SERVERS}
    assert simulator.journal.count("GET", "/vrack/{serviceName}/eligibleServices") == 2


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("disabled", lambda state, vni: vni.update(enabled=False)),
        ("in another vRack", lambda state, vni: vni.update(vrack=OTHER_VRACK)),
        ("for reasons of OVHcloud's own", lambda state, vni: state.ineligible.append(vni["uuid"])),
    ],
)
async def test_what_may_not_join_is_not_listed(simulator, account, why, change):
    state = simulator.world.state
    change(state, state.servers[SERVERS[0]].vnis[1])
    found = await worked_out(account)
    assert found.interfaces == {private(simulator, SERVERS[1])}, why


async def test_an_interface_moves_by_detach_wait_attach(simulator, account):
    uuid = private(simulator, SPARE)
    with pytest.raises(Conflict, match="already on a private network"):
        await account.attach_interface(VRACK, uuid)
    await account.detach_interface(OTHER_VRACK, uuid)
    await asyncio.sleep(0.1)
    await account.attach_interface(VRACK, uuid)
    await asyncio.sleep(0.1)
    assert simulator.world.vni(uuid)["vrack"] == VRACK


async def test_where_a_server_stands_is_asked_once(simulator, account):
    nowhere = "ns1.nowhere.example"
    for _ in range(3):
        told = await account.vracks.regions(frozenset({SERVERS[0], ECO, nowhere}))
    assert told == {SERVERS[0]: "eu-west-rbx", ECO: "eu-west-gra", nowhere: ""}
    assert len([path for path in requests(simulator) if "dedicated" in path]) == 3


async def test_an_address_comes_with_the_place_and_costs_no_second_question(simulator, account):
    ip = simulator.world.state.servers[SERVERS[0]].document["ip"]
    nowhere = "ns1.nowhere.example"
    await account.vracks.regions(frozenset({SERVERS[0], nowhere}))
    told = await account.vracks.standing(frozenset({SERVERS[0], nowhere}))
    assert told == {SERVERS[0]: Standing(ip, "eu-west-rbx"), nowhere: Standing()}
    assert len([path for path in requests(simulator) if "dedicated" in path]) == 2


async def test_where_many_servers_stand_is_asked_a_few_at_a_time(simulator, account):
    names = frozenset(f"ns{number}.ip-192-0-2.eu" for number in range(12))
    for name in names:
        add_server(simulator.world.state, name, ip="192.0.2.1", region="eu-west-lim", datacenter="lim1")
    sizes = [len(await account.vracks.regions(names)) for _ in range(4)]
    assert sizes == [5, 10, 12, 12]


async def test_the_tags_of_every_vrack_come_with_the_view(simulator, account):
    simulator.world.state.vracks[OTHER_VRACK].resource.tags["owner"] = "us"
    view = await account.view(0.0, frozenset({VRACK}))
    assert view.vrack_tags == {VRACK: {}, OTHER_VRACK: {"owner": "us"}}
    assert set(view.vracks) == {VRACK}


# -- blocks


async def settled(simulator, block=BLOCK):
    await asyncio.sleep(0.1)
    return simulator.world.state.ips[block].routed_to


async def test_a_block_is_parked_and_routed_to_a_vrack_as_a_whole(simulator, account):
    block = "57.131.168.0/28"
    add_block(simulator.world.state, block, routed_to=SERVERS[0])
    await account.vracks.park(block)
    assert await settled(simulator, block) is None
    await account.attach_block(VRACK, block)
    assert await settled(simulator, block) == VRACK
    assert any(path.endswith("/ip/57.131.168.0%2F28/park") for path in requests(simulator, "POST"))


async def test_a_block_tells_its_regions_and_is_announced_in_one(simulator, account):
    assert (await account.block(BLOCK)).regions == ("eu-west-rbx",)
    await account.attach_block(VRACK, BLOCK, "eu-west-gra")
    await settled(simulator)
    assert simulator.world.state.ips[BLOCK].announced_in == "eu-west-gra"


async def test_a_closed_region_is_refused(account):
    with pytest.raises(Rejected, match="cannot be announced in region eu-west-lim"):
        await account.attach_block(VRACK, BLOCK, "eu-west-lim")


async def test_a_block_is_asked_about_seldom_and_what_was_written_is_seen(simulator, account):
    for _ in range(5):
        await account.block(BLOCK, max_age=600.0)
    asked = [path for path in requests(simulator) if "/ip/" in path]
    assert len(asked) == 1
    block = await account.block(BLOCK, max_age=600.0)
    await account.tag(block.urn, {"owner": "us"})
    assert (await account.block(BLOCK, max_age=600.0)).tags == {"owner": "us"}
    with pytest.raises(NotFound):
        await account.block("57.131.169.0/28", max_age=600.0)
