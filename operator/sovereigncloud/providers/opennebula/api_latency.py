"""API latency of a front-end: the fastest of its last small calls."""

from __future__ import annotations

from collections import deque

_SMALL = frozenset(
    {"one.clusterpool.info", "one.vmgrouppool.info", "one.user.info", "one.system.version", "one.zone.info"}
)
"""Calls that oned answers at once, so that most of the time is spent on the network."""
_LAST = 16


class LatencyMeter:
    """Latency of the calls of one credential; a call that opened a connection is not the fastest."""

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=_LAST)

    def answered(self, method: str, seconds: float) -> None:
        if method in _SMALL:
            self._took.append(seconds)

    @property
    def milliseconds(self) -> float | None:
        """Fastest recent call in milliseconds; None before the first."""
        return round(min(self._took) * 1000, 1) if self._took else None
