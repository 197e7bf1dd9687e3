"""Where the front-end of a cloud answers and with which Secret, before and after status says so."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import GROUP, Key
from sovereigncloud.api.hosted import Architecture, HostedServer, Role
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.access import is_reached_so

_PORT = 2633  # oned's XML-RPC
_SUNSTONE_PORT = 2616  # FireEdge
_SEVERAL = 3  # front-ends of the architecture HighlyAvailable: a majority of two survives one


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An XML-RPC endpoint, and the Secrets (in the cloud's namespace) to reach it with."""

    url: str
    secret: str
    ca_secret: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def insecure(self, allowed: Callable[[str], bool]) -> bool:
        """Whether credentials would travel in clear over a network that is not private."""
        return urlsplit(self.url).scheme != "https" and not _private(self.host) and not allowed(self.host)


def _private(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_loopback or address.is_link_local


def generated_secret(cloud: SovereignCloud) -> str:
    """The Secret with the administrator of a cloud that the operator installs."""
    return f"{cloud.metadata.name}-oneadmin"


def child_name(cloud: SovereignCloud, part: str) -> str:
    """The name of an object that a cloud composes: lower case, as Kubernetes wants it."""
    return f"{cloud.metadata.name}-{part.lower().replace('_', '-').replace('.', '-').rstrip('-')}"


def server_key(cloud: SovereignCloud, server: HostedServer) -> Key:
    return Key("BareMetalServer", cloud.metadata.namespace, child_name(cloud, server.name))


def owner_of(resource: AnyResource) -> Key | None:
    """The SovereignCloud that composed an object."""
    for reference in resource.metadata.owner_references:
        if (
            reference.controller
            and reference.kind == "SovereignCloud"
            and reference.api_version.startswith(f"{GROUP}/")
        ):
            return Key("SovereignCloud", resource.metadata.namespace, reference.name)
    return None


def front_ends(cloud: SovereignCloud) -> tuple[HostedServer, ...]:
    """The servers that run OpenNebula, by name; none unless there are as many as the architecture has."""
    hosted = cloud.spec.hosted
    if hosted is None or hosted.ovh is None:
        return ()
    found = sorted((s for s in hosted.ovh.servers if Role.FRONTEND in s.roles), key=lambda s: s.name)
    install = hosted.open_nebula.install
    several = install is not None and install.architecture is Architecture.HIGHLY_AVAILABLE
    return tuple(found) if len(found) == (_SEVERAL if several else 1) else ()


def front_end(cloud: SovereignCloud) -> HostedServer | None:
    """The front-end, or the first of several by name; None unless there are as many as the architecture has."""
    return next(iter(front_ends(cloud)), None)


def sunstone_of(cloud: SovereignCloud, endpoint: Endpoint) -> str | None:
    """Where Sunstone is of a cloud that the operator installed; of others nobody said."""
    hosted = cloud.spec.hosted
    if hosted is None or hosted.open_nebula.install is None:
        return None
    access = hosted.access
    if access is not None and access.tls is not None and access.fqdn:
        return f"https://{access.fqdn}"
    return f"http://{(access.fqdn if access else None) or endpoint.host}:{_SUNSTONE_PORT}"


def endpoint_of(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> Endpoint | None:
    """Where the cloud's OpenNebula answers, or will, and how it is entered: since it joined a federation with the master's
    Secret. None while that cannot be known.
    """
    found, joined = own_endpoint(cloud, get), cloud.status.federation_secret
    return replace(found, secret=joined) if found is not None and joined else found


def own_endpoint(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> Endpoint | None:
    """As `endpoint_of`, with the cloud's own Secret.

    The address of a front-end that the operator installs is that of its server, which is known before anything answers
    there: `status.endpoint` is set only then.
    """
    existing, hosted = cloud.spec.existing, cloud.spec.hosted
    if existing is not None:
        ca = existing.ca_secret_ref.name if existing.ca_secret_ref else ""
        return Endpoint(existing.endpoint, existing.credentials_secret_ref.name, ca)
    if hosted is None:
        return None
    if hosted.open_nebula.adopt is not None:
        adopt = hosted.open_nebula.adopt
        return Endpoint(adopt.endpoint, adopt.credentials_secret_ref.name)
    wanted, known = _installed(cloud, get), cloud.status.endpoint
    if known and wanted is not None and known != wanted.url and not is_reached_so(cloud):
        # Another name or certificate is declared: until a run of the installer brought it, the cloud is where it was.
        return replace(wanted, url=known, ca_secret=wanted.ca_secret if known.startswith("https:") else "")
    return wanted


def _installed(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> Endpoint | None:
    """By its name where it has a certificate for it, else by the address of the leader or of the only front-end."""
    hosted = cloud.spec.hosted
    install = hosted.open_nebula.install if hosted else None
    if hosted is None or install is None:
        return None
    secret, access = generated_secret(cloud), hosted.access
    if access is not None and access.tls is not None and access.fqdn:
        # The authority that signed it stands in the same Secret, if it is not one of the public ones.
        return Endpoint(f"https://{access.fqdn}/RPC2", secret, access.tls.secret_ref.name)
    if install.virtual_ip is not None:
        return Endpoint(f"http://{install.virtual_ip.address}:{_PORT}/RPC2", secret)
    front = front_end(cloud)
    child = get(server_key(cloud, front)) if front else None
    address = child.status.address if child is not None else None
    url = f"http://{address}:{_PORT}/RPC2" if address else cloud.status.endpoint
    return Endpoint(url, secret) if url else None
