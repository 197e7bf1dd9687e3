"""Quotas, VDCs and restricted attributes in the simulated OpenNebula."""

import pyone
import pytest
from tests.contract.one_world import running, where

OVER = pyone.OneAuthorizationException


def vm_quota(one, uid, cluster=None):
    rows = one.user.info(uid).VM_QUOTA.VM
    return next(row for row in rows if cluster == row.CLUSTER_IDS)


def off(one, clock, vm):
    one.vm.action("poweroff-hard", vm)
    clock.pass_()


# ------------------------------------------------------------------------------------------------------------- quotas

LIMITS = [
    ("machines", "VM=[VMS=1]", "VMS"),
    ("running ones", "VM=[RUNNING_VMS=1]", "RUNNING_VMS"),
    ("CPU", "VM=[CPU=1.5]", "CPU"),
    ("memory", "VM=[MEMORY=100]", "MEMORY"),
    ("running memory", "VM=[RUNNING_MEMORY=100]", "RUNNING_MEMORY"),
    ("devices", "VM=[PCI_DEV=1]", "PCI_DEV"),
    ("disks", "VM=[SYSTEM_DISK_SIZE=10]", "SYSTEM_DISK_SIZE"),
]


@pytest.mark.parametrize("who", ["user", "group"])
@pytest.mark.parametrize(("why", "quota", "metric"), LIMITS, ids=[row[0] for row in LIMITS])
def test_a_limit_is_reached(one, tenant, who, why, quota, metric):
    oid = tenant.uid if who == "user" else 1
    getattr(one, who).quota(oid, quota)
    machine = "CPU=1 MEMORY=64 DISK=[TYPE=fs,SIZE=8]"
    one.vm.chown(one.vm.allocate(f'{machine} PCI=[VENDOR="10de"]'), tenant.uid, 1)
    with pytest.raises(OVER, match=rf"{who} \[{oid}\] limit of [\d.]+ reached for {metric} quota in VM"):
        one.vm.chown(one.vm.allocate(f'{machine} PCI=[VENDOR="10de"]'), tenant.uid, 1)


def test_minus_one_is_the_default_and_minus_two_is_no_limit(one, tenant):
    one.userquota.update("VM=[VMS=1]")
    assert one.userpool.info().DEFAULT_USER_QUOTAS.VM_QUOTA.VM.VMS == "1"
    tenant.vm.allocate("CPU=1 MEMORY=1")
    with pytest.raises(OVER, match="limit of 1 reached for VMS"):
        tenant.vm.allocate("CPU=1 MEMORY=1")
    one.user.quota(tenant.uid, "VM=[VMS=-2]")
    tenant.vm.allocate("CPU=1 MEMORY=1")
    one.user.quota(tenant.uid, "VM=[VMS=-1]")
    with pytest.raises(OVER, match="limit of 1 reached for VMS"):
        tenant.vm.allocate("CPU=1 MEMORY=1")
    with pytest.raises(OVER, match="can only be updated by oneadmin"):
        tenant.userquota.update("VM=[VMS=9]")


def test_what_is_used_is_shown_limited_or_not(one, clock, world, tenant):
    one.vm.chown(running(one, clock, world), tenant.uid, -1)
    row = vm_quota(one, tenant.uid)
    assert (row.VMS, row.VMS_USED, row.RUNNING_VMS_USED, row.CPU_USED) == ("-1", "1", "1", "0.1")
    network = one.user.info(tenant.uid).NETWORK_QUOTA.NETWORK[0]
    assert (str(world["net"]), "-1", "1") == (network.ID, network.LEASES, network.LEASES_USED)
    image = one.user.info(tenant.uid).IMAGE_QUOTA.IMAGE[0]
    assert (str(world["image"]), "1") == (image.ID, image.RVMS_USED)
    pooled = {row.ID: row for row in one.userpool.info().QUOTAS}
    assert pooled[tenant.uid].VM_QUOTA.VM[0].VMS_USED == "1"
    assert not pooled[0].VM_QUOTA.VM, "nothing is counted for oneadmin"
    assert {row.ID for row in one.grouppool.info().QUOTAS} == {0, 1}


def test_a_machine_that_is_off_gives_its_place_to_another_and_must_wait(one, clock, tenant):
    one.user.quota(tenant.uid, "VM=[RUNNING_VMS=1]")
    first = tenant.vm.allocate("CPU=0.1 MEMORY=16")
    clock.pass_()
    off(one, clock, first)
    second = tenant.vm.allocate("CPU=0.1 MEMORY=16")
    clock.pass_()
    with pytest.raises(
        pyone.OneActionException, match=r"^\[one.vm.action\] user \[\d+\] limit of 1 reached for RUNNING_VMS"
    ):
        tenant.vm.action("resume", first)
    off(one, clock, second)
    tenant.vm.action("resume", first)
    clock.pass_()
    assert where(one, first) == (3, 3)


