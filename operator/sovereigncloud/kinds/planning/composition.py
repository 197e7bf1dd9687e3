"""Several aspects of one object as one plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sovereigncloud.core.outcome import Outcome, merge
from sovereigncloud.core.plan import Drift, Plan, Step


def join(plans: Iterable[Plan]) -> Plan:
    """Steps in the order given, outcomes merged."""
    parts = tuple(plans)
    outcome: Outcome = merge(p.outcome for p in parts)
    if not outcome.reason:  # of outcomes that are all done, one may still have something to say
        outcome = replace(outcome, reason=next((p.outcome.reason for p in parts if p.outcome.reason), ""))
    return Plan(
        drift=tuple(d for p in parts for d in p.drift),
        steps=tuple(s for p in parts for s in p.steps),
        outcome=outcome,
        absent=any(p.absent for p in parts),
    )


def consent_last(steps: Iterable[Step]) -> tuple[Step, ...]:
    """What waits for consent comes last: nothing is done beyond the first such step."""
    return tuple(sorted(steps, key=lambda step: bool(step.needs)))


def one_per_path(entries: Iterable[Drift]) -> tuple[Drift, ...]:
    """`status.drift` is a map by path: what differs twice there (in two clouds, on two cards) is one entry."""
    merged: dict[str, Drift] = {}
    for entry in entries:
        known = merged.get(entry.path)
        merged[entry.path] = Drift(entry.path, known.desired, f"{known.observed}; {entry.observed}") if known else entry
    return tuple(merged.values())
