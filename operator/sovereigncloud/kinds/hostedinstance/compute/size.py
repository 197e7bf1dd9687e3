"""CPU, VCPU and memory: what differs, and how it is changed."""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.core.outcome import Outcome, Phase, stalled, waiting
from sovereigncloud.core.plan import Action, Drift
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.kinds.hostedinstance.compute.power_cycle import UNCHANGED, Change, refusal
from sovereigncloud.kinds.hostedinstance.compute.steps import ResizeVm
from sovereigncloud.kinds.hostedinstance.machine import capacity as vm_capacity
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.retries import Tries, clock_time
from sovereigncloud.kinds.hostedinstance.machine.step import REFUSED, TRIED_HOT
from sovereigncloud.kinds.hostedinstance.placement.quota import room_to_grow
from sovereigncloud.ports.opennebula.vm_states import Situation

_HOT_PAUSES = (60,)
"""OpenNebula says nothing of a driver that fails: the machine runs on with its old size (observed). So it is asked twice."""


def capacity(m: Machine) -> Change:
    """While it runs where it was made with room for that, else in a power cycle."""
    observed = vm_capacity.found(m.vm)
    wanted = m.sizes.over(observed)
    if wanted == observed:
        return UNCHANGED
    drift = tuple(vm_capacity.differences(wanted, observed))
    if (trouble := _beyond(m, wanted)) is not None:
        return Change(drift, outcome=trouble)
    room_left = room_to_grow(m.vm, m.observed.tenancy, m.view, wanted)
    if room_left.phase is not Phase.DONE:
        return Change(drift, outcome=room_left)
    attempt = f"{wanted}/{m.asked}"
    if (refused := refusal(m, REFUSED, attempt, Reason.RESIZE_REFUSED, "the size that spec asks for")) is not None:
        return Change(drift, outcome=refused)
    step = ResizeVm(
        action=Action.UPDATE,
        target=m.target,
        fields=tuple(d.path for d in drift),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        cpu=vm_capacity.cores(wanted.cpu),
        vcpu=wanted.vcpu,
        memory=wanted.memory,
        attempt=attempt,
    )
    tries = Tries.read(m.vm.notes.get(TRIED_HOT, ""), attempt)
    runs_on = m.situation is Situation.RUNNING and not m.wants(Power.STOPPED)
    if runs_on and _fits_live(m, wanted, observed) and not tries.over(_HOT_PAUSES):
        return _live(m, step, tries, drift)
    return Change(drift, cold=(step,))


def room(m: Machine) -> Part:
    """What it can grow to was decided when it was made: OpenNebula has no call that changes it."""
    declared = m.resource.spec.hot_resize
    if declared is None:
        return NOTHING
    drift: list[Drift] = []
    if declared.max_vcpu is not None and declared.max_vcpu != m.vm.vcpu_max:
        found = str(m.vm.vcpu_max or "none")
        drift.append(Drift("spec.hotResize.maxVcpu", str(declared.max_vcpu), found, mendable=False))
    if declared.max_memory is not None and mebibytes(declared.max_memory) != m.vm.memory_max:
        found = vm_capacity.size(m.vm.memory_max) if m.vm.memory_max else "none"
        wanted = vm_capacity.size(mebibytes(declared.max_memory))
        drift.append(Drift("spec.hotResize.maxMemory", wanted, found, mendable=False))
    return Part(drift=tuple(drift))


def _live(m: Machine, step: ResizeVm, tries: Tries, drift: tuple[Drift, ...]) -> Change:
    due = tries.due(_HOT_PAUSES)
    if m.now < due:
        after = (due - m.now).total_seconds()
        message = (
            f"OpenNebula took the resize of {m.target} as it runs and did not do it; it is asked once more at"
            f" {clock_time(due)}, and then a power cycle is what is left"
        )
        return Change(drift, outcome=waiting(Reason.NOT_RESIZED, message, after=after, available=True))
    note = m.note("note that it is resized while it runs", {TRIED_HOT: tries.once_more(m.now)}, *step.fields)
    given_up = Tries(step.attempt, len(_HOT_PAUSES)).once_more(m.now)
    return Change(drift, hot=(note, replace(step, given_up=given_up)))


def _fits_live(m: Machine, wanted: vm_capacity.Capacity, observed: vm_capacity.Capacity) -> bool:
    """What shrinks waits for a power cycle: a guest gives back what it wants to. The share alone is a number in OpenNebula's
    books while it runs.
    """
    return (wanted.vcpu == observed.vcpu or observed.vcpu < wanted.vcpu <= m.vm.vcpu_max) and (
        wanted.memory == observed.memory or observed.memory < wanted.memory <= m.vm.memory_max
    )


def _beyond(m: Machine, wanted: vm_capacity.Capacity) -> Outcome | None:
    """More than the room that it was made with: the hypervisor would refuse to start it."""
    too_much = [
        f"{field} {asked} is more than {limit}"
        for field, over, asked, limit in (
            ("vcpu", 0 < m.vm.vcpu_max < wanted.vcpu, str(wanted.vcpu), str(m.vm.vcpu_max)),
            (
                "memory",
                0 < m.vm.memory_max < wanted.memory,
                vm_capacity.size(wanted.memory),
                vm_capacity.size(m.vm.memory_max),
            ),
        )
        if over
    ]
    if not too_much:
        return None
    return stalled(
        Reason.NO_CAPACITY_TO_GROW,
        f"{m.target} was made with room up to a limit, and {' and '.join(too_much)}: ask for no more, or make another"
        " HostedInstance with more room in spec.hotResize",
    )
