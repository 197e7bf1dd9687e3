"""Where machines go in the simulated OpenNebula: VM groups, requirements, clusters, rights, PCI devices, and their size."""

import pyone
import pytest
from tests.contract.one_world import path, running, where

from sovereigncloud_sandbox.opennebula import mischief

GPU = 'PCI=[VENDOR="10de", DEVICE="2236", CLASS="0302"]'


def host_of(one, vm):
    return one.vm.info(vm).HISTORY_RECORDS.HISTORY[-1].HID


def message(one, vm):
    return one.vm.info(vm).USER_TEMPLATE.get("SCHED_MESSAGE", "")


def member(one, group, role="web", cpu="0.1", more=""):
    return one.vm.allocate(f'CPU={cpu} MEMORY=64 VMGROUP=[VMGROUP_ID={group}, ROLE="{role}"] {more}')


def role_of(one, group, number=0):
    return one.vmgroup.info(group).ROLES.ROLE[number]


# ---------------------------------------------------------------------------------------------------------- VM groups


def test_machines_of_a_role_go_together_or_apart(one, clock, world):
    together = one.vmgroup.allocate('NAME=t ROLE=[NAME="web", POLICY="AFFINED"]')
    apart = one.vmgroup.allocate('NAME=a ROLE=[NAME="web", POLICY="ANTI_AFFINED"]')
    close = [member(one, together) for _ in range(3)]
    spread = [member(one, apart) for _ in range(3)]
    clock.pass_()
    assert len({host_of(one, vm) for vm in close}) == 1
    assert {host_of(one, vm) for vm in spread[:2]} == {0, 1}
    assert one.vm.info(spread[2]).STATE == 1
    assert "[HOST] Cannot fulfill affinity constraints on hosts: 0,1" in message(one, spread[2])
    assert ",".join(map(str, spread)) == role_of(one, apart).VMS
    one.vm.action("terminate-hard", spread[0])
    clock.pass_()
    assert where(one, spread[2]) == (3, 3)
    assert f"{spread[1]},{spread[2]}" == role_of(one, apart).VMS


def test_nobody_is_placed_where_not_all_that_belong_together_fit(one, clock, world):
    group = one.vmgroup.allocate('NAME=t ROLE=[NAME="web", POLICY="AFFINED"]')
    vms = [member(one, group, cpu="5") for _ in range(2)]
    clock.pass_()
    assert {one.vm.info(vm).STATE for vm in vms} == {1}
    assert "[HOST] Not enough CPU on hosts: 0,1" in message(one, vms[0])


def test_rules_between_roles_and_hosts_of_a_role(one, clock, world):
    group = one.vmgroup.allocate(
        'NAME=g ROLE=[NAME="web"] ROLE=[NAME="db"] ROLE=[NAME="here", HOST_AFFINED="1"] ANTI_AFFINED="web,db"'
    )
    web, database, here = member(one, group), member(one, group, "db"), member(one, group, "here")
    clock.pass_()
    assert host_of(one, web) != host_of(one, database)
    assert host_of(one, here) == 1


WRONG_GROUPS = [
    ("no name", 'ROLE=[NAME="a"]', "cannot be empty"),
    ("a role without a name", 'NAME=x ROLE=[POLICY="AFFINED"]', "Missing NAME in VM group role"),
    ("a role twice", 'NAME=x ROLE=[NAME="a"] ROLE=[NAME="a"]', "Role already exists"),
    ("a rule for nobody", 'NAME=x ROLE=[NAME="a"] AFFINED="a,b"', "Some roles used in AFFINED attribute"),
    ("a rule twice", 'NAME=x ROLE=[NAME="a"] ROLE=[NAME="b"] AFFINED="a,b" AFFINED="b,a"', "Duplicated AFFINED rule"),
    ("apart and together", 'NAME=x ROLE=[NAME="a"] ROLE=[NAME="b"] AFFINED="a,b" ANTI_AFFINED="a,b"', "Roles defined in AFFINED and ANTI_AFFINED rules: a b"),
    ("a role that is apart in a rule that is together", 'NAME=x ROLE=[NAME="a",POLICY="ANTI_AFFINED"] ROLE=[NAME="b"] AFFINED="a,b"', "but the role policy is ANTI_AFFINED"),
    ("the name is taken", 'NAME=taken ROLE=[NAME="a"]', "NAME is already taken by VMGroup"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "template", "says"), WRONG_GROUPS, ids=[row[0] for row in WRONG_GROUPS])
