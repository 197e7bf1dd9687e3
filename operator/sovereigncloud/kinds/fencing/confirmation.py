"""Whether the machines of a lost cloud are proven dead, so that their copies may start elsewhere. Pure.

That OpenNebula does not answer proves nothing: its machines run on. Proof is every host of the cloud seen switched off through its
provider's API, after the cloud stopped answering; or a person's word for this very outage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.base import Consent
from sovereigncloud.api.common.fencing import Fencing
from sovereigncloud.api.hosted import HostedServer
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.endpoint.endpoint import server_key

_TOLD = 5


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether it is proven, or could be, and a sentence that says by what, or what is missing and what to do."""

    dead: bool
    why: str


def proof_of(cloud: SovereignCloud, servers: Sequence[BareMetalServer], confirmed: Fencing | None = None) -> Proof:
    """Whether everything that ran in the cloud is dead now.

    Args:
        cloud: that is lost.
        servers: the BareMetalServers that there are, its own among them.
        confirmed: a person's word on the object that asks, beside the one on the cloud.
    """
    name, since = where(cloud.key), cloud.status.lost_since
    if since is None:
        return Proof(False, f"SovereignCloud {name} answers, so that nothing in it is taken for dead")
    for word in (cloud.spec.fencing, confirmed):
        if word is not None and _speaks_of(word, since, on_the_cloud=word is cloud.spec.fencing):
            return Proof(True, f"confirmed by {word.confirmed_by} for the outage since {since}")
    missing = _gaps(cloud, servers)
    found = _by_name(cloud, servers)
    missing += [] if missing else [gap for child in found.values() if (gap := _not_off(child, since))]
    if missing:
        return Proof(False, f"{_listed(missing)}. {_remedy(name, since)}")
    seen = max(_power(child)[1] for child in found.values())
    return Proof(True, f"every one of {len(found)} servers of {name} is switched off, last seen at {seen}")


def can_be_fenced(cloud: SovereignCloud, servers: Sequence[BareMetalServer]) -> Proof:
    """Whether something but a person could prove it, asked before there is an outage."""
    name = where(cloud.key)
    missing = _gaps(cloud, servers)
    if missing:
        return Proof(
            False,
            f"{_listed(missing)}: were {name} lost, nobody but a person could say that its machines are dead; it would wait for"
            f" spec.fencing of SovereignCloud {name}",
        )
    if may_switch_off(cloud):
        return Proof(True, f"the servers of {name} would be switched off through OVHcloud")
    return Proof(
        True,
        f"it would wait until all servers of {name} are seen switched off (spec.hosted.fencing.powerOff is Deny), or for"
        " spec.fencing there",
    )


def may_switch_off(cloud: SovereignCloud) -> bool:
    """Whether a person allows the operator to do so."""
    fencing = cloud.spec.hosted.fencing if cloud.spec.hosted is not None else None
    return fencing is not None and fencing.power_off == Consent.ALLOW


def _speaks_of(word: Fencing, since: str, *, on_the_cloud: bool) -> bool:
    """Without an outage it is of the one act that the object is; a cloud has outages again and again."""
    return word.outage == since or (word.outage is None and not on_the_cloud)


def _declared(cloud: SovereignCloud) -> tuple[HostedServer, ...]:
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted is not None else None
    return tuple(ovh.servers) if ovh is not None else ()


def _by_name(cloud: SovereignCloud, servers: Iterable[BareMetalServer]) -> Mapping[str, BareMetalServer]:
    by_key = {child.key: child for child in servers}
    found = ((one.name, by_key.get(server_key(cloud, one))) for one in _declared(cloud))
    return {name: child for name, child in found if child is not None}


def _gaps(cloud: SovereignCloud, servers: Sequence[BareMetalServer]) -> list[str]:
    """Why the power of its servers would not tell all: what of it is on no server whose provider is asked."""
    if not _declared(cloud):
        return [f"SovereignCloud {where(cloud.key)} is on no servers that the operator knows"]
    known = _by_name(cloud, servers)
    gaps = [f"server {one.name} has no BareMetalServer" for one in _declared(cloud) if one.name not in known]
    gaps += [f"it is not known which machine server {name} is" for name, child in known.items() if not _names(child)]
    names = {name for child in known.values() for name in _names(child)}
    hosts = cloud.status.hosts or ()
    return gaps + [f"host {host.name} is none of its servers" for host in hosts if host.name not in names]


def _names(child: BareMetalServer) -> set[str]:
    """Under which its host may be registered; none: it was never read."""
    told = {child.status.address, child.status.service_name} - {None, ""}
    return {name for name in (*told, child.outside_name) if name} if told else set()


def _power(child: BareMetalServer) -> tuple[str, str]:
    power = child.status.power
    return (power.state or "", power.seen_at or "") if power is not None else ("", "")


def _not_off(child: BareMetalServer, since: str) -> str:
    """Why this server is not proven to be off; empty: it is. Times of one form compare as they are written."""
    state, seen = _power(child)
    if not seen > since:
        return f"OVHcloud has not said since whether {child.metadata.name} has power"
    return f"{child.metadata.name} has power" if state != "Off" else ""


def _remedy(name: str, since: str) -> str:
    return (
        f"Switch its servers off, or, if you know that every machine of it is dead, set spec.fencing of SovereignCloud {name} to"
        f" confirmedBy: you, outage: {since}"
    )


def _listed(gaps: Sequence[str]) -> str:
    return "; ".join(_each(gaps))


def _each(gaps: Sequence[str]) -> Iterator[str]:
    yield from gaps[:_TOLD]
    if len(gaps) > _TOLD:
        yield f"and {len(gaps) - _TOLD} more"
