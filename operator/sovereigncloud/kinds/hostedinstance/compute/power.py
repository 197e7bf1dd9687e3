"""Plan part for spec.power: start, power off, suspend, and the end of a power cycle."""

from __future__ import annotations

from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.core.plan import Disruption, Drift, Step
from sovereigncloud.kinds.hostedinstance.machine.machine import EMPTY_PART, OFF, POWER_CYCLE_ENDED, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, RESUME
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_SATISFIES = {
    Power.RUNNING: frozenset({Situation.RUNNING}),
    Power.STOPPED: OFF,
    Power.SUSPENDED: frozenset({Situation.SUSPENDED}),
}


def power(m: Machine) -> Part:
    """Bring the VM to spec.power; without it, only start a VM that the operator powered off."""
    wanted = m.resource.spec.power
    if wanted is None or (m.situation is Situation.POWERED_OFF and m.to_be_resumed and wanted is not Power.STOPPED):
        if m.situation is not Situation.POWERED_OFF or not m.to_be_resumed:
            return EMPTY_PART
        fields = m.powered_off_for
        return Part(steps=(m.act("resume", *fields), m.note(POWER_CYCLE_ENDED, {RESUME: CLEARED}, *fields)))
    if m.situation not in AT_REST | {Situation.HELD} or m.situation in _SATISFIES[wanted]:
        return EMPTY_PART
    drift = Drift("spec.power", wanted, m.state.words)
    return Part(drift=(drift,), steps=_switch(m, wanted, drift.path))


def _switch(m: Machine, wanted: Power, field: str) -> tuple[Step, ...]:
    """Build the steps to a power state.

    OpenNebula powers off and suspends only running VMs; others are started first [DispatchManagerActions.cc].
    """
    first = m.act("release" if m.situation is Situation.HELD else "resume", field)
    last = {
        Power.RUNNING: (),
        Power.STOPPED: (m.act("poweroff", field, disruption=Disruption.RESTART),),
        Power.SUSPENDED: (m.act("suspend", field, disruption=Disruption.RESTART),),
    }[wanted]
    return last if m.situation is Situation.RUNNING else (first, *last)
