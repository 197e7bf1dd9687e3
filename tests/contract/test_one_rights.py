"""Users, groups, permissions, quotas, locks, tokens."""

import pyone
import pytest
from tests.contract.one_world import running, where

# ------------------------------------------------------------------------------------------------------ people, rights


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
    assert login(token) == "7.4.0"
    with pytest.raises(pyone.OneApiException):
        one.user.login("tenant", "", 60, -1)
    clock.pass_(61)
    with pytest.raises(pyone.OneAuthenticationException):
        login(token)
    tenant.user.passwd(tenant.uid, "new")
    with pytest.raises(pyone.OneAuthenticationException):
        login("secret")
    assert login("new") == "7.4.0"
    one.user.enable(tenant.uid, False)
    with pytest.raises(pyone.OneAuthenticationException):
        login("new")


def test_a_deleted_user_leaves_machines_behind(one, tenant, clock):
    vm = tenant.vm.allocate("CPU=1 MEMORY=1")
    clock.pass_()
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
