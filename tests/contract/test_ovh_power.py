"""Power of simulated servers, an API that is lost, and what a simulated OpenNebula on those servers makes of both."""

import asyncio
import time

import ovh
import ovh.exceptions
import pyone
import pytest
import requests
from aiohttp import web

from sovereigncloud.ports.errors import NotFound
from sovereigncloud.ports.ovh.power import HARD_DISK, POWER_OFF
from sovereigncloud.providers.ovh import Endpoint, Limits, ovh_factory
from sovereigncloud_sandbox.opennebula.admin import admin_application
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec
from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.boots import POWEROFF
from sovereigncloud_sandbox.ovh.seed import SERVERS
from sovereigncloud_sandbox.ovh.server import ENDPOINT, Simulator, serving
from sovereigncloud_sandbox.ovh.world import World

SERVER, ADDRESS = SERVERS[0], "127.57.131.160"
PATH = f"/dedicated/server/{SERVER}"
FAST = dict.fromkeys(
    ("image", "vnet", "prolog", "boot", "shutdown", "epilog", "host_monitor", "datastore_monitor"), 0.02
)


@pytest.fixture
def simulator(monkeypatch):
    world = World()
    world.state.timing.reboot, world.state.timing.task_visible_after = 0.2, 0.0
    tamper.patch_server(world, SERVER, {"ip": ADDRESS})
    with serving(Simulator(world)) as running:
        monkeypatch.setitem(ovh.client.ENDPOINTS, ENDPOINT, running.connection()["endpoint"])
        yield running


@pytest.fixture
def client(simulator):
    key = simulator.world.state.application_keys[0]
    return ovh.Client(
        endpoint=ENDPOINT,
        timeout=(0.5, 0.5),
        application_key=key.application_key,
        application_secret=key.application_secret,
        consumer_key=key.consumer_key,
    )


def until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def rebooted(client, kind):
    """Reboot a server with a boot of this type, as whoever uses the API must: by its number, which differs by region."""
    (number,) = client.get(f"{PATH}/boot", bootType=kind)
    client.put(PATH, bootId=number)
    task = client.post(f"{PATH}/reboot")
    assert (task["function"], task["status"]) == ("hardReboot", "init")
    until(lambda: client.get(f"{PATH}/task/{task['taskId']}")["status"] == "done")
    return client.get(PATH)["powerState"]


BOOTED = [("power", "poweroff", [False]), ("rescue", "poweron", [False]), ("harddisk", "poweron", [False, True])]


@pytest.mark.parametrize(("kind", "state", "events"), BOOTED, ids=[row[0] for row in BOOTED])
def test_a_boot_decides_what_a_reboot_leaves(simulator, client, kind, state, events):
    seen = []
    simulator.world.on_power.append(seen.append)
    assert rebooted(client, kind) == state
    assert [(one.address, one.on) for one in seen] == [(ADDRESS, on) for on in events]


def test_a_server_that_is_off_is_switched_on_by_another_reboot(simulator, client):
    seen = []
    simulator.world.on_power.append(seen.append)
    assert [rebooted(client, kind) for kind in ("power", "power", "harddisk")] == ["poweroff", "poweroff", "poweron"]
    assert [one.on for one in seen] == [False, True]


def test_reboots_that_are_refused(simulator, client):
    client.post(f"{PATH}/reboot")
    with pytest.raises(ovh.exceptions.BadParametersError, match="hardReboot with status init is already running"):
        client.post(f"{PATH}/reboot")
    with pytest.raises(ovh.exceptions.ResourceNotFoundError):
        client.get(f"{PATH}/boot/7")
    with pytest.raises(ovh.exceptions.BadParametersError, match="bootType"):
        client.get(f"{PATH}/boot", bootType="floppy")
    assert simulator.world.state.servers[SERVER].technician_visits == 1, "monitoring was on"


def test_a_reboot_that_fails_leaves_the_server_as_it_was(simulator, client):
    simulator.world.state.timing.reboot = 60.0
    client.put(PATH, bootId=POWEROFF)
    task = client.post(f"{PATH}/reboot")["taskId"]
    tamper.finish_task(simulator.world, task, "ovhError")
    assert (client.get(f"{PATH}/task/{task}")["status"], client.get(PATH)["powerState"]) == ("ovhError", "poweron")


# ----------------------------------------------------------------------------------------------------- the API is lost


def admin(simulator, method, path, **body):
    reply = requests.request(method, f"{simulator.connection()['admin']}{path}", json=body, timeout=5)
    reply.raise_for_status()
    return reply.json()


