"""Outcome of evaluating an object or doing a step: one immutable value, combined by merging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal

from sovereigncloud.api.common.reasons import Reason


class Phase(IntEnum):
    """Distance of an object from its spec; merging keeps the larger one."""

    DONE = 0
    WAITING = 1  # something outside is under way; it ends by itself
    APPROVAL = 2  # a field in spec must be set before the next step
    BLOCKED = 3  # a reference is not there or not ready; heals by itself when it is
    RETRY = 4  # a call failed in a way that passes
    STALLED = 5  # no retry mends it, a person must act


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of an evaluation or a step.

    Attributes:
        phase: distance from the spec.
        reason: empty only for DONE.
        message: a sentence a person can act on.
        after: seconds until the next evaluation; None: on an event or the sweep.
        available: whether the external resource works meanwhile (Ready stays as it was).
        facts: ids and other facts for `status.external`; an empty value removes the key.
        events: what was done, for Kubernetes events: (reason, message).
        beside: work beside the declared state is running (a verification): it is checked as often as a change in progress.
    """

    phase: Phase = Phase.DONE
    reason: Reason | Literal[""] = ""
    message: str = ""
    after: float | None = None
    available: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    events: tuple[tuple[Reason, str], ...] = ()
    beside: bool = False

    def merge(self, other: Outcome) -> Outcome:
        """Merge two outcomes: the worse phase gives the reason, the earlier time wins.

        Messages and facts are joined.
        """
        worse, better = (other, self) if other.phase > self.phase else (self, other)
        messages = [m for m in (worse.message, better.message if better.phase == worse.phase else "") if m]
        times = [t for t in (self.after, other.after) if t is not None]
        return Outcome(
            phase=worse.phase,
            reason=worse.reason,
            message="; ".join(dict.fromkeys(messages)),
            after=min(times) if times else None,
            available=worse.available and (better.available or better.phase == Phase.DONE),
            facts={**self.facts, **other.facts},
            events=self.events + other.events,
            beside=self.beside or other.beside,
        )

    def with_facts(self, **facts: str) -> Outcome:
        return replace(self, facts={**self.facts, **facts})


def merge(outcomes: Iterable[Outcome]) -> Outcome:
    """Merge all outcomes into one; none at all is DONE."""
    result = DONE
    for outcome in outcomes:
        if outcome is not DONE:  # it adds nothing, and is what nearly all of them are
            result = outcome if result is DONE else result.merge(outcome)
    return result


DONE = Outcome()


def done(event: Reason | Literal[""] = "", message: str = "", **facts: str) -> Outcome:
    """Return the outcome of a finished step; `event` is posted as a Kubernetes event."""
    return Outcome(facts=facts, events=((event, message),) if event else ())


def waiting(reason: Reason, message: str, *, after: float | None = None, available: bool = False) -> Outcome:
    return Outcome(Phase.WAITING, reason, message, after=after, available=available)


def approval(message: str) -> Outcome:
    """Return the outcome of waiting for consent; the message names the field to set."""
    return Outcome(Phase.APPROVAL, Reason.APPROVAL_REQUIRED, message, available=True)


def held(reason: Reason, message: str, *, available: bool = True) -> Outcome:
    """Return the outcome of an idle object that waits for a person to set a field or annotation."""
    return Outcome(Phase.APPROVAL, reason, message, available=available)


def blocked(message: str, *, reason: Reason = Reason.WAITING_FOR_DEPENDENCY) -> Outcome:
    return Outcome(Phase.BLOCKED, reason, message)


def retry(message: str, *, after: float | None = None, reason: Reason = Reason.RETRYING_AFTER_ERROR) -> Outcome:
    """Return the outcome of a transient failure. Without `after` the queue's backoff decides."""
    return Outcome(Phase.RETRY, reason, message, after=after, available=True)


def stalled(reason: Reason, message: str, *, after: float | None = None) -> Outcome:
    """Return the outcome of a failure that a person must fix.

    With `after` the object is evaluated again, because the cause may go away by itself.
    """
    return Outcome(Phase.STALLED, reason, message, after=after)
