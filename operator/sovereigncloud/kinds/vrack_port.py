"""What the kinds ask of OVHcloud about vRacks and the blocks that are routed to them, beside membership itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Eligibility:
    """How far OVHcloud has come in looking what may join a vRack: it answers at once and works it out meanwhile.

    Attributes:
        interfaces: uuids of interfaces that may join; None while it is being worked out.
        errors: services that it could not look at.
    """

    interfaces: frozenset[str] | None
    errors: tuple[str, ...] = ()


class Vracks(Protocol):
    """vRacks of one account."""

    async def eligible(self, vrack: str) -> Eligibility: ...
    async def park(self, block: str) -> None:
        """Take a block off whatever it is routed to. Returns when the request was taken."""
        ...

    async def region(self, service_name: str) -> str:
        """Where a server stands; empty: there is none, or none that the credential may see. Asked once for each."""
        ...
