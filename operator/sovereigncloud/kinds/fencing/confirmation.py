"""Fencing confirmation: whether all VMs of a lost cloud are certainly stopped. Pure.

An unreachable OpenNebula proves nothing, since its VMs run on. Fencing is confirmed if every host of the cloud was
seen powered off through its provider's API after the outage began, or if a person confirms it for this outage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.base import Consent
from sovereigncloud.api.common.fencing import Fencing
from sovereigncloud.api.hosted import HostedServer
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.endpoint.endpoint import server_key

_TOLD = 5


@dataclass(frozen=True, slots=True)
class FencingStatus:
    """Whether fencing is confirmed or possible, and why or what to do."""

    fenced: bool
    why: str


def fencing_status(
    cloud: SovereignCloud, servers: Sequence[BareMetalServer], confirmed: Fencing | None = None
) -> FencingStatus:
    """Whether everything that ran in a lost cloud is fenced.

    Args:
        cloud: the lost cloud.
        servers: all BareMetalServers, including those of the cloud.
        confirmed: a person's confirmation on the requesting object, in addition to the one on the cloud.
    """
    name, since = where(cloud.key), cloud.status.lost_since
    if since is None:
        return FencingStatus(False, f"SovereignCloud {name} is reachable, so its machines are not fenced")
    for word in (cloud.spec.fencing, confirmed):
        if word is not None and _covers_outage(word, since, on_the_cloud=word is cloud.spec.fencing):
            return FencingStatus(True, f"confirmed by {word.confirmed_by} for the outage since {since}")
    missing = _gaps(cloud, servers)
    found = _by_name(cloud, servers)
    missing += [] if missing else [gap for child in found.values() if (gap := _power_gap(child, since))]
    if missing:
        return FencingStatus(False, f"{_listed(missing)}. {_remedy(name, since)}")
    seen = max(_power(child)[1] for child in found.values())
    return FencingStatus(True, f"every one of {len(found)} servers of {name} is switched off, last seen at {seen}")


def can_be_fenced(cloud: SovereignCloud, servers: Sequence[BareMetalServer]) -> FencingStatus:
    """Whether fencing could be confirmed without a person, checked before an outage."""
    name = where(cloud.key)
    missing = _gaps(cloud, servers)
    if missing:
        return FencingStatus(
            False,
            f"{_listed(missing)}: if {name} were lost, only a person could confirm fencing; failover would wait for"
            f" spec.fencing of SovereignCloud {name}",
        )
    if may_switch_off(cloud):
        return FencingStatus(True, f"the servers of {name} would be switched off through OVHcloud")
    return FencingStatus(
        True,
        f"failover would wait until all servers of {name} are seen switched off (spec.hosted.fencing.powerOff is Deny), or for"
        " spec.fencing there",
    )


def may_switch_off(cloud: SovereignCloud) -> bool:
    """Whether spec.hosted.fencing.powerOff allows the operator to power off the servers."""
    fencing = cloud.spec.hosted.fencing if cloud.spec.hosted is not None else None
    return fencing is not None and fencing.power_off == Consent.ALLOW


def _covers_outage(word: Fencing, since: str, *, on_the_cloud: bool) -> bool:
    """Whether a confirmation covers the outage.

    One without an outage is valid on an object for a single migration, but not on a cloud, which may have many
    outages.
    """
    return word.outage == since or (word.outage is None and not on_the_cloud)


def _declared(cloud: SovereignCloud) -> tuple[HostedServer, ...]:
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted is not None else None
    return tuple(ovh.servers) if ovh is not None else ()


def _by_name(cloud: SovereignCloud, servers: Iterable[BareMetalServer]) -> Mapping[str, BareMetalServer]:
    by_key = {child.key: child for child in servers}
    found = ((one.name, by_key.get(server_key(cloud, one))) for one in _declared(cloud))
    return {name: child for name, child in found if child is not None}


def _gaps(cloud: SovereignCloud, servers: Sequence[BareMetalServer]) -> list[str]:
    """Why the power state of the servers would not cover the whole cloud."""
    if not _declared(cloud):
        return [f"SovereignCloud {where(cloud.key)} has no servers that the operator manages"]
    known = _by_name(cloud, servers)
    gaps = [f"server {one.name} has no BareMetalServer" for one in _declared(cloud) if one.name not in known]
    gaps += [f"server {name} is not identified yet" for name, child in known.items() if not _names(child)]
    names = {name for child in known.values() for name in _names(child)}
    hosts = cloud.status.hosts or ()
    return gaps + [f"host {host.name} is none of its servers" for host in hosts if host.name not in names]


def _names(child: BareMetalServer) -> set[str]:
    """Names under which the server's host may be registered; empty if the server was never read."""
    told = {child.status.address, child.status.service_name} - {None, ""}
    return {name for name in (*told, child.outside_name) if name} if told else set()


def _power(child: BareMetalServer) -> tuple[str, str]:
    power = child.status.power
    return (power.state or "", power.seen_at or "") if power is not None else ("", "")


def _power_gap(child: BareMetalServer, since: str) -> str:
    """Why this server is not known to be off since the outage; empty if it is.

    RFC 3339 times of the same format compare as strings.
    """
    state, seen = _power(child)
    if not seen > since:
        return f"OVHcloud has not reported the power state of {child.metadata.name} since then"
    return f"{child.metadata.name} is powered on" if state != "Off" else ""


def _remedy(name: str, since: str) -> str:
    return (
        f"Switch its servers off, or, if you are certain that none of its machines runs, set spec.fencing of SovereignCloud {name} to"
        f" confirmedBy: you, outage: {since}"
    )


def _listed(gaps: Sequence[str]) -> str:
    return "; ".join(_each(gaps))


def _each(gaps: Sequence[str]) -> Iterator[str]:
    yield from gaps[:_TOLD]
    if len(gaps) > _TOLD:
        yield f"and {len(gaps) - _TOLD} more"
