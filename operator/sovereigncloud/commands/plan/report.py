"""What a plan found, as values and as JSON with stable keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.plan.manifest_validation import ServerRule
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Drift, Step
from sovereigncloud.core.policy import DriftVerdict

Json = dict[str, Any]


class Presence(StrEnum):
    """How the file compares with the cluster."""

    NEW = "New"
    CHANGED = "Changed"
    UNCHANGED = "Unchanged"
    UNKNOWN = "Unknown"  # no cluster was asked


class Verdict(StrEnum):
    """What there is to say of one object, or of all; the worst counts."""

    NOTHING = "NothingToDo"
    CHANGES = "Changes"
    ERROR = "Error"


EXIT_CODES = {Verdict.NOTHING: 0, Verdict.CHANGES: 2, Verdict.ERROR: 1}


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step and whether the operator would do it now; `held` says why not."""

    step: Step
    now: bool
    held: str = ""


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """One object.

    Attributes:
        source: file:line; empty for an object that another one composes.
        composed_by: the object that composes it, as text; empty for one from a file.
        changed: paths of spec in which the file differs from the cluster.
        differences: every difference that was found, also where nothing is done about it.
        drift: differences that came from outside, with what is done about each.
        failed: what kept it from being looked at, or needs a person; then `outcome` says it.
        hash: what `spec.approvedPlan` would have to be, as `status.plan.hash`; empty where nothing waits.
    """

    key: Key
    source: str
    presence: Presence
    outcome: Outcome
    composed_by: str = ""
    changed: tuple[str, ...] = ()
    steps: tuple[PlannedStep, ...] = ()
    differences: tuple[Drift, ...] = ()
    drift: tuple[DriftVerdict, ...] = ()
    failed: bool = False
    hash: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.failed:
            return Verdict.ERROR
        return Verdict.CHANGES if self.steps or self.outcome.phase else Verdict.NOTHING


@dataclass(frozen=True, slots=True)
class Report:
    """All of it.

    Attributes:
        cluster: address of the API server that was read; empty: none.
        notes: what a reader must know of how the plan came about.
        unchecked: rules that only the API server checks.
    """

    cluster: str
    objects: tuple[ObjectPlan, ...]
    notes: tuple[str, ...] = ()
    unchecked: tuple[ServerRule, ...] = ()

    @property
    def verdict(self) -> Verdict:
        found = {o.verdict for o in self.objects}
        return next((v for v in (Verdict.ERROR, Verdict.CHANGES) if v in found), Verdict.NOTHING)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    def counts(self) -> Counter[Verdict]:
        return Counter(o.verdict for o in self.objects)


FORMAT = 1
"""Raised when a key of the JSON goes or changes its meaning; new keys may come without."""


def as_json(report: Report) -> Json:
    """For programs. Keys are always there; what is unknown or does not apply is empty or null."""
    return {
        "format": FORMAT,
        "result": str(report.verdict),
        "exitCode": report.exit_code,
        "cluster": report.cluster or None,
        "objects": [_object(o) for o in report.objects],
        "notes": list(report.notes),
        "uncheckedRules": [{"kind": r.kind, "field": r.field, "message": r.message} for r in report.unchecked],
    }


def _object(plan: ObjectPlan) -> Json:
    return {
        "kind": plan.key.kind,
        "namespace": plan.key.namespace,
        "name": plan.key.name,
        "source": plan.source or None,
        "composedBy": plan.composed_by or None,
        "presence": str(plan.presence),
        "changedFields": list(plan.changed),
        "result": str(plan.verdict),
        "phase": plan.outcome.phase.name.capitalize(),
        "reason": plan.outcome.reason,
        "message": plan.outcome.message,
        "hash": plan.hash,
        "steps": [_step(s) for s in plan.steps],
        "differences": [{"path": d.path, "desired": d.desired, "observed": d.observed} for d in plan.differences],
        "drift": [
            {"path": v.drift.path, "desired": v.drift.desired, "observed": v.drift.observed, "action": v.action}
            for v in plan.drift
        ],
    }


def _step(planned: PlannedStep) -> Json:
    step = planned.step
    return {
        "action": str(step.action),
        "target": step.target,
        "fields": list(step.fields),
        "disruption": str(step.disruption),
        "cost": step.cost or None,
        "needs": step.needs or None,
        "cause": str(step.cause),
        "where": "Kubernetes" if step.inside else "Outside",
        "now": planned.now,
        "held": planned.held or None,
    }


def with_brakes(steps: Sequence[PlannedStep]) -> list[str]:
    """The steps that the brakes count, in words."""
    return [f"{s.step.action} {s.step.target}" for s in steps if s.now and s.step.dangerous]
