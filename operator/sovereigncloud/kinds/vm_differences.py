"""Where a machine that is there differs from spec, and the steps that its state allows now.

Each part is a pure function of the machine; `vm_plan` puts them in order. A step that its state does not allow is not
planned while something is under way, and needs `spec.power` where the machine rests in a state that forbids it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sovereigncloud.api.base import RECONCILE_REQUESTED_AT, Consent, Key
from sovereigncloud.api.hostedinstance import HostedInstance, Power
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, Phase, merge, stalled
from sovereigncloud.core.plan import Action, Cause, Disruption, Drift, Step
from sovereigncloud.kinds import vm_capacity
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.names import resolve
from sovereigncloud.kinds.ports import CloudView, Nic, Vm
from sovereigncloud.kinds.vm_creation import usable
from sovereigncloud.kinds.vm_observation import InstanceObservation
from sovereigncloud.kinds.vm_states import AT_REST, Situation, VmState
from sovereigncloud.kinds.vm_steps import (
    CLEARED,
    REFUSED,
    REFUSED_BECAUSE,
    RESUME,
    TERMINATE,
    ActOnVm,
    AttachNic,
    DetachNic,
    GrowDisk,
    MoveVm,
    NoteOnVm,
    RenameVm,
    ResizeVm,
)

_RESIZABLE_COLD = frozenset({Situation.POWERED_OFF, Situation.UNDEPLOYED, Situation.QUEUED, Situation.HELD})
_NETWORK_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF})
_DISK_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF, Situation.UNDEPLOYED})
_NOTED = "note to start it again"
_ENDED = "note that its power cycle ended"
_NEEDS_POWER = "spec.power: Running"
_NEEDS_POWER_CYCLE = "spec.updatePolicy.powerCycle: Allow"
_NEEDS_REPLACE = "spec.updatePolicy.replace: Allow"

_OFF = frozenset({Situation.POWERED_OFF, Situation.UNDEPLOYED, Situation.STOPPED, Situation.HELD})
_SATISFIES = {
    Power.RUNNING: frozenset({Situation.RUNNING}),
    Power.STOPPED: _OFF,
    Power.SUSPENDED: frozenset({Situation.SUSPENDED}),
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one aspect contributes to the plan."""

    drift: tuple[Drift, ...] = ()
    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that is there, with all that its parts need to know."""

    resource: HostedInstance
    observed: InstanceObservation
    cloud: Key
    view: CloudView
    vm: Vm
    state: VmState
    sizes: vm_capacity.Declared

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


def name(m: Machine) -> Part:
    """Names of machines are free text and not unique: a rename cannot collide."""
    wanted = m.resource.outside_name
    if m.vm.name == wanted:
        return Part()
    drift = Drift("spec.name", wanted, m.vm.name)
    if m.situation not in AT_REST | {Situation.QUEUED, Situation.HELD}:
        return Part(drift=(drift,))
    step = RenameVm(
        action=Action.UPDATE,
        target=m.target,
        fields=(drift.path,),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        name=wanted,
    )
    return Part(drift=(drift,), steps=(step,))


def capacity(m: Machine) -> Part:
    """CPU, VCPU and memory, all in one power cycle.

    A running machine is noted to be started again before it is powered off. A machine that spec wants off is powered
    off first, for that reason alone, and resized when it is.
    """
    observed = vm_capacity.found(m.vm)
    wanted = m.sizes.over(observed)
    drift = tuple(vm_capacity.differences(wanted, observed))
    fields = tuple(d.path for d in drift)
    if not drift:
        return Part(steps=_clear_notes(m))
    attempt = f"{wanted}/{m.resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, '')}"
    if m.vm.notes.get(REFUSED) == attempt:
        return Part(drift=drift, steps=_clear_resume(m), outcome=_refused(m))
    allowed = m.resource.spec.update_policy is not None and m.resource.spec.update_policy.power_cycle is Consent.ALLOW
    needs = "" if allowed else _NEEDS_POWER_CYCLE
    if m.situation is Situation.RUNNING:
        if m.wants(Power.STOPPED):
            return Part(drift=drift)
        steps = (
            m.note(_NOTED, {RESUME: ",".join(fields)}, *fields, needs=needs),
            m.act("poweroff", *fields, needs=needs, disruption=Disruption.RESTART),
            _resize(m, wanted, fields, needs=needs, attempt=attempt),
            m.act("resume", *fields, needs=needs),
            m.note(_ENDED, {RESUME: CLEARED}, *fields, needs=needs),
        )
        if m.to_be_resumed:
            return Part(drift=drift, steps=steps[1:] if allowed else (*_clear_resume(m), *steps))
        return Part(drift=drift, steps=steps)
    if m.situation in _RESIZABLE_COLD:
        started_next = m.to_be_resumed or m.wants(Power.RUNNING, Power.SUSPENDED)
        return Part(drift=drift, steps=(_resize(m, wanted, fields, attempt=attempt if started_next else ""),))
    if m.situation in AT_REST:
        return Part(drift=drift, steps=(_resize(m, wanted, fields, needs=_NEEDS_POWER),))
    return Part(drift=drift)


def _resize(
    m: Machine, wanted: vm_capacity.Capacity, fields: tuple[str, ...], *, needs: str = "", attempt: str = ""
) -> ResizeVm:
    return ResizeVm(
        action=Action.UPDATE,
        target=m.target,
        fields=fields,
        cause=m.cause,
        needs=needs,
        cloud=m.cloud,
        vm=m.vm.id,
        cpu=vm_capacity.cores(wanted.cpu),
        vcpu=wanted.vcpu,
        memory=wanted.memory,
        attempt=attempt,
    )


def _refused(m: Machine) -> Outcome:
    return stalled(
        Reason.RESIZE_REFUSED,
        f"OpenNebula refused the size that spec asks for: {m.vm.notes.get(REFUSED_BECAUSE, 'no reason given')}; it is not"
        f" powered off again for it. Change spec, or free capacity and set annotation {RECONCILE_REQUESTED_AT} to try"
        " again",
    )


def _clear_notes(m: Machine) -> tuple[NoteOnVm, ...]:
    """Once it has the size that is declared, and runs again where it ran before."""
    stale = {key: CLEARED for key in (REFUSED, REFUSED_BECAUSE) if m.vm.notes.get(key, CLEARED) not in {"", CLEARED}}
    if _cycle_is_over(m):
        stale[RESUME] = CLEARED
    return (m.note(_ENDED, stale, *m.powered_off_for),) if stale and m.situation in AT_REST else ()


def _clear_resume(m: Machine) -> tuple[NoteOnVm, ...]:
    return (m.note(_ENDED, {RESUME: CLEARED}, *m.powered_off_for),) if _cycle_is_over(m) else ()


def _cycle_is_over(m: Machine) -> bool:
    """It runs again, or it was declared off meanwhile."""
    ended = m.situation is Situation.RUNNING or (m.wants(Power.STOPPED) and m.situation in _OFF)
    return m.to_be_resumed and ended


def root_disk(m: Machine) -> Part:
    """It grows while the machine runs or is off; it never shrinks."""
    wanted = m.sizes.root_size
    if wanted is None:
        return Part()
    root = min(m.vm.disks, key=lambda disk: disk.id, default=None)
    if root is None:
        return Part(outcome=stalled(Reason.NO_ROOT_DISK, f"{m.target} has no disk; take spec.disks out"))
    if root.size == wanted:
        return Part()
    drift = Drift("spec.disks[root].size", vm_capacity.size(wanted), vm_capacity.size(root.size))
    if root.size > wanted:
        trouble = stalled(
            Reason.CANNOT_SHRINK,
            f"the root disk of {m.target} has {drift.observed} and cannot shrink to {drift.desired};"
            f" set spec.disks[root].size to {drift.observed}",
        )
        return Part(drift=(drift,), outcome=trouble)
    if m.situation not in AT_REST:
        return Part(drift=(drift,))
    step = GrowDisk(
        action=Action.UPDATE,
        target=f"disk {root.id} of {m.target}",
        fields=(drift.path,),
        cause=m.cause,
        needs="" if m.situation in _DISK_STATES else _NEEDS_POWER,
        cloud=m.cloud,
        vm=m.vm.id,
        disk=root.id,
        size=wanted,
    )
    return Part(drift=(drift,), steps=(step,))


def networks(m: Machine) -> Part:
    """One card per network of spec, and no other. A card is found by its network; none that is right is touched, and none
    is taken away while the network that is wanted instead cannot be had: a misspelt name must not cut a machine off.
    """
    if m.resource.spec.networks is None:
        return Part()
    cards = sorted(m.vm.nics, key=lambda nic: nic.id)
    missing: list[str] = []
    for network in m.resource.spec.networks:
        ids = {known.id for known in m.view.networks.values() if known.name == network.name}
        card = next((nic for nic in cards if nic.network_id in ids or nic.network == network.name), None)
        if card is None:
            missing.append(network.name)
        else:
            cards.remove(card)
    attached = [_attach(m, wanted) for wanted in missing]
    detached = [_detach(m, card) for card in cards]
    if any(part.outcome.phase is not Phase.DONE for part in attached):
        detached = [replace(part, steps=()) for part in detached]
    parts = [*attached, *detached]
    return Part(
        drift=tuple(drift for part in parts for drift in part.drift),
        steps=tuple(step for part in parts for step in part.steps),
        outcome=merge(part.outcome for part in parts),
    )


def _attach(m: Machine, network: str) -> Part:
    drift = (Drift(f"spec.networks[{network}]", "attached", "absent"),)
    place = where(m.cloud)
    found = resolve("network", network, m.view.networks.values(), m.observed.on_their_way, place)
    if isinstance(found, Outcome):
        return Part(drift=drift, outcome=found)
    trouble = usable(found, place)
    if trouble.phase is not Phase.DONE or m.situation not in AT_REST:
        return Part(drift=drift, outcome=trouble)
    step = AttachNic(
        action=Action.ATTACH,
        target=f'network "{network}" to {m.target}',
        fields=(drift[0].path,),
        cause=m.cause,
        needs="" if m.situation in _NETWORK_STATES else _NEEDS_POWER,
        cloud=m.cloud,
        vm=m.vm.id,
        network=found.id,
        name=network,
    )
    return Part(drift=drift, steps=(step,))


def _detach(m: Machine, card: Nic) -> Part:
    drift = (Drift(f"spec.networks[{card.network}]", "absent", f"card {card.id}, {card.ip or 'no address'}"),)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    step = DetachNic(
        action=Action.DETACH,
        target=f'card {card.id} on network "{card.network}" from {m.target}',
        fields=(drift[0].path,),
        cause=m.cause,
        needs="" if m.situation in _NETWORK_STATES else _NEEDS_POWER,
        cloud=m.cloud,
        vm=m.vm.id,
        nic=card.id,
        name=card.network,
    )
    return Part(drift=drift, steps=(step,))


def power(m: Machine) -> Part:
    """Where `spec.power` is absent, running is the guest's own business, but a power cycle of ours ends running."""
    wanted = m.resource.spec.power
    if wanted is None or (m.situation is Situation.POWERED_OFF and m.to_be_resumed and wanted is not Power.STOPPED):
        if m.situation is not Situation.POWERED_OFF or not m.to_be_resumed:
            return Part()
        fields = m.powered_off_for
        return Part(steps=(m.act("resume", *fields), m.note(_ENDED, {RESUME: CLEARED}, *fields)))
    if m.situation not in AT_REST | {Situation.HELD} or m.situation in _SATISFIES[wanted]:
        return Part()
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


