"""`status.locations` of a cloud: each part of it, where it is, and who says so. Pure.

A host that is no server of the account, a region that is in no table, a data centre that the profile does not list, a store
that spec does not name: nobody knows in which country that is, and so it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.locations import MAX_LOCATIONS, MAX_MEMBERS, LocationStatus
from sovereigncloud.api.hosted import Role
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.api.stores import StoreType
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.locations import campus_of, country_of, region_of
from sovereigncloud.kinds.baremetalserver.identity import service_name_of
from sovereigncloud.kinds.location.facts import FRONT_END, MARKETPLACE, STORE
from sovereigncloud.kinds.sovereigncloud.stores.observation import BACKUP, Kept
from sovereigncloud.ports.opennebula.views import CloudView, Datastore
from sovereigncloud.sovereignty.facts import Grade, Part
from sovereigncloud.sovereignty.rules import day_of

_READ_ONLY: Final = frozenset({"one", "linuxcontainers", "turnkeylinux", "dockerhub", "docker_registry"})
"""Drivers of marketplaces that images are only fetched from: nothing of this cloud lies there."""
_ON_THE_FRONT_END: Final = "fs"
"""The driver that keeps images in a directory of the front-end."""
_BRIDGES: Final = "BRIDGE_LIST"
_FILES: Final = frozenset({0, 2})
_IN_CLUSTER: Final = (Part.COMPUTE, Part.STORAGE, Part.IMAGES)
_UNKNOWN: Final = "unknown"
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Stand:
    """The server that a host or front-end is: its service name at OVHcloud and its region; empty: not told."""

    service: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen of a cloud when it answered.

    Attributes:
        stands: the servers that hosts are, by the names of the hosts; one that is not there is no server that is known.
        front_ends: the servers that run OpenNebula, by their names in spec.
        kept: every marketplace and datastore.
    """

    view: CloudView
    stands: Mapping[str, Stand] = field(default_factory=dict)
    front_ends: Mapping[str, Stand] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """A part of the cloud, before it is known since when it is there."""

    name: str
    covers: tuple[Part, ...]
    source: str
    country: str = ""
    datacenter: str = ""
    grade: Grade = Grade.NONE
    cluster: str = ""
    hosts: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()


def located(
    cloud: SovereignCloud, seen: Sighting, profile: ProviderProfile | None, now: datetime
) -> list[LocationStatus]:
    """By name, each with the time since when it is where it is."""
    inside = _declared(cloud, seen, profile, now) if cloud.spec.existing is not None else _observed(seen)
    found = sorted(_distinct((*inside, *_loose(seen.view), *_stores(cloud, seen.kept))), key=lambda one: one.name)
    if len(found) > MAX_LOCATIONS:
        left = found[MAX_LOCATIONS - 1 :]
        rest = _Found("~rest", tuple(Part), f"{len(left)} further parts are more than this list holds")
        found = [*found[: MAX_LOCATIONS - 1], rest]
    before = {one.name: one for one in cloud.status.locations or ()}
    return [_known(one, before.get(one.name), timestamp(now)) for one in found]


def countries_of(locations: Iterable[LocationStatus]) -> str | None:
    """For `status.country`: the codes of all of them, and that some are not known; None: nobody looked yet."""
    codes = {one.country or _UNKNOWN for one in locations}
    return ", ".join(sorted(codes, key=lambda code: (code == _UNKNOWN, code)))[:128] or None


def written(locations: Iterable[LocationStatus]) -> list[dict[str, object]] | None:
    """As the API writes them."""
    return [one.model_dump(by_alias=True, exclude_none=True) for one in locations] or None


def stand_of(server: BareMetalServer | None) -> Stand:
    """Where the object of a server says that it stands."""
    return Stand(service_name_of(server), server.status.region or "") if server is not None else Stand()


