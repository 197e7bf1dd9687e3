"""Where something of a cloud is and who provides it: facts for policies, from the status of the cloud and its profile.

Pure. What nobody knows is a place without a country, never left out: unknown is not compliant. Only what is not there at
all, such as backups of a machine that has none, is no part of the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.locations import LocationStatus
from sovereigncloud.api.providerprofile import Certification, ProviderProfile
from sovereigncloud.sovereignty.facts import Certificate, Entity, Facts, Grade, Part, Place, Provider
from sovereigncloud.sovereignty.rules import day_of

STORE: Final = "store/"
"""What the name of a location begins with that is a store for backups."""
MARKETPLACE: Final = "marketplace/"
"""The same of a marketplace."""
FRONT_END: Final = "front-end/"
"""The same of the servers that run OpenNebula."""
_IN_CLUSTERS: Final = (Part.COMPUTE, Part.STORAGE, Part.IMAGES)


def clusters_of(cloud: SovereignCloud) -> tuple[str, ...]:
    """The clusters of which something is known, by their names in OpenNebula."""
    return tuple(sorted({one.cluster for one in _locations(cloud) if one.cluster}))


def facts_of_cloud(cloud: SovereignCloud, profile: ProviderProfile | None) -> Facts:
    """All of it, as last seen. Before anybody looked nobody knows where it is."""
    locations = _locations(cloud)
    places = {part: _of_part(locations, part) for part in Part}
    places[Part.COMPUTE] = places[Part.COMPUTE] or (_nowhere("the cloud"),)
    places[Part.CONTROL_PLANE] = _front_ends(locations)
    return Facts(_there(places), provider_of(profile))


def facts_of_cluster(
    cloud: SovereignCloud, cluster: str, profile: ProviderProfile | None, *, backups: Iterable[str] | None = None
) -> Facts:
    """What would be so of a machine in that cluster, on whichever of its hosts.

    Args:
        cloud: as its status is.
        cluster: by its name in OpenNebula.
        profile: that it names; None: there is none.
        backups: names of the stores that its backups would go to; None: any store of the cloud for backups.
    """
    locations = _locations(cloud)
    places = {part: _in_cluster(locations, cluster, part) for part in _IN_CLUSTERS}
    kept = _of_part(locations, Part.BACKUPS) if backups is None else _stores(locations, backups)
    places |= {Part.BACKUPS: kept, Part.CONTROL_PLANE: _front_ends(locations)}
    return Facts(_there(places), provider_of(profile))


def facts_of_machine(
    cloud: SovereignCloud,
    profile: ProviderProfile | None,
    *,
    host: str,
    cluster: str,
    datastores: Iterable[str] | None = None,
    images: Iterable[str] | None = None,
    backups: Iterable[str] = (),
) -> Facts:
    """What is so of a machine: it is judged by the host that it runs on, its data by where they may lie.

    Args:
        cloud: as its status is.
        profile: that it names; None: there is none.
        host: by its name in OpenNebula; empty: it runs on none, and any of its cluster may be next.
        cluster: by its name.
        datastores: those of its disks, by name; None: any of its cluster.
        images: those of the images that its disks were made of; None: any of its cluster.
        backups: the stores that its backups go to and those that hold one; none: it has none.
    """
    locations = _locations(cloud)
    places = {
        Part.COMPUTE: _on_host(locations, host, cluster),
        Part.STORAGE: _lying(locations, datastores, cluster, Part.STORAGE),
        Part.IMAGES: _lying(locations, images, cluster, Part.IMAGES),
        Part.BACKUPS: _stores(locations, backups),
        Part.CONTROL_PLANE: _front_ends(locations),
    }
    return Facts(_there(places), provider_of(profile))


def facts_of_images(cloud: SovereignCloud, profile: ProviderProfile | None, *, datastores: Iterable[str]) -> Facts:
    """What is so of images in these datastores."""
    places = _lying(_locations(cloud), datastores, "", Part.IMAGES)
    return Facts(_there({Part.IMAGES: places}), provider_of(profile))


def facts_of_marketplace(cloud: SovereignCloud, name: str) -> Facts:
    """What is so of the disks of a machine that leaves over it: for that time they lie there, as backups and images do."""
    locations = _locations(cloud)
    there = tuple(_place(one, f"marketplace {name}") for one in locations if one.name == f"{MARKETPLACE}{name}")
    places = there or (_nowhere(f"marketplace {name}"),)
    return Facts({Part.BACKUPS: places, Part.IMAGES: places})


def provider_of(profile: ProviderProfile | None) -> Provider | None:
    """Who provides it, as the profile says. None: nobody said."""
    if profile is None:
        return None
    spec = profile.spec
    parent = spec.ultimate_parent
    return Provider(
        name=profile.metadata.name,
        legal_entity=Entity(spec.legal_entity.name, spec.legal_entity.country),
        ultimate_parent=Entity(parent.name, parent.country) if parent is not None else None,
        affiliates=tuple(Entity(one.name, one.country) for one in spec.foreign_affiliates or ()),
        certificates=tuple(_certificate(profile, one) for one in spec.certifications or ()),
        grade=Grade.of(spec.grade),
    )


def _certificate(profile: ProviderProfile, one: Certification) -> Certificate:
    source = f"ProviderProfile {profile.metadata.name}" + (f", {one.evidence.url}" if one.evidence else "")
    until = day_of(one.valid_until) or (date.min if one.valid_until else None)  # a day that no calendar has: over
    return Certificate(one.scheme, frozenset(one.datacenters or ()), until, Grade.of(one.grade), source)


# --- places ----------------------------------------------------------------------------------------------------------


def _there(places: Mapping[Part, tuple[Place, ...]]) -> dict[Part, tuple[Place, ...]]:
    """What has no place is not there at all."""
    return {part: found for part, found in places.items() if found}


def _locations(cloud: SovereignCloud) -> Sequence[LocationStatus]:
    return cloud.status.locations or ()


def _of_part(locations: Iterable[LocationStatus], part: Part) -> tuple[Place, ...]:
    return tuple(_place(one) for one in locations if part in (one.covers or ()))


def _front_ends(locations: Sequence[LocationStatus]) -> tuple[Place, ...]:
    return _of_part(locations, Part.CONTROL_PLANE) or (_nowhere("the front-end"),)


def _in_cluster(locations: Sequence[LocationStatus], cluster: str, part: Part) -> tuple[Place, ...]:
    of_it = [one for one in locations if one.cluster == cluster]
    known = _of_part(of_it, part)
    kept = {name for one in of_it for name in one.datastores or ()}
    # Images in a directory of the front-end, which the hosts of the cluster get copies of.
    behind = [one for one in locations if not one.cluster and kept.intersection(one.datastores or ())]
    return (*known, *_of_part(behind, part)) if known else (_nowhere(f"cluster {cluster}"),)


def _on_host(locations: Sequence[LocationStatus], host: str, cluster: str) -> tuple[Place, ...]:
    if not host:
        return _in_cluster(locations, cluster, Part.COMPUTE)
    of_it = [one for one in locations if one.cluster == cluster and Part.COMPUTE in (one.covers or ())]
    there = [one for one in of_it if one.hosts is None or host in one.hosts]
    return tuple(_place(one, f"host {host}") for one in there) or (_nowhere(f"host {host}"),)


def _lying(
    locations: Sequence[LocationStatus], datastores: Iterable[str] | None, cluster: str, part: Part
) -> tuple[Place, ...]:
    """A datastore lies where the hosts of its clusters are: in one of several countries it counts for each."""
    if datastores is None:
        return _in_cluster(locations, cluster, part)
    found: list[Place] = []
    for name in sorted(set(datastores)):
        there = [one for one in locations if part in (one.covers or ()) and name in (one.datastores or ())]
        found += [_place(one, f"datastore {name}") for one in there] or [_nowhere(f"datastore {name}")]
    return tuple(found)


def _stores(locations: Sequence[LocationStatus], names: Iterable[str]) -> tuple[Place, ...]:
    found: list[Place] = []
    for name in sorted(set(names)):
        there = [one for one in locations if Part.BACKUPS in (one.covers or ()) and one.name == f"{STORE}{name}"]
        found += [_place(one, f"store {name}") for one in there] or [_nowhere(f"store {name}")]
    return tuple(found)


def _place(one: LocationStatus, what: str = "") -> Place:
    return Place(
        what or _what(one), one.country or "", one.datacenter or "", Grade.of(one.grade or "None"), one.source or "",
        one.since or "",
    )  # fmt: skip


def _what(one: LocationStatus) -> str:
    """For people: its only host, else what it is called."""
    if one.hosts is not None and len(one.hosts) == 1 and Part.COMPUTE in (one.covers or ()):
        return f"host {one.hosts[0]}"
    return one.name.replace("/", " ", 1)


def _nowhere(what: str) -> Place:
    return Place(what, source="the operator did not see where it is")
