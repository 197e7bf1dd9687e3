"""What can be done to a machine, and how each of it is done: one call that is safe to repeat.

Most operations of OpenNebula are queued: OK says nothing about their result, and a second one is refused meanwhile. So
the outcome of such a step is "under way": the loop looks again before it does the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sovereigncloud.api.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.outcome import Outcome, Phase, done, waiting
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.controller import World
from sovereigncloud.kinds.errors import Quota, Rejected
from sovereigncloud.kinds.ports import OpenNebula
from sovereigncloud.kinds.vm_template import beside_template, from_image, user_data

# Remembered on the machine itself: a status can be lost, and then nobody would know that it is to be started again.
RESUME = "SOVEREIGNCLOUD_RESUME"  # the fields of spec for which it was powered off
REFUSED = "SOVEREIGNCLOUD_RESIZE_REFUSED"
REFUSED_BECAUSE = "SOVEREIGNCLOUD_RESIZE_REFUSED_BECAUSE"
CLEARED = "NO"  # a merge cannot take an attribute away

TERMINATE = "terminate-hard"
_DOING = {
    "poweroff": (Reason.POWERING_OFF, "powering off"),
    "resume": (Reason.STARTING, "starting"),
    "suspend": (Reason.SUSPENDING, "suspending"),
    "release": (Reason.RELEASING, "releasing"),
    TERMINATE: (Reason.TERMINATING, "terminating"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVm(Step):
    """Make it. Exactly one of `image` and `template`; `networks` None: those of the template."""

    cloud: Key
    image: int | None = None
    template: int | None = None
    networks: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BindInstance(Step):
    """Record the cloud that was chosen. Nothing outside."""

    cloud: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class VmStep(Step):
    cloud: Key
    vm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordVm(VmStep):
    """Record the machine that was found by its mark: the answer to its creation was lost. Nothing outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkVm(VmStep):
    """Take it over from before the cluster was rebuilt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteOnVm(VmStep):
    """Write down outside what has to be known after a crash."""

    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameVm(VmStep):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActOnVm(VmStep):
    """poweroff, resume, suspend, release, terminate-hard. `replacing`: it goes so that another one takes its place."""

    verb: str
    replacing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeVm(VmStep):
    """Set its capacity. `attempt` names this attempt where the machine waits to be started again: a refusal is noted
    under it, so that a machine is not kept down, nor powered off once more, for a size that it cannot have.
    """

    cpu: str
    vcpu: int
    memory: int
    attempt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowDisk(VmStep):
    """`size` in MiB."""

    disk: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachNic(VmStep):
    network: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachNic(VmStep):
    nic: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveVm(VmStep):
    """Shown in the plan, never done here: moving is a run of its own."""


async def perform(step: Step, resource: HostedInstance, world: World) -> Outcome:
    """Do one step. Its outcome records which machine it was."""
    match step:
        case CreateVm():
            return await _create(step, resource, world)
        case BindInstance(cloud=cloud):
            return done(cloud=where(cloud))
        case RecordVm():
            outcome = done()
        case VmStep():
            outcome = await _perform(step, resource, world, await world.open_nebula(step.cloud))
        case _:
            raise TypeError(f"not a step of a HostedInstance: {step!r}")
    # One that goes to be replaced is forgotten at once: from here on it is found by its mark while it ends, and its
    # absence afterwards is no loss but the moment to make the next one.
    gone = isinstance(step, ActOnVm) and step.replacing
    return outcome.with_facts(vm="" if gone else str(step.vm), cloud=where(step.cloud))


async def _create(step: CreateVm, resource: HostedInstance, world: World) -> Outcome:
    client = await world.open_nebula(step.cloud)
    mark = world.mark(resource)
    data = await user_data(resource, world.kubernetes)
    if step.template is not None:
        extra = beside_template(resource, mark, step.networks, data)
        made = await client.instantiate(step.template, resource.outside_name, extra)
    elif step.image is not None:
        made = await client.create_vm(from_image(resource, mark, step.image, step.networks or (), data))
    else:
        raise TypeError("a machine is made from an image or from a template")
    message = f'VM {made} "{resource.outside_name}" created in {where(step.cloud)}'
    return under_way(Reason.CREATED, message).with_facts(vm=str(made), cloud=where(step.cloud))


async def _perform(step: VmStep, resource: HostedInstance, world: World, client: OpenNebula) -> Outcome:
    match step:
        case MarkVm():
            await client.update_vm(step.vm, world.mark(resource).for_opennebula())
            return done(Reason.TAKEN_OVER, f"VM {step.vm} taken over from before the cluster was rebuilt")
        case NoteOnVm():
            await client.update_vm(step.vm, dict(step.notes))
            return done()
        case RenameVm():
            await client.rename_vm(step.vm, step.name)
            return done(Reason.RENAMED, f'VM {step.vm} is called "{step.name}" again')
        case ActOnVm():
            await client.act(step.vm, step.verb)
            reason, words = _DOING[step.verb]
            return under_way(reason, f"{words} VM {step.vm}")
        case ResizeVm():
            return await _resize(step, client)
        case GrowDisk():
            await client.resize_disk(step.vm, step.disk, step.size)
            return under_way(
                Reason.RESIZING_DISK, f"growing disk {step.disk} of VM {step.vm} to {step.size} MiB", alive=True
            )
        case AttachNic():
            await client.attach_nic(step.vm, {"NETWORK_ID": str(step.network)})
            return under_way(Reason.ATTACHING_NETWORK, f'attaching VM {step.vm} to network "{step.name}"', alive=True)
        case DetachNic():
            await client.detach_nic(step.vm, step.nic)
            return under_way(Reason.DETACHING_NETWORK, f'detaching VM {step.vm} from network "{step.name}"', alive=True)
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")


async def _resize(step: ResizeVm, client: OpenNebula) -> Outcome:
    try:
        await client.resize(step.vm, cpu=step.cpu, vcpu=step.vcpu, memory=step.memory)
    except (Quota, Rejected) as refusal:
        if not step.attempt:
            raise
        notes = {REFUSED: step.attempt, REFUSED_BECAUSE: refusal.message}
        await client.update_vm(step.vm, notes)
        return waiting(
            Reason.RESIZE_REFUSED, f"OpenNebula refused to resize VM {step.vm}: {refusal.message}", after=1.0
        )
    return done(Reason.RESIZED, f"VM {step.vm} has {step.vcpu} vcpu, {step.cpu} cpu, {step.memory} MiB now")


def under_way(reason: Reason, message: str, *, alive: bool = False) -> Outcome:
    """The request was taken; what became of it is seen in the next view."""
    return replace(done(reason, message), phase=Phase.WAITING, reason=reason, message=message, available=alive)
