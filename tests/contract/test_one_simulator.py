"""Pools, templates, networks, images, placement, races, and what happens behind everybody's back."""

import threading
import time
import xmlrpc.client

import pyone
import pytest
import requests
from tests.contract.one_world import running, where

from sovereigncloud_sandbox.faults import parse_rule
from sovereigncloud_sandbox.opennebula import mischief

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
    assert "Cannot dispatch VM: No host meets SCHED_REQUIREMENTS" in one.vm.info(odd).USER_TEMPLATE["SCHED_MESSAGE"]
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
