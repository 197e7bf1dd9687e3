"""The simulator of OpenNebula holds what a real oned was seen to do, and unmodified clients work with it.

Time is a clock that the tests move: a flow of states takes no waiting, and each state in it is seen.
"""

import threading
import time
import xmlrpc.client

import pyone
import pytest
import requests

from sovereigncloud.sandbox.faults import parse_rule
from sovereigncloud.sandbox.opennebula import mischief
from sovereigncloud.sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud.sandbox.opennebula.install import CloudSpec, HostSpec

HOSTS = (HostSpec("127.0.0.2", cpu=800, memory=16 << 20), HostSpec("127.0.0.3", cpu=800, memory=16 << 20))
SETTLED = 5.0  # seconds in which everything that is under way has happened


class Clock:
    """Seconds since the epoch, as the tests want them."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now

    def pass_(self, seconds=SETTLED):
        self.now += seconds


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture
def sandbox(clock):
    with BackgroundSandbox(CloudSpec("zone", hosts=HOSTS), clock=clock) as running:
        clock.pass_()
        yield running


@pytest.fixture
def cloud(sandbox):
    return sandbox["zone"]


@pytest.fixture
def one(sandbox):
    return pyone.OneServer(sandbox.endpoint("zone"), session="oneadmin:opennebula")


@pytest.fixture
def world(one, clock):
    """A network, an image, a template; returned as their ids."""
    ids = {
        "net": one.vn.allocate("NAME=net VN_MAD=bridge BRIDGE=br0 AR=[TYPE=IP4,IP=10.0.0.10,SIZE=20] DNS=1.1.1.1", 0),
        "image": one.image.allocate("NAME=img PATH=http://images.example.org/i.qcow2 SIZE=1024", 1),
    }
    clock.pass_()
    ids["template"] = one.template.allocate(
        f"NAME=tpl CPU=0.1 VCPU=1 MEMORY=128 NIC=[NETWORK_ID={ids['net']}] DISK=[IMAGE_ID={ids['image']}] CONTEXT=[NETWORK=YES] LABELS=a"
    )
    return ids


def running(one, clock, world, name="vm", **_):
    vm = one.template.instantiate(world["template"], name, False, "", False)
    clock.pass_()
    assert where(one, vm) == (3, 3)
    return vm


def where(one, vm):
    found = one.vm.info(vm)
    return found.STATE, found.LCM_STATE


def path(one, clock, vm, seconds=SETTLED):
    """Every state that the machine is in from now on, in order."""
    seen = [where(one, vm)]
    for _ in range(int(seconds / 0.01)):
        clock.pass_(0.01)
        now = where(one, vm)
        if now != seen[-1]:
            seen.append(now)
        if len(seen) > 1 and now in {(3, 3), (8, 0), (5, 0), (4, 0), (9, 0), (6, 0), (3, 36), (3, 39), (3, 40)}:
            break
    return seen


# ------------------------------------------------------------------------------------------------------------- states

FLOWS = [
    ("poweroff", ["poweroff"], [(3, 3), (3, 18), (8, 0)]),
    ("poweroff-hard", ["poweroff-hard"], [(3, 3), (3, 18), (8, 0)]),
    ("resume after poweroff", ["poweroff", "resume"], [(8, 0), (3, 20), (3, 3)]),
    ("suspend", ["suspend"], [(3, 3), (3, 6), (5, 0)]),
    ("resume after suspend", ["suspend", "resume"], [(5, 0), (3, 21), (3, 3)]),
    ("stop", ["stop"], [(3, 3), (3, 5), (3, 10), (4, 0)]),
    ("resume after stop: rescheduled", ["stop", "resume"], [(1, 0), (3, 9), (3, 22), (3, 3)]),
    ("undeploy", ["undeploy"], [(3, 3), (3, 29), (3, 30), (9, 0)]),
    ("resume after undeploy: rescheduled", ["undeploy", "resume"], [(1, 0), (3, 31), (3, 32), (3, 3)]),
    ("terminate", ["terminate"], [(3, 3), (3, 12), (3, 11), (6, 0)]),
    ("terminate after poweroff", ["poweroff", "terminate"], [(8, 0), (3, 11), (6, 0)]),
]


@pytest.mark.parametrize(("why", "actions", "states"), FLOWS, ids=[row[0] for row in FLOWS])
def test_flows_of_actions(one, clock, world, why, actions, states):
    vm = running(one, clock, world)
    for action in actions[:-1]:
        one.vm.action(action, vm)
        clock.pass_()
    one.vm.action(actions[-1], vm)
    assert path(one, clock, vm) == states, why


DEVICE_FLOWS = [
    ("attach a disk", lambda one, vm, w: one.vm.attach(vm, "DISK=[TYPE=fs,SIZE=100]"), (3, 17)),
    ("attach a NIC", lambda one, vm, w: one.vm.attachnic(vm, f"NIC=[NETWORK_ID={w['net']}]"), (3, 25)),
    ("take a NIC away", lambda one, vm, w: one.vm.detachnic(vm, 0), (3, 25)),
    ("snapshot", lambda one, vm, w: one.vm.snapshotcreate(vm, "s"), (3, 24)),
    ("resize", lambda one, vm, w: one.vm.resize(vm, "MEMORY=256", True), (3, 66)),
    ("disk snapshot", lambda one, vm, w: one.vm.disksnapshotcreate(vm, 0, "s"), (3, 57)),
    ("a larger disk", lambda one, vm, w: one.vm.diskresize(vm, 0, "2048"), (3, 62)),
    ("save a disk", lambda one, vm, w: one.vm.disksaveas(vm, 0, "saved", "", -1), (3, 26)),
]


@pytest.mark.parametrize(("why", "act", "state"), DEVICE_FLOWS, ids=[row[0] for row in DEVICE_FLOWS])
def test_flows_of_devices_begin_at_once_and_refuse_a_second(one, clock, world, why, act, state):
    vm = running(one, clock, world)
    act(one, vm, world)
    assert where(one, vm) == state, why
    with pytest.raises(pyone.OneException, match=r"wrong state|in state|RUNNING, POWEROFF"):
        act(one, vm, world)
    assert path(one, clock, vm) == [state, (3, 3)]


MIGRATIONS = [
    ("cold", [], False, [(3, 3), (3, 7), (3, 8), (3, 35), (3, 3)]),
    ("live", [], True, [(3, 3), (3, 4), (3, 3)]),
    ("powered off", ["poweroff"], False, [(8, 0), (3, 43), (8, 0)]),
]


@pytest.mark.parametrize(("why", "before", "live", "states"), MIGRATIONS, ids=[row[0] for row in MIGRATIONS])
def test_flows_of_migrations(one, clock, world, why, before, live, states):
    vm = running(one, clock, world)
    for action in before:
        one.vm.action(action, vm)
        clock.pass_()
    here = one.vm.info(vm).HISTORY_RECORDS.HISTORY[-1].HID
    one.vm.migrate(vm, 1 - here, live)
    assert path(one, clock, vm) == states, why
    assert 1 - here == one.vm.info(vm).HISTORY_RECORDS.HISTORY[-1].HID


def test_the_flow_of_creation(one, clock, world):
    vm = one.template.instantiate(world["template"], "vm", False, "", False)
    assert path(one, clock, vm) == [(1, 0), (3, 0), (3, 1), (3, 2), (3, 3)]


def test_a_machine_on_hold_waits_for_a_release(one, clock, world):
    vm = one.template.instantiate(world["template"], "vm", True, "", False)
    clock.pass_()
    assert where(one, vm) == (2, 0)
    for action in ("poweroff", "suspend", "stop", "undeploy", "reboot"):
        with pytest.raises(pyone.OneActionException, match="not available for state HOLD"):
            one.vm.action(action, vm)
    one.vm.action("release", vm)
    assert path(one, clock, vm)[-1] == (3, 3)


def test_a_locked_image_holds_machines_in_cloning(one, clock, world):
    image = one.image.allocate("NAME=slow PATH=http://images.example.org/s SIZE=100", 1)
    assert one.image.info(image).STATE == 4
    vm = one.vm.allocate(f"CPU=1 MEMORY=64 DISK=[IMAGE_ID={image}]")
    assert path(one, clock, vm)[:2] == [(10, 0), (1, 0)]
    assert one.image.info(image).STATE == 2


FAILURES = [
    ("boot, retried", "BOOT", (3, 36), 2, [(3, 36), (3, 2), (3, 3)]),
    ("prolog, retried", "PROLOG", (3, 39), 2, [(3, 39), (3, 1), (3, 2), (3, 3)]),
    ("prolog, said to be a success", "PROLOG", (3, 39), 1, [(3, 39), (3, 2), (3, 3)]),
    ("prolog, deleted", "PROLOG", (3, 39), 3, [(6, 0)]),
]


@pytest.mark.parametrize(("why", "step", "failed", "operation", "states"), FAILURES, ids=[row[0] for row in FAILURES])
def test_failures_and_recovery(sandbox, cloud, one, clock, world, why, step, failed, operation, states):
    sandbox.do(mischief.fail_next, cloud, step, "no space")
    vm = one.template.instantiate(world["template"], "vm", False, "", False)
    clock.pass_()
    assert where(one, vm) == failed
    assert "no space" in one.vm.info(vm).USER_TEMPLATE["ERROR"]
    one.vm.recover(vm, operation)
    assert [state for state in path(one, clock, vm) if state != failed or states[0] == failed] == states, why


def test_recover_failure_leaves_it_and_recreate_starts_anew(sandbox, cloud, one, clock, world):
    sandbox.do(mischief.fail_next, cloud, "PROLOG")
    vm = one.template.instantiate(world["template"], "vm", False, "", False)
    clock.pass_()
    one.vm.recover(vm, 0)
    clock.pass_()
    assert where(one, vm) == (3, 39)
    one.vm.recover(vm, 4)
    assert path(one, clock, vm)[0] == (1, 0)
    clock.pass_()
    assert where(one, vm) == (3, 3)


def test_a_driver_that_fails_leaves_a_running_machine_as_it_was(sandbox, cloud, one, clock, world):
    vm = running(one, clock, world)
    for step in ("SHUTDOWN_POWEROFF", "HOTPLUG_NIC", "HOTPLUG_RESIZE"):
        sandbox.do(mischief.fail_next, cloud, step)
    one.vm.action("poweroff", vm)
    clock.pass_()
    one.vm.attachnic(vm, f"NIC=[NETWORK_ID={world['net']}]")
    clock.pass_()
    one.vm.resize(vm, "MEMORY=256", True)
    clock.pass_()
    found = one.vm.info(vm)
    assert (found.STATE, found.LCM_STATE) == (3, 3)
    assert found.TEMPLATE["MEMORY"] == "128"
    assert isinstance(found.TEMPLATE["NIC"], dict)
    assert "ERROR" not in found.USER_TEMPLATE


def test_an_action_is_queued_and_a_read_may_show_the_old_state(one, clock, world):
    vm = running(one, clock, world)
    one.vm.action("poweroff", vm)
    assert where(one, vm) == (3, 3)
    one.vm.action("poweroff", vm)  # accepted, since nothing has happened yet
    clock.pass_(0.05)
    assert where(one, vm) == (3, 18)


def test_terminate_of_what_is_done_is_ok_and_reboot_changes_nothing(one, clock, world):
    vm = running(one, clock, world)
    for action in ("reboot", "reboot-hard", "resched", "unresched"):
        one.vm.action(action, vm)
        assert path(one, clock, vm, 1.0)[0] == (3, 3)
    one.vm.action("terminate-hard", vm)
    clock.pass_()
    one.vm.action("terminate", vm)
    assert where(one, vm) == (6, 0)


def test_hosts_networks_and_images_take_their_time(one, clock):
    host = one.host.allocate("10.0.0.9", "kvm", "kvm", -1)
    strange = one.host.allocate("10.0.0.8", "no-such-im", "kvm", -1)
    assert one.host.info(host).STATE == 0
    net = one.vn.allocate("NAME=n VN_MAD=bridge AR=[TYPE=IP4,IP=10.1.0.1,SIZE=2]", -1)
    assert one.vn.info(net).STATE == 2
    clock.pass_()
    assert one.host.info(host).STATE == 2
    assert one.host.info(strange).STATE == 0
    assert one.vn.info(net).STATE == 1
    one.vn.delete(net)
    assert one.vn.info(net).STATE == 3
    clock.pass_()
    with pytest.raises(pyone.OneNoExistsException):
        one.vn.info(net)


def test_a_fresh_cloud_has_no_room_until_its_datastores_are_monitored(clock):
    with BackgroundSandbox(CloudSpec("fresh", hosts=HOSTS), clock=clock) as sandbox:
        one = pyone.OneServer(sandbox.endpoint("fresh"), session="oneadmin:opennebula")
        assert {store.TOTAL_MB for store in one.datastorepool.info().DATASTORE} == {0}
        with pytest.raises(pyone.OneActionException, match="Not enough space in datastore"):
            one.image.allocate("NAME=i SIZE=1 TYPE=DATABLOCK", 1)
        clock.pass_()
        one.image.allocate("NAME=i SIZE=1 TYPE=DATABLOCK", 1)


# ------------------------------------------------------------------------------------------------------------- errors


def _full(one, w):
    return one.vm.allocate(f"CPU=1 MEMORY=1 NIC=[NETWORK_ID={one.vn.allocate('NAME=tiny VN_MAD=bridge', 0)}]")


ERRORS = [
    ("no such id", lambda one, w: one.vm.info(9999), pyone.OneNoExistsException, r"\[one.vm.info\] Error getting virtual machine \[9999\]\."),
    ("no such network", lambda one, w: one.vn.info(9), pyone.OneNoExistsException, r"Error getting virtual network \[9\]\."),
    ("no such host", lambda one, w: one.vm.deploy(0, 77), pyone.OneNoExistsException, r"Error getting host \[77\]\."),
    ("no such action", lambda one, w: one.vm.action("explode", w["vm"]), pyone.OneActionException, 'Action "explode" is not supported'),
    ("wrong state", lambda one, w: one.vm.action("resume", w["vm"]), pyone.OneActionException, "This action is not available for state RUNNING"),
    ("no capacity", lambda one, w: one.vm.resize(w["vm"], "CPU=900", True), pyone.OneActionException, r"Not enough CPU: \d+/\d+"),
    ("a disk only grows", lambda one, w: one.vm.diskresize(w["vm"], 0, "5"), pyone.OneActionException, "has to be greater than current"),
    ("a host with machines", lambda one, w: one.host.delete(0), pyone.OneActionException, "Can not remove a host with running VMs"),
    ("a network in use", lambda one, w: one.vn.delete(w["net"]), pyone.OneActionException, "Can not remove a virtual network with leases in use"),
    ("an image in use", lambda one, w: one.image.delete(w["image"]), pyone.OneActionException, "There are 1 VMs using it"),
    ("a rename collides", lambda one, w: (one.host.rename(0, "127.0.0.3")), pyone.OneActionException, "collides with host 1"),
    ("the name of a host", lambda one, w: one.host.allocate("127.0.0.2", "kvm", "kvm", 0), pyone.OneException, r"Error allocating a new host. NAME is already taken by HOST 0\."),
    ("the name of a cluster", lambda one, w: one.cluster.allocate("default"), pyone.OneException, "NAME is already taken by CLUSTER 0"),
    ("the name of an image", lambda one, w: one.image.allocate("NAME=img SIZE=1 TYPE=DATABLOCK", 1), pyone.OneException, "NAME is already taken by IMAGE 0"),
    ("the name of a network", lambda one, w: one.vn.allocate("NAME=net VN_MAD=bridge", 0), pyone.OneInternalException, r"NAME is already taken by NET 0\."),
    ("the name of a template", lambda one, w: one.template.allocate("NAME=tpl"), pyone.OneInternalException, "NAME is already taken by TEMPLATE 0"),
    ("the name of a user", lambda one, w: one.user.allocate("oneadmin", "x", "core", []), pyone.OneInternalException, "NAME is already taken by USER 0"),
    ("a name with a slash", lambda one, w: one.host.allocate("a/b", "kvm", "kvm", 0), pyone.OneException, "char '/' is not allowed"),
    ("no template", lambda one, w: one.vm.allocate("CPU=[1"), pyone.OneInternalException, "Parse error"),
    ("a dash in a key", lambda one, w: one.vm.update(w["vm"], "a-b=1", 1), pyone.OneInternalException, "Parse error"),
    ("XML that ends CDATA", lambda one, w: one.vm.update(w["vm"], "<T><A>]]&gt;</A></T>", 1), pyone.OneInternalException, "malformed"),
    ("no memory", lambda one, w: one.vm.allocate("CPU=1"), pyone.OneInternalException, "MEMORY attribute must be a positive integer value"),
    ("no CPU", lambda one, w: one.vm.allocate("MEMORY=1"), pyone.OneInternalException, "CPU attribute must be a positive"),
    ("no such image name", lambda one, w: one.vm.allocate("CPU=1 MEMORY=1 DISK=[IMAGE=x]"), pyone.OneInternalException, "does not own an image with name: x"),
    ("no such network name", lambda one, w: one.vm.allocate("CPU=1 MEMORY=1 NIC=[NETWORK=x]"), pyone.OneInternalException, "does not own a network with name: x"),
    ("no free lease", _full, pyone.OneInternalException, r"Cannot get IP/MAC lease from virtual network \d+\."),
    ("a host that does not resolve", lambda one, w: one.image.allocate("NAME=i PATH=http://x.invalid/i", 1), pyone.OneInternalException, "Cannot parse image SIZE"),
    ("no images in the system datastore", lambda one, w: one.image.allocate("NAME=i SIZE=1 TYPE=DATABLOCK", 0), pyone.OneException, "New images can only be allocated in"),
    ("a zone of a standalone front-end", lambda one, w: one.zone.allocate("NAME=z ENDPOINT=x"), pyone.OneException, "only be created at federation master"),
    ("a query on SQLite", lambda one, w: one.vmpool.infoextended(-2, -1, -1, -1, "A=B"), pyone.OneInternalException, "JSON query search is not supported"),
    ("neither replace nor merge", lambda one, w: one.vm.update(w["vm"], "A=1", 7), pyone.OneApiException, "Wrong update type"),
    ("no such method", lambda one, w: one.vm.nosuch(1), pyone.OneException, r"Fault -506"),
    ("a wrong type", lambda one, w: one.vm.info("7"), pyone.OneException, r"Fault -501"),
    ("a missing argument", lambda one, w: one.vm.info(), pyone.OneException, r"Fault -501"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "call", "error", "words"), ERRORS, ids=[row[0] for row in ERRORS])
def test_errors(one, clock, world, why, call, error, words):
    world["vm"] = running(one, clock, world)
    with pytest.raises(error, match=words) as failed:
        call(one, world)
    assert type(failed.value) is error, why


def test_a_failure_has_five_fields_and_a_success_three(sandbox):
    raw = xmlrpc.client.ServerProxy(sandbox.endpoint("zone"), allow_none=False)
    with raw as server:
        assert server.one.vm.info("oneadmin:opennebula", 5) == [
            False,
            "[one.vm.info] Error getting virtual machine [5].",
            0x400,
            5,
            -1,
        ]
        assert server.one.system.version("oneadmin:opennebula") == [True, "7.0.0", 0]
        assert server.one.system.version("oneadmin:opennebula", "more", 2) == [True, "7.0.0", 0]
        assert server.one.system.version("oneadmin:wrong")[2] == 0x100
        assert server.one.system.version("nonsense")[2] == 0x100


def test_what_is_no_xml_rpc(sandbox):
    endpoint = sandbox.endpoint("zone")
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><methodCall><methodName>&a;</methodName></methodCall>'
    for body in (b"", b"nonsense", b"<methodCall/>", bomb):
        assert b"-503" in requests.post(endpoint, data=body, timeout=5).content
    assert requests.get(endpoint, timeout=5).status_code == 405
    assert requests.post(endpoint.replace("RPC2", "other"), data=b"x", timeout=5).status_code == 404


# ----------------------------------------------------------------------------------------------------- pools and reads


def test_pools_page_and_filter(one, clock, world):
    vms = [one.template.instantiate(world["template"], f"vm{number}", True, "", False) for number in range(6)]

    def ids(*arguments):
        return [vm.ID for vm in one.vmpool.infoextended(*arguments).VM]

    newest_first = vms[::-1]
    assert ids(-2, -1, -1, -1) == newest_first
    assert ids(-2, 2, 4, -1) == [vms[4], vms[3], vms[2]]
    assert ids(-2, 0, -4, -1) == newest_first[:4]
    assert ids(-2, 4, -4, -1) == newest_first[4:]
    assert ids(-2, 100, 200, -1) == []
    assert ids(-2, -1, -1, 3) == []
    assert ids(-2, -1, -1, 2) == newest_first
    assert [vm.ID for vm in one.vmpool.infoset(f"{vms[0]},{vms[2]}", True).VM] == [vms[2], vms[0]]
    one.vm.action("terminate", vms[0])
    assert vms[0] not in ids(-2, -1, -1, -1)
    assert ids(-2, -1, -1, 6) == [vms[0]]
    assert vms[0] in ids(-2, -1, -1, -2)
    with pytest.raises(pyone.OneApiException):
        ids(-9, -1, -1, -1)


def test_the_pool_is_short_and_infoextended_is_not(one, clock, world):
    vm = running(one, clock, world)
    short = one.vmpool.info(-2, -1, -1, -1).VM[0]
    whole = one.vmpool.infoextended(-2, -1, -1, -1).VM[0]
    assert set(short.TEMPLATE) == {"CPU", "MEMORY", "VCPU", "DISK", "NIC"}
    assert set(short.USER_TEMPLATE) == {"LABELS"}
    assert {"CONTEXT", "OS", "VMID", "TEMPLATE_ID", "SECURITY_GROUP_RULE"} <= set(whole.TEMPLATE)
    assert short.ID == whole.ID == vm


def test_a_change_is_seen_in_every_way_of_reading(one, clock, world):
    vm = running(one, clock, world)
    for read in (one.vmpool.info, one.vmpool.infoextended):
        assert read(-2, -1, -1, -1).VM[0].NAME == "vm"
    one.vm.rename(vm, "renamed")
    one.vm.update(vm, "LABELS=b", 1)
    for read in (one.vmpool.info, one.vmpool.infoextended):
        found = read(-2, -1, -1, -1).VM[0]
        assert (found.NAME, found.USER_TEMPLATE["LABELS"]) == ("renamed", "b")


# ----------------------------------------------------------------------------------------------------------- templates


def test_update_merges_or_replaces(one, clock, world):
    vm = running(one, clock, world)
    one.vm.update(vm, 'k8s=[ns="a",NAME="b"] other=1', 1)
    assert one.vm.info(vm).USER_TEMPLATE["K8S"] == {"NAME": "b", "NS": "a"}
    one.vm.update(vm, 'K8S=[NS="c"]', 1)
    user = one.vm.info(vm).USER_TEMPLATE
    assert user["K8S"] == {"NS": "c"}, "a vector is replaced whole"
    assert (user["OTHER"], user["LABELS"]) == ("1", "a")
    one.vm.update(vm, "ONLY=1", 0)
    assert dict(one.vm.info(vm).USER_TEMPLATE) == {"ONLY": "1"}
    one.vm.update(vm, "", 0)
    assert not one.vm.info(vm).USER_TEMPLATE
    one.vm.update(vm, "CPU=9", 1)
    assert one.vm.info(vm).TEMPLATE["CPU"] == "0.1", "an update never changes capacity"


def test_both_forms_of_a_template_are_read(one, clock, world):
    text = one.vm.allocate('NAME=text CPU=1 MEMORY=64 A="say \\"x\\", [y]" # no comment here\nB=bare C=')
    xml = one.vm.allocate({"TEMPLATE": {"NAME": "xml", "CPU": 1, "MEMORY": 64, "A": 'say "x", [y]', "V": {"k": "v"}}})
    flat = one.vm.allocate({"NAME": "flat", "CPU": 1, "MEMORY": 64, "A": "x"})
    assert one.vm.info(text).USER_TEMPLATE["A"] == 'say "x", [y]'
    assert one.vm.info(text).USER_TEMPLATE["B"] == "bare"
    assert one.vm.info(xml).USER_TEMPLATE["A"] == 'say "x", [y]'
    assert one.vm.info(xml).USER_TEMPLATE["V"] == {"K": "v"}
    assert one.vm.info(flat).NAME == "flat"


def test_instantiate_replaces_the_list_of_nics(one, clock, world):
    net = world["net"]
    vm = one.template.instantiate(world["template"], "", True, f"NIC=[NETWORK_ID={net}] NIC=[NETWORK_ID={net}]", False)
    found = one.vm.info(vm)
    assert [nic["IP"] for nic in found.TEMPLATE["NIC"]] == ["10.0.0.10", "10.0.0.11"]
    assert found.TEMPLATE["TEMPLATE_ID"] == str(world["template"])
    assert found.NAME.startswith("tpl-")


def test_the_context_tells_the_guest_of_its_network(one, clock, world):
    one.user.update(0, 'SSH_PUBLIC_KEY="ssh-ed25519 AAAA"', 1)
    vm = one.vm.allocate(
        f"CPU=1 MEMORY=64 NAME=ctx NIC=[NETWORK_ID={world['net']}] "
        'CONTEXT=[NETWORK=YES, SSH_PUBLIC_KEY="$USER[SSH_PUBLIC_KEY]", NAME="$NAME"]'
    )
    context = one.vm.info(vm).TEMPLATE["CONTEXT"]
    assert context["ETH0_IP"] == "10.0.0.10"
    assert context["ETH0_MAC"] == "02:00:0a:00:00:0a"
    assert context["ETH0_DNS"] == "1.1.1.1"
    assert context["SSH_PUBLIC_KEY"] == "ssh-ed25519 AAAA"
    assert context["NAME"] == "ctx"
    one.vm.updateconf(vm, "CONTEXT=[NETWORK=YES, NEW=1]", 0)
    context = one.vm.info(vm).TEMPLATE["CONTEXT"]
    assert context["NEW"] == "1"
    assert "SSH_PUBLIC_KEY" not in context, "updateconf replaces CONTEXT"


# ------------------------------------------------------------------------------------------------- networks, addresses


def test_addresses_are_given_held_and_freed(one, clock):
    net = one.vn.allocate("NAME=n VN_MAD=bridge PHYDEV=bond AR=[TYPE=IP4,IP=10.1.0.1,SIZE=3]", 0)
    clock.pass_()
    assert f"onebr{net}" == one.vn.info(net).BRIDGE
    one.vn.hold(net, "LEASES=[IP=10.1.0.1]")
    with pytest.raises(pyone.OneInternalException, match="in use"):
        one.vn.hold(net, "LEASES=[IP=10.1.0.1]")
    vms = [one.vm.allocate(f"CPU=1 MEMORY=1 NIC=[NETWORK_ID={net}]") for _ in range(2)]
    assert [one.vm.info(vm).TEMPLATE["NIC"]["IP"] for vm in vms] == ["10.1.0.2", "10.1.0.3"]
    with pytest.raises(pyone.OneInternalException, match="Cannot get IP/MAC lease"):
        one.vm.allocate(f"CPU=1 MEMORY=1 NIC=[NETWORK_ID={net}]")
    assert one.vn.info(net).USED_LEASES == 3
    one.vn.release(net, "LEASES=[IP=10.1.0.1]")
    fixed = one.vm.allocate(f"CPU=1 MEMORY=1 NIC=[NETWORK_ID={net},IP=10.1.0.1]")
    assert one.vm.info(fixed).TEMPLATE["NIC"]["IP"] == "10.1.0.1"
    for vm in (*vms, fixed):
        one.vm.action("terminate-hard", vm)
    clock.pass_()
    assert one.vn.info(net).USED_LEASES == 0


def test_ranges_and_reservations(one, clock):
    net = one.vn.allocate("NAME=n VN_MAD=802.1Q VLAN_ID=100 PHYDEV=bond AR=[TYPE=IP4,IP=10.1.0.1,SIZE=10]", 0)
    clock.pass_()
    assert one.vn.info(net).BRIDGE == "onebr.100"
    one.vn.add_ar(net, "AR=[TYPE=IP4,IP=10.2.0.1,SIZE=5,GATEWAY=10.2.0.254]")
    one.vn.update_ar(net, "AR=[AR_ID=1,SIZE=7]")
    second = one.vn.info(net).AR_POOL.AR[1]
    assert (second.SIZE, second.IP_END) == (7, "10.2.0.7")
    one.vn.rm_ar(net, 1)
    assert len(one.vn.info(net).AR_POOL.AR) == 1
    reservation = one.vn.reserve(net, "SIZE=4 NAME=mine")
    clock.pass_()
    held = one.vn.info(reservation)
    assert (str(net), 4) == (held.PARENT_NETWORK_ID, held.AR_POOL.AR[0].SIZE)
    assert one.vn.info(net).USED_LEASES == 4
    with pytest.raises(pyone.OneActionException, match="leases in use"):
        one.vn.delete(net)
    one.vn.delete(reservation)
    clock.pass_()
    assert one.vn.info(net).USED_LEASES == 0


# ---------------------------------------------------------------------------------------------------------- scheduler


def test_what_cannot_be_placed_stays_pending_and_is_told_why_after_a_while(one, clock, world):
    large = one.vm.allocate("NAME=large CPU=99 MEMORY=64")
    odd = one.vm.allocate('NAME=odd CPU=1 MEMORY=64 SCHED_REQUIREMENTS="ID=12345"')
    clock.pass_(0.6)
    assert "SCHED_MESSAGE" not in one.vm.info(large).USER_TEMPLATE
    clock.pass_()
    assert one.vm.info(large).STATE == 1
    assert "[HOST] Not enough CPU on hosts: 0,1" in one.vm.info(large).USER_TEMPLATE["SCHED_MESSAGE"]
    assert "[HOST] Requirements not met on hosts: 0,1" in one.vm.info(odd).USER_TEMPLATE["SCHED_MESSAGE"]
    one.vm.update(odd, 'SCHED_REQUIREMENTS="ID=1 & !(NAME=\\"127.0.0.2\\")"', 1)
    clock.pass_()
    found = one.vm.info(odd)
    assert (found.STATE, found.HISTORY_RECORDS.HISTORY[-1].HID) == (3, 1)


def test_machines_wait_for_an_hour_at_no_cost(one, clock, world):
    vms = [one.vm.allocate(f"NAME=v{number} CPU=99 MEMORY=64") for number in range(50)]
    clock.pass_(3600)
    began = time.monotonic()
    assert one.vm.info(vms[0]).STATE == 1
    assert time.monotonic() - began < 2


def test_stock_placement_is_one_machine_per_host_and_cycle(cloud, one, clock, world):
    cloud.speeds.max_host = 1
    vms = [one.vm.allocate(f"NAME=v{number} CPU=0.1 MEMORY=1") for number in range(6)]
    clock.pass_(0.75)
    placed = sum(one.vm.info(vm).STATE == 3 for vm in vms)
    assert placed == 2
    clock.pass_()
    assert all(one.vm.info(vm).STATE == 3 for vm in vms)


def test_a_disabled_host_gets_nothing_new(one, clock, world):
    one.host.status(0, 1)
    vms = [one.vm.allocate(f"NAME=v{number} CPU=0.1 MEMORY=1") for number in range(4)]
    clock.pass_()
    assert {one.vm.info(vm).HISTORY_RECORDS.HISTORY[0].HID for vm in vms} == {1}
    one.host.status(1, 1)
    waiting = one.vm.allocate("CPU=0.1 MEMORY=1")
    clock.pass_()
    assert "No hosts enabled" in one.vm.info(waiting).USER_TEMPLATE["SCHED_MESSAGE"]
    one.host.status(0, 0)
    clock.pass_()
    assert where(one, waiting) == (3, 3)


def test_the_capacity_of_a_host_is_counted(one, clock, world):
    vm = one.vm.allocate("CPU=2 MEMORY=1024")
    clock.pass_()
    hid = one.vm.info(vm).HISTORY_RECORDS.HISTORY[0].HID
    share = one.host.info(hid).HOST_SHARE
    assert (share.CPU_USAGE, share.MEM_USAGE, share.RUNNING_VMS) == (200, 1 << 20, 1)
    one.vm.action("undeploy-hard", vm)
    clock.pass_()
    share = one.host.info(hid).HOST_SHARE
    assert (share.CPU_USAGE, share.MEM_USAGE, share.RUNNING_VMS) == (0, 0, 0)


# ------------------------------------------------------------------------------------------------------ people, rights


@pytest.fixture
def tenant(sandbox, one):
    uid = one.user.allocate("tenant", "secret", "", [])
    client = pyone.OneServer(sandbox.endpoint("zone"), session="tenant:secret")
    client.uid = uid
    return client


def test_a_plain_user_sees_what_it_may(one, tenant, clock, world):
    vm = running(one, clock, world)
    words = r"User \[2\] : Not authorized to perform USE VM \[0\]\."
    with pytest.raises(pyone.OneAuthorizationException, match=words):
        tenant.vm.info(vm)
    with pytest.raises(pyone.OneAuthorizationException, match="perform MANAGE VM"):
        tenant.vm.action("poweroff", vm)
    assert tenant.vmpool.infoextended(-2, -1, -1, -1).VM == []
    one.vm.chmod(vm, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    assert [found.ID for found in tenant.vmpool.infoextended(-2, -1, -1, -1).VM] == [vm]
    assert tenant.zonepool.info().ZONE[0].ID == 0
    assert [net.ID for net in tenant.vnpool.info(-2, -1, -1).VNET] == [world["net"]]
    mine = tenant.vm.allocate(f"CPU=1 MEMORY=1 NIC=[NETWORK_ID={world['net']}]")
    assert tenant.vm.info(mine).UNAME == "tenant"
    with pytest.raises(pyone.OneAuthorizationException, match="ADMIN VM"):
        tenant.vm.deploy(mine, 0)
    with pytest.raises(pyone.OneAuthorizationException, match="CREATE HOST"):
        tenant.host.allocate("x", "kvm", "kvm", 0)


RESTRICTED = [
    ("a MAC address", lambda t, w: t.vm.allocate(f"CPU=1 MEMORY=1 NIC=[NETWORK_ID={w['net']},MAC=02:00:00:00:00:01]"), "NIC/MAC"),
    ("raw hypervisor data", lambda t, w: t.vm.allocate("CPU=1 MEMORY=1 RAW=[TYPE=kvm,DATA=x]"), "RAW/DATA"),
    ("PCI devices", lambda t, w: t.vm.allocate("CPU=1 MEMORY=1 PCI=[VENDOR=1]"), "PCI"),
    ("where an image is", lambda t, w: t.image.allocate("NAME=i SOURCE=/x FORMAT=raw SIZE=1", 1), "SOURCE"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "call", "attribute"), RESTRICTED, ids=[row[0] for row in RESTRICTED])
def test_restricted_attributes(tenant, world, why, call, attribute):
    with pytest.raises(pyone.OneAuthorizationException, match=f"restricted attribute {attribute}"):
        call(tenant, world)


def test_names_are_unique_per_owner_and_found_under_the_owner(one, tenant, clock, world):
    mine = tenant.image.allocate("NAME=img SIZE=10 TYPE=DATABLOCK", 1)
    clock.pass_()
    assert mine != world["image"]
    vm = tenant.vm.allocate("CPU=1 MEMORY=1 DISK=[IMAGE=img]")
    assert tenant.vm.info(vm).TEMPLATE["DISK"]["IMAGE_ID"] == str(mine)
    with pytest.raises(pyone.OneInternalException, match="User 2 does not own a network with name: net"):
        tenant.vm.allocate("CPU=1 MEMORY=1 NIC=[NETWORK=net]")
    named = tenant.vm.allocate("CPU=1 MEMORY=1 NIC=[NETWORK=net,NETWORK_UNAME=oneadmin]")
    assert tenant.vm.info(named).TEMPLATE["NIC"]["NETWORK_ID"] == str(world["net"])
    same = one.vm.allocate("NAME=same CPU=1 MEMORY=1"), one.vm.allocate("NAME=same CPU=1 MEMORY=1")
    assert same[0] != same[1]


QUOTAS = [
    ("machines", "VM=[VMS=1]", "limit of 1 reached for VMS quota"),
    ("cores", "VM=[CPU=1.5]", "limit of 1.5 reached for CPU quota"),
    ("memory", "VM=[MEMORY=100]", "limit of 100 reached for MEMORY quota"),
    ("addresses", "NETWORK=[ID=0,LEASES=1]", "limit of 1 reached for LEASES quota"),
]


@pytest.mark.parametrize("whose", ["user", "group"])
@pytest.mark.parametrize(("why", "quota", "words"), QUOTAS, ids=[row[0] for row in QUOTAS])
def test_quotas(one, tenant, world, whose, why, quota, words):
    getattr(one, whose).quota(tenant.uid if whose == "user" else 1, quota)
    template = f"CPU=1 MEMORY=64 NIC=[NETWORK_ID={world['net']}]"
    tenant.vm.allocate(template)
    with pytest.raises(pyone.OneAuthorizationException, match=words):
        tenant.vm.allocate(template)
    one.vm.allocate(template)  # oneadmin has none
    info = one.user.info(tenant.uid) if whose == "user" else one.group.info(1)
    assert info.VM_QUOTA is not None
    with pytest.raises(pyone.OneActionException, match="oneadmin"):
        one.user.quota(0, quota)


def test_a_lock_binds_oneadmin_too(one, clock, world):
    vm = running(one, clock, world)
    one.vm.lock(vm, 2, False)
    with pytest.raises(pyone.OneAuthorizationException, match=rf"User \[0\] : VM is locked. \[{vm}\]\."):
        one.vm.action("poweroff", vm)
    assert one.vm.info(vm).LOCK.LOCKED == 2
    one.vm.unlock(vm)
    one.vm.action("poweroff", vm)


def test_passwords_and_tokens(sandbox, one, tenant, clock):
    def login(secret):
        return pyone.OneServer(sandbox.endpoint("zone"), session=f"tenant:{secret}").system.version()

    token = tenant.user.login("tenant", "", 60, -1)
    assert login(token) == "7.0.0"
    with pytest.raises(pyone.OneApiException):
        one.user.login("tenant", "", 60, -1)
    clock.pass_(61)
    with pytest.raises(pyone.OneAuthenticationException):
        login(token)
    tenant.user.passwd(tenant.uid, "new")
    with pytest.raises(pyone.OneAuthenticationException):
        login("secret")
    assert login("new") == "7.0.0"
    one.user.enable(tenant.uid, False)
    with pytest.raises(pyone.OneAuthenticationException):
        login("new")


def test_a_deleted_user_leaves_machines_behind(one, tenant, clock):
    vm = tenant.vm.allocate("CPU=1 MEMORY=1")
    one.user.delete(tenant.uid)
    clock.pass_()
    assert (where(one, vm), one.vm.info(vm).UNAME) == ((3, 3), "tenant")


def test_a_group_out_of_the_default_vdc_sees_no_networks(one, sandbox, world):
    gid = one.group.allocate("prefecture")
    one.user.allocate("prefect", "secret", "", [gid])
    client = pyone.OneServer(sandbox.endpoint("zone"), session="prefect:secret")
    assert len(client.vnpool.info(-2, -1, -1).VNET) == 1
    one.vdc.delgroup(0, gid)
    assert client.vnpool.info(-2, -1, -1).VNET == []
    vdc = one.vdc.allocate("NAME=prefecture")
    one.vdc.addgroup(vdc, gid)
    one.vdc.addvnet(vdc, 0, world["net"])
    assert len(client.vnpool.info(-2, -1, -1).VNET) == 1


def test_a_disabled_zone_is_read_only(one, clock, world):
    one.zone.enable(0, False)
    with pytest.raises(pyone.OneInternalException, match="zone disabled"):
        one.vm.allocate("CPU=1 MEMORY=1")
    assert one.zonepool.info().ZONE[0].STATE == 1
    one.zone.enable(0, True)


# -------------------------------------------------------------------------------------------------------------- images


def test_an_image_comes_from_the_marketplace(one, clock, world):
    apps = {app.NAME: app for app in one.marketapppool.info(-2, -1, -1).MARKETPLACEAPP}
    assert {"Ubuntu 24.04", "Alpine Linux 3.21"} <= set(apps)
    image = one.image.allocate(f"NAME=alpine FROM_APP={apps['Alpine Linux 3.21'].ID}", 1)
    assert one.image.info(image).STATE == 4
    clock.pass_()
    found = one.image.info(image)
    assert (found.STATE, found.SIZE, found.FORMAT) == (1, 256, "qcow2")
    free = one.datastore.info(1).FREE_MB
    one.image.delete(image)
    clock.pass_()
    assert free + 256 == one.datastore.info(1).FREE_MB


def test_a_persistent_image_has_one_user(one, clock, world):
    image = one.image.allocate("NAME=p SIZE=10 TYPE=DATABLOCK PERSISTENT=YES", 1)
    clock.pass_()
    one.vm.allocate(f"CPU=1 MEMORY=1 DISK=[IMAGE_ID={image}]")
    assert one.image.info(image).STATE == 8
    with pytest.raises(pyone.OneInternalException, match="persistent and already in use"):
        one.vm.allocate(f"CPU=1 MEMORY=1 DISK=[IMAGE_ID={image}]")


def test_a_copy_that_fails_is_an_image_in_error(sandbox, cloud, one, clock, world):
    sandbox.do(mischief.fail_next, cloud, "IMAGE", "disk full")
    image = one.image.allocate("NAME=bad SIZE=10 TYPE=DATABLOCK", 1)
    clock.pass_()
    found = one.image.info(image)
    assert found.STATE == 5
    assert "disk full" in found.TEMPLATE["ERROR"]
    with pytest.raises(pyone.OneInternalException, match="Cannot acquire image"):
        one.vm.allocate(f"CPU=1 MEMORY=1 DISK=[IMAGE_ID={image}]")


def test_clones(one, clock, world):
    copy = one.image.clone(world["image"], "copy")
    assert one.image.info(copy).STATE == 4
    clock.pass_()
    assert (one.image.info(copy).STATE, one.image.info(copy).SIZE) == (1, 1024)


# --------------------------------------------------------------------------------------------------------------- races


def test_two_hosts_at_once_may_end_under_one_name(cloud, one, clock):
    """OpenNebula/one#7527: both calls succeed."""
    first, second = one.host.allocate("a", "kvm", "kvm", 0), one.host.allocate("b", "kvm", "kvm", 0)
    assert first != second
    assert [one.host.info(host).NAME for host in (first, second)] == ["b", "b"]
    clock.pass_(1)
    third = one.host.allocate("c", "kvm", "kvm", 0)
    assert one.host.info(third).NAME == "c"


