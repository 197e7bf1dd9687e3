"""Whether it runs."""

from __future__ import annotations

from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.core.plan import Disruption, Drift, Step
from sovereigncloud.kinds.hostedinstance.machine.machine import ENDED, NOTHING, OFF, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, RESUME
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_SATISFIES = {
    Power.RUNNING: frozenset({Situation.RUNNING}),
    Power.STOPPED: OFF,
    Power.SUSPENDED: frozenset({Situation.SUSPENDED}),
}


def power(m: Machine) -> Part:
    """Where `spec.power` is absent, running is the guest's own business, but a power cycle of ours ends running."""
    wanted = m.resource.spec.power
    if wanted is None or (m.situation is Situation.POWERED_OFF and m.to_be_resumed and wanted is not Power.STOPPED):
        if m.situation is not Situation.POWERED_OFF or not m.to_be_resumed:
            return NOTHING
        fields = m.powered_off_for
        return Part(steps=(m.act("resume", *fields), m.note(ENDED, {RESUME: CLEARED}, *fields)))
    if m.situation not in AT_REST | {Situation.HELD} or m.situation in _SATISFIES[wanted]:
        return NOTHING
    drift = Drift("spec.power", wanted, m.state.words)
    return Part(drift=(drift,), steps=_switch(m, wanted, drift.path))


def _switch(m: Machine, wanted: Power, field: str) -> tuple[Step, ...]:
    """OpenNebula powers off and suspends only what runs; everything else is started first [DispatchManagerActions.cc]."""
    first = m.act("release" if m.situation is Situation.HELD else "resume", field)
    last = {
        Power.RUNNING: (),
        Power.STOPPED: (m.act("poweroff", field, disruption=Disruption.RESTART),),
        Power.SUSPENDED: (m.act("suspend", field, disruption=Disruption.RESTART),),
    }[wanted]
    return last if m.situation is Situation.RUNNING else (first, *last)
