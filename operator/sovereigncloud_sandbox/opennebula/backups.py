"""Backups of machines: what is configured, what is taken, what is kept (OpenNebula: src/vm/Backups.cc, src/lcm)."""

import hashlib
from datetime import UTC, datetime

from sovereigncloud_sandbox.opennebula import contents, flows, repositories, storage
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import OneError, internal
from sovereigncloud_sandbox.opennebula.model import Permissions, Vm
from sovereigncloud_sandbox.opennebula.model_storage import Image, ImageState, Saved
from sovereigncloud_sandbox.opennebula.template import Vector

_FULL, _INCREMENT = "FULL", "INCREMENT"
_LAST = ("LAST_DATASTORE_ID", "LAST_BRIDGE", "LAST_BACKUP_ID", "LAST_BACKUP_SIZE", "LAST_BACKUP_FORMAT")
# How much of a disk a full backup and an increment take, in hundredths.
_FULL_SHARE, _INCREMENT_SHARE = 40, 5


# --------------------------------------------------------------------------------------------------- configuration


def configure(vm: Vm, wanted: Vector, *, append: bool) -> None:
    """Take over BACKUP_CONFIG, as oned reads it: what it cannot do becomes what it can, without a word.

    Raises:
        OneError: 0x2000, DISK_IDS that cannot be backed up.
    """
    config = vm.backup_config
    before = (config.get("DISK_IDS", ""), config.get("BACKUP_VOLATILE", "NO"))
    _set_simple(config, wanted, append=append)
    _set_disks(vm, wanted, append=append)
    if not _can_increment(vm):
        storage.reset_chain(config)
        config["MODE"] = _FULL
        config.pop("INCREMENT_MODE", None)
        return
    if wanted.get("MODE") or not append:
        mode = _INCREMENT if wanted.get("MODE", "").upper() == _INCREMENT else _FULL
        if mode != _INCREMENT or config.get("MODE") != _INCREMENT:
            storage.reset_chain(config)
        config["MODE"] = mode
        way = wanted.get("INCREMENT_MODE", "").upper()
        if way or not append:
            config["INCREMENT_MODE"] = "SNAPSHOT" if way == "SNAPSHOT" else "CBT"
    if before != (config.get("DISK_IDS", ""), config.get("BACKUP_VOLATILE", "NO")):
        storage.reset_chain(config)


def refuse_increments(vm: Vm, wanted: Vector) -> None:
    """Refuse, of a machine that exists, what a new one gets corrected without a word.

    Raises:
        OneError: 0x2000.
    """
    if wanted.get("MODE", "").upper() != _INCREMENT:
        return
    if vm.template.vectors("SNAPSHOT"):
        raise internal("VM cannot use backup increment mode, it has snapshots.")
    if not _can_increment(vm):
        raise internal("VM cannot use backup increment mode, it has disks snapshots or disks are not qcow2.")


def _set_simple(config: Vector, wanted: Vector, *, append: bool) -> None:
    keep = wanted.get("KEEP_LAST", "")
    if keep.lstrip("-").isdecimal():
        config["KEEP_LAST"] = str(max(0, int(keep)))
    elif not append:
        config.pop("KEEP_LAST", None)
    for name in ("BACKUP_VOLATILE", "INTERACTIVE"):
        if name in wanted or not append:
            config[name] = "YES" if wanted.get(name, "").upper() == "YES" else "NO"
    freeze = wanted.get("FS_FREEZE", "").upper()
    if freeze or not append:
        config["FS_FREEZE"] = freeze if freeze in {"AGENT", "SUSPEND"} else "NONE"


def _set_disks(vm: Vm, wanted: Vector, *, append: bool) -> None:
    if "DISK_IDS" not in wanted:
        if not append:
            vm.backup_config.pop("DISK_IDS", None)
        return
    chosen = [part.strip() for part in wanted["DISK_IDS"].split(",") if part.strip()]
    if not all(part.isdecimal() for part in chosen):
        raise internal(f"Invalid DISK_IDS value: {wanted['DISK_IDS']}")
    for part in chosen:
        if int(part) not in _eligible(vm):
            raise internal(f"Invalid DISK_IDS, disk {part} cannot be backed up")
    vm.backup_config["DISK_IDS"] = ",".join(map(str, sorted({int(part) for part in chosen})))


