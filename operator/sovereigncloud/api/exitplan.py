"""ExitPlan: exit from a cloud or a provider: readiness, rehearsals and execution."""

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
    OutsideName,
    Resource,
    Rule,
    Status,
    columns,
)
from sovereigncloud.api.common.fencing import Fencing
from sovereigncloud.api.common.locations import ProviderRef
from sovereigncloud.api.common.rules import exactly_one, immutable
from sovereigncloud.api.instance_placement import Labels
from sovereigncloud.api.instancemigration import MappedNetwork, SourceState
from sovereigncloud.api.verification import Schedule

MAX_BLOCKERS = 64
_MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_ANEW = "make a new ExitPlan for another"
_Text = Annotated[str, Field(max_length=1024)]


class ExitMode(StrEnum):
    PLAN = "Plan"
    REHEARSE = "Rehearse"
    EXECUTE = "Execute"


class ExitPhase(StrEnum):
    """Phases of an exit."""

    PLANNED = "Planned"
    REHEARSING = "Rehearsing"
    REHEARSED = "Rehearsed"
    EXECUTING = "Executing"
    EXECUTED = "Executed"


class Leaving(Model):
    """Clouds to leave: one cloud, or all clouds of a provider."""

    cloud_ref: CloudRef | None = Field(
        default=None, description="SovereignCloud to leave. Exactly one of cloudRef and providerRef is set."
    )
    provider_ref: ProviderRef | None = Field(
        default=None,
        description="Provider to leave: every cloud with this providerRef that the namespace of this object may use."
        " Exactly one of cloudRef and providerRef is set.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "cloudRef", "providerRef", remedy="cloudRef to leave one cloud, providerRef to leave all of a provider"
        ),
    )


class ExitTarget(Model):
    cloud_ref: CloudRef = Field(description="SovereignCloud that may take VMs.")


class MachineSelector(Model):
    """Selects VMs that have all of these labels."""

    match_labels: Labels | None = Field(
        default=None,
        description="Labels of the HostedInstances, for example {tier: database}. Absent: all VMs that no earlier entry"
        " matches.",
    )


class ExitPlanSpec(Managed):
    """Source clouds, target clouds, and whether to report, rehearse or execute."""

    from_: Leaving = Field(alias="from", description="Clouds to leave. Cannot be changed.")
    to: Annotated[list[ExitTarget], Field(min_length=1, max_length=16)] = Field(
        description="Target clouds. The operator selects one for each VM like at its first placement: by the policies of"
        " its namespace, its Tenant, and free capacity."
    )
    mode: Literal[ExitMode.PLAN, ExitMode.REHEARSE, ExitMode.EXECUTE] = Field(
        description="Mode of the plan. Plan: only report which VMs could leave. Rehearse: copy every VM while it runs,"
        " start the copy in the target cloud without its networks, check it and delete it; once now, then on"
        " rehearsalSchedule. Execute: migrate the VMs."
    )
    source_state: Literal[SourceState.REACHABLE, SourceState.LOST] | None = Field(
        default=None,
        description="State of the clouds to leave. Reachable (default): VMs are copied from their clouds. Lost: the clouds"
        " are unreachable and not contacted; VMs start from their copies outside. A rehearsal with Lost also"
        " works while they answer; executing it requires fencing. Cannot be changed. Absent: Reachable.",
    )
    order: Annotated[list[MachineSelector], Field(max_length=16)] | None = Field(
        default=None,
        description="Groups of VMs that are migrated one after the other. VMs that match no entry come last. Absent: all"
        " VMs are one group.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    max_concurrent: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Maximum number of VMs that are copied at the same time. Default: 4."
    )
    network_map: Annotated[list[MappedNetwork], Field(max_length=16)] | None = Field(
        default=None,
        description="Mapping of source networks to target networks. A network that is not listed maps to the network with"
        " the same name. Absent: all networks map by name.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["from"]},
    )
    marketplace: OutsideName | None = Field(
        default=None,
        description="Marketplace of the source cloud that transfers the disks. Absent: the only marketplace that accepts"
        " images.",
    )
    grace_period: Duration | None = Field(
        default=None,
        description="How long each powered-off source VM is kept before it is deleted with its disks. Default: 24h.",
    )
    rehearsal_schedule: Schedule | None = Field(
        default=None,
        description="Cron schedule of further rehearsals while mode is Rehearse: five fields in UTC. Absent: no further"
        " rehearsals.",
    )
    keep_copy: bool | None = Field(
        default=None,
        description="Whether to retain copies. true: each rehearsal keeps the copied images in the target cloud as a copy for failover, one per VM"
        " and cloud. Not with sourceState: Lost. Default: false.",
    )
    fencing: Fencing | None = Field(
        default=None,
        description="Confirmation that all VMs of the lost clouds are stopped; only for sourceState: Lost. Absent: not"
        " confirmed.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("from", _ANEW),
        immutable("sourceState", _ANEW),
        Rule(
            "!has(self.keepCopy) || !self.keepCopy || !has(self.sourceState) || self.sourceState != 'Lost'",
            "nothing is copied of what is lost, so there is nothing to keep: leave keepCopy out, or sourceState: Lost",
            field=".keepCopy",
        ),
        Rule(
            "!has(self.sourceState) || self.sourceState != 'Lost' || self.mode != 'Execute' || has(self.fencing)",
            "what is lost may still run: to start copies of its machines, say in fencing.confirmedBy who answers for it that all of"
            " them are dead",
            field=".fencing",
        ),
    )


