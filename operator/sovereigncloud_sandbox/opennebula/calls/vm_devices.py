"""one.vm.* on disks, NICs and snapshots."""

from sovereigncloud_sandbox.opennebula import contents, flows, machines, networking, quota, storage
from sovereigncloud_sandbox.opennebula import context as guest_context
from sovereigncloud_sandbox.opennebula.access import MANAGE
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.vm_reads import VM
from sovereigncloud_sandbox.opennebula.errors import internal, refused
from sovereigncloud_sandbox.opennebula.flows import Then
from sovereigncloud_sandbox.opennebula.lifecycle import Action, Lcm, State, Where, state_name
from sovereigncloud_sandbox.opennebula.model import DiskSnapshots, Vm
from sovereigncloud_sandbox.opennebula.template import Template, Vector, parse

_RUNNING: Where = (State.ACTIVE, Lcm.RUNNING)


def _require(vm: Vm, doing: str, *allowed: State) -> None:
    """Refuse what cannot be done where the machine is: a second operation during HOTPLUG, for one."""
    if vm.where != _RUNNING and vm.state not in allowed:
        raise refused(f"Could not {doing}, wrong state {state_name(*vm.where)}.")


def _run(context: Context, vm: Vm, flow: str, means: Action, then: Then | None = None) -> None:
    flows.act(vm, means, context.caller.uid, context.caller.gid, context.request_id)
    flows.reopen(context.cloud, vm)
    flows.begin(context.cloud, vm, flow, then or Then())


def _disk(vm: Vm, disk_id: int) -> Vector:
    for disk in vm.disks:
        if disk["DISK_ID"] == str(disk_id):
            return disk
    raise refused("VM disk does not exist")


def _without(template: Template, name: str, gone: Vector) -> None:
    template.put(name, *[value for value in template.values(name) if value is not gone])


# ------------------------------------------------------------------------------------------------------------- disks


def attach(context: Context, oid: int, text: str) -> Reply:
    cloud = context.cloud
    vm: Vm = VM.find(context, oid, MANAGE)
    if vm.last is None:
        raise refused("VM is not running in any host")
    template = parse(text)
    machines.check_restricted(context.caller, template, "DISK")
    _, disks = machines.devices_for(cloud, context.caller, template)
    if not disks:
        raise internal("Wrong DISK definition")
    image, disk = disks[0]
    _require(vm, f"attach a new disk to VM {oid}", State.POWEROFF)
    machines.take_disk(cloud, vm, image, disk, attach=True)
    disk["ATTACH"] = "YES"
    flow = "disk" if vm.state is State.ACTIVE else "disk-attach-poweroff"

    def done() -> None:
        disk.pop("ATTACH", None)
        contents.fill(cloud, vm, disk)

    def undo() -> None:
        _without(vm.template, "DISK", disk)
        storage.give_back(cloud, disk, oid)

    _run(context, vm, flow, Action.DISK_ATTACH, Then(done, undo))
    return oid


def detach(context: Context, oid: int, disk_id: int) -> Reply:
    cloud = context.cloud
    vm: Vm = VM.find(context, oid, MANAGE)
    disk = _disk(vm, disk_id)
    _require(vm, f"detach disk from VM {oid}", State.POWEROFF)

    def done() -> None:
        _without(vm.template, "DISK", disk)
        storage.give_back(cloud, disk, oid)

    _run(context, vm, "disk" if vm.state is State.ACTIVE else "disk-detach-poweroff", Action.DISK_DETACH, Then(done))
    return oid


def disk_resize(context: Context, oid: int, disk_id: int, size: str) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    if not size.isdecimal():
        raise refused("Disk SIZE is not a valid integer")
    disk = _disk(vm, disk_id)
    if int(size) <= int(disk["SIZE"]):
        raise refused("New disk size has to be greater than current one")
    _require(vm, f"resize disk for VM {oid}", State.POWEROFF, State.UNDEPLOYED)
    more = {"SYSTEM_DISK_SIZE": float(int(size) - int(disk["SIZE"]))}
    use: quota.Use = {("VM", key): more for key in quota.keys(context.cloud, vm)}
    quota.check(context.cloud, context.caller, quota.Owner(vm.uid, vm.gid), use)
    flow = {State.ACTIVE: "disk-resize", State.POWEROFF: "disk-resize-poweroff"}.get(vm.state, "disk-resize-undeployed")

    def done() -> None:
        disk["SIZE"] = size
        image = context.cloud.images.get(int(disk.get("IMAGE_ID", "-1")))
        if image is not None and disk.get("PERSISTENT") == "YES":
            image.size = int(size)  # what the machine works on is the image itself
        flows.recharge(context.cloud, vm)

    _run(context, vm, flow, Action.DISK_RESIZE, Then(done))
    return oid


