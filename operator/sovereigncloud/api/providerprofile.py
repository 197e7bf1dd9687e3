"""ProviderProfile: facts about a provider that no API reports, with evidence."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Column, Crd, DeletionPolicy, Model, Resource, Ruling, Status
from sovereigncloud.api.common.policy_terms import CountryCode, Day, WrittenGrade
from sovereigncloud.api.sovereigntypolicy import Scheme

Text = Annotated[str, Field(min_length=1, max_length=253)]
DatacenterName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        json_schema_extra={WORDS: "must be one word: for example PARIS-1"},
    ),
]


def _map_by_name() -> dict[str, Any]:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class Company(Model):
    """A company and its jurisdiction."""

    name: Text = Field(description="Name of the company as in its company register.")
    country: CountryCode = Field(description="Jurisdiction of the company as an ISO 3166-1 country code.")


class Affiliate(Model):
    """A company of the same group."""

    name: Text = Field(description="Name of the company as in its company register.")
    country: CountryCode = Field(description="Jurisdiction of the company as an ISO 3166-1 country code.")
    note: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Additional information, for example a court ruling. Absent: none."
    )


class Evidence(Model):
    """Document that is the evidence of a fact."""

    url: Annotated[
        str,
        Field(
            max_length=512,
            pattern=r"^https?://[^ ]+$",
            json_schema_extra={
                WORDS: "must be an http or https address: for example https://example.fr/certificate.pdf"
            },
        ),
    ] = Field(description="Address (URL) of the document.")
    sha256: (
        Annotated[
            str,
            Field(
                pattern=r"^[0-9a-f]{64}$",
                max_length=64,
                json_schema_extra={WORDS: "must be 64 digits from 0 to 9 or a to f, as sha256sum prints them"},
            ),
        ]
        | None
    ) = Field(default=None, description="SHA-256 of the document, to detect changes. Absent: not recorded.")


class Datacenter(Model):
    """A data centre and its country."""

    name: DatacenterName = Field(
        description="Name of the data centre as SovereignClouds refer to it. For OVHcloud the letters of the region: GRA,"
        " RBX, SBG."
    )
    country: CountryCode = Field(description="Country of the data centre as an ISO 3166-1 code.")
    grade: WrittenGrade | None = Field(
        default=None,
        description="Evidence grade of the country. Attested: a third party confirmed it. Declared (default): a user"
        " declared it.",
    )
    evidence: Evidence | None = Field(default=None, description="Document that is the evidence. Absent: none recorded.")
    valid_until: Day | None = Field(
        default=None,
        description="Last day of validity (UTC); afterwards the location is unknown. Absent: not limited.",
    )


class Certification(Model):
    """A certification of the provider."""

    scheme: Scheme = Field(
        description="Certification scheme in one word, as policies refer to it, for example ISO27001."
    )
    datacenters: Annotated[list[DatacenterName], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Data centres that the certificate lists. Absent: it covers the provider without naming data centres.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    product: Text | None = Field(
        default=None, description="Certified product, for information only. Absent: not recorded."
    )
    valid_until: Day | None = Field(default=None, description="Last day of validity (UTC). Absent: not limited.")
    grade: WrittenGrade | None = Field(
        default=None,
        description="Evidence grade of the certification. Attested: the certificate itself was checked. Declared (default):"
        " a user declared it.",
    )
    evidence: Evidence | None = Field(default=None, description="Document that is the evidence. Absent: none recorded.")


class ProviderProfileSpec(Ruling):
    """Facts about the provider. Absent facts are unknown."""

    legal_entity: Company = Field(
        description="Legal entity of the contract; for a cloud of your own, your organization."
    )
    ultimate_parent: Company | None = Field(
        default=None, description="Ultimate parent company. Absent: none, the provider is independent."
    )
    grade: WrittenGrade | None = Field(
        default=None,
        description="Evidence grade of entity, parent and affiliates. Attested: a third party confirmed them. Declared"
        " (default): a user declared them.",
    )
    foreign_affiliates: Annotated[list[Affiliate], Field(max_length=64)] | None = Field(
        default=None,
        description="Affiliates in other jurisdictions, which may be ordered to disclose data. Absent: none.",
        json_schema_extra=_map_by_name(),
    )
    datacenters: Annotated[list[Datacenter], Field(max_length=64)] | None = Field(
        default=None,
        description="Data centres whose country no API reports. Absent: none; data centres of OVHcloud are observed.",
        json_schema_extra=_map_by_name(),
    )
    certifications: Annotated[list[Certification], Field(max_length=64)] | None = Field(
        default=None, description="Certifications of the provider. Absent: none."
    )


class ProviderProfileStatus(Status):
    used_by: int | None = Field(default=None, description="Number of SovereignClouds that refer to this profile.")
    expired: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=128)] | None = Field(
        default=None, description="Expired certifications and data centres, by scheme or name."
    )
    expiring: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=128)] | None = Field(
        default=None, description="Certifications and data centres that expire within 60 days."
    )


class ProviderProfile(Resource[ProviderProfileSpec, ProviderProfileStatus]):
    """Facts about a provider that no API reports: legal entity, parent, affiliates, data centres, certifications.

    Each fact has an evidence grade and can refer to a document. A SovereignCloud refers to its provider in
    spec.providerRef; who runs a private cloud is a provider, too. Rules are in a SovereigntyPolicy; a ProviderProfile
    allows or forbids nothing.

    The location of OVHcloud servers is observed by the operator; nothing declared here replaces it.

    To inspect it: kubectl get prov -o wide; kubectl describe prov NAME. Expired and expiring entries are in status.

    Deleting the object waits until no SovereignCloud refers to it.
    """

    crd: ClassVar[Crd] = Crd(
        kind="ProviderProfile",
        plural="providerprofiles",
        short_names=("prov",),
        namespaced=False,
        columns=(
            Column(name="Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Reason", json_path='.status.conditions[?(@.type=="Ready")].reason'),
            Column(name="Country", json_path=".spec.legalEntity.country"),
            Column(name="Clouds", json_path=".status.usedBy", type="integer"),
            Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
            Column(name="Message", json_path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        ),
    )
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
