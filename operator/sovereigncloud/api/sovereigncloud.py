"""SovereignCloud: one OpenNebula environment, built on OVHcloud bare metal or existing elsewhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.base import (
    Column,
    Crd,
    DeletionPolicy,
    Managed,
    Model,
    Name,
    OutsideName,
    Resource,
    Rule,
    SecretRef,
    Status,
    Token,
)
from sovereigncloud.api.rules import (
    IPV4,
    NAME_FITS_OUTSIDE,
    NETWORK_RULES,
    PUBLIC_BLOCK,
    RANGE_ENDS,
    checked,
    exactly_one,
    immutable,
)

Endpoint = Annotated[str, Field(pattern=r"^https?://[^/@ ]+(/[^ ]*)?$", max_length=512)]
"""An http(s) address without user and password: those belong in the Secret."""


class Role(StrEnum):
    FRONTEND = "Frontend"
    NODE = "Node"


class Architecture(StrEnum):
    """Reference architectures. Further ones join when they are built."""

    BASIC = "Basic"


class Reinstall(Model):
    """A one-time request. It wipes every disk of the server."""

    request: Token = Field(description="Any new word asks for one reinstallation; the same word never for a second.")
    operating_system: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="An OVHcloud template, for example ubuntu2404-server_64."
    )
    wipe_all_disks: bool | None = Field(
        default=None, description="Must be true on a server of several disk groups: all of them are erased."
    )


class HostedServer(Model):
    """A server of the cloud; it becomes a BareMetalServer <cloud>-<name>."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = Field(
        description="Name of the server, also its host name and display name at OVHcloud."
    )
    service_name: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="OVHcloud service name, for example ns3012345.ip-57-131-167.eu."
    )
    roles: Annotated[list[Literal[Role.FRONTEND, Role.NODE]], Field(min_length=1, max_length=2)] = Field(
        description="Frontend: runs OpenNebula. Node: runs virtual machines.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    reinstall: Reinstall | None = Field(default=None, description="A one-time request to install an operating system.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("serviceName", "remove this server from the list, then add the other one under a name of its own"),
    )


class Ovh(Model):
    """OVHcloud as the provider of the servers."""

    endpoint: Literal["ovh-eu", "ovh-ca", "ovh-us"] = Field(description="OVHcloud API: ovh-eu, ovh-ca or ovh-us.")
    credentials_secret_ref: SecretRef = Field(
        description="Secret with clientId and clientSecret, or applicationKey, applicationSecret and consumerKey."
    )
    vrack: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="vRack, for example pn-123456.")
    servers: Annotated[list[HostedServer], Field(min_length=1, max_length=64)] = Field(
        description="The servers; matched to OpenNebula hosts by address.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("endpoint", "the servers are known to that API only; make a new SovereignCloud for others"),
        Rule(
            "self.servers.all(a, self.servers.exists_one(b, b.serviceName == a.serviceName))",
            "two servers have the same serviceName: name each machine once",
            field=".servers",
        ),
    )


class Install(Model):
    """OpenNebula is installed by the operator."""

    architecture: Literal[Architecture.BASIC] = Field(description="Basic: front-end co-hosted with a node, SQLite.")
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$", max_length=16)] = Field(
        description="OpenNebula version, for example 7.0. Refused if changed."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("version", "upgrading an installed OpenNebula is not supported yet; set it back"),
    )


class Adopt(Model):
    """OpenNebula was installed there by hand; nothing is installed or reinstalled."""

    endpoint: Endpoint = Field(description="XML-RPC endpoint, for example https://one-rbx.example.fr/RPC2.")
    credentials_secret_ref: SecretRef = Field(description="Secret with username and password.")


class OpenNebulaSpec(Model):
    """Exactly one of install and adopt."""

    install: Install | None = Field(default=None, description="Install it.")
    adopt: Adopt | None = Field(default=None, description="Take over what was built by OVHcloud's guide.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "install", "adopt", remedy="install to have OpenNebula installed, adopt if it stands there already"
        ),
        Rule(
            "has(self.install) == has(oldSelf.install)",
            "install and adopt cannot be exchanged: delete this object with deletionPolicy: Retain, which leaves everything"
            " as it is, and make it anew",
        ),
    )


