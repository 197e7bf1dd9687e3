"""The plan of a HostedInstance: for a machine that is there, for one that is not, for one that is to go."""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance, Power
from sovereigncloud.core.identity import ONE_ADOPTED
from sovereigncloud.core.outcome import DONE, Outcome, merge, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Disruption, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.adoption import release, to_adopt
from sovereigncloud.kinds.hostedinstance.compute.devices import cpu_model, pci_devices
from sovereigncloud.kinds.hostedinstance.compute.hosts import cold_move, hosts
from sovereigncloud.kinds.hostedinstance.compute.power import power
from sovereigncloud.kinds.hostedinstance.compute.power_cycle import power_cycle
from sovereigncloud.kinds.hostedinstance.compute.recovery import recovery
from sovereigncloud.kinds.hostedinstance.compute.scheduler import not_a_word, not_now
from sovereigncloud.kinds.hostedinstance.compute.scheduling_requirements import pinned_cluster
from sovereigncloud.kinds.hostedinstance.compute.size import capacity, room
from sovereigncloud.kinds.hostedinstance.compute.vm_group import group, with_leftovers
from sovereigncloud.kinds.hostedinstance.continuity.failover import plan_failover
from sovereigncloud.kinds.hostedinstance.continuity.retained_copy_cleanup import without_copies
from sovereigncloud.kinds.hostedinstance.continuity.superseded_copy import fenced, left_where
from sovereigncloud.kinds.hostedinstance.creation.origin import labels, name, source
from sovereigncloud.kinds.hostedinstance.creation.plan import creation, lost
from sovereigncloud.kinds.hostedinstance.machine import capacity as vm_capacity
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.network.network_map import as_named_there
from sovereigncloud.kinds.hostedinstance.network.nics import networks
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation, is_left_alone, is_let_go
from sovereigncloud.kinds.hostedinstance.placement.migration_request import placement
from sovereigncloud.kinds.hostedinstance.placement.placement import CLUSTER_FACT
from sovereigncloud.kinds.hostedinstance.steps import TERMINATE, ActOnVm, MarkVm, RecordVm
from sovereigncloud.kinds.hostedinstance.storage.backups import backups
from sovereigncloud.kinds.hostedinstance.storage.data_disks import names_of_disks, recorded_names, root_of
from sovereigncloud.kinds.hostedinstance.storage.deletion import without_machine
from sovereigncloud.kinds.hostedinstance.storage.disks import disks, root_disk
from sovereigncloud.kinds.hostedinstance.storage.from_backup import left_behind
from sovereigncloud.kinds.hostedinstance.storage.names import record
from sovereigncloud.kinds.hostedinstance.storage.restore import is_begun, restore
from sovereigncloud.kinds.hostedinstance.storage.snapshots import snapshots
from sovereigncloud.kinds.movement.placement_override import exited, no_longer_exited, without_overridden
from sovereigncloud.kinds.movement.records import moves_made
from sovereigncloud.kinds.planning.composition import consent_last, one_per_path
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of


def changes(m: Machine) -> Part:
    """What happens in one power cycle."""
    return power_cycle(m, (capacity, cpu_model, pci_devices, cold_move))


# In this order: what a running machine does not notice, what happens in one power cycle, power itself, what OpenNebula may
# refuse for as long as others stay where they are, and last what waits for a person anyway. `restore` comes after all of them.
_PARTS = (
    recovery,
    name,
    labels,
    networks,
    root_disk,
    disks,
    left_behind,
    backups,
    snapshots,
    hosts,
    changes,
    room,
    power,
    group,
    source,
    placement,
)


