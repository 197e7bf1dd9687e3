"""Log context: the object under reconciliation, added to every log line written meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key


@dataclass(frozen=True, slots=True)
class LogContext:
    """One reconcile of one object, as log lines name it.

    Attributes:
        reconcile_id: sixteen hex digits, new for each reconcile.
        trace_id, span_id: of its trace; empty without tracing.
    """

    key: Key
    uid: str
    generation: int
    reconcile_id: str
    trace_id: str = ""
    span_id: str = ""


_CURRENT: ContextVar[LogContext | None] = ContextVar("sovereign_subject", default=None)


def current() -> LogContext | None:
    """Return the log context of the current task, or of the task that a thread works for."""
    return _CURRENT.get()


@contextmanager
def bound_log_context(subject: LogContext) -> Iterator[None]:
    token = _CURRENT.set(subject)
    try:
        yield
    finally:
        _CURRENT.reset(token)
