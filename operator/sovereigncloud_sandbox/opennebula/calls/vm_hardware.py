"""one.vm.attachpci and detachpci, one.vm.updatenic."""

from sovereigncloud_sandbox.opennebula import devices, flows, machines
from sovereigncloud_sandbox.opennebula.access import MANAGE
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.vm_reads import VM
from sovereigncloud_sandbox.opennebula.errors import refused
from sovereigncloud_sandbox.opennebula.lifecycle import Action, Lcm, State, Where, state_name
from sovereigncloud_sandbox.opennebula.model import Vm
from sovereigncloud_sandbox.opennebula.template import parse

_RUNNING: Where = (State.ACTIVE, Lcm.RUNNING)
# All that updatenic changes; whatever else is given is passed over without a word.
_OF_NIC = frozenset(
    {
        "INBOUND_AVG_BW",
        "INBOUND_PEAK_BW",
        "INBOUND_PEAK_KB",
        "OUTBOUND_AVG_BW",
        "OUTBOUND_PEAK_BW",
        "OUTBOUND_PEAK_KB",
    }
)


def _require_off(vm: Vm) -> None:
    if vm.state not in {State.POWEROFF, State.UNDEPLOYED}:
        raise refused("VM in wrong state, it has to be in poweroff")


def attach_pci(context: Context, oid: int, text: str) -> Reply:
    cloud = context.cloud
    template = parse(text)
    wanted = template.vector("PCI")
    if wanted is None:
        raise refused("PCI attribute not found")
    if wanted.get("TYPE") == "NIC":
        raise refused("Use one.vm.attachnic to attach this PCI device")
    if problem := devices.check(wanted):
        raise refused(problem)
    vm: Vm = VM.find(context, oid, MANAGE)
    machines.check_restricted(context.caller, template, "PCI")
    _require_off(vm)
    if vm.last is None:
        raise refused("Could not find host information")
    taken = max((int(one["PCI_ID"]) for one in devices.requests(vm)), default=-1)
    wanted["PCI_ID"] = str(taken + 1)
    if vm.state is State.POWEROFF:
        devices.assign(cloud.hosts[vm.last.hid], vm, [wanted])
        flows.act(vm, Action.PCI_ATTACH, context.caller.uid, context.caller.gid, context.request_id)
        flows.reopen(cloud, vm)
    vm.template.add("PCI", wanted)
    vm.touch()
    return oid


def detach_pci(context: Context, oid: int, pci_id: int) -> Reply:
    cloud = context.cloud
    vm: Vm = VM.find(context, oid, MANAGE)
    _require_off(vm)
    gone = next((one for one in devices.requests(vm) if one["PCI_ID"] == str(pci_id)), None)
    if gone is None:
        raise refused("PCI device not found")
    host = cloud.hosts.get(vm.last.hid) if vm.last else None
    if host is not None:
        devices.give_back(host, vm, [gone])
    vm.template.put("PCI", *[one for one in vm.template.values("PCI") if one is not gone])
    if vm.state is State.POWEROFF:
        flows.act(vm, Action.PCI_DETACH, context.caller.uid, context.caller.gid, context.request_id)
        flows.reopen(cloud, vm)
    vm.touch()
    return oid


def update_nic(context: Context, oid: int, nic_id: int, text: str, append: int) -> Reply:
    cloud = context.cloud
    vm: Vm = cloud.find(cloud.vms, oid, "VM")
    nic = next((one for one in vm.nics if one["NIC_ID"] == str(nic_id)), None)
    if nic is None:
        raise refused(f"VM {oid}: NIC {nic_id} does not exists")
    template = parse(text)
    VM.find(context, oid, MANAGE)
    machines.check_restricted(context.caller, template, "NIC")
    sentence = f"Error updating NIC ({nic_id}) for VM {oid}: "
    if vm.state is State.ACTIVE and vm.where != _RUNNING:
        raise refused(f"{sentence}Wrong state {state_name(*vm.where)}")
    wanted = template.vector("NIC")
    if wanted is None:
        raise refused(f"{sentence}Wrong NIC definition, attribute is missing")
    given = {key: value for key, value in wanted.items() if key in _OF_NIC}
    before = {key: value for key, value in nic.items() if key in _OF_NIC}
    after = {**before, **given} if append else given
    if after != before:
        for name in before:
            del nic[name]
        nic.update(after)
        if vm.where == _RUNNING:
            flows.act(vm, Action.NIC_UPDATE, context.caller.uid, context.caller.gid, context.request_id)
            flows.reopen(cloud, vm)
            flows.begin(cloud, vm, "nic")
    vm.touch()
    return oid


CALLS = (
    Call("one.vm.attachpci", "i s", attach_pci),
    Call("one.vm.detachpci", "i i", detach_pci),
    Call("one.vm.updatenic", "i i s i=0", update_nic),
)
