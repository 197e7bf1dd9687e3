"""The other machines of its namespace: those that one is to be apart from, and how far each cloud is from where they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.placement import Neighbour, Spot
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine.labels import labels_text
from sovereigncloud.kinds.hostedinstance.machine.step import LABELS, noted
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import profile_of
from sovereigncloud.kinds.location.facts import facts_of_cluster, facts_of_machine
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.sovereignty.facts import Facts, Part, Place


def neighbours_of(
    resource: HostedInstance,
    clouds: Iterable[tuple[SovereignCloud, CloudView]],
    context: Context,
    labels: Mapping[str, str],
) -> Iterator[Neighbour]:
    """The machines of its namespace that have these labels, itself left out: as OpenNebula has them, and as was decided a
    moment ago.
    """
    wanted = set(labels_text(labels).split(","))
    own = context.mark(resource)
    for cloud, view in clouds:
        profile = profile_of(cloud, context)
        provider = cloud.spec.provider_ref.name if cloud.spec.provider_ref is not None else ""
        for vm in view.vms.values():
            if vm.mark is None or not _is_another(vm.mark.object, own):
                continue
            if vm.mark.installation == own.installation and wanted <= set(noted(vm.notes.get(LABELS, "")).split(",")):
                cluster = view.host_clusters.get(vm.host, "")
                facts = facts_of_machine(cloud, profile, host=vm.host, cluster=cluster)
                yield _neighbour(cloud.key, provider, facts)
        for promise in context.promised(cloud.key, view.began):
            if _is_another(promise.object, own) and wanted <= set(promise.labels):
                facts = facts_of_cluster(cloud, cluster_name(view, promise.cluster), profile)
                yield _neighbour(cloud.key, provider, facts)


def _is_another(object_: str, own: Mark) -> bool:
    """Whether it is of the same namespace, and not the one itself."""
    return object_.startswith(own.object[: own.object.rindex("/") + 1]) and object_ != own.object


def _neighbour(cloud: Key, provider: str, facts: Facts) -> Neighbour:
    spots = spots_of(facts)
    first = spots[0] if spots else Spot("")
    return Neighbour(where(cloud), first.country, provider, first.datacenter)


def spots_of(facts: Facts) -> tuple[Spot, ...]:
    """Where all that runs machines stands."""
    places: tuple[Place, ...] = facts.places.get(Part.COMPUTE, ())
    return tuple(Spot(place.what, place.country, place.datacenter) for place in places)


def cluster_name(view: CloudView, number: int | None) -> str:
    """By its number; empty: there is none."""
    if number is None:
        return ""
    cluster = view.clusters.get(number)
    return cluster.name if cluster is not None else str(number)


# --- how near ----------------------------------------------------------------------------------------------------------


def clouds_beside(
    resource: HostedInstance, clouds: Iterable[tuple[Key, CloudView]], context: Context
) -> tuple[Key, ...]:
    """Those in which other machines of its namespace are, or are to be in a moment."""
    own = context.mark(resource)
    return tuple(cloud for cloud, view in clouds if _has_another(cloud, view, own, context))


def _has_another(cloud: Key, view: CloudView, own: Mark, context: Context) -> bool:
    marks = (vm.mark for vm in view.vms.values())
    if any(m is not None and m.installation == own.installation and _is_another(m.object, own) for m in marks):
        return True
    return any(_is_another(promise.object, own) for promise in context.promised(cloud, view.began))


def distances(cloud: Key, beside: tuple[Key, ...], context: Context) -> Mapping[str, float]:
    """Milliseconds from a cloud to each of these, where that was measured. To itself it is none; but that says little of a
    cloud where others are elsewhere and nobody knows how far.
    """
    found = {
        where(other): latency
        for other in beside
        if other != cloud and (latency := context.distance(cloud, other)) is not None
    }
    if cloud in beside and (found or len(beside) == 1):
        found[where(cloud)] = 0.0
    return found
