"""Whether an image that is there may become a disk of a machine."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, stalled
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine.machine import Machine
from sovereigncloud.kinds.hostedinstance.storage.names import DISK
from sovereigncloud.ports.opennebula.views import Image


def not_to_be_taken(m: Machine, disk: str, image: Image) -> Outcome:
    """Whose it is decides: what another namespace left is not for this one, whoever owns both in OpenNebula."""
    if image.mark is None:
        return DONE
    what = f'image {image.id} "{image.name}" in {where(m.cloud)}'
    if ownership(image.mark, m.observed.mark) is Ownership.FOREIGN:
        return stalled(
            Reason.OWNED_BY_ANOTHER_INSTALLATION,
            f"{what} belongs to installation {image.mark.installation}; name another in spec.disks[{disk}].image",
        )
    if is_of_another_namespace(image, m.resource.metadata.namespace):
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
            f'{what} is disk "{image.notes[DISK]}" of {holder}, which asks for it; take it out of spec.disks there first',
        )
    return DONE


def is_of_another_namespace(image: Image, namespace: str) -> bool:
    """Whether it is a disk of an instance elsewhere: in OpenNebula all of them may have one owner."""
    return DISK in image.notes and image.mark is not None and f"/{namespace}/" not in image.mark.object
