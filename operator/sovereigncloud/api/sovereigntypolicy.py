"""SovereigntyPolicy: rules on location, jurisdiction and certifications, written by a compliance officer."""

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
    """How violations are handled at admission and placement."""

    AUDIT = "Audit"
    ENFORCE = "Enforce"


class OnViolation(StrEnum):
    """Action when a running VM violates the policy."""

    REPORT = "Report"
    HOLD = "Hold"
    RELOCATE = "Relocate"


class ForeignAffiliates(StrEnum):
    """How to treat affiliates in other jurisdictions."""

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
    """One requirement on labels."""

    key: LabelKey = Field(description="Label key, for example data-class.")
    operator: LabelOperator = Field(
        description="Operator of the requirement. In: the label has one of the values. NotIn: the label has none of the"
        " values or is missing. Exists: the label is present. DoesNotExist: the label is missing."
    )
    values: Annotated[list[LabelValue], Field(max_length=32)] | None = Field(
        default=None, description="Label values for In and NotIn. Absent with Exists and DoesNotExist."
    )


class NamespaceSelector(Model):
    """Selects namespaces by their labels, as a Kubernetes label selector."""

    match_labels: dict[str, LabelValue] | None = Field(
        default=None,
        description="Labels that the namespace must have with these values. Absent: none.",
        json_schema_extra={"maxProperties": 16},
    )
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=16)] | None = Field(
        default=None, description="Label requirements that must all be met. Absent: none."
    )


class PolicyCloud(Model):
    """Reference to a SovereignCloud by name and namespace; a policy is cluster-scoped."""

    name: Name = Field(description="The metadata.name of the SovereignCloud object.")
    namespace: Name = Field(description="The metadata.namespace of the SovereignCloud object.")


class AppliesTo(Model):
    """Scope of the policy. It is part of the policy, so that namespaces cannot opt out."""

    namespace_selector: NamespaceSelector | None = Field(
        default=None,
        description="Selects the namespaces to which the policy applies by their labels. Absent: all namespaces.",
    )
    clouds: Annotated[list[PolicyCloud], Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Clouds to which the policy applies. Absent: all clouds."
    )


class Residency(Model):
    """Allowed locations of compute and data."""

    allowed_countries: Annotated[list[Border], Field(min_length=1, max_length=MAX_COUNTRIES)] = Field(
        description="Allowed countries as ISO 3166-1 codes; EU and EEA stand for their members. GB and CH are in neither.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    covers: Annotated[list[CoveredPart], Field(min_length=1, max_length=5)] | None = Field(
        default=None,
        description="Resources that must be in an allowed country. compute: the host. storage: the datastores of the disks."
        " images: the images of the VMs. backups: the backup datastores. controlPlane: the front-ends. Absent:"
        " all of them.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    min_grade: EvidenceGrade | None = Field(
        default=None,
        description="Minimum evidence grade of the country. Observed: the OVHcloud API reported it. Attested: a third party"
        " confirmed the ProviderProfile. Declared (default): a user declared it.",
    )


class Jurisdiction(Model):
    """Allowed jurisdictions of the provider."""

    allowed: Annotated[list[Border], Field(min_length=1, max_length=MAX_COUNTRIES)] = Field(
        description="Countries, EU or EEA, in which the provider's legal entity and its ultimate parent must both be.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    foreign_affiliates: ForeignAffiliates | None = Field(
        default=None,
        description="How to treat affiliates outside these countries, which may be ordered to disclose data. Allow: they"
        " are ignored. Disclose (default): the provider is compliant and they are reported. Forbid: the provider"
        " is not compliant.",
    )


class CertificationDemand(Model):
    """A required certification: one of these schemes."""

    any_of: Annotated[list[Scheme], Field(min_length=1, max_length=16)] = Field(
        description="Certification schemes as named in the ProviderProfile; one of them is sufficient.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    scope: CertificateScope | None = Field(
        default=None,
        description="Required scope of the certification. Datacenter (default): it lists each data centre in use. Provider:"
        " the provider holds it for any data centre.",
    )
    min_grade: WrittenGrade | None = Field(
        default=None,
        description="Minimum evidence grade. Attested: the certificate itself was checked. Declared (default): a user"
        " declared it.",
    )


class ExitDemand(Model):
    """Requirements for exit readiness."""

    rehearsal_max_age: Duration | None = Field(
        default=None,
        description="Maximum age of the last successful exit rehearsal as a duration, for example 8760h. Absent: no"
        " rehearsal is required.",
    )
    max_duration: Duration | None = Field(
        default=None, description="Maximum duration of an exit, for example 720h. Absent: not limited."
    )