def _eligible(vm: Vm) -> list[int]:
    volatile = vm.backup_config.get("BACKUP_VOLATILE") == "YES"
    never = {"SWAP", "CDROM", "FILESYSTEM"} if volatile else {"SWAP", "CDROM", "FILESYSTEM", "FS"}
    return [int(disk["DISK_ID"]) for disk in vm.disks if disk.get("TYPE", "").upper() not in never]


def _can_increment(vm: Vm) -> bool:
    """Raw disks on file systems, and qcow2 disks with snapshots, are saved whole."""
    for disk in vm.disks:
        snapshots = vm.disk_snapshots.get(int(disk["DISK_ID"]))
        raw = disk.get("FORMAT", "").lower() == "raw" and disk.get("TM_MAD", "") in {"ssh", "local", "shared", "qcow2"}
        if int(disk["DISK_ID"]) in _eligible(vm) and (raw or (snapshots is not None and snapshots.snapshots)):
            return False
    return True


def chain(vm: Vm) -> int:
    """The image to which the next increment belongs; -1 where the next backup is a full one."""
    config = vm.backup_config
    return int(config.get("INCREMENTAL_BACKUP_ID", "-1")) if config.get("MODE") == _INCREMENT else -1


def disks(vm: Vm) -> list[int]:
    """The disks that a backup holds."""
    chosen = vm.backup_config.get("DISK_IDS", "")
    return [oid for oid in _eligible(vm) if not chosen or str(oid) in chosen.split(",")]


def size(vm: Vm) -> int:
    """MB, at worst."""
    return sum(int(disk["SIZE"]) for disk in vm.disks if int(disk["DISK_ID"]) in disks(vm))


def disks_changed(vm: Vm) -> None:
    """A disk more, or one restored: the next backup is a full one."""
    if vm.backup_config:
        storage.reset_chain(vm.backup_config)


# ------------------------------------------------------------------------------------------------------------ taking


def start(cloud: Cloud, vm: Vm, datastore_id: int, *, reset: bool) -> flows.Then:
    """A backup begins; gives what happens at its end.

    The caller has found the machine RUNNING or in POWEROFF, and the datastore.
    """
    vm.backup_config["LAST_DATASTORE_ID"] = str(datastore_id)
    if reset:
        storage.reset_chain(vm.backup_config)
    reason = repositories.unreachable(cloud, cloud.datastores[datastore_id])
    fails = f"BACKUP: {reason}" if reason else ""
    return flows.Then(done=lambda: _taken(cloud, vm, datastore_id), undo=lambda: forget(vm), fails=fails)


def restoring(cloud: Cloud, vm: Vm, image: Image, increment: int, disk_id: int) -> flows.Then:
    """A machine is to be as a backup has it, all of it or one disk (-1: all), at an increment (-1: the last)."""
    datastore = cloud.datastores[image.datastore_id]
    reason = repositories.unreachable(cloud, datastore)
    steps = [one["SOURCE"] for one in image.increments if increment < 0 or int(one["ID"]) <= increment]
    saved = repositories.snapshots(cloud, datastore).get(steps[-1] if steps else image.source)
    if not reason and saved is None:
        reason = "no matching ID found for prefix " + (steps[-1] if steps else image.source)

    def done() -> None:
        vm.template.pop("SNAPSHOT")
        vm.disk_snapshots.clear()
        disks_changed(vm)
        for disk in vm.disks:
            content = saved.contents.get(disk["DISK_ID"]) if saved is not None else None
            if content is not None and disk_id in {-1, int(disk["DISK_ID"])}:
                contents.put(cloud, vm, disk, content)

    return flows.Then(done, fails=f"Error executing image transfer script: {reason}" if reason else "")


def forget(vm: Vm) -> None:
    """No backup is under way."""
    for name in _LAST:
        vm.backup_config.pop(name, None)
    vm.touch()


