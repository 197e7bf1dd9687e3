"""Capacity reservations for VMs that are being created, kept until a view shows the VMs."""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.kinds.contract.reservations import Reservation

_SHOWS = 5.0
"""Seconds after which a view that begins contains a VM whose creation was requested; a failed creation uses no
capacity.
"""


class CapacityReservations:
    """Reservations by cloud and object, each with the time it was made (monotonic seconds)."""

    def __init__(self) -> None:
        self._given: dict[Key, dict[str, tuple[float, Reservation]]] = {}

    def add(self, cloud: Key, promise: Reservation, now: float) -> None:
        given = self._given.setdefault(cloud, {})
        given[promise.object] = (now, promise)

    def since(self, cloud: Key, began: float) -> tuple[Reservation, ...]:
        """Return the reservations that a view that began then may not show, and forget the others.

        Views only become newer.
        """
        given = self._given.get(cloud)
        if not given:
            return ()
        left = {name: one for name, one in given.items() if one[0] + _SHOWS > began}
        if left:
            self._given[cloud] = left
        else:
            del self._given[cloud]
        return tuple(promise for _, promise in left.values())
