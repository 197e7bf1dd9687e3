"""ExitPlan: the way out of a cloud or of a provider, counted, rehearsed, and walked."""

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
    """How far an exit is."""

    PLANNED = "Planned"
    REHEARSING = "Rehearsing"
    REHEARSED = "Rehearsed"
    EXECUTING = "Executing"
    EXECUTED = "Executed"


class Leaving(Model):
    """What is left: one cloud, or all clouds of a provider."""

    cloud_ref: CloudRef | None = Field(
        default=None, description="The cloud that is left. Exactly one of cloudRef and providerRef is set."
    )
    provider_ref: ProviderRef | None = Field(
        default=None,
        description="The provider that is left: every cloud with this providerRef that the namespace of this object may use."
        " Exactly one of cloudRef and providerRef is set.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "cloudRef", "providerRef", remedy="cloudRef to leave one cloud, providerRef to leave all of a provider"
        ),
    )


class ExitTarget(Model):
    cloud_ref: CloudRef = Field(description="A cloud that machines may go to.")


class MachineSelector(Model):
    """Which machines: those that have all of these labels."""

    match_labels: Labels | None = Field(
        default=None,
        description="Labels of the HostedInstances, for example {tier: database}. Absent: all machines that no entry before this"
        " one names.",
    )


class ExitPlanSpec(Managed):
    """What is left, where to, and whether that is only counted, rehearsed, or done."""

    from_: Leaving = Field(alias="from", description="What is left. Cannot be changed.")
    to: Annotated[list[ExitTarget], Field(min_length=1, max_length=16)] = Field(
        description="Where machines may go. Which of these clouds each goes to is decided as when a machine is placed at first: the"
        " policies of its namespace and its Tenant decide where it may be, room where it is."
    )
    mode: Literal[ExitMode.PLAN, ExitMode.REHEARSE, ExitMode.EXECUTE] = Field(
        description="Plan: only say what could leave. Rehearse: copy every machine while it runs on, start the copy in the other cloud"
        " without its networks, look at it, and delete it: once at once, then whenever rehearsalSchedule says. Execute: move them."
    )
    source_state: Literal[SourceState.REACHABLE, SourceState.LOST] | None = Field(
        default=None,
        description="Reachable (default): machines are copied from where they are. Lost: what is left does not answer and nothing of it"
        " is called; machines start from the copies of them that are held outside it, also in a rehearsal, for which it may run on. Needs fencing to be executed. Cannot be changed. Absent: Reachable.",
    )
    order: Annotated[list[MachineSelector], Field(max_length=16)] | None = Field(
        default=None,
        description="Groups of machines, one after the other: the next one begins when the one before is over. A machine that no entry"
        " names comes last. Absent: all of them at once.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    max_concurrent: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="How many machines are copied at once, at most. Default: 4."
    )
    network_map: Annotated[list[MappedNetwork], Field(max_length=16)] | None = Field(
        default=None,
        description="Which network takes the place of which. A network that is not listed is the one of the same name. Absent: all of"
        " them are.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["from"]},
    )
    marketplace: OutsideName | None = Field(
        default=None,
        description="The marketplace of the cloud that is left over which the disks go. Absent: the only one there that takes images.",
    )
    grace_period: Duration | None = Field(
        default=None,
        description="How long each machine that was left stays, powered off, before it is deleted with its disks. Default: 24h.",
    )
    rehearsal_schedule: Schedule | None = Field(
        default=None,
        description="When it is rehearsed again, while mode is Rehearse: five fields of cron, in UTC. Absent: it is not.",
    )
    keep_copy: bool | None = Field(
        default=None,
        description="With true each rehearsal keeps what it copied in the other cloud, as a copy of the machine from which it can be started"
        " there when its cloud is lost; one per machine and cloud. Not with sourceState: Lost. Default: false.",
    )
    fencing: Fencing | None = Field(
        default=None,
        description="Who says that everything in what is left is dead; only for sourceState: Lost. Absent: nobody.",
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
    """A machine that cannot leave, and why."""

    name: Annotated[str, Field(max_length=512)] = Field(
        description="The HostedInstance as namespace/name; of machines that people made, the cloud and the number there."
    )
    reason: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="Why, in one word that the documentation explains."
    )
    message: _Text | None = Field(default=None, description="Why, and what to do about it.")


