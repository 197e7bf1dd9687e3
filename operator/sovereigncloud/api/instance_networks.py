"""NICs of a HostedInstance: declared and observed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sovereigncloud.api.common.base import Model, OutsideName
from sovereigncloud.api.common.rules import IPV4, instead_of_pattern


class InstanceNetwork(Model):
    """A NIC (network card) of the VM."""

    name: OutsideName = Field(
        description="OpenNebula name of a network of the cloud. A VirtualNetwork object is not required and may be in"
        " another namespace."
    )
    address: Annotated[str, Field(pattern=r"^[0-9.]+$", max_length=45)] | None = Field(
        default=None,
        description="IPv4 address of the NIC, from the network's ranges, for example 57.131.167.180. A change on an"
        " existing VM detaches and attaches this NIC while the VM runs and ends its connections over that"
        " network. Absent: any free address, which the NIC keeps.",
        json_schema_extra=instead_of_pattern(IPV4),
    )
    security_groups: Annotated[list[OutsideName], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="OpenNebula names of exactly the security groups of the NIC: first SecurityGroups of this namespace are"
        " searched, then shared groups of the cloud. A change applies while the VM runs and keeps the NIC"
        " attached. OpenNebula's group named default allows all traffic; it is removed unless it is listed."
        " Absent: security groups are not changed.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class InstanceNetworkStatus(Model):
    """Observed state of a NIC."""

    name: str | None = Field(default=None, description="OpenNebula name of the network.")
    address: str | None = Field(default=None, description="IP address of this NIC.")
    mac: str | None = Field(default=None, description="MAC (hardware) address of this NIC.")
    security_groups: list[str] | None = Field(
        default=None,
        description="OpenNebula names of the security groups of this NIC; the ID if the name is not visible.",
    )
