"""Several front-ends as zones of one federation, asked as a real oned was (facts of the recording beside the project)."""

import random
import time
import xmlrpc.client

import pyone
import pytest
import requests
from aiohttp import web
from tests.contract.one_world import ELECTED, FOLLOWER, HOSTS, LEADER, SOLO, Clock, raw_call
from tests.contract.test_one_shapes import missing, recorded

from sovereigncloud_sandbox.opennebula import federation, mischief
from sovereigncloud_sandbox.opennebula.admin import admin_application
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.federation_mischief import (
    heal,
    kill,
    partition,
    restart,
    start_server,
    stop_server,
)
from sovereigncloud_sandbox.opennebula.install import CloudSpec, FrontEndSpec, install, set_endpoint
from sovereigncloud_sandbox.opennebula.methods import serve
from sovereigncloud_sandbox.opennebula.model_federation import Mode
from sovereigncloud_sandbox.opennebula.network import Network

PARIS, RBX = "paris-secret", "rbx-secret"
ENDPOINT_GONE = "http://127.0.0.1:1/RPC2"


class Zones:
    """A master and what is to become its slave."""

    def __init__(self, sandbox, clock):
        self.sandbox, self.clock = sandbox, clock

    def client(self, cloud, session=f"oneadmin:{PARIS}"):
        return pyone.OneServer(self.sandbox.endpoint(cloud), session=session)

    @property
    def paris(self):
        return self.client("paris")

    @property
    def rbx(self):
        return self.client("rbx")

    def do(self, act, cloud, *arguments):
        return self.sandbox.do(act, self.sandbox[cloud], *arguments)

    def join(self):
        """Register, and what no API does. Gives the id of the zone."""
        self.do(federation.change, "paris", Mode.MASTER)
        zone = self.paris.zone.allocate(f'NAME="rbx" ENDPOINT="{self.sandbox.endpoint("rbx")}"')
        self.do(federation.federate, "paris", self.sandbox["rbx"], zone)
        self.clock.pass_()
        return zone

    def indexes(self):
        return tuple(one.zone.raftstatus().FEDLOG_INDEX for one in (self.paris, self.rbx))

    def partition(self):
        self.do(partition, "rbx", "paris")

    def heal(self):
        self.do(heal, "rbx", "paris")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def zones(clock):
    paris = CloudSpec("paris", version="7.4.0", oneadmin_password=PARIS, hosts=HOSTS)
    rbx = CloudSpec("rbx", version="7.4.0", oneadmin_password=RBX, hosts=HOSTS, zone_name="OpenNebula")
    with BackgroundSandbox(paris, rbx, clock=clock) as sandbox:
        clock.pass_()
        yield Zones(sandbox, clock)


@pytest.fixture
def zone(zones):
    return zones.join()


# ------------------------------------------------------------------------------------------------------------- to join


def test_only_a_master_has_zones_made(zones):
    with pytest.raises(pyone.OneException, match="New zones can only be created at federation master"):
        zones.paris.zone.allocate(f"NAME=rbx ENDPOINT={ENDPOINT_GONE}")
    zones.do(federation.change, "paris", Mode.MASTER)
    assert zones.paris.system.config().FEDERATION.MODE == "MASTER"
    assert zones.paris.zone.raftstatus().FEDLOG_INDEX == 2**64 - 1  # of a log in which nothing is yet
    made = zones.paris.zone.allocate(f"NAME=rbx ENDPOINT={ENDPOINT_GONE} UID=17")
    found = zones.paris.zone.info(made)
    assert (made, found.NAME, found.TEMPLATE["ENDPOINT"], found.TEMPLATE["UID"]) == (100, "rbx", ENDPOINT_GONE, "17")
    assert (found.STATE, found.SERVER_POOL.SERVER) == (0, [])  # whether anybody is there, nobody asks


