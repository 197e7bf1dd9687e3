"""Where the disks of a machine lie on their way: judged like backups, but for a place where they are anyway."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import OpenNebula, World

from sovereigncloud.api.common.base import Key
from sovereigncloud.kinds.instancemigration.disk_locations import lying_abroad
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.sovereignty.facts import Part, Place
from sovereigncloud.sovereignty.rules import Dispensation, Rules

RBX, PARIS = Key("SovereignCloud", "team", "rbx"), Key("SovereignCloud", "team", "paris")
WEB, TODAY = Key("HostedInstance", "team", "web"), date(2026, 11, 28)
MARKET = Marketplace(3, "way-out", 0, 0, "http")
FR, CA = (
    {"name": "marketplace/way-out", "covers": ["images"], "country": c, "grade": "Declared"} for c in ("FR", "CA")
)
NOBODY_KNOWS = {"name": "marketplace/way-out", "covers": ["images"], "grade": "None"}
EXCEPTED = Dispensation("residency.images", "team", "web", "cto@example.fr", TODAY)


def policy(**more: Any) -> Rules:
    given = {"enforced": True, "countries": frozenset({"FR"}), "written_countries": ("FR",)} | more
    return Rules("fr", TODAY, **given)


LAW = policy(countries=None, jurisdiction=frozenset({"FR"}))
ROWS: list[tuple[str, list[Rules], list[Any], tuple[str, ...], str]] = [
    ("no policy binds it", [], [CA], (), ""),
    ("it is in an allowed country", [policy()], [FR], (), ""),
    ("it is in another one", [policy()], [CA], (), "marketplace way-out is in CA"),
    ("nobody knows where it is", [policy()], [NOBODY_KNOWS], (), "nobody knows in which country marketplace way-out is"),
    ("nobody saw it", [policy()], [], (), "nobody knows in which country marketplace way-out is"),
    ("the policy only looks on", [policy(enforced=False)], [CA], (), ""),
    ("the policy is about where machines run", [policy(covers=frozenset({Part.COMPUTE}))], [CA], (), ""),
    ("the policy is about backups", [policy(covers=frozenset({Part.BACKUPS}))], [CA], (), "residency.backups"),
    ("the machine leaves the place where it should not be", [policy()], [CA], ("CA",), ""),
    ("where nobody knows where the machine is, nor is this", [policy()], [NOBODY_KNOWS], ("",), "nobody knows"),
    ("whose law the provider is under is no matter of the way", [LAW], [FR], (), ""),
    ("somebody let it be", [policy(covers=frozenset({Part.IMAGES}), exceptions=(EXCEPTED,))], [CA], (), ""),
]  # fmt: skip


@pytest.mark.parametrize(("why", "rules", "locations", "there", "says"), ROWS, ids=[row[0] for row in ROWS])
def test_disks_go_only_over_a_place_where_they_may_lie(why, rules, locations, there, says) -> None:
    world = World(rbx=OpenNebula(), paris=OpenNebula())
    world.rules, world.located["rbx"] = rules, {"locations": locations}
    places = tuple(Place("host one-1", country) for country in there)
    told = lying_abroad((MARKET,), WEB, (RBX, PARIS), places, world)
    assert set(told) == ({"way-out"} if says else set())
    assert says in told.get("way-out", "")
