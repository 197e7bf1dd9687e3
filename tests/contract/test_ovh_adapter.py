"""The OVHcloud adapter behind the port `Ovh`, against the simulator.

The reads hold a real account too: SOVEREIGN_TEST_OVH_ENDPOINT (ovh-eu, ovh-ca, ovh-us) and SOVEREIGN_TEST_OVH_AUTH (a file
with the JSON of a Secret's values) in the environment; nothing is written there.
"""

import asyncio
import base64
import json
import logging
import os
import time
from pathlib import Path

import ovh
import pytest

from sovereigncloud.ports.errors import AlreadyRunning, Auth, Conflict, NotFound, OutsideError, Rejected, Retry
from sovereigncloud.ports.ovh.account import IpBlock, Reinstallation
from sovereigncloud.ports.ovh.reinstall import DiskGroup, Part
from sovereigncloud.providers.ovh import Endpoint, Limits, ovh_factory
from sovereigncloud.providers.ovh.account import credentials, transport
from sovereigncloud.providers.ovh.client import KNOWN, Client, ClientPool, ServerClock
from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.presets import fault
from sovereigncloud_sandbox.ovh.seed import (
    ACCOUNT,
    BLOCK,
    ECO,
    OTHER_VRACK,
    SERVERS,
    SPARE,
    VRACK,
    add_block,
    add_server,
)
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.state import Grant
from sovereigncloud_sandbox.ovh.world import World

SERVER = SERVERS[0]
UBUNTU = "ubuntu2404-server_64"
ORDER = Reinstallation(UBUNTU, "host01", "ssh-ed25519 AAAA operator", "#!/bin/sh\n")
FAST = Limits(rate=1000.0, burst=1000, threads=4, timeout=(1.0, 2.0))


@pytest.fixture
async def simulator():
    world = World()
    timing = world.state.timing
    timing.reinstall, timing.vrack_task, timing.ip_task, timing.task_visible_after = 0.3, 0.05, 0.05, 0.0
    async with Simulator(world) as running:
        yield running


def secret(simulator, way="keys"):
    state = simulator.world.state
    if way == "oauth2":
        client = state.service_accounts[0]
        return {"clientId": client.client_id, "clientSecret": client.client_secret}
    key = state.application_keys[0]
    return {
        "applicationKey": key.application_key,
        "applicationSecret": key.application_secret,
        "consumerKey": key.consumer_key,
    }


def endpoint(simulator):
    connection = simulator.connection()
    return Endpoint(connection["endpoint"], connection["tokenURL"])


def open_account(simulator, way="keys", limits=FAST, **changed):
    return ovh_factory(limits, {"ovh-eu": endpoint(simulator)})("ovh-eu", {**secret(simulator, way), **changed})


@pytest.fixture
def account(simulator):
    return open_account(simulator)


@pytest.fixture(params=["keys", "oauth2"])
def either(request, simulator):
    return open_account(simulator, request.param)


def private(simulator, server=SERVER):
    return simulator.world.state.servers[server].vnis[1]["uuid"]


async def until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.02)


async def failure(call):
    with pytest.raises(OutsideError) as caught:
        await call
    return caught.value


# -- reads


async def read_everything(account, vracks):
    view = await account.view(12.5, vracks)
    assert view.began == 12.5
    name = next(iter(view.servers))
    server = await account.server(name)
    summary = view.servers[name]
    assert (server.service_name, server.urn, server.tags) == (name, summary.urn, summary.tags)
    for interface in await account.interfaces(name):
        assert interface.mode in {"public", "vrack", "public_aggregation", "vrack_aggregation"}
        assert interface.macs
    assert all(group.disks for group in await account.disk_groups(name))
    assert await account.compatible_systems(name)
    assert all(task.function == "reinstallServer" for task in await account.reinstall_tasks(name))
    await account.install_progress(name)
    return view


async def test_reads_both_ways_in(either):
    view = await read_everything(either, frozenset({VRACK, OTHER_VRACK}))
    assert set(view.servers) == {*SERVERS, SPARE, ECO}
    assert set(view.vracks) == {VRACK, OTHER_VRACK}


@pytest.mark.skipif("SOVEREIGN_TEST_OVH_AUTH" not in os.environ, reason="no real account: SOVEREIGN_TEST_OVH_AUTH")
def test_reads_of_a_real_account():
    values = json.loads(Path(os.environ["SOVEREIGN_TEST_OVH_AUTH"]).read_text())
    account = ovh_factory()(os.environ.get("SOVEREIGN_TEST_OVH_ENDPOINT", "ovh-eu"), values)
    asyncio.run(read_everything(account, frozenset()))


