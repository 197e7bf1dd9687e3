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
    """Network from which addresses are reserved."""

    from_: OutsideName = Field(
        alias="from",
        description="OpenNebula name of the network whose addresses are reserved; it must not be a reservation itself.",
    )


class VirtualNetworkSpec(Managed):
    """Exactly one of publicBlock, vlanID, vxlanID, bridge and reservation."""

    cloud_ref: CloudRef = Field(description="SovereignCloud of the network. Cannot be changed.")
    adopt: Adopt | None = Field(
        default=None,
        description="Adopts an existing network. With management: Observe the operator writes nothing and shows differences"
        " in status. With Manage it marks the network and waits for spec.approvedPlan before it changes existing"
        " differences. Fields that are absent in spec are not changed, including the name. Absent: the operator"
        " creates a network, or adopts one with this name in an adopted or existing cloud.",
    )
    public_block: Annotated[str, Field(pattern=r"^[0-9.]+/[0-9]{1,2}$", max_length=49)] | None = Field(
        default=None,
        description="Public IPv4 block routed to the vRack, /24 to /30, for example 57.131.167.176/28. First address:"
        " network; second to last: gateway; last: broadcast; the others are for VMs. Exactly one of publicBlock,"
        " vlanID, vxlanID, bridge and reservation is set. Cannot be changed.",
        json_schema_extra=instead_of_pattern(PUBLIC_BLOCK),
    )
    vlan_id: Annotated[int, Field(ge=1, le=4094)] | None = Field(
        default=None,
        alias="vlanID",
        description="802.1Q VLAN ID on the physical device, 1 to 4094. Exactly one of publicBlock, vlanID, vxlanID, bridge"
        " and reservation is set. Cannot be changed.",
    )
    vxlan_id: Annotated[int, Field(ge=1, le=16777215)] | None = Field(
        default=None,
        alias="vxlanID",
        description="VXLAN network identifier (VNI), 1 to 16777215; a number of the same form as a VLAN ID. The physical"
        " device carries the traffic between hosts. Exactly one of publicBlock, vlanID, vxlanID, bridge and"
        " reservation is set. Cannot be changed.",
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
        description="Existing bridge on every host, for example br0. Exactly one of publicBlock, vlanID, vxlanID, bridge"
        " and reservation is set. Cannot be changed.",
    )
    reservation: Reservation | None = Field(
        default=None,
        description="Reserves spec.addressRanges in another network. They are returned when they are removed from spec or"
        " this object is deleted. Exactly one of publicBlock, vlanID, vxlanID, bridge and reservation is set."
        " Cannot be changed.",
    )
    address_ranges: Annotated[list[AddressRangeSpec], Field(max_length=32)] | None = Field(
        default=None,
        description="Address ranges for VMs. Required without publicBlock; with a reservation, the ranges to reserve."
        " Absent with a publicBlock: all usable addresses.",
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
        description="Addresses on hold, which no VM gets, for example those of a router; other holds are released. Absent:"
        " holds are not changed.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    security_groups: Annotated[list[OutsideName], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="OpenNebula names of exactly the security groups that new NICs on the network get. Existing NICs keep"
        " their groups. Absent: not changed; a new network has OpenNebula's group named default, which allows"
        " all traffic.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    gateway: Annotated[str, Field(pattern=r"^[0-9.]+$", max_length=45)] | None = Field(
        default=None,
        description="Gateway address for VMs. Absent with a publicBlock: the second to last address of the block; otherwise"
        " none.",
        json_schema_extra=instead_of_pattern(IPV4),
    )
    dns: (
        Annotated[list[Annotated[str, Field(max_length=45, json_schema_extra=checked(IP))]], Field(max_length=8)] | None
    ) = Field(
        default=None,
        description="DNS server addresses for VMs. Absent with a publicBlock: OVHcloud's resolver; otherwise none.",
    )
    physical_device: Annotated[str, Field(min_length=1, max_length=15)] | None = Field(
        default=None,
        description="Network device of the hosts for this network. Default: vrack_bond, as in OVHcloud's guide. Not allowed"
        " with a bridge or a reservation.",
    )
    mtu: Annotated[int, Field(ge=576, le=9216)] | None = Field(
        default=None,
        description="MTU in bytes, 576 to 9216. Absent: not changed.",
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
    id: str | None = Field(default=None, description="OpenNebula ID of the network, as onevnet shows it.")
    addresses: str | None = Field(default=None, description="Number of addresses in the ranges.")
    gateway: str | None = Field(default=None, description="Gateway address that VMs get.")


class VirtualNetwork(Resource[VirtualNetworkSpec, VirtualNetworkStatus]):
    """A network in OpenNebula: a public IPv4 block routed to the vRack, an 802.1Q VLAN or a VXLAN, an existing bridge
    of the hosts, or addresses reserved from another network.

    It waits for its cloud. In an adopted or existing cloud the operator adopts an existing network with this name and
    VLAN instead of creating one, and then does not change fields that spec does not set. Address ranges in use are
    never removed.

    To inspect it: kubectl get onevnet -o wide; kubectl describe onevnet NAME. Its conditions and IDs are in status.

    Deleting the object waits until no VM uses the network and then deletes it, unless it was adopted or
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
        """Return the effective deletion policy: Retain for an adopted network unless spec sets another one."""
        if self.spec.deletion_policy is None and self.adopted:
            return DeletionPolicy.RETAIN
        return super().deletion_policy

    @property
    def adopted(self) -> bool:
        """Whether the network was adopted or will be."""
        return was_there_before(self.external, "network", self.spec.adopt)
