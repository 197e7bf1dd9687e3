"""Facts about location and provider, each with confidence grade and source. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum


class Grade(IntEnum):
    """Confidence in a fact; larger is better."""

    NONE = 0
    DECLARED = 1
    ATTESTED = 2
    OBSERVED = 3

    @property
    def word(self) -> str:
        """Name of the grade in the API."""
        return self.name.capitalize()

    @staticmethod
    def of(word: str | None) -> Grade:
        """Parse the API name of a grade; Declared when empty."""
        return Grade[word.upper()] if word else Grade.DECLARED


class Part(StrEnum):
    """Part of an object that may have its own location."""

    COMPUTE = "compute"
    STORAGE = "storage"
    IMAGES = "images"
    BACKUPS = "backups"
    CONTROL_PLANE = "controlPlane"


@dataclass(frozen=True, slots=True)
class Place:
    """Location of a part.

    Attributes:
        what: for people: "host one-2".
        country: ISO 3166-1 alpha-2; empty: unknown.
        datacenter: its name; empty: unknown.
        grade: confidence.
        source: "OVHcloud region eu-west-rbx of server ns3012346", "ProviderProfile ministry".
        since: when it was first seen so (RFC 3339); empty: not recorded.
    """

    what: str
    country: str = ""
    datacenter: str = ""
    grade: Grade = Grade.NONE
    source: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """Company and the country whose law applies to it."""

    name: str
    country: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """Certificate of a provider.

    Attributes:
        datacenters: that it lists; none: it covers the provider as a whole.
        valid_until: the last day on which it is valid; None: no end.
    """

    scheme: str
    datacenters: frozenset[str] = frozenset()
    valid_until: date | None = None
    grade: Grade = Grade.DECLARED
    source: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """Operator of a cloud.

    Attributes:
        name: of its ProviderProfile.
        ultimate_parent: None: not controlled by another company.
        affiliates: companies of the same group under another law.
        grade: confidence in the companies.
    """

    name: str
    legal_entity: Entity
    ultimate_parent: Entity | None = None
    affiliates: tuple[Entity, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    grade: Grade = Grade.DECLARED


@dataclass(frozen=True, slots=True)
class Facts:
    """Known facts of an object that policies evaluate: an instance, a cluster, a cloud.

    Attributes:
        places: by part. A part that is no key does not exist, and no rule applies to it: an instance without backups. A part
            without places exists at an unknown location.
        provider: None: unknown.
        exit_rehearsed: time of the last exit rehearsal (RFC 3339); empty: never; None: not applicable.
        exit_took: seconds that the rehearsal took; None: not known.
    """

    places: Mapping[Part, tuple[Place, ...]]
    provider: Provider | None = None
    exit_rehearsed: str | None = None
    exit_took: int | None = None
