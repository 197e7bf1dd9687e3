"""What the kinds ask of OpenNebula about tenants: groups, users, virtual data centres (VDC), and who may use which image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from sovereigncloud.core.identity import Mark

if TYPE_CHECKING:
    from sovereigncloud.ports.opennebula.client import Attributes

QuotaKey = tuple[str, str, str]
"""(VM, DATASTORE, NETWORK or IMAGE; the id it is about, empty for VM; VMS, CPU, LEASES, ...)"""
NOBODY = 0
ALL_CLUSTERS = -10
DEFAULT_VDC = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """A quota: memory and sizes in MiB. A limit below zero limits nothing (-2) or is the default of the cloud (-1)."""

    limit: Decimal
    used: Decimal


@dataclass(frozen=True, slots=True)
class Group:
    id: int
    name: str
    mark: Mark | None
    quota: Mapping[QuotaKey, Limit] = field(default_factory=dict)
    owner: int = NOBODY
    """Nobody owns a group: it has this so that it is looked for like anything else that carries a mark."""


@dataclass(frozen=True, slots=True)
class User:
    """A user; `group` is the primary one and among `groups`. `notes`: other SOVEREIGNCLOUD_* attributes."""

    id: int
    name: str
    group: int
    groups: frozenset[int]
    driver: str
    mark: Mark | None
    notes: Mapping[str, str] = field(default_factory=dict)
    owner: int = NOBODY


@dataclass(frozen=True, slots=True)
class Vdc:
    """A virtual data centre. `clusters`: pairs of zone and cluster."""

    id: int
    name: str
    mark: Mark | None
    groups: frozenset[int]
    clusters: frozenset[tuple[int, int]]
    owner: int = NOBODY


@dataclass(frozen=True, slots=True)
class TenancyView:
    """Who is in a cloud, read with the rest of it where a Tenant lists it.

    Attributes:
        zone: the id of the zone that answers.
        images: rules by which a group may use an image of this zone: (group, image) -> id of the rule.
    """

    zone: int
    groups: Mapping[int, Group]
    users: Mapping[int, User]
    vdcs: Mapping[int, Vdc]
    images: Mapping[tuple[int, int], int] = field(default_factory=dict)


class Tenancies(Protocol):
    """Groups, users and VDCs of one cloud."""

    async def view(self) -> TenancyView:
        """Five calls, however many there are."""
        ...

    async def create_group(self, name: str) -> int:
        """A group takes no template, and joins the default VDC. Raises Conflict where the name is taken."""
        ...

    async def update_group(self, group: int, attributes: Attributes) -> None:
        """Merge by top-level key."""
        ...

    async def set_quota(self, group: int, quota: Attributes) -> None: ...
    async def delete_group(self, group: int) -> None:
        """Refused while somebody is in it."""
        ...

    async def create_vdc(self, template: Attributes) -> int: ...
    async def update_vdc(self, vdc: int, attributes: Attributes) -> None: ...
    async def rename_vdc(self, vdc: int, name: str) -> None: ...
    async def delete_vdc(self, vdc: int) -> None: ...
    async def join_vdc(self, vdc: int, group: int) -> None:
        """Being in it already is fine."""
        ...

    async def leave_vdc(self, vdc: int, group: int) -> None:
        """Not being in it is fine."""
        ...

    async def add_cluster(self, vdc: int, zone: int, cluster: int) -> None: ...
    async def remove_cluster(self, vdc: int, zone: int, cluster: int) -> None: ...

    async def create_user(self, name: str, password: str, driver: str, group: int) -> int:
        """Raises Conflict where the name is taken."""
        ...

    async def update_user(self, user: int, attributes: Attributes) -> None: ...
    async def join_group(self, user: int, group: int) -> None: ...
    async def leave_group(self, user: int, group: int) -> None: ...
    async def delete_user(self, user: int) -> None:
        """What the user owns stays behind (observed)."""
        ...

    async def allow_image(self, group: int, image: int, zone: int) -> None: ...
    async def remove_rule(self, rule: int) -> None: ...