REFUSED = [
    ("a name that is taken", lambda one: one.zone.allocate("NAME=OpenNebula ENDPOINT=x"), pyone.OneInternalException, "NAME is already taken by Zone 0."),
    ("no endpoint", lambda one: one.zone.allocate("NAME=z"), pyone.OneInternalException, "ENDPOINT not present in template"),
    ("no name", lambda one: one.zone.allocate("ENDPOINT=x"), pyone.OneInternalException, "Invalid NAME"),
    ("zone 0 is to go", lambda one: one.zone.delete(0), pyone.OneActionException, "ID < 100"),
    ("no such zone", lambda one: one.zone.info(103), pyone.OneNoExistsException, r"Error getting zone \[103\]"),
    ("the state of another zone", lambda one: one.zone.enable(100, False), pyone.OneActionException, "have to be set through the target zone endpoints"),
    ("a server for another zone", lambda one: one.zone.addserver(100, "SERVER=[NAME=s,ENDPOINT=e]"), pyone.OneActionException, "have to be added through the target zone endpoints"),
    ("a server of another zone", lambda one: one.zone.delserver(100, 0), pyone.OneActionException, "have to be deleted through the target zone endpoints"),
    ("a log of another zone", lambda one: one.zone.resetserver(100, 0), pyone.OneActionException, "through the target zone endpoints"),
    ("a server that is none", lambda one: one.zone.addserver(0, "X=1"), pyone.OneActionException, "SERVER not found in template"),
    ("a server without a name", lambda one: one.zone.addserver(0, "SERVER=[ENDPOINT=e]"), pyone.OneActionException, "Missing NAME in SERVER"),
    ("a server that nobody has", lambda one: one.zone.delserver(0, 7), pyone.OneActionException, "SERVER not found in zone"),
]  # fmt: skip


def test_what_a_master_refuses(zones, zone):
    for why, call, error, words in REFUSED:
        with pytest.raises(error, match=words) as failed:
            call(zones.paris)
        assert type(failed.value) is error, why


def test_a_slave_has_the_masters_people_and_its_own_machines(zones, clock):
    before = zones.client("rbx", f"oneadmin:{RBX}")
    before.user.allocate("local", "secret", "", [])
    net = before.vn.allocate("NAME=net VN_MAD=bridge BRIDGE=br0", 0)
    zones.paris.user.allocate("prefect", "secret", "", [])
    zone = zones.join()
    with pytest.raises(pyone.OneAuthenticationException):
        zones.client("rbx", f"oneadmin:{RBX}").system.version()
    assert [user.NAME for user in zones.rbx.userpool.info().USER] == ["prefect", "serveradmin", "oneadmin"]
    assert [network.ID for network in zones.rbx.vnpool.info(-2, -1, -1).VNET] == [net]
    assert zones.client("rbx", "prefect:secret").user.info(-1).NAME == "prefect"
    told = zones.rbx.system.config().FEDERATION
    assert (told.MODE, int(told.ZONE_ID), told.MASTER_ONED) == ("SLAVE", zone, zones.sandbox.endpoint("paris"))
    assert [found.NAME for found in zones.rbx.zonepool.info().ZONE] == ["rbx", "OpenNebula"]


def test_a_slave_that_was_never_imported_says_so(zones):
    zones.do(federation.configure, "rbx", Mode.SLAVE, 103, zones.sandbox.endpoint("paris"))
    zones.do(restart, "rbx")
    with pytest.raises(pyone.OneNoExistsException, match=r"Error getting zone \[103\]"):
        zones.client("rbx", f"oneadmin:{RBX}").zone.raftstatus()


def test_oned_reads_its_configuration_when_it_starts(zones):
    zones.do(federation.configure, "paris", Mode.MASTER)
    assert zones.paris.system.config().FEDERATION.MODE == "STANDALONE"
    zones.do(restart, "paris")
    assert zones.paris.system.config().FEDERATION.MODE == "MASTER"


def test_replacing_a_template_without_endpoint_leaves_a_dash(zones, zone):
    zones.paris.zone.update(zone, "A=1", 0)
    assert zones.paris.zone.info(zone).TEMPLATE == {"A": "1", "ENDPOINT": "-"}


