"""How often a thing was tried, noted on the machine itself: OpenNebula says nothing of much that fails, and an operator that
was restarted must not begin to count anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Tries:
    """Of one thing.

    Attributes:
        what: names it; another name is another thing, not tried yet.
        count: how often.
        last: when it was last tried, in seconds since 1970.
    """

    what: str
    count: int = 0
    last: int = 0

    @staticmethod
    def read(note: str, what: str) -> Tries:
        """What the note says of this thing."""
        count, _, rest = note.partition(" ")
        last, _, named = rest.partition(" ")
        if named != what or not count.isdecimal() or not last.isdecimal():
            return Tries(what)
        return Tries(what, int(count), int(last))

    def once_more(self, now: datetime) -> str:
        """The note, before it is tried now."""
        return f"{self.count + 1} {int(now.timestamp())} {self.what}"

    def over(self, pauses: tuple[int, ...]) -> bool:
        """Whether it was tried as often as it may be: once, and once after each pause."""
        return self.count > len(pauses)

    def due(self, pauses: tuple[int, ...]) -> datetime:
        """When it may be tried again; a past time: now."""
        pause = pauses[self.count - 1] if 0 < self.count <= len(pauses) else 0
        return datetime.fromtimestamp(self.last + pause, UTC)


def clock_time(moment: datetime) -> str:
    """For messages: the same words as long as the time is the same."""
    return f"{moment:%H:%M:%S} UTC"
