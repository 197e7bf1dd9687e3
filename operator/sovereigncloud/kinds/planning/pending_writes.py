"""Track external writes that take effect minutes later, so that none is repeated.

The requests are kept in `status.external`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sovereigncloud.core.outcome import DONE
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.contract.controller import AnyResource

# The writer stamps `since` a moment after `perform` stamped the request.
_SLACK = 60.0


def asked(value: str, now: datetime) -> str:
    """Format the fact for `status.external`: the requested value and when."""
    return f"{value}@{int(now.timestamp())}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that takes effect late.

    Attributes:
        fact: the key in `status.external` that remembers it.
        value: the requested value.
        path: the field of spec that requests it; empty where `value` alone identifies the difference.
        within: seconds after which the request is repeated.
    """

    fact: str
    value: str
    path: str
    within: float


def pending(resource: AnyResource, request: Asked, now: datetime) -> bool:
    """Whether this value was requested recently and may still take effect.

    On a settled object a request counts only if it is younger than the difference that it answers
    (`status.drift[].since`): a second difference of the same field, soon after the first was corrected, is a new one
    and is acted upon at once.
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
    """Clear a request whose effect is observed.

    The same difference later is a new one, also where it was only reported for a while.
    """
    return Plan(outcome=DONE.with_facts(**{fact: ""}) if resource.external.get(fact) else DONE)


def _unix(stamp: str) -> float:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
