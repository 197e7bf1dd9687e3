"""Conditions, drift entries and the status as a whole: pure functions of what is known and what was said before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sovereigncloud.core.outcome import Outcome, Phase
from sovereigncloud.core.plan import Step, plan_hash
from sovereigncloud.core.policy import DriftVerdict

MAX_DRIFT = 64
MAX_STEPS = 64
MAX_VALUE = 1024
MAX_MESSAGE = 4096

Json = dict[str, Any]


def timestamp(now: datetime) -> str:
    """As Kubernetes writes times."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(
    outcome: Outcome, drift: tuple[DriftVerdict, ...] | None, previous: Json, *, generation: int, paused: bool, now: str
) -> list[Json]:
    """The conditions to write.

    Ready is always there and stays True within a generation while the thing outside does its job; Reconciling and
    Stalled are there only while true, never both (kstatus reads them so); Drifted once reality was looked at.

    Args:
        outcome: what the loop came to.
        drift: None: reality could not be looked at, what was said of it stays.
        previous: the status written before.
        generation: of the spec that was looked at.
        paused: whether the annotation is set.
        now: a timestamp.
    """
    before = {c["type"]: c for c in previous.get("conditions") or []}
    was_ready = before.get("Ready", {}).get("status") == "True" and previous.get("observedGeneration") == generation
    wanted: list[Json] = [_ready(outcome, before.get("Ready", {}), was_ready=was_ready)]
    if outcome.phase is Phase.STALLED:
        wanted.append(_condition("Stalled", "True", outcome.reason, outcome.message))
    elif outcome.phase is not Phase.DONE:
        wanted.append(_condition("Reconciling", "True", outcome.reason, outcome.message))
    wanted.extend(_drifted(drift, before))
    if paused:
        wanted.append(
            _condition(
                "Paused",
                "True",
                "PausedByAnnotation",
                "nothing outside is written while sovereigncloud.io/paused is true",
            )
        )
    for condition in wanted:
        old = before.get(condition["type"], {})
        same = old.get("status") == condition["status"]
        condition["lastTransitionTime"] = old.get("lastTransitionTime") or now if same else now
    return wanted


def _ready(outcome: Outcome, old: Json, *, was_ready: bool) -> Json:
    if outcome.phase is Phase.DONE:
        return _condition("Ready", "True", outcome.reason or "AsDeclared", outcome.message or "as declared")
    if was_ready and outcome.phase is not Phase.STALLED and outcome.available:
        return _condition("Ready", "True", old["reason"], old.get("message", ""))
    return _condition("Ready", "False", outcome.reason, outcome.message)


def _drifted(drift: tuple[DriftVerdict, ...] | None, before: Mapping[str, Json]) -> list[Json]:
    if drift is None:
        return [dict(before["Drifted"])] if "Drifted" in before else []
    counted = [v for v in drift if v.action != "Ignored"]
    if not counted:
        return [_condition("Drifted", "False", "InSync", "reality is as declared")]
    reason = "Correcting" if any(v.action == "Correcting" for v in counted) else "ReportOnly"
    shown = ", ".join(
        f"{v.drift.path} is {v.drift.observed or 'absent'} instead of {v.drift.desired or 'absent'}"
        for v in counted[:5]
    )
    more = f" and {len(counted) - 5} more" if len(counted) > 5 else ""
    return [_condition("Drifted", "True", reason, f"{shown}{more}")]


def _condition(kind: str, status: str, reason: str, message: str) -> Json:
    return {"type": kind, "status": status, "reason": reason or "Unknown", "message": message[:MAX_MESSAGE]}


def drift_entries(drift: tuple[DriftVerdict, ...], previous: Json, now: str) -> list[Json]:
    """For `status.drift`: bounded, with the time since when each field differs."""
    since = {d["path"]: d.get("since") for d in previous.get("drift") or []}
    return [
        {
            "path": v.drift.path[:253],
            "desired": v.drift.desired[:MAX_VALUE],
            "observed": v.drift.observed[:MAX_VALUE],
            "action": v.action,
            "since": since.get(v.drift.path) or now,
        }
        for v in drift[:MAX_DRIFT]
    ]


def plan_status(steps: tuple[Step, ...]) -> Json | None:
    """For `status.plan`; None when there is nothing to show."""
    if not steps:
        return None
    return {"hash": plan_hash(steps), "steps": [_step(s) for s in steps[:MAX_STEPS]]}


def _step(step: Step) -> Json:
    shown: Json = {"action": str(step.action), "target": step.target[:253], "disruption": str(step.disruption)}
    if step.fields:
        shown["fields"] = list(step.fields[:MAX_STEPS])
    if step.cost:
        shown["cost"] = step.cost
    if step.needs:
        shown["needs"] = step.needs
    return shown


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """The JSON merge patch (RFC 7386) that turns old into new: null for keys that went, lists whole."""
    patch: Json = {}
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            patch[key] = merge_patch(before, after)
        else:
            patch[key] = after
    return patch
