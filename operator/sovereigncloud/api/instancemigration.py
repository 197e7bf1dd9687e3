"""InstanceMigration: one machine, once, from the cloud where it is to another."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import (
    CloudRef,
    Column,
    Crd,
    DeletionPolicy,
    Duration,
    Managed,
    Model,
    Name,
    OutsideName,
    Resource,
    Rule,
    Status,
    columns,
)
from sovereigncloud.api.common.fencing import Fencing
from sovereigncloud.api.common.rules import immutable

_MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_IS_LOST = "(has(self.sourceState) && self.sourceState == 'Lost')"
_ANEW = "a migration is one move; make a new InstanceMigration for another"


class MigrationMode(StrEnum):
    REHEARSE = "Rehearse"
    EXECUTE = "Execute"


class SourceState(StrEnum):
    """Whether the place that a machine leaves answers."""

    REACHABLE = "Reachable"
    LOST = "Lost"


class MigrationPhase(StrEnum):
    """How far a move is."""

    CHECKING = "Checking"
    COPYING = "Copying"
    STARTING = "Starting"
    CUTTING_OVER = "CuttingOver"
    GRACE = "Grace"
    CLEANING_UP = "CleaningUp"
    SUCCEEDED = "Succeeded"
    ROLLING_BACK = "RollingBack"
    FAILED = "Failed"


class InstanceRef(Model):
    """A HostedInstance of the same namespace."""

    name: Name = Field(description="Name of the HostedInstance, its metadata.name, in the namespace of this object.")


class Destination(Model):
    cloud_ref: CloudRef = Field(description="The cloud that the machine moves to.")


class ExitPlanRef(Model):
    """The ExitPlan that a move is part of."""

    name: Name = Field(description="Name of the ExitPlan, its metadata.name.")
    namespace: Name | None = Field(
        default=None,
        description="Namespace of the ExitPlan. Absent: that of this object. It owns the cloud that is left.",
    )


class MappedNetwork(Model):
    from_: OutsideName = Field(
        alias="from", description="Name of a network of the machine in the cloud that it leaves."
    )
    to: OutsideName = Field(description="Name of the network that takes its place in the other cloud.")


class InstanceMigrationSpec(Managed):
    """Which machine moves where."""

    instance_ref: InstanceRef = Field(description="The machine that moves. Cannot be changed.")
    to: Destination = Field(description="Where it moves to. Cannot be changed.")
    mode: Literal[MigrationMode.REHEARSE, MigrationMode.EXECUTE] = Field(
        description="Rehearse: a copy is made while the machine runs on, started in the other cloud without its networks, looked at"
        " and deleted (but see keepCopy); how long that took and how much was copied is recorded. Execute: the machine is shut down, copied, and"
        " runs in the other cloud from then on. Cannot be changed: the rehearsal stays as its own record."
    )
    source_state: Literal[SourceState.REACHABLE, SourceState.LOST] | None = Field(
        default=None,
        description="Reachable (default): its disks are copied from where it is. Lost: the cloud that it is in does not answer and is"
        " not asked; the machine is made from the last copy that is held outside of it, and what was written after that is not"
        " there. It starts only with proof that the old machine is dead. A rehearsal of that needs no proof and may be made while"
        " the cloud answers. Cannot be changed.",
    )
    fencing: Fencing | None = Field(
        default=None,
        description="A person's word that the machines of the lost cloud are dead, for sourceState: Lost. Absent: the proof is that"
        " its provider shows every host of it powered off.",
    )
    network_map: Annotated[list[MappedNetwork], Field(max_length=16)] | None = Field(
        default=None,
        description="Which network takes the place of which. A network that is not listed is the one of the same name. Absent: all of"
        " them are. Cannot be changed.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["from"]},
    )
    marketplace: OutsideName | None = Field(
        default=None,
        description="The marketplace of the cloud that it leaves over which the disks go; it holds them meanwhile, unencrypted."
        " Absent: the only one there that takes images (http or s3). Cannot be changed.",
    )
    grace_period: Duration | None = Field(
        default=None,
        description="How long the machine that was left stays, powered off, after the move; then it is deleted with its disks. May be"
        " changed until then. That of a lost cloud may hold what its copy lacks: it stays until a person deletes it, or, with"
        " spec.deletionPolicy: Delete, so long after its cloud answered again. Default: 24h.",
    )

    keep_copy: bool | None = Field(
        default=None,
        description="Only with mode: Rehearse. With true the images that were copied stay in the other cloud, as a copy of the machine from which"
        " it can be started there when its cloud is lost; the one that was kept there before goes. They go with the HostedInstance,"
        " where its deletionPolicy is Delete. Their disks were saved one after the other while the machine ran. Default: false. Cannot"
        " be changed.",
    )
    exit_plan_ref: ExitPlanRef | None = Field(
        default=None,
        description="The ExitPlan that made it. While that is executed the machine may go where its spec.placement does not say, never"
        " where a policy does not let it. Cannot be changed. Absent: it is no part of an exit.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("instanceRef", _ANEW),
        immutable("to", _ANEW),
        immutable("mode", "a rehearsal stays as its own record; make another InstanceMigration with the other mode"),
        immutable("networkMap", _ANEW),
        immutable("marketplace", _ANEW),
        immutable("sourceState", _ANEW),
        Rule(
            f"{_IS_LOST} ? !has(self.marketplace) : !has(self.fencing)",
            "sourceState: Lost goes over no marketplace, and fencing is for nothing else: remove the one that does not belong",
        ),
        immutable("exitPlanRef", _ANEW),
        immutable("keepCopy", _ANEW),
        Rule(
            f"!has(self.keepCopy) || !self.keepCopy || (self.mode == 'Rehearse' && !{_IS_LOST})",
            "only a rehearsal of a machine that can be reached leaves a copy: set mode: Rehearse and no sourceState: Lost, or leave"
            " keepCopy out",
            field=".keepCopy",
        ),
    )


class MachineStatus(Model):
    cloud: str | None = Field(default=None, description="The SovereignCloud that it is in, as namespace/name.")
    id: str | None = Field(default=None, description="Number of the virtual machine there, as onevm shows it.")
    state: str | None = Field(default=None, description="What OpenNebula says that it does.")


class CopiedDisk(Model):
    name: Annotated[str, Field(max_length=16)] = Field(description="Number of the disk in the machine that is left.")
    size: str | None = Field(default=None, description="How large it is, for example 20Gi.")
    image: str | None = Field(default=None, description="Number of the image that it was saved as, where it was.")
    app: str | None = Field(default=None, description="Number of the app that the image was published as.")
    copy_: str | None = Field(
        default=None, alias="copy", description="Number of the image in the cloud that the machine moves to."
    )
    digest: str | None = Field(default=None, description="MD5 of the file, which the other cloud compares.")


class UsedCopy(Model):
    name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None,
        description="Which one: a backup as status.continuity.copies of the HostedInstance calls it, an image by its cloud and the number of the first.",
    )
    kind: str | None = Field(default=None, description="What it is, as a word: Backup or Image.")
    time: str | None = Field(default=None, description="As of when its data is (RFC 3339, UTC).")
    server: Annotated[str, Field(max_length=253)] | None = Field(default=None, description="The server that held it.")


class InstanceMigrationStatus(Status):
    phase: str | None = Field(
        default=None,
        description="Checking, Copying, Starting, CuttingOver, Grace, CleaningUp, Succeeded; RollingBack or Failed.",
    )
    source: MachineStatus | None = Field(default=None, description="The machine that is left.")
    target: MachineStatus | None = Field(default=None, description="Its copy in the other cloud.")
    disks: Annotated[list[CopiedDisk], Field(max_length=64)] | None = Field(
        default=None, description="The disks on their way.", json_schema_extra=_MAP_BY_NAME
    )
    bytes: int | None = Field(
        default=None, description="How much was copied, in bytes: the sizes of the disks together."
    )
    downtime_seconds: int | None = Field(
        default=None,
        description="Seconds from when the machine was told to shut down until its copy was seen running; absent where it was off"
        " anyway. Of a rehearsal: how long the copy took, which is what the move would cost. Of a lost machine: from the outage on.",
    )
    copy_: UsedCopy | None = Field(
        default=None, alias="copy", description="Of a lost machine: the copy that the new one is made from."
    )
    outage: str | None = Field(default=None, description="Since when its cloud was lost (RFC 3339, UTC).")
    rpo_seconds: int | None = Field(
        default=None, description="How much older the copy was than the outage: seconds of what was written are lost."
    )
    began_at: str | None = Field(default=None, description="When the move began.")
    ended_at: str | None = Field(default=None, description="When it was over, one way or the other.")


class InstanceMigration(Resource[InstanceMigrationSpec, InstanceMigrationStatus]):
    """One machine, once, from the cloud where it is to another, or the rehearsal of that.

    All that can be known is checked first: disks that OpenNebula cannot save, devices of a host, networks that are not mapped, room,
    quota, and the policies that decide where a machine may run. Then the machine is shut down, each disk becomes an image,
    goes over a marketplace to the other cloud, and a machine is made of them there. When that one runs, it is the instance's, and
    the old one is powered off for the grace period. Up to that moment all that was made is taken away again when anything fails,
    and the machine is started where it was.

    With sourceState: Lost nothing is asked of the cloud that is left: the machine is made from the last copy outside of it. When
    that cloud answers again, the old machine is powered off before anything else is done there.

    How far it is, the number of each image and app, what was copied and how long it took are in status. Backups and snapshots stay in the cloud that it leaves.

    Ready is True once the machine has moved, or the rehearsal is over, and stays so during the grace period.
    Look with: kubectl get mig -o wide; kubectl describe mig NAME; kubectl wait --for=condition=Ready mig/NAME.

    A move is made once for each name: the machine tells which ones brought it where it is. Applied again after the Kubernetes cluster was
    rebuilt, or after the object was deleted, one that it tells of is over at once and touches nothing; for the same move once more
    make an InstanceMigration of another name. So is the last rehearsal.

    Deleting the object before the machine has moved is going back. Afterwards, what the copy left on the way is taken away; the
    machine that was left stays, powered off, unless spec.deletionPolicy is Delete.
    """

    crd: ClassVar[Crd] = Crd(
        kind="InstanceMigration",
        plural="instancemigrations",
        short_names=("mig",),
        columns=columns(
            Column(name="Phase", json_path=".status.phase"),
            Column(name="Instance", json_path=".spec.instanceRef.name"),
            Column(name="From", json_path=".status.source.cloud"),
            Column(name="To", json_path=".spec.to.cloudRef.name"),
            wide=(
                Column(name="Mode", json_path=".spec.mode"),
                Column(name="Downtime", json_path=".status.downtimeSeconds", type="integer"),
                Column(name="ExitProven", json_path='.status.conditions[?(@.type=="ExitProven")].status'),
            ),
        ),
    )
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.RETAIN
