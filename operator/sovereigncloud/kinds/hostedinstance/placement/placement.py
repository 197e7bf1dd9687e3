"""Choosing where a machine is made: of the clusters of the clouds that its namespace may use, the best that may be.

It is done once, before a machine is made, and recorded; at rest nothing of it is computed. What a machine that is there would
need to be somewhere else is told by `vm_whereabouts`.
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
    NOTHING,
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
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.reservations import Reservation
from sovereigncloud.kinds.endpoint.clouds import not_answering_yet, where
from sovereigncloud.kinds.hostedinstance.machine.labels import labels_text
from sovereigncloud.kinds.hostedinstance.placement.anti_affinity import (
    clouds_beside,
    cluster_name,
    distances,
    neighbours_of,
    spots_of,
)
from sovereigncloud.kinds.hostedinstance.placement.free_capacity import ClusterRoom, clusters_with_hosts, rooms_of
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import profile_of, what_there_is
from sovereigncloud.kinds.hostedinstance.placement.resource_needs import demand_of, lacking
from sovereigncloud.kinds.location.facts import facts_of_cluster
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.sovereignty.countries import expanded
from sovereigncloud.sovereignty.evaluation import refusals
from sovereigncloud.sovereignty.rules import Rules

CLUSTER_FACT = "cluster"
"""In `status.external`: the id of the cluster that was chosen."""
_TOLD = 8
_AGAIN = 60.0
"""Seconds after which it is looked again whether there is a place: most of what may change tells of itself."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where it is to be made, or why nowhere.

    Attributes:
        cluster: by its number; None: the cloud has no host that anybody sees.
        outcome: why nowhere.
        demand: what it takes there.
    """

    decision: Decision
    cloud: Key | None = None
    cluster: int | None = None
    outcome: Outcome | None = None
    demand: Demand = NOTHING


@dataclass(frozen=True, slots=True)
class _Cloud:
    """A cloud that may be chosen."""

    key: Key
    resource: SovereignCloud
    view: CloudView
    rules: tuple[Rules, ...]


async def choose_for(
    resource: HostedInstance,
    context: Context,
    clouds: tuple[Key, ...],
    *,
    bound: Key | None,
    waits: bool = True,
    reservations: bool = True,
) -> Chosen:
    """The best place in these clouds. What only passes - no room, an image that is not there yet - refuses none where there is
    but one cloud, and not the one that was chosen before: there it is waited for, and told by its own name.

    Args:
        resource: that has no machine anywhere.
        context: to look in.
        clouds: all that may be chosen.
        bound: what was chosen before.
        waits: False: nothing is waited for there, also not in the one cloud: it runs somewhere else meanwhile.
        reservations: False: it is only asked, and nothing is about to be made there.
    """
    found: list[_Cloud] = []
    candidates: list[Candidate] = []
    for key in clouds:
        one = await _seen(key, resource, context)
        if isinstance(one, _Cloud):
            found.append(one)
        else:
            candidates.append(one)
    alone = waits and len(clouds) == 1
    demand = demand_of(resource, [one.view for one in found])
    wish = _wish(resource, found, context, bound, alone=alone)
    beside = clouds_beside(resource, [(one.key, one.view) for one in found], context) if not alone else ()
    numbers: dict[tuple[str, str], int | None] = {}
    for one in found:
        near = distances(one.key, beside, context)
        for number, candidate in _candidates(one, resource, context, wish, near, alone=alone):
            candidates.append(candidate)
            numbers[candidate.cloud, candidate.cluster] = number
    if alone and len(candidates) == 1 and not (wish.countries or wish.labels or candidates[0].objections):
        decision = _the_only_one(candidates[0])
    else:
        decision = choose(wish, demand, candidates)
    if decision.chosen is None:
        return Chosen(decision, outcome=_nowhere(decision, clouds))
    cloud = next(one.key for one in found if where(one.key) == decision.chosen.cloud)
    number = numbers[decision.chosen.cloud, decision.chosen.cluster]
    # At once: others that come at the same time must see it, and no other is looked at between this and the decision.
    if reservations:
        context.promise(cloud, promise_of(resource, context, number, demand))
    return Chosen(decision, cloud, number, demand=demand)


async def candidates_for(resource: HostedInstance, context: Context, clouds: Iterable[Key]) -> tuple[Candidate, ...]:
    """Every place in these clouds, with all that speaks against it, for a machine that is brought along: nothing is promised to
    it. What it wishes for is not looked at.
    """
    found: list[Candidate] = []
    for key in clouds:
        one = await _seen(key, resource, context)
        if isinstance(one, _Cloud):
            found += [place for _, place in _candidates(one, resource, context, Wish(), {}, alone=False)]
        else:
            found.append(one)
    return tuple(found)


def _the_only_one(one: Candidate) -> Decision:
    """Nothing to weigh: whether it has room is between OpenNebula and the machine."""
    told = Considered(one.cloud, one.cluster, Verdict.CHOSEN, "the only place that it may be in")
    return Decision(one, (told,))


def _nowhere(decision: Decision, clouds: tuple[Key, ...]) -> Outcome:
    refused = decision.refused
    told = "; ".join(f"{_named(one)}: {one.reason}" for one in refused[:_TOLD])
    more = f"; and {len(refused) - _TOLD} more" if len(refused) > _TOLD else ""
    message = f"no place for it in {'the one cloud' if len(clouds) == 1 else f'{len(clouds)} clouds'}: {told}{more}"
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


async def _seen(key: Key, resource: HostedInstance, context: Context) -> _Cloud | Candidate:
    cloud = context.get(key)
    if not isinstance(cloud, SovereignCloud) or not_answering_yet(key, context) is not None:
        return _unseen(key, "it has not answered yet")
    try:
        view = await context.view(key)
    except (OutsideError, MissingSecret):
        return _unseen(key, "it does not answer")
    return _Cloud(key, cloud, view, context.policies(resource.metadata.namespace, key))


def _unseen(key: Key, why: str) -> Candidate:
    return Candidate(where(key), "", objections=(Objection(why, passes=True),), seen=False)


# --- what is asked for -------------------------------------------------------------------------------------------------


def _wish(resource: HostedInstance, clouds: list[_Cloud], context: Context, bound: Key | None, *, alone: bool) -> Wish:
    placement = resource.spec.placement
    countries = placement.countries if placement is not None else None
    labels = placement.labels if placement is not None else None
    hosts = frozenset((placement.hosts if placement is not None else None) or ())
    if alone:  # that a host is not there at all is told by its own name
        hosts &= {host.name for one in clouds for host in one.view.hosts.values()}
    spread = placement.spread if placement is not None else None
    seen = [(one.resource, one.view) for one in clouds]
    neighbours = neighbours_of(resource, seen, context, spread.match_labels) if spread is not None else ()
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


# --- what there is -----------------------------------------------------------------------------------------------------


def _candidates(
    one: _Cloud, resource: HostedInstance, context: Context, wish: Wish, near: Mapping[str, float], *, alone: bool
) -> Iterator[tuple[int | None, Candidate]]:
    profile = profile_of(one.resource, context)
    clusters = clusters_with_hosts(one.view)
    weighed = not alone or len(clusters) > 1
    own = context.mark(resource).object
    others = [p for p in context.promised(one.key, one.view.began) if p.object != own]
    rooms = rooms_of(one.key, one.view, others) if weighed else {}
    general = tuple(_of_the_cloud(one, resource, context)) if not alone else ()
    stores = (resource.spec.backup.store,) if resource.spec.backup is not None and resource.spec.backup.store else ()
    for number in clusters or (None,):
        name = cluster_name(one.view, number)
        facts = what_there_is(facts_of_cluster(one.resource, name, profile, backups=stores))
        against = refusals(
            one.rules, facts, namespace=resource.metadata.namespace, name=resource.metadata.name, cloud=one.key
        )
        room = rooms.get(number, ClusterRoom()) if number is not None else ClusterRoom()
        beyond = lacking(resource, one.view, number) if number is not None and len(clusters) > 1 else ()
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


def _of_the_cloud(one: _Cloud, resource: HostedInstance, context: Context) -> Iterator[Objection]:
    """What speaks against a cloud among several. Where there is no other, each of these is told by its own name."""
    if one.resource.deleting:
        yield Objection("it is being deleted")
    if one.resource.paused:
        yield Objection("it is paused", passes=True)
    if one.resource.spec.management is Management.OBSERVE:
        yield Objection("it is only observed (spec.management: Observe)")
    tenancy = context.tenancy(resource.metadata.namespace, one.key)
    if tenancy is not None and tenancy.user is None:
        yield Objection(f"Tenant {tenancy.tenant} has no user there yet", passes=True)
    for what in lacking(resource, one.view, None, tenancy):
        yield Objection(what, passes=True)


def promise_of(resource: HostedInstance, context: Context, cluster: int | None, demand: Demand) -> Reservation:
    """What is said to be taken there, until it shows."""
    labels = tuple(labels_text(resource.metadata.labels).split(","))
    return Reservation(context.mark(resource).object, cluster, demand, labels)
