"""Where the front-end of a cloud answers and with which Secret, before and after status says so."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.base import GROUP, Key
from sovereigncloud.api.sovereigncloud import HostedServer, Role
from sovereigncloud.kinds.controller import AnyResource

_PORT = 2633  # oned's XML-RPC


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


def front_end(cloud: SovereignCloud) -> HostedServer | None:
    """The server that runs OpenNebula; None unless exactly one has that role."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    fronts = [s for s in ovh.servers if Role.FRONTEND in s.roles] if ovh else []
    return fronts[0] if len(fronts) == 1 else None


def endpoint_of(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> Endpoint | None:
    """Where the cloud's OpenNebula answers, or will; None while that cannot be known.

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
    front = front_end(cloud)
    child = get(server_key(cloud, front)) if front else None
    address = child.status.address if child is not None else None
    url = f"http://{address}:{_PORT}/RPC2" if address else cloud.status.endpoint
    return Endpoint(url, generated_secret(cloud)) if url else None
