"""SecurityGroup: a tenant's firewall rules."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.adoption import Adopt
from sovereigncloud.api.common.base import (
    WORDS,
    CloudRef,
    Column,
    Crd,
    DeletionPolicy,
    Managed,
    Model,
    OutsideName,
    Resource,
    Rule,
    Status,
    columns,
)
from sovereigncloud.api.common.rules import NAME_FITS_OUTSIDE, checked


class Direction(StrEnum):
    INBOUND = "Inbound"
    OUTBOUND = "Outbound"


class Protocol(StrEnum):
    TCP = "TCP"
    UDP = "UDP"
    ICMP = "ICMP"
    ICMP_V6 = "ICMPv6"
    IPSEC = "IPsec"
    ALL = "ALL"


_CIDR = Rule(
    "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self) == cidr(self).masked()",
    "must be an IPv4 network that begins with its first address, for example 10.0.0.0/8 or 192.0.2.7/32",
)


class SecurityGroupRule(Model):
    """What is let through; everything that no rule names is dropped."""

    direction: Literal[Direction.INBOUND, Direction.OUTBOUND] = Field(
        description="Inbound: to the machine. Outbound: from it. Answers to what was let through come through, too."
    )
    protocol: Literal[Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ICMP_V6, Protocol.IPSEC, Protocol.ALL] = (
        Field(
            description="TCP: what has ports, such as HTTPS. UDP: what has ports, such as DNS. ICMP: pings and errors of IPv4. ICMPv6: those"
            " of IPv6. IPsec: tunnels. ALL: every one of them."
        )
    )
    range: (
        Annotated[
            str,
            Field(
                pattern=r"^[0-9]{1,5}(:[0-9]{1,5})?(,[0-9]{1,5}(:[0-9]{1,5})?)*$",
                max_length=128,
                json_schema_extra={
                    WORDS: "must be ports and ranges of ports with commas between them: for example 22,443 or 8000:8080"
                },
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Ports of TCP or UDP, for example 22,443 or 8000:8080: of the machine where it is inbound, else of the"
        " other end. Absent: all ports.",
    )
    cidr: Annotated[str, Field(max_length=18, json_schema_extra=checked(_CIDR))] | None = Field(
        default=None,
        description="Addresses of the other end, for example 10.0.0.0/8. Absent: all, or those of network.",
    )
    network: OutsideName | None = Field(
        default=None,
        description="A network of the cloud, by its name in OpenNebula, whose addresses are the other end. Absent: all, or"
        " those of cidr.",
    )
    icmp_type: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None,
        description="Number of a type of ICMP or ICMPv6 message, for example 8 for a ping. Absent: all types.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.range) || self.protocol == 'TCP' || self.protocol == 'UDP'",
            "range is for TCP and UDP only: leave it out, or set protocol to one of them",
        ),
        Rule(
            "!has(self.icmpType) || self.protocol == 'ICMP' || self.protocol == 'ICMPv6'",
            "icmpType is for ICMP and ICMPv6 only: leave it out, or set protocol to one of them",
        ),
        Rule(
            "!has(self.cidr) || !has(self.network)",
            "cidr and network both name the other end: set one of them",
        ),
    )


class GroupCloudRef(CloudRef):
    """A cloud that has the group."""

    adopt: Adopt | None = Field(
        default=None,
        description="A group of this cloud that somebody made, to be managed from now on: it is marked, and what differed at that"
        " moment waits for spec.approvedPlan. It stays when this object goes, unless spec.deletionPolicy is Delete. Absent:"
        " one is made.",
    )


class SecurityGroupSpec(Managed):
    """Rules for network cards, in each of the clouds that the namespace may use."""

    cloud_refs: Annotated[list[GroupCloudRef], Field(min_length=1, max_length=32)] | None = Field(
        default=None,
        description="The clouds in which the group is wanted; a cloud taken off the list loses it again. Absent: every"
        " cloud that this namespace may use.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    rules: Annotated[list[SecurityGroupRule], Field(min_length=1, max_length=64)] = Field(
        description="What is let through, in any order. A change reaches running machines without their notice."
    )


class SecurityGroupCloudStatus(Model):
    name: str | None = Field(default=None, description="The SovereignCloud, as namespace/name.")
    id: str | None = Field(default=None, description="Number of the group there, as onesecgroup shows it.")
    machines: str | None = Field(
        default=None, description="Machines that have the rules, of those that the group filters, for example 12/12."
    )


class SecurityGroupStatus(Status):
    clouds_ready: str | None = Field(
        default=None, description="Clouds that have it as declared, of those that want it, for example 1/2."
    )
    machines: str | None = Field(
        default=None, description="Machines that have the rules, of those that the group filters, for example 12/12."
    )
    clouds: list[SecurityGroupCloudStatus] | None = Field(default=None, description="The group in each of the clouds.")


class SecurityGroup(Resource[SecurityGroupSpec, SecurityGroupStatus]):
    """A tenant's firewall rules: spec.networks[].securityGroups of a HostedInstance names them.

    It is made in every cloud that its namespace may use, before a card asks for it, and each of its rules is kept as
    declared. Changed rules are brought to the machines at once. A card that names groups lets through what their rules say
    together, and nothing else.

    Look with: kubectl get secgroup -o wide; kubectl describe secgroup NAME. What each cloud has is in status.clouds.

    Deleting the object waits until no machine uses the group and then deletes it everywhere, unless spec.deletionPolicy is
    Retain.
    """

    crd: ClassVar[Crd] = Crd(
        kind="SecurityGroup",
        plural="securitygroups",
        short_names=("secgroup",),
        columns=columns(
            Column(name="Machines", json_path=".status.machines"),
            wide=(Column(name="Clouds", json_path=".status.cloudsReady"),),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
