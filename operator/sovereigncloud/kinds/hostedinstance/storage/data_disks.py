"""Identification of the data disks of an instance among images and disks.

A data disk is a persistent image (DATABLOCK) attached to the VM. OpenNebula deletes volatile disks and clones with the VM,
but keeps a persistent image: its data outlives the VM, can be attached to another one, and is included in backups. A disk is
identified by attributes of its image: the mark of the instance and the name in spec.disks. Its device, its disk id and the
name of the image do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sovereigncloud.api.hostedinstance import HostedInstance, HostedInstanceSpec
from sovereigncloud.api.instance_disks import ROOT, InstanceDisk
from sovereigncloud.kinds.hostedinstance.machine.disk_names import (
    DISK,
    RECORD,
    is_root_disk,
    record_key,
    recorded_images,
)
from sovereigncloud.kinds.hostedinstance.machine.machine import Machine
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.ports.opennebula.views import CloudView, Disk, Image, Vm


@dataclass(frozen=True, slots=True)
class FoundDisk:
    """Result of the lookup of a data disk.

    Attributes:
        images: matching images: none, one, or several, of which a person must choose.
        disk: disk of the VM, if attached.
        lost: id of the recorded image, if it does not exist any more.
    """

    images: tuple[Image, ...] = ()
    disk: Disk | None = None
    lost: int | None = None

    @property
    def image(self) -> Image | None:
        return self.images[0] if len(self.images) == 1 else None


def is_disk_of(image: Image, observed: InstanceObservation) -> bool:
    """Return whether an image is a disk of this instance or its predecessor.

    A predecessor is the same object in an earlier Kubernetes cluster. Only images owned by a user of the namespace or of the
    VM count: other users can write the same attributes on theirs.
    """
    if DISK not in image.notes or image.mark is None:
        return False
    vm, mark = observed.found.thing, observed.mark
    if (image.mark.installation, image.mark.object) != (mark.installation, mark.object):
        return False
    return image.owner in observed.owners or (vm is not None and image.owner == vm.owner)


def data_disks(spec: HostedInstanceSpec) -> Iterator[InstanceDisk]:
    """Return the disks in spec without the root disk."""
    return (disk for disk in spec.disks or () if disk.name != ROOT)


def find_data_disk(m: Machine, name: str) -> FoundDisk:
    """Find a data disk: as recorded, else attached to the VM, else by mark among all images."""
    recorded = m.resource.external.get(record_key(name), "")
    number = int(recorded) if recorded.isdigit() else -1
    image = m.view.images.get(number)
    attached = next((disk for disk in m.vm.disks if disk.image_id == number), None)
    if image is not None and (attached is not None or _is_named(image, m, name)):
        return FoundDisk((image,), attached)
    for disk, on_it in attached_images(m):
        if _is_named(on_it, m, name):
            return FoundDisk((on_it,), disk)
    images = tuple(one for one in m.view.images.values() if _is_named(one, m, name))
    ours = tuple(one for one in images if one.mark == m.observed.mark)
    return FoundDisk(ours or images, lost=number if number >= 0 and not images else None)


def attached_images(m: Machine) -> Iterator[tuple[Disk, Image]]:
    """Return the disks of the VM whose image is known, with that image."""
    found = ((disk, m.view.images.get(disk.image_id)) for disk in m.vm.disks)
    return ((disk, image) for disk, image in found if image is not None)


def find_root_disk(vm: Vm, names: Mapping[int, str]) -> Disk | None:
    """Return the root disk: the first disk that is no data disk; None if somebody detached it.

    Args:
        vm: the VM.
        names: known names in spec.disks by disk id.
    """
    root = None
    for disk in vm.disks:
        if (root is None or disk.id < root.id) and not _is_data(names.get(disk.id)):
            root = disk
    return root


def is_data_disk(disk: Disk, m: Machine) -> bool:
    """Return whether a disk of the VM is a data disk of the instance."""
    return _is_data(m.disk_names.get(disk.id))


def _is_data(name: str | None) -> bool:
    return name is not None and not is_root_disk(name)


def disk_name(disk: Disk, m: Machine) -> str | None:
    """Return the name of a disk in spec.disks; None if unknown."""
    return m.disk_names.get(disk.id)


def names_by_disk(
    resource: HostedInstance, observed: InstanceObservation, view: CloudView, vm: Vm
) -> Mapping[int, str]:
    """Return names of disks by disk id, from the attributes of their image, else from status."""
    recorded = recorded_images(resource.external)
    names: dict[int, str] = {}
    for disk in vm.disks:
        image = view.images.get(disk.image_id)
        if image is not None and is_disk_of(image, observed):
            names[disk.id] = image.notes[DISK]
        elif disk.image_id >= 0 and (name := recorded.get(str(disk.image_id))) is not None:
            names[disk.id] = name
    return names


def is_restored(root: Disk, m: Machine) -> bool:
    """Return whether the root disk was restored from a backup of this instance."""
    return disk_name(root, m) == ROOT


def recorded_names(external: Iterable[str]) -> tuple[str, ...]:
    """Return the names of data disks recorded in `status.external`."""
    return tuple([key.removeprefix(RECORD) for key in external if key.startswith(RECORD)])


def _is_named(image: Image, m: Machine, name: str) -> bool:
    return image.notes.get(DISK) == name and is_disk_of(image, m.observed)