# ------------------------------------------------------------------------------------------------------------ mischief

MISCHIEF = [
    ("the guest shuts down", lambda s, c, vm: s.do(mischief.power_off, c, "vm"), lambda vm: (vm.STATE, vm.LCM_STATE) == (8, 0)),
    ("somebody terminates it", lambda s, c, vm: s.do(mischief.terminate, c, vm), lambda vm: vm.STATE == 6),
    ("somebody resizes it", lambda s, c, vm: s.do(mischief.resize, c, vm, cpu=2, memory=512), lambda vm: (vm.TEMPLATE["CPU"], vm.TEMPLATE["MEMORY"]) == ("2", "512")),
    ("somebody takes its NIC", lambda s, c, vm: s.do(mischief.detach_nic, c, vm), lambda vm: "NIC" not in vm.TEMPLATE),
    ("its host is lost", lambda s, c, vm: [s.do(mischief.break_host, c, host) for host in (0, 1)], lambda vm: (vm.STATE, vm.LCM_STATE) == (3, 16)),
    ("its host is deleted", lambda s, c, vm: [s.do(mischief.delete_host, c, host) for host in (0, 1)], lambda vm: vm.STATE == 6),
    ("somebody edits its attributes", lambda s, c, vm: s.do(mischief.edit_user_template, c, vm, {"x": "1"}), lambda vm: vm.USER_TEMPLATE["X"] == "1"),
    ("somebody renames it", lambda s, c, vm: s.do(mischief.rename, c, "VM", "vm", "odd"), lambda vm: vm.NAME == "odd"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "act", "shown"), MISCHIEF, ids=[row[0] for row in MISCHIEF])
