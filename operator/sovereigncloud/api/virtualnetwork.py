"""VirtualNetwork: a network in OpenNebula."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sovereigncloud.api.common.adoption import Adopt, was_there_before
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
from sovereigncloud.api.common.rules import (
    IP,
    IPV4,
    NAME_FITS_OUTSIDE,
    PUBLIC_BLOCK,
    VIRTUAL_NETWORK_RULES,
    checked,
    immutable,
    instead_of_pattern,
)
from sovereigncloud.api.hosted import AddressRangeSpec


class Reservation(Model):
    """Where the addresses come from."""

    from_: OutsideName = Field(
        alias="from",
        description="The network that the addresses are taken from, by its name in OpenNebula; no reservation itself.",
    )


class VirtualNetworkSpec(Managed):
    """Exactly one of publicBlock, vlanID, vxlanID, bridge and reservation."""

    cloud_ref: CloudRef = Field(description="The cloud that the network is in. Cannot be changed.")
    adopt: Adopt | None = Field(
        default=None,
        description="A network that somebody made, to be managed from now on. With management: Observe nothing is written, and"
        " status shows what differs. With Manage it is marked, and what differed at that moment waits for spec.approvedPlan."
        " What spec leaves out stays as it is, its name too. Absent: a network is made, or one of this name is adopted where"
        " a person built the cloud.",
    )
    public_block: Annotated[str, Field(pattern=r"^[0-9.]+/[0-9]{1,2}$", max_length=49)] | None = Field(
        default=None,
        description="An IP block routed to the vRack, /24 to /30, for example 57.131.167.176/28. First address: network;"
        " penultimate: gateway; last: broadcast; the others are given to machines. Exactly one of publicBlock, vlanID,"
        " vxlanID, bridge and reservation is set. Cannot be changed.",
        json_schema_extra=instead_of_pattern(PUBLIC_BLOCK),
    )
    vlan_id: Annotated[int, Field(ge=1, le=4094)] | None = Field(
        default=None,
        alias="vlanID",
        description="Number of the 802.1Q VLAN on the physical device, 1 to 4094. Exactly one of publicBlock, vlanID,"
        " vxlanID, bridge and reservation is set. Cannot be changed.",
    )
    vxlan_id: Annotated[int, Field(ge=1, le=16777215)] | None = Field(
        default=None,
        alias="vxlanID",
        description="Number of the VXLAN, its VNI, carried between hosts over the physical device, 1 to 16777215. Exactly one of"
        " publicBlock, vlanID, vxlanID, bridge and reservation is set. Cannot be changed.",
    )
    bridge: (
        Annotated[
            str,
            Field(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$",
                max_length=15,
                json_schema_extra={WORDS: "must be the name of a bridge as the hosts have it, for example br0"},
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="A bridge that every host has already, for example br0. Exactly one of publicBlock, vlanID, vxlanID, bridge"
        " and reservation is set. Cannot be changed.",
    )
    reservation: Reservation | None = Field(
        default=None,
        description="A part of another network: spec.addressRanges are taken from it, so that nobody else is given them, and"
        " given back when they or this object go. Exactly one of publicBlock, vlanID, vxlanID, bridge and reservation is set."
        " Cannot be changed.",
    )
    address_ranges: Annotated[list[AddressRangeSpec], Field(max_length=32)] | None = Field(
        default=None,
        description="Addresses that machines get; needed without publicBlock, and with a reservation those that it takes. Absent with a"
        " publicBlock: all usable ones.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["ip"]},
    )
    held: (
        Annotated[
            list[
                Annotated[str, Field(pattern=r"^[0-9.]+$", max_length=45, json_schema_extra=instead_of_pattern(IPV4))]
            ],
            Field(max_length=256),
        ]
        | None
    ) = Field(
        default=None,
        description="Addresses of the ranges that nobody is given, for example those of a router; exactly these are on hold."
        " Absent: what is on hold is left alone.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    security_groups: Annotated[list[OutsideName], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="Security groups that every new card on the network has, by their name in OpenNebula: exactly these."
        " Cards that are there keep theirs. Absent: as OpenNebula has it, which is its own group default at first; that one"
        " lets everything through.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    gateway: Annotated[str, Field(pattern=r"^[0-9.]+$", max_length=45)] | None = Field(
        default=None,
        description="Gateway that machines use. Absent with a publicBlock: its penultimate address; else: none.",
        json_schema_extra=instead_of_pattern(IPV4),
    )
    dns: (
        Annotated[list[Annotated[str, Field(max_length=45, json_schema_extra=checked(IP))]], Field(max_length=8)] | None
    ) = Field(
        default=None,
        description="IP addresses of the name servers that machines use. Absent with a publicBlock: OVHcloud's resolver;"
        " else: none.",
    )
    physical_device: Annotated[str, Field(min_length=1, max_length=15)] | None = Field(
        default=None,
        description="Network device of the hosts that carries it. Default: vrack_bond, as in OVHcloud's guide. None with a"
        " bridge or a reservation.",
    )
    mtu: Annotated[int, Field(ge=576, le=9216)] | None = Field(
        default=None,
        description="Largest packet, in bytes, 576 to 9216. Absent: left as OpenNebula has it.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        *VIRTUAL_NETWORK_RULES,
        immutable("cloudRef", "a network cannot move; delete it and make one in the other cloud"),
        Rule(
            "!has(self.gateway) || !has(self.publicBlock) || !isIP(self.gateway) || !isCIDR(self.publicBlock)"
            " || cidr(self.publicBlock).containsIP(self.gateway)",
            "gateway lies outside publicBlock: leave it out, the penultimate address of the block is the gateway",
            field=".gateway",
        ),
    )


class VirtualNetworkStatus(Status):
    id: str | None = Field(default=None, description="Number of the network in OpenNebula, as onevnet shows it.")
    addresses: str | None = Field(default=None, description="How many addresses the ranges hold.")
    gateway: str | None = Field(default=None, description="Gateway that machines are given.")


class VirtualNetwork(Resource[VirtualNetworkSpec, VirtualNetworkStatus]):
    """A network in OpenNebula: a public IP block routed to the vRack, an 802.1Q VLAN or a VXLAN, a bridge that the hosts have,
    or addresses reserved from another network.

    It waits for its cloud. In a cloud that a person built, a network of that name and VLAN is adopted instead of made, and
    then keeps all that spec does not mention. Ranges that are in use are never taken away.

    Look with: kubectl get onevnet -o wide; kubectl describe onevnet NAME. Its condition and ids are in status.

    Deleting the object waits until no machine uses the network and then deletes it, unless it was adopted or
    spec.deletionPolicy is Retain.
    """

    crd: ClassVar[Crd] = Crd(
        kind="VirtualNetwork",
        plural="virtualnetworks",
        short_names=("onevnet",),
        columns=columns(
            Column(name="Cloud", json_path=".spec.cloudRef.name"),
            Column(name="Addresses", json_path=".status.addresses"),
            wide=(
                Column(name="ID", json_path=".status.id"),
                Column(name="Block", json_path=".spec.publicBlock"),
                Column(name="VLAN", json_path=".spec.vlanID", type="integer"),
                Column(name="Gateway", json_path=".status.gateway"),
            ),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE

    @property
    def deletion_policy(self) -> DeletionPolicy:
        """What was there before stays, unless spec says otherwise."""
        if self.spec.deletion_policy is None and self.adopted:
            return DeletionPolicy.RETAIN
        return super().deletion_policy

    @property
    def adopted(self) -> bool:
        """Whether it was there before: it was adopted, or is to be."""
        return was_there_before(self.external, "network", self.spec.adopt)