def test_groups_are_refused_with_a_reason(one, why, template, says):
    one.vmgroup.allocate('NAME=taken ROLE=[NAME="a"]')
    with pytest.raises(pyone.OneInternalException, match=says):
        one.vmgroup.allocate(template)


def test_a_group_in_use_is_not_changed_but_it_is_deleted(one, clock, world):
    group = one.vmgroup.allocate('NAME=g ROLE=[NAME="web"]')
    one.vmgroup.update(group, "NOTE=1", 1)
    one.vmgroup.roleadd(group, 'ROLE=[NAME="db"]')
    one.vmgroup.roleupdate(group, 1, 'ROLE=[NAME="database", POLICY="AFFINED", VMS="7"]')
    role = role_of(one, group, 1)
    assert (role.NAME, role.POLICY, role.VMS) == ("database", "AFFINED", None)
    vm = member(one, group)
    with pytest.raises(pyone.OneInternalException, match="VM Group has 1 VMs"):
        one.vmgroup.update(group, "NOTE=2", 1)
    with pytest.raises(pyone.OneActionException, match="has assigned VMs"):
        one.vmgroup.roledelete(group, 0)
    with pytest.raises(pyone.OneActionException, match="has VMs, unable to update"):
        one.vmgroup.roleupdate(group, 0, 'ROLE=[POLICY="AFFINED"]')
    with pytest.raises(pyone.OneActionException, match="Role already exists"):
        one.vmgroup.roleadd(group, 'ROLE=[NAME="web"]')
    with pytest.raises(pyone.OneActionException, match="No ROLE attribute"):
        one.vmgroup.roleadd(group, "A=1")
    one.vmgroup.roledelete(group, 1)
    one.vmgroup.delete(group)
    clock.pass_()
    assert where(one, vm) == (3, 3)
    assert one.vm.info(vm).TEMPLATE["VMGROUP"]["VMGROUP_ID"] == str(group)
    with pytest.raises(pyone.OneNoExistsException, match="Error getting vm group"):
        one.vmgroup.info(group)


WRONG_MEMBERS = [
    ("no such group", 'VMGROUP=[VMGROUP_ID=99, ROLE="web"]', "Cannot find VM Group"),
    ("no role", "VMGROUP=[VMGROUP_ID=0]", "Missing role name"),
    ("no such role", 'VMGROUP=[VMGROUP_ID=0, ROLE="db"]', "Role does not exist"),
    ("a name that nobody has", 'VMGROUP=[VMGROUP_NAME="nobody", ROLE="web"]', "Cannot find VM Group"),
]


@pytest.mark.parametrize(("why", "attribute", "says"), WRONG_MEMBERS, ids=[row[0] for row in WRONG_MEMBERS])
def test_machines_of_no_group_are_refused_and_leave_nothing(one, world, why, attribute, says):
    one.vmgroup.allocate('NAME=g ROLE=[NAME="web"]')
    with pytest.raises(pyone.OneInternalException, match=says):
        one.vm.allocate(f"CPU=1 MEMORY=1 NIC=[NETWORK_ID={world['net']}] {attribute}")
    assert one.vn.info(world["net"]).USED_LEASES == 0


def test_a_running_machine_joins_and_leaves(one, clock, world):
    group = one.vmgroup.allocate('NAME=g ROLE=[NAME="web", POLICY="AFFINED"]')
    first, second = running(one, clock, world), running(one, clock, world)
    assert host_of(one, first) != host_of(one, second)
    one.vm.vmgroupadd(first, group, "web")
    with pytest.raises(pyone.OneActionException, match=f"VM {second} is on host .* AFFINED and VM {first} is on host"):
        one.vm.vmgroupadd(second, group, "web")
    with pytest.raises(pyone.OneActionException, match="Role does not exist"):
        one.vm.vmgroupadd(second, group, "db")
    one.vm.action("poweroff", second)
    clock.pass_()
    one.vm.vmgroupadd(second, group, "web")
    assert f"{first},{second}" == role_of(one, group).VMS
    one.vm.vmgroupdel(first)
    assert str(second) == role_of(one, group).VMS
    assert "VMGROUP" not in one.vm.info(first).TEMPLATE