def test_who_left_stands_alone_with_what_it_had(zones, zone):
    zones.do(federation.leave, "rbx")
    assert zones.rbx.system.config().FEDERATION.MODE == "STANDALONE"
    assert zones.rbx.zone.raftstatus().FEDLOG_INDEX == -1
    assert zones.rbx.user.allocate("mine", "secret", "", []) == 2
    zones.paris.zone.delete(zone)
    assert [found.ID for found in zones.paris.zonepool.info().ZONE] == [0]


# --------------------------------------------------------------------------------------------------------- replication


def test_a_write_reaches_the_slave_a_little_later(zones, zone, clock):
    clock.pass_()
    zones.paris.user.allocate("prefect", "secret", "", [])
    master, slave = zones.indexes()
    assert master > slave
    with pytest.raises(pyone.OneNoExistsException):
        zones.rbx.user.info(2)
    clock.pass_(0.02)
    assert zones.rbx.user.info(2).NAME == "prefect"
    master, slave = zones.indexes()
    assert master == slave
    zones.paris.user.delete(2)
    clock.pass_(0.02)
    with pytest.raises(pyone.OneNoExistsException):
        zones.rbx.user.info(2)


def test_the_lag_is_what_it_is_set_to(zones, zone, clock):
    zones.sandbox.do(zones.sandbox["paris"].speeds.update, {"federation_lag": 3.0})
    zones.paris.group.allocate("prefecture")
    clock.pass_(2.9)
    assert len(zones.rbx.grouppool.info().GROUP) == 2
    clock.pass_(0.2)
    assert len(zones.rbx.grouppool.info().GROUP) == 3


def test_what_the_master_writes_of_its_own_is_no_lag(zones, zone, clock):
    before = zones.indexes()
    zones.paris.vn.allocate("NAME=net VN_MAD=bridge BRIDGE=br0", 0)
    assert zones.indexes() == before
    zones.paris.zone.update(zone, "", 1)
    clock.pass_()
    after = zones.indexes()
    assert after[0] == after[1] > before[0] + 1  # its number is of the whole log


PROXIED = [
    ("a user", lambda one: one.user.allocate("u", "secret", "", [])),
    ("a group", lambda one: one.group.allocate("g")),
    ("a VDC", lambda one: one.vdc.allocate("NAME=v")),
    ("a rule", lambda one: one.acl.addrule("200000001", "1000000000", "1", "400000000")),
    ("a zone", lambda one: one.zone.allocate(f"NAME=z ENDPOINT={ENDPOINT_GONE}")),
    ("the template of a zone", lambda one: one.zone.update(0, "A=1", 1)),
    ("the name of a zone", lambda one: one.zone.rename(100, "roubaix")),
    ("a marketplace", lambda one: one.market.update(0, "A=1", 1)),
]


def test_what_a_slave_passes_on_to_the_master(zones, zone, clock):
    for why, call in PROXIED:
        before = zones.indexes()[0]
        call(zones.rbx)
        assert zones.indexes()[0] > before, why
    clock.pass_()
    assert zones.indexes()[0] == zones.indexes()[1]
    assert zones.paris.zone.info(100).NAME == zones.rbx.zone.info(100).NAME == "roubaix"
    assert zones.rbx.zone.info(0).TEMPLATE["A"] == "1"
    assert [one.system.config().FEDERATION.MODE for one in (zones.paris, zones.rbx)] == ["MASTER", "SLAVE"]


def test_without_its_master_a_slave_reads_and_does_its_own(zones, zone, clock):
    group = zones.paris.group.allocate("g")
    clock.pass_()
    zones.do(kill, "paris")
    for why, call in PROXIED:
        with pytest.raises(
            pyone.OneInternalException, match="Could not connect to the federation master oned"
        ) as failed:
            call(zones.rbx)
        assert type(failed.value) is pyone.OneInternalException, why
    server = f'SERVER=[NAME="s",ENDPOINT="{ENDPOINT_GONE}"]'
    for call in (lambda: zones.rbx.zone.enable(zone, False), lambda: zones.rbx.zone.addserver(zone, server)):
        with pytest.raises(pyone.OneActionException):
            call()
    assert zones.rbx.vm.allocate("CPU=1 MEMORY=64") == 0
    zones.rbx.group.quota(group, "VM=[VMS=3]")
    assert len(zones.rbx.userpool.info().USER) == 2


