"""Which hosts and datastores are in which cluster, as far as spec says: what else is in a cluster stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, blocked, stalled
from sovereigncloud.core.plan import Action, Cause, Drift, Plan
from sovereigncloud.kinds.sovereigncloud.infrastructure.steps import CLUSTERS, PutIntoCluster
from sovereigncloud.ports.opennebula.views import CloudView, Cluster

_HOST, _DATASTORE = "host", "datastore"


def plan_membership(cloud: SovereignCloud, view: CloudView, mark: Mark, nodes: Mapping[str, str]) -> Plan:
    """`nodes`: hosts of a hosted cloud by the names of their servers."""
    placed: dict[str, tuple[str, str]] = {}
    drift: list[Drift] = []
    steps: list[PutIntoCluster] = []
    outcome = Outcome()
    clusters = {c.name: c for c in view.clusters.values()}
    ids = {
        _HOST: {h.name: h.id for h in view.hosts.values()},
        _DATASTORE: {d.name: d.id for d in view.datastores.values()},
    }
    for path, member, name, wanted in _declared(cloud):
        known = nodes.get(name, name) if member == _HOST else name
        if member == _HOST and known in placed and placed[known][0] != wanted:
            message = f"{path} says that host {known} is in cluster {wanted}, {placed[known][1]} that it is in {placed[known][0]}"
            return Plan(outcome=stalled(Reason.INVALID_SPEC, f"{message}: a host is in one cluster"))
        placed[known] = (wanted, path)
        cluster, oid = clusters.get(wanted), ids[member].get(known)
        if cluster is None or oid is None:
            missing = f"cluster {wanted}" if cluster is None else f"{member} {known}"
            outcome = outcome.merge(_absent(path, missing, cloud))
        elif oid not in (cluster.hosts if member == _HOST else cluster.datastores):
            drift.append(Drift(path, f"in cluster {wanted}", _elsewhere(member, oid, view)))
            steps.append(_put(cloud, path, member, oid, cluster, mark))
    return Plan(tuple(drift), tuple(steps), outcome)


def _declared(cloud: SovereignCloud) -> Iterator[tuple[str, str, str, str]]:
    """Path, what it is, its name, the name of its cluster."""
    spec = cloud.spec
    for host in spec.hosts or ():
        if host.cluster:
            yield f"spec.hosts[{host.name}].cluster", _HOST, host.name, host.cluster
    for cluster in spec.clusters or ():
        for name in cluster.hosts or ():
            yield f"spec.clusters[{cluster.name}].hosts", _HOST, name, cluster.name
        for name in cluster.datastores or ():
            yield f"spec.clusters[{cluster.name}].datastores", _DATASTORE, name, cluster.name
    for datastore in spec.datastores or ():
        for name in datastore.clusters or ():
            yield f"spec.datastores[{datastore.name}].clusters", _DATASTORE, datastore.name, name


def _absent(path: str, missing: str, cloud: SovereignCloud) -> Outcome:
    declared = {f"cluster {c.name}" for c in cloud.spec.clusters or ()}
    if missing in declared:
        return blocked(f"{path}: {missing} is not there yet")
    return blocked(f"{path}: OpenNebula has no {missing}; declare it, or correct the name")


def _elsewhere(member: str, oid: int, view: CloudView) -> str:
    found = [c.name for c in view.clusters.values() if oid in (c.hosts if member == _HOST else c.datastores)]
    return f"in cluster {', '.join(sorted(found))}" if found else "in no cluster"


def _put(cloud: SovereignCloud, path: str, member: str, oid: int, cluster: Cluster, mark: Mark) -> PutIntoCluster:
    return PutIntoCluster(
        action=Action.UPDATE,
        target=f"{member} {oid}, in cluster {cluster.name}",
        fields=(path,),
        cause=Cause.OBSERVED if cloud.settled else Cause.DECLARED,
        field=CLUSTERS,
        name=cluster.name,
        mark=mark,
        cluster=cluster.id,
        member=member,
        oid=oid,
    )
