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
        self._reserved: dict[Key, dict[str, tuple[float, Reservation]]] = {}

    def add(self, cloud: Key, reservation: Reservation, now: float) -> None:
        reserved = self._reserved.setdefault(cloud, {})
        reserved[reservation.object] = (now, reservation)

    def since(self, cloud: Key, began: float) -> tuple[Reservation, ...]:
        """Return the reservations that a view that began then may not show, and forget the others.

        Views only become newer.
        """
        reserved = self._reserved.get(cloud)
        if not reserved:
            return ()
        left = {name: one for name, one in reserved.items() if one[0] + _SHOWS > began}
        if left:
            self._reserved[cloud] = left
        else:
            del self._reserved[cloud]
        return tuple(reservation for _, reservation in left.values())
