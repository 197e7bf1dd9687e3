"""ProviderProfile: facts about a provider that no API tells, each with a grade and its evidence."""

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
    """A company, and under whose law it is."""

    name: Text = Field(description="Its name, as in the register of companies.")
    country: CountryCode = Field(description="Under whose law it is: ISO 3166-1 code of the country.")


class Affiliate(Model):
    """A company of the same group."""

    name: Text = Field(description="Its name, as in the register of companies.")
    country: CountryCode = Field(description="Under whose law it is: ISO 3166-1 code of the country.")
    note: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="What is known of it, for example a ruling. Absent: nothing is said."
    )


class Evidence(Model):
    """The document that it was read from."""

    url: Annotated[
        str,
        Field(
            max_length=512,
            pattern=r"^https?://[^ ]+$",
            json_schema_extra={
                WORDS: "must be an http or https address: for example https://example.fr/certificate.pdf"
            },
        ),
    ] = Field(description="Where it is.")
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
    ) = Field(default=None, description="Its SHA-256, so that it can be told whether it changed. Absent: not noted.")


class Datacenter(Model):
    """A datacenter, and the country it is in."""

    name: DatacenterName = Field(
        description="Its name, as SovereignClouds name it. At OVHcloud the letters of its region: GRA, RBX, SBG."
    )
    country: CountryCode = Field(description="The country it is in: ISO 3166-1 code.")
    grade: WrittenGrade | None = Field(
        default=None,
        description="How well that is known. Attested: a third party confirmed it. Declared (default): somebody wrote it down.",
    )
    evidence: Evidence | None = Field(default=None, description="What it was read from. Absent: not noted.")
    valid_until: Day | None = Field(
        default=None,
        description="The last day on which that counts (UTC); from then on nobody knows where it is. Absent: until it is changed.",
    )


class Certification(Model):
    """A certificate."""

    scheme: Scheme = Field(description="What it certifies, in one word that policies use too: for example ISO27001.")
    datacenters: Annotated[list[DatacenterName], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="The datacenters that it lists. Absent: it is about the provider and no datacenter in particular.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    product: Text | None = Field(
        default=None, description="The product that it is about, for people. Absent: not noted."
    )
    valid_until: Day | None = Field(
        default=None, description="The last day on which it holds (UTC). Absent: until it is taken out."
    )
    grade: WrittenGrade | None = Field(
        default=None,
        description="How well that is known. Attested: the certificate itself was looked at. Declared (default): somebody wrote"
        " it down.",
    )
    evidence: Evidence | None = Field(default=None, description="What it was read from. Absent: not noted.")


class ProviderProfileSpec(Ruling):
    """Facts. What is absent is not known."""

    legal_entity: Company = Field(
        description="The company that the contract is with; with a cloud of one's own, oneself."
    )
    ultimate_parent: Company | None = Field(
        default=None, description="The company that controls it in the end. Absent: none, it is independent."
    )
    grade: WrittenGrade | None = Field(
        default=None,
        description="How well entity, parent and affiliates are known. Attested: a third party confirmed them. Declared"
        " (default): somebody wrote them down.",
    )
    foreign_affiliates: Annotated[list[Affiliate], Field(max_length=64)] | None = Field(
        default=None,
        description="Companies of the same group under another law, who may be ordered to hand over data. Absent: none.",
        json_schema_extra=_map_by_name(),
    )
    datacenters: Annotated[list[Datacenter], Field(max_length=64)] | None = Field(
        default=None,
        description="Datacenters of which no API tells the country. Absent: none; those of OVHcloud are observed.",
        json_schema_extra=_map_by_name(),
    )
    certifications: Annotated[list[Certification], Field(max_length=64)] | None = Field(
        default=None, description="Certificates. Absent: none."
    )


class ProviderProfileStatus(Status):
    used_by: int | None = Field(default=None, description="How many SovereignClouds name it.")
    expired: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=128)] | None = Field(
        default=None, description="Certificates and datacenters whose last day has passed, by scheme or name."
    )
    expiring: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=128)] | None = Field(
        default=None, description="Those whose last day is within 60 days."
    )


class ProviderProfile(Resource[ProviderProfileSpec, ProviderProfileStatus]):
    """Facts about a provider that no API tells: company, parent, affiliates, datacenters, certificates.

    Each has a grade and may name its evidence. A SovereignCloud names its provider in spec.providerRef. Who runs a cloud of
    their own is a provider, too. Rules are in a SovereigntyPolicy; nothing here allows or forbids anything.

    Where a server of OVHcloud is, the operator observes; what is written here never replaces that.

    Look with: kubectl get prov -o wide; kubectl describe prov NAME. What has ended, or soon will, is in status.

    Deleting the object waits until no SovereignCloud names it.
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
