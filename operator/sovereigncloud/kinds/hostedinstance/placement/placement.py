"""Placement: choose the cluster for a new VM among the clouds that its namespace may use.

It runs once before the VM is created, and the result is recorded; at rest nothing is computed. Whether an existing VM
is in the right place is evaluated by `location_compliance` and `eviction`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.core.placement import (
    Candidate,
    Considered,
    Decision,
    Demand,
    Objection,
    Spread,
    Verdict,
    Wish,
    choose,
)
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.reservations import Reservation
from sovereigncloud.kinds.endpoint.clouds import not_answering_yet
from sovereigncloud.kinds.hostedinstance.machine.labels import labels_text
from sovereigncloud.kinds.hostedinstance.machine.observed import CLUSTER_FACT, PlacementResult
from sovereigncloud.kinds.hostedinstance.placement.anti_affinity import (
    clouds_with_neighbours,
    cluster_name,
    latencies,
    spots_of,
    spread_neighbours,
)
from sovereigncloud.kinds.hostedinstance.placement.free_capacity import (
    ClusterCapacity,
    clusters_with_hosts,
    free_capacity_of,
)
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import existing_parts, profile_of
from sovereigncloud.kinds.hostedinstance.placement.resource_needs import demand_of, missing_resources
from sovereigncloud.kinds.location.facts import facts_of_cluster
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.sovereignty.countries import expanded
from sovereigncloud.sovereignty.evaluation import refusals
from sovereigncloud.sovereignty.rules import Rules

_TOLD = 8
_AGAIN = 60.0
"""Seconds between retries without a place; most changes trigger a reconcile anyway."""


@dataclass(frozen=True, slots=True)
class _Cloud:
    """A candidate cloud."""

    key: Key
    resource: SovereignCloud
    view: CloudView
    rules: tuple[Rules, ...]


async def choose_place(
    resource: HostedInstance,
    context: Context,
    clouds: tuple[Key, ...],
    *,
    bound: Key | None,
    waits: bool = True,
    reservations: bool = True,
) -> PlacementResult:
    """Choose the best place in these clouds, and reserve its capacity.

    Temporary obstacles, such as a full cluster or a missing image, do not exclude the only cloud or the one chosen
    before: there the VM waits, and the obstacle is reported by its own reason.

    Args:
        resource: an instance without a VM.
        context: the reconcile context.
        clouds: the candidates.
        bound: the cloud that was chosen before; None: none.
        waits: False: never wait, not even for the only cloud, because the VM runs elsewhere meanwhile.
        reservations: False: only a query, reserve nothing.
    """
    found: list[_Cloud] = []
    candidates: list[Candidate] = []
    for key in clouds:
        one = await _observed(key, resource, context)
        if isinstance(one, _Cloud):
            found.append(one)
        else:
            candidates.append(one)
    alone = waits and len(clouds) == 1
    demand = demand_of(resource, [one.view for one in found])
    wish = _wish(resource, found, context, bound, alone=alone)
    beside = clouds_with_neighbours(resource, [(one.key, one.view) for one in found], context) if not alone else ()
    numbers: dict[tuple[str, str], int | None] = {}
    for one in found:
        near = latencies(one.key, beside, context)
        for number, candidate in _candidates(one, resource, context, wish, near, alone=alone):
            candidates.append(candidate)
            numbers[candidate.cloud, candidate.cluster] = number
    if alone and len(candidates) == 1 and not (wish.countries or wish.labels or candidates[0].objections):
        decision = _only_candidate(candidates[0])
    else:
        decision = choose(wish, demand, candidates)
    if decision.chosen is None:
        return PlacementResult(decision, outcome=_no_place(decision, clouds))
    cloud = next(one.key for one in found if where(one.key) == decision.chosen.cloud)
    number = numbers[decision.chosen.cloud, decision.chosen.cluster]
    # At once: concurrent placements must see it, and nothing awaits between the decision and the reservation.
    if reservations:
        context.promise(cloud, reservation_of(resource, context, number, demand))
    return PlacementResult(decision, cloud, number, demand=demand)


async def candidates_for(resource: HostedInstance, context: Context, clouds: Iterable[Key]) -> tuple[Candidate, ...]:
    """All places in these clouds with the objections to each, for a VM that is migrated.

    It reserves nothing and ignores spec.placement.
    """
    found: list[Candidate] = []
    for key in clouds:
        one = await _observed(key, resource, context)
        if isinstance(one, _Cloud):
            found += [place for _, place in _candidates(one, resource, context, Wish(), {}, alone=False)]
        else:
            found.append(one)
    return tuple(found)


def _only_candidate(one: Candidate) -> Decision:
    """Decision for the only candidate; whether it has room is up to OpenNebula's scheduler."""
    told = Considered(one.cloud, one.cluster, Verdict.CHOSEN, "the only candidate")
    return Decision(one, (told,))


def _no_place(decision: Decision, clouds: tuple[Key, ...]) -> Outcome:
    refused = decision.refused
    told = "; ".join(f"{_named(one)}: {one.reason}" for one in refused[:_TOLD])
    more = f"; and {len(refused) - _TOLD} more" if len(refused) > _TOLD else ""
    message = f"no place for it in {'the only cloud' if len(clouds) == 1 else f'{len(clouds)} clouds'}: {told}{more}"
    if any(one.full for one in refused):
        return waiting(Reason.NO_CAPACITY, message, after=_AGAIN)
    if any(one.passes for one in refused):
        return waiting(Reason.WAITING_FOR_DEPENDENCY, message, after=_AGAIN)
    return stalled(
        Reason.NO_COMPLIANT_PLACE,
        f"{message}. Ask for less in spec.placement, or have the policy or the clouds changed",
        after=_AGAIN,
    )


