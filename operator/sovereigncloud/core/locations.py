"""Locations of OVHcloud's regions, and between which regions an IP block may move.

A table, never a guess: `eu-west-eri` is in the United Kingdom, and among the local zones of `eu-` are Zurich and
Oslo. A region that is not listed is unknown, and callers treat it as elsewhere. At run time the server itself tells
its region.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

UNKNOWN: Final = ""
"""Country of a region that is not in the table."""


@dataclass(frozen=True, slots=True)
class Region:
    """Region of OVHcloud.

    Attributes:
        country: ISO 3166 alpha-2.
        datacenters: codes of `dedicated.server.datacenter`; only those whose location has a source.
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
"""Campus codes that differ from the end of the region's name."""

EUROPEAN_UNION: Final = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
        "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip
"""Member states by code, without the United Kingdom, Switzerland and Norway."""

_INTERCHANGE: Final = frozenset({"eu-west-gra", "eu-west-rbx", "eu-west-sbg"})
"""Regions between which blocks may move; every other region is closed (guide "Moving an Additional IP")."""


def region_of(name: str) -> str:
    """Return the region of an availability zone (`eu-west-rbx-a`); a region is its own."""
    return re.sub(r"-[abc]$", "", name)


def region_of_datacenter(code: str) -> str:
    """Return the region of a datacenter code such as `rbx8`; empty: unknown."""
    return _BY_DATACENTER.get(code.lower(), "")


def country_of(name: str) -> str:
    """Return the country of a region or availability zone; UNKNOWN when it is not in the table."""
    found = REGIONS.get(region_of(name))
    return found.country if found else UNKNOWN


def campus_of(name: str) -> str:
    """Return the campus code of a region as certificates name it, such as RBX; empty: unknown."""
    region = region_of(name)
    return _CAMPUSES.get(region, region.rpartition("-")[2].upper()) if region in REGIONS else ""


def may_route(home: str, region: str) -> bool:
    """Return whether a block of region `home` can be routed to a server in `region`."""
    one, other = region_of(home), region_of(region)
    return one == other or {one, other} <= _INTERCHANGE


def announced_in(homes: Iterable[str], regions: Collection[str]) -> str | None:
    """Return the region in which to announce a block for servers in `regions`; None: none is possible.

    Args:
        homes: regions of the block.
        regions: of the servers, those with most of them first.
    """
    wanted = [region_of(one) for one in regions]
    own = [region_of(one) for one in homes]
    for region in wanted:
        if region in own:
            return region
    return next((region for region in wanted if any(may_route(home, region) for home in own)), None)


def described(regions: Iterable[str]) -> str:
    """Describe regions with their countries: `FR (eu-west-gra, eu-west-rbx), GB (eu-west-eri)`."""
    countries: dict[str, set[str]] = {}
    for name in regions:
        countries.setdefault(country_of(name) or "unknown country", set()).add(region_of(name))
    return ", ".join(f"{country} ({', '.join(sorted(names))})" for country, names in sorted(countries.items()))
