"""Types shared by all kinds: references, policies, conditions, drift entries, base classes.

The models are the single source of the CRDs (`api/schema/crd.py`) and of what the operator reads. Objects read from the
cluster ignore unknown fields, so that an older operator can read newer objects; files given to the CLI forbid them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "sovereigncloud.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FINALIZER = f"{GROUP}/finalizer"
PAUSED = f"{GROUP}/paused"
RECONCILE_REQUESTED_AT = f"{GROUP}/reconcile-requested-at"


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule that the API server checks at apply.

    Attributes:
        rule: the expression; `self` is the object it stands on, `oldSelf` the same before an update.
        message: what is wrong and what to do.
        field: path below `self` that an error names, for example .publicBlock; empty: `self`.
    """

    rule: str
    message: str
    field: str = ""

    def as_validation(self) -> dict[str, str]:
        """As an entry of `x-kubernetes-validations`."""
        place = {"fieldPath": self.field} if self.field else {}
        return {"rule": self.rule, "message": self.message, **place}


class Model(BaseModel):
    """Base of all API models: camelCase in manifests, immutable in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_enum_values=False
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = ()


WORDS = "x-words"
"""In the `json_schema_extra` of a field with a pattern: what the API server says instead of showing the pattern."""

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        json_schema_extra={
            WORDS: "must be the name of a Kubernetes object: lower case letters, digits, - and ., for example ovh-rbx"
        },
    ),
]
"""The name of a Kubernetes object (RFC 1123)."""

OutsideName = Annotated[str, Field(min_length=1, max_length=128)]
"""A name outside Kubernetes, in OpenNebula or OVHcloud: free text there."""

Token = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        json_schema_extra={
            WORDS: "must be one word of letters, digits, -, _ and ., which begins and ends with a letter or digit: for"
            " example 2026-11-first"
        },
    ),
]
"""A one-time request: done once per token, remembered outside."""

Quantity = Annotated[
    Annotated[int, Field(ge=0)]
    | Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$", max_length=32)],
    Field(
        json_schema_extra={
            "x-quantity": True,
            WORDS: "must be a quantity without a space: a number, and for more than bytes a suffix, for example 4Gi, 512Mi"
            " or 500m",
        }
    ),
]
"""A Kubernetes quantity: 4Gi, 500m, 2. Parsed by `core.quantity`."""

Duration = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", max_length=32)]
"""A Go duration: 300s, 24h. (pydantic's own timedelta refuses 24h, which the API server would accept.)"""


class Key(NamedTuple):
    """Identifies an object in the store and the queue."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Management(StrEnum):
    """Who may write to the external system."""

    MANAGE = "Manage"
    APPROVE = "Approve"
    OBSERVE = "Observe"


class DeletionPolicy(StrEnum):
    """What happens to the external resource when the object is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class DriftAction(StrEnum):
    """How to handle a change made outside the operator."""

    CORRECT = "Correct"
    REPORT = "Report"
    IGNORE = "Ignore"


class Consent(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


class SecretRef(Model):
    """A Secret in the namespace of this object. Secrets never cross namespaces."""

    name: Name = Field(description="Name of the Secret, in the namespace of this object.")


class SecretKeyRef(Model):
    """A key of a Secret in the namespace of this object."""

    name: Name = Field(description="Name of the Secret, in the namespace of this object.")
    key: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Key of the Secret. Absent: userData, or the only key of the Secret."
    )


class CloudRef(Model):
    """Reference to a SovereignCloud by name."""

    name: Name = Field(description="The metadata.name of the SovereignCloud object.")
    namespace: Name | None = Field(
        default=None,
        description="Namespace of the SovereignCloud. Absent: the namespace of this object. Another namespace requires a"
        " Tenant that lists both the cloud and the namespace of this object.",
    )


class FieldDriftPolicy(Model):
    """Drift action for one field."""

    path: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Path of the field as status.drift shows it, for example spec.memory. It also covers all fields below"
        " it; if several entries match, the longest path applies."
    )
    action: Literal[DriftAction.CORRECT, DriftAction.REPORT, DriftAction.IGNORE] = Field(
        description="Correct: restore the declared value. Report: list the difference in status.drift and change nothing."
        " Ignore: list it as ignored and neither count nor correct it."
    )


class DriftPolicy(Model):
    """How to handle changes made outside the operator."""

    default: Literal[DriftAction.CORRECT, DriftAction.REPORT] | None = Field(
        default=None,
        description="Action for fields that are not listed in fields. Correct (default): restore the declared value."
        " Report: list the difference in status.drift and change nothing.",
    )
    fields: Annotated[list[FieldDriftPolicy], Field(max_length=64)] | None = Field(
        default=None,
        description="Exceptions for single fields. Absent: the default applies to all fields.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"]},
    )

    def action_for(self, path: str) -> DriftAction:
        """Return the drift action of a path: that of its longest listed prefix, else the default."""
        matching = [f for f in self.fields or () if path == f.path or path.startswith((f"{f.path}.", f"{f.path}["))]
        if matching:
            return max(matching, key=lambda f: len(f.path)).action
        return self.default or DriftAction.CORRECT


