"""Copies of a VM, and whether another cloud can recreate the VM from one. Pure.

While its cloud is reachable, status of the instance records where each backup is and the names that OpenNebula's
restore needs. A backup counts as outside if its server is not part of the cloud.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.continuity import LONGEST_CHAIN, CopyStatus, MachineShape
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.capacity import cores, declared, size
from sovereigncloud.kinds.hostedinstance.machine.copy import BACKUP, IMAGE, BackupLocation, Copy, DiskCopy
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK, is_root_disk
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.ports.opennebula.views import CloudView, Datastore, Disk, Image, Nic, Vm

MAX_COPIES = 3
OUTSIDE, INSIDE = "Outside", "Inside"
_BACKUP_DATASTORE, _READY = 3, 0
_SERVER = {"restic": "RESTIC_SFTP_SERVER", "rsync": "RSYNC_HOST"}
_HERE = frozenset({"", "localhost", "127.0.0.1", "::1"})
SOURCE_IMAGE = "IMAGE_ID"
"""Image attribute of a retained copy: the image to clone."""
_DATASTORES = "/var/lib/one/datastores"


# ------------------------------------------------------------------------------------------------------- what there is


def current_copies(resource: HostedInstance, observed: InstanceObservation) -> list[Copy]:
    """The newest copies of the VM, also those in clouds it was in before: outside copies first.

    While its cloud is unreachable, the recorded ones.
    """
    known = recorded_copies(resource)
    vm, cloud, view = observed.found.thing, observed.cloud, observed.view
    if vm is None or cloud is None or view is None or not (vm.backups.images or known):
        return known
    times = {copy.name: copy.time for copy in known}
    here = f"{where(cloud)}/"
    elsewhere = [copy for copy in known if not copy.name.startswith(here)]
    found = [*_backups(vm, here, observed, view, times), *elsewhere]
    return sorted(found, key=lambda copy: (copy.outside, copy.time, copy.name), reverse=True)[:MAX_COPIES]


def _backups(
    vm: Vm, here: str, observed: InstanceObservation, view: CloudView, times: Mapping[str, str]
) -> Iterator[Copy]:
    images = sorted(
        (view.images[number] for number in vm.backups.images if number in view.images),
        key=lambda image: (image.time, image.id),
        reverse=True,
    )
    for image, before in zip(images[:MAX_COPIES], (*images[1:], None), strict=False):
        store = view.datastores.get(image.datastore_id)
        if store is None or store.driver not in _SERVER or not image.time:
            continue
        server = store.attributes.get(_SERVER[store.driver], "")
        name = f"{here}{image.id}"
        ended = _moment(image.time)
        known = times.get(name, "")
        yield Copy(
            kind=BACKUP,
            name=name,
            time=_began(vm, image, before) or (known if _is_of(known, image, before) else "") or ended,
            outside=not _is_inside(server, observed, view),
            server=server,
            disks=tuple(_disks(vm, image, view)),
            held=BackupLocation(store.driver, store.id, vm.id, vm.system, image.backup_job, _chain(image)),
        )


@lru_cache(maxsize=8192)  # three per VM with backups in each sweep
def _moment(seconds: int) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def _is_inside(server: str, observed: InstanceObservation, view: CloudView) -> bool:
    return server in _HERE or server in view.host_clusters or server in observed.site.machines


def _before(image: Image, older: Image | None) -> int:
    """Time of the previous backup in seconds; 0: none."""
    made = [one.time for one in image.increments[:-1]]
    return max((*made, older.time if older is not None else 0))


def _began(vm: Vm, image: Image, older: Image | None) -> str:
    """Begin of the backup, which is the time of its data; OpenNebula only dates its end.

    OpenNebula closes a history record of the VM when a backup begins.
    """
    if _before(image, older) < vm.stay < image.time:
        return _moment(vm.stay)
    return ""


def _is_of(known: str, image: Image, older: Image | None) -> bool:
    """Whether a recorded time belongs to this backup and not to an earlier increment."""
    first, last = (_moment(one) for one in (_before(image, older), image.time))
    return first < known <= last


def _chain(image: Image) -> str:
    steps = [(one.id, one.source) for one in image.increments] or [(0, image.source)]
    chain = ",".join(f"{number}:{source}" for number, source in steps)
    return chain if len(chain) <= LONGEST_CHAIN else ""


def _disks(vm: Vm, image: Image, view: CloudView) -> Iterator[DiskCopy]:
    for disk in sorted(vm.disks, key=lambda disk: disk.id):
        if not image.backup_disks or disk.id in image.backup_disks:
            yield DiskCopy(disk.id, _label(disk, view), disk.size)


def _label(disk: Disk, view: CloudView) -> str:
    """Label of a disk: the image's is newer than the disk's; the root disk has neither."""
    image = view.images.get(disk.image_id)
    label = (image.notes.get(DISK, "") if image is not None and image.persistent else "") or disk.label
    return "" if is_root_disk(label) else label


# -------------------------------------------------------------------------------------------------------- remembered


def recorded_copies(resource: HostedInstance) -> list[Copy]:
    """Copies as recorded in status."""
    told = resource.status.continuity
    if told is None:
        return []
    return [copy for one in told.copies or () if (copy := _read(one)) is not None]


def _read(one: CopyStatus) -> Copy | None:
    numbers = (one.store, one.vm, one.system)
    if one.time is None or any(number is None or not number.lstrip("-").isdigit() for number in numbers):
        return None
    store, vm, system = (int(number or -1) for number in numbers)
    return Copy(
        kind=one.kind or BACKUP,
        name=one.name,
        time=one.time,
        outside=one.place == OUTSIDE,
        server=one.server or "",
        disks=tuple(
            DiskCopy(int(disk.name), disk.label or "", mebibytes(disk.size or "1Mi")) for disk in one.disks or ()
        ),
        held=BackupLocation(one.driver or "", store, vm, system, one.job or "", one.chain or ""),
    )


def continuity_status(resource: HostedInstance, observed: InstanceObservation) -> dict[str, object]:
    """Copies in status.continuity; empty if there are none."""
    copies = current_copies(resource, observed)
    if not copies:
        return {}
    shape = _shape(observed.found.thing) if observed.found.thing is not None else _recorded_shape(resource)
    return {"copies": [_written(copy) for copy in copies], "machine": shape}


def _written(copy: Copy) -> dict[str, object]:
    held = copy.held
    return {
        "name": copy.name,
        "kind": copy.kind,
        "time": copy.time,
        "place": OUTSIDE if copy.outside else INSIDE,
        "server": copy.server or None,
        "driver": held.driver,
        "store": str(held.store),
        "vm": str(held.vm),
        "system": str(held.system),
        "job": held.job or None,
        "chain": held.chain or None,
        "disks": [{"name": str(d.id), "label": d.label or None, "size": size(d.size)} for d in copy.disks[:64]],
    }


def _shape(vm: Vm) -> dict[str, object]:
    return {
        "id": str(vm.id),
        "cpu": vm.cpu,
        "vcpu": vm.vcpu,
        "memory": size(vm.memory),
        "networks": [nic.network[:128] for nic in vm.nics[:64]] or None,
    }


def _recorded_shape(resource: HostedInstance) -> dict[str, object] | None:
    told = resource.status.continuity
    return told.machine.model_dump(by_alias=True, exclude_none=True) if told and told.machine else None


def recorded_vm(resource: HostedInstance, copy: Copy | None) -> Vm | None:
    """The VM as spec says, else as recorded, with the disks of the copy.

    None if its size is unknown. Raises ValueError for sizes of spec that OpenNebula cannot hold.

    Raises ValueError for sizes of spec that OpenNebula cannot hold.
    """
    told = resource.status.continuity
    shape = (told.machine if told is not None else None) or (copy.shape if copy is not None else None) or MachineShape()
    wanted = declared(resource.spec)
    memory = wanted.memory if wanted.memory is not None else mebibytes(shape.memory) if shape.memory else None
    if memory is None:
        return None
    vcpu = wanted.vcpu or shape.vcpu or 1
    names = shape.networks or [one.name for one in resource.spec.networks or ()]
    number = shape.id or resource.external.get("vm", "")
    return Vm(
        id=int(number) if number.isdigit() else -1,
        name=resource.outside_name,
        owner=-1,
        state=-1,
        lcm_state=-1,
        cpu=cores(wanted.cpu) if wanted.cpu is not None else shape.cpu or str(vcpu),
        vcpu=vcpu,
        memory=memory,
        nics=tuple(Nic(number, -1, name, "", "") for number, name in enumerate(names)),
        disks=tuple(Disk(disk.id, -1, "", disk.size, disk.label) for disk in copy.disks) if copy is not None else (),
        mark=None,
        host="",
        scheduler_message="",
        error="",
    )


# ---------------------------------------------------------------------------------------------------------- usable


def usable_copy(
    copies: Iterable[Copy], resource: HostedInstance, cloud: Key, view: CloudView, passed_over: Collection[str] = ()
) -> Copy | str:
    """The newest copy that the cloud can recreate the VM from, with disk sources; or why none.

    Args:
        copies: all backups, and the retained copies in that cloud.
        resource: the instance of the VM.
        cloud: that recreates it.
        view: of that cloud.
        passed_over: names of unreadable copies.
    """
    whys: list[str] = []
    for copy in sorted(copies, key=lambda one: one.time, reverse=True):
        found = "it could not be read" if copy.name in passed_over else _check_copy(copy, resource, cloud, view)
        if isinstance(found, Copy):
            return found
        whys.append(f"{copy}: {found}")
    none = "there is no copy of it: set spec.backup with a store on a server outside its cloud, or rehearse a migration with keepCopy"
    return "; ".join(whys) or none


def _check_copy(copy: Copy, resource: HostedInstance, cloud: Key, view: CloudView) -> Copy | str:
    if not copy.outside:
        return "it is stored inside the cloud itself"
    if copy.kind == BACKUP and not copy.held.chain:
        return "it has more increments than status can record; set spec.backup.keepLast"
    if missing := missing_disks(copy, resource):
        return f"it does not hold disk {', '.join(missing)}"
    if copy.kind == IMAGE:
        return copy
    store = _same_store(copy, view)
    if store is None:
        return (
            f"{where(cloud)} has no datastore for backups with the driver {copy.held.driver} on {copy.server}; add one to its"
            " spec.stores"
        )
    disks = tuple(replace(disk, source=_source(copy, disk, store)) for disk in copy.disks)
    return replace(copy, disks=disks)


def missing_disks(copy: Copy, resource: HostedInstance) -> list[str]:
    """Disks of the VM that the copy lacks."""
    declared = [disk.name for disk in resource.spec.disks or () if disk.name != ROOT]
    labels = {disk.label for disk in copy.disks}
    return [ROOT] * ("" not in labels) + [name for name in declared if name not in labels]


def _same_store(copy: Copy, view: CloudView) -> Datastore | None:
    """Backup datastore of the cloud on the same server.

    OpenNebula names directories on the server by datastore id, so a datastore with the same id is preferred.
    """
    driver = copy.held.driver
    stores = [
        one
        for one in view.datastores.values()
        if one.type == _BACKUP_DATASTORE
        and one.state == _READY
        and one.driver == driver
        and one.attributes.get(_SERVER.get(driver, "")) == copy.server
    ]
    return min(stores, key=lambda one: (one.id != copy.held.store, one.id), default=None)


def _source(copy: Copy, disk: DiskCopy, store: Datastore) -> dict[str, str]:
    """Image attributes that restore a disk from a backup datastore of this cloud.

    They are the ones that OpenNebula's own restore sets (src/tm_mad/lib/backup.rb). A backup job has a directory of
    its own.

    A backup job has a directory of its own.
    """
    held = copy.held
    number, snapshot = held.chain.rpartition(",")[2].split(":", 1)
    if held.driver == "rsync":
        path = f"{_DATASTORES}/{store.id}/{held.vm}/{snapshot}/disk.{disk.id}.{number}"
    else:
        path = f"{_DATASTORES}/{max(held.system, 0)}/{held.vm}/backup/disk.{disk.id}.{number}"
    url = f"{held.driver}://{store.id}/{held.job}/{held.chain}/{path}"
    return {"PATH": url, "FROM_BACKUP_DS": str(store.id)}