def plan(resource: HostedInstance, observed: InstanceObservation, now: datetime) -> Plan:
    """All differences, the steps that are possible now, and what the machine's state says."""
    if is_let_go(resource):
        return release(observed)
    if resource.deleting:
        return _fencing_first(observed) or deletion(resource, observed)
    if observed.moving:
        return following(resource, observed)
    if observed.elsewhere is not None and observed.elsewhere.lost:
        return plan_failover(resource, observed.elsewhere, now)
    problem = observed.problem or observed.found.problem
    if problem is not None:
        return Plan(outcome=problem)
    try:
        sizes = vm_capacity.declared(resource.spec)
    except ValueError as error:
        return Plan(outcome=stalled(Reason.INVALID_SPEC, str(error)))
    if observed.found.missing is not None:
        return lost(resource, observed, sizes, observed.found.missing)
    if observed.found.thing is None:
        if (silent := not_now(observed, now)) is not None:
            return Plan(outcome=silent)
        return creation(resource, observed, sizes, Cause.DECLARED)
    return _keeping(resource, observed, sizes, now)


def _keeping(
    resource: HostedInstance, observed: InstanceObservation, sizes: vm_capacity.Declared, now: datetime
) -> Plan:
    vm, cloud, view = observed.found.thing, observed.cloud, observed.view
    if vm is None or cloud is None or view is None:
        return Plan()
    state = state_of(vm)
    if state.situation in {Situation.ENDING, Situation.GONE}:
        # Nothing is recorded of a machine that ends: if it ends so that another can be made, its absence is no loss.
        return Plan(outcome=waiting(state.reason, f"VM {vm.id} in {where(cloud)} is being terminated"))
    disk_names = names_of_disks(resource, observed, view, vm)
    m = Machine(
        resource=without_overridden(as_named_there(resource, vm), vm),
        observed=observed,
        cloud=cloud,
        view=view,
        vm=vm,
        state=state,
        sizes=sizes,
        now=now,
        disk_names=disk_names,
        root=root_of(vm, disk_names),
    )
    fencing = fenced(observed.left_behind)
    parts = [found for part in _PARTS if (found := part(m)) is not NOTHING]
    if is_begun(m):
        # Nothing else meanwhile: what differs is told, and mended afterwards.
        parts = [Part(drift=part.drift) for part in parts]
    if (restored := restore(m)) is not NOTHING:
        parts.append(restored)
    if not parts:
        return Plan(steps=(*fencing.steps, *_to_record(m)), outcome=merge((_says(m), fencing.outcome)))
    return Plan(
        drift=one_per_path(drift for part in parts for drift in part.drift),
        steps=(*fencing.steps, *_to_record(m), *consent_last(step for part in parts for step in part.steps)),
        outcome=merge((_says(m), fencing.outcome, *(part.outcome for part in parts))),
    )


def following(resource: HostedInstance, observed: InstanceObservation) -> Plan:
    """Nothing but to record where it is, as soon as the move has made the copy its machine."""
    told = waiting(Reason.MOVING, f"InstanceMigration {observed.moving} moves its machine", available=True)
    vm, cloud = observed.found.thing, observed.cloud
    recorded = (resource.external.get("vm"), resource.external.get("cloud"))
    if vm is None or cloud is None or recorded == (str(vm.id), where(cloud)):
        return Plan(outcome=told)
    step = RecordVm(
        action=Action.UPDATE,
        target=f'VM {vm.id} "{resource.outside_name}"',
        inside=True,
        cloud=cloud,
        vm=vm.id,
        cluster=pinned_cluster(vm.requirements),
        # Numbers of another cloud: there they are of something else.
        forgets=(
            CLUSTER_FACT,
            *no_longer_exited(resource, vm),
            *(record(name) for name in recorded_names(resource.external)),
        ),
        facts=_told_by(vm),
    )
    return Plan(steps=(step,), outcome=told)


def _told_by(vm: Vm) -> tuple[tuple[str, str], ...]:
    """What is written on a machine and is to be recorded of it."""
    return (*left_where(vm), *exited(vm), *moves_made(vm))


def _fencing_first(observed: InstanceObservation) -> Plan | None:
    """What it left behind carries its mark, too, and nobody else would know of it. None: there is nothing that can be reached."""
    if observed.left_behind is None or observed.left_behind.vm is None:
        return None
    fencing = fenced(observed.left_behind)
    return Plan(steps=fencing.steps, outcome=fencing.outcome)


