"""Words that policies, profiles and locations share: countries, parts, grades of evidence."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sovereigncloud.api.common.base import WORDS

CountryCode = Annotated[
    str,
    Field(
        pattern=r"^[A-Z]{2}$",
        max_length=2,
        json_schema_extra={WORDS: "must be a code of two capital letters (ISO 3166-1): for example FR"},
    ),
]
"""One country."""

Border = Annotated[
    str,
    Field(
        pattern=r"^([A-Z]{2}|EEA)$",
        max_length=3,
        json_schema_extra={
            WORDS: "must be EU, EEA or a code of two capital letters (ISO 3166-1): for example FR, and GB for the United"
            " Kingdom"
        },
    ),
]
"""A country, or a group of countries: EU, EEA."""

Day = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        max_length=10,
        json_schema_extra={WORDS: 'must be a day in quotes: for example "2027-06-30"'},
    ),
]
"""A day, the last on which something holds."""


class CoveredPart(StrEnum):
    """What may be somewhere else than the rest."""

    COMPUTE = "compute"
    STORAGE = "storage"
    IMAGES = "images"
    BACKUPS = "backups"
    CONTROL_PLANE = "controlPlane"


class EvidenceGrade(StrEnum):
    """How well something is known. Each is more than the one before."""

    DECLARED = "Declared"
    ATTESTED = "Attested"
    OBSERVED = "Observed"


class WrittenGrade(StrEnum):
    """How well something is known that a person wrote down."""

    DECLARED = "Declared"
    ATTESTED = "Attested"
