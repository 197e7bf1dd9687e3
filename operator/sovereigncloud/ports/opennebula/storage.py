"""The door to what OpenNebula does with disks, backups and snapshots of machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

BACKUP_ACTION = "backup"


@dataclass(frozen=True, slots=True)
class VmSnapshot:
    """A snapshot of a whole machine. `time`: seconds since the epoch. `busy`: it is being taken, or deleted."""

    id: int
    name: str
    time: int
    busy: bool = False


@dataclass(frozen=True, slots=True)
class VmBackups:
    """What a machine tells of its backups.

    Attributes:
        keep_last: 0: all.
        mode: FULL or INCREMENT; empty: never said.
        images: ids of the backup images, oldest first.
        increment: number of the last increment; -1: none.
    """

    keep_last: int = 0
    mode: str = ""
    images: tuple[int, ...] = ()
    increment: int = -1


NO_BACKUPS = VmBackups()


@dataclass(frozen=True, slots=True)
class ScheduledAction:
    """What OpenNebula does to a machine by itself. `time`: seconds since the epoch; `repeat`: 0 weekly, 1 monthly,
    2 yearly, 3 every `days` hours; `days`: numbers with commas between them.
    """

    action: str
    args: str
    time: int
    repeat: int
    days: str
    id: int = -1


@dataclass(frozen=True, slots=True)
class TemplateDisk:
    """A disk of a VM template. `label`: the name that the operator gave it on the machine that was backed up."""

    image_id: int
    label: str


class Storage(Protocol):
    """Disks, backups and snapshots, under the credential of the front-end that it belongs to."""

    async def attach_disk(self, vm_id: int, image_id: int, label: str) -> None:
        """OK means queued. `label` stays with the disk, also in a backup."""
        ...

    async def detach_disk(self, vm_id: int, disk_id: int) -> None: ...
    async def make_persistent(self, image_id: int) -> None:
        """A machine works on the image itself from then on. Refused while one uses it."""
        ...

    async def configure_backups(self, vm_id: int, *, keep_last: int | None, mode: str | None) -> None:
        """What is None stays as it is."""
        ...

    async def scheduled(self, vm_id: int) -> tuple[ScheduledAction, ...]:
        """What is scheduled for one machine: oned tells it of one machine only, a pool has just the numbers."""
        ...

    async def schedule(self, vm_id: int, action: ScheduledAction) -> int: ...
    async def reschedule(self, vm_id: int, action: ScheduledAction) -> None: ...
    async def unschedule(self, vm_id: int, action_id: int) -> None: ...

    async def back_up(self, vm_id: int, datastore_id: int) -> None:
        """Needs VM:ADMIN. OK means begun."""
        ...

    async def take_snapshot(self, vm_id: int, name: str) -> None: ...
    async def delete_snapshot(self, vm_id: int, snapshot_id: int) -> None: ...
    async def restore(self, vm_id: int, image_id: int, increment: int, disk_id: int) -> None:
        """In place, powered off; needs VM:ADMIN. -1: the last increment, all disks."""
        ...

    async def restore_elsewhere(self, image_id: int, datastore_id: int, name: str, *, addresses: bool) -> int:
        """A backup as a new VM template and new images: the template's id. They are called `name`, `name`-disk-0, ...
        `addresses`: the network cards keep theirs.
        """
        ...

    async def delete_template(self, template_id: int) -> None: ...
