"""What the process is busy with: set while an object is reconciled, read by whoever writes a line of the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key


@dataclass(frozen=True, slots=True)
class Subject:
    """One reconcile of one object.

    Attributes:
        reconcile_id: sixteen hex digits, another one each time.
        trace_id, span_id: of its trace; empty where nobody traces.
    """

    key: Key
    uid: str
    generation: int
    reconcile_id: str
    trace_id: str = ""
    span_id: str = ""


_CURRENT: ContextVar[Subject | None] = ContextVar("sovereign_subject", default=None)


def current() -> Subject | None:
    """Whom the calling task, or a thread that works for it, is busy with."""
    return _CURRENT.get()


@contextmanager
def busy_with(subject: Subject) -> Iterator[None]:
    token = _CURRENT.set(subject)
    try:
        yield
    finally:
        _CURRENT.reset(token)
