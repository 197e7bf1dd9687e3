"""Plan to retain the imported disks of a rehearsal as a copy of the VM (spec.keepCopy). Pure.

Each cloud retains one copy. The previous copy is deleted only after all disks of the new one are retained, so that
one complete copy always exists.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import RetainedImage, retained_images
from sovereigncloud.kinds.hostedinstance.machine.disk_names import is_root_disk
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation, Side, rfc3339
from sovereigncloud.kinds.instancemigration.retention_steps import RetainImage
from sovereigncloud.kinds.instancemigration.steps import DeleteImage
from sovereigncloud.kinds.movement.records import BEGAN, RAN
from sovereigncloud.ports.opennebula.image_states import THERE
from sovereigncloud.ports.opennebula.views import Image, Vm

_CAN_GO = frozenset({1, 5})
_LOOK_AGAIN = 5.0


def retain_copy(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """Plan retention after the rehearsal copy ran and was deleted; None if nothing is to be done."""
    asked = move.spec.keep_copy and RAN in move.external
    if not asked or seen.target is None or seen.old is None or seen.instance_mark is None:
        return None
    cloud = where(seen.target.cloud)
    steps = _disks(move, seen, seen.target, seen.old)
    if steps:
        told = f"retaining {len(steps)} of {len(seen.disks)} disks in {cloud}"
        return Plan(steps=steps, outcome=waiting(Reason.CLEANING_UP, told))
    before = _before(seen, seen.target)
    if not before:
        return None
    going = tuple(
        DeleteImage(
            action=Action.DELETE,
            target=f'image {image.id} "{image.name}" in {cloud}, an older copy',
            cloud=seen.target.cloud,
            image=image.id,
        )
        for image in before
        if image.state in _CAN_GO and not image.vms
    )
    told = f"deleting the previous copy in {cloud}: image {', '.join(str(image.id) for image in before)}"
    return Plan(steps=going, outcome=waiting(Reason.CLEANING_UP, told, after=_LOOK_AGAIN))


def _disks(move: InstanceMigration, seen: MigrationObservation, target: Side, old: Vm) -> tuple[Step, ...]:
    """Steps that mark imported disks as retained.

    The saved images are deleted after that: their creation time is the time of the copy.
    """
    saved = [one.saved.time for one in seen.disks if one.saved is not None and one.saved.time]
    time = timestamp(datetime.fromtimestamp(min(saved), UTC)) if saved else rfc3339(move.external[BEGAN])
    return tuple(
        RetainImage(
            action=Action.MARK,
            target=f'image {one.copy.id} "{one.copy.name}" in {where(target.cloud)}: kept as a copy of disk {one.disk.id}',
            cloud=target.cloud,
            image=one.copy.id,
            kept=RetainedImage(
                image=one.copy.id,
                run=seen.uid,
                disks=len(seen.disks),
                time=time,
                disk=one.disk.id,
                label="" if is_root_disk(one.label) else one.label,
                cpu=old.cpu,
                vcpu=old.vcpu,
                memory=old.memory,
                networks=tuple(nic.network for nic in old.nics),
            ),
        )
        for one in seen.disks
        if one.copy is not None and one.copy.state in THERE
    )


def _before(seen: MigrationObservation, target: Side) -> list[Image]:
    """Images of the previous copy; empty until all disks of the new copy are retained."""
    if seen.instance_mark is None:
        return []
    known = list(retained_images(target.view.images.values(), seen.instance_mark, target.owners))
    own = {kept.disk for _, kept in known if kept.run == seen.uid}
    return [image for image, kept in known if kept.run != seen.uid] if own == {d.disk.id for d in seen.disks} else []
