"""What can go wrong outside, in the words of the operator. Adapters translate by tables kept as data; only the
engine turns these into outcomes. No adapter error carries a secret in its text.
"""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason


class OutsideError(Exception):
    """A call outside failed.

    Attributes:
        message: the original message of the API, without secrets.
        where: which API and call, for people: "OpenNebula one.vm.allocate", "OVHcloud POST /vrack/pn-1/ip".
    """

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.message = message
        self.where = where


class Retry(OutsideError):
    """It passes: timeouts, 429, 5xx, no raft leader.

    Attributes:
        after: seconds to wait, where the API said so.
        maybe_done: the write may have been done, or may yet be: look before doing it again. False only where the
            request surely never arrived (connection refused, 429).
    """

    def __init__(self, message: str, *, where: str = "", after: float | None = None, maybe_done: bool = True) -> None:
        super().__init__(message, where=where)
        self.after = after
        self.maybe_done = maybe_done


class Rejected(OutsideError):
    """The API refuses this input or state; asking again changes nothing until something else changes."""

    def __init__(self, message: str, *, where: str = "", reason: Reason = Reason.REJECTED) -> None:
        super().__init__(message, where=where)
        self.reason = reason


class NotFound(OutsideError):
    """No such object, or none that this credential may see."""


class Auth(OutsideError):
    """The credential is wrong, expired, or lacks a right."""


class Quota(OutsideError):
    """A quota or the capacity is used up."""


class Conflict(OutsideError):
    """The object is in a state that does not allow this now (locked, task running, name taken)."""


class AlreadyRunning(Conflict):
    """What was asked for is not begun, since another task of its kind runs.

    Attributes:
        task: the running one, as the API names it.
    """

    def __init__(self, message: str, *, where: str = "", task: int) -> None:
        super().__init__(message, where=where)
        self.task = task


class NotYet(Exception):
    """A view that began late enough is not there yet; look again after so many seconds."""

    def __init__(self, message: str, *, after: float) -> None:
        super().__init__(message)
        self.after = after


class MissingSecret(Exception):
    """A Secret, or a key in it, that spec refers to is not there or malformed."""