async def test_the_view_tells_names_tags_and_members(simulator, account):
    world = simulator.world
    tamper.rename(world, world.state.servers[SERVER].resource.urn, "one-1")
    tamper.tag(world, world.state.servers[SERVER].resource.urn, {"owner": "me"})
    tamper.tag(world, world.state.vracks[VRACK].resource.urn, {"owner": "us"})
    tamper.patch_vni(world, private(simulator), {"vrack": VRACK})
    tamper.patch_ip(world, BLOCK, {"routedTo": VRACK})
    view = await account.view(0.0, frozenset({VRACK, "pn-999999"}))
    assert (view.servers[SERVER].display_name, view.servers[SERVER].tags) == ("one-1", {"owner": "me"})
    (vrack,) = view.vracks.values()
    assert vrack.tags == {"owner": "us"}
    assert (vrack.interfaces, vrack.blocks) == ({private(simulator): SERVER}, frozenset({BLOCK}))


async def test_a_sweep_costs_calls_by_page_not_by_server(simulator, account):
    async def calls():
        simulator.journal.reset()
        view = await account.view(0.0, frozenset({VRACK}))
        assert view.requests == simulator.journal.count()
        return len(view.servers), view.requests

    await account.view(0.0, frozenset())
    assert await calls() == (4, 4)
    for number in range(90):
        add_server(simulator.world.state, f"ns400{number:04}.ip-192-0-2.eu", ip=f"10.0.0.{number}")
    assert await calls() == (94, 4)
    for number in range(90, 206):
        add_server(simulator.world.state, f"ns400{number:04}.ip-192-0-2.eu", ip=f"10.0.0.{number}")
    assert await calls() == (210, 6), "three pages of a hundred"


async def test_a_server_in_detail(simulator, account):
    server = await account.server(SERVER)
    assert (server.ip, server.region, server.datacenter) == ("57.131.167.160", "eu-west-rbx", "rbx8")
    assert (server.availability_zone, server.commercial_range) == ("eu-west-rbx-a", "SCALE-i1")
    assert (server.monitoring, server.no_intervention, server.power_state) == (True, False, "poweron")
    public, vrack = await account.interfaces(SERVER)
    assert (public.mode, vrack.mode) == ("public_aggregation", "vrack_aggregation")
    assert (vrack.uuid, vrack.vrack, len(vrack.macs)) == (private(simulator), "", 2)
    assert await account.interfaces(ECO) == ()
    assert await account.disk_groups(SERVER) == (DiskGroup(1, 2, 915527),)
    assert UBUNTU in await account.compatible_systems(SERVER)


TOLERATED = [
    ("no iam block", {"iam": None}),
    ("an unknown word in an enum", {"state": "sleeping", "datacenter": "mars1"}),
    ("null where nothing is to tell", {"commercialRange": None, "region": None}),
    ("fields nobody knows", {"mood": "good", "iam": {"id": "x", "urn": "u", "displayName": None, "tags": None}}),
]


@pytest.mark.parametrize(("why", "change"), TOLERATED, ids=[row[0] for row in TOLERATED])
async def test_the_schema_may_drift(simulator, account, why, change):
    document = {**simulator.world.state.servers[SERVER].document, "iam": None, **change}
    simulator.faults.add(fault({"kind": "reply", "status": 200, "path": SERVER, "body": json.dumps(document)}))
    assert (await account.server(SERVER)).display_name == SERVER, why


@pytest.mark.parametrize("body", ["{}", "[]", "null", "", "3", '{"name":3}'])
async def test_an_answer_of_another_shape_is_tried_again(simulator, account, body):
    simulator.faults.add(fault({"kind": "reply", "status": 200, "path": SERVER, "body": body}))
    error = await failure(account.server(SERVER))
    assert isinstance(error, Retry)
    assert "unexpected answer" in error.message


# -- reinstallation


