"""Read where a cloud is: from its BareMetalServers, and from the account for other hosts."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.sovereigncloud.location.status import (
    LocationInput,
    ServerLocation,
    front_ends_of,
    server_location,
)
from sovereigncloud.kinds.sovereigncloud.stores.observation import ObservedStore
from sovereigncloud.ports.opennebula.views import CloudView


async def observe_locations(
    cloud: SovereignCloud,
    context: Context,
    view: CloudView,
    servers: Mapping[str, BareMetalServer],
    hosts: Mapping[str, str],
    kept: tuple[ObservedStore, ...],
) -> LocationInput:
    """Read the servers behind the hosts of a cloud.

    No call at rest, since each server is read once.

    Args:
        cloud: the cloud to locate.
        context: the reconcile context.
        view: the OpenNebula view of the cloud.
        servers: the BareMetalServers of the cloud, by name in spec.
        hosts: host names, by server name in spec.
        kept: marketplaces and datastores.
    """
    servers_by_host = {
        server.status.address: server_location(server) for server in servers.values() if server.status.address
    }
    servers_by_host |= {host: server_location(servers[name]) for name, host in hosts.items() if name in servers}
    strangers = frozenset(host.name for host in view.hosts.values()) - servers_by_host.keys()
    if strangers:
        known = frozenset(stand.service for stand in servers_by_host.values() if stand.service)
        servers_by_host |= await _in_account(cloud, context, strangers, known)
    return LocationInput(view, servers_by_host, front_ends_of(cloud, servers), kept)


async def _in_account(
    cloud: SovereignCloud, context: Context, strangers: frozenset[str], known: frozenset[str]
) -> dict[str, ServerLocation]:
    """Find hosts that spec does not declare among the servers of the account."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return {}
    namespace, secret = cloud.metadata.namespace, ovh.credentials_secret_ref.name
    account = await context.account(ovh.endpoint, namespace, secret, ovh.vrack)
    client = await context.ovh(ovh.endpoint, namespace, secret)
    others, found = frozenset(account.servers) - known, dict[str, ServerLocation]()
    # First servers that status names already, so that a new process finds them at once; then those whose name contains most
    # of the address (ns3012345.ip-57-131-167.eu).
    sources = [one.source or "" for one in cloud.status.locations or ()]
    known_before = {name for name in others if any(name in source for source in sources)}
    first = others.intersection(strangers) | known_before
    likely = frozenset(name for name in others if any(_name_matches(name, host) for host in strangers))
    for names in filter(None, (first, likely - first, others - likely - first)):
        for name, one in (await client.vracks.standing(names)).items():
            found |= {host: ServerLocation(name, one.region) for host in {name, one.address}.intersection(strangers)}
        if found.keys() >= strangers:
            break
    return found


def _name_matches(service_name: str, host: str) -> bool:
    network = "-".join(host.split(".")[:3])
    return f".ip-{network}." in service_name
