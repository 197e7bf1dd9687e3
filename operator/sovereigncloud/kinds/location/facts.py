"""Location facts for policies, from the status of a cloud and its ProviderProfile. Pure.

An unknown location is a place without a country and never left out: unknown is not compliant. Only what does not
exist, such as backups of a VM without any, is not part of the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.locations import LocationStatus
from sovereigncloud.api.providerprofile import Certification, ProviderProfile
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.sovereignty.facts import Certificate, Entity, Facts, Grade, Part, Place, Provider
from sovereigncloud.sovereignty.rules import day_of

STORE: Final = "store/"
"""Name prefix of a location that is a backup store."""
MARKETPLACE: Final = "marketplace/"
"""Name prefix of a location that is a marketplace."""
FRONT_END: Final = "front-end/"
"""Name prefix of a location that is a front-end of OpenNebula."""
_IN_CLUSTERS: Final = (Part.COMPUTE, Part.STORAGE, Part.IMAGES)


def clusters_of(cloud: SovereignCloud) -> tuple[str, ...]:
    """Names of the clusters with a known location, as in OpenNebula."""
    return tuple(sorted({one.cluster for one in _locations(cloud) if one.cluster}))


def facts_of_cloud(cloud: SovereignCloud, profile: ProviderProfile | None) -> Facts:
    """Facts of a whole cloud as last observed; its place is unknown before the first observation."""
    locations = _locations(cloud)
    places = {part: _of_part(locations, part) for part in Part}
    places[Part.COMPUTE] = places[Part.COMPUTE] or (_unknown_place("the cloud"),)
    places[Part.CONTROL_PLANE] = _front_ends(locations)
    return Facts(_without_empty_parts(places), provider_of(profile))


def facts_of_cluster(
    cloud: SovereignCloud, cluster: str, profile: ProviderProfile | None, *, backups: Iterable[str] | None = None
) -> Facts:
    """Facts that a VM in a cluster would have, on any of its hosts.

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
    return Facts(_without_empty_parts(places), provider_of(profile))


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
    """Facts of a VM: its host, and the datastores that hold its data.

    Args:
        cloud: as its status is.
        profile: that it names; None: there is none.
        host: name in OpenNebula; empty: it runs on none, and any host of the cluster may be next.
        cluster: by its name.
        datastores: names of those of its disks; None: any of its cluster.
        images: names of the datastores of its source images; None: any of its cluster.
        backups: names of the stores that receive or hold its backups; none: it has none.
    """
    locations = _locations(cloud)
    places = {
        Part.COMPUTE: _on_host(locations, host, cluster),
        Part.STORAGE: _in_datastores(locations, datastores, cluster, Part.STORAGE),
        Part.IMAGES: _in_datastores(locations, images, cluster, Part.IMAGES),
        Part.BACKUPS: _stores(locations, backups),
        Part.CONTROL_PLANE: _front_ends(locations),
    }
    return Facts(_without_empty_parts(places), provider_of(profile))


def facts_of_images(cloud: SovereignCloud, profile: ProviderProfile | None, *, datastores: Iterable[str]) -> Facts:
    """Facts of images in these datastores."""
    places = _in_datastores(_locations(cloud), datastores, "", Part.IMAGES)
    return Facts(_without_empty_parts({Part.IMAGES: places}), provider_of(profile))


def facts_of_marketplace(cloud: SovereignCloud, name: str) -> Facts:
    """Facts of disks in transfer through a marketplace: they count as backups and images there."""
    locations = _locations(cloud)
    there = tuple(_place(one, f"marketplace {name}") for one in locations if one.name == f"{MARKETPLACE}{name}")
    places = there or (_unknown_place(f"marketplace {name}"),)
    return Facts({Part.BACKUPS: places, Part.IMAGES: places})


def provider_of(profile: ProviderProfile | None) -> Provider | None:
    """Provider as described by the ProviderProfile; None if there is none."""
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
    until = day_of(one.valid_until) or (date.min if one.valid_until else None)  # an invalid date counts as expired
    return Certificate(one.scheme, frozenset(one.datacenters or ()), until, Grade.of(one.grade), source)


