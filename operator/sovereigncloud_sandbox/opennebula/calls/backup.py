"""one.vm.backup, backupcancel and restore, one.image.restore."""

from sovereigncloud_sandbox.opennebula import backups, flows, quota, repositories
from sovereigncloud_sandbox.opennebula.access import ADMIN, USE, authorize, permitted
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.image import keep_image, keep_template
from sovereigncloud_sandbox.opennebula.calls.vm_reads import VM
from sovereigncloud_sandbox.opennebula.errors import OneError, internal, refused
from sovereigncloud_sandbox.opennebula.lifecycle import Action, Lcm, State, Where, state_name
from sovereigncloud_sandbox.opennebula.model import Vm
from sovereigncloud_sandbox.opennebula.model_storage import BACKUP, IMAGE, Image, Saved
from sovereigncloud_sandbox.opennebula.storage import BACKUP_TYPE
from sovereigncloud_sandbox.opennebula.template import Template, Vector, parse

_RUNNING: Where = (State.ACTIVE, Lcm.RUNNING)
_SYSTEM = 0  # the datastore of running disks
_UNDER_WAY = frozenset({Lcm.BACKUP, Lcm.BACKUP_POWEROFF})


# ----------------------------------------------------------------------------------------------------- of a machine


def backup(context: Context, oid: int, ds_id: int, reset: bool | int) -> Reply:
    cloud, caller = context.cloud, context.caller
    vm: Vm = cloud.find(cloud.vms, oid, "VM")
    if any(disk.get("TYPE", "").upper() == "FILESYSTEM" for disk in vm.disks):
        raise refused("Cannot backup VM with FILESYSTEM disks")
    chain = -1 if reset else backups.chain(vm)
    if chain != -1:
        ds_id = cloud.find(cloud.images, chain, "IMAGE").datastore_id
    datastore = cloud.find(cloud.datastores, ds_id, "DATASTORE")
    if datastore.type != BACKUP:
        raise refused("Datastore needs to be of type BACKUP")
    if backups.size(vm) > datastore.free_mb:
        raise refused("Not enough free space on target datastore")
    authorize(cloud, caller, ADMIN, vm)
    authorize(cloud, caller, USE, datastore)
    use: quota.Use = {
        ("DATASTORE", str(ds_id)): {"IMAGES": 0 if chain != -1 else 1, "SIZE": backups.size(vm)},
    }
    quota.check(cloud, caller, quota.Owner(vm.uid, vm.gid), use)
    _check_state(vm)
    flow = "backup" if vm.state is State.ACTIVE else "backup-poweroff"
    then = backups.start(cloud, vm, ds_id, reset=bool(reset))
    vm.resched = False
    flows.act(vm, Action.BACKUP, caller.uid, caller.gid, context.request_id)
    flows.reopen(cloud, vm)
    flows.begin(cloud, vm, flow, then)
    return oid


def _check_state(vm: Vm) -> None:
    if vm.backup_config.get("ACTIVE_FLATTEN") == "YES":
        raise internal(f"Could not create a new backup for VM {vm.oid}, consolidating backup increments")
    if vm.where != _RUNNING and vm.state is not State.POWEROFF:
        raise internal(f"Could not create a new backup for VM {vm.oid}, wrong state {state_name(*vm.where)}.")


def backup_cancel(context: Context, oid: int) -> Reply:
    cloud = context.cloud
    vm: Vm = VM.find(context, oid, ADMIN)
    if vm.state is not State.ACTIVE or vm.lcm not in _UNDER_WAY:
        raise internal(f"Could not cancel backup for VM {oid}, no backup in progress")
    serial, off = vm.flow, vm.lcm is Lcm.BACKUP_POWEROFF

    def stopped() -> None:
        if vm.flow != serial:
            return  # it ended before
        vm.flow += 1
        backups.forget(vm)
        if off:
            flows.enter(cloud, vm, State.POWEROFF)
        else:
            flows.enter(cloud, vm, State.ACTIVE, Lcm.RUNNING)

    cloud.after(cloud.speeds.action_lag, stopped)
    return oid