class Managed(Model):
    """Spec fields of every kind that manages an external resource."""

    name: OutsideName | None = Field(
        default=None,
        description="Name in the external system (OpenNebula or OVHcloud), which may allow other characters. Default:"
        " metadata.name.",
    )
    management: Management | None = Field(
        default=None,
        description="Who may write to the external system. Manage (default): the operator applies spec and corrects drift."
        " Approve: the operator waits with every plan until spec.approvedPlan equals its hash. Observe: the"
        " operator writes and deletes nothing and only fills status.plan and status.drift. A SovereignCloud"
        " passes its value on to everything in it; the stricter of the two values applies.",
    )
    approved_plan: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="Hash of the plan to execute once: copy it from status.plan.hash. Absent: no plan is approved. The"
        " approval becomes void when spec or the observed state changes, because the plan then has another hash.",
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None,
        description="What happens to the external resource when this object is deleted. Delete: the operator deletes it."
        " Retain: it stays and is no longer managed. Default: Retain for SovereignCloud and BareMetalServer"
        " (they cost money), FederatedZone (joining again loses data) and InstanceMigration (the source VM"
        " remains); Delete for all other kinds. An adopted resource stays unless this field is Delete.",
    )
    drift_policy: DriftPolicy | None = Field(
        default=None,
        description="How the operator handles drift, that is changes made outside the operator. Default: it restores the"
        " declared values. A SovereignCloud passes this policy on to its servers and networks.",
    )


class Ruling(Model):
    """Base spec of kinds that only declare rules or facts and manage no external resource."""

    name: ClassVar[None] = None
    management: ClassVar[None] = None
    approved_plan: ClassVar[None] = None
    deletion_policy: ClassVar[None] = None
    drift_policy: ClassVar[None] = None


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One condition of the object."""

    # No observedGeneration of its own: `kubectl wait` prefers it over the top-level one and times out if it is stale.
    type: Annotated[str, Field(max_length=64)] = Field(
        description="Condition type: Ready, Reconciling (work is in progress or waits), Stalled (needs a user action),"
        " Drifted, Paused or a type of this kind."
    )
    status: Literal[ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN] = Field(
        description="True: the condition holds. False: it does not. Unknown: it could not be observed."
    )
    reason: Annotated[str, Field(max_length=128)] = Field(
        description="Reason for the status in CamelCase, for programs; the troubleshooting page explains each reason."
    )
    message: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Explanation for people, with the action to take if one is needed."
    )
    last_transition_time: Annotated[str, Field(max_length=32)] = Field(
        default="", description="Time of the last change of status (RFC 3339, UTC)."
    )


class DriftEntry(Model):
    """One field whose observed value differs from spec."""

    path: Annotated[str, Field(max_length=253)] = Field(
        description="Path of the field that differs, for example spec.memory."
    )
    desired: Annotated[str, Field(max_length=1024)] = Field(default="", description="Value declared in spec.")
    observed: Annotated[str, Field(max_length=1024)] = Field(
        default="", description="Value found in the external system."
    )
    action: Annotated[str, Field(max_length=16)] = Field(
        default="",
        description="How the operator handles the difference. Correcting: it restores the declared value. Reported: it"
        " changes nothing; the condition Drifted explains why. Ignored: it changes nothing because driftPolicy"
        " ignores this field.",
    )
    since: Annotated[str, Field(max_length=32)] = Field(
        default="", description="Time when the difference was first observed (RFC 3339, UTC)."
    )


class PlanStep(Model):
    """One planned change of an external resource."""

    action: Annotated[str, Field(max_length=32)] = Field(
        description="Action: Create, Update, Replace, Delete, Attach, Detach, Reinstall, Install, Mark, Move, BackUp,"
        " Snapshot, Schedule or Restore."
    )
    target: Annotated[str, Field(max_length=253)] = Field(
        description="Resource that the step changes, for example VM 12."
    )
    fields: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=64)] | None = Field(
        default=None, description="Paths of the spec fields that cause the step."
    )
    disruption: Annotated[str, Field(max_length=16)] = Field(
        default="None",
        description="Effect on running VMs. None: no effect. Connection: a NIC is detached and attached again. Restart: a"
        " VM is stopped and started. Rebuild: a VM is created again. DataLoss: data is lost.",
    )
    cost: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="Cost of the step in the account's currency, if known."
    )
    needs: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Field of spec, with its value, that must be set before the step runs."
    )


class PlanStatus(Model):
    """Pending plan with the hash that approves it."""

    hash: Annotated[str, Field(max_length=64)] = Field(
        description="Hash of these steps. Set spec.approvedPlan to it to execute them."
    )
    steps: Annotated[list[PlanStep], Field(max_length=64)] = Field(
        default=[], description="Planned steps in execution order."
    )


class Status(Model):
    """Status fields of every kind. No field is required, because the CRD's default must be valid."""

    observed_generation: int | None = Field(
        default=None,
        description="The metadata.generation that this status describes; if it is lower, the operator has not processed the"
        " current spec yet. -1: never processed.",
    )
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        default=None,
        description="Conditions of the object. Ready is always present; Reconciling, Stalled and Paused only while they are"
        " true; Drifted after the first observation.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    drift: Annotated[list[DriftEntry], Field(max_length=64)] | None = Field(
        default=None,
        description="Fields whose observed value differs from spec; the first 64 of them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"]},
    )
    plan: PlanStatus | None = Field(
        default=None,
        description="Pending plan that the operator does not execute, because it is paused, management is Observe, or a"
        " field of spec has to approve it.",
    )
    external: dict[str, Annotated[str, Field(max_length=512)]] | None = Field(
        default=None,
        description="IDs of the object's resources in OpenNebula and at OVHcloud, and of requests in progress there.",
        json_schema_extra={"maxProperties": 32},
    )
    last_handled_reconcile_at: Annotated[str, Field(max_length=253)] | None = Field(
        default=None,
        description="Last handled value of the annotation sovereigncloud.io/reconcile-requested-at.",
    )
    last_approved_plan: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="Last executed value of spec.approvedPlan; it approves nothing a second time.",
    )
    drift_count: int | None = Field(
        default=None, description="Number of drifted fields that are not ignored. Absent if there are none."
    )

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, or None."""
        return next((c for c in self.conditions or () if c.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Return whether the condition of that type exists and is True."""
        found = self.condition(kind)
        return found is not None and found.status == ConditionStatus.TRUE


