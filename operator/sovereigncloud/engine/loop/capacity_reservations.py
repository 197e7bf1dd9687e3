"""What was promised to machines that are being made, until a view shows them."""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.kinds.contract.reservations import Reservation

_SHOWS = 5.0
"""Seconds after which a machine that was asked for is in a view that begins; one that could not be made takes nothing."""


class Promises:
    """By cloud and object, each with the time when it was given (monotonic seconds)."""

    def __init__(self) -> None:
        self._given: dict[Key, dict[str, tuple[float, Reservation]]] = {}

    def add(self, cloud: Key, promise: Reservation, now: float) -> None:
        given = self._given.setdefault(cloud, {})
        given[promise.object] = (now, promise)

    def since(self, cloud: Key, began: float) -> tuple[Reservation, ...]:
        """Those that a view that began then may not show. The others are forgotten, for views only grow younger."""
        given = self._given.get(cloud)
        if not given:
            return ()
        left = {name: one for name, one in given.items() if one[0] + _SHOWS > began}
        if left:
            self._given[cloud] = left
        else:
            del self._given[cloud]
        return tuple(promise for _, promise in left.values())