def restore(context: Context, oid: int, image_id: int, increment_id: int, disk_id: int) -> Reply:
    cloud, caller = context.cloud, context.caller
    vm: Vm = cloud.find(cloud.vms, oid, "VM")
    if disk_id != -1 and not any(disk["DISK_ID"] == str(disk_id) for disk in vm.disks):
        raise refused("VM disk does not exist")
    image = cloud.find(cloud.images, image_id, "IMAGE")
    if image.type != BACKUP_TYPE:
        raise refused("Image has to be of type BACKUP")
    if increment_id > (int(image.increments[-1]["ID"]) if image.increments else -1):
        raise refused("Wrong increment")
    authorize(cloud, caller, ADMIN, vm)
    authorize(cloud, caller, USE, image)
    if vm.state is not State.POWEROFF:
        raise refused("Could not restore VM, it must be in poweroff")

    flows.act(vm, Action.RESTORE, caller.uid, caller.gid, context.request_id)
    flows.reopen(cloud, vm)
    flows.begin(cloud, vm, "restore", backups.restoring(cloud, vm, image, increment_id, disk_id))
    return oid


# ------------------------------------------------------------------------------------------------- of a backup image

# What a restored template leaves out (OpenNebula: src/tm_mad/lib/backup.rb).
_OF_VM = frozenset(
    {
        "AUTOMATIC_DS_REQUIREMENTS",
        "AUTOMATIC_NIC_REQUIREMENTS",
        "AUTOMATIC_REQUIREMENTS",
        "VMID",
        "TEMPLATE_ID",
        "TM_MAD_SYSTEM",
        "SECURITY_GROUP_RULE",
        "ERROR",
    }
)
_OF_DISK = frozenset(
    {
        "ALLOW_ORPHANS",
        "CLONE",
        "CLONE_TARGET",
        "CLUSTER_ID",
        "DATASTORE",
        "DATASTORE_ID",
        "DISK_SNAPSHOT_TOTAL_SIZE",
        "DISK_TYPE",
        "DRIVER",
        "IMAGE",
        "IMAGE_STATE",
        "IMAGE_UID",
        "IMAGE_UNAME",
        "LN_TARGET",
        "OPENNEBULA_MANAGED",
        "ORIGINAL_SIZE",
        "PERSISTENT",
        "READONLY",
        "SAVE",
        "SOURCE",
        "TARGET",
        "TM_MAD",
        "FORMAT",
    }
)
_OF_NIC = frozenset(
    {
        "AR_ID",
        "BRIDGE",
        "BRIDGE_TYPE",
        "CLUSTER_ID",
        "NAME",
        "NETWORK_ID",
        "NIC_ID",
        "TARGET",
        "VLAN_ID",
        "VN_MAD",
        "VLAN_TAGGED_ID",
        "PHYDEV",
    }
)
_ADDRESSES = frozenset({"IP", "IP6", "IP6_ULA", "IP6_GLOBAL", "MAC"})


