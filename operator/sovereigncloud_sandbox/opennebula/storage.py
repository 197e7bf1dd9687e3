"""Images: registering, copying, lending to machines, deleting."""

from collections.abc import Callable
from urllib.parse import urlsplit

from sovereigncloud_sandbox.opennebula import downloads, repositories
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import OneError, internal, not_allocated, refused
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.opennebula.model_storage import (
    COPYING,
    FILE,
    IMAGE,
    IMAGE_TYPES,
    Datastore,
    Image,
    ImageState,
)
from sovereigncloud_sandbox.opennebula.template import Template, Vector

_UNKNOWN_SIZE_MB = 2252  # of what is behind a URL: about a cloud image of a common distribution
_DISK_TYPES = frozenset({"OS", "CDROM", "DATABLOCK", "FILESYSTEM"})
BACKUP_TYPE = IMAGE_TYPES.index("BACKUP")
_SETTLED = frozenset({ImageState.READY, ImageState.USED, ImageState.USED_PERS, ImageState.CLONE})
_FREE = frozenset({ImageState.READY, ImageState.USED})


def size_of(cloud: Cloud, template: Template) -> int:
    """The size of an image to be registered, MB; a marketplace app adds what it knows to the template.

    Raises:
        OneError: 0x2000, nothing says how large it is.
    """
    if "FROM_APP" in template:
        app = cloud.apps.get(int(template.get("FROM_APP") or -1))
        if app is None:
            raise internal("Cannot determine image SIZE.")
        template.put("PATH", app.source)
        template.put("FORMAT", app.format)
        template.put("FROM_APP_MD5", app.md5)
        template.put("FROM_APP_NAME", app.name)
        return app.size
    size, path = template.get("SIZE"), template.get("PATH")
    if path:
        host = urlsplit(path).hostname or ""
        if host.endswith(".invalid"):  # RFC 2606: never resolves
            raise internal(f"Cannot parse image SIZE: Error getting size of {path}: Could not resolve host: {host}")
        if repositories.is_path(path):
            return _size_in_backup(cloud, template, path)
        if reason := downloads.unserved(cloud, path):
            raise internal(f"Cannot parse image SIZE: Error getting size of {path}: {reason}")
        known = downloads.size(cloud, path)
        if known is not None:
            return known
        return int(size) if size.isdecimal() else _UNKNOWN_SIZE_MB
    if not size.isdecimal():
        raise internal("Cannot parse image SIZE: Wrong number or missing SIZE attribute.")
    return int(size)


def _size_in_backup(cloud: Cloud, template: Template, path: str) -> int:
    found = repositories.find(cloud, path, template.get("FROM_BACKUP_DS"))
    if isinstance(found, str):
        raise internal(f"Cannot parse image SIZE: Error getting size of {path}: {found}")
    return found[0].sizes[found[1]]


def register(cloud: Cloud, image: Image, template: Template, datastore: Datastore, size: int) -> None:
    """Fill an image from its template and let it be copied: LOCKED, then READY.

    Raises:
        OneError: 0x4000 for what makes no image.
    """
    kind = (template.take("TYPE") or "OS").upper()
    if kind not in IMAGE_TYPES:
        raise not_allocated("IMAGE", f"Unknown type {kind}")
    path, source = template.take("PATH"), template.take("SOURCE")
    if path and source:
        raise not_allocated("IMAGE", "PATH and SOURCE cannot be both set.")
    if source and not template.get("FORMAT"):
        raise not_allocated("IMAGE", "SOURCE needs FORMAT to be set.")
    if not path and not source and kind not in {"DATABLOCK", "OS"}:
        raise not_allocated("IMAGE", "No PATH nor SOURCE in template.")
    image.type = IMAGE_TYPES.index(kind)
    if (datastore.type == FILE) != (kind in {"KERNEL", "RAMDISK", "CONTEXT"}):
        raise not_allocated(
            "IMAGE", "IMAGES of type KERNEL, RAMDISK and CONTEXT cannot be registered in an IMAGE_DS datastore"
        )
    image.persistent = template.take("PERSISTENT").upper() == "YES"
    image.path = path
    image.format = template.take("FORMAT") or template.take("DRIVER") or ("qcow2" if path or source else "raw")
    image.fs = template.take("FS")
    image.size = size
    template.pop("SIZE")
    template.pop("NAME")
    template.put("DEV_PREFIX", template.get("DEV_PREFIX") or "vd")
    image.template = template
    image.source = source
    image.regtime = image.modtime = cloud.second
    image.datastore_id, image.datastore = datastore.oid, datastore.name
    datastore.images.add(image.oid)
    datastore.used_mb += size
    copy(cloud, image, lambda: None, lambda: downloads.take(cloud, image))


