"""The documented policies, held against what the operator calls: every call works under them, none of their actions is idle, and
each is what OVHcloud's schema requires.
"""

import asyncio
import contextlib
import fnmatch
import inspect
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sovereigncloud.api.ordering import ServerOrder
from sovereigncloud.commands.generate import ovh_rights_page
from sovereigncloud.kinds.baremetalserver.ordering.cart import choose
from sovereigncloud.kinds.rights.operations import DENIED, MEANING, MONEY, OPERATIONS, Feature
from sovereigncloud.kinds.rights.policy import actions
from sovereigncloud.ports.errors import Auth, Conflict, NotFound
from sovereigncloud.ports.ovh.account import Ovh, Reinstallation
from sovereigncloud.ports.ovh.dns import Zones
from sovereigncloud.ports.ovh.iam import Rights
from sovereigncloud.ports.ovh.inventory import Inventory
from sovereigncloud.ports.ovh.power import Power
from sovereigncloud.ports.ovh.vrack import Vracks
from sovereigncloud.providers.ovh import Endpoint, Limits, ovh_factory
from sovereigncloud.providers.ovh.endpoints import ENDPOINTS
from sovereigncloud.providers.ovh.transport import Transport
from sovereigncloud_sandbox.ovh.calls import Caller
from sovereigncloud_sandbox.ovh.seed import ACCOUNT, BLOCK, SERVERS, VRACK, add_zone
from sovereigncloud_sandbox.ovh.server import ROUTES, Simulator
from sovereigncloud_sandbox.ovh.state import AccessRule, DnsRecord, Grant
from sovereigncloud_sandbox.ovh.world import World

ROOT = Path(__file__).parents[2]
NATIVE = Path(os.environ.get("SOVEREIGN_SHARED", ROOT.parent / "shared")) / "ovh-api" / "native"
PAGE = ROOT / "docs" / ovh_rights_page.PAGE
OPERATE, ORDERING, NEVER = (
    json.loads(block) for block in re.findall(r"```json[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)
)
ALLOWED = [entry["action"] for entry in OPERATE["permissions"]["allow"]]
RESOURCES = [entry["urn"].replace("pn-123456", VRACK).replace("xx1111-ovh", ACCOUNT) for entry in OPERATE["resources"]]
NEVER_ALLOWED = [entry["action"] for entry in NEVER["permissions"]["deny"]]
SERVER = SERVERS[0]
ADDRESS = "57.131.167.178"
ZONE = "example.org"


@pytest.fixture
async def simulator():
    world = World()
    state = world.state
    add_zone(state, ZONE)
    state.zones[ZONE].records[1] = DnsRecord("y", "A", ADDRESS)
    state.names["mail.example.org"] = [ADDRESS]
    world.state.timing.vrack_task = world.state.timing.ip_task = world.state.timing.task_visible_after = 0.0
    async with Simulator(world) as running:
        yield running


def account(simulator, allowed):
    client = simulator.world.state.service_accounts[0]
    client.grants = [Grant(allowed, NEVER_ALLOWED, RESOURCES)]
    connection = simulator.connection()
    limits = Limits(rate=1000.0, burst=1000, threads=4, timeout=(1.0, 2.0))
    endpoints = {"ovh-eu": Endpoint(connection["endpoint"], connection["tokenURL"])}
    return ovh_factory(limits, endpoints)(
        "ovh-eu", {"clientId": client.client_id, "clientSecret": client.client_secret}
    )


async def everything(ovh):
    """Each verb of the port once; their names."""
    private = (await ovh.interfaces(SERVER))[1].uuid
    record = 1  # one that the seed of the test made
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
        "vracks.eligible": lambda: ovh.vracks.eligible(VRACK),
        "vracks.regions": lambda: ovh.vracks.regions(frozenset({SERVER})),
        "vracks.standing": lambda: ovh.vracks.standing(frozenset({SERVER})),
        "vracks.park": lambda: ovh.vracks.park(BLOCK),
        "zones.set_reverse": lambda: ovh.zones.set_reverse(BLOCK, ADDRESS, "mail.example.org"),
        "zones.reverses": lambda: ovh.zones.reverses(BLOCK, frozenset({ADDRESS})),
        "zones.delete_reverse": lambda: ovh.zones.delete_reverse(BLOCK, ADDRESS),
        "zones.zone": lambda: ovh.zones.zone(ZONE),
        "zones.create_record": lambda: ovh.zones.create_record(ZONE, "x", ADDRESS),
        "zones.records": lambda: ovh.zones.records(ZONE, "x"),
        "zones.change_record": lambda: ovh.zones.change_record(ZONE, record, ADDRESS),
        "zones.publish": lambda: ovh.zones.publish(ZONE),
        "zones.delete_record": lambda: ovh.zones.delete_record(ZONE, record),
        "rights.identity": ovh.rights.identity,
        "rights.refused": lambda: ovh.rights.refused([server.urn], ["dedicatedServer:apiovh:get"]),
        "inventory.vracks": ovh.inventory.vracks,
        "inventory.blocks": ovh.inventory.blocks,
        "attach_block": lambda: ovh.attach_block(VRACK, BLOCK),
        "detach_block": lambda: ovh.detach_block(VRACK, BLOCK),
        "attach_interface": lambda: ovh.attach_interface(VRACK, private),
        "detach_interface": lambda: ovh.detach_interface(VRACK, private),
        "power.boot_of_type": lambda: ovh.power.boot_of_type(SERVER, "harddisk"),
        "power.set_boot": lambda: ovh.power.set_boot(SERVER, 1, monitoring=False, no_intervention=True),
        "power.reboot": lambda: ovh.power.reboot(SERVER),
        "power.reboots": lambda: ovh.power.reboots(SERVER),
        "reinstall": lambda: ovh.reinstall(SERVER, Reinstallation("ubuntu2404-server_64", "host01")),
        "reinstall_tasks": lambda: ovh.reinstall_tasks(SERVER),
        "install_progress": lambda: ovh.install_progress(SERVER),
    }
    for call in calls.values():
        # What an earlier round asked for is still under way, or is done already.
        with contextlib.suppress(Conflict, NotFound):
            await call()
        await asyncio.sleep(0.02)  # a task of the vRack ends before the next is asked for
    return set(calls)


