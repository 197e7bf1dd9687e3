"""Plan for the persistent images of the source VM, which outlive it in OpenNebula. Pure.

They get the mark of the migration together with the VM. So the instance has no second disk of the same name, and the
images can be attributed after the VM is gone. Images that existed before the instance (spec.disks[].image) are never
included.
"""

from __future__ import annotations

from collections.abc import Iterator

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Ownership, ownership
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation, Side
from sovereigncloud.kinds.instancemigration.steps import DeleteImage, MarkSourceDisk
from sovereigncloud.kinds.movement.records import MOVED
from sovereigncloud.ports.opennebula.views import Image

_OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})
_READY, _ERROR = 1, 5
_LOOK_AGAIN = 5.0


def mark_source_disks(seen: MigrationObservation) -> Iterator[MarkSourceDisk]:
    """Steps that mark the disks of the source VM which this instance created."""
    if seen.old is None or seen.source is None or seen.instance is None or seen.instance_mark is None:
        return
    brought = _preexisting_disks(seen.instance)
    for disk in seen.old.disks:
        image = seen.source.view.images.get(disk.image_id)
        if image is None or ownership(image.mark, seen.instance_mark) not in _OURS:
            continue
        label = image.notes.get(DISK, "")
        if label and label not in brought:
            yield MarkSourceDisk(
                action=Action.MARK,
                target=f'image {image.id} "{image.name}" in {where(seen.source.cloud)}: left',
                cloud=seen.source.cloud,
                vm=seen.old.id,
                image=image.id,
            )


def _preexisting_disks(instance: HostedInstance) -> set[str]:
    return {disk.name for disk in instance.spec.disks or () if disk.image is not None}


def is_source_disk(image: Image) -> bool:
    """Whether an image is a disk of a source VM, and not a temporary image of the transfer."""
    return MOVED in image.notes and DISK in image.notes


def delete_source_disks(seen: MigrationObservation) -> Plan | None:
    """Plan the deletion of the source VM's disks once the VM is gone; None if there are none.

    An image that another VM uses meanwhile stays.
    """
    images = list(_left(seen, seen.source)) if seen.source is not None and seen.old is None else []
    if seen.source is None or not images:
        return None
    cloud = seen.source.cloud
    steps = tuple(
        DeleteImage(
            action=Action.DELETE,
            target=f'image {image.id} "{image.name}" in {where(cloud)}, which was left',
            disruption=Disruption.DATA_LOSS,
            cloud=cloud,
            image=image.id,
        )
        for image in images
        if image.state in {_READY, _ERROR} and not image.vms
    )
    told = f"deleting the disks left in {where(cloud)}: image {', '.join(str(image.id) for image in images)}"
    return Plan(steps=steps, outcome=waiting(Reason.TERMINATING, told, after=_LOOK_AGAIN, available=True))


def _left(seen: MigrationObservation, source: Side) -> Iterator[Image]:
    for image in source.view.images.values():
        ours = image.owner in source.owners and ownership(image.mark, seen.mark) in _OURS
        if ours and is_source_disk(image) and not any(number in source.view.vms for number in image.vms):
            yield image