class BlockerCount(Model):
    name: Annotated[str, Field(max_length=128)] = Field(description="A reason, in one word.")
    count: int | None = Field(default=None, description="How many machines cannot leave for that reason.")


class Amount(Model):
    bytes: int | None = Field(default=None, description="How much is copied, in bytes.")
    duration_seconds: int | None = Field(
        default=None,
        description="How long it takes, in seconds. Absent of what is expected: no move was measured yet.",
    )
    bytes_per_second: int | None = Field(
        default=None,
        description="How many bytes one move copies in a second, as earlier moves took. Absent: none was measured yet.",
    )


class RunStatus(Model):
    """A rehearsal or an execution."""

    name: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="At the end of the names of its InstanceMigrations."
    )
    began_at: str | None = Field(default=None, description="When the first of its machines was begun with.")
    ended_at: str | None = Field(default=None, description="When it was over. Absent: it is not.")
    machines: int | None = Field(default=None, description="How many machines it was for.")
    succeeded: int | None = Field(default=None, description="How many of them moved, or were rehearsed.")
    failed: int | None = Field(default=None, description="How many of them did not.")
    bytes: int | None = Field(default=None, description="How much was copied, in bytes.")
    duration_seconds: int | None = Field(default=None, description="How long it took, in seconds.")


class ExitPlanStatus(Status):
    phase: str | None = Field(
        default=None, description="How far it is: Planned, Rehearsing, Rehearsed, Executing or Executed."
    )
    movable: str | None = Field(
        default=None,
        description="Machines that could leave now or have left, of all that are to, for example 287/300.",
    )
    clouds: Annotated[list[Annotated[str, Field(max_length=512)]], Field(max_length=64)] | None = Field(
        default=None, description="The clouds that are left, as namespace/name."
    )
    blockers: Annotated[list[Blocker], Field(max_length=MAX_BLOCKERS)] | None = Field(
        default=None,
        description="What cannot leave, and why; the first 64. blockedBy counts all of them.",
        json_schema_extra=_MAP_BY_NAME,
    )
    blocked_by: Annotated[list[BlockerCount], Field(max_length=32)] | None = Field(
        default=None, description="How many cannot leave, by reason.", json_schema_extra=_MAP_BY_NAME
    )
    expected: Amount | None = Field(default=None, description="What moving all that could leave would take.")
    measured: Amount | None = Field(default=None, description="What the last run took.")
    run: RunStatus | None = Field(default=None, description="The run that is under way, or was last.")
    last_rehearsal: RunStatus | None = Field(
        default=None, description="The last rehearsal that came to its end: the proof of the way out."
    )
    next_rehearsal: str | None = Field(default=None, description="When rehearsalSchedule asks for the next one.")


class ExitPlan(Resource[ExitPlanSpec, ExitPlanStatus]):
    """The way out of a cloud, or of all clouds of a provider: counted, rehearsed, and walked.

    Its status says how many machines could leave now, within policies, quotas and room, and names each one that could not with the
    reason.
    To rehearse or execute it makes one InstanceMigration for each machine and follows them: group by group, a few at once. It goes
    on wherever it was interrupted.

    An executed exit may leave machines where spec.placement of their HostedInstance does not say (PlacementOverridden): a wish is
    overridden, a SovereigntyPolicy never. In the namespace of the cloud that is left it moves the machines of every namespace; in
    another one only those of its own.

    Look with: kubectl get exit -o wide; kubectl describe exit NAME; kubectl get mig -A -l sovereigncloud.io/exit-plan=NAME.

    Deleting the object makes no further moves; those that are under way end by themselves.
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
