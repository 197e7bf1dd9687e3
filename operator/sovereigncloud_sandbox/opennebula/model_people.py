"""Users, groups, zones, VDCs and ACL rules."""

from dataclasses import dataclass, field
from typing import ClassVar

from sovereigncloud_sandbox.opennebula.model import PoolObject
from sovereigncloud_sandbox.opennebula.template import Vector

USERS_GROUP = 1
Quotas = dict[str, list[Vector]]  # DATASTORE, NETWORK, VM, IMAGE -> limits


@dataclass(frozen=True, slots=True)
class Token:
    """A login token; -1 never expires."""

    token: str
    expires: int
    egid: int


@dataclass(slots=True)
class User(PoolObject):
    kind: ClassVar[str] = "USER"

    password: str = ""  # hexadecimal SHA-256
    driver: str = "core"
    enabled: bool = True
    groups: set[int] = field(default_factory=set)
    tokens: list[Token] = field(default_factory=list)
    quotas: Quotas = field(default_factory=dict)


@dataclass(slots=True)
class Group(PoolObject):
    kind: ClassVar[str] = "GROUP"

    admins: set[int] = field(default_factory=set)
    quotas: Quotas = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ZoneServer:
    """A front-end of a zone as the zone has it on record."""

    oid: int
    name: str
    endpoint: str


@dataclass(slots=True)
class Zone(PoolObject):
    kind: ClassVar[str] = "ZONE"

    enabled: bool = True
    servers: list[ZoneServer] = field(default_factory=list)
    next_server: int = 0


@dataclass(slots=True)
class Vdc(PoolObject):
    """Resources are pairs (zone id, object id); -10 means all."""

    kind: ClassVar[str] = "VDC"

    groups: set[int] = field(default_factory=set)
    clusters: set[tuple[int, int]] = field(default_factory=set)
    hosts: set[tuple[int, int]] = field(default_factory=set)
    datastores: set[tuple[int, int]] = field(default_factory=set)
    vnets: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class AclRule:
    """A rule as three numbers, in OpenNebula's own encoding."""

    user: int
    resource: int
    rights: int
    zone: int
