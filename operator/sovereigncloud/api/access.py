"""Who reaches a hosted cloud, under which name, and through what."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model, Rule, SecretRef
from sovereigncloud.api.common.names import host_name, unix_user
from sovereigncloud.api.common.rules import checked

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

DomainName = Annotated[
    str,
    Field(
        min_length=3,
        max_length=253,
        pattern=rf"^{_LABEL}(\.{_LABEL})*\.[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?$",
        json_schema_extra={WORDS: "must be a full domain name in lower case: for example one-rbx.example.fr"},
    ),
]
"""A full domain name, lower case, without the final dot."""

SourceRange = Annotated[
    str,
    Field(
        max_length=43,
        json_schema_extra=checked(
            Rule(
                "isCIDR(self) && cidr(self) == cidr(self).masked()",
                "must be a block of addresses that begins with its first one: for example 192.0.2.0/24, or 192.0.2.7/32 for a"
                " single address",
            )
        ),
    ),
]


HostName = Annotated[str, host_name("bastion.example.fr")]
UnixUser = Annotated[str, unix_user("jump")]
HostKey = Annotated[
    str,
    Field(
        max_length=1024,
        pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}$",
        json_schema_extra={
            WORDS: "must be one public key as ssh-keyscan prints it, without the name: for example ssh-ed25519 AAAAC3Nz"
        },
    ),
]


class Tls(Model):
    """A certificate of one's own for the front-end."""

    secret_ref: SecretRef = Field(
        description="Secret of type kubernetes.io/tls: tls.crt holds the certificate for access.fqdn followed by its chain,"
        " tls.key the key. Where a private authority signed it, ca.crt holds that authority's certificate."
    )


class Bastion(Model):
    """A host that SSH goes through, where the servers do not answer to everybody."""

    host: HostName = Field(description="Name or address of the bastion, for example bastion.example.fr.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Number of the port on which its SSH answers. Absent: 22."
    )
    user: UnixUser = Field(description="Who logs in there, for example jump.")
    private_key_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the key sshPrivateKey that lets this user in. Absent: the key that the operator generated for"
        " the cloud; its public half is sshPublicKey of the Secret in status.adminSecret.",
    )
    host_key: HostKey = Field(
        description="Public key of the bastion's SSH server; with another one nothing is sent through it."
    )


class Ssh(Model):
    """How a front-end is entered that the operator did not install."""

    host: HostName = Field(description="Name or address of the front-end, for example one.example.fr.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Number of the port on which its SSH answers. Absent: 22."
    )
    user: UnixUser = Field(
        description="Who logs in there, for example root; another one needs sudo without a password."
    )
    private_key_secret_ref: SecretRef = Field(description="Secret with the key sshPrivateKey that lets this user in.")
    host_key: HostKey = Field(
        description="Public key of the front-end's SSH server; with another one nothing is sent there."
    )


class Access(Model):
    """How the cloud is reached: its name, its certificate, and from where."""

    fqdn: DomainName | None = Field(
        default=None,
        description="Name under which the front-end is reached, for example one-rbx.example.fr. With tls the API answers at"
        " https://FQDN/RPC2 and Sunstone at https://FQDN. Absent: the front-end's address.",
    )
    tls: Tls | None = Field(
        default=None,
        description="Certificate for fqdn, in front of API and Sunstone. Absent: plain http, which the operator speaks to"
        " private addresses only.",
    )
    allowed_source_ranges: Annotated[list[SourceRange], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="From where SSH, API and Sunstone of the servers are reached; this operator's own addresses must be among"
        " them. The cloud's servers among themselves and OVHcloud's monitoring are always let in. Absent: no firewall.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    dns_zone: DomainName | None = Field(
        default=None,
        description="Zone at OVHcloud, of the same account, in which the record of fqdn is kept, for example example.fr."
        " Absent: the record is somebody else's.",
    )
    bastion: Bastion | None = Field(
        default=None, description="Host through which the installer's SSH goes. Absent: directly to the servers."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("!has(self.tls) || has(self.fqdn)", "a certificate is for a name: set access.fqdn", field=".tls"),
        Rule(
            "!has(self.dnsZone) || has(self.fqdn) && (self.fqdn == self.dnsZone || self.fqdn.endsWith('.' + self.dnsZone))",
            "dnsZone is the zone that fqdn is in: set access.fqdn to a name that ends with it",
            field=".dnsZone",
        ),
    )
