"""Anti-affinity, spread and proximity to the other VMs of the namespace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.placement import Neighbour, Spot
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.labels import labels_text
from sovereigncloud.kinds.hostedinstance.machine.step import LABELS, note_value
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import profile_of
from sovereigncloud.kinds.location.facts import facts_of_cluster, facts_of_machine
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.sovereignty.facts import Facts, Part, Place


def spread_neighbours(
    resource: HostedInstance,
    clouds: Iterable[tuple[SovereignCloud, CloudView]],
    context: Context,
    labels: Mapping[str, str],
) -> Iterator[Neighbour]:
    """Other VMs of the namespace with these labels: existing ones and reserved ones."""
    wanted = set(labels_text(labels).split(","))
    own = context.mark(resource)
    for cloud, view in clouds:
        profile = profile_of(cloud, context)
        provider = cloud.spec.provider_ref.name if cloud.spec.provider_ref is not None else ""
        for vm in view.vms.values():
            if vm.mark is None or not _is_another(vm.mark.object, own):
                continue
            if vm.mark.installation == own.installation and wanted <= set(
                note_value(vm.notes.get(LABELS, "")).split(",")
            ):
                cluster = view.host_clusters.get(vm.host, "")
                facts = facts_of_machine(cloud, profile, host=vm.host, cluster=cluster)
                yield _neighbour(cloud.key, provider, facts)
        for promise in context.promised(cloud.key, view.began):
            if _is_another(promise.object, own) and wanted <= set(promise.labels):
                facts = facts_of_cluster(cloud, cluster_name(view, promise.cluster), profile)
                yield _neighbour(cloud.key, provider, facts)


def _is_another(object_: str, own: Mark) -> bool:
    """Whether an object is another one of the same namespace."""
    return object_.startswith(own.object[: own.object.rindex("/") + 1]) and object_ != own.object


def _neighbour(cloud: Key, provider: str, facts: Facts) -> Neighbour:
    spots = spots_of(facts)
    first = spots[0] if spots else Spot("")
    return Neighbour(where(cloud), first.country, provider, first.datacenter)


def spots_of(facts: Facts) -> tuple[Spot, ...]:
    """Location of each place that runs VMs."""
    places: tuple[Place, ...] = facts.places.get(Part.COMPUTE, ())
    return tuple(Spot(place.what, place.country, place.datacenter) for place in places)


def cluster_name(view: CloudView, number: int | None) -> str:
    """Name of a cluster by its id, else the id; empty: none."""
    if number is None:
        return ""
    cluster = view.clusters.get(number)
    return cluster.name if cluster is not None else str(number)


# --- proximity --------------------------------------------------------------------------------------------------------


def clouds_with_neighbours(
    resource: HostedInstance, clouds: Iterable[tuple[Key, CloudView]], context: Context
) -> tuple[Key, ...]:
    """Clouds in which other VMs of the namespace exist or are reserved."""
    own = context.mark(resource)
    return tuple(cloud for cloud, view in clouds if _has_another(cloud, view, own, context))


def _has_another(cloud: Key, view: CloudView, own: Mark, context: Context) -> bool:
    marks = (vm.mark for vm in view.vms.values())
    if any(m is not None and m.installation == own.installation and _is_another(m.object, own) for m in marks):
        return True
    return any(_is_another(promise.object, own) for promise in context.promised(cloud, view.began))


def latencies(cloud: Key, beside: tuple[Key, ...], context: Context) -> Mapping[str, float]:
    """Measured latencies from a cloud to each of these clouds, in milliseconds.

    The latency to itself is 0, but only if the latency to another one is known or there is no other: else it would
    look nearest.
    """
    found = {
        where(other): latency
        for other in beside
        if other != cloud and (latency := context.distance(cloud, other)) is not None
    }
    if cloud in beside and (found or len(beside) == 1):
        found[where(cloud)] = 0.0
    return found
