"""Spec of a hosted cloud on OVHcloud bare metal: servers, vRack, installation or adoption, networks."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.access import Access
from sovereigncloud.api.common.base import WORDS, Model, Rule, SecretRef, Token
from sovereigncloud.api.common.rules import (
    IPV4,
    NETWORK_RULES,
    PUBLIC_BLOCK,
    RANGE_ENDS,
    exactly_one,
    immutable,
    instead_of_pattern,
)
from sovereigncloud.api.hosts import HostFencing, HostUpdatePolicy, LostHost
from sovereigncloud.api.ordering import WhichServer, stays_the_same
from sovereigncloud.api.partitioning import PARTITIONING_RULES, Partitioning

Endpoint = Annotated[
    str,
    Field(
        pattern=r"^https?://[^/@ ]+(/[^ ]*)?$",
        max_length=512,
        json_schema_extra={
            WORDS: "must be an http or https address without user and password, which belong in the Secret that"
            " credentialsSecretRef names: for example https://one.example.fr/RPC2"
        },
    ),
]
"""An http(s) address without user and password: those belong in the Secret."""


class Role(StrEnum):
    FRONTEND = "Frontend"
    NODE = "Node"


class Architecture(StrEnum):
    """Reference architectures of OpenNebula."""

    BASIC = "Basic"
    HIGHLY_AVAILABLE = "HighlyAvailable"
    EDGE = "Edge"


class Reinstall(Model):
    """One-time reinstallation request. It erases every disk of the server."""

    request: Token = Field(
        description="Request token. A new value triggers one reinstallation; a value that was used before triggers none."
    )
    operating_system: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Name of the OVHcloud installation template, for example ubuntu2404-server_64."
    )
    wipe_all_disks: bool | None = Field(
        default=None,
        description="Permission to erase all disks. It must be true for a server with several disk groups. Absent: such a"
        " server is not reinstalled.",
    )
    partitioning: Partitioning | None = Field(
        default=None,
        description="Partition layout of the first disk group. Absent: the default layout of the template.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["mountPoint"]},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = PARTITIONING_RULES


SiteName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra={WORDS: "must be a word of lower case letters, digits and -: for example lyon-1"},
    ),
]
"""Also the name of a cluster in OpenNebula."""


class HostedServer(WhichServer):
    """A server of the cloud; the operator creates a BareMetalServer <cloud>-<name> for it."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            json_schema_extra={WORDS: "must be a host name: lower case letters, digits and -, for example one-1"},
        ),
    ] = Field(
        description="Name of the server, at most 63 characters; also its host name and its display name at OVHcloud."
    )
    display_name: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=128,
                pattern=r"^[a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?$",
                json_schema_extra={WORDS: "must be letters, digits, - and ., for example ns3012345.ip-57-131-167.eu"},
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Display name of the server at OVHcloud, if it differs from name. Absent: name. The display name of an"
        " adopted server is often its service name.",
    )
    roles: Annotated[list[Literal[Role.FRONTEND, Role.NODE]], Field(min_length=1, max_length=2)] = Field(
        description="Roles of the server. Frontend: it runs OpenNebula. Node: it runs VMs. A server can have both roles.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    move_from: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Permission to detach the server's private interface from this other vRack, for example pn-654321;"
        " anything that uses the interface there loses its connection. Absent: the operator only detaches it"
        " from a vRack of this installation.",
    )
    reinstall: Reinstall | None = Field(
        default=None,
        description="One-time request to reinstall the operating system, which erases the disks. Absent: the server is"
        " never reinstalled.",
    )
    site: SiteName | None = Field(
        default=None,
        description="Site name of an edge host; the hosts of one site form an OpenNebula cluster with this name. Only with"
        " the architecture Edge. Absent: the host is in the cluster named default, with the front-end. Cannot be"
        " changed.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        *stays_the_same("remove this server from the list, then add the other one under a name of its own"),
        immutable("site", "remove this server from the list, then add it under a name of its own"),
    )