# ------------------------------------------------------------------------------------------------------- requirements

EXPRESSIONS = [
    ('ID="0"', {0}), ('NAME="127.0.0.3"', {1}), ('NAME="127.*"', {0, 1}), ('ID="0" | NAME="127.0.0.3"', {0, 1}),
    ('ID="0" & NAME="127.0.0.3"', set()), ('!(ID="0")', {1}), ('!(ID="0" | ID="1")', set()), ('CLUSTER_ID="0"', {0, 1}),
    ('CLUSTER="default" & ID="1"', {1}), ('KIND="gpu"', {1}), ('KIND!="gpu"', {0}), ("FREE > 5", {1}), ("nonsense here", set()),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "hosts"), EXPRESSIONS, ids=[row[0] for row in EXPRESSIONS])
def test_requirements_choose_hosts(one, clock, world, expression, hosts):
    one.host.update(1, "KIND=gpu FREE=7", 1)
    one.host.update(0, "FREE=3", 1)
    quoted = expression.replace('"', '\\"')
    vms = [one.vm.allocate(f'CPU=0.1 MEMORY=16 SCHED_REQUIREMENTS="{quoted}"') for _ in range(4)]
    clock.pass_()
    placed = {host_of(one, vm) for vm in vms if one.vm.info(vm).STATE == 3}
    assert placed == hosts
    if not hosts:
        assert message(one, vms[0]).endswith("Cannot dispatch VM: No host meets SCHED_REQUIREMENTS")


def test_a_machine_goes_where_its_disks_and_networks_are(one, clock, world):
    cluster = one.cluster.allocate("second")
    one.cluster.addhost(cluster, 1)
    one.cluster.adddatastore(cluster, 0)
    tied = [one.template.instantiate(world["template"], "", False, "", False) for _ in range(3)]
    free = [one.vm.allocate("CPU=0.1 MEMORY=16") for _ in range(3)]
    clock.pass_()
    assert {host_of(one, vm) for vm in tied} == {0}
    assert {host_of(one, vm) for vm in free} == {1}, "the emptier host, which no network or disk forbids"
    assert one.vm.info(tied[0]).TEMPLATE["AUTOMATIC_REQUIREMENTS"] == "(CLUSTER_ID = 0) & !(PIN_POLICY = PINNED)"
    with pytest.raises(pyone.OneActionException, match=r"different cluster|requires to be placed on cluster"):
        one.vm.migrate(tied[0], 1, True)
    one.cluster.addvnet(cluster, world["net"])
    one.cluster.delvnet(0, world["net"])
    with pytest.raises(pyone.OneInternalException, match=r"Incompatible clusters in NIC\. Network for NIC 0"):
        one.template.instantiate(world["template"], "", False, "", False)


def test_a_host_that_the_owner_may_not_use_is_none(one, clock, world, tenant):
    group = one.group.allocate("outside")
    one.user.chgrp(tenant.uid, group)
    one.vdc.delgroup(0, group)
    vm = tenant.vm.allocate("CPU=0.1 MEMORY=16")
    clock.pass_()
    assert message(one, vm).endswith("Cannot dispatch VM: User is not authorized to use any host")
    vdc = one.vdc.allocate("NAME=v")
    one.vdc.addgroup(vdc, group)
    one.vdc.addhost(vdc, 0, 1)
    one.vdc.adddatastore(vdc, 0, 0)
    one.host.update(0, "A=1", 1)
    clock.pass_()
    assert host_of(one, vm) == 1


# -------------------------------------------------------------------------------------------------------- PCI devices