class AddressRangeSpec(Model):
    """Consecutive IPv4 addresses that machines get."""

    ip: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", max_length=15)] = Field(
        description="First address.", json_schema_extra=checked(IPV4)
    )
    size: Annotated[int, Field(ge=1, le=1048576)] = Field(description="How many addresses.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (RANGE_ENDS,)


class HostedNetwork(Model):
    """A network of the cloud; it becomes a VirtualNetwork <cloud>-<name with _ as ->."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]+((\.|[-_]+)[A-Za-z0-9]+)*$")] = (
        Field(description="Its name in OpenNebula.")
    )
    public_block: Annotated[str, Field(pattern=r"^[0-9.]+/[0-9]{1,2}$", max_length=18)] | None = Field(
        default=None,
        description="An IP block routed to the vRack, for example 57.131.167.176/28: addresses, gateway and DNS follow.",
        json_schema_extra=checked(PUBLIC_BLOCK),
    )
    vlan_id: Annotated[int, Field(ge=1, le=4094)] | None = Field(
        default=None, alias="vlanID", description="802.1Q VLAN on the vRack."
    )
    address_ranges: Annotated[list[AddressRangeSpec], Field(max_length=32)] | None = Field(
        default=None,
        description="Addresses that machines get.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["ip"]},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = NETWORK_RULES


class Hosted(Model):
    """A cloud built on a provider's bare metal."""

    ovh: Ovh | None = Field(default=None, description="On OVHcloud. Other providers will be siblings, exactly one.")
    open_nebula: OpenNebulaSpec = Field(description="How OpenNebula comes to be there.")
    networks: Annotated[list[HostedNetwork], Field(max_length=64)] | None = Field(
        default=None,
        description="Its networks; each becomes a VirtualNetwork.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.ovh)", "exactly one provider must be set: set ovh"),
        Rule(
            "!has(self.openNebula.install) || !has(self.ovh)"
            " || self.ovh.servers.exists_one(server, server.roles.exists(role, role == 'Frontend'))",
            "the architecture Basic has exactly one front-end: give the role Frontend to one server",
            field=".ovh.servers",
        ),
        Rule(
            "!has(self.openNebula.adopt) || !has(self.ovh) || !self.ovh.servers.exists(server, has(server.reinstall))",
            "a server of an adopted cloud is never reinstalled: remove reinstall from servers, or use openNebula.install",
            field=".ovh.servers",
        ),
        Rule(
            "!has(self.networks) || self.networks.all(a, self.networks.exists_one(b,"
            " b.name.lowerAscii().replace('_', '-') == a.name.lowerAscii().replace('_', '-')))",
            "two names are the same once written as the name of a VirtualNetwork (lower case, - for _): rename one",
            field=".networks",
        ),
    )


class Existing(Model):
    """An OpenNebula elsewhere: a private cloud. Never installed, never reinstalled."""

    endpoint: Endpoint = Field(description="XML-RPC endpoint, for example https://one.example.gouv.fr/RPC2.")
    credentials_secret_ref: SecretRef = Field(description="Secret with username and password.")
    ca_secret_ref: SecretRef | None = Field(
        default=None, description="Secret with ca.crt, for an endpoint with a private certificate authority."
    )


class SovereignCloudSpec(Managed):
    """Exactly one of hosted and existing."""

    hosted: Hosted | None = Field(
        default=None, description="Built by the operator, or by a person on the same servers."
    )
    existing: Existing | None = Field(default=None, description="An OpenNebula elsewhere.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "hosted", "existing", remedy="hosted for a cloud on bare metal, existing for an OpenNebula elsewhere"
        ),
        Rule(
            "has(self.hosted) == has(oldSelf.hosted)",
            "hosted and existing cannot be exchanged: make a new SovereignCloud; deleting this one with"
            " deletionPolicy: Retain leaves everything as it is",
        ),
    )


class HostStatus(Model):
    name: OutsideName | None = Field(default=None, description="Name of the host in OpenNebula.")
    id: str | None = Field(default=None, description="Its id.")
    state: str | None = Field(default=None, description="Its state in words.")


class SovereignCloudStatus(Status):
    endpoint: str | None = Field(default=None, description="XML-RPC endpoint in use.")
    version: str | None = Field(default=None, description="Version that answers there.")
    zone: str | None = Field(default=None, description="Name of its OpenNebula zone.")
    credentials_secret: str | None = Field(default=None, description="Name of the Secret with the admin's credentials.")
    phase: str | None = Field(
        default=None, description="Servers, vRack, Installing, Hosts, Networks or Running: where the building is."
    )
    hosts_ready: str | None = Field(default=None, description="Monitored hosts of those declared, for example 2/2.")
    hosts: list[HostStatus] | None = Field(default=None, description="Hosts of the cloud.")


class SovereignCloud(Resource[SovereignCloudSpec, SovereignCloudStatus]):
    """One OpenNebula environment: built on OVHcloud bare metal from a reference architecture, adopted there, or
    existing elsewhere. Instances, networks and images name it as their cloud.
    """

    crd: ClassVar[Crd] = Crd(
        kind="SovereignCloud",
        plural="sovereignclouds",
        short_names=("scloud",),
        columns=(
            Column(name="Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Reason", json_path='.status.conditions[?(@.type=="Ready")].reason'),
            Column(name="Hosts", json_path=".status.hostsReady"),
            Column(name="Version", json_path=".status.version"),
            Column(name="Drift", json_path=".status.driftCount", type="integer"),
            Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
            Column(name="Endpoint", json_path=".status.endpoint", priority=1),
            Column(name="Message", json_path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (
        NAME_FITS_OUTSIDE,
        Rule(
            "!has(self.spec.hosted) || self.metadata.name.size() <= 128",
            "metadata.name is longer than 128 characters, which leaves no room for the names of its servers and networks:"
            " use a shorter name",
        ),
    )
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.RETAIN


__all__ = ["Name", "SovereignCloud", "SovereignCloudSpec", "SovereignCloudStatus"]
