"""What the kinds ask of OpenNebula about networks, beside making them and their address ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    """An address of a range that is taken: by a machine, by a network that reserved it, or on hold by a person.

    Attributes:
        index: of the address in its range, from 0.
        holder: VM, NET, VROUTER, or HOLD; another word for what this version does not know.
        id: of the holder; -1 on hold.
    """

    index: int
    holder: str
    id: int = -1


class Addresses(Protocol):
    """Addresses of the networks of one cloud: holds and reservations."""

    async def hold(self, network_id: int, ip: str) -> None:
        """Keep an address from everybody."""
        ...

    async def release(self, network_id: int, ip: str) -> None: ...
    async def reserve(self, parent_id: int, reservation: Mapping[str, str]) -> int:
        """Take addresses of a network into one of its own; `reservation`: NAME, SIZE, ... or NETWORK_ID to add to one."""
        ...

    async def free_range(self, network_id: int, range_id: int) -> None:
        """Give a range of a reservation back to the network that it is from."""
        ...
