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
    """An existing OpenNebula such as a private cloud. The operator never installs or reinstalls it."""

    endpoint: Endpoint = Field(
        description="URL of the OpenNebula XML-RPC API, for example https://one.example.gouv.fr/RPC2."
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the keys username and password of an OpenNebula user."
    )
    ca_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the certificate authority of the endpoint in the key ca.crt. Absent: the public"
        " certificate authorities.",
    )
    location: ExistingLocation | None = Field(
        default=None,
        description="Location of the cloud as data centres of the ProviderProfile in providerRef. Absent: unknown, which"
        " violates every residency policy.",
    )
    ssh: Ssh | None = Field(
        default=None,
        description="SSH access to the front-end. The operator uses it to join the cloud to a federation or remove it for a"
        " FederatedZone, and to measure the latency to other sites. Absent: an administrator runs the commands"
        " shown in the FederatedZone, and no latency is measured.",
    )


_BY_NAME: dict[str, JsonValue] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class SovereignCloudSpec(Managed):
    """Exactly one of hosted and existing."""

    provider_ref: ProviderRef | None = Field(
        default=None,
        description="ProviderProfile with the facts about the provider of the cloud: legal entity, certificates, data"
        " centres. Absent: these facts are unknown.",
    )
    hosted: Hosted | None = Field(
        default=None,
        description="A cloud on bare metal, installed by the operator or adopted. Exactly one of hosted and existing is"
        " set.",
    )
    existing: Existing | None = Field(
        default=None,
        description="An existing OpenNebula that the operator uses but does not install. Exactly one of hosted and existing"
        " is set.",
    )
    stores: Annotated[list[Store], Field(max_length=16)] | None = Field(
        default=None,
        description="Marketplaces and backup datastores. When an entry is removed, the operator deletes the store if it"
        " created it and it is empty. Absent: none.",
        json_schema_extra=_BY_NAME,
    )
    clusters: Annotated[list[ClusterPart], Field(max_length=32)] | None = Field(
        default=None,
        description="OpenNebula clusters to manage. An existing cluster with this name is used as it is. When an entry is"
        " removed, the operator deletes the cluster if it created it and it is empty. Absent: no cluster is"
        " managed.",
        json_schema_extra=_BY_NAME,
    )
    hosts: Annotated[list[HostPart], Field(max_length=256)] | None = Field(
        default=None,
        description="Hosts of an existing OpenNebula; the operator registers them one at a time. The hosts of a hosted"
        " cloud follow from its servers. When an entry is removed, the operator disables the host and, if it"
        " registered it, unregisters it when no VM is on it. Absent: no host is managed.",
        json_schema_extra=_BY_NAME,
    )
    datastores: Annotated[list[DatastorePart], Field(max_length=32)] | None = Field(
        default=None,
        description="OpenNebula datastores to manage, other than backup datastores. An existing datastore with this name is"
        " used as it is. When an entry is removed, the operator deletes the datastore if it created it and it is"
        " empty. Absent: no datastore is managed.",
        json_schema_extra=_BY_NAME,
    )
    fencing: Fencing | None = Field(
        default=None,
        description="Confirmation by an administrator that all VMs of this cloud are stopped, for one outage. VMs with"
        " spec.continuity then start in another cloud from their copies. The operator does not verify this: a VM"
        " that still runs would run twice. It does not apply to later outages. Absent: only the observed power"
        " state of the servers counts.",
    )
    verification: Verification | None = Field(
        default=None,
        description="Tests of the whole cloud, on request and on a schedule; the condition Verified shows the result."
        " Absent: the cloud is not verified.",
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
    id: str | None = Field(default=None, description="OpenNebula ID of the host.")
    state: str | None = Field(default=None, description="OpenNebula state of the host, for example monitored.")


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
    endpoint: str | None = Field(
        default=None, description="URL of the OpenNebula XML-RPC API; set after its first response."
    )
    version: str | None = Field(default=None, description="OpenNebula version that the API reports.")
    zone: str | None = Field(default=None, description="Name of the OpenNebula zone.")
    credentials_secret: str | None = Field(
        default=None, description="Name of the Secret with the administrator's username and password."
    )
    federation_secret: str | None = Field(
        default=None,
        description="Name of the Secret with the credentials of the cloud as a federation member: those of the master,"
        " whose users it shares. Absent: the cloud has its own users.",
    )
    admin_secret: str | None = Field(
        default=None,
        description="Name of the Secret with the generated password of oneadmin, for the first login. Absent if the"
        " operator did not install OpenNebula.",
    )
    sunstone: str | None = Field(
        default=None, description="URL of Sunstone, OpenNebula's web interface; set after the first API response."
    )
    phase: str | None = Field(
        default=None,
        description="Phase of the setup: Servers, vRack, Installing, Hosts, Networks or Running; Unreachable: an existing"
        " cloud has not answered since this object was created.",
    )
    countries: list[str] | None = Field(
        default=None,
        description="Country codes of all servers in the vRack and of the public blocks. unknown: a region is not in the"
        " operator's table.",
    )
    locations: Annotated[list[LocationStatus], Field(max_length=MAX_LOCATIONS)] | None = Field(
        default=None,
        description="Location of each part of the cloud, with its evidence.",
        json_schema_extra=_BY_NAME,
    )
    country: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description="Comma-separated country codes of all locations. unknown: the country of a part is unknown.",
    )
    exit: str | None = Field(
        default=None,
        description="Number of VMs that could move to another cloud now, of all VMs in the cloud, for example 287/300. It"
        " considers policies, quotas, free capacity and the clouds that each namespace may use. During an outage"
        " it counts VMs with a copy outside the cloud. An ExitPlan names each blocked VM. Absent: no VMs.",
    )
    hosts_ready: str | None = Field(
        default=None, description="Number of usable hosts of all expected hosts, for example 2/2."
    )
    hosts: list[HostStatus] | None = Field(default=None, description="Hosts of the cloud as OpenNebula lists them.")
    stores_ready: str | None = Field(
        default=None, description="Number of usable stores of all declared stores, for example 2/2."
    )
    stores: list[StoreStatus] | None = Field(
        default=None, description="Declared stores, and removed stores that still exist."
    )
    verification: VerificationStatus | None = Field(default=None, description="Results of the last verification.")
    lost_since: str | None = Field(
        default=None, description="Start of the current outage (RFC 3339, UTC). Absent: the cloud answers."
    )
    fenced_for: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="Outage for which the operator powers off the servers of the cloud (see spec.hosted.fencing.powerOff)."
        " Absent: none.",
    )


class SovereignCloud(Resource[SovereignCloudSpec, SovereignCloudStatus]):
    """One OpenNebula environment: installed on OVHcloud bare metal from a reference architecture, adopted there, or
    existing elsewhere. Instances, networks and images refer to it as their cloud.

    With spec.hosted the operator creates a BareMetalServer for each server and a VirtualNetwork for each network,
    routes the public blocks, installs OpenNebula and registers the hosts; status.phase shows the progress. Everything
    in the cloud waits until status.endpoint is set.

    To inspect it: kubectl get scloud -o wide; kubectl describe scloud NAME; kubectl get sovereign for all objects that
    belong to it.

    Deleting the object waits until nothing uses it, and then leaves servers, OpenNebula and networks as they are,
    unless spec.deletionPolicy is Delete.
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
