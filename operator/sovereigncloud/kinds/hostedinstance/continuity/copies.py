"""Copies of a machine, and whether another cloud can make it from one when its own is lost. Pure.

What there is, is remembered in the status of the instance while its cloud can be asked: where each backup lies, and the names by
which OpenNebula's own restore would ask for it. A backup counts as outside where its server is none of the cloud's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.continuity import LONGEST_CHAIN, CopyStatus, MachineShape
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine.capacity import cores, declared, size
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, with_root
from sovereigncloud.kinds.movement.records import seconds_of
from sovereigncloud.ports.opennebula.views import CloudView, Datastore, Disk, Image, Nic, Vm

BACKUP, IMAGE = "Backup", "Image"
KEPT = 3
OUTSIDE, INSIDE = "Outside", "Inside"
_BACKUP_DATASTORE, _READY = 3, 0
_SERVER = {"restic": "RESTIC_SFTP_SERVER", "rsync": "RSYNC_HOST"}
_HERE = frozenset({"", "localhost", "127.0.0.1", "::1"})
SOURCE_IMAGE = "IMAGE_ID"
"""Among what makes a disk of a copy: the image that is cloned."""
_DATASTORES = "/var/lib/one/datastores"


@dataclass(frozen=True, slots=True)
class DiskCopy:
    """A disk in a copy. `label`: its name in spec.disks; empty: the root disk, or another of the machine's own. `size` in MiB.
    `source`: what makes an image of it in the cloud that was asked about; empty where none was.
    """

    id: int
    label: str
    size: int
    source: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """Where a backup lies, as OpenNebula of its own cloud calls it. `chain`: number:snapshot, oldest first."""

    driver: str
    store: int
    vm: int
    system: int
    job: str
    chain: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Attributes as in `CopyStatus`. `held`: of a backup."""

    kind: str
    name: str
    time: str
    outside: bool
    server: str
    disks: tuple[DiskCopy, ...]
    held: Held = Held("", -1, -1, -1, "", "")
    shape: MachineShape | None = None
    """What the machine was like, where the copy tells."""

    @property
    def seconds(self) -> int:
        """Its time, since 1970."""
        return seconds_of(self.time)

    def __str__(self) -> str:
        if self.kind == IMAGE:
            return f"the copy {self.name} of {self.time}, which a rehearsal kept there"
        return f"backup {self.name} of {self.time} on {self.server or 'the front-end'}"


# ------------------------------------------------------------------------------------------------------- what there is


def copies_seen(resource: HostedInstance, observed: InstanceObservation) -> list[Copy]:
    """Those of the machine as it is, and those that it left in clouds where it was before: the last three, and what lies outside
    before what does not. While its cloud cannot be asked, those that were known.
    """
    known = remembered(resource)
    vm, cloud, view = observed.found.thing, observed.cloud, observed.view
    if vm is None or cloud is None or view is None or not (vm.backups.images or known):
        return known
    times = {copy.name: copy.time for copy in known}
    here = f"{where(cloud)}/"
    elsewhere = [copy for copy in known if not copy.name.startswith(here)]
    found = [*_backups(vm, here, observed, view, times), *elsewhere]
    return sorted(found, key=lambda copy: (copy.outside, copy.time, copy.name), reverse=True)[:KEPT]


def _backups(
    vm: Vm, here: str, observed: InstanceObservation, view: CloudView, times: Mapping[str, str]
) -> Iterator[Copy]:
    images = sorted(
        (view.images[number] for number in vm.backups.images if number in view.images),
        key=lambda image: (image.time, image.id),
        reverse=True,
    )
    for image, before in zip(images[:KEPT], (*images[1:], None), strict=False):
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
            held=Held(store.driver, store.id, vm.id, vm.system, image.backup_job, _chain(image)),
        )


@lru_cache(maxsize=8192)  # of each machine with backups three are told in each sweep
def _moment(seconds: int) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def _is_inside(server: str, observed: InstanceObservation, view: CloudView) -> bool:
    return server in _HERE or server in view.host_clusters or server in observed.site.machines


def _before(image: Image, older: Image | None) -> int:
    """When the backup before the last one in this image was made; 0: there was none."""
    made = [one.time for one in image.increments[:-1]]
    return max((*made, older.time if older is not None else 0))


