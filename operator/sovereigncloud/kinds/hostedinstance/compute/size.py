"""Plan part for CPU, VCPU and memory: hot resize, or resize in a power cycle."""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.core.outcome import Outcome, Phase, stalled, waiting
from sovereigncloud.core.plan import Action, Drift
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.kinds.hostedinstance.compute.power_cycle import UNCHANGED, Change, refusal
from sovereigncloud.kinds.hostedinstance.compute.steps import ResizeVm
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.hostedinstance.machine.machine import EMPTY_PART, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.quota import check_resize_quota
from sovereigncloud.kinds.hostedinstance.machine.retries import RetryCounter, clock_time
from sovereigncloud.kinds.hostedinstance.machine.step import HOT_RESIZE_TRIES, RESIZE_REFUSED
from sovereigncloud.ports.opennebula.vm_states import Situation

_HOT_PAUSES = (60,)
"""OpenNebula does not report a failed driver: the VM keeps its old size (observed). So it is asked twice."""


def resize(m: Machine) -> Change:
    """Resize a running VM within its hot-resize limits, else in a power cycle."""
    observed = capacity.found(m.vm)
    wanted = m.sizes.over(observed)
    if wanted == observed:
        return UNCHANGED
    drift = tuple(capacity.differences(wanted, observed))
    if (trouble := _check_limits(m, wanted)) is not None:
        return Change(drift, outcome=trouble)
    room_left = check_resize_quota(m.vm, m.observed.tenancy, m.view, wanted)
    if room_left.phase is not Phase.DONE:
        return Change(drift, outcome=room_left)
    attempt = f"{wanted}/{m.asked}"
    if (
        refused := refusal(m, RESIZE_REFUSED, attempt, Reason.RESIZE_REFUSED, "the size that spec asks for")
    ) is not None:
        return Change(drift, outcome=refused)
    step = ResizeVm(
        action=Action.UPDATE,
        target=m.target,
        fields=tuple(d.path for d in drift),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        cpu=capacity.cores(wanted.cpu),
        vcpu=wanted.vcpu,
        memory=wanted.memory,
        attempt=attempt,
    )
    tries = RetryCounter.read(m.vm.notes.get(HOT_RESIZE_TRIES, ""), attempt)
    runs_on = m.situation is Situation.RUNNING and not m.wants(Power.STOPPED)
    if runs_on and _is_hot_resizable(m, wanted, observed) and not tries.over(_HOT_PAUSES):
        return _hot_resize(m, step, tries, drift)
    return Change(drift, cold=(step,))


def hot_resize_limits(m: Machine) -> Part:
    """Report drift of spec.hotResize; OpenNebula cannot change these limits after creation."""
    declared = m.resource.spec.hot_resize
    if declared is None:
        return EMPTY_PART
    drift: list[Drift] = []
    if declared.max_vcpu is not None and declared.max_vcpu != m.vm.vcpu_max:
        found = str(m.vm.vcpu_max or "none")
        drift.append(Drift("spec.hotResize.maxVcpu", str(declared.max_vcpu), found, mendable=False))
    if declared.max_memory is not None and mebibytes(declared.max_memory) != m.vm.memory_max:
        found = capacity.size(m.vm.memory_max) if m.vm.memory_max else "none"
        wanted = capacity.size(mebibytes(declared.max_memory))
        drift.append(Drift("spec.hotResize.maxMemory", wanted, found, mendable=False))
    return Part(drift=tuple(drift))


def _hot_resize(m: Machine, step: ResizeVm, tries: RetryCounter, drift: tuple[Drift, ...]) -> Change:
    due = tries.due(_HOT_PAUSES)
    if m.now < due:
        after = (due - m.now).total_seconds()
        message = (
            f"OpenNebula accepted the hot resize of {m.target}, but its size did not change; it is retried at"
            f" {clock_time(due)}, and after that it needs a power cycle"
        )
        return Change(drift, outcome=waiting(Reason.NOT_RESIZED, message, after=after, available=True))
    note = m.note("note that it is resized while it runs", {HOT_RESIZE_TRIES: tries.once_more(m.now)}, *step.fields)
    given_up = RetryCounter(step.attempt, len(_HOT_PAUSES)).once_more(m.now)
    return Change(drift, hot=(note, replace(step, given_up=given_up)))


def _is_hot_resizable(m: Machine, wanted: capacity.Capacity, observed: capacity.Capacity) -> bool:
    """Return whether a running VM can be resized: only growth, within its creation limits.

    A guest may not release VCPUs or memory while it runs. A change of CPU alone only changes accounting.
    """
    return (wanted.vcpu == observed.vcpu or observed.vcpu < wanted.vcpu <= m.vm.vcpu_max) and (
        wanted.memory == observed.memory or observed.memory < wanted.memory <= m.vm.memory_max
    )


def _check_limits(m: Machine, wanted: capacity.Capacity) -> Outcome | None:
    """Return an outcome if the size exceeds the hot-resize limits of the VM.

    The hypervisor would refuse to start such a VM.
    """
    too_much = [
        f"{field} {asked} is more than {limit}"
        for field, over, asked, limit in (
            ("vcpu", 0 < m.vm.vcpu_max < wanted.vcpu, str(wanted.vcpu), str(m.vm.vcpu_max)),
            (
                "memory",
                0 < m.vm.memory_max < wanted.memory,
                capacity.size(wanted.memory),
                capacity.size(m.vm.memory_max),
            ),
        )
        if over
    ]
    if not too_much:
        return None
    return stalled(
        Reason.NO_CAPACITY_TO_GROW,
        f"{m.target} cannot grow beyond the limits set at its creation: {' and '.join(too_much)}. Declare no more, or create"
        " another HostedInstance with higher limits in spec.hotResize",
    )
