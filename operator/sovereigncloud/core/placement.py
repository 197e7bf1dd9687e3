"""Where something may be placed, and where it is best: hard conditions first, then scores of what is left. Pure.

It knows no policies and no clouds: a candidate comes with what speaks against it, and every candidate that is refused is told with
its reasons. The same wish and the same candidates give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

STEPS = 10
"""Steps of the score for room: so many that a cloud that is nearly full differs from an empty one, and so few that what
differs by a machine or two does not."""
_LATENCIES = (5.0, 20.0, 50.0, 100.0, 200.0)
"""Milliseconds, up to which a cloud is in one step with others: what differs by less is the weather."""
_NEIGHBOUR = 1000
_WAITS = 100_000


class Verdict(StrEnum):
    CHOSEN = "Chosen"
    ELIGIBLE = "Eligible"
    REFUSED = "Refused"


class Spread(StrEnum):
    """What machines that are to be apart should not share."""

    CLOUD = "Cloud"
    COUNTRY = "Country"
    PROVIDER = "Provider"
    DATACENTER = "Datacenter"


@dataclass(frozen=True, slots=True)
class Demand:
    """What it needs: `cpu` in hundredths of a core, the others in MiB; `root` where it runs, `data` where images are."""

    cpu: int = 0
    memory: int = 0
    root: int = 0
    data: int = 0


NOTHING = Demand()


@dataclass(frozen=True, slots=True)
class Room:
    """What is free on a host that works: `cpu` in hundredths of a core, `memory` in MiB."""

    host: str
    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a part of a candidate stands; empty: nobody knows."""

    what: str
    country: str = ""
    datacenter: str = ""


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against a candidate.

    Attributes:
        passes: it may go by itself, as a lack of room does.
        full: it is a lack of room.
    """

    reason: str
    passes: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place.

    Attributes:
        spots: where all of it stands that the machine may come to be on.
        labels: of the cloud.
        hosts: all of it, by name.
        rooms: of the hosts that work.
        cpu, memory: of all hosts together, as Demand counts them.
        promised: what was placed there and does not show yet.
        system, images: MiB free where machines run, and where images are; None: nobody tells.
        latency: milliseconds, from where the operator runs; None: not measured.
        between: milliseconds to the clouds in which others of its namespace run, by cloud, as far as that was measured.
        objections: what speaks against it that is not looked at here.
        seen: False where nobody could look at it: then only that speaks against it.
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
    """One that it is to be apart from, and where that is."""

    cloud: str
    country: str = ""
    provider: str = ""
    datacenter: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes:
        countries: where all of the place has to be; empty: anywhere.
        labels: that the cloud has to have.
        hosts: of which at least one has to be there; empty: any.
        spread: what it is not to share with `neighbours`, if that can be.
        stays: cloud and cluster that were chosen before: it stays there unless something speaks against them that does not
            pass. An empty cluster: any.
        waits: there is no other cloud, so that what passes refuses none of its clusters.
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
    """What became of a candidate.

    Attributes:
        passes: all that refused it may go by itself.
        full: all that refused it is a lack of room.
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
    """`considered`: the chosen one first, then the others by their score, then the refused ones."""

    chosen: Candidate | None
    considered: tuple[Considered, ...]

    @property
    def refused(self) -> tuple[Considered, ...]:
        return tuple(one for one in self.considered if one.verdict is Verdict.REFUSED)


def choose(wish: Wish, demand: Demand, candidates: Iterable[Candidate]) -> Decision:
    """The best of those that nothing speaks against."""
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
        yield Objection(f"nobody knows in which country it is, and {allowed} is asked for")
    for spot in spots:
        if not spot.country:
            yield Objection(f"nobody knows in which country {spot.what} is, and {allowed} is asked for")
        elif spot.country not in countries:
            yield Objection(f"{spot.what} is in {spot.country}, and {allowed} is asked for")


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
    """Together with what was placed there a moment ago, of which nobody knows yet on which host it is."""
    cpu = sum(max(room.cpu, 0) for room in rooms) - one.promised.cpu
    memory = sum(max(room.memory, 0) for room in rooms) - one.promised.memory
    return cpu >= demand.cpu and memory >= demand.memory


def _size(demand: Demand) -> str:
    whole, rest = divmod(demand.cpu, 100)
    return f"{whole}{f'.{rest:02}'.rstrip('0') if rest else ''} cores and {demand.memory} MiB of memory"


# --- what is better ----------------------------------------------------------------------------------------------------


def _score(wish: Wish, demand: Demand, one: Candidate) -> int:
    """Apart from its like before room, room before nearness."""
    room = _left(demand, one) * STEPS // 100
    return 100 * _NEIGHBOUR + room * STEPS - _distance(one) - _NEIGHBOUR * min(_shared(wish, one), 99)


def _left(demand: Demand, one: Candidate) -> int:
    """Per cent of processors or memory, whichever is less, that stay free with it."""
    cpu = sum(max(room.cpu, 0) for room in one.rooms) - one.promised.cpu - demand.cpu
    memory = sum(max(room.memory, 0) for room in one.rooms) - one.promised.memory - demand.memory
    shares = [100 * max(free, 0) // total for free, total in ((cpu, one.cpu), (memory, one.memory)) if total > 0]
    return min(*shares, 100) if shares else 0


def _distance(one: Candidate) -> int:
    """The step that it is in: as far as the farthest of those it belongs with, else as far from the operator. What was not
    measured is no nearer than what is farthest.
    """
    farthest = _farthest(one)
    latency = farthest[0] if farthest is not None else one.latency
    if latency is None:
        return len(_LATENCIES)
    return sum(latency > step for step in _LATENCIES)


def _farthest(one: Candidate) -> tuple[float, str] | None:
    """Of the clouds in which others of its namespace run: milliseconds, and which."""
    return max(((latency, cloud) for cloud, latency in one.between.items()), default=None)


def _shared(wish: Wish, one: Candidate) -> int:
    """How many there are already that it would share that with."""
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
    """What its score says, in words."""
    words = ["chosen before"] if kept else []
    words += list(waits)
    words.append(f"{_left(demand, one)} % stays free")
    if wish.spread is not None:
        words.append(f"shares its {wish.spread.lower()} with {_shared(wish, one)} that it is to be apart from")
    if (near := _how_near(one)) is not None:
        words.append(near)
    return "; ".join(words)


def _how_near(one: Candidate) -> str | None:
    """Between what it was measured, and in which step it is."""
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