def test_quotas_are_of_each_zone(zones, zone, clock):
    group = zones.paris.group.allocate("g")
    clock.pass_()
    zones.rbx.group.quota(group, "VM=[VMS=3]")
    zones.paris.group.update(group, "A=1", 1)
    clock.pass_()
    assert zones.rbx.group.info(group).TEMPLATE["A"] == "1"
    assert [quota.VMS for quota in zones.rbx.group.info(group).VM_QUOTA.VM] == ["3"]
    assert zones.paris.group.info(group).VM_QUOTA.VM == []


def test_a_disabled_zone_reads_and_does_not_write(zones, zone, clock):
    zones.rbx.zone.enable(zone, False)
    with pytest.raises(pyone.OneInternalException, match="zone disabled"):
        zones.rbx.vm.allocate("CPU=1 MEMORY=64")
    with pytest.raises(pyone.OneInternalException, match="zone disabled"):
        zones.rbx.user.allocate("u", "secret", "", [])
    clock.pass_()
    assert zones.rbx.zone.info(zone).STATE == zones.paris.zone.info(zone).STATE == 1
    assert zones.paris.vm.allocate("CPU=1 MEMORY=64") == 0
    zones.do(restart, "rbx")
    with pytest.raises(pyone.OneInternalException, match="zone disabled"):
        zones.rbx.vm.allocate("CPU=1 MEMORY=64")
    zones.rbx.zone.enable(zone, True)
    assert zones.rbx.vm.allocate("CPU=1 MEMORY=64") == 0


def test_a_vdc_holds_what_is_in_several_zones(zones, zone, clock):
    gid = zones.paris.group.allocate("prefecture")
    zones.paris.user.allocate("prefect", "secret", "", [gid])
    for one in (zones.paris, zones.rbx):
        one.vn.allocate("NAME=net VN_MAD=bridge BRIDGE=br0 AR=[TYPE=ETHER,SIZE=2]", 0)
    clock.pass_()
    seen = {name: zones.client(name, "prefect:secret") for name in ("paris", "rbx")}
    assert len(seen["paris"].vnpool.info(-2, -1, -1).VNET) == 1
    assert seen["rbx"].vnpool.info(-2, -1, -1).VNET == []  # the default VDC has all of zone 0, and nothing of another
    vdc = zones.rbx.vdc.allocate("NAME=prefecture")
    zones.rbx.vdc.addgroup(vdc, gid)
    with pytest.raises(pyone.OneNoExistsException, match=r"Error getting zone \[77\]"):
        zones.paris.vdc.addcluster(vdc, 77, 0)
    zones.paris.vdc.addcluster(vdc, zone, 55)  # nobody looks into another zone
    zones.paris.vdc.addcluster(vdc, zone, -10)
    clock.pass_()
    assert len(seen["rbx"].vnpool.info(-2, -1, -1).VNET) == 1
    members = zones.rbx.vdc.info(vdc).CLUSTERS.CLUSTER
    assert [(one.ZONE_ID, one.CLUSTER_ID) for one in members] == [(zone, -10)]


def test_a_zone_that_is_deleted_leaves_vdcs_as_they_are(zones, zone, clock):
    vdc = zones.paris.vdc.allocate("NAME=v")
    zones.paris.vdc.addgroup(vdc, 1)
    zones.paris.vdc.addcluster(vdc, zone, -10)
    rules = len(zones.paris.acl.info().ACL)
    zones.paris.zone.delete(zone)
    assert len(zones.paris.acl.info().ACL) < rules
    assert [one.ZONE_ID for one in zones.paris.vdc.info(vdc).CLUSTERS.CLUSTER] == [zone]


