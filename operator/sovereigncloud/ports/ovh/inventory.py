"""What an account of OVHcloud has, for who has not written any of it down yet."""

from __future__ import annotations

from typing import Protocol


class Inventory(Protocol):
    """Reads only: a request or two for each list."""

    async def vracks(self) -> tuple[str, ...]:
        """The vRacks that the credential sees, by name."""
        ...

    async def blocks(self) -> tuple[str, ...]:
        """The IP blocks that it sees."""
        ...
