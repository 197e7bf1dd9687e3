"""Plan for the superseded VM when its lost cloud is reachable again. Pure.

The VM is powered off before anything else, gets the mark of the migration and stays, since it may hold data that the
copy lacks. The migration counts as done meanwhile.
"""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import Outcome, Phase, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.core.quantity import seconds
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.continuity.fencing import Fence, fencing_of
from sovereigncloud.kinds.instancemigration.cutover import GRACE, finish_without_source
from sovereigncloud.kinds.instancemigration.observation import LostSource, MigrationObservation
from sovereigncloud.kinds.instancemigration.rollback import clean_up, delete_source_vm
from sovereigncloud.kinds.instancemigration.source_disks import mark_source_disks
from sovereigncloud.kinds.instancemigration.steps import MarkSourceVm, VmAction, record_time
from sovereigncloud.kinds.movement.records import CLEANED, ENDED, RETURNED

_WHILE_LOST = 60.0


def fence(seen: MigrationObservation, lost: LostSource) -> Plan | None:
    """Plan to stop and mark the superseded VM; None if nothing has to be done or can be done."""
    if seen.old is None or seen.source is None:
        return None
    what = f'VM {seen.old.id} "{seen.old.name}" in {where(lost.cloud)}, which was lost'
    match fencing_of(seen.old):
        case Fence(verb=verb, says=says) if verb:
            step = VmAction(
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
            leave = MarkSourceVm(
                action=Action.MARK, target=f"{what}: left", cloud=lost.cloud, vm=seen.old.id, returned=True
            )
            # No rollback from here: mark the VM last, so that a marked VM implies marked disks.
            return Plan(
                steps=(*mark_source_disks(seen), leave),
                outcome=waiting(Reason.FENCING, f"{what}, is off, and is left", available=True),
            )
        case _:
            return None


def plan_after_cutover(move: InstanceMigration, seen: MigrationObservation, lost: LostSource, now: datetime) -> Plan:
    """Clean up after the cutover, then wait for the lost cloud and its superseded VM."""
    cleaning = clean_up(seen)
    if cleaning is not None:
        return cleaning
    if CLEANED not in move.external:
        nothing = record_time("that all temporary objects are deleted", CLEANED)
        return Plan(
            steps=(nothing,), outcome=waiting(Reason.CLEANING_UP, "all temporary objects are deleted", available=True)
        )
    if not lost.there:
        return Plan(steps=(record_time("that the move is over", ENDED),))
    if not lost.answers:
        if move.deleting:
            return Plan()  # its instance has recorded the superseded VM and fences it
        told = f"{where(lost.cloud)} is unreachable; when it answers, the superseded VM there is powered off first"
        return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told, after=_WHILE_LOST))
    return _left(move, seen, lost, now)


def _left(move: InstanceMigration, seen: MigrationObservation, lost: LostSource, now: datetime) -> Plan:
    """Plan for a superseded VM that is powered off and marked, or gone."""
    deletes = move.deletion_policy is DeletionPolicy.DELETE
    what = f"VM {seen.old.id if seen.old is not None else '?'} in {where(lost.cloud)}"
    if move.deleting and not deletes:
        return Plan()
    if seen.old is None and not deletes:
        return Plan(steps=(record_time("that the move is over", ENDED),))
    if RETURNED not in move.external:
        known = record_time("that its cloud answers again", RETURNED)
        return Plan(
            steps=(known,), outcome=waiting(Reason.GRACE_PERIOD, f"{where(lost.cloud)} answers again", available=True)
        )
    if not deletes:
        told = (
            f"{what}, superseded, stays powered off because it may hold data that its copy lacks: save that data and delete the VM"
            " there, or set spec.deletionPolicy: Delete"
        )
        return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told))
    left = float(move.external[RETURNED]) + seconds(move.spec.grace_period or GRACE) - now.timestamp()
    if seen.old is None or seen.source is None:
        return finish_without_source(move, seen, left)
    if left > 0 and not move.deleting:
        told = f"{what}, which was left, stays powered off for {move.spec.grace_period or GRACE} and is then deleted with its disks"
        return Plan(outcome=Outcome(Phase.DONE, Reason.GRACE_PERIOD, told, after=max(left, 1.0)))
    return delete_source_vm(seen.old, seen.source)
