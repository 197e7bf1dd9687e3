"""InstanceMigration: one migration of a VM to another cloud."""

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
    """Whether the source cloud is reachable."""

    REACHABLE = "Reachable"
    LOST = "Lost"


class MigrationPhase(StrEnum):
    """Phases of a migration."""

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
    """Reference to a HostedInstance of the same namespace."""

    name: Name = Field(description="The metadata.name of the HostedInstance, in the namespace of this object.")


class Destination(Model):
    cloud_ref: CloudRef = Field(description="Target SovereignCloud of the VM.")


class ExitPlanRef(Model):
    """Reference to the ExitPlan that the migration is part of."""

    name: Name = Field(description="The metadata.name of the ExitPlan.")
    namespace: Name | None = Field(
        default=None,
        description="Namespace of the ExitPlan, which owns the source cloud. Absent: the namespace of this object.",
    )


class MappedNetwork(Model):
    from_: OutsideName = Field(alias="from", description="Name of a network of the VM in the source cloud.")
    to: OutsideName = Field(description="Name of the corresponding network in the target cloud.")


class InstanceMigrationSpec(Managed):
    """VM, target cloud and mode of the migration."""

    instance_ref: InstanceRef = Field(description="HostedInstance to migrate. Cannot be changed.")
    to: Destination = Field(description="Target of the migration. Cannot be changed.")
    mode: Literal[MigrationMode.REHEARSE, MigrationMode.EXECUTE] = Field(
        description="Mode of the migration. Rehearse: the VM keeps running, and a copy is started in the target cloud"
        " without its networks, checked and deleted (but see keepCopy); duration and data volume are recorded."
        " Execute: the VM is shut down, copied and started in the target cloud. Cannot be changed, so that a"
        " rehearsal stays as a record."
    )
    source_state: Literal[SourceState.REACHABLE, SourceState.LOST] | None = Field(
        default=None,
        description="State of the source cloud. Reachable (default): the disks are copied from the source cloud. Lost: the"
        " source cloud is unreachable and not contacted; the VM is created from its latest copy outside, and"
        " later writes are lost. The new VM starts only when the source VM is confirmed stopped (fencing). A"
        " rehearsal needs no fencing and also works while the cloud answers. Cannot be changed.",
    )
    fencing: Fencing | None = Field(
        default=None,
        description="Confirmation by an administrator that the VMs of the lost cloud are stopped, for sourceState: Lost."
        " Absent: the provider must report all hosts of the cloud as powered off.",
    )
    network_map: Annotated[list[MappedNetwork], Field(max_length=16)] | None = Field(
        default=None,
        description="Mapping of source networks to target networks. A network that is not listed maps to the network with"
        " the same name. Absent: all networks map by name. Cannot be changed.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["from"]},
    )
    marketplace: OutsideName | None = Field(
        default=None,
        description="Marketplace of the source cloud that transfers the disks and stores them meanwhile, unencrypted."
        " Absent: the only marketplace that accepts images (http or s3). Cannot be changed.",
    )
    grace_period: Duration | None = Field(
        default=None,
        description="How long the powered-off source VM is kept after the migration before it is deleted with its disks,"
        " for example 24h. Can be changed until then. The source VM of a lost cloud may hold data that the copy"
        " lacks: it stays until an administrator deletes it or, with spec.deletionPolicy: Delete, for this"
        " duration after its cloud answers again. Default: 24h.",
    )

    keep_copy: bool | None = Field(
        default=None,
        description="Only with mode: Rehearse. true: the copied images stay in the target cloud as a copy for failover, and"
        " the previous retained copy is deleted. They are deleted with the HostedInstance if its deletionPolicy"
        " is Delete. The disks were saved one after the other while the VM ran. Default: false. Cannot be"
        " changed.",
    )
    exit_plan_ref: ExitPlanRef | None = Field(
        default=None,
        description="ExitPlan that created this migration. While it is executed, the VM may move where its spec.placement"
        " does not allow it, but never where a policy forbids it. Cannot be changed. Absent: not part of an"
        " exit.",
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
    cloud: str | None = Field(default=None, description="SovereignCloud of the VM as namespace/name.")
    id: str | None = Field(default=None, description="OpenNebula ID of the VM, as onevm shows it.")
    state: str | None = Field(default=None, description="OpenNebula state of the VM.")


class CopiedDisk(Model):
    name: Annotated[str, Field(max_length=16)] = Field(description="ID of the disk within the source VM.")
    size: str | None = Field(default=None, description="Size of the disk, for example 20Gi.")
    image: str | None = Field(default=None, description="OpenNebula ID of the saved image in the source cloud.")
    app: str | None = Field(default=None, description="OpenNebula ID of the marketplace appliance.")
    copy_: str | None = Field(default=None, alias="copy", description="OpenNebula ID of the image in the target cloud.")
    digest: str | None = Field(default=None, description="MD5 of the file, which the target cloud verifies.")


class UsedCopy(Model):
    name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None,
        description="Name of the copy: for a backup as in status.continuity.copies of the HostedInstance, for images the"
        " cloud and the ID of the first image.",
    )
    kind: str | None = Field(default=None, description="Type of the copy: Backup or Image.")
    time: str | None = Field(default=None, description="Point in time of the data (RFC 3339, UTC).")
    server: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Server that stored the copy."
    )


