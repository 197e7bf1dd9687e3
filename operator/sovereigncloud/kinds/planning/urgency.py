"""How soon an answer is needed: said by the engine for all that it does for one object, read by the adapters, whose APIs let
only so many requests through.

It is not a parameter of the verbs: it says nothing about what is asked, and every verb would carry it to the same place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum


class Urgency(IntEnum):
    """Whose requests go first."""

    USER = 0
    """Somebody changed an object and waits for what comes of it."""
    RECHECK = 1
    """Nobody asked: sweeps, and what they found."""


_CURRENT: ContextVar[Urgency] = ContextVar("urgency", default=Urgency.USER)
"""Who says nothing is a person at a command."""


def current() -> Urgency:
    """Of what is being done now."""
    return _CURRENT.get()


@contextmanager
def at(urgency: Urgency) -> Iterator[None]:
    """What is done within has this urgency."""
    token = _CURRENT.set(urgency)
    try:
        yield
    finally:
        _CURRENT.reset(token)
