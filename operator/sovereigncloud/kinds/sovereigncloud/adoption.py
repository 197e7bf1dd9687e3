"""In what an adopted cloud differs from one that is built anew: told as drift that nothing mends, and nothing is written.

What the manifest declares - a host that is registered and enabled, a block that is routed, an interface in the vRack, the
ranges of a network - is compared where it is kept. Here is what a manifest does not say, and what the reference architecture
would be. `driftPolicy` with `Ignore` for a path says that it is meant so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sovereigncloud.api import BareMetalServer, SovereignCloud, VirtualNetwork
from sovereigncloud.api.hosted import HostedServer
from sovereigncloud.core.plan import Drift, Plan
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import DEFAULT_CLUSTER, DRIVER
from sovereigncloud.kinds.sovereigncloud.observation import Observed
from sovereigncloud.kinds.virtualnetwork.template import wanted
from sovereigncloud.ports.opennebula.features import REFERENCE, release
from sovereigncloud.ports.opennebula.views import CloudView, Network

_BONDS = ("public_aggregation", "vrack_aggregation")


def plan_adoption(cloud: SovereignCloud, observed: Observed) -> Plan:
    """The differences; never a step."""
    hosted, view = cloud.spec.hosted, observed.view
    if hosted is None or hosted.ovh is None or hosted.open_nebula.adopt is None or view is None:
        return Plan()
    found = list(_version(observed))
    for server in hosted.ovh.servers:
        child = observed.servers.get(server.name)
        found += _host(server, child, observed.node_addresses.get(server.name, ""), view)
        found += _machine(server, child)
    for entry in hosted.networks or ():
        network = observed.networks.get(entry.name)
        if network is not None:
            found += _network(entry.name, network, view.networks.values())
    return Plan(drift=tuple(found))


def _told(path: str, fresh: str, found: str) -> Drift:
    return Drift(path, fresh, found, mendable=False)


def _version(observed: Observed) -> Iterator[Drift]:
    version = observed.front.version if observed.front else ""
    numbers = release(version)
    if numbers is not None and numbers < REFERENCE:
        yield _told("spec.hosted.openNebula.adopt", "OpenNebula 7.0 or later", version)


def _host(server: HostedServer, child: BareMetalServer | None, name: str, view: CloudView) -> Iterator[Drift]:
    """How its host is registered."""
    path = f"spec.hosted.ovh.servers[{server.name}]"
    host = next((h for h in view.hosts.values() if name and h.name == name), None)
    if host is None:
        return
    address = child.status.address if child is not None else None
    if address and host.name != address:
        yield _told(f"{path}.host", f"named {address}", f"named {host.name}")
    if host.cluster_id != DEFAULT_CLUSTER:
        yield _told(f"{path}.cluster", f"cluster {DEFAULT_CLUSTER}", f"cluster {host.cluster_id}")
    if {host.im_mad, host.vm_mad} != {DRIVER}:
        yield _told(f"{path}.driver", DRIVER, f"{host.im_mad} and {host.vm_mad}")


def _machine(server: HostedServer, child: BareMetalServer | None) -> Iterator[Drift]:
    """What OVHcloud tells of the server itself."""
    path = f"spec.hosted.ovh.servers[{server.name}]"
    if child is None:
        return
    modes = sorted({i.mode for i in child.status.interfaces or () if i.mode})
    if modes and not set(_BONDS) <= set(modes):
        yield _told(f"{path}.interfaces", " and ".join(_BONDS), ", ".join(modes))
    if child.status.monitoring is False:
        yield _told(f"{path}.monitoring", "monitored by OVHcloud", "not monitored")


def _network(name: str, network: VirtualNetwork, found: Iterable[Network]) -> Iterator[Drift]:
    """Template attributes that a network made anew would have, and that an adopted one is not held to."""
    there = next((n for n in found if str(n.id) == network.external.get("network")), None)
    if there is None:
        return
    try:
        fresh, held = wanted(network.spec, adopted=False), wanted(network.spec, adopted=True)
    except ValueError:
        return  # told by the network itself
    kept = {key for values in held.attributes.values() for key in values}
    for values in fresh.attributes.values():
        for key, value in values.items():
            if key not in kept and there.attributes.get(key, "") != value:
                yield _told(f"spec.hosted.networks[{name}].{key}", value, there.attributes.get(key) or "absent")
