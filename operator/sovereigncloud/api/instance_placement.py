"""What a HostedInstance says of where it may run, and what status says of where it does and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import CloudRef, Model, Rule
from sovereigncloud.api.common.policy_terms import Border
from sovereigncloud.api.instance_compute import HostNames

Labels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(min_length=1, max_length=16)]
MAX_CONSIDERED = 32
_MAX_REASON = 1024


class SpreadBy(StrEnum):
    CLOUD = "Cloud"
    COUNTRY = "Country"
    PROVIDER = "Provider"
    DATACENTER = "Datacenter"


class SpreadWish(Model):
    """Machines that are to be apart: what they should not share, if that can be."""

    by: Literal[SpreadBy.CLOUD, SpreadBy.COUNTRY, SpreadBy.PROVIDER, SpreadBy.DATACENTER] = Field(
        description="What they should not share. Cloud: the SovereignCloud. Country: that of its hosts. Provider: the"
        " ProviderProfile of the cloud. Datacenter: that of its hosts."
    )
    match_labels: Labels = Field(
        description="Which they are: the HostedInstances of this namespace that have all of these labels, for example"
        " {app: web}."
    )


class Placement(Model):
    """A constraint on where it runs; where it does run is in status."""

    cloud_ref: CloudRef | None = Field(
        default=None,
        description="This cloud and no other. Absent: whichever cloud the namespace may use that meets what else is said"
        " here and the policies.",
    )
    countries: Annotated[list[Border], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Only where all hosts of the cluster are known to be in these countries: codes such as FR, and the groups"
        " EU and EEA. Not with cloudRef. Absent: in whichever country the policies allow.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    labels: Labels | None = Field(
        default=None,
        description="Only in a SovereignCloud that has all of these labels, for example {tier: gold}. Not with cloudRef."
        " Absent: whatever its labels.",
    )
    spread: SpreadWish | None = Field(
        default=None,
        description="Apart from machines like it, if that can be: it makes one place better than another and excludes none."
        " Not with cloudRef. Absent: without regard to others.",
    )
    hosts: HostNames | None = Field(
        default=None,
        description="Only these hosts of the cloud, by their names in OpenNebula. A running machine that is on another one is"
        " moved live. Absent: any host, and what was said before stays as it is.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.cloudRef) || !(has(self.countries) || has(self.labels) || has(self.spread))",
            "cloudRef names the one cloud, so that countries, labels and spread have nothing to choose from: set cloudRef or"
            " those, not both",
            field=".cloudRef",
        ),
    )


class Consideration(Model):
    """What became of one place when the machine was placed."""

    cloud: str | None = Field(default=None, description="The SovereignCloud, as namespace/name.")
    cluster: str | None = Field(default=None, description="The cluster in it, by its name in OpenNebula.")
    verdict: Literal["Chosen", "Eligible", "Refused"] | None = Field(
        default=None,
        description="Chosen: it was placed there. Eligible: it could have been, and another place was better. Refused: it could"
        " not.",
    )
    score: int | None = Field(
        default=None,
        description="A number of points without a unit, the higher the better: apart from its like counts most, then free room,"
        " then nearness.",
    )
    reason: Annotated[str, Field(max_length=_MAX_REASON)] | None = Field(
        default=None, description="What the score says, or why it was refused."
    )


class PlacementStatus(Model):
    cloud: str | None = Field(default=None, description="The SovereignCloud that it runs in, as namespace/name.")
    cluster: str | None = Field(default=None, description="The cluster of its host, by its name in OpenNebula.")
    host: str | None = Field(default=None, description="The host that it runs on.")
    zone: str | None = Field(default=None, description="What the OpenNebula there calls itself: the name of its zone.")
    country: str | None = Field(
        default=None, description="Where its host stands, by code, for example FR. Absent: not known."
    )
    datacenter: str | None = Field(default=None, description="The data centre that its host is in. Absent: not known.")
    considered: Annotated[list[Consideration], Field(max_length=MAX_CONSIDERED)] | None = Field(
        default=None,
        description="What could have been chosen when it was placed, and why not, as it was then: the chosen place first, the"
        " others by their score, those refused last.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
