"""On which hosts of its cloud a machine may run: what the scheduler is told, and moving it there."""

from __future__ import annotations

from collections.abc import Iterable

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Drift, Step
from sovereigncloud.kinds.hostedinstance.compute.power_cycle import UNCHANGED, Change
from sovereigncloud.kinds.hostedinstance.compute.scheduling_requirements import requirements
from sovereigncloud.kinds.hostedinstance.compute.steps import APART, MoveToHost
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.retries import Tries, clock_time
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, REQUIREMENTS, TRIED_MOVE, noted
from sovereigncloud.kinds.hostedinstance.placement.placement import CLUSTER_FACT
from sovereigncloud.kinds.sovereigncloud.hosts.drain_capacity import Room
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import MONITORED, word
from sovereigncloud.ports.opennebula.views import CloudView, Host
from sovereigncloud.ports.opennebula.vm_states import Situation

PATH = "spec.placement.hosts"
CLUSTER_PATH = "spec.placement"
_PAUSES = (60, 300, 1800)
_COLD_PAUSES = (600,)
_MOVED_FROM = frozenset({Situation.RUNNING, Situation.POWERED_OFF, Situation.SUSPENDED})
_SHOWN = 10


def hosts(m: Machine) -> Part:
    """What the scheduler is told, and a move where it runs elsewhere: live, or as it lies."""
    listed = _listed(m)
    if isinstance(listed, Outcome):
        return Part(outcome=listed)
    if not listed:
        return _kept_to_its_cluster(m)
    told = _told_to_the_scheduler(m, listed)
    if not _elsewhere(m, listed):
        tried = m.vm.host and noted(m.vm.notes.get(TRIED_MOVE, ""))
        forget = (m.note("forget that it was moved", {TRIED_MOVE: CLEARED}, PATH),) if tried else ()
        return Part(told.drift, (*told.steps, *forget))
    if _restarts(m):
        return told
    drift = (*told.drift, Drift(PATH, _names(listed), f"on {m.vm.host}"))
    if m.situation not in _MOVED_FROM or (m.situation is Situation.RUNNING and m.wants(Power.STOPPED)):
        return Part(drift, told.steps)
    moving, outcome = _move(m, listed)
    return Part(drift, (*told.steps, *moving), outcome)


def _told_to_the_scheduler(m: Machine, listed: tuple[Host, ...]) -> Part:
    wanted = requirements(m.vm.requirements, of_its_cluster(listed, m.view, _chosen_cluster(m)))
    if m.vm.requirements == wanted:
        return NOTHING
    drift = Drift(PATH, _names(listed), f"the scheduler is told {m.vm.requirements or 'nothing'}")
    return Part((drift,), (m.note("hosts where it may be placed", {REQUIREMENTS: wanted}, PATH),))


def _kept_to_its_cluster(m: Machine) -> Part:
    """The scheduler knows no policies: where a cloud has several clusters it is told which one was chosen."""
    chosen = _chosen_cluster(m)
    if chosen is None or not has_several(m.view):
        return NOTHING
    wanted = requirements(m.vm.requirements, (), chosen)
    if m.vm.requirements == wanted:
        return NOTHING
    cluster = m.view.clusters.get(chosen)
    if cluster is None:
        return NOTHING  # it is not there any more: to be told to run there would mean to run nowhere
    drift = Drift(CLUSTER_PATH, f"cluster {cluster.name}", f"the scheduler is told {m.vm.requirements or 'nothing'}")
    step = m.note("cluster where it may be placed", {REQUIREMENTS: wanted}, CLUSTER_PATH)
    return Part((drift,), (step,))


def _chosen_cluster(m: Machine) -> int | None:
    number = m.resource.external.get(CLUSTER_FACT, "")
    return int(number) if number.isdigit() else None


def has_several(view: CloudView) -> bool:
    """Whether the scheduler has a choice of clusters."""
    return sum(1 for cluster in view.clusters.values() if cluster.hosts) > 1


