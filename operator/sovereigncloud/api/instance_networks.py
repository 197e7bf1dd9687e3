"""The network cards of a HostedInstance: what is declared of each, and what it has."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sovereigncloud.api.common.base import Model, OutsideName
from sovereigncloud.api.common.rules import IPV4, instead_of_pattern


class InstanceNetwork(Model):
    """A network card."""

    name: OutsideName = Field(
        description="A network of the cloud, by its name in OpenNebula; the VirtualNetwork of that name need not be in this"
        " namespace, nor exist."
    )
    address: Annotated[str, Field(pattern=r"^[0-9.]+$", max_length=45)] | None = Field(
        default=None,
        description="IPv4 address of the card, one of the network's, for example 57.131.167.180. Changed on a machine that"
        " exists: this card alone is taken off and attached again, while the machine runs; its connections over that"
        " network end. Absent: whichever is free, and the card keeps it.",
        json_schema_extra=instead_of_pattern(IPV4),
    )
    security_groups: Annotated[list[OutsideName], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="Exactly these filter the card, by their name in OpenNebula: first those of this namespace's"
        " SecurityGroups, then those that the cloud shares. Changed while the machine runs, and the card stays attached."
        " OpenNebula's own group, default, lets everything through; it is taken off unless it is listed. Absent: whatever"
        " filters the card is left alone.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class InstanceNetworkStatus(Model):
    """A network card as it is."""

    name: str | None = Field(default=None, description="The network, by its name in OpenNebula.")
    address: str | None = Field(default=None, description="IP address of the card.")
    mac: str | None = Field(default=None, description="Hardware address of the card.")
    security_groups: list[str] | None = Field(
        default=None, description="What filters it, by name in OpenNebula; a number where the name is not to be seen."
    )
