"""Delete clusters, hosts and datastores that spec no longer lists, once they are empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.listing import format_list
from sovereigncloud.core.outcome import blocked
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.identity.part_mark import Marked, leaving
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import DISABLED, format_vms
from sovereigncloud.kinds.sovereigncloud.infrastructure.steps import (
    CLUSTERS,
    DATASTORES,
    HOSTS,
    DeletePart,
    PartStep,
    RemoveFromCluster,
    RetireHost,
)
from sovereigncloud.ports.opennebula.views import CloudView, Cluster, Host

_SYSTEM = 1


def as_marked(host: Host) -> Cluster:
    """Convert a host to the shape of other marked objects, with its attributes."""
    return Cluster(host.id, host.name, frozenset(), frozenset(), mark=host.mark, attributes=host.notes)


def _pools(cloud: SovereignCloud, view: CloudView) -> tuple[tuple[str, tuple[Marked, ...], tuple[str, ...]], ...]:
    """Return (field, objects, declared names) in deletion order: hosts, datastores, clusters."""
    return (
        (HOSTS, tuple(map(as_marked, view.hosts.values())), tuple(p.name for p in cloud.spec.hosts or ())),
        (DATASTORES, tuple(view.datastores.values()), tuple(p.name for p in cloud.spec.datastores or ())),
        (CLUSTERS, tuple(view.clusters.values()), tuple(p.name for p in cloud.spec.clusters or ())),
    )


def has_removals(cloud: SovereignCloud, view: CloudView, mark: Mark) -> bool:
    return any(leaving(there, field, declared, mark) for field, there, declared in _pools(cloud, view))


def plan_parts_removal(cloud: SovereignCloud, view: CloudView, mark: Mark) -> Iterator[Plan]:
    """Yield a plan per object that spec no longer lists; none with an explicit Retain."""
    if cloud.spec.deletion_policy is DeletionPolicy.RETAIN:
        return
    for field, there, declared in _pools(cloud, view):
        for name, thing in leaving(there, field, declared, mark):
            yield _plan_removal(field, name, thing, view, mark)


def _plan_removal(field: str, name: str, thing: Marked, view: CloudView, mark: Mark) -> Plan:
    target = f"{field.removesuffix('s')} {thing.id} ({thing.name})"
    paths = (f"spec.{field}[{name}]",)
    step: PartStep
    if field == HOSTS and view.hosts[thing.id].state not in DISABLED:
        step = RetireHost(
            action=Action.UPDATE, target=f"{target}, disabled", fields=paths, field=field, name=name, mark=mark,
            oid=thing.id,
        )  # fmt: skip
        return Plan(steps=(step,))
    users = _describe_users(field, thing.id, view)
    if users:
        message = f"{target} is no longer in spec.{field} and is in use: {users}; move or delete them, or list it again"
        return Plan(outcome=replace(blocked(message, reason=Reason.IN_USE), after=60.0, available=True))
    if field == CLUSTERS and view.clusters[thing.id].datastores:
        return Plan(steps=tuple(_removals_from_cluster(name, view.clusters[thing.id], paths, mark)))
    step = DeletePart(
        action=Action.DELETE, target=target, fields=paths, part=True, field=field, name=name, mark=mark, oid=thing.id
    )
    return Plan(steps=(step,))


def _removals_from_cluster(name: str, cluster: Cluster, paths: tuple[str, ...], mark: Mark) -> Iterable[Step]:
    """Yield steps that remove the datastores from a cluster.

    Only a cluster without any can be deleted.
    """
    for oid in sorted(cluster.datastores):
        yield RemoveFromCluster(
            action=Action.UPDATE, target=f"datastore {oid}, out of cluster {cluster.name}", fields=paths, field=CLUSTERS,
            name=name, mark=mark, cluster=cluster.id, member="datastore", oid=oid,
        )  # fmt: skip


def _describe_users(field: str, oid: int, view: CloudView) -> str:
    """Describe what uses an object; empty: nothing.

    Datastores do not count as users of a cluster.
    """
    if field == HOSTS:
        on = [vm for vm in view.vms.values() if vm.host == view.hosts[oid].name]
        return format_vms(on) or (f"{view.hosts[oid].running_vms} machines" if view.hosts[oid].running_vms else "")
    if field == DATASTORES:
        return _in_datastore(oid, view)
    cluster = view.clusters[oid]
    hosts = [f"host {h} ({view.hosts[h].name})" if h in view.hosts else f"host {h}" for h in sorted(cluster.hosts)]
    return format_list([*hosts, *(f"network {n}" for n in sorted(cluster.networks))])


def _in_datastore(oid: int, view: CloudView) -> str:
    """Describe what is in a datastore.

    Images; for a system datastore VMs whose disks may be in it, since OpenNebula does not list them.
    """
    datastore = view.datastores[oid]
    if datastore.type == _SYSTEM:
        hosts = {h.name for h in view.hosts.values() if h.cluster_id in datastore.clusters}
        on = [vm for vm in view.vms.values() if vm.host in hosts]
        return f"disks of these may lie in it: {format_vms(on)}" if on else ""
    return format_list(
        [f'image {i} "{view.images[i].name}"' if i in view.images else f"image {i}" for i in datastore.images]
    )
