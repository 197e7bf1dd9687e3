"""Fencing confirmed by a person: all VMs at the source are stopped, for one outage."""

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
    """Confirmation that all VMs at the source are stopped, and the outage it is for."""

    confirmed_by: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Name of the person who confirms that all VMs at the source are stopped, for example oncall@example.fr."
        " A VM that still runs there would run twice."
    )
    outage: Outage | None = Field(
        default=None,
        description="Outage that is confirmed: the value of status.lostSince of the SovereignCloud. Absent only in an"
        " ExitPlan or an InstanceMigration, which are for one outage.",
    )