def _named(one: Considered) -> str:
    return f"{one.cloud} cluster {one.cluster}" if one.cluster else one.cloud


async def _observed(key: Key, resource: HostedInstance, context: Context) -> _Cloud | Candidate:
    cloud = context.get(key)
    if not isinstance(cloud, SovereignCloud) or not_answering_yet(key, context) is not None:
        return _unobserved(key, "it has not answered yet")
    try:
        view = await context.view(key)
    except (OutsideError, MissingSecret):
        return _unobserved(key, "it does not answer")
    return _Cloud(key, cloud, view, context.policies(resource.metadata.namespace, key))


def _unobserved(key: Key, why: str) -> Candidate:
    return Candidate(where(key), "", objections=(Objection(why, passes=True),), seen=False)


# --- demand ----------------------------------------------------------------------------------------------------------


def _wish(resource: HostedInstance, clouds: list[_Cloud], context: Context, bound: Key | None, *, alone: bool) -> Wish:
    placement = resource.spec.placement
    countries = placement.countries if placement is not None else None
    labels = placement.labels if placement is not None else None
    hosts = frozenset((placement.hosts if placement is not None else None) or ())
    if alone:  # a missing host is reported by its own reason
        hosts &= {host.name for one in clouds for host in one.view.hosts.values()}
    spread = placement.spread if placement is not None else None
    seen = [(one.resource, one.view) for one in clouds]
    neighbours = spread_neighbours(resource, seen, context, spread.match_labels) if spread is not None else ()
    return Wish(
        countries=expanded(countries or ()),
        labels=labels or {},
        hosts=hosts,
        spread=Spread(spread.by) if spread is not None else None,
        neighbours=tuple(neighbours),
        stays=(where(bound), _cluster_before(resource, bound, clouds)) if bound is not None else None,
        waits=alone,
    )


def _cluster_before(resource: HostedInstance, bound: Key, clouds: Iterable[_Cloud]) -> str:
    number = resource.external.get(CLUSTER_FACT, "")
    view = next((one.view for one in clouds if one.key == bound), None)
    cluster = view.clusters.get(int(number)) if view is not None and number.isdigit() else None
    return cluster.name if cluster is not None else ""


# --- candidates ---------------------------------------------------------------------------------------------------------


def _candidates(
    one: _Cloud, resource: HostedInstance, context: Context, wish: Wish, near: Mapping[str, float], *, alone: bool
) -> Iterator[tuple[int | None, Candidate]]:
    profile = profile_of(one.resource, context)
    clusters = clusters_with_hosts(one.view)
    weighed = not alone or len(clusters) > 1
    own = context.mark(resource).object
    others = [p for p in context.promised(one.key, one.view.began) if p.object != own]
    rooms = free_capacity_of(one.key, one.view, others) if weighed else {}
    general = tuple(_cloud_objections(one, resource, context)) if not alone else ()
    stores = (resource.spec.backup.store,) if resource.spec.backup is not None and resource.spec.backup.store else ()
    for number in clusters or (None,):
        name = cluster_name(one.view, number)
        facts = existing_parts(facts_of_cluster(one.resource, name, profile, backups=stores))
        against = refusals(
            one.rules, facts, namespace=resource.metadata.namespace, name=resource.metadata.name, cloud=one.key
        )
        room = rooms.get(number, ClusterCapacity()) if number is not None else ClusterCapacity()
        beyond = missing_resources(resource, one.view, number) if number is not None and len(clusters) > 1 else ()
        yield (
            number,
            Candidate(
                cloud=where(one.key),
                cluster=name,
                spots=spots_of(facts) if wish.countries or wish.spread is not None else (),
                provider=one.resource.spec.provider_ref.name if one.resource.spec.provider_ref is not None else "",
                labels=one.resource.metadata.labels,
                hosts=room.hosts,
                rooms=room.rooms,
                cpu=room.cpu,
                memory=room.memory,
                promised=room.promised,
                system=room.system,
                images=room.images,
                latency=one.view.latency,
                between=near,
                objections=(*map(Objection, against), *general, *map(Objection, beyond)),
            ),
        )


def _cloud_objections(one: _Cloud, resource: HostedInstance, context: Context) -> Iterator[Objection]:
    """Objections to a cloud among several; for the only cloud each is reported by its own reason."""
    if one.resource.deleting:
        yield Objection("it is being deleted")
    if one.resource.paused:
        yield Objection("it is paused", passes=True)
    if one.resource.spec.management is Management.OBSERVE:
        yield Objection("it is only observed (spec.management: Observe)")
    tenancy = context.tenancy(resource.metadata.namespace, one.key)
    if tenancy is not None and tenancy.user is None:
        yield Objection(f"Tenant {tenancy.tenant} has no user there yet", passes=True)
    for what in missing_resources(resource, one.view, None, tenancy):
        yield Objection(what, passes=True)


def reservation_of(resource: HostedInstance, context: Context, cluster: int | None, demand: Demand) -> Reservation:
    """Capacity reservation that counts until the VM is visible."""
    labels = tuple(labels_text(resource.metadata.labels).split(","))
    return Reservation(context.mark(resource).object, cluster, demand, labels)
