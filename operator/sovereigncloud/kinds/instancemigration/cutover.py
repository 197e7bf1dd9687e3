"""The change-over and what follows it. Pure.

Three writes: the machine that is left becomes the move's, the copy becomes the instance's, the instance records it. Whoever finds
two clouds between any of them knows from the marks which one comes next, and at no time do two machines carry the instance's.
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
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, with_root
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation, Side
from sovereigncloud.kinds.instancemigration.rollback import clean_up, end_left
from sovereigncloud.kinds.instancemigration.source_disks import end_left_disks, leave_disks
from sovereigncloud.kinds.instancemigration.steps import Act, HandOverDisk, HandOverMachine, LeaveMachine, remember
from sovereigncloud.kinds.movement.records import CLEANED, CUT_OVER, ENDED
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

GRACE = "24h"
_LOOK_AGAIN = 5.0


def change_over(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """Whatever is left of it."""
    if seen.new is None or seen.target is None:
        return Plan(outcome=_copy_lost(seen))
    if not seen.taken_over:
        return _hand_over(move, seen, seen.new, seen.target)
    what = f'VM {seen.new.id} "{seen.new.name}" in {where(seen.target.cloud)}'
    if not _is_recorded(seen, seen.new, seen.target):
        told = f"HostedInstance {move.spec.instance_ref.name} is to record {what} as its machine"
        return Plan(outcome=waiting(Reason.MOVING, told, after=_LOOK_AGAIN))
    if CUT_OVER not in move.external:
        moved = remember("that the machine has moved", CUT_OVER, Reason.MOVED, f"{what} is the machine now")
        return Plan(steps=(moved,), outcome=waiting(Reason.CLEANING_UP, f"{what} is the machine now"))
    return _afterwards(move, seen, now)


def _copy_lost(seen: MigrationObservation) -> Outcome:
    old = (
        f"VM {seen.old.id} in {where(seen.source.cloud)}"
        if seen.old is not None and seen.source is not None
        else "nothing"
    )
    return held(
        Reason.COPY_LOST,
        f"the machine had moved, and its copy is gone: somebody deleted it; {old} is left, powered off, as it was before. To have"
        " it back, delete this InstanceMigration and give that machine the mark of the instance again",
        available=False,
    )


def _hand_over(move: InstanceMigration, seen: MigrationObservation, new: Vm, target: Side) -> Plan:
    steps: list[Step] = []
    what = f'VM {new.id} "{new.name}" in {where(target.cloud)}'
    if seen.old is not None and seen.source is not None and not seen.left:
        steps.append(
            LeaveMachine(
                action=Action.MARK,
                target=f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}: left',
                cloud=seen.source.cloud,
                vm=seen.old.id,
            )
        )
    steps += leave_disks(seen)
    declared = {one.name: one.deletion_policy for one in (seen.instance.spec.disks if seen.instance else None) or ()}
    labels = {one.copy.id: one.label for one in seen.disks if one.copy is not None}
    for disk in new.disks:
        image = target.view.images.get(disk.image_id)
        label = disk.label or labels.get(disk.image_id, "") or ROOT
        if image is None or image.notes.get(DISK):
            continue
        policy = DeletionPolicy.DELETE if with_root(label) else declared.get(label) or DeletionPolicy.RETAIN
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
    steps.append(HandOverMachine(action=Action.MARK, target=f"{what}: the instance's", cloud=target.cloud, vm=new.id))
    told = f"{what} runs and becomes the machine of HostedInstance {move.spec.instance_ref.name}"
    return Plan(steps=tuple(steps), outcome=waiting(Reason.MOVING, told))


def _is_recorded(seen: MigrationObservation, new: Vm, target: Side) -> bool:
    external = seen.instance.external if seen.instance is not None else {}
    return (external.get("vm"), external.get("cloud")) == (str(new.id), where(target.cloud))


# --------------------------------------------------------------------------------------------------------- afterwards


def _afterwards(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """What was on the way goes at once, the machine that was left after the grace period."""
    cleaning = clean_up(seen)
    if cleaning is not None:
        return cleaning
    if CLEANED not in move.external:
        nothing = remember("that nothing is on the way any more", CLEANED)
        return Plan(
            steps=(nothing,), outcome=waiting(Reason.CLEANING_UP, "nothing is on the way any more", available=True)
        )
    ends = float(move.external[CUT_OVER]) + seconds(move.spec.grace_period or GRACE)
    left = ends - now.timestamp()
    if seen.old is None or seen.source is None:
        return without_left(move, seen, left)
    state = state_of(seen.old)
    going = state.situation in {Situation.ENDING, Situation.GONE}
    if not going and move.deleting and move.deletion_policy is DeletionPolicy.RETAIN:
        return Plan()
    if going or state.situation is Situation.BUSY or left <= 0 or move.deleting:
        return end_left(seen.old, seen.source)
    what = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}, which was left'
    if state.situation is Situation.RUNNING:
        return _stop_again(seen.old, seen.source, what)
    when = datetime.fromtimestamp(ends, UTC).isoformat(timespec="seconds")
    told = f"{what}, stays powered off until {when}; then it is deleted with its disks"
    # What was asked for is done, and whoever waits for it may go on; it looks again by itself when that time is over.
    return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told, after=max(left, 1.0)))


def without_left(move: InstanceMigration, seen: MigrationObservation, left: float) -> Plan:
    """The machine is gone: its disks go when its time is over, also where a person deleted it before.

    Args:
        move: that is planned.
        seen: what was found.
        left: seconds until that time is over.
    """
    ending = end_left_disks(seen)
    if ending is None or (move.deleting and left > 0 and move.deletion_policy is DeletionPolicy.RETAIN):
        return Plan() if move.deleting else Plan(steps=(remember("that the move is over", ENDED),))
    if left > 0 and not move.deleting:
        told = f"{ending.outcome.message} when {move.spec.grace_period or GRACE} are over since the move"
        return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told, after=max(left, 1.0)))
    return ending


def _stop_again(old: Vm, source: Side, what: str) -> Plan:
    """Its guest has the address of the one that runs, and what it writes is nobody's."""
    step = Act(
        action=Action.UPDATE,
        target=f"{what}, was started: power off",
        disruption=Disruption.RESTART,
        cloud=source.cloud,
        vm=old.id,
        verb="poweroff",
        reason=Reason.POWERING_OFF,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.POWERING_OFF, step.target, available=True))
