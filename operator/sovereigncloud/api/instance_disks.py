"""What a HostedInstance says of its storage: disks, backups, snapshots, restore, keys from a Secret."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import DeletionPolicy, Model, Name, OutsideName, Quantity, Rule, Token
from sovereigncloud.api.common.names import label
from sovereigncloud.api.common.rules import NEVER_SMALLER, checked, whole_mebibytes
from sovereigncloud.api.verification import Schedule

ROOT = "root"
MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}

DiskName = Annotated[str, label("root or data", 32)]


class InstanceDisk(Model):
    """A disk. `root` is the one that the image brings; every other one is a data disk, an image of its own."""

    name: DiskName = Field(
        description="Which disk. root: the one that the source brings. Any other name: a data disk, known by this name from"
        " then on."
    )
    size: Quantity | None = Field(
        default=None,
        description="Size of the disk in whole MiB, for example 20Gi. It can grow, never shrink. Absent, with image: as large"
        " as that image is.",
        json_schema_extra=checked(whole_mebibytes("1Mi", "64Ti"), NEVER_SMALLER),
    )
    image: OutsideName | None = Field(
        default=None,
        description="An image that is there already, by its name in OpenNebula, such as a data disk that another instance"
        " left behind. A persistent one is attached itself and always kept; of another one a copy, which goes with the"
        " machine. Absent: a new empty disk is made.",
    )
    deletion_policy: Literal[DeletionPolicy.DELETE, DeletionPolicy.RETAIN] | None = Field(
        default=None,
        description="What becomes of a data disk that was made for this instance, when it is taken out of spec or the"
        " instance is deleted. Retain (default): its image is kept, and an instance of the same name finds it again. Delete:"
        " its image is deleted with what is on it.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.name == 'root' ? has(self.size) && !has(self.image) && !has(self.deletionPolicy)"
            " : has(self.size) || has(self.image)",
            "root has size and nothing else; a data disk needs size, for a new empty one, or image, for one that is there",
        ),
        Rule(
            "!has(self.image) || !has(self.deletionPolicy) || self.deletionPolicy == 'Retain'",
            "a disk from an image that was there before is always kept: take deletionPolicy out, or set it to Retain",
            field=".deletionPolicy",
        ),
        Rule(
            "has(self.image) == has(oldSelf.image) && (!has(self.image) || self.image == oldSelf.image)",
            "image of a disk cannot be changed: take the disk out and add one of another name",
            field=".image",
        ),
    )


class BackupMode(StrEnum):
    FULL = "Full"
    INCREMENTAL = "Incremental"


class Backup(Model):
    """Backups of the machine with its disks, made and scheduled by OpenNebula itself."""

    store: OutsideName = Field(
        description="The backup datastore that backups go to, by its name in OpenNebula, in the cloud of the machine."
    )
    schedule: Schedule | None = Field(
        default=None,
        description="When OpenNebula makes a backup by itself, also while this operator is away: five fields of cron (minute"
        ' hour day month weekday) in UTC, for example "0 2 * * *". OpenNebula knows hours at equal distances, days of the'
        " week or days of the month; a schedule that it cannot follow is refused. Absent: only on request.",
    )
    keep_last: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="How many backups, or increments of one, OpenNebula keeps; older ones it deletes. Absent: as OpenNebula"
        " has it, and at first all of them.",
    )
    mode: Literal[BackupMode.FULL, BackupMode.INCREMENTAL] | None = Field(
        default=None,
        description="Full: each backup is whole. Incremental: only what changed since the one before; needs disks of format"
        " qcow2. Absent: as OpenNebula has it, and at first Full.",
    )
    request: Token | None = Field(
        default=None,
        description="A word of your own. A new word asks for one backup now; the same word never asks for a second, which is"
        " remembered on the machine itself. Absent: only on schedule.",
    )


class Snapshot(Model):
    """A snapshot of the running machine, on request."""

    request: Token = Field(
        description="A word of your own. A new word asks for one snapshot now; the same word never asks for a second."
    )
    keep_last: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="How many of the snapshots that were asked for here are kept; the oldest go first. Those that a person"
        " took are never deleted. Absent: all.",
    )


class Restore(Model):
    """The machine's disks put back to what a backup of it holds, in place and powered off."""

    request: Token = Field(
        description="A word of your own. A new word asks for one restore; the same word never asks for a second. What is on"
        " the disks now is lost. A machine that runs needs updatePolicy.powerCycle: Allow, and is started again afterwards."
    )
    backup: OutsideName | None = Field(
        default=None,
        description="Which backup of this machine, by its name in OpenNebula (status.backups). Absent: the last one.",
    )
    increment: Annotated[int, Field(ge=0, le=100000)] | None = Field(
        default=None, description="Number of the increment of an incremental backup. Absent: the last one."
    )
    disk: DiskName | None = Field(
        default=None, description="Only this disk, by its name in spec.disks, for example root. Absent: all of them."
    )


class SshKeysSecretRef(Model):
    """One key of a Secret in the namespace of the object that names it."""

    name: Name = Field(description="Name of the Secret, in the namespace of this object.")
    key: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Which of its keys. Absent: authorized_keys, or the only key that the Secret has."
    )


class DiskStatus(Model):
    """A data disk that was made for this instance, or that it took."""

    name: Annotated[str, Field(max_length=32)] = Field(description="Its name in spec.disks.")
    image: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="Name of its image in OpenNebula: with it another instance can take the disk."
    )
    id: Annotated[str, Field(max_length=20)] | None = Field(default=None, description="Number of its image.")
    state: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="Attached: the machine has it. Detached: it has not, but spec asks for it. Retained: spec no longer names"
        " it, and it is kept.",
    )


class BackupStatus(Model):
    """A backup of the machine."""

    name: Annotated[str, Field(max_length=128)] = Field(description="Its name in OpenNebula, for restore.backup.")
    id: Annotated[str, Field(max_length=20)] | None = Field(default=None, description="Number of its image.")
    time: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="When it was made, or its last increment (RFC 3339, UTC)."
    )
    size: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="How large it is.")


class SnapshotStatus(Model):
    """A snapshot of the machine."""

    name: Annotated[str, Field(max_length=128)] = Field(
        description="What OpenNebula calls it, which holds the word that asked for it."
    )
    id: Annotated[str, Field(max_length=20)] | None = Field(
        default=None, description="Its number among the snapshots of the machine."
    )
    time: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="When it was taken (RFC 3339, UTC)."
    )


class RequestStatus(Model):
    """What became of what was asked for last."""

    request: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="The word that asked for it."
    )
    state: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Waiting, Running, Done or Failed."
    )
    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Why it waits or failed, and what to do."
    )


class RequestsStatus(Model):
    """What was asked for once."""

    backup: RequestStatus | None = Field(default=None, description="Of spec.backup.request.")
    snapshot: RequestStatus | None = Field(default=None, description="Of spec.snapshot.request.")
    restore: RequestStatus | None = Field(default=None, description="Of spec.restore.request.")


Disks = Annotated[list[InstanceDisk], Field(max_length=16)]
DisksStatus = Annotated[list[DiskStatus], Field(max_length=32)]
BackupsStatus = Annotated[list[BackupStatus], Field(max_length=16)]
SnapshotsStatus = Annotated[list[SnapshotStatus], Field(max_length=16)]