class InstanceMigrationStatus(Status):
    phase: str | None = Field(
        default=None,
        description="Phase of the migration: Checking, Copying, Starting, CuttingOver, Grace, CleaningUp, Succeeded;"
        " RollingBack or Failed.",
    )
    source: MachineStatus | None = Field(default=None, description="Source VM of the migration.")
    target: MachineStatus | None = Field(default=None, description="Target VM in the target cloud.")
    disks: Annotated[list[CopiedDisk], Field(max_length=64)] | None = Field(
        default=None, description="Progress of the disk transfers.", json_schema_extra=_MAP_BY_NAME
    )
    bytes: int | None = Field(default=None, description="Copied data in bytes: the sum of the disk sizes.")
    downtime_seconds: int | None = Field(
        default=None,
        description="Downtime in seconds, from the shutdown request until the copy was seen running; absent if the VM was"
        " off. For a rehearsal: the duration of the copy, which is the expected downtime. For a lost source:"
        " since the start of the outage.",
    )
    copy_: UsedCopy | None = Field(
        default=None, alias="copy", description="Copy from which the VM was created, for a lost source."
    )
    outage: str | None = Field(default=None, description="Start of the source cloud's outage (RFC 3339, UTC).")
    rpo_seconds: int | None = Field(
        default=None,
        description="Achieved recovery point in seconds: age of the copy at the start of the outage; later writes are lost.",
    )
    began_at: str | None = Field(default=None, description="Start time of the migration.")
    ended_at: str | None = Field(default=None, description="End time of the migration, successful or not.")


class InstanceMigration(Resource[InstanceMigrationSpec, InstanceMigrationStatus]):
    """One migration of a VM to another cloud, or the rehearsal of one.

    The operator first checks everything that could fail: disks that OpenNebula cannot save, passthrough devices,
    networks without a mapping, free capacity, quota and policies. Then it shuts the VM down, saves each disk as an
    image, transfers the images over a marketplace and creates a VM from them in the target cloud. When that VM runs,
    it becomes the instance's VM, and the source VM stays powered off for the grace period. If anything fails before
    that, the operator removes what it created and starts the source VM again.

    With sourceState: Lost the source cloud is not contacted: the VM is created from its latest copy outside of it.
    When that cloud answers again, the operator powers off the old VM before anything else there.

    Progress, the ID of each image and appliance, copied data and durations are in status. Backups and snapshots stay
    in the source cloud.

    Ready is True when the VM was migrated or the rehearsal is over, also during the grace period. To inspect it:
    kubectl get mig -o wide; kubectl describe mig NAME; kubectl wait --for=condition=Ready mig/NAME.

    A migration runs once per name: the VM records the migrations that brought it to its place. If the object is
    applied again after the Kubernetes cluster was rebuilt or after the object was deleted, a recorded migration is
    complete at once and changes nothing. The same holds for the last rehearsal. To repeat a migration, create an
    InstanceMigration with another name.

    Deleting the object before the VM was migrated rolls back. Afterwards it removes temporary resources; the source VM
    stays powered off unless spec.deletionPolicy is Delete.
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
