"""Plan a migration between two reachable clouds, from the observation alone. Pure.

Forward: shut down the source VM, copy its disks, start the copy. Cutover: three writes make the copy the VM of the
instance; after the first one there is no rollback, since the copy's data is newer. Rollback: delete everything the
migration created.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.core.outcome import DONE, Outcome, Phase, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.creation.initial_placement import initial_placement
from sovereigncloud.kinds.hostedinstance.creation.template_context import EMPTY_CONTEXT, TemplateContext
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.kinds.instancemigration.checks import check_migration, is_in_target, target_nics
from sovereigncloud.kinds.instancemigration.copy import copy_disks
from sovereigncloud.kinds.instancemigration.cutover import cut_over
from sovereigncloud.kinds.instancemigration.marketplace import select_marketplace
from sovereigncloud.kinds.instancemigration.observation import (
    MigrationObservation,
    Side,
    instance_in_target,
    is_over,
    recorded_as_done,
)
from sovereigncloud.kinds.instancemigration.rollback import plan_orphaned_deletion, roll_back
from sovereigncloud.kinds.instancemigration.shutdown import shut_down_source
from sovereigncloud.kinds.instancemigration.steps import (
    BeginMigration,
    CreateCopy,
    RecordFacts,
    VmAction,
    fail_migration,
    record_time,
)
from sovereigncloud.kinds.movement.records import (
    BEGAN,
    CUT_OVER,
    DONE_BEFORE,
    ENDED,
    FAILED,
    FROM,
    MARKET,
    RAN,
    REHEARSED,
    STOPPED,
    MigrationNote,
    SupersededSource,
    read_rehearsal,
    seconds_of,
    shortened,
)
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

_LOOK_AGAIN = 5.0
_PATIENCE = 600
"""Seconds that OpenNebula's scheduler gets to place the copy, while the source VM is down."""


def plan(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """Plan the next steps of a migration between reachable clouds."""
    if is_over(move):
        return _plan_finished(move)
    if told := recorded_as_done(move, seen):
        return finish_as_done(move, seen, told)
    if seen.problem is not None:
        nothing_made = move.deleting and BEGAN not in move.external
        return Plan() if nothing_made else Plan(outcome=seen.problem)
    if seen.instance is None and move.deleting:
        return plan_orphaned_deletion(move, seen)
    # After a cluster rebuild, a completed cutover has no recorded begin.
    if seen.left or seen.disks_left or (seen.taken_over and {BEGAN, CUT_OVER} & move.external.keys()):
        return cut_over(move, seen, now)
    if is_in_target(move, seen):
        there = record_time("that it is there", ENDED)
        return Plan(steps=(there,))
    if move.deleting or FAILED in move.external or RAN in move.external:
        return roll_back(move, seen)
    if seen.note is None:
        return _begin(move, seen)
    if BEGAN not in move.external:
        return _restore_begin(move, seen, seen.note)
    return _plan_forward(move, seen, now)


def _plan_finished(move: InstanceMigration) -> Plan:
    """Plan of a finished migration: report the result, observe nothing."""
    if (told := move.external.get(DONE_BEFORE)) is not None and not move.deleting:
        reason, what = (Reason.REHEARSED, "rehearse it") if rehearses(move) else (Reason.MOVED, "move the machine")
        message = f"already done, as recorded on {told}; create an InstanceMigration with another name to {what} again"
        return Plan(outcome=Outcome(Phase.DONE, reason, message))
    why = move.external.get(FAILED)
    if why is None or move.deleting:
        return Plan()
    message = (
        f"{why}. The migration was rolled back and the VM is where it was; create a new InstanceMigration to try again"
    )
    return Plan(outcome=stalled(Reason.MOVE_FAILED, message))


def finish_as_done(move: InstanceMigration, seen: MigrationObservation, told: str) -> Plan:
    """Finish a migration that an earlier Kubernetes cluster has done; keep a rehearsal's proof."""
    if move.deleting:
        return Plan()
    facts = [(DONE_BEFORE, shortened(told))]
    proof = read_rehearsal(seen.old.notes.get(REHEARSED, "")) if rehearses(move) and seen.old is not None else None
    if proof is not None:
        ran = seconds_of(proof.at)
        facts += [(BEGAN, str(ran - proof.took)), (RAN, str(ran))]
    known = RecordFacts(
        action=Action.UPDATE, target="that it was done before", inside=True, facts=tuple(facts), now_as=ENDED
    )
    return Plan(steps=(known,))


# ---------------------------------------------------------------------------------------------------------- beginning


def _begin(move: InstanceMigration, seen: MigrationObservation) -> Plan:
    if BEGAN in move.external:
        return Plan(
            steps=(
                fail_migration(
                    "the source VM is gone, or its note SOVEREIGNCLOUD_MOVING was removed outside the operator"
                ),
            )
        )
    if seen.source is None or seen.old is None:
        name = move.spec.instance_ref.name
        return Plan(outcome=waiting(Reason.WAITING_FOR_DEPENDENCY, f"HostedInstance {name} has no VM yet", after=60.0))
    trouble = check_migration(move, seen)
    market = select_marketplace(move, seen)
    if trouble.phase is not Phase.DONE or isinstance(market, Outcome):
        return Plan(outcome=trouble)
    step = BeginMigration(
        action=Action.MOVE,
        target=f'VM {seen.old.id} "{seen.old.name}" from {where(seen.source.cloud)} to {where(target_side(seen).cloud)}',
        disruption=Disruption.NONE if rehearses(move) else Disruption.RESTART,
        needs=_needs(seen),
        cloud=seen.source.cloud,
        vm=seen.old.id,
        runs=state_of(seen.old).situation is Situation.RUNNING,
        marketplace=market.id,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.MOVING, f"migrating {step.target}"))