def _taken(cloud: Cloud, vm: Vm, datastore_id: int) -> None:
    source = hashlib.sha256(f"{vm.oid} {cloud.now}".encode()).hexdigest()[:8]
    image = cloud.images.get(chain(vm))
    try:
        if image is None:
            image = _new_image(cloud, vm, datastore_id, source)
        elif vm.backup_config.get("MODE") == _INCREMENT:
            _add_increment(cloud, vm, image, source, size(vm) * _INCREMENT_SHARE // 100)
    except OneError:
        return  # the machine's log says so, the API does not
    finally:
        forget(vm)
    _keep(cloud, vm, image, source)
    image.saved = Saved(vm.oid, vm.template.copy(), vm.user_template.copy())
    image.modtime = cloud.second
    _prune(cloud, vm, image)


def _keep(cloud: Cloud, vm: Vm, image: Image, source: str) -> None:
    saved = [disk for disk in vm.disks if int(disk["DISK_ID"]) in image.backup_disks]
    digests = {disk["DISK_ID"]: contents.of_disk(cloud, vm, disk) for disk in saved}
    sizes = {disk["DISK_ID"]: int(disk["SIZE"]) for disk in saved}
    before = [one["SOURCE"] for one in image.increments if one["SOURCE"] != source]
    repositories.keep(cloud, cloud.datastores[image.datastore_id], source, digests, sizes, *before)


def _new_image(cloud: Cloud, vm: Vm, datastore_id: int, source: str) -> Image:
    name = f"{vm.oid} {datetime.fromtimestamp(cloud.now, tz=UTC):%d-%b %H.%M.%S}"
    cloud.claim_name(cloud.images, "IMAGE", name, vm.uid)
    datastore = cloud.datastores[datastore_id]
    image = Image(cloud.next_id("IMAGE"), name, vm.uid, vm.gid, vm.uname, vm.gname, permissions=Permissions())
    image.type, image.persistent, image.state = storage.BACKUP_TYPE, True, ImageState.READY
    image.size, image.source, image.format = size(vm) * _FULL_SHARE // 100, source, "raw"
    image.regtime = cloud.second
    image.datastore_id, image.datastore = datastore.oid, datastore.name
    image.vms, image.backup_disks = {vm.oid}, set(disks(vm))
    if vm.backup_config.get("DISK_IDS"):
        image.template.put("BACKUP_SELECTED_DISKS", "YES")
    cloud.images[image.oid] = image
    datastore.images.add(image.oid)
    datastore.used_mb += image.size
    vm.backup_ids.add(image.oid)
    if vm.backup_config.get("MODE") == _INCREMENT:
        vm.backup_config["INCREMENTAL_BACKUP_ID"] = str(image.oid)
        size_mb, image.size = image.size, 0
        datastore.used_mb -= size_mb
        _add_increment(cloud, vm, image, source, size_mb)
    return image


def _add_increment(cloud: Cloud, vm: Vm, image: Image, source: str, size_mb: int) -> None:
    parent = int(image.increments[-1]["ID"]) if image.increments else -1
    image.increments.append(
        {
            "DATE": str(cloud.second),
            "ID": str(parent + 1),
            "PARENT_ID": str(parent),
            "SIZE": str(size_mb),
            "SOURCE": source,
            "TYPE": _INCREMENT if image.increments else _FULL,
        }
    )
    image.size += size_mb
    cloud.datastores[image.datastore_id].used_mb += size_mb
    vm.backup_config["LAST_INCREMENT_ID"] = str(parent + 1)


def _prune(cloud: Cloud, vm: Vm, image: Image) -> None:
    keep = int(vm.backup_config.get("KEEP_LAST", "0"))
    if keep == 0:
        return
    for oid in sorted(vm.backup_ids)[:-keep]:
        if oid in cloud.images and oid != image.oid:
            storage.delete(cloud, cloud.images[oid], force=True)
    if len(image.increments) > keep:
        vm.backup_config["ACTIVE_FLATTEN"] = "YES"
        image.state = ImageState.LOCKED
        cloud.after(cloud.speeds.image, lambda: _flattened(cloud, vm, image, keep))


def _flattened(cloud: Cloud, vm: Vm, image: Image, keep: int) -> None:
    first = image.increments[-keep]
    first["TYPE"], first["PARENT_ID"] = _FULL, "-1"
    first["SIZE"] = image.increments[0]["SIZE"]
    gone = [one["SOURCE"] for one in image.increments[:-keep]]
    image.increments = image.increments[-keep:]
    repositories.flattened(cloud, image, gone)
    datastore = cloud.datastores[image.datastore_id]
    before, image.size = image.size, sum(int(one["SIZE"]) for one in image.increments)
    datastore.used_mb += image.size - before
    image.state = ImageState.READY
    vm.backup_config["ACTIVE_FLATTEN"] = "NO"
    vm.touch()