def copy(cloud: Cloud, image: Image, done: Callable[[], None], check: Callable[[], str | None] = lambda: None) -> None:
    """Let the datastore's driver work; then the image is READY, or in ERROR where a failure was injected."""
    image.state = ImageState.LOCKED
    mark_used(image)

    def finish() -> None:
        if image.oid not in cloud.images or image.state not in COPYING:
            return
        done()
        message = cloud.trip(image.name, "IMAGE") or check()
        if message is not None:
            image.state = ImageState.ERROR
            image.template.put("ERROR", f"Error copying image in the datastore: {message}")
        else:
            image.source = image.source or f"/var/lib/one//datastores/{image.datastore_id}/{image.oid:032x}"
            image.state = ImageState.READY
            image.modtime = cloud.second
        settled(image)

    cloud.after(cloud.copying(image.size), finish)


def settled(image: Image) -> None:
    """An image is usable, or broken: whoever waited for it goes on."""
    mark_used(image)
    waiting, image.waiting = image.waiting, []
    for go_on in waiting:
        go_on()


def mark_used(image: Image) -> None:
    """READY or USED, as there are machines that use it; while it is copied, LOCKED in the same way."""
    if image.type != BACKUP_TYPE and image.state in COPYING:
        waited = ImageState.LOCKED_USED_PERS if image.persistent else ImageState.LOCKED_USED
        image.state = waited if image.vms else ImageState.LOCKED
    if image.type != BACKUP_TYPE and image.state in _SETTLED:
        used = ImageState.USED_PERS if image.persistent else ImageState.USED
        cloned = ImageState.CLONE if image.persistent else ImageState.USED
        cloning = image.clones or image.app_clones
        image.state = used if image.vms else cloned if cloning else ImageState.READY


def lend(cloud: Cloud, image: Image, disk: Vector, vm_id: int, *, attach: bool = False) -> None:
    """Let a machine use an image, and describe the disk that it becomes.

    Raises:
        OneError: 0x2000, the image is busy, broken, disabled or of a type that is no disk.
    """
    if IMAGE_TYPES[image.type] not in _DISK_TYPES:
        raise internal(f"Image {image.oid} ({image.name}) of type {IMAGE_TYPES[image.type]} cannot be used as DISK.")
    if image.persistent and image.vms:
        raise internal(f"Cannot acquire image {image.oid}, it is persistent and already in use")
    if image.state in COPYING and attach:
        raise internal(f"Cannot acquire image {image.oid}, it is locked")
    if image.state not in _FREE | COPYING:
        raise internal(f"Cannot acquire image {image.oid}, it is in state {image.state.name}")
    size = _disk_size(image, disk)
    datastore = cloud.datastores[image.datastore_id]
    image.vms.add(vm_id)
    mark_used(image)
    disk.update(
        {
            "ALLOW_ORPHANS": "NO",
            "CLONE": "NO" if image.persistent else "YES",
            "CLONE_TARGET": "SYSTEM",
            "CLUSTER_ID": ",".join(str(one) for one in sorted(datastore.clusters)),
            "DATASTORE": datastore.name,
            "DATASTORE_ID": str(datastore.oid),
            "DEV_PREFIX": disk.get("DEV_PREFIX") or image.template.get("DEV_PREFIX") or "vd",
            "DISK_SNAPSHOT_TOTAL_SIZE": "0",
            "DISK_TYPE": "FILE",
            "DRIVER": disk.get("DRIVER") or image.format,
            "FORMAT": image.format,
            "IMAGE": image.name,
            "IMAGE_ID": str(image.oid),
            "IMAGE_STATE": str(int(image.state)),
            "LN_TARGET": "NONE",
            "ORIGINAL_SIZE": str(image.size),
            "PERSISTENT_SNAPSHOTS": "YES",
            "READONLY": "YES" if IMAGE_TYPES[image.type] == "CDROM" else "NO",
            "SAVE": "YES" if image.persistent else "NO",
            "SIZE": str(size),
            "SOURCE": image.source,
            "TM_MAD": datastore.tm_mad,
            "TYPE": "CDROM" if IMAGE_TYPES[image.type] == "CDROM" else "FILE",
        }
    )
    if image.persistent:
        disk["PERSISTENT"] = "YES"


def _disk_size(image: Image, disk: Vector) -> int:
    wanted = disk.get("SIZE", "")
    if not wanted:
        return image.size
    if not wanted.isdecimal() or int(wanted) < 1:
        raise internal("SIZE attribute must be a positive integer value.")
    if image.persistent:
        raise internal(f"SIZE attribute is not supported for persistent image [{image.oid}].")
    if int(wanted) < image.size:
        raise internal(f"SIZE of {wanted}MB is less than the image [{image.oid}] size of {image.size}MB.")
    return int(wanted)


