"""The disks of a machine that was left: images of their own, which OpenNebula keeps when the machine goes. Pure.

They get the mark of the move when the machine does, so that the instance has no second disk of a name, and whoever finds them after
the machine is gone knows whose they were. An image that a person brought is never one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Ownership, ownership
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.storage.names import DISK
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation, Side
from sovereigncloud.kinds.instancemigration.steps import DeleteImage, LeaveDisk
from sovereigncloud.kinds.movement.records import MOVED
from sovereigncloud.ports.opennebula.views import Image

_OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})
_READY, _ERROR = 1, 5
_LOOK_AGAIN = 5.0


def leave_disks(seen: MigrationObservation) -> Iterator[LeaveDisk]:
    """Those of the machine that carry the mark of its instance, and that spec does not name as an image that was there before."""
    if seen.old is None or seen.source is None or seen.instance is None or seen.instance_mark is None:
        return
    brought = _brought(seen.instance)
    for disk in seen.old.disks:
        image = seen.source.view.images.get(disk.image_id)
        if image is None or ownership(image.mark, seen.instance_mark) not in _OURS:
            continue
        label = image.notes.get(DISK, "")
        if label and label not in brought:
            yield LeaveDisk(
                action=Action.MARK,
                target=f'image {image.id} "{image.name}" in {where(seen.source.cloud)}: left',
                cloud=seen.source.cloud,
                vm=seen.old.id,
                image=image.id,
            )


def _brought(instance: HostedInstance) -> set[str]:
    return {disk.name for disk in instance.spec.disks or () if disk.image is not None}


def is_left_disk(image: Image) -> bool:
    """It is nothing that is on its way."""
    return MOVED in image.notes and DISK in image.notes


def end_left_disks(seen: MigrationObservation) -> Plan | None:
    """Once the machine is gone; None: there is none. One that another machine uses meanwhile stays."""
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
    told = f"disks that were left in {where(cloud)} go: image {', '.join(str(image.id) for image in images)}"
    return Plan(steps=steps, outcome=waiting(Reason.TERMINATING, told, after=_LOOK_AGAIN, available=True))


def _left(seen: MigrationObservation, source: Side) -> Iterator[Image]:
    for image in source.view.images.values():
        ours = image.owner in source.owners and ownership(image.mark, seen.mark) in _OURS
        if ours and is_left_disk(image) and not any(number in source.view.vms for number in image.vms):
            yield image
