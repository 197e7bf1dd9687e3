"""Every difference from 6.10 to 7.4 that the operator touches, through its own adapter."""

import time

import pytest

from sovereigncloud.core.identity import Mark
from sovereigncloud.ports.errors import Conflict, NotFound, Rejected
from sovereigncloud.ports.opennebula.features import Feature, covered, has
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.features import SUPPORTED
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

FAST = {"host_monitor": 0.05, "datastore_monitor": 0.05, "scheduler": 0.05, "sched_message_cycles": 1}
VM = {"NAME": "vm", "CPU": "1", "MEMORY": "64", "CONTEXT": {"NETWORK": "YES"}}
MARK = Mark("versions", "VmGroup/shop/web", "7c9e6679-7425-40de-944b-e07fc1f90ae7")
PATIENCE = 10.0


@pytest.fixture(params=SUPPORTED)
def version(request):
    return request.param


@pytest.fixture
def sandbox(version):
    spec = CloudSpec("zone", version=version, hosts=(HostSpec("127.0.0.2"),), speeds=FAST)
    with BackgroundSandbox(spec) as running:
        time.sleep(0.2)  # until the datastores are monitored
        yield running


@pytest.fixture
async def one(sandbox):
    client = open_nebula_factory(rate=200, burst=200)(sandbox.endpoint("zone"), "oneadmin", "opennebula", "")
    yield client
    client.close()


async def seen(one, vm, wanted):
    """The machine, once it is as wanted."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = await one.vm(vm)
        if wanted(found):
            return found
    raise AssertionError(found)


def is_running(vm):
    return state_of(vm).situation is Situation.RUNNING


async def test_who_answers_is_told_and_covered(one, version):
    front = await one.front()
    assert front.version == version
    assert covered(front.version)


async def test_a_view_is_read_of_every_version(one):
    """Elements that came later - PLAN_ID, SHARED, VLAN_RULES, BACKUP_DISK_IDS - are missed by nobody."""
    network = await one.create_network(
        {"NAME": "n", "VN_MAD": "bridge", "AR": {"TYPE": "IP4", "IP": "10.0.0.1", "SIZE": "9"}}, -1
    )
    vm = await one.create_vm(VM)
    await seen(one, vm, is_running)
    view = await one.view(0)
    assert (set(view.vms), set(view.networks)) == ({vm}, {network})
    assert view.hosts
    assert view.datastores


async def test_a_machine_joins_a_group_where_the_version_lets_it(one, version):
    group = await one.vm_groups.create("shop.web", {"apart": "ANTI_AFFINED"}, MARK)
    vm = await one.create_vm(VM)
    if has(version, Feature.GROUP_MEMBERSHIP):
        await one.vm_groups.join(vm, group, "apart")
        await one.vm_groups.leave(vm)
    else:
        with pytest.raises(Rejected):
            await one.vm_groups.join(vm, group, "apart")
    born = await one.create_vm({**VM, "VMGROUP": {"VMGROUP_ID": str(group), "ROLE": "apart"}})
    assert (await one.vm(born)).groups[0].group == group


async def test_errors_are_told_apart_whatever_the_method_is_called_in_them(one):
    """In 7.2 a card that cannot be detached says one.vm.nicdetach."""
    vm = await one.create_vm(VM)
    await seen(one, vm, is_running)
    with pytest.raises((Conflict, Rejected, NotFound)) as refusal:
        await one.detach_nic(vm, 7)
    assert "it does not exist" in str(refusal.value)


async def test_why_a_machine_waits_is_told_by_every_scheduler(one, version):
    vm = await one.create_vm({**VM, "CPU": "99"})
    found = await seen(one, vm, lambda found: found.scheduler_message)
    words = "enough capacity" if version.startswith("6.") else "Not enough CPU on hosts"
    assert words in found.scheduler_message


@pytest.mark.parametrize("version", ["7.4.0"], indirect=True)
async def test_a_state_and_elements_that_nobody_knows_are_visible_and_stop_nothing(sandbox, one):
    strange, known = await one.create_vm(VM), await one.create_vm({**VM, "NAME": "other"})
    for vm in (strange, known):
        await seen(one, vm, is_running)
    cloud = sandbox["zone"]
    sandbox.do(mischief.set_unknown_state, cloud, strange, 3, 99)
    sandbox.do(mischief.add_unknown_elements, cloud, strange, "<NOVELTY><DEEP>1</DEEP></NOVELTY>")
    view = await one.view(0)
    state = state_of(view.vms[strange])
    assert "99" in state.words
    assert state.situation is Situation.BUSY
    assert is_running(view.vms[known])
