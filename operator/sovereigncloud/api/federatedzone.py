"""FederatedZone: the membership of a cloud in a federation of OpenNebula."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import (
    CloudRef,
    Column,
    Crd,
    DeletionPolicy,
    Managed,
    Model,
    Name,
    OutsideName,
    Resource,
    Rule,
    Status,
    Token,
    columns,
)
from sovereigncloud.api.common.rules import NAME_FITS_OUTSIDE, immutable
from sovereigncloud.api.hosted import Endpoint


class ZoneRole(StrEnum):
    MASTER = "Master"
    SLAVE = "Slave"


class ZoneState(StrEnum):
    ENABLED = "Enabled"
    DISABLED = "Disabled"


class ZoneRef(Model):
    """A FederatedZone of the same namespace."""

    name: Name = Field(description="Name of the FederatedZone, its metadata.name, in the namespace of this object.")


class Join(Model):
    """A one-time request, with the consent that it needs."""

    request: Token = Field(
        description="A word of your own. A new word asks for one conversion of the cloud into a member of the federation; the"
        " same word never asks for a second."
    )
    replace_users_groups_vdcs: Literal["Accept"] | None = Field(
        default=None,
        alias="replaceUsersGroupsVDCs",
        description="Consent to lose what a slave has of its own. Accept: its users, groups, VDCs and access rules are replaced"
        " by the master's, oneadmin's password among them. Machines, images and networks stay. Absent: a slave is not"
        " joined.",
    )


class ZoneServerSpec(Model):
    """A server among several of a zone that is highly available."""

    name: OutsideName = Field(description="Name of the server in the zone, for example server-0.")
    endpoint: Endpoint = Field(
        description="Address of this server's own XML-RPC API, where its state is asked, for example"
        " http://10.1.0.11:2633/RPC2."
    )


class FederatedZoneSpec(Managed):
    """A master, or a slave of one."""

    cloud_ref: CloudRef = Field(
        description="The cloud that is the zone, in the namespace of this object. Cannot be changed."
    )
    role: Literal[ZoneRole.MASTER, ZoneRole.SLAVE] = Field(
        description="Master: it keeps users, groups, VDCs and zones for all. Slave: it has a copy of them, and asks the master"
        " for each change. Cannot be changed."
    )
    master_ref: ZoneRef | None = Field(
        default=None,
        description="The FederatedZone that is the master of this slave. Absent with the role Master. Cannot be changed.",
    )
    join: Join | None = Field(
        default=None,
        description="A one-time request to make the cloud a member, which OpenNebula has no call for: its configuration is"
        " written, its daemon started again and, for a slave, its database joined with the master's. A slave needs it with"
        " its consent; for a master a new word tries again what failed. Absent: a slave that is none yet is not made one.",
    )
    endpoint: Endpoint | None = Field(
        default=None,
        description="Address under which the other zones reach this one. Absent: that at which the cloud answers.",
    )
    sunstone_endpoint: Endpoint | None = Field(
        default=None, description="Address of the zone's Sunstone, for the menu of zones there. Absent: left as it is."
    )
    one_flow_endpoint: Endpoint | None = Field(
        default=None, description="Address of the zone's OneFlow, for Sunstone. Absent: left as it is."
    )
    state: Literal[ZoneState.ENABLED, ZoneState.DISABLED] | None = Field(
        default=None,
        description="Whether the zone takes changes. Enabled: it does. Disabled: it only answers reads, for everybody, this operator included."
        " Absent: left as it is.",
    )
    servers: Annotated[list[ZoneServerSpec], Field(min_length=1, max_length=9)] | None = Field(
        default=None,
        description="Servers of a zone that is highly available: exactly these are listed in OpenNebula, and each is asked at"
        " its own address. Absent: the list is left as it is.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("cloudRef", "a membership is that of one cloud; make a new FederatedZone for another"),
        immutable("role", "delete this object, and make it anew with the other role"),
        immutable("masterRef", "leaving a federation is deleting this object; make it anew for the other master"),
        Rule(
            "has(self.masterRef) == (self.role == 'Slave')",
            "masterRef belongs to the role Slave: set both or neither",
            field=".masterRef",
        ),
    )


class ZoneServerStatus(Model):
    name: OutsideName | None = Field(
        default=None, description="Name of the server; of the only one of a zone the zone's."
    )
    id: str | None = Field(default=None, description="Number of the server in its zone; -1: it is the only one.")
    endpoint: str | None = Field(default=None, description="Address at which it was asked.")
    state: str | None = Field(
        default=None,
        description="What it is among the servers of its zone: Leader, Follower, Candidate, Solo where it is the only one, or"
        " Unreachable.",
    )


class FederatedZoneStatus(Status):
    zone_id: str | None = Field(
        default=None, alias="zoneID", description="Number of the zone in the federation, as onezone shows it."
    )
    role: str | None = Field(
        default=None, description="What the cloud's own configuration says that it is: Standalone, Master or Slave."
    )
    master: str | None = Field(
        default=None, description="Address of the master that the configuration of a slave names."
    )
    endpoint: str | None = Field(default=None, description="Address of the zone, as the federation lists it.")
    state: str | None = Field(default=None, description="Enabled or Disabled, as the federation lists it.")
    servers: list[ZoneServerStatus] | None = Field(
        default=None,
        description="Each server of the zone, as it says itself.",
    )
    commands: Annotated[list[Annotated[str, Field(max_length=512)]], Field(max_length=48)] | None = Field(
        default=None,
        description="What a person has to type, line by line, where nothing but a person can do it. It goes on by itself once"
        " the cloud's configuration says that it was done.",
    )


class FederatedZone(Resource[FederatedZoneSpec, FederatedZoneStatus]):
    """The membership of a cloud in a federation of OpenNebula: one master, and slaves that share its users, groups and VDCs.

    A master's zone has the number 0 and is named and addressed. A slave's is made at the master; then the slave is joined to
    it, which replaces its users: by the operator on clouds that it installed and on others that let it in by SSH, else by a
    person, to whom status.commands says how. From then on name, address, servers and state are kept as declared, and a slave
    that stays behind is brought up to date.

    Look with: kubectl get fzone -o wide; kubectl describe fzone NAME.

    Deleting a master waits for its slaves and leaves it a master. Deleting a slave leaves it a member of the federation,
    unless spec.deletionPolicy is Delete: then its clusters leave all VDCs, it becomes a cloud of its own again, and its zone
    is deleted.
    """

    crd: ClassVar[Crd] = Crd(
        kind="FederatedZone",
        plural="federatedzones",
        short_names=("fzone",),
        columns=columns(
            Column(name="Role", json_path=".spec.role"),
            Column(name="Zone", json_path=".status.zoneID"),
            Column(name="InSync", json_path='.status.conditions[?(@.type=="InSync")].status'),
            wide=(
                Column(name="Cloud", json_path=".spec.cloudRef.name"),
                Column(name="Reachable", json_path='.status.conditions[?(@.type=="Reachable")].status'),
                Column(name="Endpoint", json_path=".status.endpoint"),
            ),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.RETAIN
