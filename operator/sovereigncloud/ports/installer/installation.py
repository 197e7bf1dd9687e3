"""What the installer is told beside the servers: the address of several front-ends, and how the cloud is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sovereigncloud.ports.installer.validation import Validation, ValidationState

if TYPE_CHECKING:
    from sovereigncloud.ports.installer.federation import FederationChange


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """The address that the leader of several front-ends holds on an interface."""

    address: str
    cidr: int
    interface: str


@dataclass(frozen=True, slots=True)
class JumpHost:
    """A host that SSH goes through. `key_secret`: with the key sshPrivateKey; empty: the key of the servers."""

    host: str
    port: int
    user: str
    host_key: str
    key_secret: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a cloud is reached.

    Attributes:
        fqdn: the name that the certificate is for; empty without one.
        tls_secret: Secret with tls.crt and tls.key; empty: plain http.
        source_ranges: from where SSH, API and Sunstone are reached; empty: no firewall.
        machine_ranges: addresses of the cloud's machines, which speak to OneGate.
        jump_host: None: SSH goes directly to the servers.
    """

    fqdn: str = ""
    tls_secret: str = ""
    source_ranges: tuple[str, ...] = ()
    machine_ranges: tuple[str, ...] = ()
    jump_host: JumpHost | None = None


@dataclass(frozen=True, slots=True)
class InstallTarget:
    """A server as the installer sees it. `address` is where SSH answers; MACs tell the bonds apart."""

    name: str
    address: str
    roles: tuple[str, ...]
    public_macs: tuple[str, ...]
    private_macs: tuple[str, ...]
    host_key: str = ""
    """As known_hosts takes it; empty: none is pinned."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be installed. `hash` names exactly this: one Job per cloud and hash, never two at once."""

    cloud: str
    namespace: str
    owner_uid: str
    version: str
    architecture: str
    targets: tuple[InstallTarget, ...]
    credentials_secret: str
    hash: str
    virtual_ip: VirtualAddress | None = None
    reach: Reach = field(default_factory=Reach)
    only_certificate: bool = False
    """Nothing but the certificate is brought to the front-ends."""


@dataclass(frozen=True, slots=True)
class InstallState:
    """State: Absent, Running, Succeeded, Failed."""

    state: str
    message: str = ""


class Installer(Protocol):
    """Bootstraps OpenNebula on servers that have an operating system."""

    async def state(self, installation: Installation) -> InstallState: ...
    async def start(self, installation: Installation) -> None:
        """Idempotent: the same hash never starts a second run."""
        ...

    async def federation(self, change: FederationChange) -> InstallState:
        """What became of making a cloud a member of a federation, or taking it out of one."""
        ...

    async def federate(self, change: FederationChange) -> None:
        """Idempotent: one change is begun once. Raises Conflict while the installer, or another run, is at work there."""
        ...

    async def validation(self, wanted: Validation) -> ValidationState:
        """What became of a run of one-deploy-validation."""
        ...

    async def validate(self, wanted: Validation) -> None:
        """Idempotent: one run is made once. Raises Conflict while the installer, or another run, is at work there."""
        ...
