"""What a rehearsal imported stays as a copy of the machine, where that is asked for. Pure.

One copy per cloud: the one before goes when all disks of this one are kept, so that there is always a whole one.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import Kept, kept_images
from sovereigncloud.kinds.hostedinstance.storage.names import with_root
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation, Side, rfc3339
from sovereigncloud.kinds.instancemigration.retention_steps import KeepDisk
from sovereigncloud.kinds.instancemigration.steps import DeleteImage
from sovereigncloud.kinds.movement.records import BEGAN, RAN
from sovereigncloud.ports.opennebula.image_states import THERE
from sovereigncloud.ports.opennebula.views import Image, Vm

_CAN_GO = frozenset({1, 5})
_LOOK_AGAIN = 5.0


def keep(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """Once its copy ran and is gone. None: nothing is to be kept, or all is."""
    asked = move.spec.keep_copy and RAN in move.external
    if not asked or seen.target is None or seen.old is None or seen.instance_mark is None:
        return None
    cloud = where(seen.target.cloud)
    steps = _disks(move, seen, seen.target, seen.old)
    if steps:
        told = f"{len(steps)} of {len(seen.disks)} disks are to be kept in {cloud}"
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
    told = f"the copy that was kept in {cloud} before goes: image {', '.join(str(image.id) for image in before)}"
    return Plan(steps=going, outcome=waiting(Reason.CLEANING_UP, told, after=_LOOK_AGAIN))


def _disks(move: InstanceMigration, seen: MigrationObservation, target: Side, old: Vm) -> tuple[Step, ...]:
    """Those that are not kept yet. The saved images go after that, so that their time is known until then."""
    saved = [one.saved.time for one in seen.disks if one.saved is not None and one.saved.time]
    time = timestamp(datetime.fromtimestamp(min(saved), UTC)) if saved else rfc3339(move.external[BEGAN])
    return tuple(
        KeepDisk(
            action=Action.MARK,
            target=f'image {one.copy.id} "{one.copy.name}" in {where(target.cloud)}: kept as a copy of disk {one.disk.id}',
            cloud=target.cloud,
            image=one.copy.id,
            kept=Kept(
                image=one.copy.id,
                run=seen.uid,
                disks=len(seen.disks),
                time=time,
                disk=one.disk.id,
                label="" if with_root(one.label) else one.label,
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
    """Once all disks of this one are kept."""
    if seen.instance_mark is None:
        return []
    known = list(kept_images(target.view.images.values(), seen.instance_mark, target.owners))
    own = {kept.disk for _, kept in known if kept.run == seen.uid}
    return [image for image, kept in known if kept.run != seen.uid] if own == {d.disk.id for d in seen.disks} else []
