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
    """A rule for allowed traffic; traffic that no rule allows is dropped."""

    direction: Literal[Direction.INBOUND, Direction.OUTBOUND] = Field(
        description="Direction of the traffic. Inbound: to the VM. Outbound: from the VM. Responses to allowed traffic are"
        " also allowed."
    )
    protocol: Literal[Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ICMP_V6, Protocol.IPSEC, Protocol.ALL] = (
        Field(
            description="Protocol. TCP: with ports, for example HTTPS. UDP: with ports, for example DNS. ICMP: IPv4 ping"
            " and error messages. ICMPv6: IPv6 ping and error messages. IPsec: tunnels. ALL: every protocol."
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
        description="TCP or UDP ports, for example 22,443 or 8000:8080: ports of the VM for inbound rules, of the remote"
        " side for outbound rules. Absent: all ports.",
    )
    cidr: Annotated[str, Field(max_length=18, json_schema_extra=checked(_CIDR))] | None = Field(
        default=None,
        description="Addresses of the remote side, for example 10.0.0.0/8. Absent: all addresses, or those of network.",
    )
    network: OutsideName | None = Field(
        default=None,
        description="OpenNebula name of a network whose addresses are the remote side. Absent: all addresses, or those of"
        " cidr.",
    )
    icmp_type: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None,
        description="ICMP or ICMPv6 type: the number of the message type, for example 8 for a ping. Absent: all types.",
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
    """A cloud that gets the group."""

    adopt: Adopt | None = Field(
        default=None,
        description="Adopts an existing group of this cloud: the operator marks it and waits for spec.approvedPlan before"
        " it changes existing differences. The group stays when this object is deleted, unless"
        " spec.deletionPolicy is Delete. Absent: the operator creates a group.",
    )


class SecurityGroupSpec(Managed):
    """Rules for NICs, in each of the clouds that the namespace may use."""

    cloud_refs: Annotated[list[GroupCloudRef], Field(min_length=1, max_length=32)] | None = Field(
        default=None,
        description="Clouds that get the group. When an entry is removed, the operator deletes the group in that cloud."
        " Absent: every cloud that this namespace may use.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    rules: Annotated[list[SecurityGroupRule], Field(min_length=1, max_length=64)] = Field(
        description="Rules for allowed traffic, in any order. Changes apply to running VMs without interruption."
    )


class SecurityGroupCloudStatus(Model):
    name: str | None = Field(default=None, description="SovereignCloud as namespace/name.")
    id: str | None = Field(default=None, description="OpenNebula ID of the group, as onesecgroup shows it.")
    machines: str | None = Field(
        default=None,
        description="Number of VMs with the current rules, of all VMs that use the group, for example 12/12.",
    )


class SecurityGroupStatus(Status):
    clouds_ready: str | None = Field(
        default=None,
        description="Number of clouds that have the group as declared, of all that should have it, for example 1/2.",
    )
    machines: str | None = Field(
        default=None,
        description="Number of VMs with the current rules, of all VMs that use the group, for example 12/12.",
    )
    clouds: list[SecurityGroupCloudStatus] | None = Field(default=None, description="State of the group in each cloud.")


class SecurityGroup(Resource[SecurityGroupSpec, SecurityGroupStatus]):
    """Firewall rules of a tenant, referenced by spec.networks[].securityGroups of HostedInstances.

    The operator creates the group in every cloud that its namespace may use and keeps each rule as declared. Changed
    rules apply to VMs at once. A NIC with several groups allows the traffic that any of their rules allows, and
    nothing else.

    To inspect it: kubectl get secgroup -o wide; kubectl describe secgroup NAME. The state in each cloud is in
    status.clouds.

    Deleting the object waits until no VM uses the group and then deletes it in all clouds, unless spec.deletionPolicy
    is Retain.
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
