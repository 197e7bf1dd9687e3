"""Partition layout of a server's disks at its reinstallation."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model, Quantity, Rule
from sovereigncloud.api.common.rules import checked, whole_mebibytes


class FileSystem(StrEnum):
    """File systems as OVHcloud names them; the operating system's template lists the supported ones."""

    EXT4 = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"
    EXT3 = "ext3"
    ZFS = "zfs"
    SWAP = "swap"


SWAP = "swap"


class Partition(Model):
    """A partition, mirrored over the disks unless raidLevel says otherwise."""

    mount_point: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^(swap|/|(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+)$",
            json_schema_extra={
                WORDS: "must be a path without a / at its end and no part that begins with a dot, for example /var/lib/one; for"
                " swap the word swap"
            },
        ),
    ] = Field(description="Mount point, for example / or /var/lib/one; swap for swap space.")
    file_system: Literal[
        FileSystem.EXT4, FileSystem.XFS, FileSystem.BTRFS, FileSystem.EXT3, FileSystem.ZFS, FileSystem.SWAP
    ] = Field(
        description="File system of the partition; the operating system's template must support it. ext4: the usual Linux"
        " file system. xfs: suited to large files. btrfs: supports snapshots. ext3: predecessor of ext4. zfs:"
        " uses its own pools. swap: swap space."
    )
    size: Quantity | None = Field(
        default=None,
        description="Size in whole MiB, in bytes with a suffix, for example 100Gi. Absent (allowed for one partition): the"
        " remaining space.",
        json_schema_extra=checked(whole_mebibytes("512Mi", "1Pi")),
    )
    raid_level: Literal[0, 1, 5, 6, 7, 10] | None = Field(
        default=None,
        description="Software RAID level, by the number of disks that may fail. 0: striping without redundancy. 1 (default): mirror, all disks but one may fail."
        " 5: one disk may fail, needs three or more disks. 6: two disks may fail, needs four or more. 7: three"
        " disks may fail, with zfs. 10: one disk of each mirrored pair may fail, needs four or more.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.mountPoint == 'swap') == (self.fileSystem == 'swap')",
            "swap space has both: mountPoint: swap and fileSystem: swap",
            field=".mountPoint",
        ),
        Rule(
            "self.fileSystem != 'swap' || !has(self.raidLevel) || self.raidLevel == 1",
            "swap space is always mirrored: remove raidLevel, or set it to 1",
            field=".raidLevel",
        ),
    )


Partitioning = Annotated[list[Partition], Field(min_length=1, max_length=16)]

PARTITIONING_RULES = (
    Rule(
        "!has(self.partitioning) || self.partitioning.exists_one(p, p.mountPoint == '/')",
        "nothing is mounted at /: add for example {mountPoint: /, fileSystem: ext4, size: 100Gi}",
        field=".partitioning",
    ),
    Rule(
        "!has(self.partitioning) || self.partitioning.filter(p, !has(p.size)).size() <= 1",
        "only one partition can have all that the others leave: give the others a size",
        field=".partitioning",
    ),
)
"""For an object with partitioning."""
