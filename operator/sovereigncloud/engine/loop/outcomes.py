"""From an error outside to an outcome: one table for every kind."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, blocked, retry, stalled, waiting
from sovereigncloud.ports.errors import (
    Auth,
    Conflict,
    MissingSecret,
    NotFound,
    NotYet,
    OutsideError,
    Quota,
    Rejected,
    Retry,
)

LOOK_AGAIN = 60.0
"""Seconds until something is tried again that a person may have mended outside meanwhile."""
REJECTED_AGAIN = 300.0


def outcome_of(error: Exception) -> Outcome:
    """What an error means for the object. An unknown error is retried with backoff; its type is told, not its text,
    which may hold anything."""
    match error:
        case NotYet():
            return waiting(Reason.OBSERVING, str(error), after=error.after, available=True)
        case MissingSecret():
            return blocked(str(error), reason=Reason.SECRET_MISSING)
        case Retry():
            return retry(str(error), after=error.after)
        case Conflict():
            return retry(str(error), reason=Reason.CONFLICT)
        case Quota():
            return waiting(Reason.QUOTA_EXCEEDED, str(error), after=LOOK_AGAIN)
        case Auth():
            return stalled(
                Reason.CREDENTIALS_REJECTED,
                f"{str(error).rstrip('.')}; check the Secret that spec names and the rights of its user",
                after=LOOK_AGAIN,
            )
        case NotFound():
            return stalled(Reason.NOT_FOUND, str(error), after=LOOK_AGAIN)
        case Rejected():
            return stalled(error.reason, str(error), after=REJECTED_AGAIN)
        case OutsideError():
            return retry(str(error))
        case _:
            return retry(f"unexpected {type(error).__name__}, see the operator's log", reason=Reason.INTERNAL_ERROR)
