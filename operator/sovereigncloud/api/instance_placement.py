"""Placement of a HostedInstance: constraints in spec, and the decision in status."""

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
    """Preferred spreading of similar VMs over failure domains."""

    by: Literal[SpreadBy.CLOUD, SpreadBy.COUNTRY, SpreadBy.PROVIDER, SpreadBy.DATACENTER] = Field(
        description="Failure domain that the VMs should not share. Cloud: the SovereignCloud. Country: the country of the"
        " hosts. Provider: the ProviderProfile of the cloud. Datacenter: the data centre of the hosts."
    )
    match_labels: Labels = Field(
        description="Selects the VMs to spread: the HostedInstances of this namespace with all of these labels, for example"
        " {app: web}."
    )


class Placement(Model):
    """Constraints on where the VM may run; status.placement shows where it runs."""

    cloud_ref: CloudRef | None = Field(
        default=None,
        description="SovereignCloud in which the VM must run. Absent: any cloud that the namespace may use and that meets"
        " the other constraints and the policies.",
    )
    countries: Annotated[list[Border], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Allowed countries of the cluster, whose hosts must all be in them: ISO 3166-1 codes such as FR, and"
        " the groups EU and EEA. Not with cloudRef. Absent: all countries that the policies allow.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    labels: Labels | None = Field(
        default=None,
        description="Labels that the SovereignCloud must have, for example {tier: gold}. Not with cloudRef. Absent: any"
        " labels.",
    )
    spread: SpreadWish | None = Field(
        default=None,
        description="Preferred spreading over failure domains; it affects the score of a placement and excludes none. Not"
        " with cloudRef. Absent: no spreading.",
    )
    hosts: HostNames | None = Field(
        default=None,
        description="OpenNebula names of the allowed hosts. A running VM on another host is migrated live. Absent: any"
        " host; an existing restriction stays.",
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
    """Result for one candidate of the placement decision."""

    cloud: str | None = Field(default=None, description="SovereignCloud as namespace/name.")
    cluster: str | None = Field(default=None, description="OpenNebula name of the cluster.")
    verdict: Literal["Chosen", "Eligible", "Refused"] | None = Field(
        default=None,
        description="Result for this candidate. Chosen: the VM was placed there. Eligible: possible, but another candidate"
        " had a higher score. Refused: not possible.",
    )
    score: int | None = Field(
        default=None,
        description="Score, a number of points without a unit; higher is better. Spreading counts most, then free capacity,"
        " then latency.",
    )
    reason: Annotated[str, Field(max_length=_MAX_REASON)] | None = Field(
        default=None, description="Explanation of the score, or why the candidate was refused."
    )


class PlacementStatus(Model):
    cloud: str | None = Field(default=None, description="SovereignCloud of the VM as namespace/name.")
    cluster: str | None = Field(default=None, description="OpenNebula name of the host's cluster.")
    host: str | None = Field(default=None, description="Hypervisor host of the VM.")
    zone: str | None = Field(default=None, description="Name of the OpenNebula zone.")
    country: str | None = Field(
        default=None, description="Country code of the host's location, for example FR. Absent: unknown."
    )
    datacenter: str | None = Field(default=None, description="Data centre of the host. Absent: unknown.")
    considered: Annotated[list[Consideration], Field(max_length=MAX_CONSIDERED)] | None = Field(
        default=None,
        description="Candidates of the placement decision at the time it was made: the chosen one first, the others by"
        " score, refused ones last.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
