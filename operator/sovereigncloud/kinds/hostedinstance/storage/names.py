"""What is written on images and machines about disks."""

from __future__ import annotations

from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.core.identity import Mark

DISK = "SOVEREIGNCLOUD_DISK"
"""On an image, and on the disk of a machine: which disk of spec.disks it is."""
POLICY = "SOVEREIGNCLOUD_DELETION_POLICY"
"""On an image: what becomes of it when spec names it no more."""
RECORD = "disk."
"""How the keys of `status.external` begin that tell which image a disk is."""


def record(name: str) -> str:
    """The key of `status.external` for the id of the disk's image."""
    return f"{RECORD}{name}"


def marks(name: str, policy: str, mark: Mark) -> dict[str, str]:
    """What is written on an image: whose disk it is, which one, and what becomes of it."""
    return {DISK: name, POLICY: policy, **mark.for_opennebula()}


def recorded_images(external: dict[str, str]) -> dict[str, str]:
    """By the id of an image the name of the disk that it was recorded for; of several the first."""
    return {image: key.removeprefix(RECORD) for key, image in reversed(external.items()) if key.startswith(RECORD)}


def with_root(name: str) -> bool:
    """Whether it is the root disk, or another one that came with it from a backup ("root.1"): no name of spec has a dot."""
    return name == ROOT or name.startswith(f"{ROOT}.")
