"""What a SovereignCloud says of a cloud on OVHcloud's bare metal: servers, vRack, installation or adoption, networks."""

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
    """Reference architectures."""

    BASIC = "Basic"
    HIGHLY_AVAILABLE = "HighlyAvailable"
    EDGE = "Edge"


class Reinstall(Model):
    """A one-time request. It wipes every disk of the server."""

    request: Token = Field(
        description="A word of your own. A new word asks for one reinstallation; the same word never asks for a second."
    )
    operating_system: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Name of the OVHcloud installation template, for example ubuntu2404-server_64."
    )
    wipe_all_disks: bool | None = Field(
        default=None,
        description="Consent to erase every disk: must be true on a server of several disk groups. Absent: such a server is"
        " not reinstalled.",
    )
    partitioning: Partitioning | None = Field(
        default=None,
        description="How the disks of the first disk group are divided. Absent: as the template does it by default.",
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
    """A server of the cloud; it becomes a BareMetalServer <cloud>-<name>."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            json_schema_extra={WORDS: "must be a host name: lower case letters, digits and -, for example one-1"},
        ),
    ] = Field(
        description="A name of your own for it, at most 63 characters: also its host name and its display name at OVHcloud."
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
        description="Its display name at OVHcloud, where that is another than name. Absent: name. An adopted server mostly has"
        " its service name there.",
    )
    roles: Annotated[list[Literal[Role.FRONTEND, Role.NODE]], Field(min_length=1, max_length=2)] = Field(
        description="What the server does. Frontend: runs OpenNebula. Node: runs virtual machines. It may do both.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    move_from: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Consent to take the server's private interface out of this other private network, for example"
        " pn-654321, where what uses it there is cut off. Absent: it is only taken out of one that is this installation's.",
    )
    reinstall: Reinstall | None = Field(
        default=None,
        description="A one-time request to install an operating system, which erases the disks. Absent: never reinstalled.",
    )
    site: SiteName | None = Field(
        default=None,
        description="Where an edge host stands, in a word of your own: the hosts of one site are an OpenNebula cluster of that"
        " name. Only with the architecture Edge. Absent: in the cluster default, with the front-end. Cannot be changed.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        *stays_the_same("remove this server from the list, then add the other one under a name of its own"),
        immutable("site", "remove this server from the list, then add it under a name of its own"),
    )


class Ovh(Model):
    """OVHcloud as the provider of the servers."""

    endpoint: Literal["ovh-eu", "ovh-ca", "ovh-us"] = Field(
        description="The API of the account's region. ovh-eu: Europe. ovh-ca: Canada. ovh-us: United States. Cannot be"
        " changed."
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the keys clientId and clientSecret of a service account, or applicationKey,"
        " applicationSecret and consumerKey."
    )
    vrack: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="Private network of OVHcloud that joins the servers, for example pn-123456."
    )
    servers: Annotated[list[HostedServer], Field(min_length=1, max_length=64)] = Field(
        description="What the cloud consists of: each entry becomes a BareMetalServer CLOUD-NAME and, with role Node, a host"
        " of OpenNebula, matched by address.",
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
    """The address that the leader among several front-ends holds."""

    address: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", max_length=45)] = Field(
        description="A free IPv4 address of the network that interface is in, for example 10.1.0.10; the cloud answers there.",
        json_schema_extra=instead_of_pattern(IPV4),
    )
    cidr: Annotated[int, Field(ge=8, le=32)] = Field(
        description="Length of the network's prefix: how many bits of an address name the network, for example 24."
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
        description="Interface of the front-ends that takes the address: public_bond, vrack_bond, or vrack_bond.N for VLAN N"
        " on the vRack, which is made then. All front-ends must be in that network: an address moves at layer 2 only."
    )


class Rerun(Model):
    """A one-time request for one more run of the installer, and the consent to one that waits."""

    request: Token = Field(
        description="A word of your own. A new word asks for one run over all servers of the cloud, whether or not something"
        " waits for it; the same word never asks for a second."
    )


class Install(Model):
    """OpenNebula is installed by the operator."""

    architecture: Literal[Architecture.BASIC, Architecture.HIGHLY_AVAILABLE, Architecture.EDGE] = Field(
        description="Reference architecture. Basic: one front-end, which may be a node too, with SQLite. HighlyAvailable:"
        " three front-ends behind virtualIP, with MariaDB. Edge: as Basic, with hosts at other sites, each site a cluster of"
        " its own. Cannot be changed."
    )
    version: Annotated[
        str,
        Field(
            pattern=r"^[0-9]+\.[0-9]+$",
            max_length=16,
            json_schema_extra={WORDS: 'must be a version of two numbers, in quotes: for example "7.0"'},
        ),
    ] = Field(description="Version of OpenNebula to install, for example 7.0. Refused if changed.")
    virtual_ip: VirtualIp | None = Field(
        default=None,
        alias="virtualIP",
        description="Address of whichever front-end leads, with the architecture HighlyAvailable; absent with the others."
        " Cannot be changed.",
    )
    rerun: Rerun | None = Field(
        default=None,
        description="A one-time request to run the installer again on a cloud that was installed. Absent: it runs again only"
        " for servers that were added or wiped, and in a cloud with machines only after consent, given by this field.",
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
    """OpenNebula was installed there by hand; nothing is installed or reinstalled."""

    endpoint: Endpoint = Field(description="Address of its XML-RPC API, for example https://one-rbx.example.fr/RPC2.")
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the keys username and password of an OpenNebula user."
    )


class OpenNebulaSpec(Model):
    """Exactly one of install and adopt."""

    install: Install | None = Field(
        default=None,
        description="The operator installs OpenNebula on the servers. Exactly one of install and adopt is set.",
    )
    adopt: Adopt | None = Field(
        default=None,
        description="OpenNebula stands there already, built by OVHcloud's guide: it is taken over. Exactly one of install"
        " and adopt is set.",
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
    """Consecutive IPv4 addresses that machines get."""

    ip: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", max_length=45)] = Field(
        description="First address of the range, for example 10.100.0.10.", json_schema_extra=instead_of_pattern(IPV4)
    )
    size: Annotated[int, Field(ge=1, le=1048576)] = Field(
        description="How many addresses the range has, counted from ip."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (RANGE_ENDS,)


class ReverseName(Model):
    """The name of an address."""

    ip: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", max_length=45)] = Field(
        description="The address, for example 57.131.167.178.", json_schema_extra=instead_of_pattern(IPV4)
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
    ] = Field(description="Its name, for example mail.example.fr, which must resolve to it.")


class HostedNetwork(Model):
    """A network of the cloud; it becomes a VirtualNetwork <cloud>-<name with _ as ->."""

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
    ] = Field(description="Name of the network in OpenNebula, which instances use.")
    public_block: Annotated[str, Field(pattern=r"^[0-9.]+/[0-9]{1,2}$", max_length=49)] | None = Field(
        default=None,
        description="An IP block of the account, /24 to /30, for example 57.131.167.176/28; it is routed to the vRack, and"
        " addresses, gateway and DNS follow from it. Exactly one of publicBlock and vlanID is set. Cannot be changed.",
        json_schema_extra=instead_of_pattern(PUBLIC_BLOCK),
    )
    vlan_id: Annotated[int, Field(ge=1, le=4094)] | None = Field(
        default=None,
        alias="vlanID",
        description="Number of the 802.1Q VLAN on the vRack, 1 to 4094. Exactly one of publicBlock and vlanID is set. Cannot be"
        " changed.",
    )
    address_ranges: Annotated[list[AddressRangeSpec], Field(max_length=32)] | None = Field(
        default=None,
        description="Addresses that machines get; needed with vlanID. Absent with a publicBlock: all usable ones.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["ip"]},
    )
    move_from: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="Consent to take publicBlock, as a whole, away from this service that it is routed to: a private network"
        " or a server, for example pn-654321. What uses its addresses there loses them. Absent: it is only taken from what is"
        " this installation's.",
    )
    reverse_dns: Annotated[list[ReverseName], Field(max_length=254)] | None = Field(
        default=None,
        alias="reverseDNS",
        description="Names that addresses of publicBlock have. Each must resolve to its address before. Absent: left as they"
        " are.",
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
        description="The servers are OVHcloud's. Other providers will be siblings of this field, exactly one of them set.",
    )
    open_nebula: OpenNebulaSpec = Field(description="How OpenNebula comes to be there: installed, or adopted.")
    access: Access | None = Field(
        default=None,
        description="How the cloud is reached: its name, its certificate, and from where. Absent: at the front-end's address,"
        " in plain http, which only private addresses are spoken to in.",
    )
    networks: Annotated[list[HostedNetwork], Field(max_length=64)] | None = Field(
        default=None,
        description="Networks of the cloud: each entry becomes a VirtualNetwork CLOUD-NAME. Absent: none.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    update_policy: HostUpdatePolicy | None = Field(
        default=None,
        description="What may happen to machines in the cloud to follow spec. Absent: everything is denied.",
    )
    fencing: HostFencing | None = Field(
        default=None,
        description="What the operator may do to the servers of this cloud once it is lost, so that its machines may start elsewhere."
        " Absent: nothing; it looks whether they are off.",
    )
    lost_hosts: Annotated[list[LostHost], Field(max_length=64)] | None = Field(
        default=None,
        description="Consent to lose machines: hosts whose servers are dead and no longer in the list of servers, with the"
        " machines that are given up on them. Absent: nothing is given up.",
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