async def test_a_reinstallation_from_order_to_system(simulator, either):
    task = await either.reinstall(SERVER, ORDER)
    (install,) = simulator.world.state.servers[SERVER].installs
    script = base64.b64encode(b"#!/bin/sh\n").decode()
    assert install.customizations == {
        "hostname": "host01",
        "sshKey": "ssh-ed25519 AAAA operator",
        "postInstallationScript": script,
    }
    running = await failure(either.reinstall(SERVER, ORDER))
    assert isinstance(running, AlreadyRunning)
    assert running.task == task
    steps = await either.install_progress(SERVER)
    assert len(steps) == 21
    assert {step.status for step in steps} <= {"todo", "doing", "done"}

    async def done():
        (found,) = await either.reinstall_tasks(SERVER)
        assert found.id == task
        return found.status == "done"

    await until(done)
    assert (await either.server(SERVER)).os == UBUNTU
    assert await either.install_progress(SERVER) == ()


async def test_tasks_that_cannot_be_read_yet_are_left_out(simulator, account):
    await account.reinstall(SERVER, ORDER)
    simulator.faults.add(fault({"preset": "task-lag", "count": 1}))
    assert await account.reinstall_tasks(SERVER) == ()
    assert len(await account.reinstall_tasks(SERVER)) == 1


BAD = [
    ("no such system", Reinstallation("plan9_64", "host01"), Rejected, "UnknownOperatingSystem"),
    ("a host name that is none", Reinstallation(UBUNTU, "host_01"), Rejected, "Rejected"),
    ("no script for it", Reinstallation(UBUNTU, "host01", "no key"), Rejected, "IncompatibleSystem"),
    (
        "partitions without a root",
        Reinstallation(UBUNTU, "host01", partitions=(Part("/boot", "ext4", 1024, None),)),
        Rejected,
        "IncompatiblePartitioning",
    ),
]


@pytest.mark.parametrize(("why", "order", "kind", "reason"), BAD, ids=[row[0] for row in BAD])
async def test_an_order_that_cannot_be_done(account, why, order, kind, reason):
    error = await failure(account.reinstall(SERVER, order))
    assert (type(error), error.reason) == (kind, reason), why


@pytest.mark.parametrize("shown", ["whole", "cut", "decoded"])
async def test_a_refusal_that_repeats_the_script_is_not_repeated(simulator, account, shown):
    key = "5f" * 32
    script = f"#!/bin/sh\n# {'x' * 40}\necho hexkey:{key}\n"
    encoded = base64.b64encode(script.encode()).decode()
    text = {"whole": encoded, "cut": encoded[:60], "decoded": f"line 3: {key} is wrong"}[shown]
    body = {"class": "Client::BadRequest::CustomizationInvalidFormat", "message": f"Invalid customization: {text}"}
    simulator.faults.add(
        fault({"preset": "server-error", "path": "/reinstall$", "status": 400, "body": json.dumps(body)})
    )
    error = await failure(account.reinstall(SERVER, Reinstallation(UBUNTU, "host01", "", script)))
    assert (type(error), error.reason) == (Rejected, "IncompatibleSystem")
    assert "script of the installation is refused" in error.message
    assert not any(secret in f"{error} {error!r}" for secret in (key, encoded[:40]))


async def test_partitions_are_sent_as_the_schema_has_them(simulator, account):
    layout = (Part("/", "ext4", 102400, None), Part("/var/lib/one", "xfs", 0, 0), Part("swap", "swap", 8192, 1))
    await account.reinstall(SERVER, Reinstallation(UBUNTU, "", partitions=layout))
    (install,) = simulator.world.state.servers[SERVER].installs
    assert install.customizations == {}, "what the template does not ask for is not said"
    assert install.storage == [
        {
            "partitioning": {
                "layout": [
                    {"mountPoint": "/", "fileSystem": "ext4", "size": 102400},
                    {"mountPoint": "/var/lib/one", "fileSystem": "xfs", "size": 0, "raidLevel": 0},
                    {"mountPoint": "swap", "fileSystem": "swap", "size": 8192, "raidLevel": 1},
                ]
            }
        }
    ]


async def test_what_a_template_takes(account):
    ubuntu, own = await account.template(UBUNTU), await account.template("byolinux_64")
    assert ubuntu.takes("postInstallationScript")
    assert (ubuntu.partitioning, ubuntu.only_mirroring, "xfs" in ubuntu.file_systems) == (True, False, True)
    assert not own.partitioning
    assert [one.name for one in own.inputs if one.mandatory] == ["imageType", "imageURL"]
    assert isinstance(await failure(account.template("plan9_64")), NotFound)


