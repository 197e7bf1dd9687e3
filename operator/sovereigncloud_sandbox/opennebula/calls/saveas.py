"""one.vm.disksaveas: a disk of a machine becomes an image."""

from sovereigncloud_sandbox.opennebula import contents, flows, quota, storage
from sovereigncloud_sandbox.opennebula.access import MANAGE, USE, authorize, authorize_create
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.vm_reads import VM
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import internal, not_allocated
from sovereigncloud_sandbox.opennebula.lifecycle import Action, Lcm, State
from sovereigncloud_sandbox.opennebula.model import Vm
from sovereigncloud_sandbox.opennebula.model_storage import COPYING, IMAGE_TYPES, Image, ImageState
from sovereigncloud_sandbox.opennebula.template import Vector

_FLOWS = {
    State.ACTIVE: "saveas",
    State.POWEROFF: "saveas-poweroff",
    State.SUSPENDED: "saveas-suspended",
    State.UNDEPLOYED: "saveas-undeployed",
    State.STOPPED: "saveas-stopped",
}
_SAVED = frozenset({"OS", "DATABLOCK", "CDROM"})


def disk_saveas(context: Context, oid: int, disk_id: int, name: str, kind: str, snapshot: int) -> Reply:
    cloud, caller = context.cloud, context.caller
    vm: Vm = VM.find(context, oid, MANAGE)
    flow = _FLOWS.get(vm.state)
    if flow is None or (vm.state is State.ACTIVE and vm.lcm is not Lcm.RUNNING):
        raise internal("VM has to be RUNNING, POWEROFF or SUSPENDED to save disks.")
    disk = _disk(vm, disk_id, snapshot)
    source = cloud.find(cloud.images, int(disk["IMAGE_ID"]), "IMAGE")
    if IMAGE_TYPES[source.type] not in _SAVED:
        raise internal(f"Cannot save_as image of type {IMAGE_TYPES[source.type]}")
    datastore = cloud.find(cloud.datastores, source.datastore_id, "DATASTORE")
    size = int(disk["SIZE"])
    storage.check_space(datastore, size)
    authorize_create(cloud, caller, "IMAGE")
    authorize(cloud, caller, USE, datastore)
    use: quota.Use = {("DATASTORE", str(datastore.oid)): {"IMAGES": 1, "SIZE": size}}
    quota.check(cloud, caller, quota.Owner(caller.uid, caller.gid), use)
    cloud.claim_name(cloud.images, "IMAGE", name, caller.uid)
    if kind and kind.upper() not in IMAGE_TYPES:
        raise not_allocated("IMAGE", f"Unknown type {kind}")
    image = Image(cloud.next_id("IMAGE"), name, caller.uid, caller.gid, caller.user.name, caller.user.gname)
    image.type = IMAGE_TYPES.index(kind.upper()) if kind else source.type
    image.size, image.format = size, disk.get("FORMAT", "qcow2")
    image.regtime = image.modtime = cloud.second
    image.datastore_id, image.datastore = datastore.oid, datastore.name
    for attribute, value in (
        ("DEV_PREFIX", disk.get("DEV_PREFIX", "vd")),
        ("SAVED_DISK_ID", str(disk_id)),
        ("SAVED_IMAGE_ID", str(source.oid)),
        ("SAVED_VM_ID", str(oid)),
    ):
        image.template.put(attribute, value)
    cloud.images[image.oid] = image
    datastore.images.add(image.oid)
    datastore.used_mb += size
    flows.act(vm, Action.DISK_SAVEAS, caller.uid, caller.gid, context.request_id)
    flows.reopen(cloud, vm)
    then = flows.Then(lambda: _saved(cloud, vm, disk, image, snapshot), lambda: _failed(cloud, image))
    flows.begin(cloud, vm, flow, then)
    return image.oid


def _disk(vm: Vm, disk_id: int, snapshot: int) -> Vector:
    """The disk, where oned takes it for one that can be saved: a volatile one, for one, is of no image."""
    disk = next((one for one in vm.disks if one["DISK_ID"] == str(disk_id)), None)
    if disk is None:
        raise internal("Cannot use DISK. DISK does not exist.")
    if "IMAGE_ID" not in disk:
        raise internal("Cannot use DISK. DISK does not have a valid IMAGE_ID.")
    held = vm.disk_snapshots.get(disk_id)
    known = {int(one["ID"]) for one in held.snapshots} if held is not None else set()
    if snapshot != -1 and snapshot not in known:
        raise internal("Cannot use DISK. Snapshot does not exist.")
    return disk


def _saved(cloud: Cloud, vm: Vm, disk: Vector, image: Image, snapshot: int) -> None:
    """The machine is back where it was; the datastore's driver goes on with the file."""
    image.content = vm.snapshot_contents.get((int(disk["DISK_ID"]), snapshot)) or contents.of_disk(cloud, vm, disk)
    storage.copy(cloud, image, lambda: None)


def _failed(cloud: Cloud, image: Image) -> None:
    if image.oid in cloud.images and image.state in COPYING:
        image.state = ImageState.ERROR
        image.template.put("ERROR", "Error saving the disk of the machine")
        storage.settled(image)


CALLS = (Call("one.vm.disksaveas", "i i s s i", disk_saveas),)
