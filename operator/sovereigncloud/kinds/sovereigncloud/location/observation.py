"""What is read to tell where a cloud is: the objects of its servers, and for hosts that are none of them, the account."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.sovereigncloud.location.status import Sighting, Stand, front_ends_of, stand_of
from sovereigncloud.kinds.sovereigncloud.stores.observation import Kept
from sovereigncloud.ports.opennebula.views import CloudView


def profile_key(cloud: SovereignCloud) -> Key | None:
    """The profile that it names."""
    reference = cloud.spec.provider_ref
    return Key(ProviderProfile.crd.kind, "", reference.name) if reference is not None else None


def profile_of(cloud: SovereignCloud, context: Context) -> ProviderProfile | None:
    """The profile that it names, if it is there."""
    key = profile_key(cloud)
    found = context.get(key) if key is not None else None
    return found if isinstance(found, ProviderProfile) else None


async def observe_sighting(
    cloud: SovereignCloud,
    context: Context,
    view: CloudView,
    servers: Mapping[str, BareMetalServer],
    hosts: Mapping[str, str],
    kept: tuple[Kept, ...],
) -> Sighting:
    """At rest no call: a server is asked once where it stands.

    Args:
        cloud: whose place is asked for.
        context: what is reached.
        view: of it.
        servers: the objects of the cloud's servers, by their names in spec.
        hosts: under which names they are hosts, by their names in spec.
        kept: marketplaces and datastores.
    """
    stands = {server.status.address: stand_of(server) for server in servers.values() if server.status.address}
    stands |= {host: stand_of(servers[name]) for name, host in hosts.items() if name in servers}
    strangers = frozenset(host.name for host in view.hosts.values()) - stands.keys()
    if strangers:
        known = frozenset(stand.service for stand in stands.values() if stand.service)
        stands |= await _in_account(cloud, context, strangers, known)
    return Sighting(view, stands, front_ends_of(cloud, servers), kept)


async def _in_account(
    cloud: SovereignCloud, context: Context, strangers: frozenset[str], known: frozenset[str]
) -> dict[str, Stand]:
    """Hosts that somebody registered beside those of spec, as far as they are servers of the account."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return {}
    namespace, secret = cloud.metadata.namespace, ovh.credentials_secret_ref.name
    account = await context.account(ovh.endpoint, namespace, secret, ovh.vrack)
    client = await context.ovh(ovh.endpoint, namespace, secret)
    others, found = frozenset(account.servers) - known, dict[str, Stand]()
    # First those that were it before, so that a new process does not forget for a while what an old one found out; then those
    # whose name holds most of the address (ns3012345.ip-57-131-167.eu).
    sources = [one.source or "" for one in cloud.status.locations or ()]
    known_before = {name for name in others if any(name in source for source in sources)}
    first = others.intersection(strangers) | known_before
    likely = frozenset(name for name in others if any(_alike(name, host) for host in strangers))
    for names in filter(None, (first, likely - first, others - likely - first)):
        for name, one in (await client.vracks.standing(names)).items():
            found |= {host: Stand(name, one.region) for host in {name, one.address}.intersection(strangers)}
        if found.keys() >= strangers:
            break
    return found


def _alike(service_name: str, host: str) -> bool:
    network = "-".join(host.split(".")[:3])
    return f".ip-{network}." in service_name
