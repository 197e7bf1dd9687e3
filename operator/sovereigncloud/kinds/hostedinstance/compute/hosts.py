"""Plan part for spec.placement.hosts: scheduling requirements, migration to a listed host."""

from __future__ import annotations

from collections.abc import Iterable

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Drift, Step
from sovereigncloud.kinds.hostedinstance.compute.power_cycle import UNCHANGED, Change
from sovereigncloud.kinds.hostedinstance.compute.scheduling_requirements import requirements
from sovereigncloud.kinds.hostedinstance.compute.steps import APART, MoveToHost
from sovereigncloud.kinds.hostedinstance.machine.machine import EMPTY_PART, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.observed import CLUSTER_FACT
from sovereigncloud.kinds.hostedinstance.machine.retries import RetryCounter, clock_time
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, MIGRATION_TRIES, REQUIREMENTS, note_value
from sovereigncloud.kinds.sovereigncloud.hosts.drain_capacity import FreeCapacity
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import MONITORED, host_state_name
from sovereigncloud.ports.opennebula.views import CloudView, Host
from sovereigncloud.ports.opennebula.vm_states import Situation

PATH = "spec.placement.hosts"
CLUSTER_PATH = "spec.placement"
_PAUSES = (60, 300, 1800)
_COLD_PAUSES = (600,)
_MIGRATION_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF, Situation.SUSPENDED})
_SHOWN = 10


def hosts(m: Machine) -> Part:
    """Set scheduling requirements, and migrate the VM (live if it runs) off unlisted hosts."""
    listed = _listed(m)
    if isinstance(listed, Outcome):
        return Part(outcome=listed)
    if not listed:
        return _cluster_requirement(m)
    told = _scheduling_requirements(m, listed)
    if not _is_unlisted(m, listed):
        tried = m.vm.host and note_value(m.vm.notes.get(MIGRATION_TRIES, ""))
        forget = (m.note("forget that it was moved", {MIGRATION_TRIES: CLEARED}, PATH),) if tried else ()
        return Part(told.drift, (*told.steps, *forget))
    if _needs_power_off(m):
        return told
    drift = (*told.drift, Drift(PATH, _names(listed), f"on {m.vm.host}"))
    if m.situation not in _MIGRATION_STATES or (m.situation is Situation.RUNNING and m.wants(Power.STOPPED)):
        return Part(drift, told.steps)
    moving, outcome = _migration(m, listed)
    return Part(drift, (*told.steps, *moving), outcome)


def _scheduling_requirements(m: Machine, listed: tuple[Host, ...]) -> Part:
    wanted = requirements(m.vm.requirements, hosts_in_cluster(listed, m.view, _chosen_cluster(m)))
    if m.vm.requirements == wanted:
        return EMPTY_PART
    drift = Drift(PATH, _names(listed), f"the scheduler is told {m.vm.requirements or 'nothing'}")
    return Part((drift,), (m.note("hosts where it may be placed", {REQUIREMENTS: wanted}, PATH),))


def _cluster_requirement(m: Machine) -> Part:
    """Pin the VM to its chosen cluster if the cloud has several.

    The scheduler of OpenNebula does not know the policies that selected the cluster.
    """
    chosen = _chosen_cluster(m)
    if chosen is None or not has_several_clusters(m.view):
        return EMPTY_PART
    wanted = requirements(m.vm.requirements, (), chosen)
    if m.vm.requirements == wanted:
        return EMPTY_PART
    cluster = m.view.clusters.get(chosen)
    if cluster is None:
        return EMPTY_PART  # the cluster was deleted: a requirement on it would match no host
    drift = Drift(CLUSTER_PATH, f"cluster {cluster.name}", f"the scheduler is told {m.vm.requirements or 'nothing'}")
    step = m.note("cluster where it may be placed", {REQUIREMENTS: wanted}, CLUSTER_PATH)
    return Part((drift,), (step,))


def _chosen_cluster(m: Machine) -> int | None:
    number = m.resource.external.get(CLUSTER_FACT, "")
    return int(number) if number.isdigit() else None


def has_several_clusters(view: CloudView) -> bool:
    """Return whether more than one cluster has hosts."""
    return sum(1 for cluster in view.clusters.values() if cluster.hosts) > 1


def hosts_in_cluster(listed: tuple[Host, ...], view: CloudView, cluster: int | None) -> tuple[Host, ...]:
    """Return the listed hosts in the chosen cluster; all listed hosts if none is in it."""
    return (
        tuple(host for host in listed if host.cluster_id == cluster) or listed if has_several_clusters(view) else listed
    )


def cold_move(m: Machine) -> Change:
    """Migrate a running VM with PCI devices in a power cycle, since it cannot be migrated live."""
    listed = _listed(m)
    if isinstance(listed, Outcome) or not listed or not _needs_power_off(m) or not _is_unlisted(m, listed):
        return UNCHANGED
    drift = (Drift(PATH, _names(listed), f"on {m.vm.host}"),)
    target = _target_host(m, listed, _COLD_PAUSES)
    if isinstance(target, Outcome):
        return Change(drift, outcome=target)
    # No states: once the VM is powered off, `hosts` migrates it.
    return Change(drift, cold=(_step(m, target, live=False),), states=frozenset())


