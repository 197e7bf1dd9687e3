"""Clusters, hosts and datastores that spec does not list any more: what the operator made goes once it is empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import blocked
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.identity.part_mark import Marked, leaving
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import DISABLED, machines_named
from sovereigncloud.kinds.sovereigncloud.infrastructure.steps import (
    CLUSTERS,
    DATASTORES,
    HOSTS,
    DeletePart,
    PartStep,
    RetireHost,
    TakeOutOfCluster,
)
from sovereigncloud.ports.opennebula.views import CloudView, Cluster, Host

_SHOWN = 10
_SYSTEM = 1


def as_marked(host: Host) -> Cluster:
    """A host with its notes where the others have them."""
    return Cluster(host.id, host.name, frozenset(), frozenset(), mark=host.mark, attributes=host.notes)


def _pools(cloud: SovereignCloud, view: CloudView) -> tuple[tuple[str, tuple[Marked, ...], tuple[str, ...]], ...]:
    """Field, what is there, what is declared: hosts go first, then datastores, then the clusters that they were in."""
    return (
        (HOSTS, tuple(map(as_marked, view.hosts.values())), tuple(p.name for p in cloud.spec.hosts or ())),
        (DATASTORES, tuple(view.datastores.values()), tuple(p.name for p in cloud.spec.datastores or ())),
        (CLUSTERS, tuple(view.clusters.values()), tuple(p.name for p in cloud.spec.clusters or ())),
    )


def anything_leaves(cloud: SovereignCloud, view: CloudView, mark: Mark) -> bool:
    return any(leaving(there, field, declared, mark) for field, there, declared in _pools(cloud, view))


def plan_parts_leaving(cloud: SovereignCloud, view: CloudView, mark: Mark) -> Iterator[Plan]:
    """An explicit Retain leaves everything where it is."""
    if cloud.spec.deletion_policy is DeletionPolicy.RETAIN:
        return
    for field, there, declared in _pools(cloud, view):
        for name, thing in leaving(there, field, declared, mark):
            yield _leaving(field, name, thing, view, mark)


def _leaving(field: str, name: str, thing: Marked, view: CloudView, mark: Mark) -> Plan:
    target = f"{field.removesuffix('s')} {thing.id} ({thing.name})"
    paths = (f"spec.{field}[{name}]",)
    step: PartStep
    if field == HOSTS and view.hosts[thing.id].state not in DISABLED:
        step = RetireHost(
            action=Action.UPDATE, target=f"{target}, disabled", fields=paths, field=field, name=name, mark=mark,
            oid=thing.id,
        )  # fmt: skip
        return Plan(steps=(step,))
    users = _inside(field, thing.id, view)
    if users:
        message = f"{target} is no longer in spec.{field} and is in use: {users}; move or delete them, or list it again"
        return Plan(outcome=replace(blocked(message, reason=Reason.IN_USE), after=60.0, available=True))
    if field == CLUSTERS and view.clusters[thing.id].datastores:
        return Plan(steps=tuple(_take_out(name, view.clusters[thing.id], paths, mark)))
    step = DeletePart(
        action=Action.DELETE, target=target, fields=paths, part=True, field=field, name=name, mark=mark, oid=thing.id
    )
    return Plan(steps=(step,))


def _take_out(name: str, cluster: Cluster, paths: tuple[str, ...], mark: Mark) -> Iterable[Step]:
    """Datastores stay where else they are; a cluster is only deleted without any."""
    for oid in sorted(cluster.datastores):
        yield TakeOutOfCluster(
            action=Action.UPDATE, target=f"datastore {oid}, out of cluster {cluster.name}", fields=paths, field=CLUSTERS,
            name=name, mark=mark, cluster=cluster.id, member="datastore", oid=oid,
        )  # fmt: skip


def _inside(field: str, oid: int, view: CloudView) -> str:
    """Who or what is in it; empty: nothing. That datastores are in a cluster keeps nobody from it."""
    if field == HOSTS:
        on = [vm for vm in view.vms.values() if vm.host == view.hosts[oid].name]
        return machines_named(on) or (f"{view.hosts[oid].running_vms} machines" if view.hosts[oid].running_vms else "")
    if field == DATASTORES:
        return _in_datastore(oid, view)
    cluster = view.clusters[oid]
    hosts = [f"host {h} ({view.hosts[h].name})" if h in view.hosts else f"host {h}" for h in sorted(cluster.hosts)]
    return _listed([*hosts, *(f"network {n}" for n in sorted(cluster.networks))])


def _in_datastore(oid: int, view: CloudView) -> str:
    """Images; of a system datastore the machines whose disks may lie in it, since OpenNebula does not list them there."""
    datastore = view.datastores[oid]
    if datastore.type == _SYSTEM:
        hosts = {h.name for h in view.hosts.values() if h.cluster_id in datastore.clusters}
        on = [vm for vm in view.vms.values() if vm.host in hosts]
        return f"disks of these may lie in it: {machines_named(on)}" if on else ""
    return _listed(
        [f'image {i} "{view.images[i].name}"' if i in view.images else f"image {i}" for i in datastore.images]
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
