"""The word of a person that a place is dead, for one outage: what a copy may need before it is started."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model

Outage = Annotated[
    str,
    Field(
        max_length=32,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        json_schema_extra={
            WORDS: "must be a time in UTC as status.lostSince shows it: for example 2027-03-01T04:05:06Z"
        },
    ),
]


class Fencing(Model):
    """Who says that the old place is dead, and for which outage."""

    confirmed_by: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Who says that every machine of the old place is dead, for example oncall@example.fr. Where one of them still"
        " runs, there will be two."
    )
    outage: Outage | None = Field(
        default=None,
        description="Which outage it is said of: status.lostSince of the SovereignCloud as it stands. Absent only where the object"
        " itself is for one occasion: an ExitPlan, an InstanceMigration.",
    )
