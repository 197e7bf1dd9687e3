"""Placement: filter candidates by hard conditions, then score the rest. Pure.

It knows no policies and no clouds: a candidate brings its objections, and every refused candidate is returned with
its reasons. The same request and candidates give the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

STEPS = 10
"""Steps of the capacity score: enough to distinguish a nearly full cloud, too few for one or two VMs to matter."""
_LATENCIES = (5.0, 20.0, 50.0, 100.0, 200.0)
"""Upper bounds in milliseconds of latency classes; smaller differences are noise."""
_NEIGHBOUR = 1000
_WAITS = 100_000


class Verdict(StrEnum):
    CHOSEN = "Chosen"
    ELIGIBLE = "Eligible"
    REFUSED = "Refused"


class Spread(StrEnum):
    """Failure domain that instances should not share."""

    CLOUD = "Cloud"
    COUNTRY = "Country"
    PROVIDER = "Provider"
    DATACENTER = "Datacenter"


@dataclass(frozen=True, slots=True)
class Demand:
    """Required capacity: `cpu` in hundredths of a core, the rest in MiB; `root` on system, `data` on image
    datastores.
    """

    cpu: int = 0
    memory: int = 0
    root: int = 0
    data: int = 0


NOTHING = Demand()


@dataclass(frozen=True, slots=True)
class Room:
    """Free capacity of an enabled host: `cpu` in hundredths of a core, `memory` in MiB."""

    host: str
    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Location of a part of a candidate; empty: unknown."""

    what: str
    country: str = ""
    datacenter: str = ""


@dataclass(frozen=True, slots=True)
class Objection:
    """Reason against a candidate.

    Attributes:
        passes: it may go away by itself, as a lack of capacity does.
        full: it is a lack of capacity.
    """

    reason: str
    passes: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """Cluster of a cloud in which something may be placed.

    Attributes:
        spots: locations of all parts on which the VM may run.
        labels: of the cloud.
        hosts: all of it, by name.
        rooms: free capacity of its enabled hosts.
        cpu, memory: total of all hosts, in the units of Demand.
        promised: capacity reservations that no view shows yet.
        system, images: MiB free in system and image datastores; None: unknown.
        latency: milliseconds from the operator; None: not measured.
        between: milliseconds to the clouds in which other instances of the namespace run, by cloud, as far as measured.
        objections: reasons from outside of this module.
        seen: False when it could not be read: then only that counts.
    """

    cloud: str
    cluster: str
    spots: tuple[Spot, ...] = ()
    provider: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    rooms: tuple[Room, ...] = ()
    cpu: int = 0
    memory: int = 0
    promised: Demand = NOTHING
    system: int | None = None
    images: int | None = None
    latency: float | None = None
    between: Mapping[str, float] = field(default_factory=dict)
    objections: tuple[Objection, ...] = ()
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Instance to be kept apart from, and its location."""

    cloud: str
    country: str = ""
    provider: str = ""
    datacenter: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """Placement request.

    Attributes:
        countries: allowed countries of all parts; empty: any.
        labels: that the cloud must have.
        hosts: of which at least one must be in the cluster; empty: any.
        spread: failure domain not to share with `neighbours`, if possible.
        stays: cloud and cluster chosen before: kept unless a permanent objection arises. An empty cluster: any.
        waits: there is no other cloud, so that temporary objections refuse none of its clusters.
    """

    countries: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    spread: Spread | None = None
    neighbours: tuple[Neighbour, ...] = ()
    stays: tuple[str, str] | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Considered:
    """Result for a candidate.

    Attributes:
        passes: all its objections may go away by themselves.
        full: all its objections are a lack of capacity.
    """

    cloud: str
    cluster: str
    verdict: Verdict
    reason: str
    score: int | None = None
    passes: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Placement decision. `considered`: the chosen candidate, then the others by score, then the refused ones."""

    chosen: Candidate | None
    considered: tuple[Considered, ...]

    @property
    def refused(self) -> tuple[Considered, ...]:
        return tuple(one for one in self.considered if one.verdict is Verdict.REFUSED)


