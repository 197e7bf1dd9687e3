"""What the kinds ask of OpenNebula about the parts of a cloud: marketplaces, datastores, clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sovereigncloud.core.identity import Mark


@dataclass(frozen=True, slots=True)
class Marketplace:
    """A marketplace. State 0 is enabled, 1 disabled; `apps`: ids of what is in it. `attributes`:
    the single attributes of its template but for the mark, secrets among them as oned shows them. `free`: MiB; None: nobody
    tells. `zone`: the only one that puts apps into it."""

    id: int
    name: str
    owner: int
    state: int
    driver: str
    apps: tuple[int, ...] = ()
    mark: Mark | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    free: int | None = None
    zone: int = 0


class Parts(Protocol):
    """The parts of one cloud. What is sent is in no message of an error: it may be secret."""

    async def marketplaces(self) -> tuple[Marketplace, ...]: ...
    async def shown(self, kind: str, oid: int) -> Mapping[str, str]:
        """The attributes of one, as OpenNebula shows them. `kind`: market or datastore."""
        ...

    async def create_marketplace(self, template: Mapping[str, str]) -> int:
        """Raises Conflict when one of that name is there."""
        ...

    async def update_marketplace(self, oid: int, attributes: Mapping[str, str]) -> None:
        """Merge into its template by key."""
        ...

    async def rename_marketplace(self, oid: int, name: str) -> None: ...
    async def enable_marketplace(self, oid: int) -> None: ...
    async def delete_marketplace(self, oid: int) -> None: ...

    async def create_datastore(self, template: Mapping[str, str], cluster_id: int) -> int:
        """Raises Conflict when one of that name is there."""
        ...

    async def update_datastore(self, oid: int, attributes: Mapping[str, str]) -> None:
        """Merge into its template by key."""
        ...

    async def rename_datastore(self, oid: int, name: str) -> None: ...
    async def delete_datastore(self, oid: int) -> None: ...

    async def update_cluster(self, oid: int, attributes: Mapping[str, str]) -> None:
        """Merge into its template by key."""
        ...

    async def rename_cluster(self, oid: int, name: str) -> None: ...
    async def leave_cluster(self, cluster_id: int, member: str, member_id: int) -> None:
        """`member`: datastore or network."""
        ...

    async def delete_cluster(self, oid: int) -> None: ...