# --- places ----------------------------------------------------------------------------------------------------------


def _without_empty_parts(places: Mapping[Part, tuple[Place, ...]]) -> dict[Part, tuple[Place, ...]]:
    """Drop the parts without a place."""
    return {part: found for part, found in places.items() if found}


def _locations(cloud: SovereignCloud) -> Sequence[LocationStatus]:
    return cloud.status.locations or ()


def _of_part(locations: Iterable[LocationStatus], part: Part) -> tuple[Place, ...]:
    return tuple(_place(one) for one in locations if part in (one.covers or ()))


def _front_ends(locations: Sequence[LocationStatus]) -> tuple[Place, ...]:
    return _of_part(locations, Part.CONTROL_PLANE) or (_unknown_place("the front-end"),)


def _in_cluster(locations: Sequence[LocationStatus], cluster: str, part: Part) -> tuple[Place, ...]:
    of_it = [one for one in locations if one.cluster == cluster]
    known = _of_part(of_it, part)
    kept = {name for one in of_it for name in one.datastores or ()}
    # Image datastores on the front-end, from which hosts of the cluster get copies.
    behind = [one for one in locations if not one.cluster and kept.intersection(one.datastores or ())]
    return (*known, *_of_part(behind, part)) if known else (_unknown_place(f"cluster {cluster}"),)


def _on_host(locations: Sequence[LocationStatus], host: str, cluster: str) -> tuple[Place, ...]:
    if not host:
        return _in_cluster(locations, cluster, Part.COMPUTE)
    of_it = [one for one in locations if one.cluster == cluster and Part.COMPUTE in (one.covers or ())]
    there = [one for one in of_it if one.hosts is None or host in one.hosts]
    return tuple(_place(one, f"host {host}") for one in there) or (_unknown_place(f"host {host}"),)


def _in_datastores(
    locations: Sequence[LocationStatus], datastores: Iterable[str] | None, cluster: str, part: Part
) -> tuple[Place, ...]:
    """Places of datastores; each counts for every location of the hosts of its clusters."""
    if datastores is None:
        return _in_cluster(locations, cluster, part)
    found: list[Place] = []
    for name in sorted(set(datastores)):
        there = [one for one in locations if part in (one.covers or ()) and name in (one.datastores or ())]
        found += [_place(one, f"datastore {name}") for one in there] or [_unknown_place(f"datastore {name}")]
    return tuple(found)


def _stores(locations: Sequence[LocationStatus], names: Iterable[str]) -> tuple[Place, ...]:
    found: list[Place] = []
    for name in sorted(set(names)):
        there = [one for one in locations if Part.BACKUPS in (one.covers or ()) and one.name == f"{STORE}{name}"]
        found += [_place(one, f"store {name}") for one in there] or [_unknown_place(f"store {name}")]
    return tuple(found)


def _place(one: LocationStatus, what: str = "") -> Place:
    return Place(
        what or _display_name(one), one.country or "", one.datacenter or "", Grade.of(one.grade or "None"), one.source or "",
        one.since or "",
    )  # fmt: skip


def _display_name(one: LocationStatus) -> str:
    """Display name: the only host, else the name of the location."""
    if one.hosts is not None and len(one.hosts) == 1 and Part.COMPUTE in (one.covers or ()):
        return f"host {one.hosts[0]}"
    return one.name.replace("/", " ", 1)


def _unknown_place(what: str) -> Place:
    return Place(what, source="the operator did not see where it is")


def profile_key(cloud: SovereignCloud) -> Key | None:
    """Return the key of the ProviderProfile that a cloud references."""
    reference = cloud.spec.provider_ref
    return Key(ProviderProfile.crd.kind, "", reference.name) if reference is not None else None


def profile_of(cloud: SovereignCloud, context: Context) -> ProviderProfile | None:
    """Return the ProviderProfile that a cloud references, if it exists."""
    key = profile_key(cloud)
    found = context.get(key) if key is not None else None
    return found if isinstance(found, ProviderProfile) else None
