"""A copy of a VM, a backup or an image, from which it can be created elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sovereigncloud.api.continuity import MachineShape
from sovereigncloud.kinds.movement.records import seconds_of

BACKUP, IMAGE = "Backup", "Image"


@dataclass(frozen=True, slots=True)
class DiskCopy:
    """A disk in a copy.

    `label`: its name in spec.disks; empty: root or another disk of the VM itself. `size` in MiB. `source`: image
    attributes that restore it in the queried cloud; empty: none was queried.
    """

    id: int
    label: str
    size: int
    source: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackupLocation:
    """Identifiers of a backup in OpenNebula of its own cloud.

    `chain`: pairs of increment id and snapshot, oldest first.
    """

    driver: str
    store: int
    vm: int
    system: int
    job: str
    chain: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a VM, see `CopyStatus`. `held`: identifiers of a backup."""

    kind: str
    name: str
    time: str
    outside: bool
    server: str
    disks: tuple[DiskCopy, ...]
    held: BackupLocation = BackupLocation("", -1, -1, -1, "", "")
    shape: MachineShape | None = None
    """Shape of the VM, if the copy records it."""

    @property
    def seconds(self) -> int:
        """Time of the copy in seconds since 1970."""
        return seconds_of(self.time)

    def __str__(self) -> str:
        if self.kind == IMAGE:
            return f"the copy {self.name} of {self.time}, retained by a rehearsal"
        return f"backup {self.name} of {self.time} on {self.server or 'the front-end'}"
