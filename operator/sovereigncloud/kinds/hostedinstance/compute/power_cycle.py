"""Changes of a machine that it must be powered off for, all in one power cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT, Consent
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.core.outcome import DONE, Outcome, merge, stalled
from sovereigncloud.core.plan import Disruption, Drift, Step
from sovereigncloud.kinds.hostedinstance.compute.steps import ColdStep, ComputeStep
from sovereigncloud.kinds.hostedinstance.machine.machine import (
    ENDED,
    NEEDS_POWER,
    NEEDS_POWER_CYCLE,
    NOTHING,
    OFF,
    Machine,
    Part,
)
from sovereigncloud.kinds.hostedinstance.machine.step import (
    CLEARED,
    MODEL_REFUSED,
    PCI_REFUSED,
    REFUSED,
    RESUME,
    TRIED_HOT,
    because,
    noted,
)
from sovereigncloud.kinds.hostedinstance.steps import NoteOnVm
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

NOT_RUNNING = frozenset({Situation.POWERED_OFF, Situation.UNDEPLOYED, Situation.QUEUED, Situation.HELD})
_NOTED = "note to start it again"
_STALE = (
    REFUSED,
    because(REFUSED),
    MODEL_REFUSED,
    because(MODEL_REFUSED),
    PCI_REFUSED,
    because(PCI_REFUSED),
    TRIED_HOT,
)
_NOTES = frozenset({*_STALE, RESUME})


@dataclass(frozen=True, slots=True)
class Change:
    """What one aspect contributes.

    Attributes:
        drift: what differs.
        hot: steps that are done as it runs.
        cold: steps that are done while it is powered off.
        states: in which `cold` can be done.
        outcome: why nothing is done.
    """

    drift: tuple[Drift, ...] = ()
    hot: tuple[Step, ...] = ()
    cold: tuple[ComputeStep, ...] = ()
    states: frozenset[Situation] = NOT_RUNNING
    outcome: Outcome = DONE


UNCHANGED = Change()
"""Nothing differs."""


def power_cycle(m: Machine, aspects: Iterable[Callable[[Machine], Change]]) -> Part:
    """All that differs in these aspects, in one power cycle.

    A running machine is noted to be started again before it is powered off. A machine that spec wants off is powered
    off first, for that reason alone, and changed when it is.
    """
    changes = [change for aspect in aspects if (change := aspect(m)) is not UNCHANGED]
    drift = tuple(entry for change in changes for entry in change.drift) if changes else ()
    if not drift:
        notes = _clear_notes(m)
        return Part(steps=notes) if notes else NOTHING
    outcome = merge(change.outcome for change in changes)
    hot = tuple(step for change in changes for step in change.hot)
    if m.situation is Situation.RUNNING:
        cold = tuple(step for change in changes for step in change.cold)
        if not cold:
            return Part(drift, (*_clear_resume(m), *hot), outcome)
        return Part(drift, hot if m.wants(Power.STOPPED) else (*hot, *_cycle(m, cold)), outcome)
    steps = tuple(step for change in changes for step in _as_it_is(m, change))
    return Part(drift, steps or _clear_resume(m), outcome)


def refusal(m: Machine, note: str, attempt: str, reason: Reason, what: str) -> Outcome | None:
    """What is said of a change that OpenNebula refused before, in these very words of spec."""
    if m.vm.notes.get(note) != attempt:
        return None
    why = noted(m.vm.notes.get(because(note), "")) or "no reason given"
    return stalled(
        reason,
        f"OpenNebula refused {what}: {why}; it is not powered off again for it. Change spec, or free capacity and set"
        f" annotation {RECONCILE_REQUESTED_AT} to try again",
    )


def _cycle(m: Machine, cold: tuple[ComputeStep, ...]) -> tuple[Step, ...]:
    allowed = m.resource.spec.update_policy is not None and m.resource.spec.update_policy.power_cycle is Consent.ALLOW
    needs = "" if allowed else NEEDS_POWER_CYCLE
    fields = tuple(dict.fromkeys(field for step in cold for field in step.fields))
    steps = (
        m.note(_NOTED, {RESUME: ",".join(fields)}, *fields, needs=needs),
        m.act("poweroff", *fields, needs=needs, disruption=Disruption.RESTART),
        *(replace(step, needs=needs) for step in cold),
        m.act("resume", *fields, needs=needs),
        m.note(ENDED, {RESUME: CLEARED}, *fields, needs=needs),
    )
    if not m.to_be_resumed:
        return steps
    return steps[1:] if allowed else (*_clear_resume(m), *steps)


def _as_it_is(m: Machine, change: Change) -> tuple[Step, ...]:
    """Of a machine that does not run: at once, or not before it was started."""
    if m.situation in change.states:
        started_next = m.to_be_resumed or m.wants(Power.RUNNING, Power.SUSPENDED)
        return change.cold if started_next else tuple(map(_unnoted, change.cold))
    if m.situation in AT_REST:
        return tuple(replace(_unnoted(step), needs=NEEDS_POWER) for step in change.cold)
    return ()


def _unnoted(step: ComputeStep) -> ComputeStep:
    """A refusal of it keeps no machine down, so it need not be noted."""
    return replace(step, attempt="") if isinstance(step, ColdStep) else step


def _clear_notes(m: Machine) -> tuple[NoteOnVm, ...]:
    """Once it is as declared, and runs again where it ran before."""
    if _NOTES.isdisjoint(m.vm.notes):
        return ()
    stale = {key: CLEARED for key in _STALE if noted(m.vm.notes.get(key, ""))}
    why = "forget what was tried"
    if _cycle_is_over(m):
        stale[RESUME], why = CLEARED, ENDED
    return (m.note(why, stale, *m.powered_off_for),) if stale and m.situation in AT_REST else ()


def _clear_resume(m: Machine) -> tuple[NoteOnVm, ...]:
    return (m.note(ENDED, {RESUME: CLEARED}, *m.powered_off_for),) if _cycle_is_over(m) else ()


def _cycle_is_over(m: Machine) -> bool:
    """It runs again, or it was declared off meanwhile."""
    ended = m.situation is Situation.RUNNING or (m.wants(Power.STOPPED) and m.situation in OFF)
    return m.to_be_resumed and ended
