"""What the kinds ask of OpenNebula about federations: zones, their servers, and how far each server's log has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from sovereigncloud.core.identity import Mark

if TYPE_CHECKING:
    from sovereigncloud.ports.opennebula.client import Attributes

FIRST = 0
"""The zone that every OpenNebula begins as, and that the master of a federation is. It cannot be deleted."""
SOLO = -1
"""Number of a server that is the only one of its zone."""


class Mode(StrEnum):
    """FEDERATION/MODE of oned.conf."""

    STANDALONE = "STANDALONE"
    MASTER = "MASTER"
    SLAVE = "SLAVE"


class RaftState(StrEnum):
    """What a server is among those of its zone, by STATE of raftstatus."""

    SOLO = "Solo"
    CANDIDATE = "Candidate"
    FOLLOWER = "Follower"
    LEADER = "Leader"


@dataclass(frozen=True, slots=True)
class Federation:
    """What a server's own configuration says. `master`: MASTER_ONED, of a slave. `backend`: of its database; empty: not told."""

    mode: Mode
    zone: int
    server: int = SOLO
    master: str = ""
    backend: str = ""


@dataclass(frozen=True, slots=True)
class ZoneServer:
    id: int
    name: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as the federation lists it; `enabled` is set by people and says nothing of its health."""

    id: int
    name: str
    endpoint: str
    enabled: bool = True
    sunstone: str = ""
    one_flow: str = ""
    servers: tuple[ZoneServer, ...] = ()
    mark: Mark | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    owner: int = 0
    """Nobody owns a zone: it has this so that it is looked for like anything else that carries a mark."""


@dataclass(frozen=True, slots=True)
class Raft:
    """How far a server is. What moves by itself is no part of a comparison: it is a metric."""

    state: RaftState
    term: int = field(default=0, compare=False)
    commit: int = field(default=0, compare=False)
    log_index: int = field(default=0, compare=False)
    fed_index: int = field(default=-1, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking a server at its own endpoint. `why`: no answer."""

    server: ZoneServer
    raft: Raft | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class InStep:
    """How a slave stands to its master, asked one after the other: the master first, so that a slave is behind only where
    it lacks what was there before it was asked.

    Attributes:
        master: the master answered.
        behind: the slave lacks records that the master has, and went on lacking them while it was watched.
        why: the master did not answer.
        index: what the slave has.
        lag: how many it lacks.
    """

    master: bool
    behind: bool = False
    why: str = ""
    index: int = field(default=-1, compare=False)
    lag: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FederationView:
    """The federation as one zone shows it.

    Attributes:
        config: of the server that answers.
        zones: by id.
        answers: of each server of this zone.
        imported: whether the database knows this zone. A slave whose database is not the master's does not.
        in_step: of a slave; None: it is none, or nobody said whose.
        problem: why the credential may not look; then nothing else is known.
    """

    config: Federation = Federation(Mode.STANDALONE, FIRST)
    zones: Mapping[int, Zone] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    imported: bool = True
    in_step: InStep | None = None
    problem: str = ""

    @property
    def own(self) -> Zone | None:
        return self.zones.get(self.config.zone)


@dataclass(frozen=True, slots=True)
class VdcPart:
    """What a VDC has in a zone: `member` is cluster, host, datastore or vnet."""

    vdc: int
    member: str
    zone: int
    id: int


class Zones(Protocol):
    """Zones of a federation, asked at one front-end."""

    async def federation(self) -> FederationView:
        """What this front-end says: two calls. Its servers are asked by `raft`."""
        ...

    async def raft(self, endpoint: str = "") -> Raft:
        """Of the server at its own endpoint; empty: of the one that answers here. Raises NotFound where its database does not
        know its zone.
        """
        ...

    async def allocate(self, template: Attributes) -> int:
        """By a master only. Raises Conflict where the name is taken."""
        ...

    async def update(self, zone: int, attributes: Attributes) -> None:
        """Merge by top-level key: what replaced all would leave "-" for an endpoint."""
        ...

    async def rename(self, zone: int, name: str) -> None: ...
    async def enable(self, zone: int, *, enabled: bool) -> None:
        """At the zone's own endpoint only."""
        ...

    async def add_server(self, zone: int, name: str, endpoint: str) -> None:
        """At the zone's own endpoint only."""
        ...

    async def remove_server(self, zone: int, server: int) -> None:
        """At the zone's own endpoint only."""
        ...

    async def delete(self, zone: int) -> None: ...
    async def vdc_parts(self, zone: int) -> tuple[VdcPart, ...]:
        """What VDCs have in a zone."""
        ...

    async def remove_vdc_part(self, part: VdcPart) -> None:
        """Not having it is fine."""
        ...