MAY_ORDER = [entry["action"] for entry in ORDERING["permissions"]["allow"]]
MAY_END = list(actions({Feature.TERMINATE}))


async def ordering(ovh):
    """Each verb of the shop that ordering uses."""
    shop, order = ovh.orders, ServerOrder.model_validate({"planCode": "24scale01", "datacenter": "rbx"})
    basket = choose(order, await shop.catalogue(order.plan_code)).basket
    await shop.stock(order.plan_code, order.datacenter)
    cart = await shop.open_cart("mine")
    await shop.carts()
    await shop.fill_cart(cart, basket)
    await shop.describe_cart(cart, "mine filled")
    await shop.quote(cart)
    await shop.drop_cart(await shop.open_cart("not wanted"))
    number = await shop.check_out(cart)
    await shop.orders(datetime.now(UTC))
    await shop.lines(number)
    await shop.bill(number)
    await shop.status(number)
    await shop.pay(number, await shop.payment_method())


async def ending(ovh):
    await ovh.orders.renewal(SERVER)
    await ovh.orders.end_at_expiration(SERVER)


def verbs_of(port):
    return {name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")}


def patterns():
    return [(one, re.compile(re.sub(r"\\{\\}", "[^/]+", re.escape(one.path)))) for one in OPERATIONS]


def operation(method, path):
    """The row of a call; the first is the one that fits best."""
    found = [one for one, pattern in patterns() if one.method == method and pattern.fullmatch(path)]
    return max(found, key=lambda one: len(one.path.replace("{}", "")), default=None)


@pytest.fixture
def seen(monkeypatch):
    """The rows of all calls that are made, and the actions that are asked for."""
    rows, asked, may, call = set(), set(), Caller.may, Transport.call

    def recorded(caller, action, urn="*"):
        asked.add(action)
        return may(caller, action, urn)

    async def sent(self, method, where, *rest, **more):
        row = operation(method, where)
        assert row, f"{method} {where} is called and stands in no row of kinds/rights/operations.py"
        rows.add(row)
        # What the credential may is asked about many actions at once, none of which is thereby needed.
        checks = where.endswith("/authorization/check")
        monkeypatch.setattr(Caller, "may", may if checks else recorded)
        return await call(self, method, where, *rest, **more)

    monkeypatch.setattr(Transport, "call", sent)
    return rows, asked


async def test_every_call_works_under_the_documented_policy_and_no_action_is_idle(simulator, seen):
    rows, asked = seen
    done = await everything(account(simulator, ALLOWED))
    await ending(account(simulator, ALLOWED))
    assert done == verbs_of(Ovh) | inner(rights=Rights, inventory=Inventory, vracks=Vracks, zones=Zones, power=Power), (
        "a verb of the port was added: call it in everything()"
    )
    assert asked - {""} == set(ALLOWED)
    await ordering(account(simulator, MAY_ORDER))
    assert asked - {""} == {*ALLOWED, *MAY_ORDER}
    idle = {one.call for one in OPERATIONS if one.actions} - {one.call for one in rows}
    assert idle == set(), "a right is documented for a call that nobody makes"


def inner(**ports):
    return {f"{name}.{verb}" for name, port in ports.items() for verb in verbs_of(port)}


async def test_without_any_one_of_them_something_is_refused_by_its_name(simulator):
    for lost in ALLOWED:
        ovh = account(simulator, [action for action in ALLOWED if action != lost])
        with pytest.raises(Auth, match=re.escape(lost)):
            await _all_of(ovh)


async def _all_of(ovh):
    await everything(ovh)
    await ending(ovh)


def test_every_endpoint_that_the_adapter_names_has_a_row_and_the_other_way_round():
    assert {one.path for one in OPERATIONS} == set(ENDPOINTS)


def schema():
    """OVHcloud's own: for each call, the actions that it requires."""
    found = {}
    for version in ("v1", "v2"):
        for file in sorted((NATIVE / version).glob("[!_]*.json")):
            for api in json.loads(file.read_text())["apis"]:
                for one in api["operations"]:
                    path = re.sub(r"\{\w+\}", "{}", f"/{version}{api['path']}")
                    required = [action["name"] for action in one.get("iamActions") or () if action["required"]]
                    found[one["httpMethod"], path] = required
    return found


@pytest.mark.skipif(not NATIVE.is_dir(), reason=f"no copy of OVHcloud's schema in {NATIVE}")
def test_the_actions_are_those_of_ovhclouds_schema():
    required = schema()
    assert {one.call: list(one.actions) for one in OPERATIONS} == {
        one.call: required.get((one.method, one.path), "not in the schema") for one in OPERATIONS
    }


def test_the_actions_are_those_that_the_simulator_asks_for():
    """Where there is no copy of the schema; a second action of a call stands in the simulator's code only."""
    wrong = []
    for route in ROUTES:
        path = re.sub(r"\{\w+\}", "{}", f"/{route.version}{route.path}")
        row = next((one for one in OPERATIONS if (one.method, one.path) == (route.method, path)), None)
        if row is not None and route.action not in {"", *row.actions}:
            wrong.append(f"{row.call}: the table says {row.actions}, the simulator asks for {route.action}")
    assert wrong == []


def test_the_page_is_what_the_table_says():
    assert ovh_rights_page.page(PAGE.parent) == PAGE.read_text(), "run: sovereign crds --write"
    assert tuple(ALLOWED) == actions(feature for feature in Feature if feature not in MONEY)
    assert [entry["action"] for entry in ORDERING["permissions"]["allow"]] == list(actions(MONEY))


def test_money_has_a_statement_of_its_own_and_nothing_that_costs_or_ends_is_in_the_first():
    bought = {"order:apiovh:cart/checkout/execute", "account:apiovh:me/order/pay"}
    assert bought <= set(actions(MONEY))
    assert not any("order" in action for action in ALLOWED)
    assert not {action for action in ALLOWED if "terminat" in action.lower()}


@pytest.mark.parametrize(("story", "allowed"), [(ordering, MAY_ORDER), (ending, MAY_END)], ids=["ordering", "ending"])
async def test_ordering_and_ending_need_what_the_page_says_and_nothing_else(simulator, monkeypatch, story, allowed):
    asked, may = set(), Caller.may

    def recorded(caller, action, urn="*"):
        asked.add(action)
        return may(caller, action, urn)

    monkeypatch.setattr(Caller, "may", recorded)
    client = simulator.world.state.service_accounts[0]
    ovh = account(simulator, allowed)
    client.grants = [Grant(allowed, [], RESOURCES)]
    await story(ovh)
    assert asked - {""} == set(allowed)
    for lost in allowed:
        ovh = account(simulator, allowed)
        client.grants = [Grant([a for a in allowed if a != lost], [], RESOURCES)]
        with pytest.raises(Auth, match=re.escape(lost)):
            await story(ovh)


def test_what_is_denied_is_nothing_that_is_allowed():
    allowed = [*ALLOWED, *actions(MONEY)]
    assert not {(a, d) for a in allowed for d in NEVER_ALLOWED if fnmatch.fnmatchcase(a, d)}
    assert set(NEVER_ALLOWED) == set(DENIED)


@pytest.mark.skipif(not NATIVE.is_dir(), reason=f"no copy of OVHcloud's schema in {NATIVE}")
def test_what_is_denied_exists():
    known = {action for required in schema().values() for action in required}
    assert set(DENIED) <= known


def test_every_feature_is_told_and_has_a_call():
    assert set(MEANING) == set(Feature) == {one.feature for one in OPERATIONS}


# --- the check itself ------------------------------------------------------------------------------------------------------


def keys(simulator, *rules):
    key = simulator.world.state.application_keys[0]
    key.rules = [AccessRule(*rule) for rule in rules]
    connection = simulator.connection()
    endpoints = {"ovh-eu": Endpoint(connection["endpoint"], connection["tokenURL"])}
    limits = Limits(rate=1000.0, burst=1000, timeout=(1.0, 2.0))
    secret = {
        "applicationKey": key.application_key,
        "applicationSecret": key.application_secret,
        "consumerKey": key.consumer_key,
    }
    return ovh_factory(limits, endpoints)("ovh-eu", secret)


async def test_iam_says_what_it_refuses_on_each_thing(simulator):
    ovh = account(simulator, ["dedicatedServer:apiovh:get"])
    server, foreign = f"urn:v1:eu:resource:dedicatedServer:{SERVER}", "urn:v1:eu:resource:dedicatedServer:ns0.eu"
    asked = ["dedicatedServer:apiovh:get", "dedicatedServer:apiovh:reinstall"]
    assert await ovh.rights.refused([server, foreign], asked) == {
        server: frozenset({"dedicatedServer:apiovh:reinstall"}),
        foreign: frozenset(asked),
    }


async def test_hundreds_of_servers_are_asked_about_in_a_few_requests(simulator):
    simulator.journal.reset()
    urns = [f"urn:v1:eu:resource:dedicatedServer:ns{number}.eu" for number in range(200)]
    found = await account(simulator, []).rights.refused(urns, ["dedicatedServer:apiovh:get"])
    assert set(found) == set(urns)
    assert [entry.path for entry in simulator.journal.entries()].count("/iam/authorization/check") == 4


async def test_a_service_account_has_an_identity_and_no_rules(simulator):
    found = await account(simulator, ALLOWED).rights.identity()
    assert (found.account, found.rules) == (ACCOUNT, None)
    assert found.identity.startswith("urn:v1:eu:identity:credential:")


async def test_a_consumer_key_tells_its_rules(simulator):
    ovh = keys(simulator, ("GET", "/auth/*"), ("GET", "/dedicated/server/*"))
    assert [(one.method, one.path) for one in (await ovh.rights.identity()).rules] == [
        ("GET", "/auth/*"),
        ("GET", "/dedicated/server/*"),
    ]


async def test_a_consumer_key_that_may_not_even_ask_for_its_rules_has_none_that_are_known(simulator):
    assert (await keys(simulator, ("GET", "/auth/details")).rights.identity()).rules is None
