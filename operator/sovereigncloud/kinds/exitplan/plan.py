"""The plan of an exit: which moves are to be made next. Pure, and each time from what is found, so that it goes on where it was.

A run is a rehearsal or the execution. Its name follows from the object and, of a rehearsal, from when it was due; the names of its
moves from the run and the machine. So whoever goes on makes no second of anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.exitplan import ExitMode, ExitPlan
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import MigrationMode
from sovereigncloud.core.exit import Way
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import written_cloud
from sovereigncloud.kinds.exitplan.names import (
    BEGAN,
    ENDED,
    RUN,
    RUN_LABEL,
    Run,
    execution_of,
    is_of_mode,
    move_key,
    rehearsal_at,
    run_of,
)
from sovereigncloud.kinds.exitplan.observation import ExitObservation, is_lost
from sovereigncloud.kinds.exitplan.progress import Stage
from sovereigncloud.kinds.movement.requests import MakeMove, migration
from sovereigncloud.kinds.planning.schedule import ScheduleError, next_run

_AT_ONCE = 4
_LOOK_AGAIN = 60.0
_LONGEST_WAIT = 3600.0
_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberRun(Step):
    """Nothing outside: that a run begins, or is over. An empty value is forgotten."""

    facts: tuple[tuple[str, str], ...]
    event: Reason | Literal[""] = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropMove(Step):
    """The record of a rehearsal before the last one."""

    key: Key


def plan(exit_plan: ExitPlan, seen: ExitObservation, now: datetime) -> Plan:
    """What is to be done next."""
    if exit_plan.deleting:
        return Plan()
    if seen.problem is not None:
        return Plan(outcome=seen.problem)
    mode, run = ExitMode(exit_plan.spec.mode), run_of(exit_plan)
    if mode is ExitMode.PLAN:
        return _put_away() if run is not None and run.rehearses and run.ended else Plan()
    if run is not None and is_of_mode(run, mode) and not run.ended:
        return _go_on(exit_plan, seen, run, now)
    if mode is ExitMode.REHEARSE:
        return _rehearse(exit_plan, seen, now)
    return _begin(execution_of(exit_plan), seen, now) if run is None or run.rehearses else Plan()


def due(exit_plan: ExitPlan, now: datetime) -> datetime | None:
    """When the next rehearsal is, perhaps in the past; None: never. Raises ScheduleError."""
    run, schedule = run_of(exit_plan), exit_plan.spec.rehearsal_schedule
    if exit_plan.spec.mode != ExitMode.REHEARSE:
        return None
    if run is None or not run.rehearses:
        return now
    if schedule is None:
        return None
    return next_run(schedule, exit_plan.status.next_rehearsal, run.began, now)


def _rehearse(exit_plan: ExitPlan, seen: ExitObservation, now: datetime) -> Plan:
    try:
        at = due(exit_plan, now)
    except ScheduleError as wrong:
        return Plan(outcome=stalled(Reason.INVALID_SPEC, f"{wrong}; correct spec.rehearsalSchedule"))
    if at is None:
        return Plan()
    if at > now:
        return Plan(outcome=replace(DONE, after=min((at - now).total_seconds() + 1.0, _LONGEST_WAIT)))
    return _begin(rehearsal_at(exit_plan, at), seen, now)


def _put_away() -> Plan:
    """Asked for once more, it is rehearsed once more. What was proven stays in status."""
    step = RememberRun(
        action=Action.UPDATE,
        target="the last rehearsal: put away",
        inside=True,
        facts=((RUN, ""), (BEGAN, ""), (ENDED, "")),
    )
    return Plan(steps=(step,))


def _begin(name: str, seen: ExitObservation, now: datetime) -> Plan:
    ways = seen.estimate.ways
    told = f"{seen.estimate.movable} of {len(ways)} machines can leave"
    step = RememberRun(
        action=Action.UPDATE,
        target="a run: begin",
        facts=((RUN, name), (BEGAN, _at(now)), (ENDED, "")),
        event=Reason.RUN_STARTED,
        message=f"run {name} begins: {told}",
    )
    return Plan(steps=(step,), outcome=waiting(Reason.REHEARSING, f"{told}; the run begins"))


# ---------------------------------------------------------------------------------------------------------- under way


def _go_on(exit_plan: ExitPlan, seen: ExitObservation, run: Run, now: datetime) -> Plan:
    active = [name for name, one in seen.progress.items() if one.stage is Stage.UNDER_WAY]
    told = _told(seen, run, len(active))
    reason = Reason.REHEARSING if run.rehearses else Reason.EXECUTING
    making = _next(exit_plan, seen, run, active)
    if making:
        return Plan(steps=(*making, *_dropped(seen)), outcome=waiting(reason, told, after=_LOOK_AGAIN))
    if active:
        return Plan(steps=_dropped(seen), outcome=waiting(reason, told, after=_LOOK_AGAIN))
    incomplete = _incomplete(seen)
    if not run.rehearses and incomplete is not None:
        return Plan(outcome=incomplete)  # what is in the way may go, and then the run goes on
    step = RememberRun(
        action=Action.UPDATE,
        target=f"that run {run.name} is over",
        inside=True,
        facts=((ENDED, _at(now)),),
        event=Reason.RUN_FINISHED,
        message=f"run {run.name} is over: {told}",
    )
    return Plan(steps=(*_dropped(seen), step), outcome=waiting(reason, told))


def _next(exit_plan: ExitPlan, seen: ExitObservation, run: Run, active: list[str]) -> tuple[Step, ...]:
    """Of the first group that has a machine left to begin with, as many as may be. The next group begins when nothing of the ones
    before it is under way.
    """
    open_ways = [way for way in seen.estimate.ways if way.to is not None and way.leaver.name not in seen.progress]
    if not open_ways:
        return ()
    rank = min(way.leaver.rank for way in open_ways)
    if any(seen.ranks.get(name, rank) < rank for name in active):
        return ()
    slots = max(0, (exit_plan.spec.max_concurrent or _AT_ONCE) - len(active))
    chosen = [way for way in open_ways if way.leaver.rank == rank][:slots]
    return tuple(_move(exit_plan, way, run) for way in chosen)


def _move(exit_plan: ExitPlan, way: Way, run: Run) -> MakeMove:
    namespace, _, name = way.leaver.name.partition("/")
    instance = Key(HostedInstance.crd.kind, namespace, name)
    to = written_cloud(way.to[0]) if way.to is not None else None
    if to is None:
        raise ValueError(f"{way.leaver.name} goes nowhere")
    key, spec = move_key(exit_plan, instance, run.name), exit_plan.spec
    manifest = migration(
        key.name,
        instance,
        to,
        mode=MigrationMode.REHEARSE if run.rehearses else MigrationMode.EXECUTE,
        network_map=spec.network_map,
        source_state=spec.source_state,
        fencing=spec.fencing if is_lost(exit_plan) else None,
        exit_plan=exit_plan.key,
        owner=exit_plan if run.rehearses else None,  # a move that is done outlives the plan that asked for it
    )
    return MakeMove(
        action=Action.MOVE,
        target=f"{way.leaver.name} to {way.to[0] if way.to else ''}",
        disruption=Disruption.NONE if run.rehearses or is_lost(exit_plan) else Disruption.RESTART,
        manifest=_with_particulars(manifest, exit_plan, run),
    )


def _with_particulars(manifest: Mapping[str, object], exit_plan: ExitPlan, run: Run) -> Mapping[str, object]:
    """What an exit says beside: the way over which the disks go, and how long what was left stays."""
    metadata, spec = dict(_mapping(manifest["metadata"])), dict(_mapping(manifest["spec"]))
    metadata["labels"] = {**_mapping(metadata.get("labels") or {}), RUN_LABEL: run.name}
    if exit_plan.spec.marketplace is not None and not is_lost(exit_plan):
        spec["marketplace"] = exit_plan.spec.marketplace
    if exit_plan.spec.grace_period is not None:
        spec["gracePeriod"] = exit_plan.spec.grace_period
    if exit_plan.spec.keep_copy and run.rehearses:
        spec["keepCopy"] = True
    return {**manifest, "metadata": metadata, "spec": spec}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _dropped(seen: ExitObservation) -> tuple[Step, ...]:
    return tuple(DropMove(action=Action.DELETE, target=str(key), inside=True, key=key) for key in seen.outdated)


# ------------------------------------------------------------------------------------------------------- what is said


def _told(seen: ExitObservation, run: Run, active: int) -> str:
    done = seen.are(Stage.REHEARSED) if run.rehearses else seen.are(Stage.MOVED)
    left = sum(way.to is not None and way.leaver.name not in seen.progress for way in seen.estimate.ways)
    word = "rehearsed" if run.rehearses else "moved"
    return (
        f"{done} machines {word}, {active} under way, {left} to come,"
        f" {seen.are(Stage.FAILED) + len(seen.estimate.blocked)} that cannot"
    )


def _incomplete(seen: ExitObservation) -> Outcome | None:
    """What stays behind, so that the exit is not over."""
    failures = [(name, one.failure) for name, one in sorted(seen.progress.items()) if one.failure is not None]
    failures += [
        (way.leaver.name, way.blocker)
        for way in seen.estimate.ways
        if way.blocker is not None and way.leaver.name not in seen.progress
    ]
    if not failures:
        return None
    first = "; ".join(f"{name}: {why.reason}, {why.message}" for name, why in failures[:_TOLD])
    more = f"; and {len(failures) - _TOLD} more in status.blockers" if len(failures) > _TOLD else ""
    message = f"{seen.are(Stage.MOVED)} machines moved, {len(failures)} stay behind: {first}{more}"
    return stalled(Reason.EXIT_INCOMPLETE, message, after=_LOOK_AGAIN)


def _at(now: datetime) -> str:
    return str(int(now.timestamp()))