def test_changes_behind_the_operators_back(sandbox, cloud, one, clock, world, why, act, shown):
    vm = running(one, clock, world)
    one.vmpool.infoextended(-2, -1, -1, -1)
    act(sandbox, cloud, vm)
    assert shown(one.vm.info(vm)), why


def test_a_network_is_edited_and_a_pool_answers_empty(sandbox, cloud, one, clock, world):
    vm = running(one, clock, world)
    sandbox.do(mischief.edit_vnet, cloud, "net", {"DNS": "6.6.6.6"})
    assert one.vn.info(world["net"]).TEMPLATE["DNS"] == "6.6.6.6"
    sandbox.do(mischief.empty_pool, cloud)
    assert one.vmpool.infoextended(-2, -1, -1, -1).VM == []
    assert vm == one.vm.info(vm).ID
    sandbox.do(mischief.empty_pool, cloud, empty=False)
    assert len(one.vmpool.infoextended(-2, -1, -1, -1).VM) == 1
    sandbox.do(mischief.stall_scheduler, cloud)
    stuck = one.vm.allocate("CPU=0.1 MEMORY=1")
    clock.pass_()
    assert one.vm.info(stuck).STATE == 1
    sandbox.do(mischief.stall_scheduler, cloud, stalled=False)
    clock.pass_()
    assert where(one, stuck) == (3, 3)


