"""Names through the adapter, against the simulator: records and when they are seen, reverse names and what they need before."""

import pytest

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.errors import Auth, NotFound, Rejected
from sovereigncloud.ports.ovh.dns import Record, Zone
from sovereigncloud.providers.ovh import Endpoint, Limits, ovh_factory
from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.presets import fault
from sovereigncloud_sandbox.ovh.seed import ACCOUNT, BLOCK, add_account, add_zone
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.state import Grant
from sovereigncloud_sandbox.ovh.world import World

FAST = Limits(rate=1000.0, burst=1000, threads=4, timeout=(1.0, 2.0))
ZONE, ADDRESS = "example.fr", "57.131.167.178"
OTHERS = [("www", "CNAME", "one-rbx.example.fr."), ("", "A", "192.0.2.1"), ("", "MX", "1 mx1.mail.ovh.net.")]


@pytest.fixture
async def simulator():
    world = World()
    add_zone(world.state, ZONE, records=OTHERS)
    async with Simulator(world) as running:
        yield running


def open_account(simulator, secret):
    connection = simulator.connection()
    where = {"ovh-eu": Endpoint(connection["endpoint"], connection["tokenURL"])}
    return ovh_factory(FAST, where)("ovh-eu", secret)


@pytest.fixture
def account(simulator):
    client = simulator.world.state.service_accounts[0]
    return open_account(simulator, {"clientId": client.client_id, "clientSecret": client.client_secret})


def seen(simulator, name="one-rbx.example.fr"):
    return simulator.world.resolve(name)


async def test_a_record_is_seen_once_the_zone_is_published(simulator, account):
    number = await account.zones.create_record(ZONE, "one-rbx", "192.0.2.10")
    assert await account.zones.records(ZONE, "one-rbx") == (Record(number, "A", "192.0.2.10"),)
    assert seen(simulator) == set()
    await account.zones.publish(ZONE)
    assert seen(simulator) == {"192.0.2.10"}
    await account.zones.change_record(ZONE, number, "192.0.2.11")
    assert seen(simulator) == {"192.0.2.10"}, "a change is not seen either"
    await account.zones.publish(ZONE)
    assert seen(simulator) == {"192.0.2.11"}
    await account.zones.delete_record(ZONE, number)
    await account.zones.delete_record(ZONE, number)
    await account.zones.publish(ZONE)
    assert seen(simulator) == set()
    kept = [(r.subdomain, r.type, r.target) for r in simulator.world.state.zones[ZONE].records.values()]
    assert kept == OTHERS, "nothing else was touched"


async def test_only_what_leads_somewhere_is_told_and_only_of_that_name(account):
    assert [r.type for r in await account.zones.records(ZONE, "")] == ["A"], "no MX, and not the whole zone"
    assert [r.target for r in await account.zones.records(ZONE, "www")] == ["one-rbx.example.fr."]
    assert await account.zones.records(ZONE, "nothing") == ()


async def test_a_zone_carries_tags(account):
    urn = f"urn:v1:eu:resource:dnsZone:{ZONE}"
    assert await account.zones.zone(ZONE) == Zone(ZONE, urn, {})
    await account.tag(urn, {"sovereigncloud.io/record/1": "new!:prod:SovereignCloud/platform/rbx"})
    assert list((await account.zones.zone(ZONE, 600.0)).tags) == ["sovereigncloud.io/record/1"]
    with pytest.raises(NotFound):
        await account.zones.zone("example.com")


async def test_a_reverse_name_needs_the_name_first(simulator, account):
    with pytest.raises(Rejected, match="does not resolve") as refused:
        await account.zones.set_reverse(BLOCK, ADDRESS, "mail.example.fr")
    assert refused.value.reason is Reason.FORWARD_RECORD_MISSING
    tamper.set_name(simulator.world, "mail.example.fr", [ADDRESS])
    await account.zones.set_reverse(BLOCK, ADDRESS, "mail.example.fr")
    everything = frozenset({ADDRESS, "57.131.167.179"})
    assert await account.zones.reverses(BLOCK, everything) == {ADDRESS: "mail.example.fr."}
    await account.zones.delete_reverse(BLOCK, ADDRESS)
    await account.zones.delete_reverse(BLOCK, ADDRESS)
    assert await account.zones.reverses(BLOCK, everything) == {}


async def test_a_name_in_a_zone_counts_once_it_is_published(simulator, account):
    await account.zones.create_record(ZONE, "mail", ADDRESS)
    with pytest.raises(Rejected):
        await account.zones.set_reverse(BLOCK, ADDRESS, "mail.example.fr")
    await account.zones.publish(ZONE)
    await account.zones.set_reverse(BLOCK, ADDRESS, "mail.example.fr")


async def test_only_the_addresses_asked_for_are_read(simulator, account):
    names = {f"57.131.167.{180 + n}": f"n{n}.example.fr" for n in range(5)}
    tamper.set_reverse(simulator.world, BLOCK, names)
    simulator.journal.reset()
    for _ in range(3):
        assert await account.zones.reverses(BLOCK, frozenset({"57.131.167.180"}), 600.0) == {
            "57.131.167.180": "n0.example.fr."
        }
    assert len([e for e in simulator.journal.entries() if e.method == "GET"]) == 2


async def test_a_write_with_a_lost_answer_is_seen_at_the_next_look(simulator, account):
    tamper.set_name(simulator.world, "mail.example.fr", [ADDRESS])
    asked = frozenset({ADDRESS})
    assert await account.zones.reverses(BLOCK, asked, 600.0) == {}
    simulator.faults.add(fault({"preset": "lost-after-write", "path": "/reverse$", "method": "POST", "count": 1}))
    with pytest.raises(Exception, match="reverse"):
        await account.zones.set_reverse(BLOCK, ADDRESS, "mail.example.fr")
    assert await account.zones.reverses(BLOCK, asked, 600.0) == {ADDRESS: "mail.example.fr."}


async def test_a_missing_right_is_named(simulator):
    client = simulator.world.state.service_accounts[0]
    client.grants = [Grant(["dnsZone:apiovh:get", "dnsZone:apiovh:record/get"], [], ["*"])]
    account = open_account(simulator, {"clientId": client.client_id, "clientSecret": client.client_secret})
    assert await account.zones.records(ZONE, "www")
    with pytest.raises(Auth, match="dnsZone:apiovh:record/create"):
        await account.zones.create_record(ZONE, "one-rbx", "192.0.2.10")


async def test_the_zone_of_another_account_is_not_there(simulator, account):
    add_account(simulator.world.state, "zz9999-ovh")
    add_zone(simulator.world.state, "elsewhere.example", account="zz9999-ovh")
    assert ACCOUNT != "zz9999-ovh"
    with pytest.raises(NotFound):
        await account.zones.records("elsewhere.example", "")