class OwnerReference(Model):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class Metadata(Model):
    """The parts of ObjectMeta that the operator reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    # Made anew: a value as default would be copied deeply, for each of ten thousand objects in each sweep.
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()


SpecT_co = TypeVar("SpecT_co", bound=Managed | Ruling, covariant=True)
StatusT_co = TypeVar("StatusT_co", bound=Status, covariant=True)


class Column(Model):
    """A column of `kubectl get`."""

    name: str
    json_path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


def columns(*usual: Column, wide: tuple[Column, ...] = ()) -> tuple[Column, ...]:
    """Return the printer columns of a kind: Ready and its reason, own columns, drift and age.

    `wide`: own columns for `-o wide`, where the pending plan and the message of Ready follow.
    """
    ready = '.status.conditions[?(@.type=="Ready")]'
    return (
        Column(name="Ready", json_path=f"{ready}.status"),
        Column(name="Reason", json_path=f"{ready}.reason"),
        *usual,
        Column(name="Drift", json_path=".status.driftCount", type="integer"),
        Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
        *(column.model_copy(update={"priority": 1}) for column in wide),
        Column(name="Plan", json_path=".status.plan.hash", priority=1),
        Column(name="Message", json_path=f"{ready}.message", priority=1),
    )


class Crd(Model):
    """Metadata of a kind's CustomResourceDefinition other than its schema."""

    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    namespaced: bool = True


class Resource(Model, Generic[SpecT_co, StatusT_co]):
    """An object of the group as read from the API server."""

    crd: ClassVar[Crd]
    default_deletion_policy: ClassVar[DeletionPolicy]

    api_version: str = API_VERSION
    kind: str = ""
    metadata: Metadata
    spec: SpecT_co
    status: StatusT_co

    @property
    def key(self) -> Key:
        return Key(self.crd.kind, self.metadata.namespace, self.metadata.name)

    @property
    def outside_name(self) -> str:
        """`spec.name`, else `metadata.name`."""
        return self.spec.name or self.metadata.name

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def finalized(self) -> bool:
        """Whether the object has the operator's finalizer, so external resources may exist."""
        return FINALIZER in self.metadata.finalizers

    @property
    def deletion_policy(self) -> DeletionPolicy:
        """`spec.deletionPolicy`, else the kind's default: Retain for what costs money or holds data."""
        return self.spec.deletion_policy or self.default_deletion_policy

    @property
    def paused(self) -> bool:
        return self.metadata.annotations.get(PAUSED) == "true"

    @property
    def settled(self) -> bool:
        """Whether this generation was fully applied once: later differences count as drift, not as pending work."""
        return self.status.observed_generation == self.metadata.generation and (
            self.status.is_true("Ready") or self.status.is_true("Drifted")
        )

    @property
    def external(self) -> dict[str, str]:
        return self.status.external or {}
