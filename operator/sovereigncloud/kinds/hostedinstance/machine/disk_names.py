"""Attributes on images and VMs that identify disks."""

from __future__ import annotations

from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.core.identity import Mark

DISK = "SOVEREIGNCLOUD_DISK"
"""Attribute of an image and of a VM disk: name of the disk in spec.disks."""
POLICY = "SOVEREIGNCLOUD_DELETION_POLICY"
"""Attribute of an image: deletion policy, applied after the disk is removed from spec."""
RECORD = "disk."
"""Prefix of the keys in `status.external` that hold the image id of a disk."""


def record_key(name: str) -> str:
    """Return the key in `status.external` for the image id of a disk."""
    return f"{RECORD}{name}"


def image_attributes(name: str, policy: str, mark: Mark) -> dict[str, str]:
    """Return the attributes of an image: instance, disk name and deletion policy."""
    return {DISK: name, POLICY: policy, **mark.for_opennebula()}


def recorded_images(external: dict[str, str]) -> dict[str, str]:
    """Return disk names by recorded image id; the first one if several disks record an image."""
    return {image: key.removeprefix(RECORD) for key, image in reversed(external.items()) if key.startswith(RECORD)}


def is_root_disk(name: str) -> bool:
    """Return whether a name is the root disk or a disk restored with it ("root.1").

    Names in spec contain no dot.
    """
    return name == ROOT or name.startswith(f"{ROOT}.")