def front_ends_of(cloud: SovereignCloud, servers: Mapping[str, BareMetalServer]) -> dict[str, Stand]:
    """The servers that run OpenNebula, by their names in spec, whether or not their objects are there yet."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return {s.name: stand_of(servers.get(s.name)) for s in (ovh.servers if ovh else ()) if Role.FRONTEND in s.roles}


def _known(one: _Found, before: LocationStatus | None, now: str) -> LocationStatus:
    same = before is not None and (before.country or "", before.datacenter or "") == (one.country, one.datacenter)
    return LocationStatus(
        name=one.name,
        covers=[str(part) for part in one.covers],
        cluster=one.cluster or None,
        datacenter=one.datacenter or None,
        country=one.country or None,
        grade=one.grade.word,
        source=one.source[:512],
        since=before.since if same and before is not None and before.since else now,
        hosts=list(one.hosts[:MAX_MEMBERS]) or None,
        datastores=list(one.datastores[:MAX_MEMBERS]) or None,
    )


def _distinct(found: Iterable[_Found]) -> Iterator[_Found]:
    """OpenNebula may have several things of one name; a list by name may not."""
    taken: set[str] = set()
    for one in found:
        name, number = one.name[:500], 1
        while name in taken:
            number += 1
            name = f"{one.name[:500]} ({number})"
        taken.add(name)
        yield replace(one, name=name)


# --- on servers whose region is observed -------------------------------------------------------------------------------


def _observed(seen: Sighting) -> Iterator[_Found]:
    """By cluster and region: hosts of one cluster may stand in several."""
    together: dict[tuple[int, str], list[str]] = {}
    for host in sorted(seen.view.hosts.values(), key=lambda host: host.name):
        region = region_of(seen.stands.get(host.name, Stand()).region)
        together.setdefault((host.cluster_id, region), []).append(host.name)
    for (cluster, region), hosts in together.items():
        place = _in_region(region, [(name, seen.stands.get(name, Stand())) for name in hosts], "host")
        name = _cluster_name(seen.view, cluster)
        yield replace(
            place,
            name=f"cluster/{name}/{_label(region)}",
            covers=_IN_CLUSTER,
            cluster=name,
            hosts=tuple(dict.fromkeys(hosts)),
            datastores=_datastores(seen.view, cluster),
        )
    yield from _front_ends(seen)


def _front_ends(seen: Sighting) -> Iterator[_Found]:
    together: dict[str, list[str]] = {}
    for name, stand in sorted(seen.front_ends.items()):
        together.setdefault(region_of(stand.region), []).append(name)
    for region, names in together.items():
        place = _in_region(region, [(name, seen.front_ends[name]) for name in names], "front-end")
        yield _front_end(replace(place, name=f"{FRONT_END}{_label(region)}", hosts=tuple(names)), seen.view)
    if not together:
        source = "no server of spec.hosted.ovh.servers has the role Frontend"
        yield _front_end(_Found(f"{FRONT_END}{_UNKNOWN}", (), source), seen.view)


def _front_end(place: _Found, view: CloudView) -> _Found:
    """With the datastores whose images lie in a directory of it, whichever hosts they are for."""
    kept = tuple(sorted({d.name for d in view.datastores.values() if _lies_on_front_end(d)}))
    covers = (Part.CONTROL_PLANE, Part.IMAGES) if kept else (Part.CONTROL_PLANE,)
    return replace(place, covers=covers, datastores=kept)


def _lies_on_front_end(one: Datastore) -> bool:
    return one.type in _FILES and one.driver == _ON_THE_FRONT_END and not one.attributes.get(_BRIDGES)


def _in_region(region: str, servers: list[tuple[str, Stand]], role: str) -> _Found:
    services = sorted({stand.service for _, stand in servers if stand.service})
    if not region:
        strangers = [name for name, stand in servers if not stand.service]
        silent = f"OVHcloud does not tell the region of server {_some(services)}" if services else ""
        strange = f"{role} {_some(strangers)} is no server that the account shows" if strangers else ""
        return _Found("", (), "; ".join(filter(None, (silent, strange))))
    source = f"OVHcloud region {region} of server {_some(services)}"
    country = country_of(region)
    if not country:
        return _Found("", (), f"{source}, which is in no table of regions")
    return _Found("", (), source, country, campus_of(region), Grade.OBSERVED)


def _label(region: str) -> str:
    return campus_of(region) or region or _UNKNOWN


# --- in data centres that a profile lists ------------------------------------------------------------------------------


def _declared(
    cloud: SovereignCloud, seen: Sighting, profile: ProviderProfile | None, now: datetime
) -> Iterator[_Found]:
    location = cloud.spec.existing.location if cloud.spec.existing else None
    special = {one.name: one.datacenter for one in (location.clusters if location else None) or ()}
    general = location.datacenter if location else ""
    occupied = {host.cluster_id for host in seen.view.hosts.values()}
    for number in sorted(seen.view.clusters.keys() | occupied):
        name = _cluster_name(seen.view, number)
        datacenter = special.get(name, general)
        if not datacenter and number not in occupied:
            continue  # nothing is in it
        yield replace(
            _in_datacenter(cloud, datacenter, profile, now),
            name=f"cluster/{name}/{datacenter or _UNKNOWN}",
            covers=_IN_CLUSTER,
            cluster=name,
            datastores=_datastores(seen.view, number),
        )
    place = replace(_in_datacenter(cloud, general, profile, now), name=f"{FRONT_END}{general or _UNKNOWN}")
    yield _front_end(place, seen.view)


def _in_datacenter(cloud: SovereignCloud, name: str, profile: ProviderProfile | None, now: datetime) -> _Found:
    reference = cloud.spec.provider_ref
    if not name:
        return _Found("", (), "spec.existing.location is not set")
    if reference is None:
        return _Found(
            "", (), f"spec.providerRef is not set, so nobody says where datacenter {name} is", datacenter=name
        )
    who = f"ProviderProfile {reference.name}"
    if profile is None:
        return _Found("", (), f"{who} does not exist", datacenter=name)
    listed = next((one for one in profile.spec.datacenters or () if one.name == name), None)
    if listed is None:
        return _Found("", (), f"{who} lists no datacenter {name}", datacenter=name)
    until = day_of(listed.valid_until)
    if listed.valid_until and (until is None or until < now.astimezone(UTC).date()):
        return _Found("", (), f"{who} said so of datacenter {name} until {listed.valid_until}", datacenter=name)
    source = f"{who}, {listed.evidence.url}" if listed.evidence is not None else who
    return _Found("", (), source, listed.country, name, Grade.of(listed.grade))


# --- what lies elsewhere -----------------------------------------------------------------------------------------------


def _loose(view: CloudView) -> Iterator[_Found]:
    """Datastores that are in no cluster, while something is in them."""
    inside = {number for cluster in view.clusters.values() for number in cluster.datastores}
    for one in sorted(view.datastores.values(), key=lambda one: one.id):
        if one.type != BACKUP and one.images and not one.clusters and one.id not in inside:
            source = f"datastore {one.id} ({one.name}) is in no cluster"
            yield _Found(f"datastore/{one.name}", (Part.IMAGES,), source, datastores=(one.name,))


def _stores(cloud: SovereignCloud, kept: Iterable[Kept]) -> Iterator[_Found]:
    """Stores that spec names are where it says; of others nobody knows."""
    declared = {(store.type, store.name): store for store in cloud.spec.stores or ()}
    there = {(one.kind, one.name) for one in kept if one.kind is not None and _holds_something(one)}
    for kind, name in sorted(declared.keys() | there):
        store = declared.get((kind, name))
        location = store.location if store is not None else None
        backup = kind == StoreType.BACKUP
        part = f"{STORE if backup else MARKETPLACE}{name}", (Part.BACKUPS if backup else Part.IMAGES,)
        if location is not None:
            source = f"spec.stores[{name}].location"
            yield _Found(*part, source, location.country, location.datacenter or "", Grade.DECLARED)
        else:
            missing = "has no location" if store is not None else "is not there"
            yield _Found(*part, f"spec.stores[{name}] {missing}")


def _holds_something(one: Kept) -> bool:
    return one.kind is not StoreType.MARKETPLACE or one.frame.get("MARKET_MAD") not in _READ_ONLY


def _cluster_name(view: CloudView, number: int) -> str:
    cluster = view.clusters.get(number)
    return cluster.name if cluster is not None else str(number)


def _datastores(view: CloudView, cluster: int) -> tuple[str, ...]:
    """Of one cluster, those for backups left out: their data is where their server is."""
    known = view.clusters.get(cluster)
    inside = known.datastores if known is not None else frozenset()
    found = (d for d in view.datastores.values() if d.type != BACKUP and (d.id in inside or cluster in d.clusters))
    return tuple(sorted({one.name for one in found}))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
