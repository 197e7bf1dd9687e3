"""Priority of external API requests, set by the engine per reconcile.

The adapters' rate limits read it. It is a context variable and not a parameter: it does not change what is requested,
and every method would pass it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum


class Urgency(IntEnum):
    """Priority class of a request; lower values go first."""

    USER = 0
    """A person changed an object and waits for the result."""
    RECHECK = 1
    """Periodic checks, and the changes that they cause."""


_CURRENT: ContextVar[Urgency] = ContextVar("urgency", default=Urgency.USER)
"""The default is a person at the command line."""


def current() -> Urgency:
    """Return the urgency of the current task."""
    return _CURRENT.get()


@contextmanager
def at(urgency: Urgency) -> Iterator[None]:
    """Set the urgency for the duration of the context."""
    token = _CURRENT.set(urgency)
    try:
        yield
    finally:
        _CURRENT.reset(token)
