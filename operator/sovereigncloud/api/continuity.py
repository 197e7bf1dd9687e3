"""What happens to a machine whose cloud is lost, and what is remembered of its copies, so that they are found then."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sovereigncloud.api.common.base import Duration, Model

MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
LONGEST_CHAIN = 4096
_Short = Annotated[str, Field(max_length=128)]


class Continuity(Model):
    """It is started elsewhere when its cloud is lost: from its last copy outside, in a cloud that placement and policies allow, and
    only where its old place is proven dead.
    """

    toleration_seconds: Annotated[int, Field(ge=0, le=604800)] | None = Field(
        default=None,
        description="How long its cloud may not answer before anything is done, in seconds. A cloud that answers again before is as if"
        " nothing had been. Default: 300.",
    )
    rpo: Duration | None = Field(
        default=None,
        description="How old the last copy may be, for example 24h: with an older one FailoverReady is False, CopyTooOld. It is started"
        " from that all the same when its cloud is lost. Absent: any age.",
    )
    rto: Duration | None = Field(
        default=None,
        description="Within which time it is to run again, counted from when its cloud stopped answering, for example 4h. A failover"
        " that took longer says so. Absent: nothing is said.",
    )


class Failover(Model):
    """A machine was started elsewhere, since its cloud was lost."""

    outage: _Short | None = Field(default=None, description="Since when its cloud did not answer (RFC 3339, UTC).")
    at: _Short | None = Field(default=None, description="When it ran again (RFC 3339, UTC).")
    from_: Annotated[str, Field(max_length=317)] | None = Field(
        default=None, alias="from", description="The cloud that was lost, as namespace/name."
    )
    to: Annotated[str, Field(max_length=317)] | None = Field(
        default=None, description="The cloud where it runs since, as namespace/name."
    )
    rpo_seconds: int | None = Field(
        default=None,
        description="How many seconds older its copy was than the outage: what was written in them is lost.",
    )
    rto_seconds: int | None = Field(
        default=None, description="How many seconds it did not run: from the outage until it ran again."
    )


class CopiedDiskStatus(Model):
    name: Annotated[str, Field(max_length=16)] = Field(description="Number of the disk in the machine.")
    label: _Short | None = Field(
        default=None, description="Its name in spec.disks. Absent: a disk of the machine's own."
    )
    size: _Short | None = Field(default=None, description="How large it is, for example 20Gi.")


class CopyStatus(Model):
    """A backup, with all that another cloud needs to read it."""

    name: Annotated[str, Field(max_length=253)] = Field(
        description="Its cloud as namespace/name, and its number there."
    )
    kind: _Short | None = Field(default=None, description="What it is, as a word: Backup.")
    time: _Short | None = Field(
        default=None,
        description="As of when the data is (RFC 3339, UTC): when the backup began, where OpenNebula tells that, else when it ended.",
    )
    place: _Short | None = Field(
        default=None,
        description="Outside: on a server that is none of its cloud's, and outlives it. Inside: lost with the cloud.",
    )
    server: Annotated[str, Field(max_length=253)] | None = Field(default=None, description="The server that holds it.")
    driver: _Short | None = Field(default=None, description="How it is held on that server: restic or rsync.")
    store: _Short | None = Field(default=None, description="Number of the datastore that it is in, there.")
    vm: _Short | None = Field(default=None, description="Number of the machine that it is of, there.")
    system: _Short | None = Field(default=None, description="Number of the datastore that the machine ran in, there.")
    job: _Short | None = Field(default=None, description="Number of the backup job that made it. Absent: none.")
    chain: Annotated[str, Field(max_length=LONGEST_CHAIN)] | None = Field(
        default=None, description="What it consists of, as number:snapshot. Absent: more than can be remembered."
    )
    disks: Annotated[list[CopiedDiskStatus], Field(max_length=64)] | None = Field(
        default=None, description="Each disk of the machine that it holds.", json_schema_extra=MAP_BY_NAME
    )


class MachineShape(Model):
    """What a copy is made like where spec does not say it."""

    id: _Short | None = Field(default=None, description="Number of the machine.")
    cpu: _Short | None = Field(default=None, description="Share of physical processors.")
    vcpu: int | None = Field(default=None, description="Virtual processors.")
    memory: _Short | None = Field(default=None, description="Memory, for example 4Gi.")
    networks: Annotated[list[_Short], Field(max_length=64)] | None = Field(
        default=None, description="Its networks, by their names in its cloud, card by card."
    )


class ContinuityStatus(Model):
    copies: Annotated[list[CopyStatus], Field(max_length=3)] | None = Field(
        default=None,
        description="Copies of the machine, the last three, those outside its cloud first.",
        json_schema_extra=MAP_BY_NAME,
    )
    last_copy: _Short | None = Field(
        default=None, description="As of when the data of the newest copy outside its cloud is (RFC 3339, UTC)."
    )
    last_failover: Failover | None = Field(
        default=None, description="The last time that it was started elsewhere. Absent: it never was."
    )
    machine: MachineShape | None = Field(
        default=None, description="What the machine is like. Absent: there is no copy to make it from."
    )
