"""What is known about where something is and who runs it, each with how well and from whom it is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum


class Grade(IntEnum):
    """How well something is known; the larger is the better."""

    NONE = 0
    DECLARED = 1
    ATTESTED = 2
    OBSERVED = 3

    @property
    def word(self) -> str:
        """As the API writes it."""
        return self.name.capitalize()

    @staticmethod
    def of(word: str | None) -> Grade:
        """What a word of the API means; Declared where nothing is said."""
        return Grade[word.upper()] if word else Grade.DECLARED


class Part(StrEnum):
    """What may be somewhere else than the rest."""

    COMPUTE = "compute"
    STORAGE = "storage"
    IMAGES = "images"
    BACKUPS = "backups"
    CONTROL_PLANE = "controlPlane"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is.

    Attributes:
        what: for people: "host one-2".
        country: ISO 3166-1 alpha-2; empty: nobody knows.
        datacenter: its name; empty: nobody knows.
        grade: how well that is known.
        source: from whom: "OVHcloud region eu-west-rbx of server ns3012346", "ProviderProfile ministry".
        since: when it was first seen so (RFC 3339); empty: not noted.
    """

    what: str
    country: str = ""
    datacenter: str = ""
    grade: Grade = Grade.NONE
    source: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """A company, and under which country's law it is."""

    name: str
    country: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of a provider.

    Attributes:
        datacenters: that it lists; none: it is about the provider as a whole.
        valid_until: the last day on which it holds; None: it does not end by itself.
    """

    scheme: str
    datacenters: frozenset[str] = frozenset()
    valid_until: date | None = None
    grade: Grade = Grade.DECLARED
    source: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who runs a cloud.

    Attributes:
        name: of the ProviderProfile that says so.
        ultimate_parent: None: nobody controls it.
        affiliates: companies of the same group under another law.
        grade: how well the companies are known.
    """

    name: str
    legal_entity: Entity
    ultimate_parent: Entity | None = None
    affiliates: tuple[Entity, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    grade: Grade = Grade.DECLARED


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one thing that policies judge: a machine, a cluster, a cloud.

    Attributes:
        places: of each part. A part that is not a key is not there at all, and nothing is asked of it: a machine without
            backups. A part that is there with no place is somewhere, and nobody knows where.
        provider: None: nobody said who runs it.
        exit_rehearsed: when leaving was last rehearsed (RFC 3339); empty: never; None: it is nothing that leaves by itself.
        exit_took: seconds that the rehearsal took; None: not known.
    """

    places: Mapping[Part, tuple[Place, ...]]
    provider: Provider | None = None
    exit_rehearsed: str | None = None
    exit_took: int | None = None
