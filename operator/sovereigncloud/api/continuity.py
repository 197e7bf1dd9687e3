"""Failover of a VM whose cloud is unreachable, and the recorded copies that it uses."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sovereigncloud.api.common.base import Duration, Model

MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
LONGEST_CHAIN = 4096
_Short = Annotated[str, Field(max_length=128)]


class Continuity(Model):
    """Failover: when its cloud is unreachable and fenced, the VM starts from its latest outside copy in a cloud that
    placement and policies allow.
    """

    toleration_seconds: Annotated[int, Field(ge=0, le=604800)] | None = Field(
        default=None,
        description="Outage tolerance in seconds: how long the cloud may be unreachable before failover starts. A shorter"
        " outage has no effect. Default: 300.",
    )
    rpo: Duration | None = Field(
        default=None,
        description="Recovery point objective: maximum age of the latest copy, for example 24h. With an older copy"
        " FailoverReady is False with the reason CopyTooOld; failover still uses that copy. Absent: any age.",
    )
    rto: Duration | None = Field(
        default=None,
        description="Recovery time objective: maximum time from the start of the outage until the VM runs again, for"
        " example 4h. A slower failover is reported. Absent: not checked.",
    )


class Failover(Model):
    """Record of a failover to another cloud."""

    outage: _Short | None = Field(default=None, description="Start of the outage (RFC 3339, UTC).")
    at: _Short | None = Field(default=None, description="Time when the VM ran again (RFC 3339, UTC).")
    from_: Annotated[str, Field(max_length=317)] | None = Field(
        default=None, alias="from", description="Unreachable source cloud as namespace/name."
    )
    to: Annotated[str, Field(max_length=317)] | None = Field(
        default=None, description="Target cloud of the failover as namespace/name."
    )
    rpo_seconds: int | None = Field(
        default=None,
        description="Achieved recovery point in seconds: age of the copy at the start of the outage. Later writes are lost.",
    )
    rto_seconds: int | None = Field(
        default=None,
        description="Achieved recovery time in seconds: from the start of the outage until the VM ran again.",
    )


class CopiedDiskStatus(Model):
    name: Annotated[str, Field(max_length=16)] = Field(description="ID of the disk within the VM.")
    label: _Short | None = Field(
        default=None, description="Name of the disk in spec.disks. Absent: the disk is not declared there."
    )
    size: _Short | None = Field(default=None, description="Size of the disk, for example 20Gi.")


class CopyStatus(Model):
    """A backup with all data that another cloud needs to read it."""

    name: Annotated[str, Field(max_length=253)] = Field(
        description="Name of the copy: its cloud as namespace/name and its ID there."
    )
    kind: _Short | None = Field(default=None, description="Type of the copy: Backup.")
    time: _Short | None = Field(
        default=None,
        description="Point in time of the data (RFC 3339, UTC): the start of the backup if OpenNebula reports it, else its"
        " end.",
    )
    place: _Short | None = Field(
        default=None,
        description="Where the copy is. Outside: on a server outside its cloud, available during an outage. Inside: in the"
        " cloud itself, unavailable during an outage.",
    )
    server: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Server that stores the copy."
    )
    driver: _Short | None = Field(default=None, description="Backup driver of the copy: restic or rsync.")
    store: _Short | None = Field(default=None, description="OpenNebula ID of the backup datastore in the source cloud.")
    vm: _Short | None = Field(default=None, description="OpenNebula ID of the VM in the source cloud.")
    system: _Short | None = Field(
        default=None, description="OpenNebula ID of the VM's system datastore in the source cloud."
    )
    job: _Short | None = Field(default=None, description="OpenNebula ID of the backup job. Absent: none.")
    chain: Annotated[str, Field(max_length=LONGEST_CHAIN)] | None = Field(
        default=None, description="Backup chain as increment:snapshot pairs. Absent: the chain is too long to record."
    )
    disks: Annotated[list[CopiedDiskStatus], Field(max_length=64)] | None = Field(
        default=None, description="Disks of the VM in the copy.", json_schema_extra=MAP_BY_NAME
    )


class MachineShape(Model):
    """Recorded configuration of the VM, used by a failover for fields that spec does not set."""

    id: _Short | None = Field(default=None, description="OpenNebula ID of the VM.")
    cpu: _Short | None = Field(default=None, description="Physical CPU share in processors.")
    vcpu: int | None = Field(default=None, description="Number of virtual processors.")
    memory: _Short | None = Field(default=None, description="Size of the memory, for example 4Gi.")
    networks: Annotated[list[_Short], Field(max_length=64)] | None = Field(
        default=None, description="Network names in the source cloud, one per NIC."
    )


class ContinuityStatus(Model):
    copies: Annotated[list[CopyStatus], Field(max_length=3)] | None = Field(
        default=None,
        description="The last three copies of the VM, those outside its cloud first.",
        json_schema_extra=MAP_BY_NAME,
    )
    last_copy: _Short | None = Field(
        default=None, description="Point in time of the newest copy outside the cloud (RFC 3339, UTC)."
    )
    last_failover: Failover | None = Field(default=None, description="Latest failover of the instance. Absent: none.")
    machine: MachineShape | None = Field(
        default=None, description="Configuration of the VM, recorded for a failover. Absent: there is no usable copy."
    )
