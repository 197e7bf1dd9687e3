"""The policy that the documentation gives to the operator's service account: every call of the port works under it, and none of
its actions is idle. The simulator asks for the actions that OVHcloud's schema names (test_ovh_simulator_schema.py).
"""

import asyncio
import contextlib
import fnmatch
import inspect
import json
import re
from pathlib import Path

import pytest

from sovereigncloud.kinds.errors import Auth, Conflict
from sovereigncloud.kinds.ports import Ovh, Reinstallation
from sovereigncloud.providers.ovh import Endpoint, Limits, ovh_factory
from sovereigncloud.sandbox.ovh.calls import Caller
from sovereigncloud.sandbox.ovh.seed import ACCOUNT, BLOCK, SERVERS, VRACK
from sovereigncloud.sandbox.ovh.server import Simulator
from sovereigncloud.sandbox.ovh.state import Grant
from sovereigncloud.sandbox.ovh.world import World

PAGE = Path(__file__).parents[2] / "docs" / "start" / "account.md"
BLOCKS = [json.loads(block) for block in re.findall(r"```json[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)]
ALLOWED = [entry["action"] for entry in BLOCKS[0]["permissions"]["allow"]]
RESOURCES = [
    entry["urn"].replace("pn-123456", VRACK).replace("xx1111-ovh", ACCOUNT) for entry in BLOCKS[0]["resources"]
]
DENIED = [entry["action"] for entry in BLOCKS[1]["deny"]]
SERVER = SERVERS[0]
NEVER_CALLED = {"detach_block"}  # by no kind: a block stays routed when its cloud goes (docs/limits.md)


@pytest.fixture
async def simulator():
    world = World()
    world.state.timing.vrack_task = world.state.timing.ip_task = world.state.timing.task_visible_after = 0.0
    async with Simulator(world) as running:
        yield running


def account(simulator, allowed):
    client = simulator.world.state.service_accounts[0]
    client.grants = [Grant(allowed, DENIED, RESOURCES)]
    connection = simulator.connection()
    limits = Limits(rate=1000.0, burst=1000, threads=4, timeout=(1.0, 2.0))
    endpoints = {"ovh-eu": Endpoint(connection["endpoint"], connection["tokenURL"])}
    return ovh_factory(limits, endpoints)(
        "ovh-eu", {"clientId": client.client_id, "clientSecret": client.client_secret}
    )


async def everything(ovh):
    """Each verb of the port once, but those that no kind uses; their names."""
    private = (await ovh.interfaces(SERVER))[1].uuid
    server = await ovh.server(SERVER)
    calls = {
        "view": lambda: ovh.view(0.0, frozenset({VRACK})),
        "server": lambda: ovh.server(SERVER),
        "interfaces": lambda: ovh.interfaces(SERVER),
        "disk_groups": lambda: ovh.disk_groups(SERVER),
        "compatible_systems": lambda: ovh.compatible_systems(SERVER),
        "template": lambda: ovh.template("ubuntu2404-server_64"),
        "block": lambda: ovh.block(BLOCK),
        "rename": lambda: ovh.rename(SERVER, "one-1"),
        "set_monitoring": lambda: ovh.set_monitoring(SERVER, monitoring=False, no_intervention=True),
        "tag": lambda: ovh.tag(server.urn, {"sovereigncloud.io/uid": "u-1"}),
        "untag": lambda: ovh.untag(server.urn, frozenset({"sovereigncloud.io/uid"})),
        "attach_block": lambda: ovh.attach_block(VRACK, BLOCK),
        "attach_interface": lambda: ovh.attach_interface(VRACK, private),
        "detach_interface": lambda: ovh.detach_interface(VRACK, private),
        "reinstall": lambda: ovh.reinstall(SERVER, Reinstallation("ubuntu2404-server_64", "host01")),
        "reinstall_tasks": lambda: ovh.reinstall_tasks(SERVER),
        "install_progress": lambda: ovh.install_progress(SERVER),
    }
    for call in calls.values():
        with contextlib.suppress(Conflict):  # what an earlier round asked for is still under way
            await call()
        await asyncio.sleep(0.02)  # a task of the vRack ends before the next is asked for
    return set(calls)


async def test_every_call_works_under_the_documented_policy_and_no_action_is_idle(simulator, monkeypatch):
    asked, may = set(), Caller.may

    def recorded(caller, action, urn="*"):
        asked.add(action)
        return may(caller, action, urn)

    monkeypatch.setattr(Caller, "may", recorded)
    done = await everything(account(simulator, ALLOWED))
    verbs = {name for name, _ in inspect.getmembers(Ovh, inspect.isfunction) if not name.startswith("_")}
    assert done | NEVER_CALLED == verbs, "a verb of the port was added: is its right in the documented policy?"
    assert asked - {""} == set(ALLOWED)


async def test_without_any_one_of_them_something_is_refused_by_its_name(simulator):
    for lost in ALLOWED:
        rest = [action for action in ALLOWED if action != lost]
        with pytest.raises(Auth, match=re.escape(lost)):
            await everything(account(simulator, rest))


def test_what_is_denied_is_nothing_that_is_allowed():
    assert not {(a, d) for a in ALLOWED for d in DENIED if fnmatch.fnmatchcase(a, d)}