def test_the_quota_of_a_cluster_counts_at_placement(one, clock, tenant):
    one.user.quota(tenant.uid, 'VM=[CLUSTER_IDS="0", VMS=1]')
    first, second = (tenant.vm.allocate("CPU=0.1 MEMORY=16") for _ in range(2))
    clock.pass_()
    assert (where(one, first), where(one, second)) == ((3, 3), (1, 0))
    assert "limit of 1 reached for VMS quota in VM with ID: 0" in one.vm.info(second).USER_TEMPLATE["ERROR"]
    row = vm_quota(one, tenant.uid, "0")
    assert (row.VMS, row.VMS_USED, row.CPU) == ("1", "1", "-2"), "of a cluster nothing else is limited"
    with pytest.raises(OVER, match="limit of 1 reached for VMS quota in VM with ID: 0"):
        one.vm.deploy(second, 0, False)
    one.vm.action("terminate-hard", first)
    clock.pass_()
    assert where(one, second) == (3, 3)


WRONG_QUOTAS = [
    ("less than nothing", "VM=[VMS=-3]", "Negative limits or bad format in quota VM"),
    ("no such cluster", 'VM=[CLUSTER_IDS="9", VMS=1]', "Cluster 9 does not exist"),
    ("a cluster twice", 'VM=[CLUSTER_IDS="0,100", VMS=1]', "Quota for cluster id 0 already exists"),
]


@pytest.mark.parametrize(("why", "quota", "says"), WRONG_QUOTAS, ids=[row[0] for row in WRONG_QUOTAS])
def test_quotas_are_refused_with_a_reason(one, tenant, why, quota, says):
    one.cluster.allocate("second")
    one.user.quota(tenant.uid, 'VM=[CLUSTER_IDS="0", VMS=1]')
    with pytest.raises(pyone.OneActionException, match=says):
        one.user.quota(tenant.uid, quota)
    for oid, kind in ((0, "user"), (0, "group")):
        with pytest.raises(pyone.OneActionException, match=f"Cannot set quotas for oneadmin {kind}"):
            getattr(one, kind).quota(oid, "VM=[VMS=1]")


def test_a_row_replaces_what_it_does_not_name(one, tenant):
    one.user.quota(tenant.uid, "VM=[VMS=3, CPU=2] DATASTORE=[ID=1, SIZE=100] NETWORK=[ID=0, LEASES=2]")
    one.user.quota(tenant.uid, "VM=[VMS=4]")
    row = vm_quota(one, tenant.uid)
    assert (row.VMS, row.CPU) == ("4", "-1")
    assert one.user.info(tenant.uid).DATASTORE_QUOTA.DATASTORE[0].SIZE == "100"
    one.user.quota(tenant.uid, "NETWORK=[ID=0]")
    assert not one.user.info(tenant.uid).NETWORK_QUOTA.NETWORK, "a row without limits or use is none"


def test_growing_is_limited_too(one, clock, world, tenant):
    vm = running(one, clock, world)
    one.vm.chown(vm, tenant.uid, -1)
    one.user.quota(tenant.uid, f"VM=[CPU=1, SYSTEM_DISK_SIZE=2000] NETWORK=[ID={world['net']}, LEASES=1]")
    for act, metric in (
        (lambda: tenant.vm.resize(vm, "CPU=2", True), "CPU"),
        (lambda: tenant.vm.diskresize(vm, 0, "4096"), "SYSTEM_DISK_SIZE"),
        (lambda: one.vm.attachnic(vm, f"NIC=[NETWORK_ID={world['net']}]"), "LEASES"),
    ):
        with pytest.raises(OVER, match=f"reached for {metric} quota"):
            act()


# --------------------------------------------------------------------------------------------------------------- VDCs


