"""Whether a template takes what a reinstallation asks of it. Pure, and asked before anything is wiped.

Terraform sent an impossible layout, then waited five minutes for a task that never was (terraform-provider-ovh #671).
"""

from __future__ import annotations

from collections.abc import Iterable

from sovereigncloud.api.partitioning import Partition
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.ports.ovh.reinstall import DiskGroup, InstallationTemplate, Part

HOSTNAME = "hostname"
SSH_KEY = "sshKey"
SCRIPT = "postInstallationScript"
GIVEN = frozenset({HOSTNAME, SSH_KEY, SCRIPT})
"""The questions of an installation that the operator answers."""

_LEAST_DISKS = {5: 3, 6: 4, 10: 4}
"""Where fewer are surely too few; of the other levels the API is the judge."""
_MIRROR = 1


def parts(partitioning: Iterable[Partition]) -> tuple[Part, ...]:
    """The declared partitions as the API takes them. Raises ValueError for a size that is no whole number of MiB."""
    return tuple(
        Part(p.mount_point, str(p.file_system), mebibytes(p.size) if p.size is not None else 0, p.raid_level)
        for p in partitioning
    )


def unanswered(template: InstallationTemplate) -> tuple[str, ...]:
    """What must be said to its installation and nobody here can say, such as the address of an image."""
    return tuple(one.name for one in template.inputs if one.mandatory and one.name not in GIVEN)


def impossible(layout: tuple[Part, ...], template: InstallationTemplate, groups: tuple[DiskGroup, ...]) -> str:
    """Why these partitions cannot be made, with the remedy; empty: nothing speaks against them."""
    if not layout:
        return ""
    if not template.partitioning:
        return f"{template.name} comes partitioned; remove reinstall.partitioning, or choose another operatingSystem"
    group = min(groups, key=lambda g: g.id, default=None)
    for number, part in enumerate(layout):
        why = _wrong(part, template, group)
        if why:
            return f"reinstall.partitioning[{number}] ({part.mount_point}): {why}"
    if group is not None and (short := _short(layout, group)):
        return short
    return ""


def _wrong(part: Part, template: InstallationTemplate, group: DiskGroup | None) -> str:
    if part.file_system not in template.file_systems:
        known = ", ".join(sorted(template.file_systems)) or "no file system"
        return f"{template.name} has no {part.file_system}; set fileSystem to one of {known}"
    if part.raid is None:
        return ""
    if template.only_mirroring and part.raid != _MIRROR:
        return f"{template.name} only mirrors; remove raidLevel, or set it to 1"
    least = _LEAST_DISKS.get(part.raid, 0)
    if group is not None and group.disks < least:
        return f"RAID {part.raid} needs {least} disks, the server has {group.disks}; set another raidLevel"
    return ""


def _short(layout: tuple[Part, ...], group: DiskGroup) -> str:
    """That they do not fit into the disks, where the size of these is known."""
    if not group.size:
        return ""
    needed = sum(_of_each_disk(part, group.disks) for part in layout)
    if needed <= group.size:
        return ""
    return (
        f"reinstall.partitioning takes {needed:.0f} MiB of each of the {group.disks} disks, which have {group.size} MiB;"
        " make partitions smaller"
    )


def _of_each_disk(part: Part, disks: int) -> float:
    """How much of each disk a partition takes."""
    match part.raid:
        case 0:
            shares = disks
        case 5:
            shares = disks - 1
        case 6:
            shares = disks - 2
        case 10:
            shares = disks // 2
        case _:
            shares = 1
    return part.size / max(shares, 1)
