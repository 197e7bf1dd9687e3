"""Storage fields of a HostedInstance: disks, backups, snapshots, restore, SSH keys from a Secret."""

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
    """A disk. `root` is the disk of the source image; every other one is a data disk with its own image."""

    name: DiskName = Field(
        description="Name of the disk. root: the root disk of the source. Any other name: a data disk with that name."
    )
    size: Quantity | None = Field(
        default=None,
        description="Size of the disk in whole MiB, for example 20Gi. It can grow, never shrink. Absent, with image: the"
        " size of the image.",
        json_schema_extra=checked(whole_mebibytes("1Mi", "64Ti"), NEVER_SMALLER),
    )
    image: OutsideName | None = Field(
        default=None,
        description="OpenNebula name of an existing image, for example a data disk that another instance left. A persistent"
        " image is attached itself and always kept; of any other image the VM gets a copy, which is deleted with"
        " the VM. Absent: a new empty disk.",
    )
    deletion_policy: Literal[DeletionPolicy.DELETE, DeletionPolicy.RETAIN] | None = Field(
        default=None,
        description="What happens to a data disk created for this instance when it is removed from spec or the instance is"
        " deleted. Retain (default): its image is kept, and an instance with the same name attaches it again."
        " Delete: its image is deleted with its data.",
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
    """Backups of the VM and its disks, scheduled and made by OpenNebula."""

    store: OutsideName = Field(description="OpenNebula name of the backup datastore, in the cloud of the VM.")
    schedule: Schedule | None = Field(
        default=None,
        description="Cron schedule that OpenNebula itself executes, also while the operator is down: five fields (minute"
        ' hour day month weekday) in UTC, for example "0 2 * * *". OpenNebula supports equal intervals of hours,'
        " days of the week or days of the month; the operator refuses other schedules. Absent: only on request.",
    )
    keep_last: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Number of backups, or of increments, that OpenNebula keeps; it deletes older ones. Absent: not"
        " changed; a new VM keeps all of them.",
    )
    mode: Literal[BackupMode.FULL, BackupMode.INCREMENTAL] | None = Field(
        default=None,
        description="Full: each backup is complete. Incremental: only changes since the previous backup; requires qcow2"
        " disks. Absent: not changed; a new VM uses Full.",
    )
    request: Token | None = Field(
        default=None,
        description="Request token. A new value triggers one backup now; a value that was used before triggers none. The VM"
        " stores the last value. Absent: only on schedule.",
    )


class Snapshot(Model):
    """Snapshot of the running VM, on request."""

    request: Token = Field(
        description="Request token. A new value triggers one snapshot now; a value that was used before triggers none."
    )
    keep_last: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="Number of requested snapshots to keep; the oldest are deleted first. Snapshots from other sources are"
        " never deleted. Absent: all are kept.",
    )


class Restore(Model):
    """In-place restore of the VM's disks from a backup; the VM is powered off meanwhile."""

    request: Token = Field(
        description="Request token. A new value triggers one restore, which overwrites the disks; a value that was used"
        " before triggers none. A running VM needs updatePolicy.powerCycle: Allow and is started again"
        " afterwards."
    )
    backup: OutsideName | None = Field(
        default=None,
        description="OpenNebula name of a backup of this VM (see status.backups). Absent: the latest one.",
    )
    increment: Annotated[int, Field(ge=0, le=100000)] | None = Field(
        default=None, description="Number of the increment of an incremental backup. Absent: the latest one."
    )
    disk: DiskName | None = Field(
        default=None,
        description="Name of the only disk to restore, as in spec.disks, for example root. Absent: all disks.",
    )


class SshKeysSecretRef(Model):
    """A key of a Secret in the namespace of this object."""

    name: Name = Field(description="Name of the Secret, in the namespace of this object.")
    key: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Key of the Secret. Absent: authorized_keys, or the only key of the Secret."
    )


class DiskStatus(Model):
    """A data disk that was created for this instance or that it attached."""

    name: Annotated[str, Field(max_length=32)] = Field(description="Name of the disk in spec.disks.")
    image: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="OpenNebula image name of the disk; another instance can attach the disk with it."
    )
    id: Annotated[str, Field(max_length=20)] | None = Field(
        default=None, description="OpenNebula ID of the disk's image."
    )
    state: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="State of the disk. Attached: attached to the VM. Detached: in spec, but not attached. Retained:"
        " removed from spec, and kept.",
    )


class BackupStatus(Model):
    """A backup of the VM."""

    name: Annotated[str, Field(max_length=128)] = Field(
        description="OpenNebula name of the backup, for spec.restore.backup."
    )
    id: Annotated[str, Field(max_length=20)] | None = Field(
        default=None, description="OpenNebula ID of the disk's image."
    )
    time: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Time of the backup or of its latest increment (RFC 3339, UTC)."
    )
    size: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Total size of the backup's data."
    )


class SnapshotStatus(Model):
    """A snapshot of the VM."""

    name: Annotated[str, Field(max_length=128)] = Field(
        description="OpenNebula name of the snapshot, which contains its request token."
    )
    id: Annotated[str, Field(max_length=20)] | None = Field(
        default=None, description="ID of the snapshot within the VM."
    )
    time: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Time of the snapshot (RFC 3339, UTC)."
    )


class RequestStatus(Model):
    """State of the last one-time request."""

    request: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Token in spec that triggered the request."
    )
    state: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Progress of the request: Waiting, Running, Done or Failed."
    )
    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Why the request waits or failed, and what to do."
    )


class RequestsStatus(Model):
    """State of the one-time requests."""

    backup: RequestStatus | None = Field(default=None, description="State of the request in spec.backup.request.")
    snapshot: RequestStatus | None = Field(default=None, description="State of the request in spec.snapshot.request.")
    restore: RequestStatus | None = Field(default=None, description="State of the request in spec.restore.request.")


Disks = Annotated[list[InstanceDisk], Field(max_length=16)]
DisksStatus = Annotated[list[DiskStatus], Field(max_length=32)]
BackupsStatus = Annotated[list[BackupStatus], Field(max_length=16)]
SnapshotsStatus = Annotated[list[SnapshotStatus], Field(max_length=16)]
