"""What every kind of the group shares: references, policies, conditions, drift entries, the envelope.

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
    """A part of the language: camelCase outside, immutable inside."""

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

    name: Name = Field(description="Name of the Secret, in the namespace of this object.")


class SecretKeyRef(Model):
    """One key of a Secret in the namespace of the object that names it."""

    name: Name = Field(description="Name of the Secret, in the namespace of this object.")
    key: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Which of its keys. Absent: userData, or the only key that the Secret has."
    )


class CloudRef(Model):
    """A SovereignCloud, by its name."""

    name: Name = Field(description="Name of the SovereignCloud, its metadata.name.")
    namespace: Name | None = Field(
        default=None,
        description="Namespace of the SovereignCloud. Absent: that of this object. Another one needs a Tenant that"
        " lists the cloud and the namespace of this object.",
    )


class FieldDriftPolicy(Model):
    """What to do about drift of one field."""

    path: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Path of the field as status.drift names it, for example spec.memory. A prefix covers what is below it,"
        " and of several the longest decides."
    )
    action: Literal[DriftAction.CORRECT, DriftAction.REPORT, DriftAction.IGNORE] = Field(
        description="Correct: bring the field back to what is declared. Report: list it in status.drift and change nothing."
        " Ignore: list it as ignored, neither counted nor mended."
    )


class DriftPolicy(Model):
    """What happens when reality was changed behind the operator's back."""

    default: Literal[DriftAction.CORRECT, DriftAction.REPORT] | None = Field(
        default=None,
        description="For the fields that are not listed below. Correct (default): bring them back to what is declared."
        " Report: list them in status.drift and change nothing.",
    )
    fields: Annotated[list[FieldDriftPolicy], Field(max_length=64)] | None = Field(
        default=None,
        description="Exceptions, field by field. Absent: the default holds for all of them.",
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

    name: OutsideName | None = Field(
        default=None, description="Name outside Kubernetes, where it may hold other characters. Default: metadata.name."
    )
    management: Management | None = Field(
        default=None,
        description="Who acts. Manage (default): the operator keeps it as declared. Approve: a plan waits until"
        " spec.approvedPlan equals its hash. Observe: nothing is written or deleted outside, only status.plan and"
        " status.drift are filled. On a SovereignCloud it holds for all that is in it; the stricter of two wishes wins.",
    )
    approved_plan: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="Hash of the plan that may be carried out, once: copy it from status.plan.hash. Absent: nothing is"
        " approved. It is void as soon as reality or spec changed, since the plan is another one then.",
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None,
        description="What becomes of the thing outside when this object is deleted. Delete: it is deleted, too. Retain: it"
        " stays as it is and nobody manages it any more. Default: Retain for a SovereignCloud and a BareMetalServer, which"
        " cost money, a FederatedZone, which is not joined again without loss, and an InstanceMigration, which left a machine;"
        " Delete for other kinds. What a person made"
        " and the operator adopted stays unless this says Delete.",
    )
    drift_policy: DriftPolicy | None = Field(
        default=None,
        description="What happens when somebody changed reality behind the operator's back. Default: it is brought back to"
        " what is declared. On a SovereignCloud it holds for its servers and networks, too.",
    )


class Ruling(Model):
    """The spec of a kind that says what is to hold, and stands for nothing outside: there is nothing to manage, adopt or keep."""

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
    """One aspect of the observed state."""

    # No observedGeneration of its own: `kubectl wait` prefers it over the top-level one and times out if it is stale.
    type: Annotated[str, Field(max_length=64)] = Field(
        description="Which aspect: Ready, Reconciling (something is under way or waits), Stalled (a person must act),"
        " Drifted, Paused."
    )
    status: Literal[ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN] = Field(
        description="True: it is so. False: it is not. Unknown: nobody could look yet."
    )
    reason: Annotated[str, Field(max_length=128)] = Field(
        description="Why, in one CamelCase word that programs can rely on and the documentation explains."
    )
    message: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="What is the case and what to do about it, for people."
    )
    last_transition_time: Annotated[str, Field(max_length=32)] = Field(
        default="", description="When this condition last became True, False or Unknown (RFC 3339, UTC)."
    )


