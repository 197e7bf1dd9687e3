"""How many could leave, all together: room is counted from one machine to the next, and every refusal has a reason."""

from __future__ import annotations

import gc
from dataclasses import replace
from time import process_time

import pytest

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.exit import Blocker, Claim, Leaver, Limit, Option, duration, estimate
from sovereigncloud.core.placement import Candidate, Demand, Objection, Room

SMALL = Demand(cpu=100, memory=1024, root=10, data=0)
PARIS = Candidate(
    "team/paris", "default", rooms=(Room("p1", 300, 8192), Room("p2", 300, 8192)), system=10**6, images=10**6
)


def machines(number: int, demand: Demand = SMALL, **fields: object) -> list[Leaver]:
    return [replace(Leaver(f"team/m{n:05}", "k", demand), **fields) for n in range(number)]  # type: ignore[arg-type]


def reasons(found: object) -> list[str]:
    return [str(way.blocker.reason) for way in found.blocked]  # type: ignore[attr-defined]


ALONE = [
    ("room for it", PARIS, None, ""),
    ("no host works", replace(PARIS, rooms=()), "NoCapacity", "no host works"),
    ("no host is large enough", replace(PARIS, rooms=(Room("p1", 50, 8192),)), "NoCapacity", "1 cores and 1024 MiB"),
    ("no room for its disks where they run", replace(PARIS, system=5), "NoCapacity", "system datastore"),
    ("no room for its disks as images", replace(PARIS, images=5), "NoCapacity", "image datastore"),
    ("a policy refuses", replace(PARIS, objections=(Objection("SovereigntyPolicy fr: no"),)), "NoCompliantTarget", "SovereigntyPolicy fr"),
    ("it does not answer", replace(PARIS, seen=False, objections=(Objection("it does not answer", passes=True),)), "WaitingForDependency", "does not answer"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "place", "reason", "says"), ALONE, ids=[row[0] for row in ALONE])
def test_a_machine_alone(why: str, place: Candidate, reason: str | None, says: str) -> None:
    found = estimate(machines(1), {"k": [Option(place)]})
    assert found.movable == (reason is None), why
    if reason is not None:
        assert reasons(found) == [reason]
        assert says in found.blocked[0].blocker.message  # type: ignore[union-attr]


def test_three_hundred_into_room_for_less_are_counted_together() -> None:
    hosts = tuple(Room(f"p{n}", 10**6, 41 * 1024) for n in range(7))
    found = estimate(machines(300), {"k": [Option(replace(PARIS, rooms=hosts))]})
    assert (found.movable, len(found.ways), dict(found.counts)) == (287, 300, {Reason.NO_CAPACITY: 13})
    assert "with those that leave before it" in found.blocked[0].blocker.message  # type: ignore[union-attr]
    assert found.bytes == 287 * (10 << 20)


def test_what_is_full_is_full_for_the_large_and_not_for_the_small() -> None:
    large = machines(2, Demand(100, 8000, 10, 0))
    small = [replace(one, name=f"z{one.name}") for one in machines(1)]
    both = estimate([*large, *small], {"k": [Option(replace(PARIS, rooms=(Room("p1", 900, 10_000),)))]})
    assert [way.to is not None for way in both.ways] == [True, False, True]


def test_the_fullest_host_that_fits_is_taken_so_that_what_is_large_finds_one() -> None:
    hosts = (Room("a", 900, 2048), Room("b", 900, 8192))
    order = [Leaver("1", "k", Demand(100, 2000)), Leaver("2", "k", Demand(100, 8000))]
    assert estimate(order, {"k": [Option(replace(PARIS, rooms=hosts))]}).movable == 2


def test_what_was_promised_there_is_room_no_more() -> None:
    place = replace(PARIS, promised=Demand(memory=15_000))
    assert estimate(machines(3), {"k": [Option(place)]}).movable == 1