# -------------------------------------------------------------------------------------------------------------- NICs


def attach_nic(context: Context, oid: int, text: str) -> Reply:
    cloud = context.cloud
    vm: Vm = VM.find(context, oid, MANAGE)
    template = parse(text)
    machines.check_restricted(context.caller, template, "NIC")
    nics, _ = machines.devices_for(cloud, context.caller, template)
    if not nics:
        raise internal("Wrong NIC definition")
    network, nic = nics[0]
    quota.check(
        cloud,
        context.caller,
        quota.Owner(vm.uid, vm.gid),
        {("NETWORK", nic.get("NETWORK_ID", "")): {"LEASES": 1}},
    )
    _require(vm, f"add a new NIC to VM {oid}", State.POWEROFF)
    machines.take_nic(vm, network, nic)
    nic["ATTACH"] = "YES"

    def done() -> None:
        nic.pop("ATTACH", None)
        _nics_changed(context, vm)

    flow = "nic" if vm.state is State.ACTIVE else "nic-poweroff"
    _run(context, vm, flow, Action.NIC_ATTACH, Then(done, lambda: _drop_nic(context, vm, nic)))
    return oid


def detach_nic(context: Context, oid: int, nic_id: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    _require(vm, f"detach NIC from VM {oid}", State.POWEROFF)
    nic = next((one for one in vm.nics if one["NIC_ID"] == str(nic_id)), None)
    if nic is None:
        raise refused(f"Could not detach NIC with NIC_ID {nic_id}, it does not exist.")
    flow = "nic" if vm.state is State.ACTIVE else "nic-poweroff"
    _run(context, vm, flow, Action.NIC_DETACH, Then(lambda: _drop_nic(context, vm, nic)))
    return oid


def _drop_nic(context: Context, vm: Vm, nic: Vector) -> None:
    _without(vm.template, "NIC", nic)
    networking.give_back(context.cloud, nic, vm.oid)
    _nics_changed(context, vm)


def _nics_changed(context: Context, vm: Vm) -> None:
    guest_context.set_network_context(context.cloud, vm)
    machines.set_security_rules(context.cloud, vm)
    vm.touch()


def attach_security_group(context: Context, oid: int, nic_id: int, group_id: int) -> Reply:
    return _security_group(context, oid, nic_id, group_id, attach=True)


def detach_security_group(context: Context, oid: int, nic_id: int, group_id: int) -> Reply:
    return _security_group(context, oid, nic_id, group_id, attach=False)


def _security_group(context: Context, oid: int, nic_id: int, group_id: int, *, attach: bool) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    context.cloud.find(context.cloud.security_groups, group_id, "SECGROUP")
    nic = next((one for one in vm.nics if one["NIC_ID"] == str(nic_id)), None)
    if nic is None:
        raise internal(f"VM {oid} doesn't have NIC id {nic_id}")
    groups = [group for group in nic.get("SECURITY_GROUPS", "").split(",") if group]
    if attach and str(group_id) in groups:
        raise refused(f"VM {oid} SG {group_id} already in NIC {nic_id}")
    if not attach and str(group_id) not in groups:
        raise refused(f"VM {oid} NIC {nic_id} doesn't contain SG {group_id}")
    kept = {*groups, str(group_id)} if attach else {group for group in groups if group != str(group_id)}
    nic["SECURITY_GROUPS"] = ",".join(sorted(kept, key=int))
    _nics_changed(context, vm)
    return oid


# --------------------------------------------------------------------------------------------------------- snapshots


def snapshot_create(context: Context, oid: int, name: str) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    _require(vm, f"create a new snapshot for VM {oid}")
    snap_id = max((int(one["SNAPSHOT_ID"]) for one in vm.template.vectors("SNAPSHOT")), default=-1) + 1
    snapshot = {
        "ACTION": "CREATE",
        "ACTIVE": "YES",
        "HYPERVISOR_ID": f"snap-{snap_id}",
        "NAME": name or f"snapshot-{snap_id}",
        "SNAPSHOT_ID": str(snap_id),
        "SYSTEM_DISK_SIZE": str(sum(int(disk.get("SIZE", "0") or 0) for disk in vm.disks)),
        "TIME": str(context.cloud.second),
    }
    for other in vm.template.vectors("SNAPSHOT"):
        other.pop("ACTIVE", None)
    vm.template.add("SNAPSHOT", snapshot)
    _run(context, vm, "snapshot", Action.SNAPSHOT_CREATE, Then(lambda: _settled(snapshot)))
    return snap_id


def _settled(snapshot: Vector) -> None:
    snapshot.pop("ACTION", None)


def _snapshot(vm: Vm, snap_id: int, doing: str) -> Vector:
    for one in vm.template.vectors("SNAPSHOT"):
        if one["SNAPSHOT_ID"] == str(snap_id):
            return one
    raise refused(f"Could not {doing}, it does not exist.")


def snapshot_delete(context: Context, oid: int, snap_id: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    doing = f"delete snapshot {snap_id} for VM {oid}"
    _require(vm, doing)
    found = _snapshot(vm, snap_id, doing)
    _run(context, vm, "snapshot", Action.SNAPSHOT_DELETE, Then(lambda: _without(vm.template, "SNAPSHOT", found)))
    return oid


def snapshot_revert(context: Context, oid: int, snap_id: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    doing = f"revert VM {oid} to snapshot {snap_id}"
    _require(vm, doing)
    _snapshot(vm, snap_id, doing)
    _run(context, vm, "snapshot", Action.SNAPSHOT_REVERT)
    return oid


def disk_snapshot_create(context: Context, oid: int, disk_id: int, name: str) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    disk = _disk(vm, disk_id)
    _require(vm, f"create a new snapshot for VM {oid}", State.POWEROFF)
    held = vm.disk_snapshots.setdefault(disk_id, DiskSnapshots(disk_id))
    snap_id = held.next_id
    held.next_id += 1
    for other in held.snapshots:
        other.pop("ACTIVE", None)
    made = {
        "ACTIVE": "YES",
        "CHILDREN": "",
        "DATE": str(context.cloud.second),
        "ID": str(snap_id),
        "NAME": name,
        "PARENT": str(held.current),
        "SIZE": disk["SIZE"],
    }
    held.snapshots.append(made)
    held.current = snap_id
    vm.snapshot_contents[disk_id, snap_id] = contents.of_disk(context.cloud, vm, disk)
    flow = "disk-snapshot-create" if vm.state is State.ACTIVE else "disk-snapshot-create-poweroff"
    _run(context, vm, flow, Action.DISK_SNAPSHOT_CREATE)
    return snap_id


def _disk_snapshot(vm: Vm, disk_id: int, snap_id: int) -> tuple[DiskSnapshots, Vector]:
    held = vm.disk_snapshots.get(disk_id)
    for one in held.snapshots if held else ():
        if one["ID"] == str(snap_id) and held is not None:
            return held, one
    raise refused(f"Disk id ({disk_id}) or snapshot id ({snap_id}) is not valid.")


def disk_snapshot_delete(context: Context, oid: int, disk_id: int, snap_id: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    _disk(vm, disk_id)
    _require(vm, f"delete disk snapshot from VM {oid}", State.POWEROFF)
    held, found = _disk_snapshot(vm, disk_id, snap_id)
    flow = "disk-snapshot-delete" if vm.state is State.ACTIVE else "disk-snapshot-delete-poweroff"

    def done() -> None:
        held.snapshots.remove(found)
        held.current = int(held.snapshots[-1]["ID"]) if held.snapshots else -1

    _run(context, vm, flow, Action.DISK_SNAPSHOT_DELETE, Then(done))
    return oid


def disk_snapshot_revert(context: Context, oid: int, disk_id: int, snap_id: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    disk = _disk(vm, disk_id)
    if vm.state is not State.POWEROFF:
        raise refused(f"Could not revert to disk snapshot for VM {oid}, wrong state {state_name(*vm.where)}.")
    held, _ = _disk_snapshot(vm, disk_id, snap_id)
    held.current = snap_id
    contents.put(context.cloud, vm, disk, vm.snapshot_contents[disk_id, snap_id])
    _run(context, vm, "disk-snapshot-revert-poweroff", Action.DISK_SNAPSHOT_REVERT)
    return oid


def disk_snapshot_rename(context: Context, oid: int, disk_id: int, snap_id: int, name: str) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    _disk(vm, disk_id)
    _disk_snapshot(vm, disk_id, snap_id)[1]["NAME"] = name
    vm.touch()
    return oid


CALLS = (
    Call("one.vm.attach", "i s", attach),
    Call("one.vm.detach", "i i", detach),
    Call("one.vm.diskresize", "i i s", disk_resize),
    Call("one.vm.attachnic", "i s", attach_nic),
    Call("one.vm.detachnic", "i i", detach_nic),
    Call("one.vm.attachsg", "i i i", attach_security_group),
    Call("one.vm.detachsg", "i i i", detach_security_group),
    Call("one.vm.snapshotcreate", "i s", snapshot_create),
    Call("one.vm.snapshotdelete", "i i", snapshot_delete),
    Call("one.vm.snapshotrevert", "i i", snapshot_revert),
    Call("one.vm.disksnapshotcreate", "i i s", disk_snapshot_create),
    Call("one.vm.disksnapshotdelete", "i i i", disk_snapshot_delete),
    Call("one.vm.disksnapshotrevert", "i i i", disk_snapshot_revert),
    Call("one.vm.disksnapshotrename", "i i i s", disk_snapshot_rename),
)