def test_a_device_is_given_to_one_machine_at_a_time(sandbox, cloud, one, clock, world):
    sandbox.do(mischief.plug_device, cloud, 1)
    first = one.vm.allocate(f"CPU=0.1 MEMORY=16 {GPU}")
    clock.pass_()
    assert host_of(one, first) == 1
    device = one.vm.info(first).TEMPLATE["PCI"]
    assert (device["PCI_ID"], device["ADDRESS"], device["SHORT_ADDRESS"]) == ("0", "0000:41:00:0", "41:00.0")
    assert first == one.host.info(1).HOST_SHARE.PCI_DEVICES.PCI[0].VMID
    second = one.vm.allocate(f"CPU=0.1 MEMORY=16 {GPU}")
    clock.pass_()
    assert "[HOST] Unavailable PCI devices on hosts: 0,1" in message(one, second)
    with pytest.raises(pyone.OneActionException, match="Unavailable PCI device"):
        one.vm.deploy(second, 1, False)
    one.vm.action("undeploy-hard", first)
    clock.pass_()
    assert where(one, second) == (3, 3)
    assert "ADDRESS" not in one.vm.info(first).TEMPLATE["PCI"]
    sandbox.do(mischief.plug_device, cloud, 0)
    with pytest.raises(pyone.OneActionException, match="use poweroff or poweroff-hard flag"):
        one.vm.migrate(second, 0, False)


WRONG_DEVICES = [
    ("nothing", "PCI=[NAME=x]", "SHORT_ADDRESS, DEVICE, VENDOR or CLASS must be defined"),
    ("no number", 'PCI=[VENDOR="gpu"]', "Wrong Hex value for PCI attribute VENDOR"),
    ("both ways", 'PCI=[VENDOR="10de", SHORT_ADDRESS="41:00.0"]', "cannot be set with DEVICE"),
]


@pytest.mark.parametrize(("why", "template", "says"), WRONG_DEVICES, ids=[row[0] for row in WRONG_DEVICES])
def test_devices_are_refused_with_a_reason(one, clock, world, why, template, says):
    with pytest.raises(pyone.OneInternalException, match=says):
        one.vm.allocate(f"CPU=1 MEMORY=1 {template}")
    vm = running(one, clock, world)
    with pytest.raises(pyone.OneActionException, match=says):
        one.vm.attachpci(vm, template)


def test_devices_come_and_go_in_poweroff_and_for_administrators_only(sandbox, cloud, one, clock, world, tenant):
    vm = running(one, clock, world)
    sandbox.do(mischief.plug_device, cloud, host_of(one, vm))
    with pytest.raises(pyone.OneActionException, match="it has to be in poweroff"):
        one.vm.attachpci(vm, GPU)
    one.vm.action("poweroff", vm)
    clock.pass_()
    one.vm.attachpci(vm, GPU)
    with pytest.raises(pyone.OneActionException, match="Check address and free devices"):
        one.vm.attachpci(vm, GPU)
    with pytest.raises(pyone.OneActionException, match="PCI device not found"):
        one.vm.detachpci(vm, 3)
    one.vm.chown(vm, tenant.uid, -1)
    with pytest.raises(pyone.OneAuthorizationException, match="PCI includes a restricted attribute PCI"):
        tenant.vm.attachpci(vm, GPU)
    tenant.vm.detachpci(vm, 0)
    assert "PCI" not in one.vm.info(vm).TEMPLATE
    assert one.host.info(host_of(one, vm)).HOST_SHARE.PCI_DEVICES.PCI[0].VMID == -1


# --------------------------------------------------------------------------------------------------------------- size

SIZES = [
    ("fewer MB", "MEMORY=64", "MEMORY", "64", ""),
    ("more MB than it booted with", "MEMORY=512", "MEMORY", "128", "cannot set memory higher than max memory"),
    ("more VCPUs than it booted with", "VCPU=4", "VCPU", "1", "greater than max allowable vcpus '1'"),
    ("another share", "CPU=0.5", "CPU", "0.5", ""),
]


