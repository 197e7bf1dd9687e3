"""The status of a SovereignCloud: what is observed, and what was, while nothing answers."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api import SovereignCloud
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, AnyResource
from sovereigncloud.kinds.endpoint.endpoint import generated_secret, sunstone_of
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import MONITORED, word
from sovereigncloud.kinds.sovereigncloud.installation.records import record_of
from sovereigncloud.kinds.sovereigncloud.location.status import countries_of, written
from sovereigncloud.kinds.sovereigncloud.network.block_routing import astray
from sovereigncloud.kinds.sovereigncloud.observation import Observed
from sovereigncloud.kinds.sovereigncloud.outage import fenced
from sovereigncloud.kinds.sovereigncloud.prerequisites import is_ready
from sovereigncloud.kinds.sovereigncloud.stores.plan import store_status
from sovereigncloud.kinds.sovereigncloud.verification.plan import verification_fields

_OF_A_VRACK = frozenset({"AttachingInterface", "InterfaceInOtherVrack", "VrackNotFound", "VrackIncompatible"})


def cloud_status(cloud: SovereignCloud, observed: Observed) -> Mapping[str, object]:
    """Without an answer from OpenNebula everything stays as it was, but for the phase of a first building."""
    verification, verified = verification_fields(cloud, observed.verification)
    own = verified if observed.compliant is None else [*verified, dict(observed.compliant)]
    lost = fenced(cloud, observed.lost, tuple(observed.servers.values()))
    return {**_of_the_cloud(cloud, observed), "verification": verification, OWN_CONDITIONS: [*own, *lost]}


def _of_the_cloud(cloud: SovereignCloud, observed: Observed) -> dict[str, object]:
    before = cloud.status
    kept: dict[str, object] = {
        "endpoint": before.endpoint,
        "version": before.version,
        "zone": before.zone,
        "credentialsSecret": before.credentials_secret,
        "federationSecret": before.federation_secret,
        "adminSecret": before.admin_secret,
        "sunstone": before.sunstone,
        "lostSince": before.lost_since,
        "fencedFor": before.fenced_for,
        "phase": before.phase,
        "countries": before.countries,
        "locations": written(before.locations or ()),
        "country": before.country,
        "exit": before.exit,
        "hostsReady": before.hosts_ready,
        "hosts": [h.model_dump(by_alias=True, exclude_none=True) for h in before.hosts or ()] or None,
        "storesReady": before.stores_ready,
        "stores": [s.model_dump(by_alias=True, exclude_none=True) for s in before.stores or ()] or None,
    }
    if cloud.deleting:
        return kept
    if observed.locations is not None:
        kept.update(locations=written(observed.locations), country=countries_of(observed.locations))
    if observed.exit is not None:
        kept["exit"] = observed.exit.told or None
    if observed.outside is not None:
        kept["countries"] = list(observed.outside.countries) or None
    endpoint, front, view = observed.endpoint, observed.front, observed.view
    if endpoint is not None:
        kept["credentialsSecret"] = endpoint.secret
        kept["federationSecret"] = observed.federation_secret or None
        kept["adminSecret"] = endpoint.secret if endpoint.secret == generated_secret(cloud) else None
    if observed.lost:
        kept["lostSince"] = observed.lost
        kept["fencedFor"] = observed.fence or None
    if front is None or endpoint is None:
        return kept if before.endpoint else {**kept, "phase": _phase(cloud, observed)}
    kept["sunstone"] = sunstone_of(cloud, endpoint)
    kept.update(endpoint=endpoint.url, version=front.version, zone=front.zone_name, phase=_phase(cloud, observed))
    if view is None:
        return kept
    kept["lostSince"] = kept["fencedFor"] = None
    kept.update(store_status(cloud, observed.stores, observed.mark))
    declared = set(observed.node_addresses.values())
    ours = [h for h in view.hosts.values() if cloud.spec.hosted is None or h.name in declared]
    monitored = len({h.name for h in ours if h.state in MONITORED})
    wanted = _nodes(cloud) if cloud.spec.hosted is not None else len(ours)
    kept["hostsReady"] = f"{monitored}/{wanted}"
    kept["hosts"] = [
        {"name": h.name, "id": str(h.id), "state": word(h.state)}
        for h in sorted(view.hosts.values(), key=lambda h: h.id)
    ] or None
    return kept


def _nodes(cloud: SovereignCloud) -> int:
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return sum("Node" in s.roles for s in (ovh.servers if ovh else ()))


def _phase(cloud: SovereignCloud, observed: Observed) -> str | None:
    """Where the building is."""
    hosted = cloud.spec.hosted
    if hosted is None:
        return "Running" if observed.front else None
    if observed.front is None:
        return _before_it_answers(cloud, observed)
    hosts = observed.view.hosts.values() if observed.view else ()
    monitored = {h.name for h in hosts if h.state in MONITORED}
    if len(observed.node_addresses) < _nodes(cloud) or not set(observed.node_addresses.values()) <= monitored:
        return "Hosts"
    networks = hosted.networks or ()
    if any(n.name not in observed.networks or not is_ready(observed.networks[n.name]) for n in networks):
        return "Networks"
    return "Running"


def _before_it_answers(cloud: SovereignCloud, observed: Observed) -> str:
    if record_of(cloud, observed.known.servers) is not None and (
        observed.job is None or observed.job.state == "Absent"
    ):
        return "Unreachable"
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    names = [s.name for s in (ovh.servers if ovh else ())]
    unready = [observed.servers.get(n) for n in names if n not in observed.servers or not is_ready(observed.servers[n])]
    if unready:
        return "vRack" if all(_only_vrack(child) for child in unready) else "Servers"
    if observed.vrack is None or astray(cloud, observed.vrack):
        return "vRack"
    return "Installing"


def _only_vrack(child: AnyResource | None) -> bool:
    ready = child.status.condition("Ready") if child is not None else None
    return ready is not None and ready.reason in _OF_A_VRACK
