"""The plan of a move: on, over, or back. Pure: each time from what is found, so that it goes on wherever it was interrupted.

On: the machine is powered off, its disks are copied, a copy of it is started. Over: three writes make that one the instance's
machine; from the first of them on there is no way back, since what is written there is newer. Back: all that was made is taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.core.outcome import DONE, Outcome, Phase, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.creation.initial_placement import born_into
from sovereigncloud.kinds.hostedinstance.creation.template_context import NOTHING_AROUND, Surroundings
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.instancemigration.checks import already_there, cards_of, in_the_way
from sovereigncloud.kinds.instancemigration.copy import copy_disks
from sovereigncloud.kinds.instancemigration.cutover import change_over
from sovereigncloud.kinds.instancemigration.marketplace import market_of
from sovereigncloud.kinds.instancemigration.observation import (
    MigrationObservation,
    Side,
    as_it_will_be,
    done_in,
    is_over,
)
from sovereigncloud.kinds.instancemigration.rollback import go_back, without_instance
from sovereigncloud.kinds.instancemigration.shutdown import powered_off
from sovereigncloud.kinds.instancemigration.steps import Act, Begin, CreateCopy, Remember, failed, remember
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
    CameFrom,
    Note,
    read_rehearsal,
    seconds_of,
    shortened,
)
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

_LOOK_AGAIN = 5.0
_PATIENCE = 600
"""Seconds for which the scheduler may look for a place: the machine is down meanwhile, and could run where it was."""


def plan(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """What is to be done next."""
    if is_over(move):
        return _over(move)
    if told := done_in(move, seen):
        return not_again(move, seen, told)
    if seen.problem is not None:
        nothing_made = move.deleting and BEGAN not in move.external
        return Plan() if nothing_made else Plan(outcome=seen.problem)
    if seen.instance is None and move.deleting:
        return without_instance(move, seen)
    # A rebuilt cluster that found it changed over does not know when it began.
    if seen.left or seen.disks_left or (seen.taken_over and {BEGAN, CUT_OVER} & move.external.keys()):
        return change_over(move, seen, now)
    if already_there(move, seen):
        there = remember("that it is there", ENDED)
        return Plan(steps=(there,))
    if move.deleting or FAILED in move.external or RAN in move.external:
        return go_back(move, seen)
    if seen.note is None:
        return _begin(move, seen)
    if BEGAN not in move.external:
        return _begun(move, seen, seen.note)
    return _on(move, seen, now)


def _over(move: InstanceMigration) -> Plan:
    """Nothing is looked at any more: a new object asks for a new move."""
    if (told := move.external.get(DONE_BEFORE)) is not None and not move.deleting:
        reason, what = (Reason.REHEARSED, "rehearse it") if rehearses(move) else (Reason.MOVED, "move the machine")
        message = f"it was done before, as {told} tells; make an InstanceMigration of another name to {what} again"
        return Plan(outcome=Outcome(Phase.DONE, reason, message))
    why = move.external.get(FAILED)
    if why is None or move.deleting:
        return Plan()
    message = f"{why}. All that was made is taken away, and the machine is where it was; make a new InstanceMigration to try again"
    return Plan(outcome=stalled(Reason.MOVE_FAILED, message))


def not_again(move: InstanceMigration, seen: MigrationObservation, told: str) -> Plan:
    """It was done before, in a Kubernetes cluster that is no more. The proof of a rehearsal stands as it was."""
    if move.deleting:
        return Plan()
    facts = [(DONE_BEFORE, shortened(told))]
    proof = read_rehearsal(seen.old.notes.get(REHEARSED, "")) if rehearses(move) and seen.old is not None else None
    if proof is not None:
        ran = seconds_of(proof.at)
        facts += [(BEGAN, str(ran - proof.took)), (RAN, str(ran))]
    known = Remember(
        action=Action.UPDATE, target="that it was done before", inside=True, facts=tuple(facts), now_as=ENDED
    )
    return Plan(steps=(known,))


# ---------------------------------------------------------------------------------------------------------- beginning


def _begin(move: InstanceMigration, seen: MigrationObservation) -> Plan:
    if BEGAN in move.external:
        return Plan(steps=(failed("the machine is gone, or somebody took the note of the move off it"),))
    if seen.source is None or seen.old is None:
        name = move.spec.instance_ref.name
        return Plan(
            outcome=waiting(Reason.WAITING_FOR_DEPENDENCY, f"HostedInstance {name} has no machine yet", after=60.0)
        )
    trouble = in_the_way(move, seen)
    market = market_of(move, seen)
    if trouble.phase is not Phase.DONE or isinstance(market, Outcome):
        return Plan(outcome=trouble)
    step = Begin(
        action=Action.MOVE,
        target=f'VM {seen.old.id} "{seen.old.name}" from {where(seen.source.cloud)} to {where(move_target(seen).cloud)}',
        disruption=Disruption.NONE if rehearses(move) else Disruption.RESTART,
        needs=_needs(seen),
        cloud=seen.source.cloud,
        vm=seen.old.id,
        runs=state_of(seen.old).situation is Situation.RUNNING,
        marketplace=market.id,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.MOVING, f"{step.target} is to move"))


def _begun(move: InstanceMigration, seen: MigrationObservation, note: Note) -> Plan:
    """The note is there, and nothing in the status: the answer was lost, or the cluster rebuilt."""
    market = market_of(move, seen)
    if isinstance(market, Outcome) or seen.source is None:
        return Plan(outcome=market if isinstance(market, Outcome) else DONE)
    facts = ((FROM, where(seen.source.cloud)), (BEGAN, note.since), (MARKET, str(market.id)))
    known = Remember(action=Action.UPDATE, target="that the move has begun", inside=True, resumes=True, facts=facts)
    return Plan(steps=(known,), outcome=waiting(Reason.MOVING, "the move has begun"))


def move_target(seen: MigrationObservation) -> Side:
    """Where it goes; an observation without a problem has it."""
    if seen.target is None:
        raise ValueError("a move without a target is not planned")
    return seen.target


def _needs(seen: MigrationObservation) -> str:
    return next((side.needs for side in (seen.source, seen.target) if side is not None and side.needs), "")


def rehearses(move: InstanceMigration) -> bool:
    return move.spec.mode == MigrationMode.REHEARSE


# ----------------------------------------------------------------------------------------------------------------- on


def _on(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    if seen.source is None or seen.old is None:
        return Plan(steps=(failed("the machine that was to move is gone"),))
    if not rehearses(move):
        if not follows(seen):
            told = f"HostedInstance {move.spec.instance_ref.name} is told that its machine moves"
            return Plan(outcome=waiting(Reason.MOVING, told, after=_LOOK_AGAIN))
        off = powered_off(move, seen, now)
        if off is not None:
            return off
    if seen.new is None and (copying := copy_disks(move, seen)) is not None:
        return copying
    not_off = seen.old is None or state_of(seen.old).situation is not Situation.POWERED_OFF
    waits = "it waits until the other machine is off" if not_off and not rehearses(move) else ""
    return start(move, seen, now, waits, lambda: _runs(move, seen, now))


def follows(seen: MigrationObservation) -> bool:
    """Whether the instance lets go of its machine: it would start what is powered off."""
    reconciling = seen.instance.status.condition("Reconciling") if seen.instance is not None else None
    return reconciling is not None and reconciling.reason == Reason.MOVING


def start(
    move: InstanceMigration, seen: MigrationObservation, now: datetime, waits: str, runs: Callable[[], Plan]
) -> Plan:
    """The copy, with its mark from the start, and held until the last look at the machine that is left.

    Args:
        move: that is planned.
        seen: what was found.
        now: to tell for how long it has been waiting.
        waits: why it is not started yet; empty: nothing is in the way.
        runs: what is next when it runs.
    """
    target = move_target(seen)
    if seen.new is None:
        return _make(move, seen, target)
    state = state_of(seen.new)
    what = f'VM {seen.new.id} "{seen.new.name}" in {where(target.cloud)}'
    match state.situation:
        case Situation.HELD if waits:
            return Plan(outcome=waiting(Reason.MOVING, f"{what} is not started: {waits}", after=_LOOK_AGAIN))
        case Situation.HELD:
            step = Act(
                action=Action.UPDATE,
                target=f"{what}: start",
                cloud=target.cloud,
                vm=seen.new.id,
                verb="release",
                reason=Reason.STARTING_COPY,
            )
            return Plan(steps=(step,), outcome=waiting(Reason.STARTING_COPY, f"{what} is to be started"))
        case Situation.RUNNING:
            return runs()
        case Situation.FAILED | Situation.LOST | Situation.ENDING | Situation.GONE:
            told = f": {seen.new.error}" if seen.new.error else ""
            return Plan(steps=(failed(f"{what} did not start: it is {state.words}{told}"),))
        case Situation.QUEUED if seen.new.scheduler_message:
            told = f"OpenNebula finds no place for {what}: {seen.new.scheduler_message}"
            if seen.lost is None and seen.new.since and now.timestamp() - seen.new.since > _PATIENCE:
                return Plan(steps=(failed(told),))
            return Plan(outcome=waiting(Reason.NO_CAPACITY, told, after=_LOOK_AGAIN))
        case Situation.QUEUED | Situation.BUSY:
            return Plan(outcome=waiting(Reason.STARTING_COPY, f"{what} is {state.words}", after=_LOOK_AGAIN))
        case _:
            return Plan(steps=(failed(f"{what} is {state.words}: somebody stopped it before it was looked at"),))


def _make(move: InstanceMigration, seen: MigrationObservation, target: Side) -> Plan:
    cards, trouble = cards_of(move, seen)
    surroundings, other = _surroundings(move, seen, target)
    trouble = trouble.merge(other)
    images = [(one.copy.id, one.label) for one in seen.disks if one.copy is not None]
    if seen.machine is None or len(images) != len(seen.disks):
        return Plan(steps=(failed("the machine that was to move has other disks than when it began"),))
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
    return Plan(steps=(step,), outcome=waiting(Reason.STARTING_COPY, f"{step.target} is to be made"))


def came_from(move: InstanceMigration, seen: MigrationObservation) -> str:
    """What the copy tells of a machine to which nothing can be told; empty: it can."""
    if seen.lost is None or rehearses(move):
        return ""
    vm = seen.lost.machine.id if seen.lost.machine is not None else -1
    since = move.external.get(STOPPED, "0")
    return str(CameFrom(where(seen.lost.cloud), vm, seen.mark.object, seen.mark.uid, since))


def _surroundings(move: InstanceMigration, seen: MigrationObservation, target: Side) -> tuple[Surroundings, Outcome]:
    if seen.instance is None or seen.instance_mark is None:
        return NOTHING_AROUND, DONE
    there = InstanceObservation(
        mark=seen.instance_mark,
        cloud=target.cloud,
        view=target.view,
        tenancy=target.tenancy,
        owner=target.owner,
        owners=target.owners,
        chosen=seen.chosen,
    )
    found, trouble = born_into(as_it_will_be(move, seen.instance), there, target.cloud, target.view, -1)
    return (found if isinstance(found, Surroundings) else NOTHING_AROUND), trouble


def _runs(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    if not rehearses(move):
        return _change_over(move, seen, now)
    return rehearsed(seen)


def rehearsed(seen: MigrationObservation) -> Plan:
    """That the copy ran is all that was to be known."""
    proven = remember("that the copy ran", RAN, Reason.REHEARSED, f"a copy ran in {where(move_target(seen).cloud)}")
    return Plan(steps=(proven,), outcome=waiting(Reason.CLEANING_UP, "the copy ran; it is taken away again"))


def _change_over(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """Seen running, and the other one off: the first write, from which on there is no way back."""
    if seen.old is None or state_of(seen.old).situation is not Situation.POWERED_OFF:
        return Plan(steps=(failed("the machine that was to be left does not stay powered off"),))
    return change_over(move, seen, now)
