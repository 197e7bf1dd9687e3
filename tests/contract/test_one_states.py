"""Machines, hosts, networks and images go through the states that a real oned was seen in."""

import pyone
import pytest
from tests.contract.one_world import HOSTS, path, running, where

from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec

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
