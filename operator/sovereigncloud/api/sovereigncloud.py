"""SovereignCloud: one OpenNebula environment, built on OVHcloud bare metal or existing elsewhere."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, JsonValue

from sovereigncloud.api.access import Ssh
from sovereigncloud.api.cloud_parts import ClusterPart, DatastorePart, HostPart
from sovereigncloud.api.common.base import (
    Column,
    Crd,
    DeletionPolicy,
    Managed,
    Model,
    OutsideName,
    Resource,
    Rule,
    SecretRef,
    Status,
    columns,
)
from sovereigncloud.api.common.fencing import Fencing
from sovereigncloud.api.common.locations import MAX_LOCATIONS, ExistingLocation, LocationStatus, ProviderRef
from sovereigncloud.api.common.rules import NAME_FITS_OUTSIDE, exactly_one
from sovereigncloud.api.hosted import Endpoint, Hosted
from sovereigncloud.api.stores import Store, StoreStatus
from sovereigncloud.api.verification import NEEDS_INSTALLER, Verification, VerificationStatus


class Existing(Model):
    """An OpenNebula elsewhere: a private cloud. Never installed, never reinstalled."""

    endpoint: Endpoint = Field(description="Address of its XML-RPC API, for example https://one.example.gouv.fr/RPC2.")
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the keys username and password of an OpenNebula user."
    )
    ca_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the key ca.crt: the certificate authority of the endpoint. Absent: the public ones.",
    )
    location: ExistingLocation | None = Field(
        default=None,
        description="Where it is, as data centres of the ProviderProfile that providerRef names. Absent: nobody knows, which"
        " complies with no policy.",
    )
    ssh: Ssh | None = Field(
        default=None,
        description="How to log in at the front-end, only to make the cloud a member of a federation or take it out of one, as"
        " a FederatedZone asks, and to measure how far other sites are from it, for which nothing is run there. Absent: a person"
        " does the first, and the FederatedZone says how; from here nobody measures.",
    )


_BY_NAME: dict[str, JsonValue] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class SovereignCloudSpec(Managed):
    """Exactly one of hosted and existing."""

    provider_ref: ProviderRef | None = Field(
        default=None,
        description="The ProviderProfile with the facts about who provides the cloud: legal entity, certificates, data centres."
        " Absent: nobody knows them.",
    )
    hosted: Hosted | None = Field(
        default=None,
        description="A cloud on bare metal, built by the operator or by a person. Exactly one of hosted and existing is set.",
    )
    existing: Existing | None = Field(
        default=None,
        description="An OpenNebula elsewhere, which is only used. Exactly one of hosted and existing is set.",
    )
    stores: Annotated[list[Store], Field(max_length=16)] | None = Field(
        default=None,
        description="Marketplaces and datastores for backups. One that is taken off the list is deleted once it is empty, if"
        " the operator made it. Absent: none.",
        json_schema_extra=_BY_NAME,
    )
    clusters: Annotated[list[ClusterPart], Field(max_length=32)] | None = Field(
        default=None,
        description="Clusters that there are to be. One that is there already is taken as it is. One that is taken off the"
        " list is deleted once it is empty, if the operator made it. Absent: none is looked after.",
        json_schema_extra=_BY_NAME,
    )
    hosts: Annotated[list[HostPart], Field(max_length=256)] | None = Field(
        default=None,
        description="Hosts of an existing OpenNebula, registered one after the other; those of a hosted cloud follow from its"
        " servers. One that is taken off the list is disabled, and unregistered once no machine is on it, if the operator"
        " registered it. Absent: none is looked after.",
        json_schema_extra=_BY_NAME,
    )
    datastores: Annotated[list[DatastorePart], Field(max_length=32)] | None = Field(
        default=None,
        description="Datastores that there are to be, beside those for backups. One that is there already is taken as it is."
        " One that is taken off the list is deleted once it is empty, if the operator made it. Absent: none is looked after.",
        json_schema_extra=_BY_NAME,
    )
    fencing: Fencing | None = Field(
        default=None,
        description="A person's word that every machine of this cloud is dead, for the outage that it names: then machines with"
        " spec.continuity start elsewhere from their copies. Believed as it stands, so be sure: a machine that runs on unseen would run"
        " twice. It says nothing of a later outage. Absent: only what is seen of the power of its servers counts.",
    )
    verification: Verification | None = Field(
        default=None,
        description="Tests of the cloud as a whole, on demand and on schedule; the condition Verified says what came of them."
        " Absent: it is not verified.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "hosted", "existing", remedy="hosted for a cloud on bare metal, existing for an OpenNebula elsewhere"
        ),
        Rule(
            "has(self.hosted) == has(oldSelf.hosted)",
            "hosted and existing cannot be exchanged: make a new SovereignCloud; deleting this one with"
            " deletionPolicy: Retain leaves everything as it is",
        ),
        NEEDS_INSTALLER,
        Rule(
            "!has(self.fencing) || has(self.fencing.outage)",
            "fencing is for one outage: set outage to status.lostSince as it stands",
            field=".fencing",
        ),
        Rule(
            "!has(self.hosts) || has(self.existing)",
            "the hosts of a hosted cloud follow from its servers: remove hosts",
            field=".hosts",
        ),
    )


class HostStatus(Model):
    name: OutsideName | None = Field(default=None, description="Name of the host in OpenNebula: its address.")
    id: str | None = Field(default=None, description="Number of the host in OpenNebula.")
    state: str | None = Field(default=None, description="What OpenNebula says of the host, for example monitored.")


_INSTALLED = (
    "has(self.spec.hosted) && has(self.spec.hosted.ovh) && has(self.spec.hosted.openNebula.install)"
    " && has(oldSelf.spec.hosted) && has(oldSelf.spec.hosted.ovh)"
    " && has(oldSelf.status) && has(oldSelf.status.endpoint)"
)
_KEEPS_ITS_FRONT_END = Rule(
    f"!({_INSTALLED}) || oldSelf.spec.hosted.ovh.servers.all(old, !old.roles.exists(role, role == 'Frontend')"
    " || self.spec.hosted.ovh.servers.exists(server, server.name == old.name"
    " && server.roles.exists(role, role == 'Frontend')))",
    "the server with the role Frontend runs OpenNebula and holds its database: it cannot be taken off the list, nor lose that"
    " role; put it back",
    field=".spec.hosted.ovh.servers",
)


class SovereignCloudStatus(Status):
    endpoint: str | None = Field(default=None, description="Address of the XML-RPC API that answers; set once it did.")
    version: str | None = Field(default=None, description="Version of OpenNebula that answers there.")
    zone: str | None = Field(default=None, description="What OpenNebula calls itself: the name of its zone.")
    credentials_secret: str | None = Field(
        default=None, description="Name of the Secret with the administrator's username and password."
    )
    federation_secret: str | None = Field(
        default=None,
        description="Name of the Secret that the cloud is entered with since it joined a federation: that of the master,"
        " whose users it shares. Absent: it has users of its own.",
    )
    admin_secret: str | None = Field(
        default=None,
        description="Name of the Secret with the password of oneadmin that the operator generated, for the first login of a"
        " person. Absent where OpenNebula was not installed by the operator.",
    )
    sunstone: str | None = Field(
        default=None, description="Address of Sunstone, OpenNebula's web interface; set once the API answered."
    )
    phase: str | None = Field(
        default=None,
        description="Where the building is: Servers, vRack, Installing, Hosts, Networks or Running; Unreachable: it was built"
        " before, and has not answered since it was declared here.",
    )
    countries: list[str] | None = Field(
        default=None,
        description="Countries that the private network of the cloud joins, by code: of all servers in it and of the public"
        " blocks. unknown: a region that is in no table.",
    )
    locations: Annotated[list[LocationStatus], Field(max_length=MAX_LOCATIONS)] | None = Field(
        default=None,
        description="Where each part of the cloud is, and how that is known.",
        json_schema_extra=_BY_NAME,
    )
    country: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description="The countries of all locations by code, with commas between them. unknown: of some part nobody knows"
        " it.",
    )
    exit: str | None = Field(
        default=None,
        description="Machines that could leave now, of all that are in the cloud, for example 287/300: within policies, quotas and"
        " room, to any other cloud that the namespace of each may use. While the cloud is lost: those of which a copy is held outside."
        " An ExitPlan names each one that cannot. Absent: there is no machine.",
    )
    hosts_ready: str | None = Field(
        default=None, description="Hosts that work, of those that there should be, for example 2/2."
    )
    hosts: list[HostStatus] | None = Field(default=None, description="Each host of the cloud, as OpenNebula lists it.")
    stores_ready: str | None = Field(
        default=None, description="Stores that can be used, of those that are declared, for example 2/2."
    )
    stores: list[StoreStatus] | None = Field(
        default=None, description="Each store that is declared, and those that are no longer and still there."
    )
    verification: VerificationStatus | None = Field(
        default=None, description="What came of the last verification, check by check."
    )
    lost_since: str | None = Field(
        default=None, description="Since when it does not answer (RFC 3339, UTC). Absent: it answers."
    )
    fenced_for: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="The outage for which its servers are switched off, where spec.hosted.fencing.powerOff allows it. Absent: for"
        " none.",
    )


class SovereignCloud(Resource[SovereignCloudSpec, SovereignCloudStatus]):
    """One OpenNebula environment: built on OVHcloud bare metal from a reference architecture, adopted there, or
    existing elsewhere. Instances, networks and images name it as their cloud.

    With spec.hosted it makes a BareMetalServer for each server and a VirtualNetwork for each network, waits for them, routes
    the blocks, has OpenNebula installed and registers the hosts; status.phase says where it is. All that lives in the cloud
    waits until status.endpoint is set.

    Look with: kubectl get scloud -o wide; kubectl describe scloud NAME; kubectl get sovereign for all that belongs to it.

    Deleting the object waits until nothing uses it, and then leaves servers, OpenNebula and networks as they are, unless
    spec.deletionPolicy is Delete.
    """

    crd: ClassVar[Crd] = Crd(
        kind="SovereignCloud",
        plural="sovereignclouds",
        short_names=("scloud",),
        columns=columns(
            Column(name="Hosts", json_path=".status.hostsReady"),
            Column(name="Version", json_path=".status.version"),
            Column(name="Exit", json_path=".status.exit"),
            wide=(
                Column(name="Country", json_path=".status.country"),
                Column(name="Compliant", json_path='.status.conditions[?(@.type=="Compliant")].status'),
                Column(name="Verified", json_path='.status.conditions[?(@.type=="Verified")].status'),
                Column(name="Phase", json_path=".status.phase"),
                Column(name="LostSince", json_path=".status.lostSince"),
                Column(name="Stores", json_path=".status.storesReady"),
                Column(name="Zone", json_path=".status.zone"),
                Column(name="Endpoint", json_path=".status.endpoint"),
            ),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (
        NAME_FITS_OUTSIDE,
        Rule(
            "!has(self.spec.hosted) || self.metadata.name.size() <= 128",
            "metadata.name is longer than 128 characters, which leaves no room for the names of its servers and networks:"
            " use a shorter name",
        ),
        _KEEPS_ITS_FRONT_END,
    )
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.RETAIN
