"""What every kind of the group shares: references, policies, conditions, drift entries, the envelope.

The models are the single source of the CRDs (`api/crd.py`) and of what the operator reads. Objects read from the
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
INSTALLATION_LABEL = f"{GROUP}/installation"


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
    """A part of the language: camelCase outside, immutable inside."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_enum_values=False
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = ()


Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of a Kubernetes object (RFC 1123)."""

OutsideName = Annotated[str, Field(min_length=1, max_length=128)]
"""A name outside Kubernetes, in OpenNebula or OVHcloud: free text there."""

Token = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
"""A one-time request: done once per token, remembered outside."""

Quantity = Annotated[
    Annotated[int, Field(ge=0)]
    | Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$", max_length=32)],
    Field(json_schema_extra={"x-quantity": True}),
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
    """Who acts: the operator, the operator after approval of its plan, or nobody."""

    MANAGE = "Manage"
    APPROVE = "Approve"
    OBSERVE = "Observe"


class DeletionPolicy(StrEnum):
    """What happens outside when the object is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class DriftAction(StrEnum):
    """What to do about a difference that came from outside."""

    CORRECT = "Correct"
    REPORT = "Report"
    IGNORE = "Ignore"


class Consent(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


class SecretRef(Model):
    """A Secret in the namespace of the object that names it. Secrets never cross namespaces."""

    name: Name = Field(description="Name of the Secret.")


class SecretKeyRef(Model):
    """One key of a Secret in the namespace of the object that names it."""

    name: Name = Field(description="Name of the Secret.")
    key: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Key in the Secret; absent: its only key."
    )


class CloudRef(Model):
    """A SovereignCloud."""

    name: Name = Field(description="Name of the SovereignCloud.")
    namespace: Name | None = Field(
        default=None,
        description="Its namespace; absent: this object's own. Another namespace needs a Tenant that lists both.",
    )


class FieldDriftPolicy(Model):
    """What to do about drift of one field."""

    path: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Path of the field as status.drift names it, for example spec.memory; a prefix covers what is below."
    )
    action: Literal[DriftAction.CORRECT, DriftAction.REPORT, DriftAction.IGNORE] = Field(
        description="Correct: bring it back. Report: say it, change nothing. Ignore: say it as ignored, not counted."
    )


class DriftPolicy(Model):
    """What happens when reality was changed behind the operator's back."""

    default: Literal[DriftAction.CORRECT, DriftAction.REPORT] | None = Field(
        default=None, description="For fields not listed. Default: Correct."
    )
    fields: Annotated[list[FieldDriftPolicy], Field(max_length=64)] | None = Field(
        default=None,
        description="Exceptions by field.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"]},
    )

    def action_for(self, path: str) -> DriftAction:
        """The most specific listed prefix of the path decides, else the default."""
        matching = [f for f in self.fields or () if path == f.path or path.startswith((f"{f.path}.", f"{f.path}["))]
        if matching:
            return max(matching, key=lambda f: len(f.path)).action
        return self.default or DriftAction.CORRECT