def of_its_cluster(listed: tuple[Host, ...], view: CloudView, cluster: int | None) -> tuple[Host, ...]:
    """Those in the cluster that was chosen; where none is, what a person lists goes before."""
    return tuple(host for host in listed if host.cluster_id == cluster) or listed if has_several(view) else listed


def cold_move(m: Machine) -> Change:
    """A machine that has devices of its host cannot be moved as it runs."""
    listed = _listed(m)
    if isinstance(listed, Outcome) or not listed or not _restarts(m) or not _elsewhere(m, listed):
        return UNCHANGED
    drift = (Drift(PATH, _names(listed), f"on {m.vm.host}"),)
    target = _target(m, listed, _COLD_PAUSES)
    if isinstance(target, Outcome):
        return Change(drift, outcome=target)
    return Change(drift, cold=(_step(m, target, live=False),), states=frozenset())  # once it is off, `hosts` moves it


def named_hosts(names: Iterable[str], view: CloudView, place: str) -> tuple[Host, ...] | Outcome:
    """The hosts of these names; else which there are."""
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
        return ()  # hosts of another cloud say nothing of this one
    return named_hosts(placement.hosts, m.view, f"{m.cloud.namespace}/{m.cloud.name}")


def _elsewhere(m: Machine, listed: tuple[Host, ...]) -> bool:
    return bool(m.vm.host) and m.vm.host not in {host.name for host in listed}


def _restarts(m: Machine) -> bool:
    """Whether it has to be powered off to be moved."""
    return bool(m.vm.pci) and m.situation is Situation.RUNNING


def _names(listed: tuple[Host, ...]) -> str:
    return ", ".join(host.name for host in listed)


def _move(m: Machine, listed: tuple[Host, ...]) -> tuple[tuple[Step, ...], Outcome]:
    target = _target(m, listed, _COLD_PAUSES if m.vm.pci else _PAUSES)
    if isinstance(target, Outcome):
        return (), target
    tries = Tries.read(m.vm.notes.get(TRIED_MOVE, ""), f"{target.name}/{m.asked}")
    note = m.note("note that it is moved", {TRIED_MOVE: tries.once_more(m.now)}, PATH)
    return (note, _step(m, target, live=m.situation is Situation.RUNNING)), DONE


def _target(m: Machine, listed: tuple[Host, ...], pauses: tuple[int, ...]) -> Host | Outcome:
    """The listed host with most room, tried neither too often nor too soon."""
    here = next((host for host in m.view.hosts.values() if host.name == m.vm.host), None)
    taken = _hosts_of_those_apart(m)
    works = [h for h in listed if h.state in MONITORED and h.name not in taken and _has_devices_for(h, m)]
    target = None if here is None else Room(works, m.view.vms.values()).take(m.vm, here)
    if target is None:
        told = ", ".join(f"{host.name} ({word(host.state)})" for host in listed)
        return waiting(
            Reason.NO_CAPACITY,
            f"{m.target} is to move off {m.vm.host}, and no host of {PATH} in its cluster has what it needs free: {told}",
            available=True,
        )
    tries = Tries.read(m.vm.notes.get(TRIED_MOVE, ""), f"{target.name}/{m.asked}")
    what = f"OpenNebula took the move of {m.target} to {target.name} and it is still on {m.vm.host}"
    if tries.over(pauses):
        return stalled(
            Reason.NOT_MOVED,
            f"{what} after {tries.count} times; see the log of the machine (onevm log {m.vm.id}), mend the cause and set"
            " annotation sovereigncloud.io/reconcile-requested-at, or list its host",
        )
    due = tries.due(pauses)
    if m.now < due:
        after = (due - m.now).total_seconds()
        return waiting(Reason.NOT_MOVED, f"{what}; it is asked again at {clock_time(due)}", after=after, available=True)
    return target


def _hosts_of_those_apart(m: Machine) -> frozenset[str]:
    """Where the others of its group are that it is to be apart from: OpenNebula looks at groups when it places a machine, not
    when it is told to move one.
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