async def test_an_answer_that_names_no_task_is_no_answer(simulator, account):
    """Nobody waits for a task 0; the request may have been taken."""
    body = '{"taskId": 0, "function": "reinstallServer", "status": "init", "comment": null, "startDate": null}'
    simulator.faults.add(fault({"preset": "empty-reply", "path": "/reinstall$", "body": body}))
    error = await failure(account.reinstall(SERVER, ORDER))
    assert (type(error), error.maybe_done) == (Retry, True)
    assert await account.reinstall_tasks(SERVER) == ()


async def test_a_fully_aggregated_server_is_refused_with_its_reason(simulator, account):
    public = simulator.world.state.servers[SERVER].vnis[0]["uuid"]
    tamper.patch_vni(simulator.world, public, {"mode": "vrack_aggregation"})
    error = await failure(account.reinstall(SERVER, ORDER))
    assert (type(error), error.reason) == (Rejected, "NoPublicInterface")


async def test_a_server_that_is_not_there(account):
    for call in (account.server("ns9.example"), account.rename("ns9.example", "x"), account.reinstall("ns9", ORDER)):
        assert isinstance(await failure(call), NotFound)


# -- names, monitoring, tags


async def test_small_writes(simulator, either):
    await either.rename(SERVER, "one-1")
    await either.set_monitoring(SERVER, monitoring=False, no_intervention=True)
    server = await either.server(SERVER)
    assert (server.display_name, server.monitoring, server.no_intervention) == ("one-1", False, True)
    mark = {"sovereigncloud.io/object": "BareMetalServer/platform/one-1", "sovereigncloud.io/uid": "u-1"}
    await either.tag(server.urn, mark)
    assert (await either.server(SERVER)).tags == mark
    await either.untag(server.urn, frozenset(mark))
    await either.untag(server.urn, frozenset(mark))
    assert (await either.server(SERVER)).tags == {}


# -- vRack


async def test_an_interface_joins_and_leaves(simulator, either):
    uuid = private(simulator)

    async def where():
        _, interface = await either.interfaces(SERVER)
        return interface.vrack

    async def joined():
        return await where() == VRACK

    async def left():
        return await where() == ""

    await either.attach_interface(VRACK, uuid)
    await until(joined)
    await either.attach_interface(VRACK, uuid)
    await either.detach_interface(VRACK, uuid)
    await until(left)
    await either.detach_interface(VRACK, uuid)
    assert simulator.journal.count("DELETE") == 2


async def test_an_interface_of_another_vrack_is_a_conflict(simulator, account):
    error = await failure(account.attach_interface(VRACK, private(simulator, SPARE)))
    assert isinstance(error, Conflict)
    assert "already on a private network" in error.message


async def test_a_block_is_routed_whole_and_its_slash_is_quoted(simulator, either):
    async def routed():
        return (await either.block(BLOCK)).routed_to == VRACK

    async def parked():
        return (await either.block(BLOCK)).routed_to == ""

    assert await either.block(BLOCK) == IpBlock(BLOCK, "", f"urn:v1:eu:resource:ip:{BLOCK}", {}, ("eu-west-rbx",))
    await either.attach_block(VRACK, BLOCK)
    await until(routed)
    await either.attach_block(VRACK, BLOCK)
    await either.detach_block(VRACK, BLOCK)
    await until(parked)
    await either.detach_block(VRACK, BLOCK)


async def test_one_address_is_a_block_of_one(account):
    assert (await account.block("57.131.167.160")).routed_to == SERVER


WRONG_BLOCKS = [
    ("no address", "57.131.167", Rejected, "InvalidBlock"),
    ("an address inside a block", "57.131.167.177/28", Rejected, "InvalidBlock"),
    ("too small for a vRack", "198.51.100.0/31", Rejected, "Rejected"),
]


@pytest.mark.parametrize(("why", "block", "kind", "reason"), WRONG_BLOCKS, ids=[row[0] for row in WRONG_BLOCKS])
async def test_blocks_that_cannot_join(simulator, account, *, why, block, kind, reason):
    add_block(simulator.world.state, "198.51.100.0/31")
    error = await failure(account.attach_block(VRACK, block))
    assert (type(error), error.reason) == (kind, reason), why


# -- failures


FAULTS = [
    ("rate-limited", False, "Too many requests"),
    ("rate-limited-without-retry-after", False, "Too many requests"),
    ("server-error", True, "Internal server error"),
    ("bad-gateway", True, "HTTP 502"),
    ("request-timeout", True, "HTTP 408"),
    ("error-after-write", True, "Internal server error"),
    ("lost-before-write", True, "the connection was closed without an answer"),
    ("lost-after-write", True, "the connection was closed without an answer"),
    ("late-write", True, "the connection was closed without an answer"),
]


