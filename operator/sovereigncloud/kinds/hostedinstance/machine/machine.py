"""Input and result of the parts of a plan: the existing VM and a contribution to its plan.

Each part is a pure function of the machine; `hostedinstance.plan` puts them in order. A step that the state of the VM does
not allow is not planned during an operation, and needs a change of `spec.power` if the VM stays in that state.
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
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import ActOnVm, NoteOnVm
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, RESUME
from sovereigncloud.ports.opennebula.views import CloudView, Disk, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, VmState

NEEDS_POWER = "spec.power: Running"
NEEDS_POWER_CYCLE = "spec.updatePolicy.powerCycle: Allow"
NEEDS_REPLACE = "spec.updatePolicy.replace: Allow"
POWER_CYCLE_ENDED = "note that its power cycle ended"
OFF = frozenset({Situation.POWERED_OFF, Situation.UNDEPLOYED, Situation.STOPPED, Situation.HELD})


@dataclass(frozen=True, slots=True)
class Part:
    """Contribution of one aspect to the plan: drift, steps and outcome."""

    drift: tuple[Drift, ...] = ()
    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE


EMPTY_PART = Part()
"""No drift and no steps. One shared object: nearly all parts return it, and it is compared by identity."""


def merge_parts(parts: Iterable[Part]) -> Part:
    """Merge parts into one, in the order given."""
    several = [part for part in parts if part is not EMPTY_PART]
    if len(several) < 2:
        return several[0] if several else EMPTY_PART
    return Part(
        drift=tuple(drift for part in several for drift in part.drift),
        steps=tuple(step for part in several for step in part.steps),
        outcome=merge(part.outcome for part in several),
    )


@dataclass(frozen=True, slots=True)
class Machine:
    """An existing VM with everything that the parts of its plan read."""

    resource: HostedInstance
    observed: InstanceObservation
    cloud: Key
    view: CloudView
    vm: Vm
    state: VmState
    sizes: capacity.Declared
    now: datetime
    disk_names: Mapping[int, str]
    """Names in spec.disks by disk id, where known."""
    root: Disk | None
    """The boot disk; None if somebody detached it."""

    @property
    def asked(self) -> str:
        """Value of the reconcile-requested-at annotation: a new value retries what was refused."""
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
        """Whether the operator powered the VM off for a change and has to start it again."""
        return bool(self.powered_off_for)

    @property
    def powered_off_for(self) -> tuple[str, ...]:
        """The spec fields that the current power cycle applies."""
        noted = self.vm.notes.get(RESUME, CLEARED)
        return () if noted in {"", CLEARED} else tuple(noted.split(","))

    def wants(self, *power: Power) -> bool:
        return self.resource.spec.power in power

    def act(self, verb: str, *fields: str, needs: str = "", disruption: Disruption = Disruption.NONE) -> ActOnVm:
        """Build a step that performs an action of one.vm.action."""
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
        """Build a step that writes attributes to the user template of the VM."""
        return NoteOnVm(
            action=Action.UPDATE,
            target=f"{self.target}: {why}",
            fields=fields,
            needs=needs,
            cloud=self.cloud,
            vm=self.vm.id,
            notes=tuple(notes.items()),
        )