class Ovh(Model):
    """OVHcloud as the provider of the servers."""

    endpoint: Literal["ovh-eu", "ovh-ca", "ovh-us"] = Field(
        description="OVHcloud API of the account's region. ovh-eu: Europe. ovh-ca: Canada. ovh-us: United States. Cannot be"
        " changed."
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the OVHcloud API credentials: the keys clientId and clientSecret of a service account, or"
        " applicationKey, applicationSecret and consumerKey."
    )
    vrack: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="OVHcloud vRack (private network) that connects the servers, for example pn-123456."
    )
    servers: Annotated[list[HostedServer], Field(min_length=1, max_length=64)] = Field(
        description="Servers of the cloud. Each entry creates a BareMetalServer named CLOUD-NAME and, with role Node, an"
        " OpenNebula host with the same address.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("endpoint", "the servers are known to that API only; make a new SovereignCloud for others"),
        Rule(
            "self.servers.all(a, !has(a.serviceName) || self.servers.exists_one(b, has(b.serviceName)"
            " && b.serviceName == a.serviceName))",
            "two servers have the same serviceName: name each machine once",
            field=".servers",
        ),
    )


class VirtualIp(Model):
    """Virtual IP address of the leading front-end."""

    address: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", max_length=45)] = Field(
        description="Unused IPv4 address in the network of interface, for example 10.1.0.10; the OpenNebula API answers at"
        " this address.",
        json_schema_extra=instead_of_pattern(IPV4),
    )
    cidr: Annotated[int, Field(ge=8, le=32)] = Field(
        description="Prefix length of the network: the number of network bits, for example 24."
    )
    interface: Annotated[
        str,
        Field(
            min_length=1,
            max_length=15,
            pattern=r"^[A-Za-z][-A-Za-z0-9_.]*$",
            json_schema_extra={
                WORDS: "must be the name of a network interface: for example vrack_bond or vrack_bond.200"
            },
        ),
    ] = Field(
        description="Network interface of the front-ends for the address: public_bond, vrack_bond, or vrack_bond.N for VLAN"
        " N on the vRack, which the operator creates. All front-ends must be in the same layer 2 network."
    )


class Rerun(Model):
    """One-time request for an installer run, which also approves a pending one."""

    request: Token = Field(
        description="Request token. A new value triggers one installer run on all servers of the cloud and approves a"
        " pending run; a value that was used before triggers none."
    )


class Install(Model):
    """Installation of OpenNebula by the operator."""

    architecture: Literal[Architecture.BASIC, Architecture.HIGHLY_AVAILABLE, Architecture.EDGE] = Field(
        description="Reference architecture. Basic: one front-end with SQLite, which can also be a node. HighlyAvailable:"
        " three front-ends behind virtualIP, with MariaDB. Edge: like Basic, with hosts at other sites; each"
        " site is a cluster. Cannot be changed."
    )
    version: Annotated[
        str,
        Field(
            pattern=r"^[0-9]+\.[0-9]+$",
            max_length=16,
            json_schema_extra={WORDS: 'must be a version of two numbers, in quotes: for example "7.0"'},
        ),
    ] = Field(description="OpenNebula version to install, for example 7.0. A change after the installation is refused.")
    virtual_ip: VirtualIp | None = Field(
        default=None,
        alias="virtualIP",
        description="Virtual IP address of the leading front-end. Required with the architecture HighlyAvailable, absent"
        " with the others. Cannot be changed.",
    )
    rerun: Rerun | None = Field(
        default=None,
        description="One-time request to run the installer again. Absent: it only runs again for added or erased servers;"
        " in a cloud with VMs that run also needs this field as approval.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("version", "upgrading an installed OpenNebula is not supported yet; set it back"),
        immutable(
            "architecture", "one architecture does not become another; set it back, or make a new SovereignCloud"
        ),
        immutable("virtualIP", "OpenNebula and its hosts know the front-end by it; set it back"),
        Rule(
            "has(self.virtualIP) == (self.architecture == 'HighlyAvailable')",
            "virtualIP belongs to the architecture HighlyAvailable: set both or neither",
            field=".virtualIP",
        ),
    )


