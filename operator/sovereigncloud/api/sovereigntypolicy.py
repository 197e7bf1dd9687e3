"""SovereigntyPolicy: where things may be, under whose law, with which certificates. Written by the compliance officer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sovereigncloud.api.common.base import (
    WORDS,
    Column,
    Crd,
    DeletionPolicy,
    Duration,
    Model,
    Name,
    Resource,
    Ruling,
    Status,
)
from sovereigncloud.api.common.policy_terms import Border, CoveredPart, Day, EvidenceGrade, WrittenGrade

LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        json_schema_extra={WORDS: "must be the key of a label: for example data-class or example.fr/data-class"},
    ),
]
LabelValue = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        json_schema_extra={WORDS: "must be the value of a label: letters, digits, -, _ and ., for example restricted"},
    ),
]
Scheme = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        json_schema_extra={WORDS: "must be one word, as a ProviderProfile names it: for example ISO27001"},
    ),
]
MAX_COUNTRIES, MAX_CLOUDS = 64, 64


class Enforcement(StrEnum):
    """What happens to whoever asks for what the policy does not allow."""

    AUDIT = "Audit"
    ENFORCE = "Enforce"


class OnViolation(StrEnum):
    """What happens where something that runs breaks the policy."""

    REPORT = "Report"
    HOLD = "Hold"
    RELOCATE = "Relocate"


class ForeignAffiliates(StrEnum):
    """What is said to companies of the same group that are under another law."""

    ALLOW = "Allow"
    DISCLOSE = "Disclose"
    FORBID = "Forbid"


class CertificateScope(StrEnum):
    DATACENTER = "Datacenter"
    PROVIDER = "Provider"


class LabelOperator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(Model):
    """One condition on labels."""

    key: LabelKey = Field(description="Which label of the namespace is looked at, for example data-class.")
    operator: LabelOperator = Field(
        description="What is asked of it. In: it has one of the values. NotIn: it has none of them, or is not there. Exists: it is"
        " there. DoesNotExist: it is not."
    )
    values: Annotated[list[LabelValue], Field(max_length=32)] | None = Field(
        default=None, description="Values for In and NotIn. Absent with Exists and DoesNotExist."
    )


class NamespaceSelector(Model):
    """Namespaces, by their labels, as everywhere in Kubernetes."""

    match_labels: dict[str, LabelValue] | None = Field(
        default=None,
        description="Labels that a namespace must have, each with this value. Absent: none.",
        json_schema_extra={"maxProperties": 16},
    )
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=16)] | None = Field(
        default=None, description="Further conditions, all of which must be met. Absent: none."
    )


class PolicyCloud(Model):
    """A SovereignCloud, by its name and namespace: a policy is in none itself."""

    name: Name = Field(description="Name of the SovereignCloud, its metadata.name.")
    namespace: Name = Field(description="Where the SovereignCloud object is, its metadata.namespace.")


class AppliesTo(Model):
    """What the policy binds. It lies with the policy, so that nobody who is bound can opt out."""

    namespace_selector: NamespaceSelector | None = Field(
        default=None, description="Namespaces whose objects are bound, by their labels. Absent: all of them."
    )
    clouds: Annotated[list[PolicyCloud], Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Only what is in one of these clouds is bound. Absent: whichever cloud it is in."
    )


class Residency(Model):
    """Where things may be."""

    allowed_countries: Annotated[list[Border], Field(min_length=1, max_length=MAX_COUNTRIES)] = Field(
        description="Countries by their ISO 3166-1 code; EU and EEA stand for their members. GB and CH are in neither.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    covers: Annotated[list[CoveredPart], Field(min_length=1, max_length=5)] | None = Field(
        default=None,
        description="What must be in one of these countries. compute: the host. storage: the datastores of the disks. images: those"
        " that machines are made of. backups: where they are kept. controlPlane: the front-ends. Absent: all of them.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    min_grade: EvidenceGrade | None = Field(
        default=None,
        description="How well the country must be known at least. Observed: the operator asked OVHcloud. Attested: a third"
        " party confirmed what a ProviderProfile says. Declared (default): somebody wrote it down.",
    )


class Jurisdiction(Model):
    """Under whose law the provider may be."""

    allowed: Annotated[list[Border], Field(min_length=1, max_length=MAX_COUNTRIES)] = Field(
        description="Countries, EU or EEA: the legal entity and its ultimate parent must be in one of them.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    foreign_affiliates: ForeignAffiliates | None = Field(
        default=None,
        description="What companies of the same group outside these countries mean, who may be ordered to hand over data."
        " Allow: nothing. Disclose (default): it is compliant and they are named. Forbid: it is not.",
    )


class CertificationDemand(Model):
    """One of these certificates is asked for."""

    any_of: Annotated[list[Scheme], Field(min_length=1, max_length=16)] = Field(
        description="Schemes, as the ProviderProfile names them; one of them suffices.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    scope: CertificateScope | None = Field(
        default=None,
        description="What it must be about. Datacenter (default): it lists each datacenter in which something is. Provider: the"
        " provider has it, wherever.",
    )
    min_grade: WrittenGrade | None = Field(
        default=None,
        description="How well it must be known at least. Attested: the certificate itself was looked at. Declared (default):"
        " somebody wrote it down.",
    )


class ExitDemand(Model):
    """How well the way out must be known."""

    rehearsal_max_age: Duration | None = Field(
        default=None,
        description="How long ago the last rehearsal of an exit may be, for example 8760h. Absent: none is asked for.",
    )
    max_duration: Duration | None = Field(
        default=None, description="How long leaving may take at most, for example 720h. Absent: as long as it takes."
    )


class PolicyException(Model):
    """What is let be although a rule says otherwise: for a time, with a name to it."""

    rule: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^(residency|jurisdiction|certification|exit)\.[A-Za-z0-9][-A-Za-z0-9_.|]*$",
            json_schema_extra={
                WORDS: "must be a rule as the condition Compliant names it: residency.compute, jurisdiction.legalEntity,"
                " certification.ISO27001 or another"
            },
        ),
    ] = Field(description="The rule as the condition Compliant names it, for example residency.backups.")
    namespace: Name = Field(description="Namespace of what is let be.")
    name: Name | None = Field(
        default=None, description="Name of the object that is let be. Absent: each one of that namespace."
    )
    reason: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Why, for whoever audits: for example a ticket."
    )
    approved_by: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Who answers for it, for example dpo@example.fr."
    )
    expires: Day = Field(description='The last day on which it holds (UTC), for example "2027-06-30".')


class SovereigntyPolicySpec(Ruling):
    """Rules. What is absent is not asked for."""

    applies_to: AppliesTo | None = Field(
        default=None, description="What it binds. Absent: everything, in all namespaces and clouds."
    )
    enforcement: Enforcement | None = Field(
        default=None,
        description="Audit (default): what breaks it is reported and nothing is refused. Enforce: the API server refuses what"
        " asks for it, and nothing is placed where it would break it. What runs is neither stopped nor deleted.",
    )
    on_violation: OnViolation | None = Field(
        default=None,
        description="What happens where a machine breaks it. Report (default): it is said. Hold: with Enforce also nothing new"
        " of the bound namespaces is placed in that cloud until it is over. Relocate: as Hold, and with Enforce the"
        " machine is moved, once, to a cloud that is allowed (an InstanceMigration), unless its spec.updatePolicy.move is Deny.",
    )
    residency: Residency | None = Field(default=None, description="Where things may be. Absent: anywhere.")
    jurisdiction: Jurisdiction | None = Field(
        default=None, description="Under whose law the provider may be. Absent: under any."
    )
    certifications: Annotated[list[CertificationDemand], Field(min_length=1, max_length=16)] | None = Field(
        default=None, description="Certificates, each of which must be there. Absent: none."
    )
    exit: ExitDemand | None = Field(
        default=None, description="How well the way out must be known. Absent: it is not asked for."
    )
    exceptions: Annotated[list[PolicyException], Field(max_length=64)] | None = Field(
        default=None, description="What is let be for a time although a rule says otherwise. Absent: nothing."
    )


def _set() -> dict[str, Any]:
    return {"x-kubernetes-list-type": "set"}


class SovereigntyPolicyStatus(Status):
    effective_countries: Annotated[list[Annotated[str, Field(max_length=2)]], Field(max_length=256)] | None = Field(
        default=None,
        description="The countries that are allowed, with EU and EEA as their members. The API server reads them when somebody"
        " applies something.",
        json_schema_extra=_set(),
    )
    allowed_clouds: Annotated[list[Annotated[str, Field(max_length=507)]], Field(max_length=256)] | None = Field(
        default=None,
        description="The clouds, namespace/name, in which at least one cluster meets the policy. The API server reads them when"
        " somebody applies something.",
        json_schema_extra=_set(),
    )
    held_clouds: Annotated[list[Annotated[str, Field(max_length=507)]], Field(max_length=256)] | None = Field(
        default=None,
        description="The clouds, namespace/name, in which a machine breaks the policy, so that nothing new is placed there.",
        json_schema_extra=_set(),
    )
    live_exceptions: Annotated[list[Annotated[str, Field(max_length=507)]], Field(max_length=64)] | None = Field(
        default=None,
        description="For whom an exception from residency holds today: namespace/name, or namespace/* for all of a namespace.",
        json_schema_extra=_set(),
    )
    enforcement: str | None = Field(
        default=None, description="Whether it is Audit or Enforce, also where spec says nothing and it is Audit."
    )
    countries: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="The countries that are allowed, as they are written in spec, for example EU."
    )
    clouds: str | None = Field(
        default=None, description="How many clouds are allowed, and how many there are, for example 2/3."
    )
    compliant: str | None = Field(
        default=None,
        description="How many of the bound objects meet all that is asked of them, and how many are bound, for example 12/14.",
    )


class SovereigntyPolicy(Resource[SovereigntyPolicySpec, SovereigntyPolicyStatus]):
    """Where things may be, under whose law, with which certificates: rules, written by the compliance officer.

    It binds by labels of namespaces and by clouds, which lie with the policy: who is bound cannot opt out. Where several bind,
    all of them must be met. Facts are not in it: where something is, the operator observes, and who the provider is stands in
    a ProviderProfile. What is not known does not meet it.

    With enforcement Audit, the default, everything is reported and nothing refused: begin with it. With Enforce the API server
    refuses what breaks it, with the name of the policy and the remedy, also while the operator is down, and nothing is placed
    where it would break it. What runs is never stopped or deleted.

    Look with: kubectl get spol -o wide; kubectl describe spol NAME. The condition Compliant of a SovereignCloud or a
    HostedInstance names the policy, the rule, the fact, where it is known from and since when. What is allowed now is in status.

    Deleting the object takes it off: nothing is refused any more.
    """

    crd: ClassVar[Crd] = Crd(
        kind="SovereigntyPolicy",
        plural="sovereigntypolicies",
        short_names=("spol",),
        namespaced=False,
        columns=(
            Column(name="Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Reason", json_path='.status.conditions[?(@.type=="Ready")].reason'),
            Column(name="Enforcement", json_path=".status.enforcement"),
            Column(name="Compliant", json_path=".status.compliant"),
            Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
            Column(name="Countries", json_path=".status.countries", priority=1),
            Column(name="Clouds", json_path=".status.clouds", priority=1),
            Column(name="Message", json_path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        ),
    )
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
