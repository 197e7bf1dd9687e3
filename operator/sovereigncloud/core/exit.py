"""How much of a place could leave it: for each machine where to, or what is in its way, all of them together. Pure.

What may be placed somewhere is asked of `core.placement`, once for all machines that are alike; what room is left is counted from one
machine to the next. A machine that fits alone and not with those before it is told so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.placement import Candidate, Considered, Demand, Verdict, Wish, choose

_ANY = Wish()
_TOLD = 4
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Blocker:
    """What is in the way of a machine."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Leaver:
    """A machine that is to leave.

    Attributes:
        name: of it, for people.
        kind: alike for all machines to which the same places are open.
        demand: what it takes where it goes.
        rank: of the group that it leaves with.
        blocker: what is in its way wherever it goes.
    """

    name: str
    kind: Hashable
    demand: Demand
    rank: int = 0
    blocker: Blocker | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """That a machine counts against a limit: `times`, or so many times what it has `of` a demand (cpu, memory, root, data)."""

    limit: str
    of: str = ""
    times: int = 1

    def amount(self, demand: Demand) -> int:
        return self.times * (int(getattr(demand, self.of)) if self.of else 1)


@dataclass(frozen=True, slots=True)
class Option:
    """A place, what else than its room a machine there counts against, and what is in the way that placing does not look at."""

    place: Candidate
    claims: tuple[Claim, ...] = ()
    blocker: Blocker | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """So much is left, of `what`, which several places may share."""

    left: int
    reason: Reason
    what: str