class Blocker(Model):
    """A VM that cannot leave, with the reason."""

    name: Annotated[str, Field(max_length=512)] = Field(
        description="HostedInstance as namespace/name; for VMs that the operator does not manage, the cloud and the"
        " OpenNebula ID."
    )
    reason: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="Reason in CamelCase; the troubleshooting page explains each reason."
    )
    message: _Text | None = Field(default=None, description="Explanation of the reason and what to do.")


class BlockerCount(Model):
    name: Annotated[str, Field(max_length=128)] = Field(description="The reason, in CamelCase.")
    count: int | None = Field(default=None, description="Number of VMs that this reason blocks.")


class Amount(Model):
    bytes: int | None = Field(default=None, description="Data to copy, in bytes.")
    duration_seconds: int | None = Field(
        default=None,
        description="Duration in seconds. Absent in the estimate: no migration was measured yet.",
    )
    bytes_per_second: int | None = Field(
        default=None,
        description="Measured throughput of one migration in bytes per second. Absent: no migration was measured yet.",
    )


class RunStatus(Model):
    """A rehearsal or an execution."""

    name: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Name of the run, a suffix of the names of its InstanceMigrations."
    )
    began_at: str | None = Field(default=None, description="Start time of the first migration of the run.")
    ended_at: str | None = Field(default=None, description="End time of the run. Absent: it is in progress.")
    machines: int | None = Field(default=None, description="Number of VMs in the run.")
    succeeded: int | None = Field(
        default=None, description="Number of VMs that were migrated or rehearsed successfully."
    )
    failed: int | None = Field(default=None, description="Number of VMs that failed.")
    bytes: int | None = Field(default=None, description="Copied data in bytes.")
    duration_seconds: int | None = Field(default=None, description="Duration of the run in seconds.")


class ExitPlanStatus(Status):
    phase: str | None = Field(
        default=None, description="Phase of the exit: Planned, Rehearsing, Rehearsed, Executing or Executed."
    )
    movable: str | None = Field(
        default=None,
        description="Number of VMs that could leave now or have left, of all VMs, for example 287/300.",
    )
    clouds: Annotated[list[Annotated[str, Field(max_length=512)]], Field(max_length=64)] | None = Field(
        default=None, description="Clouds to leave, as namespace/name."
    )
    blockers: Annotated[list[Blocker], Field(max_length=MAX_BLOCKERS)] | None = Field(
        default=None,
        description="VMs that cannot leave, with the reason; the first 64. blockedBy counts all of them.",
        json_schema_extra=_MAP_BY_NAME,
    )
    blocked_by: Annotated[list[BlockerCount], Field(max_length=32)] | None = Field(
        default=None, description="Number of blocked VMs per reason.", json_schema_extra=_MAP_BY_NAME
    )
    expected: Amount | None = Field(default=None, description="Estimate for migrating all movable VMs.")
    measured: Amount | None = Field(default=None, description="Measured values of the last run.")
    run: RunStatus | None = Field(default=None, description="Current or last run.")
    last_rehearsal: RunStatus | None = Field(
        default=None, description="Last completed rehearsal, the evidence of exit readiness."
    )
    next_rehearsal: str | None = Field(default=None, description="Time of the next scheduled rehearsal.")


class ExitPlan(Resource[ExitPlanSpec, ExitPlanStatus]):
    """Exit from a cloud, or from all clouds of a provider: readiness report, rehearsals and execution.

    Its status shows how many VMs could leave now, within policies, quotas and free capacity, and names each blocked VM
    with the reason. To rehearse or execute, the operator creates one InstanceMigration per VM, group by group and a
    few at a time. It continues after an interruption.

    An executed exit may place VMs where spec.placement of their HostedInstance does not allow it
    (PlacementOverridden), but never where a SovereigntyPolicy forbids it. In the namespace of the source cloud it
    migrates the VMs of all namespaces; in another namespace only its own.

    To inspect it: kubectl get exit -o wide; kubectl describe exit NAME; kubectl get mig -A -l
    sovereigncloud.io/exit-plan=NAME.

    Deleting the object starts no further migrations; those in progress continue.
    """

    crd: ClassVar[Crd] = Crd(
        kind="ExitPlan",
        plural="exitplans",
        short_names=("exit",),
        columns=columns(
            Column(name="Mode", json_path=".spec.mode"),
            Column(name="Movable", json_path=".status.movable"),
            wide=(
                Column(name="Phase", json_path=".status.phase"),
                Column(name="ExitProven", json_path='.status.conditions[?(@.type=="ExitProven")].status'),
                Column(name="Rehearsed", json_path=".status.lastRehearsal.endedAt"),
                Column(name="Next", json_path=".status.nextRehearsal"),
            ),
        ),
    )
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
