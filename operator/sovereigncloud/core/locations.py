"""Where OVHcloud's regions are, and between which a block of addresses may move.

A table, never a guess: `eu-west-eri` is in the United Kingdom, and among the local zones of `eu-` are Zurich and Oslo. What is
not in it is unknown, and whoever asks treats it as somewhere else. At run time the server itself tells its region.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

UNKNOWN: Final = ""
"""The country of a region that the table does not have."""


@dataclass(frozen=True, slots=True)
class Region:
    """A region of OVHcloud.

    Attributes:
        country: ISO 3166 alpha-2.
        datacenters: codes of `dedicated.server.datacenter`; only those whose place a source tells.
        three_zones: it has three availability zones: addresses fail over between them.
    """

    name: str
    city: str
    country: str
    datacenters: tuple[str, ...] = ()
    three_zones: bool = False


def _codes(prefix: str, last: int, *more: str) -> tuple[str, ...]:
    return (*more, *(f"{prefix}{number}" for number in range(1, last + 1)))


REGIONS: Final[Mapping[str, Region]] = {
    one.name: one
    for one in (
        Region("eu-west-gra", "Gravelines", "FR", _codes("gra", 3, "gra04")),
        Region("eu-west-rbx", "Roubaix", "FR", _codes("rbx", 10, "rbx", "rbx-hz")),
        Region("eu-west-sbg", "Strasbourg", "FR", _codes("sbg", 5)),
        Region("eu-west-par", "Paris", "FR", three_zones=True),
        Region("eu-west-lim", "Limburg", "DE", _codes("lim", 3)),
        Region("eu-central-waw", "Warsaw", "PL", _codes("waw", 1)),
        Region("eu-south-mil", "Milan", "IT", three_zones=True),
        Region("eu-west-eri", "Erith", "GB", _codes("eri", 2)),
        Region("ca-east-bhs", "Beauharnois", "CA", _codes("bhs", 8)),
        Region("ca-east-tor", "Toronto", "CA"),
        Region("us-east-vin", "Vint Hill", "US", _codes("vin", 1)),
        Region("us-west-hil", "Hillsboro", "US", _codes("hil", 1)),
        Region("ap-southeast-sgp", "Singapore", "SG", ("sgp1", "sgp02")),
        Region("ap-southeast-syd", "Sydney", "AU", ("syd1", "syd2", "syd03")),
        Region("ap-south-mum", "Mumbai", "IN", ("ynm1",)),
    )
}

_BY_DATACENTER: Final = {code: region.name for region in REGIONS.values() for code in region.datacenters}

_CAMPUSES: Final = {"ca-east-tor": "YYZ", "ap-south-mum": "YNM"}
"""Where the campus is not called as the region ends."""

EUROPEAN_UNION: Final = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
        "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip
"""The members by code. The United Kingdom, Switzerland and Norway are none."""

_INTERCHANGE: Final = frozenset({"eu-west-gra", "eu-west-rbx", "eu-west-sbg"})
"""Blocks move between these three; every other region is closed (guide "Moving an Additional IP")."""


def region_of(name: str) -> str:
    """The region of an availability zone (`eu-west-rbx-a`); a region is its own."""
    return re.sub(r"-[abc]$", "", name)


def region_of_datacenter(code: str) -> str:
    """The region of a data centre's code, `rbx8`; empty where no source tells."""
    return _BY_DATACENTER.get(code.lower(), "")


def country_of(name: str) -> str:
    """The country of a region or availability zone; UNKNOWN where the table does not have it."""
    found = REGIONS.get(region_of(name))
    return found.country if found else UNKNOWN


def campus_of(name: str) -> str:
    """What certificates and people call the data centres of a region, RBX; empty where the table does not have it."""
    region = region_of(name)
    return _CAMPUSES.get(region, region.rpartition("-")[2].upper()) if region in REGIONS else ""


def may_route(home: str, region: str) -> bool:
    """Whether a block of region `home` can be routed to what stands in `region`."""
    one, other = region_of(home), region_of(region)
    return one == other or {one, other} <= _INTERCHANGE


def announced_in(homes: Iterable[str], regions: Collection[str]) -> str | None:
    """The region in which a block is best announced for servers in `regions`; None: it reaches none of them.

    Args:
        homes: regions of the block.
        regions: where the servers stand, those with most of them first.
    """
    wanted = [region_of(one) for one in regions]
    own = [region_of(one) for one in homes]
    for region in wanted:
        if region in own:
            return region
    return next((region for region in wanted if any(may_route(home, region) for home in own)), None)


def described(regions: Iterable[str]) -> str:
    """Regions with their countries, for people: `FR (eu-west-gra, eu-west-rbx), GB (eu-west-eri)`."""
    countries: dict[str, set[str]] = {}
    for name in regions:
        countries.setdefault(country_of(name) or "unknown country", set()).add(region_of(name))
    return ", ".join(f"{country} ({', '.join(sorted(names))})" for country, names in sorted(countries.items()))