def test_the_second_cloud_takes_what_the_first_has_no_room_for() -> None:
    rome = replace(PARIS, cloud="team/rome")
    found = estimate(machines(9), {"k": [Option(PARIS), Option(rome)]})
    where = [way.to[0] for way in found.ways if way.to is not None]
    assert (where.count("team/paris"), where.count("team/rome")) == (6, 3)


def test_datastores_are_one_for_all_clusters_of_a_cloud() -> None:
    places = [Option(replace(PARIS, cluster=name, images=25)) for name in ("a", "b")]
    assert estimate(machines(9), {"k": places}).movable == 2


def test_a_quota_is_told_by_its_own_name() -> None:
    limits = {
        "q": Limit(2, Reason.QUOTA_EXCEEDED, "quota of Tenant t (VMS)"),
        "m": Limit(10**6, Reason.NO_CAPACITY, ""),
    }
    claims = (Claim("q"), Claim("m", "memory"))
    found = estimate(machines(3), {"k": [Option(PARIS, claims)]}, limits)
    assert (found.movable, reasons(found)) == (2, ["QuotaExceeded"])


def test_what_is_in_the_way_everywhere_takes_no_room() -> None:
    stuck = machines(5, blocker=Blocker(Reason.NOT_MOVABLE, "a device"))
    free = [replace(one, name=f"z{one.name}") for one in machines(6)]
    found = estimate([*stuck, *free], {"k": [Option(PARIS)]})
    assert (found.movable, dict(found.counts)) == (6, {Reason.NOT_MOVABLE: 5})


NEARLY = Option(PARIS, blocker=Blocker(Reason.NETWORK_NOT_FOUND, "it has no network lan"))


def test_a_network_that_is_not_there_is_the_reason_only_where_nothing_else_is() -> None:
    refused = Option(replace(PARIS, cloud="team/rome", objections=(Objection("SovereigntyPolicy fr: no"),)))
    found = estimate(machines(1), {"k": [NEARLY, refused]})
    assert reasons(found) == ["NetworkNotFound"]
    assert "SovereigntyPolicy fr" in found.blocked[0].blocker.message  # type: ignore[union-attr]
    assert estimate(machines(1), {"k": [NEARLY, Option(replace(PARIS, cloud="team/rome"))]}).movable == 1


def test_a_namespace_without_any_cloud_to_go_to_is_told_so() -> None:
    assert reasons(estimate(machines(1), {})) == ["NamespaceNotAllowed"]


def test_who_leaves_first_is_asked_first() -> None:
    late = [replace(one, rank=1) for one in machines(6)]
    first = Leaver("team/zz", "k", SMALL, rank=0)
    found = estimate([*late, first], {"k": [Option(PARIS)]})
    assert found.ways[0].leaver is first
    assert found.ways[-1].to is None


@pytest.mark.parametrize(
    ("size", "number", "rate", "at_once", "seconds"),
    [(1000, 10, None, 4, None), (1000, 10, 10, 4, 25), (1000, 2, 10, 4, 50), (1000, 1, 10, 4, 100), (0, 0, 10, 4, 0)],
)
def test_how_long_it_takes_as_earlier_moves_took(
    size: int, number: int, rate: int | None, at_once: int, seconds: int | None
) -> None:
    assert duration(size, number, rate, at_once) == seconds


def test_ten_thousand_are_counted_in_less_than_a_second_of_work() -> None:
    places = [Option(replace(PARIS, cloud=f"team/c{n}", images=10**9, system=10**9, rooms=tuple(Room(f"h{i}", 6400, 1 << 19) for i in range(60)))) for n in range(3)]  # fmt: skip
    many = [
        Leaver(f"n{n % 50}/m{n}", n % 50, Demand(100 * (1 + n % 4), 2048 * (1 + n % 4), 100, 0)) for n in range(10_000)
    ]
    gc.collect()
    gc.freeze()  # as in the operator: what other tests left is looked through at nobody's cost
    began = process_time()
    found = estimate(many, dict.fromkeys(range(50), places))
    took = process_time() - began
    gc.unfreeze()
    assert took < 1.0
    assert 4000 < found.movable < 10_000
