"""One cloud: its objects, its clock, and what is due.

Nothing runs between requests. What takes time - a host's first monitoring, an image being copied, a machine that boots -
is an entry in a heap; each request first lets everything due happen, in order and at its own moment.
"""

import heapq
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import count
from typing import Any, TypeVar

from sovereigncloud_sandbox.faults import FaultPlan
from sovereigncloud_sandbox.journal import Journal
from sovereigncloud_sandbox.opennebula.errors import name_taken, not_allocated, not_found
from sovereigncloud_sandbox.opennebula.model import Cluster, Host, PoolObject, SecurityGroup, Vm, VNet
from sovereigncloud_sandbox.opennebula.model_federation import Federation, Raft
from sovereigncloud_sandbox.opennebula.model_people import AclRule, Group, Quotas, User, Vdc, Zone
from sovereigncloud_sandbox.opennebula.model_storage import Datastore, Image, MarketApp, Marketplace, VmTemplate

P = TypeVar("P", bound=PoolObject)

# Ids below belong to what oned makes itself, of the kinds that have some.
FIRST_FREE_ID = 100


@dataclass(slots=True)
class Speeds:
    """How long things take, in seconds, and how fast the scheduler may place. Small, for a sandbox.

    `action_lag` is the time in which a read may still show the old state after an action was accepted (observed: up to
    40 ms). A stock OpenNebula has scheduler 10, max_host 1; sched_message_cycles, federation_lag (from the master to a
    slave), federation_retry (until a slave that was away has caught up) and election are observed.
    """

    action_lag: float = 0.04
    host_monitor: float = 0.5
    datastore_monitor: float = 0.5
    vnet: float = 0.2
    image: float = 0.5
    mb_per_second: float = 0  # of copies between datastores, machines and marketplaces; 0: size takes no time
    scheduler: float = 0.5
    max_host: int = 1000
    sched_message_cycles: int = 2
    dispatch: float = 0.02
    prolog: float = 0.3
    boot: float = 0.2
    shutdown: float = 0.3
    save: float = 0.2
    epilog: float = 0.2
    hotplug: float = 0.1
    migrate: float = 0.2
    saveas: float = 0.3
    backup: float = 0.5
    sched_actions: float = 1.0
    host_race_window: float = 0.02
    federation_lag: float = 0.01
    federation_retry: float = 1.7
    election: float = 2.4

    def update(self, changes: Mapping[str, float]) -> None:
        """Change some of them.

        Raises:
            ValueError: there is no such speed, or it is negative.
        """
        known = {one.name for one in fields(self)}
        for name, value in changes.items():
            if name not in known or value < 0:
                raise ValueError(f"no speed {name}={value}; there are {', '.join(sorted(known))}")
            setattr(self, name, value)


@dataclass(slots=True)
class Sabotage:
    """A driver that will fail: the next `count` machines (all, or of one name) that are in `step`, the name of an LCM
    state; "IMAGE" is the copying of an image."""

    step: str
    message: str
    count: int = 1
    name: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """What is behind a URL: MB and the hashes of it."""

    size: int
    md5: str = ""
    sha1: str = ""


