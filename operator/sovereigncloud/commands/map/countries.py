"""In which country a region of OVHcloud is. Pure.

The table is of 2026: OVHcloud's own pages on its regions and its API schema. What is not in it has no known country: the
prefix `eu-` says nothing (eu-west-eri is in Great Britain).
"""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.sovereignty.countries import EU


@dataclass(frozen=True, slots=True)
class Country:
    """A country by its ISO code; an empty code: nobody said where it is."""

    code: str
    name: str
    in_eu: bool = False

    def as_json(self) -> dict[str, object]:
        return {"code": self.code or None, "name": self.name, "inEU": self.in_eu if self.code else None}


UNKNOWN = Country("", "Country not known")
_COUNTRIES = {
    country.code: country
    for country in (
        Country("FR", "France", in_eu=True),
        Country("DE", "Germany", in_eu=True),
        Country("PL", "Poland", in_eu=True),
        Country("IT", "Italy", in_eu=True),
        Country("GB", "United Kingdom"),
        Country("CA", "Canada"),
        Country("US", "United States"),
        Country("SG", "Singapore"),
        Country("AU", "Australia"),
        Country("IN", "India"),
    )
}
_REGIONS = {
    "eu-west-gra": ("FR", "Gravelines"), "eu-west-rbx": ("FR", "Roubaix"), "eu-west-sbg": ("FR", "Strasbourg"),
    "eu-west-par": ("FR", "Paris"), "eu-west-lim": ("DE", "Limburg"), "eu-central-waw": ("PL", "Warsaw"),
    "eu-south-mil": ("IT", "Milan"), "eu-west-eri": ("GB", "Erith"), "ca-east-bhs": ("CA", "Beauharnois"),
    "ca-east-tor": ("CA", "Toronto"), "us-east-vin": ("US", "Vint Hill"), "us-west-hil": ("US", "Hillsboro"),
    "ap-southeast-sgp": ("SG", "Singapore"), "ap-southeast-syd": ("AU", "Sydney"), "ap-south-mum": ("IN", "Mumbai"),
}  # fmt: skip


def country_of(region: str | None) -> Country:
    """Of a region, or of an availability zone in it."""
    code, _ = _place(region)
    return _COUNTRIES.get(code, UNKNOWN)


def country_named(code: str | None) -> Country:
    """By its ISO code, as status tells it; empty: nobody knows."""
    return _COUNTRIES.get(code or "") or (Country(code, code, in_eu=code in EU) if code else UNKNOWN)


def city_of(region: str | None) -> str:
    """Empty where it is not known."""
    return _place(region)[1]


def _place(region: str | None) -> tuple[str, str]:
    found = region or ""
    # An availability zone is its region with a letter behind it: eu-west-par-a.
    return _REGIONS.get(found) or _REGIONS.get(found.rpartition("-")[0]) or ("", "")
