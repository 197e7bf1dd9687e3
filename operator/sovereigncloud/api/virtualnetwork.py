"""VirtualNetwork: a network in OpenNebula."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sovereigncloud.api.base import CloudRef, Column, Crd, DeletionPolicy, Managed, Resource, Rule, Status
from sovereigncloud.api.rules import IP, IPV4, NAME_FITS_OUTSIDE, NETWORK_RULES, PUBLIC_BLOCK, checked, immutable
from sovereigncloud.api.sovereigncloud import AddressRangeSpec


class VirtualNetworkSpec(Managed):
    """Exactly one of publicBlock and vlanID."""

    cloud_ref: CloudRef = Field(description="The cloud that it is in. Cannot be changed.")
    public_block: Annotated[str, Field(pattern=r"^[0-9.]+/[0-9]{1,2}$", max_length=18)] | None = Field(
        default=None,
        description="An IP block routed to the vRack, for example 57.131.167.176/28. First address: network;"
        " penultimate: gateway; last: broadcast; the others are given to machines. Cannot be changed.",
        json_schema_extra=checked(PUBLIC_BLOCK),
    )
    vlan_id: Annotated[int, Field(ge=1, le=4094)] | None = Field(
        default=None, alias="vlanID", description="802.1Q VLAN on the physical device. Cannot be changed."
    )
    address_ranges: Annotated[list[AddressRangeSpec], Field(max_length=32)] | None = Field(
        default=None,
        description="Addresses that machines get. Absent with a publicBlock: all usable ones.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["ip"]},
    )
    gateway: Annotated[str, Field(pattern=r"^[0-9.]+$", max_length=15)] | None = Field(
        default=None,
        description="Default gateway of the machines. With a publicBlock: computed.",
        json_schema_extra=checked(IPV4),
    )
    dns: (
        Annotated[list[Annotated[str, Field(max_length=45, json_schema_extra=checked(IP))]], Field(max_length=8)] | None
    ) = Field(default=None, description="Name servers. With a publicBlock: OVHcloud's resolver unless said.")
    physical_device: Annotated[str, Field(min_length=1, max_length=15)] | None = Field(
        default=None, description="Network device of the hosts. Default: vrack_bond, as in OVHcloud's guide."
    )
    mtu: Annotated[int, Field(ge=576, le=9216)] | None = Field(default=None, description="MTU. Absent: left alone.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        *NETWORK_RULES,
        immutable("cloudRef", "a network cannot move; delete it and make one in the other cloud"),
        Rule(
            "!has(self.gateway) || !has(self.publicBlock) || !isIP(self.gateway) || !isCIDR(self.publicBlock)"
            " || cidr(self.publicBlock).containsIP(self.gateway)",
            "gateway lies outside publicBlock: leave it out, the penultimate address of the block is the gateway",
            field=".gateway",
        ),
    )


class VirtualNetworkStatus(Status):
    id: str | None = Field(default=None, description="Id in OpenNebula.")
    addresses: str | None = Field(default=None, description="Addresses in its ranges.")
    gateway: str | None = Field(default=None, description="Gateway of the machines.")


class VirtualNetwork(Resource[VirtualNetworkSpec, VirtualNetworkStatus]):
    """A network in OpenNebula: a public IP block routed to the vRack, or an 802.1Q VLAN on it."""

    crd: ClassVar[Crd] = Crd(
        kind="VirtualNetwork",
        plural="virtualnetworks",
        short_names=("onevnet",),
        columns=(
            Column(name="Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Reason", json_path='.status.conditions[?(@.type=="Ready")].reason'),
            Column(name="Cloud", json_path=".spec.cloudRef.name"),
            Column(name="Addresses", json_path=".status.addresses"),
            Column(name="Drift", json_path=".status.driftCount", type="integer"),
            Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
            Column(name="ID", json_path=".status.id", priority=1),
            Column(name="Message", json_path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