def _restore_begin(move: InstanceMigration, seen: MigrationObservation, note: MigrationNote) -> Plan:
    """Restore the begin from the note on the VM, after a lost status write or cluster."""
    market = select_marketplace(move, seen)
    if isinstance(market, Outcome) or seen.source is None:
        return Plan(outcome=market if isinstance(market, Outcome) else DONE)
    facts = ((FROM, where(seen.source.cloud)), (BEGAN, note.since), (MARKET, str(market.id)))
    known = RecordFacts(action=Action.UPDATE, target="that the move has begun", inside=True, resumes=True, facts=facts)
    return Plan(steps=(known,), outcome=waiting(Reason.MOVING, "the move has begun"))


def target_side(seen: MigrationObservation) -> Side:
    """The target side; raises ValueError if the observation has none."""
    if seen.target is None:
        raise ValueError("a move without a target is not planned")
    return seen.target


def _needs(seen: MigrationObservation) -> str:
    return next((side.needs for side in (seen.source, seen.target) if side is not None and side.needs), "")


def rehearses(move: InstanceMigration) -> bool:
    return move.spec.mode == MigrationMode.REHEARSE


# ------------------------------------------------------------------------------------------------------------ forward


def _plan_forward(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    if seen.source is None or seen.old is None:
        return Plan(steps=(fail_migration("the source VM is gone"),))
    if not rehearses(move):
        if not instance_released_vm(seen):
            told = f"waiting for HostedInstance {move.spec.instance_ref.name} to hand its VM over to this migration"
            return Plan(outcome=waiting(Reason.MOVING, told, after=_LOOK_AGAIN))
        off = shut_down_source(move, seen, now)
        if off is not None:
            return off
    if seen.new is None and (copying := copy_disks(move, seen)) is not None:
        return copying
    not_off = seen.old is None or state_of(seen.old).situation is not Situation.POWERED_OFF
    waits = "the source VM is not powered off yet" if not_off and not rehearses(move) else ""
    return start_copy(move, seen, now, waits, lambda: _runs(move, seen, now))


def instance_released_vm(seen: MigrationObservation) -> bool:
    """Whether the HostedInstance leaves its VM alone; else it would start it again."""
    reconciling = seen.instance.status.condition("Reconciling") if seen.instance is not None else None
    return reconciling is not None and reconciling.reason == Reason.MOVING


def start_copy(
    move: InstanceMigration, seen: MigrationObservation, now: datetime, waits: str, runs: Callable[[], Plan]
) -> Plan:
    """Plan to create the copy on hold, with its mark, and to start it once that is allowed.

    Args:
        move: the migration.
        seen: its observation.
        now: the current time, to compute the waiting time.
        waits: why it must not start yet; empty: it may.
        runs: returns the plan for a running copy.
    """
    target = target_side(seen)
    if seen.new is None:
        return _make(move, seen, target)
    state = state_of(seen.new)
    what = f'VM {seen.new.id} "{seen.new.name}" in {where(target.cloud)}'
    match state.situation:
        case Situation.HELD if waits:
            return Plan(outcome=waiting(Reason.MOVING, f"{what} is not started: {waits}", after=_LOOK_AGAIN))
        case Situation.HELD:
            step = VmAction(
                action=Action.UPDATE,
                target=f"{what}: start",
                cloud=target.cloud,
                vm=seen.new.id,
                verb="release",
                reason=Reason.STARTING_COPY,
            )
            return Plan(steps=(step,), outcome=waiting(Reason.STARTING_COPY, f"starting {what}"))
        case Situation.RUNNING:
            return runs()
        case Situation.FAILED | Situation.LOST | Situation.ENDING | Situation.GONE:
            told = f": {seen.new.error}" if seen.new.error else ""
            return Plan(steps=(fail_migration(f"{what} did not start: it is {state.words}{told}"),))
        case Situation.QUEUED if seen.new.scheduler_message:
            told = f"OpenNebula finds no place for {what}: {seen.new.scheduler_message}"
            if seen.lost is None and seen.new.since and now.timestamp() - seen.new.since > _PATIENCE:
                return Plan(steps=(fail_migration(told),))
            return Plan(outcome=waiting(Reason.NO_CAPACITY, told, after=_LOOK_AGAIN))
        case Situation.QUEUED | Situation.BUSY:
            return Plan(outcome=waiting(Reason.STARTING_COPY, f"{what} is {state.words}", after=_LOOK_AGAIN))
        case _:
            return Plan(
                steps=(
                    fail_migration(
                        f"{what} is {state.words}: it was stopped outside the operator before it was seen running"
                    ),
                )
            )


def _make(move: InstanceMigration, seen: MigrationObservation, target: Side) -> Plan:
    cards, trouble = target_nics(move, seen)
    surroundings, other = _surroundings(move, seen, target)
    trouble = trouble.merge(other)
    images = [(one.copy.id, one.label) for one in seen.disks if one.copy is not None]
    if seen.machine is None or len(images) != len(seen.disks):
        return Plan(steps=(fail_migration("the disks of the source VM changed since the migration began"),))
    if trouble.phase is not Phase.DONE:
        return Plan(outcome=trouble)
    step = CreateCopy(
        action=Action.CREATE,
        target=f'VM "{seen.machine.name}" in {where(target.cloud)}',
        cloud=target.cloud,
        of=seen.machine,
        disks=tuple(images),
        cards=cards,
        surroundings=surroundings,
        rehearsal=rehearses(move),
        came_from=came_from(move, seen),
    )
    return Plan(steps=(step,), outcome=waiting(Reason.STARTING_COPY, f"creating {step.target}"))


def came_from(move: InstanceMigration, seen: MigrationObservation) -> str:
    """Note on the copy about the VM it supersedes; empty if the source VM itself can be updated."""
    if seen.lost is None or rehearses(move):
        return ""
    vm = seen.lost.machine.id if seen.lost.machine is not None else -1
    since = move.external.get(STOPPED, "0")
    return str(SupersededSource(where(seen.lost.cloud), vm, seen.mark.object, seen.mark.uid, since))


def _surroundings(move: InstanceMigration, seen: MigrationObservation, target: Side) -> tuple[TemplateContext, Outcome]:
    if seen.instance is None or seen.instance_mark is None:
        return EMPTY_CONTEXT, DONE
    there = InstanceObservation(
        mark=seen.instance_mark,
        cloud=target.cloud,
        view=target.view,
        tenancy=target.tenancy,
        owner=target.owner,
        owners=target.owners,
        chosen=seen.chosen,
    )
    found, trouble = initial_placement(instance_in_target(move, seen.instance), there, target.cloud, target.view, -1)
    return (found if isinstance(found, TemplateContext) else EMPTY_CONTEXT), trouble


def _runs(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    if not rehearses(move):
        return _start_cutover(move, seen, now)
    return finish_rehearsal(seen)


def finish_rehearsal(seen: MigrationObservation) -> Plan:
    """Finish a rehearsal once the copy was seen running."""
    proven = record_time("that the copy ran", RAN, Reason.REHEARSED, f"a copy ran in {where(target_side(seen).cloud)}")
    return Plan(steps=(proven,), outcome=waiting(Reason.CLEANING_UP, "the copy ran and is being deleted"))


def _start_cutover(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """Start the cutover: the copy runs and the source VM is powered off."""
    if seen.old is None or state_of(seen.old).situation is not Situation.POWERED_OFF:
        return Plan(steps=(fail_migration("the source VM does not stay powered off"),))
    return cut_over(move, seen, now)
