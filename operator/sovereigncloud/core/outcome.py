"""The outcome of looking at, or doing something about, one object: one frozen value, merged, never mutated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal

from sovereigncloud.api.common.reasons import Reason


class Phase(IntEnum):
    """How far an object is from what is declared; the larger wins when outcomes are merged."""

    DONE = 0
    WAITING = 1  # something outside is under way; it ends by itself
    APPROVAL = 2  # a field in spec must be set before the next step
    BLOCKED = 3  # a reference is not there or not ready; heals by itself when it is
    RETRY = 4  # a call failed in a way that passes
    STALLED = 5  # no retry mends it, a person must act


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known after a step.

    Attributes:
        phase: how far it is.
        reason: empty only for DONE.
        message: a sentence a person can act on.
        after: seconds until it is worth looking again; None: wait for an event or the sweep.
        available: whether the thing outside does its job meanwhile (Ready stays as it was).
        facts: ids and other facts for `status.external`; an empty value removes the key.
        events: what was done, for Kubernetes events: (reason, message).
        beside: something runs beside what is declared (a verification): it is looked at as often as what is under way.
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
        """The worse phase names the reason, the earlier time wins, messages and facts are joined."""
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
    """All of them as one; nothing at all is done."""
    result = DONE
    for outcome in outcomes:
        if outcome is not DONE:  # it adds nothing, and is what nearly all of them are
            result = outcome if result is DONE else result.merge(outcome)
    return result


DONE = Outcome()


def done(event: Reason | Literal[""] = "", message: str = "", **facts: str) -> Outcome:
    """A step was done; with an event it is told to the user."""
    return Outcome(facts=facts, events=((event, message),) if event else ())


def waiting(reason: Reason, message: str, *, after: float | None = None, available: bool = False) -> Outcome:
    return Outcome(Phase.WAITING, reason, message, after=after, available=available)


def approval(message: str) -> Outcome:
    """Waiting for consent; the message names the field to set."""
    return Outcome(Phase.APPROVAL, Reason.APPROVAL_REQUIRED, message, available=True)


def held(reason: Reason, message: str, *, available: bool = True) -> Outcome:
    """Nothing is under way: it waits for a person's word in spec or in an annotation."""
    return Outcome(Phase.APPROVAL, reason, message, available=available)


def blocked(message: str, *, reason: Reason = Reason.WAITING_FOR_DEPENDENCY) -> Outcome:
    return Outcome(Phase.BLOCKED, reason, message)


def retry(message: str, *, after: float | None = None, reason: Reason = Reason.RETRYING_AFTER_ERROR) -> Outcome:
    """A call failed in a way that passes. Without `after` the queue's backoff decides."""
    return Outcome(Phase.RETRY, reason, message, after=after, available=True)


def stalled(reason: Reason, message: str, *, after: float | None = None) -> Outcome:
    """A person must act. With `after` it is looked at again, since the cause may go by itself."""
    return Outcome(Phase.STALLED, reason, message, after=after)
