"""What becomes of a machine whose cloud was lost and answers again, while a copy of it runs elsewhere. Pure.

It is powered off before anything else is done there, gets the mark of the move, and stays: it may hold what its copy lacks. What was
asked for is done meanwhile.
"""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import Outcome, Phase, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.core.quantity import seconds
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.continuity.fencing import Fence, fencing_of
from sovereigncloud.kinds.instancemigration.cutover import GRACE, without_left
from sovereigncloud.kinds.instancemigration.observation import Lost, MigrationObservation
from sovereigncloud.kinds.instancemigration.rollback import clean_up, end_left
from sovereigncloud.kinds.instancemigration.source_disks import leave_disks
from sovereigncloud.kinds.instancemigration.steps import Act, LeaveMachine, remember
from sovereigncloud.kinds.movement.records import CLEANED, ENDED, RETURNED

_WHILE_LOST = 60.0


def fence(seen: MigrationObservation, lost: Lost) -> Plan | None:
    """What keeps the old machine from running; None: nothing has to, or nobody can."""
    if seen.old is None or seen.source is None:
        return None
    what = f'VM {seen.old.id} "{seen.old.name}" in {where(lost.cloud)}, which was lost'
    match fencing_of(seen.old):
        case Fence(verb=verb, says=says) if verb:
            step = Act(
                action=Action.UPDATE,
                target=f"{what}: {says}",
                disruption=Disruption.RESTART,
                cloud=lost.cloud,
                vm=seen.old.id,
                verb=verb,
                reason=Reason.FENCING,
            )
            return Plan(steps=(step,), outcome=waiting(Reason.FENCING, step.target, available=True))
        case Fence(says=says, after=after):
            return Plan(outcome=waiting(Reason.FENCING, f"{what}, {says}", after=after, available=True))
        case _ if not seen.left:
            leave = LeaveMachine(
                action=Action.MARK, target=f"{what}: left", cloud=lost.cloud, vm=seen.old.id, returned=True
            )
            # There is no way back, so the machine comes last: whoever finds it left finds its disks so, too.
            return Plan(
                steps=(*leave_disks(seen), leave),
                outcome=waiting(Reason.FENCING, f"{what}, is off, and is left", available=True),
            )
        case _:
            return None


def after_the_change_over(move: InstanceMigration, seen: MigrationObservation, lost: Lost, now: datetime) -> Plan:
    """What was on the way goes; then it is waited for the old cloud, and for what a person makes of the old machine."""
    cleaning = clean_up(seen)
    if cleaning is not None:
        return cleaning
    if CLEANED not in move.external:
        nothing = remember("that nothing is on the way any more", CLEANED)
        return Plan(
            steps=(nothing,), outcome=waiting(Reason.CLEANING_UP, "nothing is on the way any more", available=True)
        )
    if not lost.there:
        return Plan(steps=(remember("that the move is over", ENDED),))
    if not lost.answers:
        if move.deleting:
            return Plan()  # its instance has recorded what it left behind, and sees to it
        told = (
            f"{where(lost.cloud)} does not answer; when it does, the machine that was left there is powered off first"
        )
        return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told, after=_WHILE_LOST))
    return _left(move, seen, lost, now)


def _left(move: InstanceMigration, seen: MigrationObservation, lost: Lost, now: datetime) -> Plan:
    """It is off, and has the mark of the move; or it is gone."""
    deletes = move.deletion_policy is DeletionPolicy.DELETE
    what = f"VM {seen.old.id if seen.old is not None else '?'} in {where(lost.cloud)}"
    if move.deleting and not deletes:
        return Plan()
    if seen.old is None and not deletes:
        return Plan(steps=(remember("that the move is over", ENDED),))
    if RETURNED not in move.external:
        known = remember("that its cloud answers again", RETURNED)
        return Plan(
            steps=(known,), outcome=waiting(Reason.GRACE_PERIOD, f"{where(lost.cloud)} answers again", available=True)
        )
    if not deletes:
        told = (
            f"{what}, which was left, stays powered off, since it may hold what its copy lacks: take that from it, and delete it"
            " there, or set spec.deletionPolicy: Delete"
        )
        return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told))
    left = float(move.external[RETURNED]) + seconds(move.spec.grace_period or GRACE) - now.timestamp()
    if seen.old is None or seen.source is None:
        return without_left(move, seen, left)
    if left > 0 and not move.deleting:
        told = f"{what}, which was left, stays powered off for {move.spec.grace_period or GRACE} and is then deleted with its disks"
        return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told, after=max(left, 1.0)))
    return end_left(seen.old, seen.source)
