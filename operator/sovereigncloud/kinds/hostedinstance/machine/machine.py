"""What the parts of a plan know of a machine that is there, and what each contributes.

Each part is a pure function of the machine; `vm_plan` puts them in order. A step that its state does not allow is not
planned while something is under way, and needs `spec.power` where the machine rests in a state that forbids it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT, Key
from sovereigncloud.api.hostedinstance import HostedInstance, Power
from sovereigncloud.core.outcome import DONE, Outcome, merge
from sovereigncloud.core.plan import Action, Cause, Disruption, Drift, Step
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, RESUME
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.steps import ActOnVm, NoteOnVm
from sovereigncloud.ports.opennebula.views import CloudView, Disk, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, VmState

NEEDS_POWER = "spec.power: Running"
NEEDS_POWER_CYCLE = "spec.updatePolicy.powerCycle: Allow"
NEEDS_REPLACE = "spec.updatePolicy.replace: Allow"
ENDED = "note that its power cycle ended"
OFF = frozenset({Situation.POWERED_OFF, Situation.UNDEPLOYED, Situation.STOPPED, Situation.HELD})


@dataclass(frozen=True, slots=True)
class Part:
    """What one aspect contributes to the plan."""

    drift: tuple[Drift, ...] = ()
    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE


NOTHING = Part()
"""As declared: what nearly all parts of nearly all plans say, so that it is made once and told at a glance."""


def together(parts: Iterable[Part]) -> Part:
    """Several as one, in the order given."""
    several = [part for part in parts if part is not NOTHING]
    if len(several) < 2:
        return several[0] if several else NOTHING
    return Part(
        drift=tuple(drift for part in several for drift in part.drift),
        steps=tuple(step for part in several for step in part.steps),
        outcome=merge(part.outcome for part in several),
    )


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that is there, with all that its parts need to know."""

    resource: HostedInstance
    observed: InstanceObservation
    cloud: Key
    view: CloudView
    vm: Vm
    state: VmState
    sizes: capacity.Declared
    now: datetime
    disk_names: Mapping[int, str]
    """By number of the disk its name in spec.disks, where it is known: half of the parts ask which disk is which."""
    root: Disk | None
    """The disk that it starts from; None: somebody took it away."""

    @property
    def asked(self) -> str:
        """Names what a person asked for anew: with another one, what was refused is tried again."""
        return self.resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")

    @property
    def situation(self) -> Situation:
        return self.state.situation

    @property
    def target(self) -> str:
        # The declared name, so that a step of an approved plan keeps its hash when another step renamed the machine.
        return f'VM {self.vm.id} "{self.resource.outside_name}"'

    @property
    def cause(self) -> Cause:
        return Cause.OBSERVED if self.resource.settled else Cause.DECLARED

    @property
    def to_be_resumed(self) -> bool:
        """Whether it was powered off only for a change, and ran before."""
        return bool(self.powered_off_for)

    @property
    def powered_off_for(self) -> tuple[str, ...]:
        """The fields of spec that the power cycle is for."""
        noted = self.vm.notes.get(RESUME, CLEARED)
        return () if noted in {"", CLEARED} else tuple(noted.split(","))

    def wants(self, *power: Power) -> bool:
        return self.resource.spec.power in power

    def act(self, verb: str, *fields: str, needs: str = "", disruption: Disruption = Disruption.NONE) -> ActOnVm:
        return ActOnVm(
            action=Action.UPDATE,
            target=f"{self.target}: {verb}",
            fields=fields,
            disruption=disruption,
            cause=self.cause,
            needs=needs,
            cloud=self.cloud,
            vm=self.vm.id,
            verb=verb,
        )

    def note(self, why: str, notes: dict[str, str], *fields: str, needs: str = "") -> NoteOnVm:
        return NoteOnVm(
            action=Action.UPDATE,
            target=f"{self.target}: {why}",
            fields=fields,
            needs=needs,
            cloud=self.cloud,
            vm=self.vm.id,
            notes=tuple(notes.items()),
        )