class Cloud:
    """An OpenNebula front-end and everything behind it.

    `clock` gives seconds since the epoch. All methods are for the thread of the simulator's event loop.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "7.0.0",
        speeds: Speeds | None = None,
        clock: Callable[[], float] = time.time,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.version = version
        self.speeds = speeds or Speeds()
        self.faults = FaultPlan(seed)
        self.journal = Journal()
        self._down = False
        self._lost_since: float | None = None
        self.runs: dict[int, list[Any]] = {}  # when the guest of each machine really ran
        self.empty_pools: set[str] = set()
        self.sabotage: list[Sabotage] = []
        self.published: dict[str, Published] = {}
        self.repositories: dict[Any, Any] = {}  # of backups, by their servers: the same of all clouds of a network
        self.dead_servers: set[str] = set()  # elsewhere, without power: the same
        self.files: dict[str, Any] = {}  # of marketplaces, by URL: the same of all clouds of a network
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self._moment = self._target = clock()
        self.federation = Federation()
        self.raft = Raft()
        self.follow: Callable[[], None] = lambda: None  # what other front-ends sent by now

        self.vms: dict[int, Vm] = {}
        self.hosts: dict[int, Host] = {}
        self.clusters: dict[int, Cluster] = {}
        self.datastores: dict[int, Datastore] = {}
        self.vnets: dict[int, VNet] = {}
        self.images: dict[int, Image] = {}
        self.templates: dict[int, VmTemplate] = {}
        self.security_groups: dict[int, SecurityGroup] = {}
        self.users: dict[int, User] = {}
        self.groups: dict[int, Group] = {}
        self.zones: dict[int, Zone] = {}
        self.vdcs: dict[int, Vdc] = {}
        self.marketplaces: dict[int, Marketplace] = {}
        self.apps: dict[int, MarketApp] = {}
        self.acls: dict[int, AclRule] = {}
        self.default_user_quotas: Quotas = {}
        self.default_group_quotas: Quotas = {}
        self.vm_groups: dict[int, Any] = {}
        self.pools: dict[str, dict[int, Any]] = {
            "VM": self.vms,
            "HOST": self.hosts,
            "CLUSTER": self.clusters,
            "DATASTORE": self.datastores,
            "NET": self.vnets,
            "IMAGE": self.images,
            "TEMPLATE": self.templates,
            "SECGROUP": self.security_groups,
            "USER": self.users,
            "GROUP": self.groups,
            "ZONE": self.zones,
            "VDC": self.vdcs,
            "MARKETPLACE": self.marketplaces,
            "MARKETPLACEAPP": self.apps,
            "VMGROUP": self.vm_groups,
            "ACL": self.acls,
        }
        self._next_id = {
            kind: FIRST_FREE_ID if kind in {"CLUSTER", "DATASTORE", "GROUP", "ZONE", "VDC"} else 0
            for kind in (*self.pools, "SCHED_ACTION")
        }

        self.pending: set[int] = set()  # machines that wait for the scheduler
        self.scheduler_armed = False
        self.planned: set[int] = set()  # machines with scheduled actions
        self.plan_armed_at = math.inf
        self.act: Callable[[Vm, Mapping[str, str]], str] = lambda _vm, _planned: (
            ""
        )  # does one; why it could not be done
        self.last_host: tuple[float, int] | None = None  # when the last host was allocated, for the race of #7527
        self.uuid = secrets.token_hex(8)

    @property
    def down(self) -> bool:
        """Whether the front-end does not answer."""
        return self._down

    @down.setter
    def down(self, down: bool) -> None:
        if self._down and not down:
            self.federation.up_since = self.clock
            away, self._lost_since = self.clock - (self._lost_since or self.clock), None
            self._due = [(due + away, serial, happen) for due, serial, happen in self._due]
        self._down = down

    def lose(self) -> None:
        """The front-ends are gone, and what they were about to do waits until they answer again."""
        self.advance()
        self._lost_since, self.down = self.clock, True

    # ------------------------------------------------------------------------------------------------------- time

    @property
    def now(self) -> float:
        """The moment of what is happening: the clock during a request, the due time during what was due."""
        return self._moment

    @property
    def clock(self) -> float:
        """What the clock says, whatever happened last."""
        return self._clock() + self.faults.skew

    @property
    def second(self) -> int:
        return int(self._moment)

    def after(self, seconds: float, happen: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._due, (self._moment + seconds, next(self._serial), happen))

    def copying(self, megabytes: int) -> float:
        """Seconds that a copy takes."""
        return self.speeds.image + (megabytes / self.speeds.mb_per_second if self.speeds.mb_per_second else 0)

    def advance(self) -> None:
        """Let everything happen that is due."""
        if self._lost_since is not None:
            return
        self._target = self.clock
        while self._due and self._due[0][0] <= self._target:
            due, _, happen = heapq.heappop(self._due)
            self._moment = max(self._moment, due)
            happen()
        self._moment = max(self._moment, self._target)
        self.follow()

    @property
    def quiet_until(self) -> float:
        """Until when nothing but the scheduler would happen: it need not repeat cycles that see nothing new."""
        return min(self._due[0][0], self._target) if self._due else self._target

    # ---------------------------------------------------------------------------------------------------- objects

    def next_id(self, kind: str) -> int:
        """An id that was never given."""
        oid = self._next_id[kind]
        self._next_id[kind] = oid + 1
        return oid

    def reserve_ids(self, kind: str, upto: int) -> None:
        """Ids below `upto` are given already."""
        self._next_id[kind] = max(self._next_id[kind], upto)

    def find(self, pool: dict[int, P], oid: int, kind: str) -> P:
        """An object by id.

        Raises:
            OneError: 0x400 "Error getting virtual machine [7]."
        """
        found = pool.get(oid)
        if found is None:
            raise not_found(kind, oid)
        return found

    def named(self, pool: dict[int, P], name: str, uid: int | None = None) -> P | None:
        """The object of this name; of this owner, where names are unique per owner."""
        return next((one for one in pool.values() if one.name == name and uid in (None, one.uid)), None)

    def claim_name(self, pool: dict[int, P], kind: str, name: str, uid: int | None = None) -> None:
        """Refuse a name that is invalid or taken.

        Raises:
            OneError: 0x2000, or 0x4000 for hosts, clusters and images.
        """
        if reason := invalid_name(name, kind):
            raise not_allocated(kind, reason)
        taken = self.named(pool, name, uid)
        if taken is not None:
            raise name_taken(kind, taken.oid)

    def trip(self, name: str, step: str) -> str | None:
        """The message of an injected failure of this step, used up; None where the driver works."""
        for one in self.sabotage:
            if one.step == step and one.count > 0 and one.name in ("", name):
                one.count -= 1
                return one.message
        return None


# What no name may hold (OpenNebula: src/pool/PoolObjectSQL.cc, src/um/User.cc, src/group/Group.cc).
_INVALID = frozenset("&|:\\\";/'#{}$<>\t\n\v\f\r")
_MORE_INVALID = {"USER": frozenset(" :"), "GROUP": frozenset(" ")}
_LONGEST_NAME = 128


def invalid_name(name: str, kind: str) -> str:
    """Why oned refuses a name; empty where it does not."""
    if not name:
        return "Invalid NAME, it cannot be empty"
    invalid = _INVALID | _MORE_INVALID.get(kind, frozenset())
    for character in name:
        if character in invalid:
            return f"Invalid NAME, char '{character}' is not allowed"
    if len(name) > _LONGEST_NAME:
        return "Invalid NAME, max length is 128 chars"
    return ""