@pytest.mark.parametrize(("preset", "done", "text"), FAULTS, ids=[row[0] for row in FAULTS])
async def test_what_a_fault_means_for_a_write(simulator, account, preset, done, text):
    simulator.faults.add(fault({"preset": preset, "path": "/reinstall$"}))
    error = await failure(account.reinstall(SERVER, ORDER))
    assert (type(error), error.maybe_done, error.message) == (Retry, done, text)
    assert error.where == f"OVHcloud POST /v1/dedicated/server/{SERVER}/reinstall"


async def test_a_read_that_fails_changed_nothing(simulator, account):
    simulator.faults.add(fault({"preset": "bad-gateway"}))
    assert (await failure(account.server(SERVER))).maybe_done is False


async def test_a_page_of_a_portal_is_no_answer(simulator, account):
    page = {"kind": "reply", "status": 200, "content_type": "text/html", "body": "<html>welcome"}
    simulator.faults.add(fault({**page, "method": "PUT"}))
    error = await failure(account.set_monitoring(SERVER, monitoring=True, no_intervention=True))
    assert (error.maybe_done, error.message) == (True, "answered with something else than JSON")


async def test_an_expired_service_is_told(simulator, account):
    simulator.faults.add(fault({"preset": "service-expired", "path": SERVER}))
    error = await failure(account.server(SERVER))
    assert (type(error), error.reason) == (Rejected, "ServiceExpired")


async def test_a_lost_answer_is_found_done(simulator, account):
    uuid = private(simulator)
    simulator.faults.add(fault({"preset": "lost-after-write", "count": 1}))
    assert (await failure(account.attach_interface(VRACK, uuid))).maybe_done

    async def joined():
        return VRACK in {interface.vrack for interface in await account.interfaces(SERVER)}

    await until(joined)
    await account.attach_interface(VRACK, uuid)
    assert list((await account.view(0.0, frozenset({VRACK}))).vracks[VRACK].interfaces) == [uuid]


async def test_messages_do_not_change_from_try_to_try(simulator, account):
    texts = set()
    for preset in ("lost-before-write", "bad-gateway", "server-error"):
        simulator.faults.add(fault({"preset": preset, "method": "PUT"}))
        for _ in range(7 if preset == "server-error" else 2):
            error = await failure(account.set_monitoring(SERVER, monitoring=True, no_intervention=True))
            texts.add((preset, str(error)))
        simulator.faults.clear()
    assert len(texts) == 3, "also not when the breaker opens"


# -- time


def elapsed(began):
    return time.monotonic() - began


async def test_silence_ends_by_the_read_timeout(simulator):
    account = open_account(simulator, limits=Limits(1000.0, 1000, 4, (1.0, 0.2)))
    simulator.faults.add(fault({"preset": "slow", "seconds": 3.0, "path": "/dedicated"}))
    began = time.monotonic()
    error = await failure(account.set_monitoring(SERVER, monitoring=False, no_intervention=True))
    assert (error.message, error.maybe_done) == ("no answer in time", True)
    assert elapsed(began) < 1.5


async def test_a_silent_token_endpoint_ends_by_the_read_timeout(simulator):
    account = open_account(simulator, "oauth2", Limits(1000.0, 1000, 4, (1.0, 0.2)))
    simulator.faults.add(fault({"preset": "slow", "seconds": 3.0, "path": "/oauth2/token$"}))
    began = time.monotonic()
    error = await failure(account.set_monitoring(SERVER, monitoring=False, no_intervention=True))
    assert (error.message, error.maybe_done) == ("token: no answer in time", False)
    assert elapsed(began) < 1.5


async def test_nothing_listens(simulator):
    gone = Endpoint("http://127.0.0.1:9/1.0", "http://127.0.0.1:9/token")
    for way, text in (("keys", "time: no connection"), ("oauth2", "token: no connection")):
        account = ovh_factory(FAST, {"ovh-eu": gone})("ovh-eu", secret(simulator, way))
        error = await failure(account.reinstall(SERVER, ORDER))
        assert (type(error), error.message, error.maybe_done) == (Retry, text, False)


