"""Retry counters, stored on the VM so that they survive a restart of the operator.

OpenNebula does not report many of its failures, so the operator counts attempts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class RetryCounter:
    """Retry counter of one operation.

    Attributes:
        what: identifies the operation; a counter with another value is not counted.
        count: number of attempts.
        last: time of the last attempt, in seconds since the epoch.
    """

    what: str
    count: int = 0
    last: int = 0

    @staticmethod
    def read(note: str, what: str) -> RetryCounter:
        """Parse a counter; zero attempts if the note is empty or about another operation."""
        count, _, rest = note.partition(" ")
        last, _, named = rest.partition(" ")
        if named != what or not count.isdecimal() or not last.isdecimal():
            return RetryCounter(what)
        return RetryCounter(what, int(count), int(last))

    def once_more(self, now: datetime) -> str:
        """Return the note to write before the next attempt."""
        return f"{self.count + 1} {int(now.timestamp())} {self.what}"

    def over(self, pauses: tuple[int, ...]) -> bool:
        """Return whether all attempts are used: the first one, and one after each pause (seconds)."""
        return self.count > len(pauses)

    def due(self, pauses: tuple[int, ...]) -> datetime:
        """Return the time of the next attempt; a time in the past means now."""
        pause = pauses[self.count - 1] if 0 < self.count <= len(pauses) else 0
        return datetime.fromtimestamp(self.last + pause, UTC)


def clock_time(moment: datetime) -> str:
    """Format a time for messages; absolute, so that an unchanged message is not written again."""
    return f"{moment:%H:%M:%S} UTC"
