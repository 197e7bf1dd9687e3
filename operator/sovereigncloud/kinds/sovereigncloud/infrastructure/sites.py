"""The sites of the architecture Edge: the hosts of one are a cluster of OpenNebula that bears its name.

Such a cluster has the datastores of the cluster default, since a host runs nothing without, and the networks of the cloud:
the vRack reaches every site. What is in it beyond that, somebody put there, and it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, done
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.ports.errors import Conflict
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView, Cluster, Host

_DEFAULT = 0


class Member(StrEnum):
    HOST = "host"
    DATASTORE = "datastore"
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCluster(Step):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinCluster(Step):
    """Puts something into a cluster. A host leaves the one that it was in; the others are in several."""

    cluster_id: int
    member: Member
    member_id: int


def sites_of(cloud: SovereignCloud) -> Mapping[str, str]:
    """The site of each server that has one, by its name in spec."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return {s.name: s.site for s in (ovh.servers if ovh else ()) if s.site}


def plan_sites(cloud: SovereignCloud, addresses: Mapping[str, str], view: CloudView) -> Plan:
    """Clusters, and who is to be in them. `addresses`: of the servers that are hosts, by their name in spec."""
    sites = {name: site for name, site in sites_of(cloud).items() if name in addresses}
    clusters = {c.name: c for c in view.clusters.values()}
    hosts = {h.name: h for h in view.hosts.values()}
    cause = Cause.OBSERVED if cloud.settled else Cause.DECLARED
    drift: list[Drift] = []
    steps: list[Step] = []
    for site in sorted(set(sites.values())):
        names = sorted(n for n, s in sites.items() if s == site)
        path = f"spec.hosted.ovh.servers[{names[0]}].site"
        cluster = clusters.get(site)
        if cluster is None:
            drift.append(Drift(path, site, "no such cluster"))
            steps.append(
                CreateCluster(
                    action=Action.CREATE,
                    target=f"cluster {site}",
                    fields=(path,),
                    cause=cause,
                    part=True,
                    name=site,
                )
            )
            continue
        found = [h for n in names if (h := hosts.get(addresses[n]))]
        for member, member_id, where in _missing(cloud, cluster, found, view):
            field = path if member is not Member.HOST else _path_of(names, addresses, hosts, member_id)
            drift.append(Drift(field, site, f"{member} {member_id} is in {where}"))
            steps.append(_join(cluster, member, member_id, field, cause))
    return Plan(tuple(drift), tuple(steps))


def _path_of(names: Iterable[str], addresses: Mapping[str, str], hosts: Mapping[str, Host], host_id: int) -> str:
    name = next(n for n in names if (h := hosts.get(addresses[n])) and h.id == host_id)
    return f"spec.hosted.ovh.servers[{name}].site"


def _missing(
    cloud: SovereignCloud, cluster: Cluster, hosts: Iterable[Host], view: CloudView
) -> Iterator[tuple[Member, int, str]]:
    """What is not in the cluster and where it is instead."""
    default = view.clusters.get(_DEFAULT)
    declared = {n.name for n in (cloud.spec.hosted.networks if cloud.spec.hosted else None) or ()}
    for oid in sorted((default.datastores if default else frozenset()) - cluster.datastores):
        yield Member.DATASTORE, oid, "cluster default only"
    for host in hosts:
        if host.cluster_id != cluster.id:
            elsewhere = view.clusters.get(host.cluster_id)
            yield Member.HOST, host.id, f"cluster {elsewhere.name if elsewhere else host.cluster_id}"
    for network in sorted(view.networks.values(), key=lambda n: n.id):
        if network.name in declared and network.mark is not None and network.id not in cluster.networks:
            yield Member.NETWORK, network.id, "cluster default only"


def _join(cluster: Cluster, member: Member, member_id: int, path: str, cause: Cause) -> JoinCluster:
    return JoinCluster(
        action=Action.UPDATE,
        target=f"{member} {member_id}, in cluster {cluster.name}",
        fields=(path,),
        cause=cause,
        cluster_id=cluster.id,
        member=member,
        member_id=member_id,
    )


async def perform_site(step: CreateCluster | JoinCluster, client: OpenNebula) -> Outcome:
    """One write. A cluster's name is unique: two attempts leave one cluster."""
    match step:
        case CreateCluster():
            try:
                made = await client.create_cluster(step.name)
            except Conflict:
                return DONE
            return done(Reason.CLUSTER_CREATED, f"cluster {made} ({step.name}) was made")
        case JoinCluster():
            await client.join_cluster(step.cluster_id, step.member, step.member_id)
            return done(Reason.CLUSTER_JOINED, f"{step.target}")
