"""Ownership checks before an existing image becomes a data disk."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, stalled
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK
from sovereigncloud.kinds.hostedinstance.machine.machine import Machine
from sovereigncloud.ports.opennebula.views import Image


def check_image_ownership(m: Machine, disk: str, image: Image) -> Outcome:
    """Check that this instance may attach an image.

    A disk of another namespace is refused, whoever owns the image in OpenNebula.
    """
    if image.mark is None:
        return DONE
    what = f'image {image.id} "{image.name}" in {where(m.cloud)}'
    if ownership(image.mark, m.observed.mark) is Ownership.FOREIGN:
        return stalled(
            Reason.OWNED_BY_ANOTHER_INSTALLATION,
            f"{what} belongs to installation {image.mark.installation}; name another in spec.disks[{disk}].image",
        )
    if is_of_other_namespace(image, m.resource.metadata.namespace):
        return stalled(
            Reason.NAMESPACE_NOT_ALLOWED,
            f"{what} is a disk of another namespace; name another in spec.disks[{disk}].image",
        )
    if DISK not in image.notes:
        if not image.persistent:
            return DONE
        return stalled(
            Reason.OWNED_BY_ANOTHER_OBJECT,
            f"{what} belongs to {image.mark.object} and is persistent; name another in spec.disks[{disk}].image",
        )
    holder = m.observed.disk_holders.get(disk)
    if holder:
        return stalled(
            Reason.OWNED_BY_ANOTHER_OBJECT,
            f'{what} is disk "{image.notes[DISK]}" of {holder}, which still declares it; remove it from spec.disks there first',
        )
    return DONE


def is_of_other_namespace(image: Image, namespace: str) -> bool:
    """Return whether an image is a disk of an instance in another namespace."""
    return DISK in image.notes and image.mark is not None and f"/{namespace}/" not in image.mark.object
