"""The plan of a HostedInstance: for a machine that is there, for one that is not, for one that is to go."""

from __future__ import annotations

from collections.abc import Iterable

from sovereigncloud.api.hostedinstance import HostedInstance, Power
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, merge, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Disruption, Drift, Plan, Step
from sovereigncloud.kinds import vm_capacity, vm_differences
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.vm_creation import creation, lost
from sovereigncloud.kinds.vm_differences import Machine
from sovereigncloud.kinds.vm_observation import InstanceObservation, is_left_alone
from sovereigncloud.kinds.vm_states import Situation, state_of
from sovereigncloud.kinds.vm_steps import TERMINATE, ActOnVm, MarkVm, RecordVm

# In this order: what a running machine does not notice, what happens in one power cycle, power itself, and last what
# waits for a person anyway.
_PARTS = (
    vm_differences.name,
    vm_differences.networks,
    vm_differences.root_disk,
    vm_differences.capacity,
    vm_differences.power,
    vm_differences.source,
    vm_differences.placement,
)


def plan(resource: HostedInstance, observed: InstanceObservation) -> Plan:
    """All differences, the steps that are possible now, and what the machine's state says."""
    if resource.deleting:
        return deletion(resource, observed)
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
        return creation(resource, observed, sizes, Cause.DECLARED)
    return _keeping(resource, observed, sizes)


def _keeping(resource: HostedInstance, observed: InstanceObservation, sizes: vm_capacity.Declared) -> Plan:
    vm, cloud, view = observed.found.thing, observed.cloud, observed.view
    if vm is None or cloud is None or view is None:
        return Plan()
    state = state_of(vm)
    if state.situation in {Situation.ENDING, Situation.GONE}:
        # Nothing is recorded of a machine that ends: if it ends so that another can be made, its absence is no loss.
        return Plan(outcome=waiting(state.reason, f"VM {vm.id} in {where(cloud)} is being terminated"))
    m = Machine(resource=resource, observed=observed, cloud=cloud, view=view, vm=vm, state=state, sizes=sizes)
    parts = [part(m) for part in _PARTS]
    steps = [step for part in parts for step in part.steps]
    return Plan(
        drift=_one_per_path(drift for part in parts for drift in part.drift),
        # What waits for consent comes last: nothing is done beyond the first such step.
        steps=(*_to_record(m), *(s for s in steps if not s.needs), *(s for s in steps if s.needs)),
        outcome=merge((_says(m), *(part.outcome for part in parts))),
    )


def deletion(resource: HostedInstance, observed: InstanceObservation) -> Plan:
    """Terminate it once and wait until it is gone; nothing left to do: the finalizer may go."""
    if is_left_alone(resource):
        return Plan()
    problem = observed.problem or observed.found.problem
    if problem is not None:
        return Plan(outcome=problem)
    if observed.denied:
        return Plan(outcome=stalled(Reason.NOT_OUR_OPEN_NEBULA, observed.denied))
    if observed.found.missing is not None and not observed.terminated:
        return Plan(outcome=waiting(Reason.CONFIRMING_ABSENCE, f"VM {observed.found.missing} is asked for"))
    vm, cloud = observed.found.thing, observed.cloud
    if vm is None or cloud is None:
        return Plan()
    state = state_of(vm)
    if state.situation is Situation.GONE:
        return Plan()
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


def _to_record(m: Machine) -> tuple[Step, ...]:
    """What makes it ours for good: the mark of this cluster, and its id in the status."""
    if m.observed.found.predecessor:
        return (MarkVm(action=Action.MARK, target=m.target, cloud=m.cloud, vm=m.vm.id),)
    external = m.resource.external
    if (external.get("vm"), external.get("cloud")) == (str(m.vm.id), where(m.cloud)):
        return ()
    return (RecordVm(action=Action.UPDATE, target=m.target, inside=True, cloud=m.cloud, vm=m.vm.id),)


def _says(m: Machine) -> Outcome:
    """What the state of the machine says by itself."""
    what = f"VM {m.vm.id} in {where(m.cloud)}"
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
        case Situation.FAILED:
            told = f": {m.vm.error}" if m.vm.error else ""
            return stalled(
                m.state.reason,
                f"{what} is in state {m.state.words}{told}; mend the cause and recover it there"
                f" (onevm recover --retry {m.vm.id}), or delete this object",
            )
        case _:
            return DONE


def _one_per_path(entries: Iterable[Drift]) -> tuple[Drift, ...]:
    """`status.drift` is a map by path: two cards on one network are one entry."""
    merged: dict[str, Drift] = {}
    for entry in entries:
        known = merged.get(entry.path)
        merged[entry.path] = Drift(entry.path, known.desired, f"{known.observed}; {entry.observed}") if known else entry
    return tuple(merged.values())
