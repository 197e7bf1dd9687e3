"""Plan the cutover and the grace period after it. Pure.

The cutover is three writes: the source VM gets the mark of the migration, the copy gets the mark of the instance, the
instance records the copy as its VM. An interrupted cutover continues from the marks alone, and at no time do two VMs
carry the mark of the instance.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import Outcome, Phase, held, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.core.quantity import seconds
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK, is_root_disk
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation, Side
from sovereigncloud.kinds.instancemigration.rollback import clean_up, delete_source_vm
from sovereigncloud.kinds.instancemigration.source_disks import delete_source_disks, mark_source_disks
from sovereigncloud.kinds.instancemigration.steps import HandOverDisk, HandOverVm, MarkSourceVm, VmAction, record_time
from sovereigncloud.kinds.movement.records import CLEANED, CUT_OVER, ENDED
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

GRACE = "24h"
_LOOK_AGAIN = 5.0


def cut_over(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """Plan the remaining steps of the cutover, then of the cleanup after it."""
    if seen.new is None or seen.target is None:
        return Plan(outcome=_copy_lost(seen))
    if not seen.taken_over:
        return _hand_over(move, seen, seen.new, seen.target)
    what = f'VM {seen.new.id} "{seen.new.name}" in {where(seen.target.cloud)}'
    if not _is_recorded(seen, seen.new, seen.target):
        told = f"waiting for HostedInstance {move.spec.instance_ref.name} to record {what} as its VM"
        return Plan(outcome=waiting(Reason.MOVING, told, after=_LOOK_AGAIN))
    if CUT_OVER not in move.external:
        moved = record_time("that the VM has moved", CUT_OVER, Reason.MOVED, f"{what} is now the VM of the instance")
        return Plan(steps=(moved,), outcome=waiting(Reason.CLEANING_UP, f"{what} is now the VM of the instance"))
    return _plan_after_cutover(move, seen, now)


def _copy_lost(seen: MigrationObservation) -> Outcome:
    old = (
        f"VM {seen.old.id} in {where(seen.source.cloud)}"
        if seen.old is not None and seen.source is not None
        else "nothing"
    )
    return held(
        Reason.COPY_LOST,
        f"the VM was migrated, and its copy has since been deleted outside the operator; {old} is left, powered off and unchanged. To"
        " use that VM again, delete this InstanceMigration and give the VM the mark of the instance again",
        available=False,
    )


def _hand_over(move: InstanceMigration, seen: MigrationObservation, new: Vm, target: Side) -> Plan:
    steps: list[Step] = []
    what = f'VM {new.id} "{new.name}" in {where(target.cloud)}'
    if seen.old is not None and seen.source is not None and not seen.left:
        steps.append(
            MarkSourceVm(
                action=Action.MARK,
                target=f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}: left',
                cloud=seen.source.cloud,
                vm=seen.old.id,
            )
        )
    steps += mark_source_disks(seen)
    declared = {one.name: one.deletion_policy for one in (seen.instance.spec.disks if seen.instance else None) or ()}
    labels = {one.copy.id: one.label for one in seen.disks if one.copy is not None}
    for disk in new.disks:
        image = target.view.images.get(disk.image_id)
        label = disk.label or labels.get(disk.image_id, "") or ROOT
        if image is None or image.notes.get(DISK):
            continue
        policy = DeletionPolicy.DELETE if is_root_disk(label) else declared.get(label) or DeletionPolicy.RETAIN
        steps.append(
            HandOverDisk(
                action=Action.MARK,
                target=f'image {image.id} "{image.name}" in {where(target.cloud)}: disk "{label}"',
                cloud=target.cloud,
                image=image.id,
                label=label,
                policy=policy,
            )
        )
    steps.append(HandOverVm(action=Action.MARK, target=f"{what}: the instance's", cloud=target.cloud, vm=new.id))
    told = f"{what} runs and becomes the VM of HostedInstance {move.spec.instance_ref.name}"
    return Plan(steps=tuple(steps), outcome=waiting(Reason.MOVING, told))


def _is_recorded(seen: MigrationObservation, new: Vm, target: Side) -> bool:
    external = seen.instance.external if seen.instance is not None else {}
    return (external.get("vm"), external.get("cloud")) == (str(new.id), where(target.cloud))


# --------------------------------------------------------------------------------------------------------- afterwards


def _plan_after_cutover(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """Delete temporary images and apps at once, and the source VM after the grace period."""
    cleaning = clean_up(seen)
    if cleaning is not None:
        return cleaning
    if CLEANED not in move.external:
        nothing = record_time("that all temporary objects are deleted", CLEANED)
        return Plan(
            steps=(nothing,), outcome=waiting(Reason.CLEANING_UP, "all temporary objects are deleted", available=True)
        )
    ends = float(move.external[CUT_OVER]) + seconds(move.spec.grace_period or GRACE)
    left = ends - now.timestamp()
    if seen.old is None or seen.source is None:
        return finish_without_source(move, seen, left)
    state = state_of(seen.old)
    going = state.situation in {Situation.ENDING, Situation.GONE}
    if not going and move.deleting and move.deletion_policy is DeletionPolicy.RETAIN:
        return Plan()
    if going or state.situation is Situation.BUSY or left <= 0 or move.deleting:
        return delete_source_vm(seen.old, seen.source)
    what = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}, which was left'
    if state.situation is Situation.RUNNING:
        return _stop_source_again(seen.old, seen.source, what)
    when = datetime.fromtimestamp(ends, UTC).isoformat(timespec="seconds")
    told = f"{what}, stays powered off until {when}; then it is deleted with its disks"
    # DONE, so that waiting callers continue; the next reconcile comes when the grace period ends.
    return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told, after=max(left, 1.0)))


def finish_without_source(move: InstanceMigration, seen: MigrationObservation, left: float) -> Plan:
    """Delete the disks of a source VM that no longer exists, once the grace period is over.

    Args:
        move: the migration.
        seen: its observation.
        left: seconds until the grace period ends.
    """
    ending = delete_source_disks(seen)
    if ending is None or (move.deleting and left > 0 and move.deletion_policy is DeletionPolicy.RETAIN):
        return Plan() if move.deleting else Plan(steps=(record_time("that the move is over", ENDED),))
    if left > 0 and not move.deleting:
        told = f"{ending.outcome.message} {move.spec.grace_period or GRACE} after the cutover"
        return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told, after=max(left, 1.0)))
    return ending


def _stop_source_again(old: Vm, source: Side, what: str) -> Plan:
    """Power off a source VM that somebody started again: it has the addresses of the active copy."""
    step = VmAction(
        action=Action.UPDATE,
        target=f"{what}, was started: power off",
        disruption=Disruption.RESTART,
        cloud=source.cloud,
        vm=old.id,
        verb="poweroff",
        reason=Reason.POWERING_OFF,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.POWERING_OFF, step.target, available=True))