def test_a_marketplace_takes_apps_in_its_own_zone(zones, zone, clock):
    market = zones.rbx.market.allocate("NAME=ours MARKET_MAD=http BASE_URL=http://h PUBLIC_DIR=/p")
    clock.pass_()
    assert int(zones.paris.market.info(market).ZONE_ID) == zone
    for one in (zones.paris, zones.rbx):
        one.image.allocate("NAME=img SIZE=10 TYPE=DATABLOCK", 1)
    clock.pass_()
    with pytest.raises(pyone.OneActionException, match="Marketplace is not in this OpenNebula zone"):
        zones.paris.marketapp.allocate("NAME=app ORIGIN_ID=0", market)
    app = zones.rbx.marketapp.allocate("NAME=app ORIGIN_ID=0", market)
    clock.pass_()
    zones.rbx.system.version()  # the import ends in its own time
    clock.pass_()
    assert zones.paris.marketapp.info(app).STATE == zones.rbx.marketapp.info(app).STATE == 1
    with pytest.raises(pyone.OneActionException, match=f"only be deleted from zone {zone}"):
        zones.paris.marketapp.delete(app)
    zones.rbx.marketapp.delete(app)


# -------------------------------------------------------------------------------------------------- what goes wrong


def test_a_slave_that_was_away_catches_up_by_itself(zones, zone, clock):
    zones.do(kill, "rbx")
    for number in range(20):
        zones.paris.user.allocate(f"u{number}", "secret", "", [])
    clock.pass_()
    zones.do(restart, "rbx")
    behind = zones.indexes()
    assert behind[0] > behind[1]
    clock.pass_(2)
    assert zones.indexes()[0] == zones.indexes()[1] == behind[0]
    assert len(zones.rbx.userpool.info().USER) == 22


def test_a_partition_stops_replication_until_it_is_over(zones, zone, clock):
    zones.partition()
    zones.paris.user.allocate("prefect", "secret", "", [])
    clock.pass_(60)
    assert zones.indexes()[0] > zones.indexes()[1]
    with pytest.raises(pyone.OneInternalException, match="Could not connect to the federation master oned"):
        zones.rbx.user.allocate("other", "secret", "", [])
    zones.heal()
    clock.pass_(2)
    assert zones.indexes()[0] == zones.indexes()[1]
    assert zones.rbx.user.allocate("other", "secret", "", []) == 3


def test_behind_a_restarted_master_a_slave_stays_until_the_next_write(zones, zone, clock):
    zones.partition()
    zones.paris.user.allocate("prefect", "secret", "", [])
    clock.pass_()
    zones.do(restart, "paris")
    zones.heal()
    clock.pass_(15)
    master, slave = zones.indexes()
    assert master > slave
    zones.paris.zone.update(zone, "", 1)  # changes nothing
    clock.pass_(0.2)
    assert zones.indexes()[0] == zones.indexes()[1] > master
    assert zones.rbx.user.info(2).NAME == "prefect"


def test_who_may_look_how_far_a_front_end_is(zones, zone, clock):
    zones.paris.user.allocate("prefect", "secret", "", [])
    clock.pass_()
    prefect = zones.client("rbx", "prefect:secret")
    assert prefect.zone.info(zone).NAME == "rbx"
    with pytest.raises(pyone.OneAuthorizationException, match=rf"perform ADMIN ZONE \[{zone}\]"):
        prefect.zone.raftstatus()


def test_a_password_changed_behind_everybodys_back_is_changed_everywhere(zones, zone, clock):
    zones.do(mischief.change_password, "rbx", "new")  # at a slave, whose master it is that changes it
    clock.pass_()
    assert zones.client("paris", "oneadmin:new").zone.raftstatus().STATE == SOLO
    assert zones.client("rbx", "oneadmin:new").system.version() == "7.4.0"


def test_raw_errors_are_those_of_the_master(zones, zone):
    with xmlrpc.client.ServerProxy(zones.sandbox.endpoint("rbx")) as raw:
        ok, words, code, *_ = raw.one.user.allocate(f"oneadmin:{PARIS}", "oneadmin", "x", "core", [])
    assert (ok, words, code) == (False, "[one.user.allocate] NAME is already taken by USER 0.", 0x2000)


# ------------------------------------------------------------------------------------------ zones of several front-ends