class Adopt(Model):
    """An OpenNebula that was installed manually; the operator installs and reinstalls nothing."""

    endpoint: Endpoint = Field(
        description="URL of the OpenNebula XML-RPC API, for example https://one-rbx.example.fr/RPC2."
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the keys username and password of an OpenNebula user."
    )


class OpenNebulaSpec(Model):
    """Exactly one of install and adopt."""

    install: Install | None = Field(
        default=None,
        description="Installs OpenNebula on the servers. Exactly one of install and adopt is set.",
    )
    adopt: Adopt | None = Field(
        default=None,
        description="Adopts an OpenNebula that was installed by OVHcloud's guide. Exactly one of install and adopt is set.",
    )

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
    """Range of consecutive IPv4 addresses for VMs."""

    ip: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", max_length=45)] = Field(
        description="First address of the range, for example 10.100.0.10.", json_schema_extra=instead_of_pattern(IPV4)
    )
    size: Annotated[int, Field(ge=1, le=1048576)] = Field(
        description="Number of addresses in the range, starting at ip."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (RANGE_ENDS,)


class ReverseName(Model):
    """Reverse DNS name of an address."""

    ip: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", max_length=45)] = Field(
        description="IPv4 address of the reverse DNS record, for example 57.131.167.178.",
        json_schema_extra=instead_of_pattern(IPV4),
    )
    # A shorter pattern than DomainName's: a thousand names with that one are more than a rule may cost.
    name: Annotated[
        str,
        Field(
            min_length=3,
            max_length=253,
            pattern=r"^([-a-z0-9]+\.)+[a-z]+$",
            json_schema_extra={WORDS: "must be a full domain name in lower case: for example mail.example.fr"},
        ),
    ] = Field(description="Reverse DNS name, for example mail.example.fr; it must resolve to the address.")


