"""One cloud: its objects, its clock, and what is due.

Nothing runs between requests. What takes time - a host's first monitoring, an image being copied, a machine that boots -
is an entry in a heap; each request first lets everything due happen, in order and at its own moment.
"""

import heapq
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import count
from typing import Any, TypeVar

from sovereigncloud.sandbox.faults import FaultPlan
from sovereigncloud.sandbox.journal import Journal
from sovereigncloud.sandbox.opennebula.errors import name_taken, not_allocated, not_found
from sovereigncloud.sandbox.opennebula.model import (
    AclRule,
    Cluster,
    Datastore,
    Group,
    Host,
    Image,
    MarketApp,
    Marketplace,
    PoolObject,
    SecurityGroup,
    User,
    Vdc,
    Vm,
    VmTemplate,
    VNet,
    Zone,
)

P = TypeVar("P", bound=PoolObject)


@dataclass(slots=True)
class Speeds:
    """How long things take, in seconds, and how fast the scheduler may place. Small, for a sandbox.

    `action_lag` is the time in which a read may still show the old state after an action was accepted (observed: up to
    40 ms). A stock OpenNebula has scheduler 10, max_host 1; sched_message_cycles is observed.
    """

    action_lag: float = 0.04
    host_monitor: float = 0.5
    datastore_monitor: float = 0.5
    vnet: float = 0.2
    image: float = 0.5
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
    host_race_window: float = 0.02

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


class Cloud:
    """An OpenNebula front-end and everything behind it.

    `clock` gives seconds since the epoch. All methods are for the thread of the simulator's event loop.
    """

    def __init__(
        self,
        name: str,
        *,
        zone_name: str = "OpenNebula",
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
        self.down = False
        self.empty_pools: set[str] = set()
        self.sabotage: list[Sabotage] = []
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self._moment = self._target = clock()
        self.zone_name = zone_name

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
            "ACL": self.acls,
        }
        # Ids below 100 belong to what oned makes itself, for these kinds.
        self._next_id = {
            kind: 100 if kind in {"CLUSTER", "DATASTORE", "GROUP", "ZONE", "VDC"} else 0 for kind in self.pools
        }

        self.pending: set[int] = set()  # machines that wait for the scheduler
        self.scheduler_armed = False
        self.last_host: tuple[float, int] | None = None  # when the last host was allocated, for the race of #7527
        self.uuid = secrets.token_hex(8)

    # ------------------------------------------------------------------------------------------------------- time

    @property
    def now(self) -> float:
        """The moment of what is happening: the clock during a request, the due time during what was due."""
        return self._moment

    @property
    def second(self) -> int:
        return int(self._moment)

    def after(self, seconds: float, happen: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._due, (self._moment + seconds, next(self._serial), happen))

    def advance(self) -> None:
        """Let everything happen that is due."""
        self._target = self._clock() + self.faults.skew
        while self._due and self._due[0][0] <= self._target:
            due, _, happen = heapq.heappop(self._due)
            self._moment = max(self._moment, due)
            happen()
        self._moment = max(self._moment, self._target)

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
