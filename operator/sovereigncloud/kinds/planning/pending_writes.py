"""Writes outside that take effect minutes later: remembered in `status.external`, so that none is made twice meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sovereigncloud.core.outcome import DONE
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.contract.controller import AnyResource

# The writer stamps `since` a moment after `perform` stamped the request.
_SLACK = 60.0


def asked(value: str, now: datetime) -> str:
    """The fact to keep in `status.external`: what was asked for, and when."""
    return f"{value}@{int(now.timestamp())}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that takes effect late.

    Attributes:
        fact: the key in `status.external` that remembers it.
        value: what is asked for.
        path: the field of spec that asks for it; empty where `value` alone tells one difference from the next.
        within: seconds after which it is asked for again.
    """

    fact: str
    value: str
    path: str
    within: float


def pending(resource: AnyResource, request: Asked, now: datetime) -> bool:
    """Whether this very value was asked for a moment ago and may still take effect.

    On a settled object a request is younger than the difference that it answers (`status.drift[].since`): a second
    difference of the same field, soon after the first was mended, is a new one and must be acted upon at once.
    """
    what, _, at = resource.external.get(request.fact, "").rpartition("@")
    if what != request.value or not at.isdigit():
        return False
    if not int(at) <= now.timestamp() + _SLACK or now.timestamp() - int(at) > request.within:
        return False
    if not request.path or not resource.settled:
        return True
    entry = next((e for e in resource.status.drift or () if e.path == request.path), None)
    return entry is not None and int(at) >= _unix(entry.since) - _SLACK


def answered(resource: AnyResource, fact: str) -> Plan:
    """Nothing to do, since what was asked for is seen. The request is forgotten: the same difference once more is a new
    one, also where it was only reported for a while.
    """
    return Plan(outcome=DONE.with_facts(**{fact: ""}) if resource.external.get(fact) else DONE)


def _unix(stamp: str) -> float:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