async def test_a_trickling_server_ends_by_the_deadline(simulator):
    async def trickle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        try:
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b" " * 100:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        place = Endpoint(f"{address}/1.0", f"{address}/token")
        calls = transport(place, credentials(secret(simulator, "oauth2")), Limits(1000.0, 1000, 4, (0.5, 0.2)))
        began = time.monotonic()
        error = await failure(calls.call("GET", "/v1/me"))
        assert error.message == "no answer in time"
        assert elapsed(began) < 2.5


async def test_a_cancelled_call_does_not_hold_up_the_end(simulator, account):
    await account.server(SERVER)
    simulator.faults.add(fault({"preset": "slow", "seconds": 1.0}))
    call = asyncio.create_task(account.server(SERVER))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert elapsed(began) < 0.5


# -- clock and token


async def test_a_clock_that_jumps_is_noticed(simulator, account):
    await account.server(SERVER)
    simulator.faults.add(fault({"preset": "clock-skew", "seconds": 600}))
    await account.set_monitoring(SERVER, monitoring=False, no_intervention=True)
    await account.server(SERVER)
    assert simulator.journal.count("GET", "/auth/time") == 2
    assert simulator.journal.count("PUT") == 2, "refused once, signed anew once"


async def test_time_and_token_are_fetched_once_for_all_threads(simulator):
    for way, route, method in (("keys", "/auth/time", "GET"), ("oauth2", "/auth/oauth2/token", "POST")):
        account = open_account(simulator, way, Limits(1000.0, 1000, 8, (1.0, 5.0)))
        simulator.faults.add(fault({"preset": "slow", "seconds": 0.1, "name": way}))
        await asyncio.gather(*(account.server(SERVER) for _ in range(8)))
        assert simulator.journal.count(method, route) == 1


async def test_a_token_that_ends_is_renewed_in_time(simulator):
    simulator.world.state.timing.token = 1.0
    account = open_account(simulator, "oauth2")
    for _ in range(2):
        await account.server(SERVER)
        await asyncio.sleep(0.6)
    await account.server(SERVER)
    assert simulator.journal.count("POST", "/auth/oauth2/token") == 3
    assert {entry.status for entry in simulator.journal.entries()} == {200}


async def test_a_revoked_token_is_fetched_again(simulator):
    account = open_account(simulator, "oauth2")
    await account.server(SERVER)
    simulator.world.state.tokens.clear()
    await account.set_monitoring(SERVER, monitoring=False, no_intervention=False)
    assert simulator.journal.count("POST", "/auth/oauth2/token") == 2


WRONG = [
    ("oauth2", {"clientSecret": "wrong-secret-1"}, "Client authentication failed"),
    ("keys", {"applicationKey": "wrong-secret-1"}, "This application key is invalid"),
    ("keys", {"applicationSecret": "wrong-secret-1"}, "Invalid signature"),
    ("keys", {"consumerKey": "wrong-secret-1"}, "This credential does not exist"),
]


@pytest.mark.parametrize(("way", "changed", "text"), WRONG, ids=[row[2] for row in WRONG])
async def test_wrong_credentials_are_told_as_such(simulator, way, changed, text):
    error = await failure(open_account(simulator, way, **changed).server(SERVER))
    assert isinstance(error, Auth)
    assert text in error.message


async def test_a_missing_right_is_named(simulator):
    simulator.world.state.service_accounts[0].grants = [Grant(["dedicatedServer:apiovh:get"])]
    error = await failure(open_account(simulator, "oauth2").reinstall(SERVER, ORDER))
    assert isinstance(error, Auth)
    assert "dedicatedServer:apiovh:reinstall" in error.message


def test_an_endpoint_that_nobody_knows():
    with pytest.raises(Rejected, match="ovh-eu, ovh-ca, ovh-us"):
        ovh_factory()("ovh-moon", {"clientId": "x", "clientSecret": "y"})


# -- limits


async def test_no_more_calls_at_once_than_threads(simulator):
    account = open_account(simulator, limits=Limits(1000.0, 1000, 2, (1.0, 5.0)))
    await account.server(SERVER)
    simulator.journal.reset()
    simulator.faults.add(fault({"preset": "slow", "seconds": 0.15}))
    await asyncio.gather(*(account.server(SERVER) for _ in range(6)))
    spans = [(one.at, one.at + one.seconds) for one in simulator.journal.entries()]
    assert len(spans) == 6
    assert max(sum(a <= start < b for a, b in spans) for start, _ in spans) == 2