@pytest.mark.parametrize(("why", "wanted", "name", "value", "says"), SIZES, ids=[row[0] for row in SIZES])
def test_a_running_machine_changes_as_far_as_it_was_booted_for(one, clock, world, why, wanted, name, value, says):
    vm = running(one, clock, world)
    one.vm.resize(vm, wanted, True)
    assert path(one, clock, vm) == [(3, 66), (3, 3)]
    found = one.vm.info(vm)
    assert found.TEMPLATE[name] == value
    assert says in found.USER_TEMPLATE.get("ERROR", "")


def test_room_to_grow_is_asked_for_before_the_boot(one, clock, world):
    vm = one.template.instantiate(world["template"], "v", False, "VCPU_MAX=4 MEMORY_MAX=1024", False)
    clock.pass_()
    one.vm.resize(vm, "VCPU=4 MEMORY=1024 CPU=1", True)
    clock.pass_()
    assert (one.vm.info(vm).TEMPLATE["VCPU"], one.vm.info(vm).TEMPLATE["MEMORY"]) == ("4", "1024")
    one.vm.resize(vm, "VCPU=2", True)
    clock.pass_()
    assert one.vm.info(vm).TEMPLATE["VCPU"] == "2", "what was added live may be taken away live"
    one.vm.action("poweroff", vm)
    clock.pass_()
    one.vm.resize(vm, "VCPU=8 MEMORY=2048", True)
    one.vm.action("resume", vm)
    clock.pass_()
    assert (one.vm.info(vm).TEMPLATE["VCPU"], one.vm.info(vm).TEMPLATE["MEMORY"]) == ("8", "2048")
    one.vm.resize(vm, "VCPU=4", True)
    clock.pass_()
    assert "appropriate hotpluggable vcpus" in one.vm.info(vm).USER_TEMPLATE["ERROR"]


def test_a_replacing_updateconf_takes_away_what_it_does_not_name(one, clock, world):
    vm = one.template.instantiate(
        world["template"], "v", False, 'OS=[ARCH="x86_64",BOOT="disk0"] CPU_MODEL=[MODEL="host-passthrough"]', False
    )
    clock.pass_()
    one.vm.updateconf(vm, 'OS=[BOOT="nic0"]', 1)
    template = one.vm.info(vm).TEMPLATE
    assert (template["OS"]["ARCH"], template["OS"]["BOOT"]) == ("x86_64", "nic0")
    assert where(one, vm) == (3, 3), "only a new context is told to the guest"
    one.vm.updateconf(vm, 'OS=[BOOT="disk0", MADE_UP="1"]', 0)
    template = one.vm.info(vm).TEMPLATE
    assert dict(template["OS"]) == {"BOOT": "disk0"}
    assert "CPU_MODEL" not in template
    one.vm.updateconf(vm, "CONTEXT=[NETWORK=YES, A=1]", 1)
    assert path(one, clock, vm) == [(3, 17), (3, 3)]
    bare = one.vm.allocate("CPU=0.1 MEMORY=16")
    with pytest.raises(pyone.OneInternalException, match="does not have context"):
        one.vm.updateconf(bare, "CONTEXT=[A=1]", 1)


def test_updatenic_changes_bandwidths_and_nothing_else(one, clock, world):
    vm = running(one, clock, world)
    before = one.vm.info(vm).TEMPLATE["NIC"]["IP"]
    one.vm.updatenic(vm, 0, 'NIC=[INBOUND_AVG_BW="100", IP="10.0.0.19", SECURITY_GROUPS="1"]', 1)
    assert path(one, clock, vm) == [(3, 25), (3, 3)]
    nic = one.vm.info(vm).TEMPLATE["NIC"]
    assert (nic["INBOUND_AVG_BW"], nic["IP"], nic["SECURITY_GROUPS"]) == ("100", before, "0")
    one.vm.updatenic(vm, 0, 'NIC=[OUTBOUND_AVG_BW="5"]', 0)
    clock.pass_()
    assert "INBOUND_AVG_BW" not in one.vm.info(vm).TEMPLATE["NIC"]
    with pytest.raises(pyone.OneActionException, match="NIC 9 does not exists"):
        one.vm.updatenic(vm, 9, "NIC=[A=1]", 1)
