"""What an OpenNebula can do, by the version that one.system.version tells: 6.10 to 7.4.

From 6.10 to 7.4 no method went, and few came; what is used of those is named here, and nothing else asks for a number. A
version that cannot be read, or that is older, has none of them; a later one has them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

OLDEST, NEWEST = (6, 10), (7, 4)
"""The releases that the contract tests cover, first and last."""


REFERENCE = (7, 0)
"""The release of the reference architecture (OVHcloud's guide): a cloud that the operator builds has at least this one."""


class Feature(StrEnum):
    """Something that came with a release, by its name in OpenNebula."""

    GROUP_MEMBERSHIP = "one.vm.vmgroupadd"
    """A machine joins and leaves a VM group. Before, it is born into one for good."""
    DEVICE_QUOTA = "PCI_DEV"
    """Quotas count PCI devices."""


_SINCE: Mapping[Feature, tuple[int, int]] = {Feature.GROUP_MEMBERSHIP: (7, 4), Feature.DEVICE_QUOTA: (7, 4)}


def has(version: str, feature: Feature) -> bool:
    """Whether a release has this. Patch numbers do not matter: 7.3.80, on the way to 7.4, has it not."""
    numbers = release(version)
    return numbers is not None and numbers >= _SINCE[feature]


def covered(version: str) -> bool:
    """Whether the release is one of those that are tested; an unknown one is used all the same, and told."""
    numbers = release(version)
    return numbers is not None and OLDEST <= numbers <= NEWEST


def release(version: str) -> tuple[int, int] | None:
    """6.10.2 is (6, 10); None: no version."""
    parts = version.split(".")[:2]
    if len(parts) < len(OLDEST) or not all(part.isdecimal() for part in parts):
        return None
    return int(parts[0]), int(parts[1])
