"""What `sovereign doctor` asks: reads only, and nothing that is sent depends on what is answered by the other API."""

from __future__ import annotations

from collections.abc import Callable

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.doctor.report import Diagnosis, One, Verdict, open_nebula, reach, rights
from sovereigncloud.commands.shared.connections import Connections
from sovereigncloud.engine.cache.store import AnyResource
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.kinds.endpoint.endpoint import Endpoint, endpoint_of
from sovereigncloud.kinds.rights.operations import Feature
from sovereigncloud.kinds.rights.policy import Need, actions
from sovereigncloud.kinds.rights.requirements import needs
from sovereigncloud.ports.errors import Auth, MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.ovh.account import Ovh

Get = Callable[[Key], AnyResource | None]


async def of_object(resource: AnyResource, clients: Clients, connections: Connections, get: Get) -> Diagnosis:
    """Both APIs, as far as the object names them, for what its spec needs."""
    found = Diagnosis()
    namespace = resource.metadata.namespace
    for need in needs(resource, get, as_if_managed=True):
        where = f"Secret {namespace}/{need.secret}"
        try:
            client = await clients.ovh(need.endpoint, namespace, need.secret)
        except (MissingSecret, OutsideError) as error:
            found += Diagnosis((reach("OVHcloud", where, str(error), Verdict.FAILS),))
            continue
        found += await of_account(client, need, need, where)
    if isinstance(resource, SovereignCloud):
        found += await _of_cloud(resource, clients, connections, get)
    return found


async def _of_cloud(cloud: SovereignCloud, clients: Clients, connections: Connections, get: Get) -> Diagnosis:
    endpoint = endpoint_of(cloud, get)
    if endpoint is None:
        nowhere = reach("OpenNebula", str(cloud.key), "where it answers is not known yet", Verdict.UNKNOWN)
        return Diagnosis((nowhere,))
    if (insecure := _insecure(endpoint, connections)) is not None:
        return insecure
    namespace = cloud.metadata.namespace
    try:
        client = await clients.open_nebula(endpoint.url, namespace, endpoint.secret, endpoint.ca_secret)
    except (MissingSecret, OutsideError) as error:
        return Diagnosis((reach("OpenNebula", endpoint.url, str(error), Verdict.FAILS),))
    needed = {One.OBSERVE, *({One.HOSTS} if cloud.spec.hosted else ())}
    needed |= {One.NETWORKS} if cloud.spec.hosted and cloud.spec.hosted.networks else set()
    return await of_front_end(client, endpoint.url, frozenset(needed))


async def of_bare_account(client: Ovh, endpoint: str, where: str) -> Diagnosis:
    """Everything, on all that the account has: there is no object yet that says what is needed."""
    try:
        view = await client.view(0.0, frozenset())
        names = {
            "dedicatedServer": tuple(sorted(view.servers)),
            "vrack": await client.inventory.vracks(),
            "ip": await client.inventory.blocks(),
        }
    except OutsideError as error:
        return Diagnosis((reach("OVHcloud", where, str(error), Verdict.FAILS),))
    everything = Need(endpoint, "", frozenset(Feature), names)
    return await of_account(client, Need(endpoint, "", frozenset({Feature.OBSERVE}), names), everything, where)


async def of_account(client: Ovh, need: Need, everything: Need, where: str) -> Diagnosis:
    """Whether it answers, and which rights lack."""
    try:
        who = await client.rights.identity()
    except OutsideError as error:
        return Diagnosis((reach("OVHcloud", where, str(error), Verdict.FAILS),))
    try:
        refused = await client.rights.refused(everything.urns(who.account), actions(Feature))
    except OutsideError:
        return rights(need, everything, who, None, where)
    return rights(need, everything, who, refused, where)


async def of_endpoint(client: OpenNebula, url: str, connections: Connections) -> Diagnosis:
    """An OpenNebula that no object names yet."""
    insecure = _insecure(Endpoint(url, ""), connections)
    return insecure if insecure is not None else await of_front_end(client, url, frozenset({One.OBSERVE}))


async def of_front_end(client: OpenNebula, url: str, needed: frozenset[One]) -> Diagnosis:
    """Whether it answers, who the user is, and what that user sees."""
    try:
        front, login = await client.front(), await client.login()
    except OutsideError as error:
        return Diagnosis((reach("OpenNebula", url, str(error), Verdict.FAILS),))
    view, refusal = None, ""
    try:
        view = await client.view(0.0)
    except Auth as error:
        refusal = str(error)
    except OutsideError as error:
        refusal = f"it answered once and then not any more: {error}"
    return open_nebula(url, front, login, view, refusal, needed)


def _insecure(endpoint: Endpoint, connections: Connections) -> Diagnosis | None:
    """A password is not sent in clear over a public network, not even to look."""
    if not endpoint.insecure(lambda host: host in connections.settings.plain_http_hosts):
        return None
    message = (
        f"the password would travel in clear over a public network: use https, or allow plain http to {endpoint.host} by name"
        " (plainHttpHosts)"
    )
    return Diagnosis((reach("OpenNebula", endpoint.url, message, Verdict.FAILS),))