def test_a_master_that_elects_another_leader_takes_its_slaves_to_be_current(zones, zone, clock):
    zones.sandbox.wait(zones.sandbox.sandbox.gather("paris", [FrontEndSpec(f"s{number}") for number in range(3)]))
    zones.paris.user.allocate("first", "secret", "", [])
    clock.pass_()
    assert zones.rbx.user.info(2).NAME == "first"
    zones.partition()
    zones.paris.user.allocate("second", "secret", "", [])
    zones.do(stop_server, "paris", 0)
    with pytest.raises(OSError, match="Connection aborted"):
        zones.paris.system.version()  # the address follows the leader, and there is none
    clock.pass_(ELECTED)
    zones.heal()
    clock.pass_(15)
    master, slave = zones.indexes()
    assert master > slave
    zones.rbx.zone.update(zone, "", 1)
    clock.pass_()
    assert zones.rbx.user.info(3).NAME == "second"


def test_what_a_slave_passes_on_hangs_as_at_the_master_and_is_done_later(zones, zone, clock):
    zones.sandbox.wait(zones.sandbox.sandbox.gather("paris", [FrontEndSpec(f"s{number}") for number in range(3)]))
    for server in (1, 2):
        zones.do(stop_server, "paris", server)
    call = xmlrpc.client.dumps((f"oneadmin:{PARIS}", "prefect", "secret", "core", []), "one.user.allocate")
    with pytest.raises(requests.Timeout):
        requests.post(zones.sandbox.endpoint("rbx"), data=call, timeout=0.3)
    told = zones.paris.zone.raftstatus()
    assert told.LOG_INDEX > told.COMMIT
    assert len(zones.paris.userpool.info().USER) == 2
    zones.do(start_server, "paris", 1)
    deadline = time.monotonic() + 5
    while len(zones.rbx.userpool.info().USER) < 3:
        assert time.monotonic() < deadline, "the write that hung is never done"
        time.sleep(0.02)
        clock.pass_(0.02)


def test_a_slave_of_several_front_ends_is_replicated_to_its_leader(zones, zone, clock):
    zones.sandbox.wait(zones.sandbox.sandbox.gather("rbx", [FrontEndSpec(f"s{number}") for number in range(3)]))
    zones.paris.user.allocate("first", "secret", "", [])
    zones.do(stop_server, "rbx", 0)
    clock.pass_()
    assert zones.rbx.user.info(2).NAME == "first"


def test_front_ends_of_a_zone_that_joins_are_put_on_record_one_by_one(zones, clock):
    names = [f"s{number}" for number in range(3)]
    endpoints = zones.sandbox.wait(zones.sandbox.sandbox.gather("rbx", [FrontEndSpec(name) for name in names]))
    zone = zones.join()
    assert zones.rbx.zone.info(zone).SERVER_POOL.SERVER == []
    for name, endpoint in zip(names, endpoints, strict=True):
        zones.rbx.zone.addserver(zone, f'SERVER=[NAME="{name}",ENDPOINT="{endpoint}"]')
        clock.pass_()
    assert [one.ENDPOINT for one in zones.paris.zone.info(zone).SERVER_POOL.SERVER] == endpoints
    states = [pyone.OneServer(one, session=f"oneadmin:{PARIS}").zone.raftstatus().STATE for one in endpoints]
    assert states == [LEADER, FOLLOWER, FOLLOWER]


# -------------------------------------------------------------------------------------------------- shapes, and the door


SHAPES = [
    ("fed_master_raftstatus.xml", "paris", "one.zone.raftstatus", ()),
    ("fed_slave_raftstatus.xml", "rbx", "one.zone.raftstatus", ()),
    ("fed_zone100_info.xml", "rbx", "one.zone.info", (100, False)),
    ("fed_zonepool.xml", "paris", "one.zonepool.info", ()),
]


@pytest.mark.parametrize(("name", "cloud", "method", "arguments"), SHAPES, ids=[row[0] for row in SHAPES])
def test_a_federation_has_the_recorded_shape(zones, zone, name, cloud, method, arguments):
    ours = raw_call(zones.sandbox.endpoint(cloud), f"oneadmin:{PARIS}", method, *arguments)
    assert missing(recorded(name), ours) == []


