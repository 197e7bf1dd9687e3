"""What OVHcloud's API tells about the installation of a server, and what it takes for one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TemplateInput:
    """A question that an installation asks, by the name of its customization."""

    name: str
    mandatory: bool


@dataclass(frozen=True, slots=True)
class InstallationTemplate:
    """An operating system that can be installed.

    Attributes:
        inputs: what may, or must, be said to its installation.
        file_systems: what partitions may hold.
        partitioning: whether the disks may be divided otherwise than by default.
        only_mirroring: software RAID of level 1 only.
    """

    name: str
    inputs: tuple[TemplateInput, ...]
    file_systems: frozenset[str]
    partitioning: bool
    only_mirroring: bool

    def takes(self, customization: str) -> bool:
        """Whether it knows this customization."""
        return any(one.name == customization for one in self.inputs)


@dataclass(frozen=True, slots=True)
class DiskGroup:
    """Like disks of a server. `size` of each in MiB; 0: not known."""

    id: int
    disks: int
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A partition as the API takes it. `size` in MiB, 0: all that is left; `raid` None: OVHcloud's default."""

    mount_point: str
    file_system: str
    size: int
    raid: int | None