class PolicyException(Model):
    """Temporary exception from a rule, with the person who approved it."""

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
    ] = Field(description="Name of the rule as in the condition Compliant, for example residency.backups.")
    namespace: Name = Field(description="Namespace of the exempt object.")
    name: Name | None = Field(
        default=None, description="Name of the exempt object. Absent: all objects of that namespace."
    )
    reason: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Reason for auditors, for example a ticket number."
    )
    approved_by: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Person who approved the exception, for example dpo@example.fr."
    )
    expires: Day = Field(description='Last day of validity (UTC), for example "2027-06-30".')


class SovereigntyPolicySpec(Ruling):
    """Rules of the policy. Absent rules require nothing."""

    applies_to: AppliesTo | None = Field(
        default=None, description="Namespaces and clouds to which the policy applies. Absent: all of them."
    )
    enforcement: Enforcement | None = Field(
        default=None,
        description="How the policy is enforced. Audit (default): violations are reported and nothing is refused. Enforce:"
        " the API server refuses requests that violate it, and nothing is placed where it would violate it."
        " Running VMs are never stopped or deleted.",
    )
    on_violation: OnViolation | None = Field(
        default=None,
        description="Action when a VM violates the policy. Report (default): the violation is reported. Hold: with Enforce,"
        " also no new VM of these namespaces is placed in that cloud while the violation lasts. Relocate: as"
        " Hold, and with Enforce the VM is moved once to a compliant cloud by an InstanceMigration, unless its"
        " spec.updatePolicy.move is Deny.",
    )
    residency: Residency | None = Field(
        default=None, description="Allowed locations of compute and data. Absent: anywhere."
    )
    jurisdiction: Jurisdiction | None = Field(
        default=None, description="Allowed jurisdictions of the provider. Absent: any."
    )
    certifications: Annotated[list[CertificationDemand], Field(min_length=1, max_length=16)] | None = Field(
        default=None, description="Required certifications; each entry must be met. Absent: none."
    )
    exit: ExitDemand | None = Field(default=None, description="Requirements for exit readiness. Absent: none.")
    exceptions: Annotated[list[PolicyException], Field(max_length=64)] | None = Field(
        default=None, description="Temporary exceptions from rules. Absent: none."
    )


def _set() -> dict[str, Any]:
    return {"x-kubernetes-list-type": "set"}


class SovereigntyPolicyStatus(Status):
    effective_countries: Annotated[list[Annotated[str, Field(max_length=2)]], Field(max_length=256)] | None = Field(
        default=None,
        description="Allowed countries with EU and EEA expanded to their members. The API server reads them at admission.",
        json_schema_extra=_set(),
    )
    allowed_clouds: Annotated[list[Annotated[str, Field(max_length=507)]], Field(max_length=256)] | None = Field(
        default=None,
        description="Clouds, as namespace/name, with at least one compliant cluster. The API server reads them at"
        " admission.",
        json_schema_extra=_set(),
    )
    held_clouds: Annotated[list[Annotated[str, Field(max_length=507)]], Field(max_length=256)] | None = Field(
        default=None,
        description="Clouds, as namespace/name, that get no new VMs because a VM there violates the policy.",
        json_schema_extra=_set(),
    )
    live_exceptions: Annotated[list[Annotated[str, Field(max_length=507)]], Field(max_length=64)] | None = Field(
        default=None,
        description="Objects with a valid residency exception today: namespace/name, or namespace/* for a whole namespace.",
        json_schema_extra=_set(),
    )
    enforcement: str | None = Field(
        default=None, description="Effective enforcement mode, Audit or Enforce; Audit if spec does not set it."
    )
    countries: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Allowed countries as written in spec, for example EU."
    )
    clouds: str | None = Field(default=None, description="Number of compliant clouds of all clouds, for example 2/3.")
    compliant: str | None = Field(
        default=None,
        description="Number of compliant objects of all objects to which the policy applies, for example 12/14.",
    )


class SovereigntyPolicy(Resource[SovereigntyPolicySpec, SovereigntyPolicyStatus]):
    """Rules on location, jurisdiction and certifications of workloads, written by a compliance officer.

    The policy selects namespaces by labels, and clouds, so that namespaces cannot opt out. If several policies apply,
    all must be met. It contains no facts: the operator observes locations, and a ProviderProfile describes the
    provider. An unknown fact violates the rule.

    With enforcement Audit, the default, violations are reported and nothing is refused: start with it. With Enforce
    the API server refuses requests that violate the policy, with the policy's name and the remedy, also while the
    operator is down, and nothing is placed where it would violate it. Running VMs are never stopped or deleted.

    To inspect it: kubectl get spol -o wide; kubectl describe spol NAME. The condition Compliant of a SovereignCloud or
    a HostedInstance names policy, rule, fact, source and time. Currently allowed countries and clouds are in status.

    Deleting the object removes the rules: nothing is refused any more.
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