@pytest.fixture
def door(zones):
    async def opened():
        runner = web.AppRunner(admin_application(zones.sandbox.sandbox))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = zones.sandbox.wait(opened())
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/_admin"
    zones.sandbox.wait(runner.cleanup())


def _told(method, url, **body):
    reply = requests.request(method, url, json=body, timeout=10)
    return reply.status_code, reply.json()


def test_the_door_does_what_no_api_does(zones, door, clock):
    rbx = f"{door}/clouds/{zones.sandbox.endpoint('rbx').split('/')[2]}"  # named by an address, as an installer does
    assert _told("PUT", f"{door}/clouds/paris/federation", mode="MASTER")[0] == 200
    zone = zones.paris.zone.allocate(f"NAME=rbx ENDPOINT={zones.sandbox.endpoint('rbx')}")
    conf = {"mode": "SLAVE", "zone_id": zone, "master_oned": zones.sandbox.endpoint("paris")}
    assert _told("PUT", f"{rbx}/federation", **conf)[0] == 200
    clock.pass_()
    assert zones.rbx.zone.info(zone).NAME == "rbx"
    found = _told("GET", rbx)[1]
    assert (found["zone"], found["federation"]["mode"], found["federation"]["zones"]) == (
        "rbx",
        "SLAVE",
        {"OpenNebula": 0, "rbx": zone},
    )
    assert _told("POST", f"{rbx}/mischief", what="partition", other="paris")[0] == 200
    with pytest.raises(pyone.OneInternalException, match="federation master"):
        zones.rbx.user.allocate("prefect", "secret", "", [])
    assert _told("POST", f"{rbx}/mischief", what="heal", other="paris")[0] == 200
    assert _told("POST", f"{door}/clouds/paris/speeds", federation_lag=2.0)[1]["federation_lag"] == 2.0
    assert _told("PUT", f"{rbx}/federation", mode="STANDALONE")[0] == 200
    assert zones.rbx.system.config().FEDERATION.MODE == "STANDALONE"


def test_the_door_does_it_step_by_step(zones, door):
    _told("PUT", f"{door}/clouds/paris/federation", mode="MASTER")
    zone = zones.paris.zone.allocate(f"NAME=rbx ENDPOINT={zones.sandbox.endpoint('rbx')}")
    conf = {"mode": "SLAVE", "zone_id": zone, "master_oned": zones.sandbox.endpoint("paris")}
    assert _told("PUT", f"{door}/clouds/rbx/oned.conf", **conf)[0] == 200
    assert _told("POST", f"{door}/clouds/rbx/restart")[0] == 200
    with pytest.raises(pyone.OneNoExistsException):  # who stops here is registered and not joined
        zones.client("rbx", f"oneadmin:{RBX}").zone.raftstatus()
    assert _told("POST", f"{door}/clouds/rbx/import", master="paris")[0] == 200
    assert zones.rbx.zone.raftstatus().STATE == SOLO


def test_the_door_gives_a_zone_several_front_ends_and_stops_them(zones, door, clock):
    wanted = [{"name": name, "listen": "127.0.0.1:0"} for name in ("s0", "s1", "s2")]
    status, told = _told("POST", f"{door}/clouds/rbx/front-ends", front_ends=wanted)
    assert (status, len(told["endpoints"])) == (200, 3)
    assert _told("POST", f"{door}/clouds/rbx/mischief", what="server-stop", server=0)[0] == 200
    clock.pass_(ELECTED)
    servers = _told("GET", f"{door}/clouds/rbx")[1]["federation"]["servers"]
    assert {oid: (one["alive"], one["state"]) for oid, one in servers.items()} == {
        "0": (False, "FOLLOWER"),
        "1": (True, "LEADER"),
        "2": (True, "FOLLOWER"),
    }
    assert [one["endpoint"] for one in servers.values()] == told["endpoints"]
    assert _told("POST", f"{door}/clouds/rbx/mischief", what="server-start", server=0)[0] == 200