class DriftEntry(Model):
    """One field in which reality differs from what is declared."""

    path: Annotated[str, Field(max_length=253)] = Field(
        description="Path of the field that differs, for example spec.memory."
    )
    desired: Annotated[str, Field(max_length=1024)] = Field(default="", description="What spec declares.")
    observed: Annotated[str, Field(max_length=1024)] = Field(default="", description="What was found outside.")
    action: Annotated[str, Field(max_length=16)] = Field(
        default="",
        description="What is done about it. Correcting: it is being mended. Reported: nothing, and the condition Drifted says"
        " why. Ignored: nothing, since driftPolicy says so.",
    )
    since: Annotated[str, Field(max_length=32)] = Field(
        default="", description="When the difference was first seen (RFC 3339, UTC)."
    )


class PlanStep(Model):
    """One thing that would be done outside."""

    action: Annotated[str, Field(max_length=32)] = Field(
        description="What would be done: Create, Update, Replace, Delete, Attach, Detach, Reinstall, Install, Mark, Move,"
        " BackUp, Snapshot, Schedule or Restore."
    )
    target: Annotated[str, Field(max_length=253)] = Field(description="What it would be done to, for example VM 12.")
    fields: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=64)] | None = Field(
        default=None, description="Paths of the fields of spec that ask for it."
    )
    disruption: Annotated[str, Field(max_length=16)] = Field(
        default="None",
        description="What runs would notice. None: nothing. Connection: a network card is taken off and put back. Restart: a machine is stopped and started. Rebuild: it is made"
        " anew. DataLoss: data is lost.",
    )
    cost: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="What it would cost, in the currency of the account, where that is known."
    )
    needs: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="The field of spec to set before it is done, with its value."
    )


class PlanStatus(Model):
    """What the operator would do next, and the hash that approves it."""

    hash: Annotated[str, Field(max_length=64)] = Field(
        description="Names exactly these steps: set spec.approvedPlan to it to have them carried out."
    )
    steps: Annotated[list[PlanStep], Field(max_length=64)] = Field(
        default=[], description="What would be done, one after the other."
    )


class Status(Model):
    """What the status of every kind has. Nothing in it is required (the CRD's default must be valid)."""

    observed_generation: int | None = Field(
        default=None,
        description="The metadata.generation that this status speaks of; a lower number means that nobody has looked at"
        " the present spec yet. -1: never looked at.",
    )
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        default=None,
        description="How it is: Ready always; Reconciling, Stalled and Paused only while they are true; Drifted as soon as"
        " reality was looked at.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    drift: Annotated[list[DriftEntry], Field(max_length=64)] | None = Field(
        default=None,
        description="Where reality differs from what is declared, field by field; the first 64 of them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"]},
    )
    plan: PlanStatus | None = Field(
        default=None,
        description="What the operator would do next and does not: since it is paused, only observes, or waits for a word in"
        " spec.",
    )
    external: dict[str, Annotated[str, Field(max_length=512)]] | None = Field(
        default=None,
        description="Ids of what belongs to it outside, in OpenNebula and at OVHcloud, and requests that are under way there.",
        json_schema_extra={"maxProperties": 32},
    )
    last_handled_reconcile_at: Annotated[str, Field(max_length=253)] | None = Field(
        default=None,
        description="The last value of the annotation sovereigncloud.io/reconcile-requested-at that was acted upon.",
    )
    last_approved_plan: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="The last value of spec.approvedPlan that was carried out; it does not count a second time.",
    )
    drift_count: int | None = Field(
        default=None, description="The number of fields that drifted and are not ignored. Absent when there is none."
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
    """The columns of a kind: whether it is ready and why, what is its own, drift and age; with `-o wide` further ones of
    its own, the plan that may be approved, and the sentence about Ready.
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