def image_restore(context: Context, oid: int, ds_id: int, text: str) -> Reply:
    """Gives "template_id image_id image_id ...", or what a caller without rights gets: success, with the refusal as text.

    The latter is oned's own (src/rm/api/ImageAPI.cc): the check of rights to the image answers SUCCESS.
    """
    cloud, caller = context.cloud, context.caller
    image = cloud.images.get(oid)
    if image is None:
        return ""
    if not permitted(cloud, caller, USE, image):
        return f"User [{caller.uid}] : Not authorized to perform USE IMAGE [{oid}]."
    datastore = cloud.find(cloud.datastores, ds_id, "DATASTORE")
    authorize(cloud, caller, USE, datastore)
    options = parse(text) if text else Template()
    wanted_disk, increment = (int(options.get(name) or -1) for name in ("DISK_ID", "INCREMENT_ID"))
    _check_restore(image, wanted_disk)
    if datastore.type != IMAGE:
        raise refused("Destination can be only an image datastore")
    if image.saved is None:
        raise refused("Cannot get info about restored disk images")
    base = options.get("NAME") or f"{image.saved.vm_id}-{image.source}"
    made: dict[str, int] = {}
    for disk in image.saved.template.vectors("DISK"):
        disk_id = disk["DISK_ID"]
        if int(disk_id) not in image.backup_disks or wanted_disk not in {-1, int(disk_id)}:
            continue
        source = Template(
            {
                "NAME": [f"{base}-disk-{disk_id}"],
                "TYPE": ["OS" if disk_id == "0" else "DATABLOCK"],
                "PATH": [repositories.path(image, cloud.datastores[image.datastore_id], increment, disk_id, _SYSTEM)],
                "FROM_BACKUP_DS": [str(image.datastore_id)],
            }
        )
        made[disk_id] = _restore_disk(context, source, ds_id, made)
    template_id = -1
    if wanted_disk == -1:
        template = _template(image.saved, options, made)
        try:
            template_id = keep_template(context, template, base)
        except OneError as error:
            listed = f" The following images were restored: {' '.join(map(str, made.values()))}"
            raise refused(f"Error creating VM template: {error.message}{listed if made else ''}") from error
    return " ".join(map(str, (template_id, *made.values())))


def _check_restore(image: Image, disk_id: int) -> None:
    if image.template.get("BACKUP_SELECTED_DISKS") == "YES" and disk_id < 0:
        raise refused("Cannot restore a VM from a selected disk backup")
    if disk_id >= 0 and disk_id not in image.backup_disks:
        raise refused(f"Cannot restore disk {disk_id}, it is not part of the backup")
    if image.type != BACKUP_TYPE:
        raise refused("Can only restore images of type BACKUP")


def _restore_disk(context: Context, template: Template, ds_id: int, made: dict[str, int]) -> int:
    try:
        return keep_image(context, template, ds_id, skip_capacity_check=False)
    except OneError as error:
        listed = f" The following images were restored: {' '.join(map(str, made.values()))}"
        raise refused(f"Error restoring disk image: {error.message}{listed if made else ''}") from error


def _template(saved: Saved, options: Template, images: dict[str, int]) -> Template:
    template = saved.template.copy()
    template.merge(saved.user_template)  # marks and labels of the old machine too
    for name in _OF_VM:
        template.pop(name)
    disks = [_disk(disk, images) for disk in template.vectors("DISK")]
    template.put("DISK", *disks)
    no_address = options.get("NO_IP").upper() == "YES"
    gone = _OF_NIC | _ADDRESSES if no_address else _OF_NIC
    nics = [{key: value for key, value in nic.items() if key not in gone} for nic in template.vectors("NIC")]
    template.put("NIC", *([] if options.get("NO_NIC").upper() == "YES" else nics))
    for name, keys in (("OS", ("UUID",)), ("GRAPHICS", ("PORT",))):
        if vector := template.vector(name):
            template.put(name, {key: value for key, value in vector.items() if key not in keys})
    if context := template.vector("CONTEXT"):
        kept = {key: value for key, value in context.items() if key != "DISK_ID" and not key.startswith(("ETH", "PCI"))}
        template.put("CONTEXT", kept)
    template.pop("NAME")
    return template


def _disk(disk: Vector, images: dict[str, int]) -> Vector:
    kept = {key: value for key, value in disk.items() if key not in _OF_DISK and key != "DISK_ID"}
    kind = disk.get("TYPE", "").upper()
    if kind == "FS":
        kept.pop("IMAGE_ID", None)
        if disk["DISK_ID"] not in images:
            return kept
    kept.pop("TYPE", None)
    kept.pop("SIZE", None)
    if kind != "CDROM" and disk["DISK_ID"] in images:
        kept["IMAGE_ID"] = str(images[disk["DISK_ID"]])
    return kept


CALLS = (
    Call("one.vm.backup", "i i=-1 b=0", backup),
    Call("one.vm.backupcancel", "i", backup_cancel),
    Call("one.vm.restore", "i i i i", restore),
    Call("one.image.restore", "i i s", image_restore),
)