@dataclass(frozen=True, slots=True)
class Way:
    """Of one machine: where it could go (cloud and cluster), or what is in its way."""

    leaver: Leaver
    to: tuple[str, str] | None = None
    blocker: Blocker | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of all of them, in the order in which they would leave."""

    ways: tuple[Way, ...] = ()

    @property
    def movable(self) -> int:
        return sum(way.to is not None for way in self.ways)

    @property
    def bytes(self) -> int:
        """What would be copied."""
        return sum(_whole(way.leaver.demand) for way in self.ways if way.to is not None) * _MIB

    @property
    def blocked(self) -> tuple[Way, ...]:
        return tuple(way for way in self.ways if way.to is None)

    @property
    def counts(self) -> Mapping[Reason, int]:
        """How many are blocked, by reason, the most first."""
        return dict(Counter(way.blocker.reason for way in self.ways if way.blocker is not None).most_common())


NOBODY = Estimate()


def estimate(
    machines: Iterable[Leaver], options: Mapping[Any, Sequence[Option]], limits: Mapping[str, Limit] | None = None
) -> Estimate:
    """Which of them could leave together.

    Args:
        machines: all that are to leave.
        options: by `Leaver.kind`, the places that are looked at, whether or not they are open to it.
        limits: by name, what places share.
    """
    rooms = _Rooms(limits or {})
    open_to: dict[tuple[Hashable, Demand], _Open] = {}
    ways: list[Way] = []
    for one in sorted(machines, key=lambda m: (m.rank, m.name)):
        if one.blocker is not None:
            ways.append(Way(one, blocker=one.blocker))
            continue
        known = (one.kind, one.demand)
        if known not in open_to:
            open_to[known] = _open_to(one.demand, options.get(one.kind, ()))
        ways.append(_way(one, open_to[known], rooms))
    return Estimate(tuple(ways))


def duration(size: int, machines: int, bytes_per_second: int | None, concurrent: int) -> int | None:
    """Seconds that it takes to copy so many bytes of so many machines; None: no move was measured yet."""
    if not bytes_per_second:
        return None
    return ceil(size / (bytes_per_second * max(1, min(concurrent, machines))))


@dataclass(slots=True)
class _Open:
    """What is open to machines that are alike. `full`: for each place what lacks there by now: it never becomes more."""

    options: tuple[Option, ...]
    refused: Blocker
    full: dict[int, Blocker] = field(default_factory=dict)


def _open_to(demand: Demand, options: Sequence[Option]) -> _Open:
    decision = choose(_ANY, demand, (option.place for option in options))
    by_place = {(option.place.cloud, option.place.cluster): option for option in options}
    eligible = tuple(by_place[c.cloud, c.cluster] for c in decision.considered if c.verdict is not Verdict.REFUSED)
    nearly = tuple(option for option in eligible if option.blocker is not None)
    return _Open(tuple(option for option in eligible if option.blocker is None), _refusal(decision.refused, nearly))


def _refusal(refused: Sequence[Considered], nearly: Sequence[Option]) -> Blocker:
    """As when a machine finds no place at first. `nearly`: those to which only one thing lacks."""
    told = [
        f"{_named(one.place.cloud, one.place.cluster)}: {one.blocker.message}"
        for one in nearly
        if one.blocker is not None
    ]
    told += [f"{_named(one.cloud, one.cluster)}: {one.reason}" for one in refused]
    if not told:
        return Blocker(Reason.NAMESPACE_NOT_ALLOWED, "its namespace may use no cloud that it could go to: see Tenants")
    reason = next((one.blocker.reason for one in nearly if one.blocker is not None), Reason.NO_COMPLIANT_TARGET)
    if not nearly and any(one.full for one in refused):
        reason = Reason.NO_CAPACITY
    elif not nearly and any(one.passes for one in refused):
        reason = Reason.WAITING_FOR_DEPENDENCY
    more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return Blocker(reason, f"no place for it: {'; '.join(told[:_TOLD])}{more}")


def _named(cloud: str, cluster: str) -> str:
    return f"{cloud} cluster {cluster}" if cluster else cloud


def _way(one: Leaver, opened: _Open, rooms: _Rooms) -> Way:
    for number, option in enumerate(opened.options):
        if number in opened.full:
            continue
        lacks = rooms.take(option, one.demand)
        if lacks is None:
            return Way(one, to=(option.place.cloud, option.place.cluster))
        opened.full[number] = lacks
    if not opened.options:
        return Way(one, blocker=opened.refused)
    # What none of them has room for with those before it; where quotas are the reason, that is told.
    first = min(opened.full.values(), key=lambda blocker: blocker.reason is not Reason.NO_CAPACITY)
    told = "; ".join(blocker.message for blocker in list(opened.full.values())[:_TOLD])
    return Way(one, blocker=Blocker(first.reason, f"with those that leave before it: {told}"))


def _whole(demand: Demand) -> int:
    """MiB of all its disks."""
    return demand.root + demand.data


class _Rooms:
    """What is left of every place, less those that were given it."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._limits = limits
        self._left = {name: limit.left for name, limit in limits.items()}
        self._places: dict[tuple[str, str], _Place] = {}
        self._stores: dict[tuple[str, str], int | None] = {}

    def take(self, option: Option, demand: Demand) -> Blocker | None:
        """None: it has it; else what lacks."""
        one = option.place
        name = (one.cloud, one.cluster)
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = _Place(one)
        for claim in option.claims:
            if self._left.get(claim.limit, 0) < claim.amount(demand):
                limit = self._limits[claim.limit]
                return Blocker(limit.reason, f"{one.cloud} has {limit.what} for no more")
        needs = {(one.cloud, "system"): (one.system, demand.root), (one.cloud, "image"): (one.images, _whole(demand))}
        for store, (free, size) in needs.items():
            left = self._stores.setdefault(store, free)
            if left is not None and left < size:
                return _no_room(one, f"a {store[1]} datastore with {size} MiB free")
        if not place.take(demand):
            return _no_room(one, f"a host with {demand.cpu / 100:g} cores and {demand.memory} MiB of memory free")
        for store, (_, size) in needs.items():
            left = self._stores[store]
            self._stores[store] = None if left is None else left - size
        for claim in option.claims:
            self._left[claim.limit] -= claim.amount(demand)
        return None


def _no_room(one: Candidate, what: str) -> Blocker:
    return Blocker(Reason.NO_CAPACITY, f"{_named(one.cloud, one.cluster)} has no longer {what}")


class _Place:
    """The hosts of a place, and how much of each is free; what was promised there takes of all of them together."""

    __slots__ = ("_cpu", "_hosts", "_memory")

    def __init__(self, one: Candidate) -> None:
        self._hosts = [[max(room.memory, 0), max(room.cpu, 0)] for room in sorted(one.rooms, key=lambda r: r.host)]
        self._memory = sum(memory for memory, _ in self._hosts) - one.promised.memory
        self._cpu = sum(cpu for _, cpu in self._hosts) - one.promised.cpu

    def take(self, demand: Demand) -> bool:
        """The fullest host that still has room for it: so the others keep theirs for what is large."""
        if self._memory < demand.memory or self._cpu < demand.cpu:
            return False
        best = min((host for host in self._hosts if host[0] >= demand.memory and host[1] >= demand.cpu), default=None)
        if best is None:
            return False
        best[0] -= demand.memory
        best[1] -= demand.cpu
        self._memory -= demand.memory
        self._cpu -= demand.cpu
        return True
