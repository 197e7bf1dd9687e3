"""What the kinds ask of OVHcloud about names: reverse names of a block's addresses, and records of the account's zones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Zone:
    name: str
    urn: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a zone; what is not published yet is told like the rest."""

    id: int
    type: str
    target: str


class Zones(Protocol):
    """Names of one account. `max_age`: seconds that an answer may be old; what was written meanwhile is always seen."""

    async def reverses(self, block: str, addresses: frozenset[str], max_age: float = 0.0) -> Mapping[str, str]:
        """The reverse names of those of these addresses that have one."""
        ...

    async def set_reverse(self, block: str, address: str, name: str) -> None:
        """Raises Rejected with ForwardRecordMissing where the name does not resolve to the address."""
        ...

    async def delete_reverse(self, block: str, address: str) -> None: ...

    async def zone(self, name: str, max_age: float = 0.0) -> Zone:
        """Raises NotFound."""
        ...

    async def records(self, zone: str, subdomain: str, max_age: float = 0.0) -> tuple[Record, ...]:
        """What says where a name is: A, AAAA and CNAME. An empty subdomain is the zone itself."""
        ...

    async def create_record(self, zone: str, subdomain: str, address: str) -> int:
        """An A record; seen by nobody until the zone is published."""
        ...

    async def change_record(self, zone: str, record: int, address: str) -> None: ...
    async def delete_record(self, zone: str, record: int) -> None: ...
    async def publish(self, zone: str) -> None: ...