def _began(vm: Vm, image: Image, older: Image | None) -> str:
    """When the disks were as they are in it: OpenNebula ends a stay when a backup begins, and dates it when it has ended."""
    if _before(image, older) < vm.stay < image.time:
        return _moment(vm.stay)
    return ""


def _is_of(known: str, image: Image, older: Image | None) -> bool:
    """Whether a time that was told before is that of this backup, and not of an increment before it."""
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
    """What the image says is newer than what the disk does; a disk that came with the machine is named by neither."""
    image = view.images.get(disk.image_id)
    label = (image.notes.get(DISK, "") if image is not None and image.persistent else "") or disk.label
    return "" if with_root(label) else label


# -------------------------------------------------------------------------------------------------------- remembered


def remembered(resource: HostedInstance) -> list[Copy]:
    """As the status has them."""
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
        held=Held(one.driver or "", store, vm, system, one.job or "", one.chain or ""),
    )


def continuity_status(resource: HostedInstance, observed: InstanceObservation) -> dict[str, object]:
    """What status.continuity says of copies. Nothing where there is none."""
    copies = copies_seen(resource, observed)
    if not copies:
        return {}
    shape = _shape(observed.found.thing) if observed.found.thing is not None else _told_shape(resource)
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


def _told_shape(resource: HostedInstance) -> dict[str, object] | None:
    told = resource.status.continuity
    return told.machine.model_dump(by_alias=True, exclude_none=True) if told and told.machine else None


def remembered_machine(resource: HostedInstance, copy: Copy | None) -> Vm | None:
    """The machine that is not to be seen: as spec says, else as it is remembered, with the disks of the copy. None: nobody knows
    how large it is. Raises ValueError for sizes of spec that OpenNebula cannot hold.
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


def usable(
    copies: Iterable[Copy], resource: HostedInstance, cloud: Key, view: CloudView, passed_over: Collection[str] = ()
) -> Copy | str:
    """The newest that the cloud can make the machine from, with how it gets each disk; or why it can from none.

    Args:
        copies: that there are; of those that rehearsals kept the ones in that cloud.
        resource: whose machine it is.
        cloud: that is to make it.
        view: of it.
        passed_over: names of copies that could not be read.
    """
    whys: list[str] = []
    for copy in sorted(copies, key=lambda one: one.time, reverse=True):
        found = "it could not be read" if copy.name in passed_over else _usable(copy, resource, cloud, view)
        if isinstance(found, Copy):
            return found
        whys.append(f"{copy}: {found}")
    none = "there is no copy of it: give it spec.backup with a store on a server outside its cloud, or rehearse a move with keepCopy"
    return "; ".join(whys) or none


def _usable(copy: Copy, resource: HostedInstance, cloud: Key, view: CloudView) -> Copy | str:
    if not copy.outside:
        return "it lies inside the cloud that is lost with it"
    if copy.kind == BACKUP and not copy.held.chain:
        return "it consists of more increments than can be remembered; set spec.backup.keepLast"
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
    """Disks of the machine that are not in it."""
    declared = [disk.name for disk in resource.spec.disks or () if disk.name != ROOT]
    labels = {disk.label for disk in copy.disks}
    return [ROOT] * ("" not in labels) + [name for name in declared if name not in labels]


def _same_store(copy: Copy, view: CloudView) -> Datastore | None:
    """Through which the cloud reaches the same server. OpenNebula calls the directory there by the number of the datastore, so
    one of the same number is sure to be of the same directory.
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
    """What OpenNebula's own restore would say (src/tm_mad/lib/backup.rb), with the datastore of this cloud. A job that made the
    backup has a directory of its own.
    """
    held = copy.held
    number, snapshot = held.chain.rpartition(",")[2].split(":", 1)
    if held.driver == "rsync":
        path = f"{_DATASTORES}/{store.id}/{held.vm}/{snapshot}/disk.{disk.id}.{number}"
    else:
        path = f"{_DATASTORES}/{max(held.system, 0)}/{held.vm}/backup/disk.{disk.id}.{number}"
    url = f"{held.driver}://{store.id}/{held.job}/{held.chain}/{path}"
    return {"PATH": url, "FROM_BACKUP_DS": str(store.id)}