class Managed(Model):
    """What the spec of every kind that drives something outside has."""

    name: OutsideName | None = Field(default=None, description="Name outside Kubernetes. Default: metadata.name.")
    management: Management | None = Field(
        default=None,
        description="Manage (default): keep it as declared. Approve: a plan waits until spec.approvedPlan equals its"
        " hash. Observe: never write or delete outside, only fill status.plan and status.drift.",
    )
    approved_plan: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Hash of the plan (status.plan.hash) that may be carried out once."
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None, description="Delete or Retain what exists outside when this object is deleted."
    )
    drift_policy: DriftPolicy | None = Field(
        default=None,
        description="What happens when reality was changed behind the operator's back. Default: Correct. On a"
        " SovereignCloud it holds for its servers and networks, too.",
    )


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the observed state."""

    # No observedGeneration of its own: `kubectl wait` prefers it over the top-level one and times out if it is stale.
    type: Annotated[str, Field(max_length=64)] = Field(description="Ready, Reconciling, Stalled, Drifted, Paused, ...")
    status: Literal[ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN] = Field(
        description="True, False or Unknown."
    )
    reason: Annotated[str, Field(max_length=128)] = Field(description="One CamelCase word for programs.")
    message: Annotated[str, Field(max_length=4096)] = Field(default="", description="A sentence a person can act on.")
    last_transition_time: Annotated[str, Field(max_length=32)] = Field(
        default="", description="When the status of this condition last changed."
    )


class DriftEntry(Model):
    """One field in which reality differs from what is declared."""

    path: Annotated[str, Field(max_length=253)] = Field(description="Path of the field, for example spec.memory.")
    desired: Annotated[str, Field(max_length=1024)] = Field(default="", description="What is declared.")
    observed: Annotated[str, Field(max_length=1024)] = Field(default="", description="What was found.")
    action: Annotated[str, Field(max_length=16)] = Field(default="", description="Correcting, Reported or Ignored.")
    since: Annotated[str, Field(max_length=32)] = Field(default="", description="When it was first seen.")


class PlanStep(Model):
    """One thing that would be done outside."""

    action: Annotated[str, Field(max_length=32)] = Field(description="Create, Update, Replace, Delete, ...")
    target: Annotated[str, Field(max_length=253)] = Field(description="What it would be done to.")
    fields: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=64)] | None = Field(
        default=None, description="The fields of spec that ask for it."
    )
    disruption: Annotated[str, Field(max_length=16)] = Field(
        default="None", description="None, Restart, Rebuild or DataLoss."
    )
    cost: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="What it would cost, if known."
    )
    needs: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="The field to set before it is done."
    )


class PlanStatus(Model):
    """What the operator would do next, and the hash that approves it."""

    hash: Annotated[str, Field(max_length=64)] = Field(description="Set spec.approvedPlan to this to carry it out.")
    steps: Annotated[list[PlanStep], Field(max_length=64)] = Field(default=[], description="In order.")


class Status(Model):
    """What the status of every kind has. Nothing in it is required (the CRD's default must be valid)."""

    observed_generation: int | None = Field(
        default=None, description="The generation of spec that this status speaks of."
    )
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        default=None,
        description="Ready always; Reconciling, Stalled and Paused while true; Drifted once observed.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    drift: Annotated[list[DriftEntry], Field(max_length=64)] | None = Field(
        default=None,
        description="Where reality differs from what is declared, field by field.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"]},
    )
    plan: PlanStatus | None = Field(default=None, description="What would be done next.")
    external: dict[str, Annotated[str, Field(max_length=512)]] | None = Field(
        default=None, description="Ids outside: in OpenNebula, at OVHcloud.", json_schema_extra={"maxProperties": 32}
    )
    last_handled_reconcile_at: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="The last value of the annotation reconcile-requested-at that was acted upon."
    )
    last_approved_plan: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The last value of spec.approvedPlan that was carried out; it does not count twice."
    )
    drift_count: int | None = Field(
        default=None, description="For the DRIFT column: the number of drifted fields, absent when none."
    )

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, or None."""
        return next((c for c in self.conditions or () if c.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Whether the condition of that type is there and True."""
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
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()


SpecT_co = TypeVar("SpecT_co", bound=Managed, covariant=True)
StatusT_co = TypeVar("StatusT_co", bound=Status, covariant=True)


class Column(Model):
    """A column of `kubectl get`."""

    name: str
    json_path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


class Crd(Model):
    """What a kind's CustomResourceDefinition says beside its schema."""

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
        """Whether it carries the operator's finalizer: something outside may have been attempted."""
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
        """Whether this generation was reality once: from then on a difference is drift, before it is work to do."""
        return self.status.observed_generation == self.metadata.generation and (
            self.status.is_true("Ready") or self.status.is_true("Drifted")
        )

    @property
    def external(self) -> dict[str, str]:
        return self.status.external or {}
