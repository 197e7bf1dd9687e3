"""Which images and which disks of a machine are its data disks.

A data disk is a persistent image of its own (DATABLOCK), attached to the machine: OpenNebula ends a machine with its
volatile disks and clones, but gives a persistent image back whole, so that what is on it outlives the machine, can be taken
by another one, and is backed up with the machine. What a disk is, is written on its image: the mark of the instance and the
disk's name in spec.disks. Its place on the machine, its number and the image's name mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sovereigncloud.api.hostedinstance import HostedInstance, HostedInstanceSpec
from sovereigncloud.api.instance_disks import ROOT, InstanceDisk
from sovereigncloud.kinds.hostedinstance.machine.machine import Machine
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, RECORD, record, recorded_images, with_root
from sovereigncloud.ports.opennebula.views import CloudView, Disk, Image, Vm


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a data disk.

    Attributes:
        images: that are it: none, one, or several, of which a person must choose.
        disk: of the machine, where it is attached.
        lost: the id of the image that it was, where that is not there any more.
    """

    images: tuple[Image, ...] = ()
    disk: Disk | None = None
    lost: int | None = None

    @property
    def image(self) -> Image | None:
        return self.images[0] if len(self.images) == 1 else None


def belongs(image: Image, observed: InstanceObservation) -> bool:
    """Whether an image is a disk of this instance, or of its predecessor in a cluster before this one. Only what is made
    for its namespace, or by the user that has the machine, counts: others can write the same on theirs.
    """
    if DISK not in image.notes or image.mark is None:
        return False
    vm, mark = observed.found.thing, observed.mark
    if (image.mark.installation, image.mark.object) != (mark.installation, mark.object):
        return False
    return image.owner in observed.owners or (vm is not None and image.owner == vm.owner)


def data_disks(spec: HostedInstanceSpec) -> Iterator[InstanceDisk]:
    """Those of spec, the root disk left out."""
    return (disk for disk in spec.disks or () if disk.name != ROOT)


def find(m: Machine, name: str) -> Found:
    """The data disk of that name: as recorded, else on the machine, else anywhere by its mark."""
    recorded = m.resource.external.get(record(name), "")
    number = int(recorded) if recorded.isdigit() else -1
    image = m.view.images.get(number)
    attached = next((disk for disk in m.vm.disks if disk.image_id == number), None)
    if image is not None and (attached is not None or _is(image, m, name)):
        return Found((image,), attached)
    for disk, on_it in attached_images(m):
        if _is(on_it, m, name):
            return Found((on_it,), disk)
    images = tuple(one for one in m.view.images.values() if _is(one, m, name))
    ours = tuple(one for one in images if one.mark == m.observed.mark)
    return Found(ours or images, lost=number if number >= 0 and not images else None)


def attached_images(m: Machine) -> Iterator[tuple[Disk, Image]]:
    """The disks of the machine with their images, as far as they have one that is known."""
    found = ((disk, m.view.images.get(disk.image_id)) for disk in m.vm.disks)
    return ((disk, image) for disk, image in found if image is not None)


def root_of(vm: Vm, names: Mapping[int, str]) -> Disk | None:
    """The first disk that is no data disk: a machine whose root disk somebody took away has none.

    Args:
        vm: whose.
        names: of its disks, as far as they are known.
    """
    root = None
    for disk in vm.disks:
        if (root is None or disk.id < root.id) and not _is_data(names.get(disk.id)):
            root = disk
    return root


def is_data_disk(disk: Disk, m: Machine) -> bool:
    return _is_data(m.disk_names.get(disk.id))


def _is_data(name: str | None) -> bool:
    return name is not None and not with_root(name)


def name_of(disk: Disk, m: Machine) -> str | None:
    """Its name in spec.disks; None for one that is not known there."""
    return m.disk_names.get(disk.id)


def names_of_disks(
    resource: HostedInstance, observed: InstanceObservation, view: CloudView, vm: Vm
) -> Mapping[int, str]:
    """By number of the disk: what its image says, else what was recorded of that image."""
    recorded = recorded_images(resource.external)
    names: dict[int, str] = {}
    for disk in vm.disks:
        image = view.images.get(disk.image_id)
        if image is not None and belongs(image, observed):
            names[disk.id] = image.notes[DISK]
        elif disk.image_id >= 0 and (name := recorded.get(str(disk.image_id))) is not None:
            names[disk.id] = name
    return names


def is_restored(root: Disk, m: Machine) -> bool:
    """Whether the root disk was made from a backup of this instance."""
    return name_of(root, m) == ROOT


def recorded_names(external: Iterable[str]) -> tuple[str, ...]:
    """The data disks that were there once."""
    return tuple([key.removeprefix(RECORD) for key in external if key.startswith(RECORD)])


def _is(image: Image, m: Machine, name: str) -> bool:
    return image.notes.get(DISK) == name and belongs(image, m.observed)