def volatile(cloud: Cloud, disk: Vector) -> None:
    """Describe a disk that lives and dies with its machine.

    Raises:
        OneError: 0x2000, no type or size.
    """
    kind = disk.get("TYPE", "").lower()
    if kind not in {"fs", "swap", "block", "cdrom", "file"}:
        raise internal(f"Unknown disk type {disk.get('TYPE', '')}")
    if not disk.get("SIZE", "").isdecimal() or int(disk["SIZE"]) < 1:
        raise internal("SIZE attribute must be a positive integer value.")
    system = next(one for one in cloud.datastores.values() if one.type == 1)
    disk.update(
        {
            "ALLOW_ORPHANS": "NO",
            "CLUSTER_ID": ",".join(str(one) for one in sorted(system.clusters)),
            "DATASTORE": system.name,
            "DATASTORE_ID": str(system.oid),
            "DEV_PREFIX": disk.get("DEV_PREFIX") or "vd",
            "DISK_TYPE": "FILE",
            "DRIVER": disk.get("DRIVER") or disk.get("FORMAT") or "raw",
            "FORMAT": disk.get("FORMAT") or "raw",
            "PERSISTENT_SNAPSHOTS": "YES",
            "TM_MAD": system.tm_mad,
            "TM_MAD_SYSTEM": system.tm_mad,
            "TYPE": kind,
        }
    )


def give_back(cloud: Cloud, disk: Vector, vm_id: int) -> None:
    """A machine no longer uses the image of this disk."""
    image = cloud.images.get(int(disk.get("IMAGE_ID", "-1")))
    if image is not None:
        image.vms.discard(vm_id)
        mark_used(image)


def delete(cloud: Cloud, image: Image, *, force: bool) -> None:
    """Delete an image, in a moment.

    Raises:
        OneError: 0x2000 while it is LOCKED; 0x800 while machines use it.
    """
    if image.state is ImageState.LOCKED and not force:
        raise internal(
            "Image locked, use --force flag to remove the image. Force delete may leave some files on Datastore"
        )
    if image.type == BACKUP_TYPE:
        if _backup_under_way(cloud, image):
            reason = "Active backup on the associated VM. Wait till it finish to delete the backup Image"
            raise refused(f"Cannot delete image. {reason}")
    elif image.state is ImageState.CLONE:
        cloning = len(image.clones) + len(image.app_clones)
        raise refused(f"Cannot delete image. There are {cloning} active clone operations.")
    elif image.vms or image.clones or image.app_clones:
        raise refused(f"Cannot delete image. There are {len(image.vms)} VMs using it.")
    image.state = ImageState.DELETE

    def vanish() -> None:
        if cloud.images.pop(image.oid, None) is not None:
            datastore = cloud.datastores[image.datastore_id]
            datastore.images.discard(image.oid)
            datastore.used_mb -= image.size
            if image.type == BACKUP_TYPE:
                repositories.forget(cloud, image)
                _forget_backup(cloud, image)

    cloud.after(cloud.speeds.vnet, vanish)


def _backup_under_way(cloud: Cloud, image: Image) -> bool:
    vm = next((cloud.vms[oid] for oid in image.vms if oid in cloud.vms), None)
    if vm is None:
        return False
    busy = vm.state is State.ACTIVE and "LAST_DATASTORE_ID" in vm.backup_config
    return vm.backup_config.get("ACTIVE_FLATTEN") == "YES" or busy


def _forget_backup(cloud: Cloud, image: Image) -> None:
    for vm in [cloud.vms[oid] for oid in image.vms if oid in cloud.vms]:
        vm.backup_ids.discard(image.oid)
        if vm.backup_config.get("INCREMENTAL_BACKUP_ID") == str(image.oid):
            reset_chain(vm.backup_config)
        vm.touch()


def reset_chain(config: Vector) -> None:
    """The next backup is a full one."""
    config["INCREMENTAL_BACKUP_ID"] = config["LAST_INCREMENT_ID"] = "-1"


def check_space(datastore: Datastore, size: int) -> None:
    """Refuse what does not fit, and everything before the first monitoring.

    Raises:
        OneError: 0x4000 for a datastore that takes no images; 0x800 "Not enough space in datastore".
    """
    if datastore.type not in {IMAGE, FILE}:
        raise OneError(
            not_allocated("IMAGE", "").code,
            "Error allocating a new image. New images can only be allocated in a files or image datastore.",
        )
    if size > datastore.free_mb:
        raise refused("Not enough space in datastore")