def source(m: Machine) -> Part:
    """Another image needs another machine. Compared by name and by id: an image may be renamed. A VM template leaves
    no name on the machine, so its change is not seen.
    """
    wanted = m.resource.spec.source.image
    root = min((disk for disk in m.vm.disks if disk.image_id >= 0), key=lambda disk: disk.id, default=None)
    if wanted is None or root is None or root.image == wanted:
        return Part()
    if any(image.name == wanted and image.id == root.image_id for image in m.view.images.values()):
        return Part()
    drift = Drift("spec.source.image", wanted, root.image)
    if m.situation not in AT_REST:
        return Part(drift=(drift,))
    policy = m.resource.spec.update_policy
    step = ActOnVm(
        action=Action.REPLACE,
        target=m.target,
        fields=(drift.path,),
        disruption=Disruption.DATA_LOSS,
        cause=m.cause,
        needs="" if policy is not None and policy.replace is Consent.ALLOW else _NEEDS_REPLACE,
        cloud=m.cloud,
        vm=m.vm.id,
        verb=TERMINATE,
        replacing=True,
    )
    return Part(drift=(drift,), steps=(step,))


def placement(m: Machine) -> Part:
    """It runs elsewhere than spec says. It is shown; moving is an InstanceMigration, and a second machine is never
    made.
    """
    wanted = m.observed.wanted
    if wanted is None or wanted == m.cloud:
        return Part()
    drift = Drift("spec.placement.cloudRef", where(wanted), where(m.cloud))
    if m.observed.refused is not None:
        return Part(drift=(drift,), outcome=m.observed.refused)
    step = MoveVm(
        action=Action.UPDATE,
        target=f"{m.target}: needs to move from {where(m.cloud)} to {where(wanted)}",
        fields=(drift.path,),
        disruption=Disruption.RESTART,
        cause=m.cause,
        needs=f"spec.placement.cloudRef.name: {m.cloud.name} (moving it needs an InstanceMigration, which is not available"
        " yet)",
        cloud=m.cloud,
        vm=m.vm.id,
    )
    return Part(drift=(drift,), steps=(step,))