@pytest.mark.parametrize("mode", ["refuse", "hang"])
def test_a_lost_api_does_nothing_and_says_nothing(simulator, client, mode):
    client.get(PATH)
    admin(simulator, "PUT", "/outage", mode=mode)
    for method in (client.get, client.delete):
        with pytest.raises(ovh.exceptions.HTTPError):
            method(PATH)
    with pytest.raises(ovh.exceptions.HTTPError):
        client.post(f"{PATH}/reboot")
    assert admin(simulator, "GET", "/outage") == {"mode": mode}
    admin(simulator, "PUT", "/outage", mode="")
    assert client.get(f"{PATH}/task", function="hardReboot") == [], "what nobody answered was not done"


def test_an_outage_is_one_of_two(simulator):
    with pytest.raises(requests.HTTPError, match="400"):
        admin(simulator, "PUT", "/outage", mode="slow")


# -------------------------------------------------------------------------------------------- what runs on the servers


@pytest.fixture
def zone():
    """An OpenNebula on the server, with its admin door."""
    spec = CloudSpec("zone", version="7.4.0", hosts=(HostSpec(ADDRESS),), speeds=FAST)
    with BackgroundSandbox(spec) as sandbox:

        async def opened():
            runner = web.AppRunner(admin_application(sandbox.sandbox))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return runner

        runner = sandbox.wait(opened())
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/_admin", sandbox.endpoint("zone")
        sandbox.wait(runner.cleanup())


def test_a_provider_fences_what_a_lost_oned_left_running(simulator, client, zone):
    door, endpoint = zone
    admin(simulator, "PUT", "/power-door", url=door)
    one = pyone.OneServer(endpoint, session="oneadmin:opennebula")
    vm = one.vm.allocate("NAME=v CPU=0.1 MEMORY=64 SOVEREIGNCLOUD_UID=web", False)
    until(lambda: one.vm.info(vm).LCM_STATE == 3)

    def copies():
        wanted = {"attribute": "SOVEREIGNCLOUD_UID", "value": "web"}
        return requests.get(f"{door}/copies", params=wanted, timeout=5).json()

    requests.post(f"{door}/clouds/zone/mischief", json={"what": "lose"}, timeout=5).raise_for_status()
    assert copies() == {"running": [{"cloud": "zone", "vm": vm, "host": ADDRESS}], "most": 1}
    assert rebooted(client, "rescue") == "poweron"
    until(lambda: copies()["running"] == [])
    assert rebooted(client, "power") == "poweroff"
    requests.post(f"{door}/clouds/zone/mischief", json={"what": "come-back"}, timeout=5).raise_for_status()
    until(lambda: one.vm.info(vm).LCM_STATE == 16)
    assert copies()["running"] == []
    assert rebooted(client, "harddisk") == "poweron"
    until(lambda: one.vm.info(vm).STATE == 8)
    assert copies() == {"running": [], "most": 1}
    digests = requests.get(f"{door}/clouds/zone/digests", timeout=5).json()
    assert digests["vms"] == {str(vm): {}}


# ----------------------------------------------------------------------------------------------- the operator's adapter


async def test_the_adapter_switches_a_server_off_and_on(simulator):
    key = simulator.world.state.application_keys[0]
    values = {"applicationKey": key.application_key, "applicationSecret": key.application_secret, "consumerKey": key.consumer_key}  # fmt: skip
    connection = simulator.connection()
    limits = Limits(rate=1000.0, burst=1000, threads=4, timeout=(1.0, 2.0))
    account = ovh_factory(limits, {"ovh-eu": Endpoint(connection["endpoint"], connection["tokenURL"])})(
        "ovh-eu", values
    )
    for kind, state in ((POWER_OFF, "poweroff"), (HARD_DISK, "poweron")):
        number = await account.power.boot_of_type(SERVER, kind)
        await account.power.set_boot(SERVER, number, monitoring=False, no_intervention=True)
        await account.power.reboot(SERVER)
        await account.power.reboot(SERVER)  # asked for twice it is one
        tasks = await account.power.reboots(SERVER)
        assert (tasks[-1].function, tasks[-1].status in {"init", "todo", "doing"}) == ("hardReboot", True)
        end = time.monotonic() + 5
        while (server := await account.server(SERVER)).power_state != state or (await account.power.reboots(SERVER))[
            -1
        ].status != "done":
            assert time.monotonic() < end, server
            await asyncio.sleep(0.05)
        assert (server.boot, server.monitoring, server.no_intervention) == (number, False, True)
    assert simulator.world.state.servers[SERVER].technician_visits == 0, "nobody was sent there"
    with pytest.raises(NotFound, match="no boot of type network"):
        await account.power.boot_of_type(SERVER, "network")