def choose(wish: Wish, demand: Demand, candidates: Iterable[Candidate]) -> Decision:
    """Return the best candidate without objections."""
    eligible: list[tuple[int, Candidate, tuple[str, ...]]] = []
    refused: list[Considered] = []
    for one in sorted(candidates, key=lambda c: (c.cloud, c.cluster)):
        found = tuple(_objections(wish, demand, one))
        lenient = one.seen and (wish.waits or _is_the_one_before(wish, one))
        against = tuple(o for o in found if not (lenient and o.passes))
        if against:
            reason = "; ".join(o.reason for o in against)
            passes, full = all(o.passes for o in against), all(o.full for o in against)
            refused.append(Considered(one.cloud, one.cluster, Verdict.REFUSED, reason, passes=passes, full=full))
        else:
            score = _score(wish, demand, one) - (_WAITS if found else 0)
            eligible.append((score, one, tuple(o.reason for o in found)))
    eligible.sort(key=lambda e: -e[0])  # stable: of equals the first by name
    kept = next((e for e in eligible if _is_the_one_before(wish, e[1])), None)
    best = kept or (eligible[0] if eligible else None)
    told = [
        Considered(one.cloud, one.cluster, Verdict.CHOSEN if entry is best else Verdict.ELIGIBLE, text, max(score, 0))
        for entry in eligible
        for score, one, waits in (entry,)
        for text in (_why(wish, demand, one, waits, kept=entry is kept),)
    ]
    told.sort(key=lambda c: c.verdict is not Verdict.CHOSEN)
    return Decision(best[1] if best else None, (*told, *refused))


def _is_the_one_before(wish: Wish, one: Candidate) -> bool:
    return wish.stays is not None and wish.stays[0] == one.cloud and wish.stays[1] in {"", one.cluster}


# --- what speaks against a place ---------------------------------------------------------------------------------------


def _objections(wish: Wish, demand: Demand, one: Candidate) -> Iterator[Objection]:
    if one.seen:
        yield from _not_asked_for(wish, one)
        yield from _without_room(wish, demand, one)
    yield from one.objections


def _not_asked_for(wish: Wish, one: Candidate) -> Iterator[Objection]:
    lacking = [f"{name}={value}" for name, value in sorted(wish.labels.items()) if one.labels.get(name) != value]
    if lacking:
        yield Objection(f"the cloud does not have the label {', '.join(lacking)}")
    if wish.countries:
        yield from _elsewhere(wish.countries, one.spots)
    if wish.hosts and not wish.hosts & one.hosts:
        yield Objection(f"none of the hosts {', '.join(sorted(wish.hosts))} is in it")


def _elsewhere(countries: frozenset[str], spots: tuple[Spot, ...]) -> Iterator[Objection]:
    allowed = ", ".join(sorted(countries))
    if not spots:
        yield Objection(f"its country is unknown, and {allowed} is required")
    for spot in spots:
        if not spot.country:
            yield Objection(f"the country of {spot.what} is unknown, and {allowed} is required")
        elif spot.country not in countries:
            yield Objection(f"{spot.what} is in {spot.country}, and {allowed} is required")


def _without_room(wish: Wish, demand: Demand, one: Candidate) -> Iterator[Objection]:
    rooms = [room for room in one.rooms if not wish.hosts or room.host in wish.hosts]
    if not rooms:
        yield _full("no host works")
    elif not (_fits_a_host(demand, rooms) and _fits_all(demand, one, rooms)):
        yield _full(f"no host has {_size(demand)} free")
    if one.system is not None and demand.root > one.system:
        yield _full(f"no system datastore has {demand.root} MiB free")
    if one.images is not None and demand.data > one.images:
        yield _full(f"no image datastore has {demand.data} MiB free")


def _full(reason: str) -> Objection:
    return Objection(reason, passes=True, full=True)


def _fits_a_host(demand: Demand, rooms: Iterable[Room]) -> bool:
    return any(room.cpu >= demand.cpu and room.memory >= demand.memory for room in rooms)


