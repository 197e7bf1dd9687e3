"""The simulated OpenNebula in its versions: what exists when, what is called how, and what nobody knows yet."""

import xmlrpc.client

import pyone
import pytest
import requests
from tests.contract.one_world import HOSTS, Clock, running, where

from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.features import METHODS_SINCE, SUPPORTED, at_least
from sovereigncloud_sandbox.opennebula.install import CloudSpec
from sovereigncloud_sandbox.opennebula.methods import METHODS


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(params=SUPPORTED)
def version(request):
    return request.param


@pytest.fixture
def sandbox(clock, version):
    with BackgroundSandbox(CloudSpec("zone", version=version, hosts=HOSTS), clock=clock) as started:
        clock.pass_()
        yield started


def test_the_version_is_told(one, version):
    assert one.system.version() == version


def test_a_method_of_a_later_version_does_not_exist(one, version):
    group = one.vmgroup.allocate('NAME=g ROLE=[NAME="web"]')
    vm = one.vm.allocate("CPU=1 MEMORY=1")
    if at_least(version, "7.4"):
        one.vm.vmgroupadd(vm, group, "web")
        one.vm.vmgroupdel(vm)
        return
    for act in (lambda: one.vm.vmgroupadd(vm, group, "web"), lambda: one.vm.vmgroupdel(vm)):
        with pytest.raises(pyone.OneException, match=r"-506|not defined"):
            act()


def test_every_method_that_came_later_says_when():
    later = {name for name, since in METHODS_SINCE.items() if since != "6.10"}
    assert {"one.vm.vmgroupadd", "one.vm.vmgroupdel"} <= later & set(METHODS)
    assert all(at_least(SUPPORTED[-1], METHODS_SINCE[name]) for name in later)


ELEMENTS = [
    ("PLAN_ID", "one.vm.info", "7.0"),
    ("SHARED", "one.vnpool.info", "7.2"),
    ("VLAN_RULES", "one.grouppool.info", "7.4"),
    ("BACKUP_DISK_IDS", "one.imagepool.info", "7.4"),
]
ARGUMENTS = {"one.vm.info": (0, False), "one.grouppool.info": ()}


@pytest.mark.parametrize(("element", "method", "since"), ELEMENTS, ids=[row[0] for row in ELEMENTS])
def test_an_element_of_a_later_version_is_not_shown(sandbox, one, clock, world, version, element, method, since):
    running(one, clock, world)
    arguments = ARGUMENTS.get(method, (-2, -1, -1))
    body = xmlrpc.client.dumps(("oneadmin:opennebula", *arguments), method)
    reply = requests.post(sandbox.endpoint("zone"), data=body, timeout=30).text
    assert (f"&lt;{element}&gt;" in reply) == at_least(version, since)


def test_every_version_parses(one, clock, world):
    vm = running(one, clock, world)
    assert one.vmpool.infoextended(-2, -1, -1, -1).VM[0].ID == one.vmpool.info(-2, -1, -1, -1).VM[0].ID == vm
    assert one.vnpool.info(-2, -1, -1).VNET
    assert one.imagepool.info(-2, -1, -1).IMAGE
    assert one.grouppool.info().GROUP


def test_the_errors_of_devices_have_other_names_in_7_2(one, clock, world, version):
    vm = running(one, clock, world)
    spoken = "one.vm.nicdetach" if version.startswith("7.2") else "one.vm.detachnic"
    with pytest.raises(pyone.OneActionException, match=rf"^\[{spoken}\] "):
        one.vm.detachnic(vm, 9)


WAITING = {
    "capacity": ("CPU=99 MEMORY=1", "No host with enough capacity to deploy the VM", "Not enough CPU on hosts: 0,1"),
    "requirements": (
        'CPU=1 MEMORY=1 SCHED_REQUIREMENTS="ID=77"',
        "No host meets capacity and SCHED_REQUIREMENTS: ID=77",
        "No host meets SCHED_REQUIREMENTS",
    ),
}


@pytest.mark.parametrize("why", WAITING)
def test_the_scheduler_of_6_10_says_less(one, clock, version, why):
    template, before, since = WAITING[why]
    vm = one.vm.allocate(template)
    clock.pass_()
    assert one.vm.info(vm).USER_TEMPLATE["SCHED_MESSAGE"].endswith(since if at_least(version, "7.0") else before)


def test_a_quota_for_devices_came_with_7_4(one, tenant, version):
    tenant.vm.allocate("CPU=1 MEMORY=1")
    row = one.user.info(tenant.uid).VM_QUOTA.VM[0]
    assert (row.PCI_DEV is not None) == at_least(version, "7.4")


# ------------------------------------------------------------------------------------------------- what nobody knows


@pytest.mark.parametrize("version", ["7.4.0"], indirect=True)
def test_a_state_and_elements_of_a_version_to_come(sandbox, cloud, one, clock, world):
    vm = running(one, clock, world)
    sandbox.do(mischief.set_unknown_state, cloud, vm, 3, 99)
    sandbox.do(mischief.add_unknown_elements, cloud, vm)
    assert where(one, vm) == (3, 99)
    body = xmlrpc.client.dumps(("oneadmin:opennebula", -2, -1, -1, -1, ""), "one.vmpool.infoextended")
    reply = requests.post(sandbox.endpoint("zone"), data=body, timeout=30).text
    assert "&lt;NOVELTY&gt;&lt;DEEP&gt;1&lt;/DEEP&gt;&lt;/NOVELTY&gt;" in reply
    one.vm.action("poweroff", vm)
    clock.pass_()
    assert where(one, vm) == (8, 0)


@pytest.mark.parametrize("version", ["6.10.0"], indirect=True)
def test_an_upgrade(sandbox, cloud, one):
    sandbox.do(mischief.set_version, cloud, "7.4.0")
    assert one.system.version() == "7.4.0"
