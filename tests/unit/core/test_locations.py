"""Where regions are: a table, and what is not in it is unknown."""

import json
import os
from pathlib import Path

import pytest

from sovereigncloud.core.locations import (
    EUROPEAN_UNION,
    REGIONS,
    UNKNOWN,
    announced_in,
    campus_of,
    country_of,
    described,
    may_route,
    region_of,
    region_of_datacenter,
)

SHARED = Path(os.environ.get("SOVEREIGN_SHARED", Path(__file__).parents[4] / "shared"))
SCHEMA = SHARED / "ovh-api" / "native" / "v1" / "ip.json"

COUNTRIES = [
    ("a region", "eu-west-rbx", "FR"),
    ("an availability zone is in its region", "eu-west-rbx-a", "FR"),
    ("a zone of a region of three", "eu-west-par-c", "FR"),
    ("Limburg is in Germany", "eu-west-lim", "DE"),
    ("Erith is in London, whatever its name begins with", "eu-west-eri", "GB"),
    ("a local zone of eu- may be in Zurich: unknown", "eu-west-lz-zrh", UNKNOWN),
    ("and one in a member state is not guessed either", "eu-west-lz-ams", UNKNOWN),
    ("a name that was made up", "eu-west-1", UNKNOWN),
    ("nothing", "", UNKNOWN),
    ("a name is matched whole", "eu-west-rbx-snc", UNKNOWN),
]


@pytest.mark.parametrize(("why", "name", "country"), COUNTRIES, ids=[c[0] for c in COUNTRIES])
def test_the_country_of_a_region(why, name, country):
    assert country_of(name) == country, why


def test_the_union_is_told_by_country_never_by_prefix():
    inside = {name for name in REGIONS if country_of(name) in EUROPEAN_UNION}
    assert inside == {
        "eu-west-gra", "eu-west-rbx", "eu-west-sbg", "eu-west-par", "eu-west-lim", "eu-central-waw", "eu-south-mil",
    }  # fmt: skip
    assert country_of("eu-west-lz-zrh") not in EUROPEAN_UNION
    assert len(EUROPEAN_UNION) == 27


ROUTES = [
    ("at home", "eu-west-rbx", "eu-west-rbx", True),
    ("to another zone of its region", "eu-west-par-a", "eu-west-par-b", True),
    ("Roubaix and Gravelines interchange", "eu-west-rbx", "eu-west-gra", True),
    ("and Strasbourg", "eu-west-sbg", "eu-west-rbx", True),
    ("Paris is closed although it is in France", "eu-west-par", "eu-west-rbx", False),
    ("Limburg is closed", "eu-west-rbx", "eu-west-lim", False),
    ("no two closed regions interchange", "eu-west-lim", "eu-central-waw", False),
    ("what is unknown stays at home", "eu-west-1", "eu-west-rbx", False),
]


@pytest.mark.parametrize(("why", "home", "region", "may"), ROUTES, ids=[c[0] for c in ROUTES])
def test_between_which_regions_a_block_moves(why, home, region, may):
    assert may_route(home, region) is may, why
    assert may_route(region, home) is may, "either way"


ANNOUNCED = [
    ("its own region where a server stands", ["eu-west-rbx"], ["eu-west-gra", "eu-west-rbx"], "eu-west-rbx"),
    ("else the first that it may move to", ["eu-west-rbx"], ["eu-west-lim", "eu-west-gra"], "eu-west-gra"),
    ("none of them", ["eu-west-rbx"], ["eu-west-lim"], None),
    ("the region of a zone", ["eu-west-par-a"], ["eu-west-par"], "eu-west-par"),
    ("any of several homes", ["eu-west-lim", "eu-west-sbg"], ["eu-west-gra"], "eu-west-gra"),
    ("no server is known", ["eu-west-rbx"], [], None),
]


@pytest.mark.parametrize(("why", "homes", "regions", "expected"), ANNOUNCED, ids=[c[0] for c in ANNOUNCED])
def test_where_a_block_is_announced(why, homes, regions, expected):
    assert announced_in(homes, regions) == expected, why


@pytest.mark.parametrize(
    ("code", "region"),
    [("rbx8", "eu-west-rbx"), ("RBX-HZ", "eu-west-rbx"), ("eri1", "eu-west-eri"), ("p19", ""), ("gsw", ""), ("", "")],
)
def test_the_region_of_a_data_centre(code, region):
    assert region_of_datacenter(code) == region


CAMPUSES = [
    ("as the region ends", "eu-west-rbx", "RBX"),
    ("of an availability zone", "eu-west-par-a", "PAR"),
    ("Toronto is called by its airport", "ca-east-tor", "YYZ"),
    ("and so is Mumbai", "ap-south-mum", "YNM"),
    ("a region that is in no table has none: no certificate is for it", "eu-west-lz-zrh", ""),
    ("nothing", "", ""),
]


@pytest.mark.parametrize(("why", "region", "campus"), CAMPUSES, ids=[c[0] for c in CAMPUSES])
def test_what_the_data_centres_of_a_region_are_called(why, region, campus):
    assert campus_of(region) == campus, why


def test_regions_are_told_with_their_countries():
    told = described(["eu-west-rbx-a", "eu-west-eri", "eu-west-gra", "moon-1"])
    assert told == "FR (eu-west-gra, eu-west-rbx), GB (eu-west-eri), unknown country (moon-1)"
    assert region_of("eu-west-rbx-a") == "eu-west-rbx"


@pytest.mark.skipif(not SCHEMA.is_file(), reason=f"no copy of OVHcloud's schema: {SCHEMA}")
def test_every_region_is_one_of_the_schema():
    """Ordinary regions of the schema are all here; of local zones (lz) no source tells the country."""
    known = json.loads(SCHEMA.read_text())["models"]["coreTypes.RegionCodenameEnum"]["enum"]
    assert set(REGIONS) == {name for name in known if "-lz-" not in name}