async def test_calls_keep_the_rate(simulator):
    account = open_account(simulator, limits=Limits(20.0, 2, 4, (1.0, 5.0)))
    began = time.monotonic()
    await asyncio.gather(*(account.server(SERVER) for _ in range(6)))
    assert elapsed(began) >= 0.19, "two at once, four more at twenty a second"
    assert account.allowance.left < 2


async def test_retry_after_holds_everything(simulator, account):
    await account.server(SERVER)
    simulator.faults.add(fault({"preset": "rate-limited", "count": 1}))
    error = await failure(account.server(SERVER))
    assert error.after == 1.0
    began = time.monotonic()
    await account.server(SPARE)
    assert elapsed(began) > 0.9


async def test_a_long_retry_after_is_the_objects_to_wait(simulator, account):
    await account.server(SERVER)
    simulator.faults.add(fault({"preset": "rate-limited", "count": 1, "headers": {"Retry-After": "30"}}))
    first = await failure(account.server(SERVER))
    simulator.journal.reset()
    began = time.monotonic()
    again = await failure(account.server(SERVER))
    assert (type(again), str(again), again.maybe_done) == (Retry, str(first), False)
    assert 29 < again.after <= 30
    assert simulator.journal.count() == 0
    assert elapsed(began) < 1


async def test_an_api_that_is_down_is_left_alone(simulator, account):
    await account.server(SERVER)
    simulator.faults.add(fault({"preset": "bad-gateway"}))
    for _ in range(5):
        await failure(account.server(SERVER))
    simulator.journal.reset()
    error = await failure(account.reinstall(SERVER, ORDER))
    assert (type(error), error.maybe_done) == (Retry, False)
    assert 0 < error.after <= 5
    assert simulator.journal.count() == 0


# -- secrets, and what lies about


async def test_nothing_outside_the_secret_decides(simulator, monkeypatch, tmp_path):
    poison = {"endpoint": "ovh-us", "application_key": "env", "application_secret": "env", "consumer_key": "env"}
    for name, value in {**poison, "client_id": "env", "client_secret": "env"}.items():
        monkeypatch.setenv(f"OVH_{name.upper()}", value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password stolen\n")
    conf = "[default]\nendpoint=ovh-us\n[ovh-eu]\nclient_id=file\nclient_secret=file\n"
    for name in ("ovh.conf", ".ovh.conf"):
        (tmp_path / name).write_text(conf)
    monkeypatch.setattr(ovh.config, "CONFIG_PATH", [str(tmp_path / "ovh.conf")])
    for way in ("keys", "oauth2"):
        assert (await open_account(simulator, way).server(SERVER)).service_name == SERVER
    assert {entry.account for entry in simulator.journal.entries()} == {"", ACCOUNT}
    assert {entry.status for entry in simulator.journal.entries()} == {200}


def test_our_client_holds_what_the_binding_expects(monkeypatch):
    # Its own __init__ is not called; whatever a later version sets there must be set here too.
    given = {"application_key": "a", "application_secret": "b", "consumer_key": "c"}
    for name in [one for one in os.environ if one.startswith("OVH_")]:
        monkeypatch.delenv(name)
    theirs = vars(ovh.Client(endpoint="ovh-eu", **given))
    way_in = credentials({"applicationKey": "a", "applicationSecret": "b", "consumerKey": "c"})
    ours = vars(Client(KNOWN["ovh-eu"], way_in, ServerClock(), None, (5.0, 60.0)))
    assert set(ours) - {"_clock"} == set(theirs)
    same = set(theirs) - {"_session", "_timeout"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


async def test_secrets_are_in_no_text(simulator, caplog):
    caplog.set_level(logging.DEBUG)
    texts = []
    for way in ("keys", "oauth2"):
        values = secret(simulator, way)
        pool = ClientPool(endpoint(simulator), credentials(values))
        account = open_account(simulator, way)
        texts += [repr(credentials(values)), repr(pool), repr(account), str(vars(account))]
        for preset in ("bad-gateway", "server-error", "lost-before-write"):
            simulator.faults.add(fault({"preset": preset, "method": "PUT", "count": 1}))
            error = await failure(account.set_monitoring(SERVER, monitoring=True, no_intervention=True))
            texts += [str(error), repr(error)]
        secrets = [value for name, value in values.items() if name not in {"applicationKey", "clientId"}]
        for value in secrets:
            assert not any(value in text for text in [*texts, caplog.text])