def test_faults_are_counted_and_logged(cloud, one):
    cloud.faults.add(parse_rule({"kind": "lost-response", "path": "one.vm.allocate", "count": 1}))
    with pytest.raises(requests.ConnectionError):
        one.vm.allocate("NAME=lost CPU=1 MEMORY=1")
    assert [vm.NAME for vm in one.vmpool.info(-2, -1, -1, -1).VM] == ["lost"]
    entries = cloud.journal.entries()
    lost = next(entry for entry in entries if entry.path == "one.vm.allocate")
    assert (lost.status, lost.account, len(lost.faults)) == (0, "oneadmin", 1)
    assert "opennebula" not in str(entries), "the password is not logged"
    assert cloud.journal.writes() == 1


# ------------------------------------------------------------------------------------------------------------ many


def test_a_thousand_machines_are_made_and_read_quickly(sandbox, cloud, one, clock, world):
    cloud.speeds.max_host = 1000
    began = time.monotonic()
    threads = [threading.Thread(target=allocate, args=(sandbox, world, range(n, 1000, 4))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 20
    clock.pass_()
    one.vmpool.info(-2, 0, -1, -1)
    body = call_body("one.vmpool.infoextended", -2, -1, -1, -1)
    sandbox.do(time.thread_time)
    cpu = []
    for _ in range(3):
        before = sandbox.do(time.thread_time)
        reply = requests.post(sandbox.endpoint("zone"), data=body, timeout=30)
        cpu.append(sandbox.do(time.thread_time) - before)
    assert reply.content.count(b"&lt;VM&gt;") == 1000
    assert min(cpu) < 0.15


def allocate(sandbox, world, numbers):
    one = pyone.OneServer(sandbox.endpoint("zone"), session="oneadmin:opennebula")
    for number in numbers:
        one.vm.allocate(
            f"NAME=v{number} CPU=0.01 VCPU=1 MEMORY=8 DISK=[IMAGE_ID={world['image']}] CONTEXT=[NETWORK=YES]"
        )


def call_body(method, *arguments):
    return xmlrpc.client.dumps(("oneadmin:opennebula", *arguments), method)
