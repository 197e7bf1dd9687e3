"""Access to a hosted cloud: DNS name, TLS certificate, firewall and SSH."""

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
    """TLS certificate of the front-end."""

    secret_ref: SecretRef = Field(
        description="Secret of type kubernetes.io/tls: tls.crt holds the certificate for access.fqdn followed by its chain,"
        " tls.key the private key. If a private authority signed it, ca.crt holds that authority's certificate."
    )


class Bastion(Model):
    """SSH bastion (jump host) for servers that are not reachable directly."""

    host: HostName = Field(description="DNS name or address of the bastion, for example bastion.example.fr.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Number of the SSH port. Absent: 22."
    )
    user: UnixUser = Field(description="SSH user, for example jump.")
    private_key_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the private SSH key of this user in the key sshPrivateKey. Absent: the key that the"
        " operator generated for the cloud; its public half is sshPublicKey of the Secret in status.adminSecret.",
    )
    host_key: HostKey = Field(
        description="SSH host key of the bastion; the operator refuses a connection to a server with another key."
    )


class Ssh(Model):
    """SSH access to a front-end that the operator did not install."""

    host: HostName = Field(description="DNS name or address of the front-end, for example one.example.fr.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Number of the SSH port. Absent: 22."
    )
    user: UnixUser = Field(description="SSH user, for example root; any other user needs sudo without a password.")
    private_key_secret_ref: SecretRef = Field(
        description="Secret with the private SSH key of this user in the key sshPrivateKey."
    )
    host_key: HostKey = Field(
        description="SSH host key of the front-end; the operator refuses a connection to a server with another key."
    )


class Access(Model):
    """Access to the cloud: DNS name, TLS certificate and firewall."""

    fqdn: DomainName | None = Field(
        default=None,
        description="DNS name of the front-end, for example one-rbx.example.fr. With tls the API is at https://FQDN/RPC2"
        " and Sunstone at https://FQDN. Absent: the front-end's IP address.",
    )
    tls: Tls | None = Field(
        default=None,
        description="TLS certificate for fqdn, used by the API and Sunstone. Absent: plain HTTP, which the operator only"
        " uses with private addresses.",
    )
    allowed_source_ranges: Annotated[list[SourceRange], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Source addresses that may reach SSH, API and Sunstone of the servers; they must include this"
        " operator's own addresses. Traffic between the cloud's servers and from OVHcloud's monitoring is always"
        " allowed. Absent: no firewall.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    dns_zone: DomainName | None = Field(
        default=None,
        description="DNS zone of the same OVHcloud account in which the operator keeps the record of fqdn, for example"
        " example.fr. Absent: the operator does not manage DNS records.",
    )
    bastion: Bastion | None = Field(
        default=None,
        description="SSH bastion (jump host) for the installer. Absent: SSH connects directly to the servers.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("!has(self.tls) || has(self.fqdn)", "a certificate is for a name: set access.fqdn", field=".tls"),
        Rule(
            "!has(self.dnsZone) || has(self.fqdn) && (self.fqdn == self.dnsZone || self.fqdn.endsWith('.' + self.dnsZone))",
            "dnsZone is the zone that fqdn is in: set access.fqdn to a name that ends with it",
            field=".dnsZone",
        ),
    )