def named_hosts(names: Iterable[str], view: CloudView, place: str) -> tuple[Host, ...] | Outcome:
    """Return the hosts with these names, or an outcome that lists the existing ones."""
    known = {host.name: host for host in view.hosts.values()}
    wanted = list(names)
    lacking = [name for name in wanted if name not in known]
    if not lacking:
        return tuple(known[name] for name in sorted(wanted))
    there = ", ".join(sorted(known)[:_SHOWN]) or "none that this credential may see"
    return stalled(
        Reason.HOST_NOT_FOUND,
        f"{place} has no host called {', '.join(lacking)}, which {PATH} names; there are: {there}",
        after=300.0,
    )


def _listed(m: Machine) -> tuple[Host, ...] | Outcome:
    placement = m.resource.spec.placement
    if placement is None or placement.hosts is None or (m.observed.wanted or m.cloud) != m.cloud:
        return ()  # the list is about hosts of another cloud
    return named_hosts(placement.hosts, m.view, f"{m.cloud.namespace}/{m.cloud.name}")


def _is_unlisted(m: Machine, listed: tuple[Host, ...]) -> bool:
    return bool(m.vm.host) and m.vm.host not in {host.name for host in listed}


def _needs_power_off(m: Machine) -> bool:
    """Return whether the VM must be powered off to be migrated."""
    return bool(m.vm.pci) and m.situation is Situation.RUNNING


def _names(listed: tuple[Host, ...]) -> str:
    return ", ".join(host.name for host in listed)


def _migration(m: Machine, listed: tuple[Host, ...]) -> tuple[tuple[Step, ...], Outcome]:
    target = _target_host(m, listed, _COLD_PAUSES if m.vm.pci else _PAUSES)
    if isinstance(target, Outcome):
        return (), target
    tries = RetryCounter.read(m.vm.notes.get(MIGRATION_TRIES, ""), f"{target.name}/{m.asked}")
    note = m.note("note that it is moved", {MIGRATION_TRIES: tries.once_more(m.now)}, PATH)
    return (note, _step(m, target, live=m.situation is Situation.RUNNING)), DONE


def _target_host(m: Machine, listed: tuple[Host, ...], pauses: tuple[int, ...]) -> Host | Outcome:
    """Select the listed host with the most free capacity, within the retry limit."""
    here = next((host for host in m.view.hosts.values() if host.name == m.vm.host), None)
    taken = _anti_affinity_hosts(m)
    works = [h for h in listed if h.state in MONITORED and h.name not in taken and _has_devices_for(h, m)]
    target = None if here is None else FreeCapacity(works, m.view.vms.values()).take(m.vm, here)
    if target is None:
        told = ", ".join(f"{host.name} ({host_state_name(host.state)})" for host in listed)
        return waiting(
            Reason.NO_CAPACITY,
            f"{m.target} must leave host {m.vm.host}, but no host of {PATH} in its cluster has enough free capacity and"
            f" devices: {told}. Free some there, or list another host",
            available=True,
        )
    tries = RetryCounter.read(m.vm.notes.get(MIGRATION_TRIES, ""), f"{target.name}/{m.asked}")
    what = f"OpenNebula accepted the migration of {m.target} to {target.name}, but it is still on {m.vm.host}"
    if tries.over(pauses):
        return stalled(
            Reason.NOT_MOVED,
            f"{what} after {tries.count} attempts; see its log (onevm log {m.vm.id}), fix the cause and set"
            " annotation sovereigncloud.io/reconcile-requested-at, or list its host",
        )
    due = tries.due(pauses)
    if m.now < due:
        after = (due - m.now).total_seconds()
        return waiting(Reason.NOT_MOVED, f"{what}; it is retried at {clock_time(due)}", after=after, available=True)
    return target


def _anti_affinity_hosts(m: Machine) -> frozenset[str]:
    """Return the hosts of VMs that this one has an anti-affinity to.

    OpenNebula applies VM groups when it schedules a VM, but not when it is told to migrate one.
    """
    groups = [m.view.vm_groups[one.group] for one in m.vm.groups if one.role == APART and one.group in m.view.vm_groups]
    others = {number for group in groups for number in group.roles.get(APART, ())} - {m.vm.id}
    return frozenset(m.view.vms[number].host for number in others if number in m.view.vms)


def _has_devices_for(host: Host, m: Machine) -> bool:
    free = [str(one) for one in host.pci if one.vm < 0]
    for wanted in map(str, m.vm.pci):
        if wanted not in free:
            return False
        free.remove(wanted)
    return True


def _step(m: Machine, target: Host, *, live: bool) -> MoveToHost:
    return MoveToHost(
        action=Action.MOVE,
        target=f"{m.target} from host {m.vm.host} to {target.name}",
        fields=(PATH,),
        disruption=Disruption.NONE,
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        host=target.id,
        live=live,
    )
