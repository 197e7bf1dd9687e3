"""How the disks of a server are divided when it is reinstalled."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model, Quantity, Rule
from sovereigncloud.api.common.rules import checked, whole_mebibytes


class FileSystem(StrEnum):
    """File systems in OVHcloud's words; which of them an operating system takes, its template says."""

    EXT4 = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"
    EXT3 = "ext3"
    ZFS = "zfs"
    SWAP = "swap"


SWAP = "swap"


class Partition(Model):
    """A part of the disks, mirrored over them unless raidLevel says otherwise."""

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
    ] = Field(description="Where it is mounted, for example / or /var/lib/one; the word swap for swap space.")
    file_system: Literal[
        FileSystem.EXT4, FileSystem.XFS, FileSystem.BTRFS, FileSystem.EXT3, FileSystem.ZFS, FileSystem.SWAP
    ] = Field(
        description="File system in it, one that the operating system's template takes. ext4: the usual one of Linux. xfs: for"
        " large files. btrfs: with snapshots. ext3: before ext4. zfs: pools of its own. swap: swap space."
    )
    size: Quantity | None = Field(
        default=None,
        description="How much it holds, in bytes with a suffix, whole MiB, for example 100Gi. Absent, which one of them may be: all"
        " that the others leave.",
        json_schema_extra=checked(whole_mebibytes("512Mi", "1Pi")),
    )
    raid_level: Literal[0, 1, 5, 6, 7, 10] | None = Field(
        default=None,
        description="Level of the software RAID over the disks, by the number of disks that may fail. 0: none, striped. 1 (default): all"
        " but one, mirrored. 5: one, of three or more. 6: two, of four or more. 7: three, with zfs. 10: one of each pair, of four"
        " or more.",
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