def deletion(resource: HostedInstance, observed: InstanceObservation) -> Plan:
    """Terminate it once and wait until it is gone; nothing left to do: the finalizer may go."""
    if is_left_alone(resource):
        return Plan()
    problem = observed.problem or observed.found.problem
    if problem is not None:
        return Plan(outcome=problem)
    if observed.denied:
        return Plan(outcome=stalled(Reason.FOREIGN_OPEN_NEBULA, observed.denied))
    if observed.found.missing is not None and not observed.terminated:
        return Plan(outcome=waiting(Reason.CONFIRMING_ABSENCE, f"VM {observed.found.missing} is asked for"))
    vm, cloud = observed.found.thing, observed.cloud
    if vm is None or cloud is None:
        return _gone(resource, observed)
    if vm.notes.get(ONE_ADOPTED) == "YES" and resource.spec.deletion_policy is None:
        return release(observed)  # noted on it; the status was lost
    state = state_of(vm)
    if state.situation is Situation.GONE:
        return _gone(resource, observed)
    name = f'VM {vm.id} "{vm.name}" in {where(cloud)}'
    if state.situation is Situation.ENDING:
        return Plan(outcome=waiting(Reason.TERMINATING, f"{name} is being terminated"))
    if state.situation is Situation.BUSY:
        return Plan(outcome=waiting(state.reason, f"{name} is {state.words}; OpenNebula terminates it only after that"))
    step = ActOnVm(
        action=Action.DELETE,
        target=name,
        disruption=Disruption.DATA_LOSS,
        cloud=cloud,
        vm=vm.id,
        verb=TERMINATE,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.TERMINATING, f"{name} is to be terminated"))


def _gone(resource: HostedInstance, observed: InstanceObservation) -> Plan:
    """The machine is: what else there is of it goes."""
    return with_leftovers(without_copies(without_machine(resource, observed), observed), resource, observed)


def _to_record(m: Machine) -> tuple[Step, ...]:
    """What makes it ours for good: the mark of this cluster, and its id in the status."""
    if m.observed.found.predecessor:
        facts = _told_by(m.vm)
        return (MarkVm(action=Action.MARK, target=m.target, cloud=m.cloud, vm=m.vm.id, facts=facts),)
    if adoption := to_adopt(m):
        return adoption
    external = m.resource.external
    if (external.get("vm"), external.get("cloud")) == (str(m.vm.id), where(m.cloud)):
        return ()
    pinned = pinned_cluster(m.vm.requirements)
    step = RecordVm(
        action=Action.UPDATE,
        target=m.target,
        inside=True,
        cloud=m.cloud,
        vm=m.vm.id,
        cluster=pinned,
        facts=_told_by(m.vm),
    )
    return (step,)


def _says(m: Machine) -> Outcome:
    """What the state of the machine says by itself."""
    what = f"VM {m.vm.id} in {where(m.cloud)}"
    if (silent := not_a_word(m.vm, what, m.now)) is not None:
        return silent
    match m.situation:
        case Situation.QUEUED if m.vm.scheduler_message:
            return waiting(Reason.NO_CAPACITY, f"OpenNebula finds no place for {what}: {m.vm.scheduler_message}")
        case Situation.QUEUED | Situation.BUSY:
            off = m.situation is Situation.BUSY and m.wants(Power.STOPPED, Power.SUSPENDED)
            return waiting(m.state.reason, f"{what} is {m.state.words}", available=m.state.guest_runs or off)
        case Situation.HELD if m.resource.spec.power is None:
            return stalled(Reason.ON_HOLD, f"{what} is held back by somebody; release it (onevm release {m.vm.id})")
        case Situation.LOST:
            host = f" {m.vm.host}" if m.vm.host else ""
            return waiting(
                Reason.HOST_NOT_REPORTING,
                f"{what}: its host{host} does not report; it is seen again when the host answers, or see onehost list",
            )
        case _:
            return DONE
