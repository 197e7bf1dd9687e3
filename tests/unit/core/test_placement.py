"""Choosing a place, row by row: what is asked for, what there is, what is chosen and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

import pytest

from sovereigncloud.core.placement import (
    Candidate,
    Demand,
    Neighbour,
    Objection,
    Room,
    Spot,
    Spread,
    Verdict,
    Wish,
    choose,
)

SMALL = Demand(cpu=200, memory=4096, root=10_240, data=0)


def place(cloud: str, cluster: str = "default", **more: Any) -> Candidate:
    """In Roubaix, with one host of 32 cores and 128 GiB, empty."""
    room = more.pop("room", (3200, 131_072))
    country = more.pop("country", "FR")
    base = Candidate(
        cloud=f"team/{cloud}",
        cluster=cluster,
        spots=(Spot(f"host {cloud}-1", country, "RBX"),),
        provider="ovh",
        hosts=frozenset({f"{cloud}-1"}),
        rooms=(Room(f"{cloud}-1", *room),),
        cpu=3200,
        memory=131_072,
        system=1_000_000,
    )
    return replace(base, **more)


@dataclass(frozen=True)
class Row:
    why: str
    wish: Wish
    candidates: tuple[Candidate, ...]
    chosen: str | None
    refused: dict[str, str] = field(default_factory=dict)
    """Words of the reason, by cloud or cloud/cluster."""
    demand: Demand = SMALL


ROWS = [
    Row("the only one", Wish(), (place("rbx"),), "rbx"),
    Row("of two that are alike the first by name", Wish(), (place("sbg"), place("rbx")), "rbx"),
    Row("the one with more room left", Wish(), (place("gra", room=(800, 32_768)), place("rbx")), "rbx"),
    Row(
        "a difference of a few per cent is none: the first by name",
        Wish(), (place("gra", room=(3100, 128_000)), place("rbx")), "gra",
    ),
    Row(
        "as much room: the nearer one",
        Wish(), (place("gra", latency=60.0), place("rbx", latency=3.0)), "rbx",
    ),
    Row(
        "nearness is measured in steps: 3 ms and 4 ms are the same",
        Wish(), (place("gra", latency=4.0), place("rbx", latency=3.0)), "gra",
    ),
    Row(
        "what was not measured is no nearer than what is farthest",
        Wish(), (place("gra"), place("rbx", latency=150.0)), "rbx",
    ),
    Row(
        "how far it is from where others of its namespace run goes before how far it is from the operator",
        Wish(), (place("gra", latency=1.0, between={"team/sbg": 30.0}), place("rbx", latency=90.0, between={"team/sbg": 9.0})),
        "rbx",
    ),
    Row(
        "of several where others run the farthest counts",
        Wish(),
        (
            place("gra", between={"team/sbg": 2.0, "team/waw": 60.0}),
            place("rbx", between={"team/sbg": 15.0, "team/waw": 15.0}),
        ),
        "rbx",
    ),
    Row(
        "that is measured in the same steps: 8 ms and 15 ms are the same",
        Wish(), (place("gra", between={"team/sbg": 15.0}), place("rbx", between={"team/sbg": 8.0})), "gra",
    ),
    Row(
        "where others run is nearest of all",
        Wish(), (place("gra", between={"team/rbx": 8.0}), place("rbx", latency=90.0, between={"team/rbx": 0.0})), "rbx",
    ),
    Row(
        "where nobody measured between the sites, from the operator",
        Wish(), (place("gra", between={"team/sbg": 30.0}), place("rbx", latency=3.0)), "rbx",
    ),
    Row(
        "room before nearness to others",
        Wish(),
        (place("gra", between={"team/sbg": 1.0}, room=(800, 32_768)), place("rbx", between={"team/sbg": 300.0})),
        "rbx",
    ),
    Row(
        "one that was chosen before stays, though another is nearer by now",
        Wish(stays=("team/gra", "default")),
        (place("gra", between={"team/sbg": 300.0}), place("rbx", between={"team/sbg": 1.0})),
        "gra",
    ),
    Row("room before nearness", Wish(), (place("gra", latency=1.0, room=(800, 32_768)), place("rbx", latency=90.0)), "rbx"),
    Row(
        "only one of the countries",
        Wish(countries=frozenset({"FR", "DE"})),
        (place("lim", country="DE"), place("waw", country="PL"), place("eri", country="GB")), "lim",
        {"waw": "host waw-1 is in PL, and DE, FR is asked for", "eri": "is in GB"},
    ),
    Row(
        "a country that nobody knows is none of those asked for",
        Wish(countries=frozenset({"FR"})), (place("rbx", country=""),), None,
        {"rbx": "nobody knows in which country host rbx-1 is"},
    ),
    Row(
        "of a place of which nobody knows anything either",
        Wish(countries=frozenset({"FR"})), (place("rbx", spots=()),), None, {"rbx": "nobody knows in which country it is"},
    ),
    Row(
        "one host abroad spoils the cluster: the machine may land on it",
        Wish(countries=frozenset({"FR"})),
        (place("rbx", spots=(Spot("host one-1", "FR"), Spot("host one-2", "CA"))), place("sbg")), "sbg",
        {"rbx": "host one-2 is in CA"},
    ),
    Row(
        "the label that is asked for",
        Wish(labels={"tier": "gold"}), (place("rbx", labels={"tier": "silver"}), place("sbg", labels={"tier": "gold"})),
        "sbg", {"rbx": "does not have the label tier=gold"},
    ),
    Row(
        "one of the hosts that are named",
        Wish(hosts=frozenset({"sbg-1"})), (place("rbx"), place("sbg")), "sbg", {"rbx": "none of the hosts sbg-1"},
    ),
    Row(
        "no host has enough memory free",
        Wish(), (place("rbx", room=(3200, 2048)), place("sbg")), "sbg",
        {"rbx": "no host has 2 cores and 4096 MiB of memory free"},
    ),
    Row(
        "together there would be enough, on no host there is",
        Wish(), (place("rbx", rooms=(Room("a", 3200, 3000), Room("b", 3200, 3000))),), None, {"rbx": "no host has"},
    ),
    Row(
        "what was promised a moment ago is taken",
        Wish(), (place("rbx", promised=Demand(cpu=3100, memory=4096)), place("sbg", room=(400, 8192))), "sbg",
        {"rbx": "no host has"},
    ),
    Row("no host works", Wish(), (place("rbx", rooms=()),), None, {"rbx": "no host works"}),
    Row(
        "the named host is full, another one of the cluster is not",
        Wish(hosts=frozenset({"a"})),
        (place("rbx", hosts=frozenset("ab"), rooms=(Room("a", 0, 0), Room("b", 3200, 131_072))),), None,
        {"rbx": "no host has"},
    ),
    Row(
        "no datastore has room for its root disk",
        Wish(), (place("rbx", system=1024),), None, {"rbx": "no system datastore has 10240 MiB free"},
    ),
    Row(
        "no datastore has room for its data disks",
        Wish(), (place("rbx", images=1024),), None, {"rbx": "no image datastore has 2048 MiB free"},
        Demand(100, 1024, 0, 2048),
    ),
    Row("what is not monitored refuses nothing", Wish(), (place("rbx", system=None),), "rbx"),
    Row(
        "what speaks against it for another reason, all of it",
        Wish(), (place("rbx", objections=(Objection("policy fr says no"), Objection("it is being deleted"))), place("sbg")),
        "sbg", {"rbx": "policy fr says no; it is being deleted"},
    ),
    Row(
        "there is no other cloud: it waits there for room, in the cluster that has most",
        Wish(waits=True), (place("rbx", "paris", room=(100, 100)), place("rbx", "lyon", room=(100, 3000))), "rbx/lyon",
    ),
    Row(
        "there is no other cloud: the cluster with room before the one without, however little",
        Wish(waits=True), (place("rbx", "lyon", room=(100, 130_000)), place("rbx", "paris", room=(200, 4096))), "rbx/paris",
    ),
    Row(
        "there is no other cloud: what does not pass refuses all the same",
        Wish(waits=True, countries=frozenset({"DE"})), (place("rbx"),), None, {"rbx": "is in FR, and DE is asked for"},
    ),
    Row(
        "chosen before: it stays, though another one is better now",
        Wish(stays=("team/rbx", "default")), (place("rbx", room=(400, 8192)), place("sbg")), "rbx",
    ),
    Row(
        "chosen before: it stays, though there is no room now",
        Wish(stays=("team/rbx", "")), (place("rbx", room=(0, 0)), place("sbg")), "rbx",
    ),
    Row(
        "chosen before: not where it may not be any more",
        Wish(stays=("team/rbx", "default")), (place("rbx", objections=(Objection("policy fr says no"),)), place("sbg")),
        "sbg", {"rbx": "policy fr says no"},
    ),
    Row(
        "apart by cloud: where none of them is, though there is less room",
        Wish(spread=Spread.CLOUD, neighbours=(Neighbour("team/rbx"),)),
        (place("rbx"), place("sbg", room=(800, 32_768))), "sbg",
    ),
    Row(
        "apart by cloud: where fewer of them are",
        Wish(spread=Spread.CLOUD, neighbours=(Neighbour("team/rbx"), Neighbour("team/rbx"), Neighbour("team/sbg"))),
        (place("rbx"), place("sbg")), "sbg",
    ),
    Row(
        "apart is a wish: where there is only one cloud, both are there",
        Wish(spread=Spread.CLOUD, neighbours=(Neighbour("team/rbx"),)), (place("rbx"),), "rbx",
    ),
    Row(
        "apart by country: two clouds of one country are no two countries",
        Wish(spread=Spread.COUNTRY, neighbours=(Neighbour("team/rbx", "FR"),)),
        (place("rbx"), place("sbg"), place("waw", country="PL", room=(800, 32_768))), "waw",
    ),
    Row(
        "apart by provider",
        Wish(spread=Spread.PROVIDER, neighbours=(Neighbour("team/rbx", "FR", "ovh"),)),
        (place("sbg"), place("paris", provider="ministry", room=(800, 32_768))), "paris",
    ),
    Row(
        "apart by data centre: two clusters of one cloud may be two",
        Wish(spread=Spread.DATACENTER, neighbours=(Neighbour("team/rbx", "FR", "ovh", "RBX"),)),
        (place("rbx", "a"), place("rbx", "b", spots=(Spot("host b", "FR", "SBG"),), room=(800, 32_768))), "rbx/b",
    ),
    Row(
        "apart by country: of one that nobody can place, the cloud counts",
        Wish(spread=Spread.COUNTRY, neighbours=(Neighbour("team/rbx"),)),
        (place("rbx"), place("sbg", room=(800, 32_768))), "sbg",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
def test_choosing(row: Row) -> None:
    decision = choose(row.wish, row.demand, row.candidates)
    chosen = decision.chosen
    wanted = row.chosen
    if wanted is None:
        assert chosen is None, row.why
    else:
        cloud, _, cluster = wanted.partition("/")
        assert chosen is not None, decision
        assert (chosen.cloud, chosen.cluster) == (f"team/{cloud}", cluster or "default"), decision
    told = {one.cloud.removeprefix("team/"): one.reason for one in decision.refused}
    assert told.keys() == row.refused.keys(), decision
    assert all(words in told[name] for name, words in row.refused.items()), told


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
def test_all_are_told_of_the_chosen_first_and_in_whichever_order_they_come(row: Row) -> None:
    decisions = {repr(choose(row.wish, row.demand, order)) for order in permutations(row.candidates)}
    assert len(decisions) == 1, "the same world gives the same answer"
    decision = choose(row.wish, row.demand, row.candidates)
    assert len(decision.considered) == len(row.candidates)
    verdicts = [one.verdict for one in decision.considered]
    assert verdicts == sorted(verdicts, key=[Verdict.CHOSEN, Verdict.ELIGIBLE, Verdict.REFUSED].index)
    assert all(one.reason for one in decision.considered)
    scores = [one.score for one in decision.considered if one.verdict is Verdict.ELIGIBLE]
    assert scores == sorted(scores, key=lambda score: -(score or 0))


def test_what_the_score_says() -> None:
    wish = Wish(spread=Spread.CLOUD, neighbours=(Neighbour("team/sbg"),))
    first, second = choose(wish, SMALL, (place("rbx", latency=3.0), place("sbg", latency=300.0))).considered
    assert first.reason == "93 % stays free; shares its cloud with 0 that it is to be apart from; answers within 5 ms"
    assert second.reason == "93 % stays free; shares its cloud with 1 that it is to be apart from; answers over 200 ms"
    assert (first.score or 0) > (second.score or 0)


@pytest.mark.parametrize(
    ("between", "words"),
    [
        ({"team/sbg": 12.0}, "within 20 ms of team/sbg"),
        ({"team/sbg": 12.0, "team/waw": 31.0}, "within 50 ms of team/waw"),
        ({"team/sbg": 201.0}, "over 200 ms from team/sbg"),
        ({"team/rbx": 0.0, "team/sbg": 4.0}, "within 5 ms of team/sbg"),
        ({"team/rbx": 0.0}, "others of its namespace run there"),
    ],
)
def test_between_what_it_was_measured_is_said(between: dict[str, float], words: str) -> None:
    (one,) = choose(Wish(), SMALL, (place("rbx", latency=150.0, between=between),)).considered
    assert one.reason == f"93 % stays free; {words}"


@pytest.mark.parametrize(
    ("objections", "room", "passes", "full"),
    [
        ((), (0, 0), True, True),
        ((Objection("its image is not there yet", passes=True),), (3200, 131_072), True, False),
        ((Objection("policy fr says no"),), (0, 0), False, False),
    ],
)
def test_whether_it_may_go_by_itself(
    objections: tuple[Objection, ...], room: tuple[int, int], passes: bool, full: bool
) -> None:
    (one,) = choose(Wish(), SMALL, (place("rbx", room=room, objections=objections),)).refused
    assert (one.passes, one.full) == (passes, full)
