"""FederatedZone: membership of a cloud in an OpenNebula federation."""

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
    """Reference to a FederatedZone of the same namespace."""

    name: Name = Field(description="The metadata.name of the FederatedZone, in the namespace of this object.")


class Join(Model):
    """One-time join request with the permission that it needs."""

    request: Token = Field(
        description="Request token. A new value triggers one conversion of the cloud into a federation member; a value that"
        " was used before triggers none."
    )
    replace_users_groups_vdcs: Literal["Accept"] | None = Field(
        default=None,
        alias="replaceUsersGroupsVDCs",
        description="Permission to replace the slave's own data. Accept: its users, groups, VDCs and access rules are"
        " replaced by those of the master, including the password of oneadmin; VMs, images and networks stay."
        " Absent: a slave is not joined.",
    )


class ZoneServerSpec(Model):
    """One server of a highly available zone."""

    name: OutsideName = Field(description="Name of the server in the zone, for example server-0.")
    endpoint: Endpoint = Field(
        description="URL of this server's own XML-RPC API, for polling its state, for example http://10.1.0.11:2633/RPC2."
    )


class FederatedZoneSpec(Managed):
    """Desired state of a master or slave zone."""

    cloud_ref: CloudRef = Field(
        description="SovereignCloud that is the zone, in the namespace of this object. Cannot be changed."
    )
    role: Literal[ZoneRole.MASTER, ZoneRole.SLAVE] = Field(
        description="Role of the zone. Master: it owns users, groups, VDCs and zones of the federation. Slave: it"
        " replicates them and sends changes to the master. Cannot be changed."
    )
    master_ref: ZoneRef | None = Field(
        default=None,
        description="FederatedZone of this slave's master. Absent with the role Master. Cannot be changed.",
    )
    join: Join | None = Field(
        default=None,
        description="One-time request to join the cloud to the federation. The operator writes the OpenNebula"
        " configuration, restarts the daemon and, for a slave, imports the master's database. A slave requires"
        " it, with replaceUsersGroupsVDCs; for a master a new token retries a failed conversion. Absent: a cloud"
        " that is not a slave yet is not joined.",
    )
    endpoint: Endpoint | None = Field(
        default=None,
        description="URL with which other zones reach this one. Absent: the URL at which the cloud answers.",
    )
    sunstone_endpoint: Endpoint | None = Field(
        default=None, description="URL of the zone's Sunstone, for the zone menu there. Absent: not changed."
    )
    one_flow_endpoint: Endpoint | None = Field(
        default=None, description="URL of the zone's OneFlow, for Sunstone. Absent: not changed."
    )
    state: Literal[ZoneState.ENABLED, ZoneState.DISABLED] | None = Field(
        default=None,
        description="Whether the zone accepts changes. Enabled: it does. Disabled: it only answers read requests, also from"
        " this operator. Absent: not changed.",
    )
    servers: Annotated[list[ZoneServerSpec], Field(min_length=1, max_length=9)] | None = Field(
        default=None,
        description="Servers of a highly available zone: exactly these are registered in OpenNebula, and the operator polls"
        " each at its own endpoint. Absent: the list is not changed.",
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
        default=None, description="Name of the server; the name of the zone if it has only one."
    )
    id: str | None = Field(default=None, description="ID of the server in its zone, a number; -1: it is the only one.")
    endpoint: str | None = Field(default=None, description="Endpoint that was polled.")
    state: str | None = Field(
        default=None,
        description="Raft state of the server: Leader, Follower, Candidate, Solo (the only server) or Unreachable.",
    )


class FederatedZoneStatus(Status):
    zone_id: str | None = Field(
        default=None, alias="zoneID", description="OpenNebula ID of the zone, its number as onezone shows it."
    )
    role: str | None = Field(
        default=None, description="Role in the cloud's own configuration: Standalone, Master or Slave."
    )
    master: str | None = Field(default=None, description="Master endpoint in the configuration of a slave.")
    endpoint: str | None = Field(default=None, description="Endpoint of the zone as registered in the federation.")
    state: str | None = Field(default=None, description="State of the zone in the federation: Enabled or Disabled.")
    servers: list[ZoneServerStatus] | None = Field(
        default=None,
        description="State that each server of the zone reports.",
    )
    commands: Annotated[list[Annotated[str, Field(max_length=512)]], Field(max_length=48)] | None = Field(
        default=None,
        description="Commands that an administrator must run, if the operator cannot. The operator continues when the"
        " cloud's configuration shows the result.",
    )


class FederatedZone(Resource[FederatedZoneSpec, FederatedZoneStatus]):
    """Membership of a cloud in an OpenNebula federation: one master, and slaves that share its users, groups and VDCs.

    A master's zone has ID 0; the operator sets its name and endpoint. A slave's zone is created at the master, then
    the slave is joined, which replaces its users. The operator joins clouds that it installed or can reach by SSH; for
    others status.commands shows the commands for an administrator. Afterwards it keeps name, endpoint, servers and
    state as declared, and synchronizes a slave whose replication lags.

    To inspect it: kubectl get fzone -o wide; kubectl describe fzone NAME.

    Deleting a master waits for its slaves and leaves the cloud a master. Deleting a slave leaves it in the federation,
    unless spec.deletionPolicy is Delete: then its clusters are removed from all VDCs, it becomes a standalone cloud,
    and its zone is deleted.
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
