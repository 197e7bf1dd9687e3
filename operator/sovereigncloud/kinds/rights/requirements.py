"""Which rights an object needs: read from its spec. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy, Key, Management
from sovereigncloud.api.ordering import ServerOrder
from sovereigncloud.kinds.baremetalserver.identity import hosted_service_name, service_name_of
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.endpoint import server_key
from sovereigncloud.kinds.fencing.confirmation import may_switch_off
from sovereigncloud.kinds.rights.operations import Feature
from sovereigncloud.kinds.rights.policy import Need

_ALWAYS = frozenset({Feature.OBSERVE, Feature.ADOPT, Feature.RENAME})


def needs(
    resource: AnyResource, get: Callable[[Key], AnyResource | None], *, as_if_managed: bool = False
) -> tuple[Need, ...]:
    """One for each credential; none for what does not live at OVHcloud. What is only observed needs to be read."""
    if isinstance(resource, SovereignCloud):
        found = _of_cloud(resource, get)
    elif isinstance(resource, BareMetalServer):
        found = _of_server(resource)
    else:
        return ()
    if resource.spec.management is Management.OBSERVE and not as_if_managed:
        return tuple(replace(need, features=need.features & {Feature.OBSERVE}) for need in found)
    return found


def _of_cloud(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> tuple[Need, ...]:
    hosted = cloud.spec.hosted
    ovh = hosted.ovh if hosted else None
    if hosted is None or ovh is None:
        return ()
    blocks = tuple(n.public_block for n in hosted.networks or () if n.public_block)
    children = {s.name: get(server_key(cloud, s)) for s in ovh.servers}
    services = (
        hosted_service_name(s, child if isinstance(child := children[s.name], BareMetalServer) else None)
        for s in ovh.servers
    )
    zone = hosted.access.dns_zone if hosted.access else None
    features = {*_ALWAYS, Feature.VRACK, *_end(cloud)}
    features |= {Feature.REINSTALL} if any(s.reinstall for s in ovh.servers) else set()
    features |= {Feature.FENCE} if may_switch_off(cloud) else set()
    features |= {Feature.BLOCKS} if blocks else set()
    features |= {Feature.REVERSE_DNS} if any(n.reverse_dns for n in hosted.networks or ()) else set()
    features |= {Feature.DNS} if zone else set()
    features |= {Feature.REVERSE_DNS} if any(n.reverse_dns for n in hosted.networks or ()) else set()
    names = {
        "dedicatedServer": tuple(filter(None, services)),
        "vrack": (ovh.vrack,),
        "ip": blocks,
        "dnsZone": (zone,) if zone else (),
    }
    own = Need(ovh.endpoint, ovh.credentials_secret_ref.name, frozenset(features), names)
    return _with_orders(own, [s.order for s in ovh.servers if s.order])


def _of_server(server: BareMetalServer) -> tuple[Need, ...]:
    ovh = server.spec.ovh
    if ovh is None:
        return ()
    features = {*_ALWAYS, *_end(server)}
    features |= {Feature.VRACK} if ovh.vrack else set()
    features |= {Feature.REINSTALL} if server.spec.reinstall else set()
    service = service_name_of(server)
    names = {"dedicatedServer": (service,) if service else (), "vrack": (ovh.vrack,) if ovh.vrack else ()}
    own = Need(ovh.endpoint, ovh.credentials_secret_ref.name, frozenset(features), names)
    return _with_orders(own, [ovh.order] if ovh.order else [])


def _end(resource: AnyResource) -> set[Feature]:
    """A server ends at its expiration only where its deletion means that."""
    return {Feature.TERMINATE} if resource.deletion_policy is DeletionPolicy.DELETE else set()


def _with_orders(own: Need, orders: Iterable[ServerOrder]) -> tuple[Need, ...]:
    """What is bought may be bought with a credential that does nothing else."""
    bought: dict[str, set[Feature]] = {}
    for order in orders:
        secret = order.credentials_secret_ref.name if order.credentials_secret_ref else own.secret
        bought.setdefault(secret, set()).update({Feature.ORDER, *({Feature.PAY} if order.approval else ())})
    own = replace(own, features=own.features | bought.pop(own.secret, set()))
    return (own, *(Need(own.endpoint, secret, frozenset(f), {}) for secret, f in bought.items()))