def test_a_vdc_is_changed_part_by_part(one, world):
    group = one.group.allocate("team")
    vdc = one.vdc.allocate("NAME=v NOTE=x")
    one.vdc.addgroup(vdc, group)
    one.vdc.addhost(vdc, 0, 0)
    one.vdc.addvnet(vdc, 0, world["net"])
    one.vdc.adddatastore(vdc, 0, 1)
    one.vdc.addcluster(vdc, 0, 0)
    found = one.vdc.info(vdc)
    assert (found.GROUPS.ID, found.TEMPLATE["NOTE"]) == ([group], "x")
    for kind in ("HOST", "CLUSTER"):
        member = getattr(getattr(found, f"{kind}S"), kind)[0]
        assert (member.ZONE_ID, getattr(member, f"{kind}_ID")) == (0, 0)
    assert any(rule.STRING.startswith(f"@{group} HOST/#0 MANAGE") for rule in one.acl.info().ACL)
    one.vdc.addhost(vdc, 0, -10)
    assert [host.HOST_ID for host in one.vdc.info(vdc).HOSTS.HOST] == [-10], (
        "all of a zone take the place of single ones"
    )
    one.vdc.delhost(vdc, 0, -10)
    assert not one.vdc.info(vdc).HOSTS.HOST
    one.vdc.update(vdc, "NOTE=y", 1)
    one.vdc.rename(vdc, "w")
    assert (one.vdc.info(vdc).NAME, one.vdc.info(vdc).TEMPLATE["NOTE"]) == ("w", "y")


WRONG_VDCS = [
    ("a group twice", lambda one, v: one.vdc.addgroup(0, 1), "Group 1 is already assigned to the VDC 0"),
    ("a group that is not in it", lambda one, v: one.vdc.delgroup(v, 1), "Group 1 is not assigned to the VDC"),
    ("a cluster twice", lambda one, v: [one.vdc.addcluster(v, 0, 0) for _ in range(2)], "CLUSTER 0 from Zone 0 is already assigned to the VDC"),
    ("a network that is not in it", lambda one, v: one.vdc.delvnet(v, 0, 7), "NET 7 from Zone 0 is not assigned to the VDC"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "act", "says"), WRONG_VDCS, ids=[row[0] for row in WRONG_VDCS])
def test_changes_of_vdcs_are_refused(one, why, act, says):
    vdc = one.vdc.allocate("NAME=v")
    with pytest.raises(pyone.OneInternalException, match=says):
        act(one, vdc)


def test_a_vdc_holds_what_its_zone_has_and_whatever_another_zone_may_have(one):
    vdc = one.vdc.allocate("NAME=v")
    with pytest.raises(pyone.OneNoExistsException, match=r"Error getting cluster \[7\]"):
        one.vdc.addcluster(vdc, 0, 7)
    with pytest.raises(pyone.OneNoExistsException, match=r"Error getting zone \[9\]"):
        one.vdc.addcluster(vdc, 9, 7)


# --------------------------------------------------------------------------------------------- restricted attributes

FORBIDDEN = [
    ("a device", 'PCI=[VENDOR="10de"]', "PCI"),
    ("a MAC", "NIC=[NETWORK_ID={net}, MAC=02:00:00:00:00:01]", "NIC/MAC"),
    ("a bandwidth", "NIC=[NETWORK_ID={net}, INBOUND_AVG_BW=1]", "NIC/INBOUND_AVG_BW"),
    ("raw data", 'RAW=[TYPE=kvm, DATA="<x/>"]', "RAW/DATA"),
    ("pinned CPUs", "TOPOLOGY=[PIN_POLICY=CORE]", "TOPOLOGY/PIN_POLICY"),
    ("a throughput", "DISK=[IMAGE_ID={image}, TOTAL_IOPS_SEC=1]", "DISK/TOTAL_IOPS_SEC"),
]


@pytest.mark.parametrize(("why", "attribute", "name"), FORBIDDEN, ids=[row[0] for row in FORBIDDEN])
def test_a_tenant_may_not_ask_for(one, world, tenant, why, attribute, name):
    one.image.chmod(world["image"], 1, 1, 0, 1, 0, 0, 1, 0, 0)
    with pytest.raises(OVER, match=f"VM Template includes a restricted attribute {name}"):
        tenant.vm.allocate("CPU=1 MEMORY=1 " + attribute.format(**world))
    with pytest.raises(OVER, match=f"VM Template includes a restricted attribute {name}"):
        tenant.template.allocate("NAME=t CPU=1 MEMORY=1 " + attribute.format(**world))


def test_what_an_administrator_put_into_a_template_a_tenant_may_use(one, tenant):
    template = one.template.allocate('NAME=gpu CPU=1 MEMORY=1 PCI=[VENDOR="10de"]')
    one.template.chmod(template, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    vm = tenant.template.instantiate(template, "v", True, "", False)
    assert one.vm.info(vm).TEMPLATE["PCI"]["VENDOR"] == "10de"
    tenant.template.instantiate(template, "w", True, 'PCI=[VENDOR="10de"] NOTE=1', False)
    with pytest.raises(OVER, match="User Template includes a restricted attribute PCI"):
        tenant.template.instantiate(template, "x", True, 'PCI=[VENDOR="1234"]', False)
