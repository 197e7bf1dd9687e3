"""How near a front-end is: the quickest of the last calls that ask for little."""

from __future__ import annotations

from collections import deque

_SMALL = frozenset(
    {"one.clusterpool.info", "one.vmgrouppool.info", "one.user.info", "one.system.version", "one.zone.info"}
)
"""What oned answers at once, so that most of the time is spent on the way."""
_LAST = 16


class Nearness:
    """Kept per credential; a connection that had to be made first is not the quickest."""

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=_LAST)

    def answered(self, method: str, seconds: float) -> None:
        if method in _SMALL:
            self._took.append(seconds)

    @property
    def milliseconds(self) -> float | None:
        """None before the first."""
        return round(min(self._took) * 1000, 1) if self._took else None
