"""What the kinds ask of OVHcloud about vRacks and the blocks that are routed to them, beside membership itself."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a server stands: its main address and its region; empty where the credential is not told."""

    address: str = ""
    region: str = ""


class Vracks(Protocol):
    """vRacks of one account."""

    async def eligible(self, vrack: str) -> Eligibility: ...
    async def park(self, block: str) -> None:
        """Take a block off whatever it is routed to. Returns when the request was taken."""
        ...

    async def regions(self, servers: frozenset[str]) -> Mapping[str, str]:
        """Where servers stand, by service name; empty where the credential is not told. Each is asked about once, and only a
        few in one call: those that are not asked yet are left out.
        """
        ...

    async def standing(self, servers: frozenset[str]) -> Mapping[str, Standing]:
        """The same with their addresses."""
        ...