DOOR_REFUSES = [
    ("a slave without a master", "PUT", "rbx/oned.conf", {"mode": "SLAVE", "zone_id": 100}, 400, "MASTER_ONED"),
    ("no such mode", "PUT", "rbx/oned.conf", {"mode": "LORD"}, 400, "not FEDERATION of oned.conf"),
    (
        "nobody is there",
        "PUT",
        "rbx/federation",
        {"mode": "SLAVE", "master_oned": ENDPOINT_GONE},
        404,
        "no front-end at",
    ),
    ("no such cloud", "PUT", "nowhere/federation", {"mode": "MASTER"}, 404, "no cloud 'nowhere'; there are paris, rbx"),
    (
        "a front-end without a name",
        "POST",
        "rbx/front-ends",
        {"front_ends": [{"listen": "127.0.0.1:0"}]},
        400,
        "not a front-end: name",
    ),
    ("no such server", "POST", "rbx/mischief", {"what": "server-stop", "server": 3}, 404, "no server 3 of rbx"),
    ("no other side", "POST", "rbx/mischief", {"what": "partition", "other": "nice"}, 404, "no cloud 'nice'"),
]


def test_the_door_refuses(zones, door):
    for why, method, path, body, status, words in DOOR_REFUSES:
        told = _told(method, f"{door}/clouds/{path}", **body)
        assert (told[0], words in told[1]["error"]) == (status, True), (why, told)


# ------------------------------------------------------------------------------------------------------- whatever happens


class World:
    """A master and two slaves without wires, to whom anything happens in any order."""

    NAMES = ("paris", "rbx", "gra")

    def __init__(self, seed):
        self.clock, self.network, self.random = Clock(), Network(), random.Random(seed)
        self.clouds = {}
        for number, name in enumerate(self.NAMES):
            cloud = install(CloudSpec(name, oneadmin_password=PARIS), self.clock)
            self.network.join(f"127.0.0.{number + 2}:2633", cloud)
            set_endpoint(cloud, self.endpoint(number))
            self.clouds[name] = cloud
        federation.change(self.clouds["paris"], Mode.MASTER)
        for number, name in enumerate(self.NAMES[1:], 1):
            zone = self.ask("paris", "zone.allocate", f"NAME={name} ENDPOINT={self.endpoint(number)}")
            federation.federate(self.clouds["paris"], self.clouds[name], zone)

    @staticmethod
    def endpoint(number):
        return f"http://127.0.0.{number + 2}:2633/RPC2"

    def ask(self, name, method, *arguments):
        reply, code = serve(self.clouds[name], f"one.{method}", [f"oneadmin:{PARIS}", *arguments])
        return xmlrpc.client.loads(reply)[0][0][1] if code == 0 else None

    def step(self, number):
        name, slave = self.random.choice(self.NAMES), self.clouds[self.random.choice(self.NAMES[1:])]
        cloud = self.clouds[name]
        match self.random.randrange(9):
            case 0 | 1:
                self.ask(name, "user.allocate", f"u{number}", "secret", "core", [])
            case 2:
                self.ask(name, "group.allocate", f"g{number}")
            case 3:
                self.ask(name, "user.delete", self.random.randrange(2, 9))
            case 4:
                partition(slave, "paris")
            case 5:
                heal(slave, "paris")
            case 6:
                kill(cloud)
            case 7:
                restart(cloud)
            case 8:
                self.ask(name, "userpool.info")
        self.clock.pass_(self.random.choice((0.001, 0.02, 1.0, 5.0)))

    def mend(self):
        for cloud in self.clouds.values():
            restart(cloud)
        for name in self.NAMES[1:]:
            heal(self.clouds[name], "paris")
        self.clock.pass_()
        self.ask("paris", "zone.update", 0, "", 1)
        self.clock.pass_()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_all_have_the_same_after_a_write_that_reaches_them(seed):
    world = World(seed)
    for number in range(60):
        world.step(number)
    world.mend()
    for name in World.NAMES[1:]:
        for pool in ("userpool.info", "grouppool.info", "zonepool.info", "vdcpool.info", "acl.info", "zone.raftstatus"):
            assert world.ask(name, pool) == world.ask("paris", pool), (name, pool)
    assert len(world.clouds["paris"].users) > 2, "something happened"
