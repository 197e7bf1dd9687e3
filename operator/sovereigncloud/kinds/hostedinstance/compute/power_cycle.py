"""Combination of all changes that need a powered-off VM into one power cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT, Consent
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.core.outcome import DONE, Outcome, merge, stalled
from sovereigncloud.core.plan import Disruption, Drift, Step
from sovereigncloud.kinds.hostedinstance.compute.steps import ColdStep, ComputeStep
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import NoteOnVm
from sovereigncloud.kinds.hostedinstance.machine.machine import (
    EMPTY_PART,
    NEEDS_POWER,
    NEEDS_POWER_CYCLE,
    OFF,
    POWER_CYCLE_ENDED,
    Machine,
    Part,
)
from sovereigncloud.kinds.hostedinstance.machine.step import (
    CLEARED,
    HOT_RESIZE_TRIES,
    MODEL_REFUSED,
    PCI_REFUSED,
    RESIZE_REFUSED,
    RESUME,
    note_value,
    reason_attribute,
)
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

NOT_RUNNING = frozenset({Situation.POWERED_OFF, Situation.UNDEPLOYED, Situation.QUEUED, Situation.HELD})
_NOTE_RESUME = "note to start it again"
_STALE = (
    RESIZE_REFUSED,
    reason_attribute(RESIZE_REFUSED),
    MODEL_REFUSED,
    reason_attribute(MODEL_REFUSED),
    PCI_REFUSED,
    reason_attribute(PCI_REFUSED),
    HOT_RESIZE_TRIES,
)
_NOTES = frozenset({*_STALE, RESUME})


@dataclass(frozen=True, slots=True)
class Change:
    """Changes that one aspect contributes.

    Attributes:
        drift: differences from spec.
        hot: steps for a running VM.
        cold: steps for a powered-off VM.
        states: in which the `cold` steps are possible.
        outcome: why no step is planned.
    """

    drift: tuple[Drift, ...] = ()
    hot: tuple[Step, ...] = ()
    cold: tuple[ComputeStep, ...] = ()
    states: frozenset[Situation] = NOT_RUNNING
    outcome: Outcome = DONE


UNCHANGED = Change()
"""No drift; compared by identity."""


def power_cycle(m: Machine, aspects: Iterable[Callable[[Machine], Change]]) -> Part:
    """Plan the changes of all aspects in one power cycle.

    Before a running VM is powered off, a note on it says to start it again. If spec.power is Stopped, the VM is powered off
    first by the power part, and changed afterwards.
    """
    changes = [change for aspect in aspects if (change := aspect(m)) is not UNCHANGED]
    drift = tuple(entry for change in changes for entry in change.drift) if changes else ()
    if not drift:
        notes = _clear_notes(m)
        return Part(steps=notes) if notes else EMPTY_PART
    outcome = merge(change.outcome for change in changes)
    hot = tuple(step for change in changes for step in change.hot)
    if m.situation is Situation.RUNNING:
        cold = tuple(step for change in changes for step in change.cold)
        if not cold:
            return Part(drift, (*_clear_resume(m), *hot), outcome)
        return Part(drift, hot if m.wants(Power.STOPPED) else (*hot, *_power_cycle_steps(m, cold)), outcome)
    steps = tuple(step for change in changes for step in _steps_while_stopped(m, change))
    return Part(drift, steps or _clear_resume(m), outcome)


def refusal(m: Machine, note: str, attempt: str, reason: Reason, what: str) -> Outcome | None:
    """Return a stalled outcome if OpenNebula already refused this exact change."""
    if m.vm.notes.get(note) != attempt:
        return None
    why = note_value(m.vm.notes.get(reason_attribute(note), "")) or "no reason given"
    return stalled(
        reason,
        f"OpenNebula refused {what}: {why}; it is not powered off again for it. Change spec, or free capacity and set"
        f" annotation {RECONCILE_REQUESTED_AT} to try again",
    )


def _power_cycle_steps(m: Machine, cold: tuple[ComputeStep, ...]) -> tuple[Step, ...]:
    allowed = m.resource.spec.update_policy is not None and m.resource.spec.update_policy.power_cycle is Consent.ALLOW
    needs = "" if allowed else NEEDS_POWER_CYCLE
    fields = tuple(dict.fromkeys(field for step in cold for field in step.fields))
    steps = (
        m.note(_NOTE_RESUME, {RESUME: ",".join(fields)}, *fields, needs=needs),
        m.act("poweroff", *fields, needs=needs, disruption=Disruption.RESTART),
        *(replace(step, needs=needs) for step in cold),
        m.act("resume", *fields, needs=needs),
        m.note(POWER_CYCLE_ENDED, {RESUME: CLEARED}, *fields, needs=needs),
    )
    if not m.to_be_resumed:
        return steps
    return steps[1:] if allowed else (*_clear_resume(m), *steps)


def _steps_while_stopped(m: Machine, change: Change) -> tuple[Step, ...]:
    """Return the steps of a change on a stopped VM: now, or after spec.power starts it."""
    if m.situation in change.states:
        started_next = m.to_be_resumed or m.wants(Power.RUNNING, Power.SUSPENDED)
        return change.cold if started_next else tuple(map(_without_attempt, change.cold))
    if m.situation in AT_REST:
        return tuple(replace(_without_attempt(step), needs=NEEDS_POWER) for step in change.cold)
    return ()


def _without_attempt(step: ComputeStep) -> ComputeStep:
    """Return the step without a note of its refusal: no VM waits to be started again for it."""
    return replace(step, attempt="") if isinstance(step, ColdStep) else step


def _clear_notes(m: Machine) -> tuple[NoteOnVm, ...]:
    """Clear notes of attempts and of the power cycle once the VM matches spec and runs again."""
    if _NOTES.isdisjoint(m.vm.notes):
        return ()
    stale = {key: CLEARED for key in _STALE if note_value(m.vm.notes.get(key, ""))}
    why = "forget what was tried"
    if _cycle_is_over(m):
        stale[RESUME], why = CLEARED, POWER_CYCLE_ENDED
    return (m.note(why, stale, *m.powered_off_for),) if stale and m.situation in AT_REST else ()


def _clear_resume(m: Machine) -> tuple[NoteOnVm, ...]:
    return (m.note(POWER_CYCLE_ENDED, {RESUME: CLEARED}, *m.powered_off_for),) if _cycle_is_over(m) else ()


def _cycle_is_over(m: Machine) -> bool:
    """Return whether the VM runs again, or spec.power is Stopped meanwhile."""
    ended = m.situation is Situation.RUNNING or (m.wants(Power.STOPPED) and m.situation in OFF)
    return m.to_be_resumed and ended
