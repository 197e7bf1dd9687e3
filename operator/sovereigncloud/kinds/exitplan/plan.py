"""Plan an exit: which migrations to create next, from the observation alone. Pure.

A run is a rehearsal or the execution. Its name follows from the object and, for a rehearsal, from its due time; the
names of its migrations follow from the run and the instance. So a retry creates nothing twice.
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
from sovereigncloud.kinds.contract.cloud_keys import written_cloud
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
from sovereigncloud.kinds.movement.requests import RequestMigration, migration_manifest
from sovereigncloud.kinds.planning.schedule import ScheduleError, next_run

DEFAULT_CONCURRENT = 4
"""Migrations at a time where spec.maxConcurrent is absent."""
_LOOK_AGAIN = 60.0
_LONGEST_WAIT = 3600.0
_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRun(Step):
    """Record in the status that a run begins or ends. An empty value removes the key."""

    facts: tuple[tuple[str, str], ...]
    event: Reason | Literal[""] = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMigration(Step):
    """Delete a rehearsal migration of an earlier run."""

    key: Key


def plan(exit_plan: ExitPlan, seen: ExitObservation, now: datetime) -> Plan:
    """Plan the next steps of an exit."""
    if exit_plan.deleting:
        return Plan()
    if seen.problem is not None:
        return Plan(outcome=seen.problem)
    mode, run = ExitMode(exit_plan.spec.mode), run_of(exit_plan)
    if mode is ExitMode.PLAN:
        return _forget_rehearsal() if run is not None and run.rehearses and run.ended else Plan()
    if run is not None and is_of_mode(run, mode) and not run.ended:
        return _continue_run(exit_plan, seen, run, now)
    if mode is ExitMode.REHEARSE:
        return _rehearse(exit_plan, seen, now)
    return _begin(execution_of(exit_plan), seen, now) if run is None or run.rehearses else Plan()


def due(exit_plan: ExitPlan, now: datetime) -> datetime | None:
    """Due time of the next rehearsal, possibly past; None: never. Raises ScheduleError."""
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


def _forget_rehearsal() -> Plan:
    """Forget the last rehearsal run, so that setting mode: Rehearse again starts a new one.

    The condition ExitProven stays.
    """
    step = RecordRun(
        action=Action.UPDATE,
        target="the last rehearsal: put away",
        inside=True,
        facts=((RUN, ""), (BEGAN, ""), (ENDED, "")),
    )
    return Plan(steps=(step,))


def _begin(name: str, seen: ExitObservation, now: datetime) -> Plan:
    ways = seen.estimate.ways
    told = f"{seen.estimate.movable} of {len(ways)} machines can leave"
    step = RecordRun(
        action=Action.UPDATE,
        target="a run: begin",
        facts=((RUN, name), (BEGAN, _at(now)), (ENDED, "")),
        event=Reason.RUN_STARTED,
        message=f"run {name} begins: {told}",
    )
    return Plan(steps=(step,), outcome=waiting(Reason.REHEARSING, f"{told}; the run begins"))


# ---------------------------------------------------------------------------------------------------------- under way


def _continue_run(exit_plan: ExitPlan, seen: ExitObservation, run: Run, now: datetime) -> Plan:
    active = [name for name, one in seen.progress.items() if one.stage is Stage.UNDER_WAY]
    told = _run_summary(seen, run, len(active))
    reason = Reason.REHEARSING if run.rehearses else Reason.EXECUTING
    making = _next_migrations(exit_plan, seen, run, active)
    if making:
        return Plan(steps=(*making, *_delete_outdated(seen)), outcome=waiting(reason, told, after=_LOOK_AGAIN))
    if active:
        return Plan(steps=_delete_outdated(seen), outcome=waiting(reason, told, after=_LOOK_AGAIN))
    incomplete = _incomplete(seen)
    if not run.rehearses and incomplete is not None:
        return Plan(outcome=incomplete)  # the run continues once the blockers are removed
    step = RecordRun(
        action=Action.UPDATE,
        target=f"that run {run.name} is over",
        inside=True,
        facts=((ENDED, _at(now)),),
        event=Reason.RUN_FINISHED,
        message=f"run {run.name} is over: {told}",
    )
    return Plan(steps=(*_delete_outdated(seen), step), outcome=waiting(reason, told))


def _next_migrations(exit_plan: ExitPlan, seen: ExitObservation, run: Run, active: list[str]) -> tuple[Step, ...]:
    """Next migrations: of the first group with VMs left, up to maxConcurrent.

    The next group begins when no migration of an earlier group is active.
    """
    open_ways = [way for way in seen.estimate.ways if way.to is not None and way.leaver.name not in seen.progress]
    if not open_ways:
        return ()
    rank = min(way.leaver.rank for way in open_ways)
    if any(seen.ranks.get(name, rank) < rank for name in active):
        return ()
    slots = max(0, (exit_plan.spec.max_concurrent or DEFAULT_CONCURRENT) - len(active))
    chosen = [way for way in open_ways if way.leaver.rank == rank][:slots]
    return tuple(_migration_step(exit_plan, way, run) for way in chosen)


def _migration_step(exit_plan: ExitPlan, way: Way, run: Run) -> RequestMigration:
    namespace, _, name = way.leaver.name.partition("/")
    instance = Key(HostedInstance.crd.kind, namespace, name)
    to = written_cloud(way.to[0]) if way.to is not None else None
    if to is None:
        raise ValueError(f"{way.leaver.name} has no target cloud")
    key, spec = move_key(exit_plan, instance, run.name), exit_plan.spec
    manifest = migration_manifest(
        key.name,
        instance,
        to,
        mode=MigrationMode.REHEARSE if run.rehearses else MigrationMode.EXECUTE,
        network_map=spec.network_map,
        source_state=spec.source_state,
        fencing=spec.fencing if is_lost(exit_plan) else None,
        exit_plan=exit_plan.key,
        owner=exit_plan if run.rehearses else None,  # an executed migration outlives its plan
    )
    return RequestMigration(
        action=Action.MOVE,
        target=f"{way.leaver.name} to {way.to[0] if way.to else ''}",
        disruption=Disruption.NONE if run.rehearses or is_lost(exit_plan) else Disruption.RESTART,
        manifest=_with_exit_fields(manifest, exit_plan, run),
    )


def _with_exit_fields(manifest: Mapping[str, object], exit_plan: ExitPlan, run: Run) -> Mapping[str, object]:
    """Add what only an ExitPlan sets: label, marketplace, grace period, retained copies."""
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


def _delete_outdated(seen: ExitObservation) -> tuple[Step, ...]:
    return tuple(DeleteMigration(action=Action.DELETE, target=str(key), inside=True, key=key) for key in seen.outdated)


# ------------------------------------------------------------------------------------------------------- what is said


def _run_summary(seen: ExitObservation, run: Run, active: int) -> str:
    done = seen.count(Stage.REHEARSED) if run.rehearses else seen.count(Stage.MOVED)
    left = sum(way.to is not None and way.leaver.name not in seen.progress for way in seen.estimate.ways)
    word = "rehearsed" if run.rehearses else "moved"
    return (
        f"{done} machines {word}, {active} in progress, {left} pending,"
        f" {seen.count(Stage.FAILED) + len(seen.estimate.blocked)} failed or blocked"
    )


def _incomplete(seen: ExitObservation) -> Outcome | None:
    """Blocked or failed VMs, which keep the exit from completing; None: there are none."""
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
    message = f"{seen.count(Stage.MOVED)} machines moved, {len(failures)} blocked or failed: {first}{more}"
    return stalled(Reason.EXIT_INCOMPLETE, message, after=_LOOK_AGAIN)


def _at(now: datetime) -> str:
    return str(int(now.timestamp()))
