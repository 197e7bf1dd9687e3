"""What an exit says of itself: how many could leave, what is in the way, what was rehearsed. Nothing in it moves by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.exitplan import MAX_BLOCKERS, ExitMode, ExitPhase, ExitPlan
from sovereigncloud.core.conditions import Json, timestamp
from sovereigncloud.core.exit import Blocker, duration
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.exitplan.names import Run, is_of_mode, run_of
from sovereigncloud.kinds.exitplan.observation import ExitObservation
from sovereigncloud.kinds.exitplan.plan import due
from sovereigncloud.kinds.exitplan.progress import Stage
from sovereigncloud.kinds.planning.schedule import ScheduleError, stamp_of

EXIT_PROVEN = "ExitProven"
_AT_ONCE = 4
_MAX_MESSAGE = 1024
_KEPT = (
    "phase", "movable", "clouds", "blockers", "blockedBy", "expected", "measured", "run", "lastRehearsal", "nextRehearsal",
)  # fmt: skip


def exit_status(exit_plan: ExitPlan, seen: ExitObservation) -> Mapping[str, object]:
    """All of it. While nobody could look, as it was."""
    told = exit_plan.status.model_dump(by_alias=True, exclude_none=True)
    fields: dict[str, object] = {key: told.get(key) for key in _KEPT}
    run, mode = run_of(exit_plan), ExitMode(exit_plan.spec.mode)
    if seen.problem is None and not exit_plan.deleting and not _is_over(run, mode):
        blockers = list(_blockers(seen))
        fields.update(
            movable=_movable(seen),
            clouds=[where(cloud) for cloud in seen.clouds],
            blockers=_first(blockers),
            blockedBy=_counted(blockers),
            expected=_expected(exit_plan, seen),
        )
    current = run if run is not None and is_of_mode(run, mode) else None
    if current is not None:
        fields.update(_of_the_run(current, seen, told))
    fields["phase"] = str(_phase(run, mode))
    fields["nextRehearsal"] = _next_rehearsal(exit_plan, seen)
    return {**fields, OWN_CONDITIONS: [_proven(fields)]}


def _is_over(run: Run | None, mode: ExitMode) -> bool:
    """An exit that was executed: what comes into that cloud later is not its business."""
    return mode is ExitMode.EXECUTE and run is not None and not run.rehearses and run.ended > 0


def _phase(run: Run | None, mode: ExitMode) -> ExitPhase:
    if mode is ExitMode.PLAN or run is None or not is_of_mode(run, mode):
        return ExitPhase.PLANNED
    if run.rehearses:
        return ExitPhase.REHEARSED if run.ended else ExitPhase.REHEARSING
    return ExitPhase.EXECUTED if run.ended else ExitPhase.EXECUTING


# --------------------------------------------------------------------------------------------------- could leave, or not


def _movable(seen: ExitObservation) -> str:
    """Those that are under way or have moved count as what they are: able to."""
    on = seen.are(Stage.UNDER_WAY, Stage.MOVED)
    failed = sum(1 for way in seen.estimate.ways if way.to is not None and _has_failed(way.leaver.name, seen))
    return f"{seen.estimate.movable - failed + on}/{len(seen.estimate.ways) + on}"


def _has_failed(name: str, seen: ExitObservation) -> bool:
    one = seen.progress.get(name)
    return one is not None and one.stage is Stage.FAILED


def _blockers(seen: ExitObservation) -> Iterator[tuple[str, Blocker]]:
    for way in seen.estimate.ways:
        tried = seen.progress.get(way.leaver.name)
        if tried is not None and tried.failure is not None:
            yield way.leaver.name, tried.failure
        elif way.blocker is not None:
            yield way.leaver.name, way.blocker


def _first(blockers: Iterable[tuple[str, Blocker]]) -> list[Json] | None:
    found = [
        {"name": name, "reason": str(one.reason), "message": one.message[:_MAX_MESSAGE]}
        for name, one in sorted(blockers, key=lambda entry: entry[0])[:MAX_BLOCKERS]
    ]
    return found or None


def _counted(blockers: Iterable[tuple[str, Blocker]]) -> list[Json] | None:
    counts = Counter(str(one.reason) for _, one in blockers)
    return [{"name": name, "count": count} for name, count in sorted(counts.items())] or None


def _expected(exit_plan: ExitPlan, seen: ExitObservation) -> Json:
    size, machines = seen.estimate.bytes, seen.estimate.movable
    at_once = exit_plan.spec.max_concurrent or _AT_ONCE
    return {
        "bytes": size,
        "durationSeconds": duration(size, machines, seen.throughput, at_once),
        "bytesPerSecond": seen.throughput,
    }


# -------------------------------------------------------------------------------------------------------------- the run


def _of_the_run(run: Run, seen: ExitObservation, told: Json) -> dict[str, object]:
    """While it is under way what is found; when it is over what was found last."""
    before = told.get("run") or {}
    known = before if before.get("name") == run.name else {}
    if run.ended:
        entry: Json = {**known, "name": run.name, "beganAt": stamp_of(run.began), "endedAt": stamp_of(run.ended)}
        entry["durationSeconds"] = max(0, run.ended - run.began)
        return {"run": entry, "lastRehearsal": entry if run.rehearses else told.get("lastRehearsal")}
    if seen.problem is not None:
        return {}
    done = [one for one in seen.progress.values() if one.stage in {Stage.REHEARSED, Stage.MOVED}]
    failed = len(list(_blockers(seen)))
    moved = seen.are(Stage.MOVED, Stage.UNDER_WAY)
    size, took = sum(one.bytes for one in done), sum(one.seconds for one in done if one.bytes)
    entry = {
        "name": run.name,
        "beganAt": stamp_of(run.began),
        "machines": len(seen.estimate.ways) + moved,
        "succeeded": len(done),
        "failed": failed,
        "bytes": size or None,
    }
    measured = {"bytes": size, "durationSeconds": took, "bytesPerSecond": size // took} if size and took else None
    return {"run": entry, **({"measured": measured} if measured else {})}


def _next_rehearsal(exit_plan: ExitPlan, seen: ExitObservation) -> str | None:
    run = run_of(exit_plan)
    if run is None or not run.rehearses:
        return None
    try:
        at = due(exit_plan, seen.now)
    except ScheduleError:
        return None
    return timestamp(at) if at is not None else None


def _proven(fields: Mapping[str, object]) -> Json:
    """Whether the way out was walked: what was rehearsed last, and when."""
    last = fields.get("lastRehearsal")
    if not isinstance(last, dict):
        told = "it was never rehearsed: set mode: Rehearse"
        return {"type": EXIT_PROVEN, "status": "Unknown", "reason": Reason.NEVER_REHEARSED, "message": told}
    all_of_them, done = last.get("machines") or 0, last.get("succeeded") or 0
    if not all_of_them:
        told = "there was no machine to be rehearsed with"
        return {"type": EXIT_PROVEN, "status": "Unknown", "reason": Reason.NOTHING_TO_LEAVE, "message": told}
    told = f"{done} of {all_of_them} machines ran as a copy in the rehearsal that ended at {last.get('endedAt')}"
    if done < all_of_them:
        why = f"{told}; status.blockers names those that did not"
        return {"type": EXIT_PROVEN, "status": "False", "reason": Reason.REHEARSAL_FAILED, "message": why}
    return {"type": EXIT_PROVEN, "status": "True", "reason": Reason.EXIT_REHEARSED, "message": told}
