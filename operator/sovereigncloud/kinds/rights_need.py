"""Which rights an object needs: read from its spec. Pure."""

from __future__ import annotations

from collections.abc import Callable

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.base import Key, Management
from sovereigncloud.kinds.controller import AnyResource
from sovereigncloud.kinds.endpoint import server_key
from sovereigncloud.kinds.rights import Need
from sovereigncloud.kinds.rights_operations import Feature

_ALWAYS = frozenset({Feature.OBSERVE, Feature.ADOPT, Feature.RENAME})


def needs(resource: AnyResource, get: Callable[[Key], AnyResource | None]) -> tuple[Need, ...]:
    """One for each credential; none for what does not live at OVHcloud, or is only looked at."""
    if resource.spec.management is Management.OBSERVE:
        return ()
    if isinstance(resource, SovereignCloud):
        return _of_cloud(resource, get)
    if isinstance(resource, BareMetalServer):
        return _of_server(resource)
    return ()


def _of_cloud(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> tuple[Need, ...]:
    hosted = cloud.spec.hosted
    ovh = hosted.ovh if hosted else None
    if hosted is None or ovh is None:
        return ()
    blocks = tuple(n.public_block for n in hosted.networks or () if n.public_block)
    servers = tuple(filter(None, (_service(get(server_key(cloud, s)), s.service_name) for s in ovh.servers)))
    features = {*_ALWAYS, Feature.VRACK}
    features |= {Feature.REINSTALL} if any(s.reinstall for s in ovh.servers) else set()
    features |= {Feature.BLOCKS} if blocks else set()
    names = {"dedicatedServer": servers, "vrack": (ovh.vrack,), "ip": blocks}
    return (Need(ovh.endpoint, ovh.credentials_secret_ref.name, frozenset(features), names),)


def _of_server(server: BareMetalServer) -> tuple[Need, ...]:
    ovh = server.spec.ovh
    if ovh is None:
        return ()
    features = {*_ALWAYS}
    features |= {Feature.VRACK} if ovh.vrack else set()
    features |= {Feature.REINSTALL} if server.spec.reinstall else set()
    service = _service(server, ovh.service_name)
    names = {"dedicatedServer": (service,) if service else (), "vrack": (ovh.vrack,) if ovh.vrack else ()}
    return (Need(ovh.endpoint, ovh.credentials_secret_ref.name, frozenset(features), names),)


def _service(server: AnyResource | None, declared: str | None) -> str:
    """Its name at OVHcloud, once it is known: of one that is chosen by tags, or ordered, spec does not have it."""
    found = getattr(server.status, "service_name", None) if server is not None else None
    return found or declared or ""
