"""Federation state of one oned: its role, its federated log, and the servers of its zone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sovereigncloud_sandbox.opennebula.model_people import Zone

LOCAL_ZONE = 0
NO_INDEX = -1
NOTHING_YET = 2**64 - 1  # what oned says of a federated log without records (OpenNebula: LogDB.cc)
Key = tuple[str, int]  # kind and id of a row in a shared table


class Mode(StrEnum):
    """FEDERATION/MODE of oned.conf."""

    STANDALONE = "STANDALONE"
    MASTER = "MASTER"
    SLAVE = "SLAVE"


@dataclass(frozen=True, slots=True)
class OnedConf:
    """FEDERATION of oned.conf. It counts from the next start of oned."""

    mode: Mode = Mode.STANDALONE
    zone_id: int = LOCAL_ZONE
    master_oned: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """Rows of shared tables that one write changed; None: the row is gone."""

    index: int
    at: float
    rows: Mapping[Key, Any]


@dataclass(slots=True)
class FedLog:
    """The federated log. Indexes have gaps: what a master writes of its own takes numbers too."""

    records: list[Record] = field(default_factory=list)
    next_index: int = 1

    @property
    def last(self) -> int:
        return self.records[-1].index if self.records else NO_INDEX

    def append(self, at: float, rows: Mapping[Key, Any]) -> None:
        """One record a row, the last of which carries all."""
        index = self.next_index + max(len(rows), 1) - 1
        self.records.append(Record(index, at, rows))
        self.next_index = index + 1


@dataclass(slots=True)
class Replica:
    """What a master's replication thread knows of a zone: the endpoint that the zone had when the thread was started,
    and up to where it takes the zone to be current (OpenNebula: FedReplicaManager.cc)."""

    zone_id: int
    endpoint: str
    assumed: int = NO_INDEX


@dataclass(slots=True)
class Federation:
    """Where an oned stands. `written` is oned.conf, `conf` what oned read of it at its last start."""

    conf: OnedConf = field(default_factory=OnedConf)
    written: OnedConf = field(default_factory=OnedConf)
    log: FedLog = field(default_factory=FedLog)
    replicas: dict[int, Replica] = field(default_factory=dict)
    known: dict[Key, Any] = field(default_factory=dict)  # rows of the shared tables as the log has them
    imported_from: str = ""  # whose shared tables these are
    enabled: bool = True  # of its own zone, as oned remembers it
    up_since: float = 0

    @property
    def is_slave(self) -> bool:
        return self.conf.mode is Mode.SLAVE

    @property
    def is_master(self) -> bool:
        return self.conf.mode is Mode.MASTER

    @property
    def zone_id(self) -> int:
        """A standalone oned is always zone 0, whatever its oned.conf says (OpenNebula: Nebula.cc)."""
        return LOCAL_ZONE if self.conf.mode is Mode.STANDALONE else self.conf.zone_id

    def start_replication(self, zones: Iterable[Zone]) -> None:
        """A master starts a thread for each zone but its own, at its start and when it becomes leader; all are taken to
        be current."""
        others = [zone for zone in zones if self.is_master and zone.oid != self.zone_id]
        self.replicas = {zone.oid: Replica(zone.oid, zone.template.get("ENDPOINT"), self.log.last) for zone in others}


class RaftState(IntEnum):
    """RAFT/STATE."""

    SOLO = 0
    CANDIDATE = 1
    FOLLOWER = 2
    LEADER = 3


@dataclass(slots=True)
class Server:
    """A front-end of a zone, as a process. `log_index` is how far its log went when it was last seen running; `removed`:
    the zone has it no longer on record."""

    oid: int
    endpoint: str
    alive: bool = True
    removed: bool = False
    log_index: int = 0


@dataclass(slots=True)
class Raft:
    """The front-ends of a zone and whom they follow. No servers: solo. `lost_at` is since when nobody leads."""

    servers: dict[int, Server] = field(default_factory=dict)
    leader: int | None = None
    lost_at: float = 0
    term: int = 0
    log_index: int = 0
    commit: int = 0