def _fits_all(demand: Demand, one: Candidate, rooms: list[Room]) -> bool:
    """Return whether the demand fits together with recent reservations, whose hosts are unknown yet."""
    cpu = sum(max(room.cpu, 0) for room in rooms) - one.promised.cpu
    memory = sum(max(room.memory, 0) for room in rooms) - one.promised.memory
    return cpu >= demand.cpu and memory >= demand.memory


def _size(demand: Demand) -> str:
    whole, rest = divmod(demand.cpu, 100)
    return f"{whole}{f'.{rest:02}'.rstrip('0') if rest else ''} cores and {demand.memory} MiB of memory"


# --- what is better ----------------------------------------------------------------------------------------------------


def _score(wish: Wish, demand: Demand, one: Candidate) -> int:
    """Return the score: spread before free capacity, capacity before latency."""
    room = _left(demand, one) * STEPS // 100
    return 100 * _NEIGHBOUR + room * STEPS - _distance(one) - _NEIGHBOUR * min(_shared(wish, one), 99)


def _left(demand: Demand, one: Candidate) -> int:
    """Return the per cent of CPU or memory, whichever is less, that stay free after placement."""
    cpu = sum(max(room.cpu, 0) for room in one.rooms) - one.promised.cpu - demand.cpu
    memory = sum(max(room.memory, 0) for room in one.rooms) - one.promised.memory - demand.memory
    shares = [100 * max(free, 0) // total for free, total in ((cpu, one.cpu), (memory, one.memory)) if total > 0]
    return min(*shares, 100) if shares else 0


def _distance(one: Candidate) -> int:
    """Return the latency class: to the farthest related cloud, else from the operator.

    A cloud without a measurement counts as farthest.
    """
    farthest = _farthest(one)
    latency = farthest[0] if farthest is not None else one.latency
    if latency is None:
        return len(_LATENCIES)
    return sum(latency > step for step in _LATENCIES)


def _farthest(one: Candidate) -> tuple[float, str] | None:
    """Return the farthest cloud in which others of the namespace run, with the milliseconds."""
    return max(((latency, cloud) for cloud, latency in one.between.items()), default=None)


def _shared(wish: Wish, one: Candidate) -> int:
    """Return how many neighbours share the failure domain."""
    match wish.spread:
        case None:
            return 0
        case Spread.CLOUD:
            return sum(n.cloud == one.cloud for n in wish.neighbours)
        case Spread.PROVIDER:
            return sum(n.cloud == one.cloud or (n.provider == one.provider != "") for n in wish.neighbours)
        case Spread.COUNTRY:
            countries = {spot.country for spot in one.spots} - {""}
            return sum(n.cloud == one.cloud if not n.country else n.country in countries for n in wish.neighbours)
        case Spread.DATACENTER:
            sites = {spot.datacenter for spot in one.spots} - {""}
            return sum(n.cloud == one.cloud if not n.datacenter else n.datacenter in sites for n in wish.neighbours)


def _why(wish: Wish, demand: Demand, one: Candidate, waits: tuple[str, ...], *, kept: bool) -> str:
    """Describe the score."""
    words = ["chosen before"] if kept else []
    words += list(waits)
    words.append(f"{_left(demand, one)} % stays free")
    if wish.spread is not None:
        words.append(f"shares its {wish.spread.lower()} with {_shared(wish, one)} that it is to be apart from")
    if (near := _how_near(one)) is not None:
        words.append(near)
    return "; ".join(words)


def _how_near(one: Candidate) -> str | None:
    """Describe the latency class and what was measured."""
    farthest = _farthest(one)
    if farthest is not None:
        latency, cloud = farthest
        if cloud == one.cloud:
            return "others of its namespace run there"
        return (
            f"within {step:g} ms of {cloud}" if (step := _step(latency)) else f"over {_LATENCIES[-1]:g} ms from {cloud}"
        )
    if one.latency is not None:
        step = _step(one.latency)
        return f"answers within {step:g} ms" if step else f"answers over {_LATENCIES[-1]:g} ms"
    return None


def _step(latency: float) -> float | None:
    return next((step for step in _LATENCIES if latency <= step), None)