class HostedNetwork(Model):
    """A network of the cloud; the operator creates a VirtualNetwork <cloud>-<name with _ as -> for it."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[A-Za-z0-9]+((\.|[-_]+)[A-Za-z0-9]+)*$",
            json_schema_extra={
                WORDS: "must be words of letters and digits, joined by -, _ or a dot: for example vm_public"
            },
        ),
    ] = Field(description="Name of the network in OpenNebula, as instances reference it.")
    public_block: Annotated[str, Field(pattern=r"^[0-9.]+/[0-9]{1,2}$", max_length=49)] | None = Field(
        default=None,
        description="Public IPv4 block of the account, /24 to /30, for example 57.131.167.176/28. The operator routes it to"
        " the vRack and derives addresses, gateway and DNS from it. Exactly one of publicBlock and vlanID is"
        " set. Cannot be changed.",
        json_schema_extra=instead_of_pattern(PUBLIC_BLOCK),
    )
    vlan_id: Annotated[int, Field(ge=1, le=4094)] | None = Field(
        default=None,
        alias="vlanID",
        description="802.1Q VLAN ID on the vRack, 1 to 4094. Exactly one of publicBlock and vlanID is set. Cannot be"
        " changed.",
    )
    address_ranges: Annotated[list[AddressRangeSpec], Field(max_length=32)] | None = Field(
        default=None,
        description="Address ranges for VMs. Required with vlanID. Absent with a publicBlock: all usable addresses.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["ip"]},
    )
    move_from: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="Permission to move the whole publicBlock away from this service, a vRack or a server, for example"
        " pn-654321; anything that uses its addresses there loses them. Absent: the operator only moves it from"
        " a service of this installation.",
    )
    reverse_dns: Annotated[list[ReverseName], Field(max_length=254)] | None = Field(
        default=None,
        alias="reverseDNS",
        description="Reverse DNS names of addresses in publicBlock. Each name must already resolve to its address. Absent:"
        " reverse DNS is not changed.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["ip"]},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        *NETWORK_RULES,
        Rule(
            "has(self.publicBlock) || !has(self.moveFrom)",
            "moveFrom speaks of a publicBlock: remove it",
            field=".moveFrom",
        ),
        Rule(
            "!has(self.reverseDNS) || has(self.publicBlock) && (!isCIDR(self.publicBlock)"
            " || self.reverseDNS.all(entry, !isIP(entry.ip) || cidr(self.publicBlock).containsIP(entry.ip)))",
            "each ip must be an address of publicBlock: remove it, or name it at the network whose block has it",
            field=".reverseDNS",
        ),
    )


class Hosted(Model):
    """A cloud built on a provider's bare metal."""

    ovh: Ovh | None = Field(
        default=None,
        description="Servers of OVHcloud. It is the only provider now; others will be added as siblings of this field."
        " Exactly one provider is set.",
    )
    open_nebula: OpenNebulaSpec = Field(description="Whether OpenNebula is installed by the operator or adopted.")
    access: Access | None = Field(
        default=None,
        description="Access to the cloud: DNS name, TLS certificate and firewall. Absent: the front-end's address with"
        " plain HTTP, which the operator only uses with private addresses.",
    )
    networks: Annotated[list[HostedNetwork], Field(max_length=64)] | None = Field(
        default=None,
        description="Networks of the cloud. Each entry creates a VirtualNetwork named CLOUD-NAME. Absent: none.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    update_policy: HostUpdatePolicy | None = Field(
        default=None,
        description="Disruptive actions on VMs in the cloud that are allowed to apply spec. Absent: all are denied.",
    )
    fencing: HostFencing | None = Field(
        default=None,
        description="Fencing of this cloud's servers during an outage, so that its VMs can start in another cloud. Absent:"
        " the operator does not power off servers and only reads their power state.",
    )
    lost_hosts: Annotated[list[LostHost], Field(max_length=64)] | None = Field(
        default=None,
        description="Permission to give up VMs on failed hosts whose servers were removed from the list of servers. Absent:"
        " no VM is given up.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.ovh)", "exactly one provider must be set: set ovh"),
        Rule(
            "!has(self.openNebula.install) || !has(self.ovh) || self.openNebula.install.architecture == 'HighlyAvailable'"
            " || self.ovh.servers.exists_one(server, server.roles.exists(role, role == 'Frontend'))",
            "the architectures Basic and Edge have exactly one front-end: give the role Frontend to one server",
            field=".ovh.servers",
        ),
        Rule(
            "!has(self.openNebula.install) || !has(self.ovh) || self.openNebula.install.architecture != 'HighlyAvailable'"
            " || self.ovh.servers.filter(server, server.roles.exists(role, role == 'Frontend')).size() == 3",
            "the architecture HighlyAvailable has exactly three front-ends: give the role Frontend to three servers",
            field=".ovh.servers",
        ),
        Rule(
            "!has(self.ovh) || (has(self.openNebula.install) && self.openNebula.install.architecture == 'Edge')"
            " == self.ovh.servers.exists(server, has(server.site))",
            "a server with a site is one of the architecture Edge, which has at least one: set architecture: Edge and a site,"
            " or neither",
            field=".ovh.servers",
        ),
        Rule(
            "!has(self.ovh) || self.ovh.servers.all(server, !has(server.site) || server.roles.all(role, role == 'Node'))",
            "a front-end has no site: the sites of the architecture Edge are those of hosts elsewhere; remove its site",
            field=".ovh.servers",
        ),
        Rule(
            "!has(self.openNebula.adopt) || !has(self.ovh) || !self.ovh.servers.exists(server, has(server.reinstall))",
            "a server of an adopted cloud is never reinstalled: remove reinstall from servers, or use openNebula.install",
            field=".ovh.servers",
        ),
        Rule(
            "!has(self.access) || has(self.openNebula.install) || !has(self.access.tls) && !has(self.access.allowedSourceRanges)"
            " && !has(self.access.bastion)",
            "certificate, firewall and bastion are set up by the installer, which an adopted cloud does not have: remove tls,"
            " allowedSourceRanges and bastion from access",
            field=".access",
        ),
        Rule(
            "!has(self.networks) || self.networks.all(a, self.networks.exists_one(b,"
            " b.name.lowerAscii().replace('_', '-') == a.name.lowerAscii().replace('_', '-')))",
            "two names are the same once written as the name of a VirtualNetwork (lower case, - for _): rename one",
            field=".networks",
        ),
    )
