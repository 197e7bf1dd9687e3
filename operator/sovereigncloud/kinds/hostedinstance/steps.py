"""What can be done to a machine, and how each of it is done: one call that is safe to repeat.

Most operations of OpenNebula are queued: OK says nothing about their result, and a second one is refused meanwhile. So
the outcome of such a step is "under way": the loop looks again before it does the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.core.placement import NOTHING, Demand
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.compute import steps as vm_compute_steps
from sovereigncloud.kinds.hostedinstance.compute.steps import ComputeStep, CreateGroup, DeleteGroup
from sovereigncloud.kinds.hostedinstance.continuity.superseded_copy import LeftBehindStep, fence_left_behind
from sovereigncloud.kinds.hostedinstance.creation.guest_configuration import guest_of
from sovereigncloud.kinds.hostedinstance.creation.template import beside_template, from_image, restored_disks
from sovereigncloud.kinds.hostedinstance.creation.template_context import (
    NOTHING_AROUND,
    Surroundings,
    compute_attributes,
)
from sovereigncloud.kinds.hostedinstance.machine import adoption_steps as vm_adoption_steps
from sovereigncloud.kinds.hostedinstance.machine.adoption_steps import AdoptionStep
from sovereigncloud.kinds.hostedinstance.machine.credential import client_beside, client_of
from sovereigncloud.kinds.hostedinstance.machine.labels import (
    LABELS_FACT,
    SetLabels,
    labels_digest,
    labels_text,
    write_labels,
)
from sovereigncloud.kinds.hostedinstance.machine.requests import carried_requests
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, ImageCall, VmCall, VmStep, under_way
from sovereigncloud.kinds.hostedinstance.network import steps as vm_card_steps
from sovereigncloud.kinds.hostedinstance.network.steps import CardStep, NewCard
from sovereigncloud.kinds.hostedinstance.placement.placement import CLUSTER_FACT, promise_of
from sovereigncloud.kinds.movement.placement_override import carried_exit
from sovereigncloud.kinds.movement.records import carried_moves
from sovereigncloud.kinds.movement.requests import MakeMove, make_move
from sovereigncloud.ports.opennebula.client import OpenNebula

TERMINATE = "terminate-hard"
_DOING = {
    "poweroff": (Reason.POWERING_OFF, "powering off"),
    "resume": (Reason.STARTING, "starting"),
    "suspend": (Reason.SUSPENDING, "suspending"),
    "release": (Reason.RELEASING, "releasing"),
    TERMINATE: (Reason.TERMINATING, "terminating"),
}


@dataclass(frozen=True, slots=True)
class ChosenPlace:
    """What was chosen in a cloud: the cluster, and what the machine takes of it. None: nothing was chosen from."""

    cluster: int | None = None
    demand: Demand = NOTHING


NO_CHOICE = ChosenPlace()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVm(Step):
    """Make it. Exactly one of `image` and `template`; `cards` None: those of the template. `surroundings`: what is said of
    processors, devices, hosts and its group.
    """

    cloud: Key
    image: int | None = None
    template: int | None = None
    cards: tuple[NewCard, ...] | None = None
    surroundings: Surroundings = NOTHING_AROUND
    restored: tuple[int, ...] = ()
    """Images of a backup that are its disks; the template then is what was restored with them."""
    forgets: tuple[str, ...] = ()
    """Attributes of the template that told something of the machine that was backed up."""
    place: ChosenPlace = NO_CHOICE


@dataclass(frozen=True, slots=True, kw_only=True)
class BindInstance(Step):
    """Record the cloud that was chosen, and the cluster. Nothing outside."""

    cloud: Key
    place: ChosenPlace = NO_CHOICE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordVm(VmStep):
    """Record the machine that was found by its mark: the answer to its creation was lost. Nothing outside. `cluster`: what the
    scheduler was told at its creation. `forgets`: facts about where it was before. `facts`: what it tells of that itself.
    """

    cluster: int | None = None
    forgets: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkVm(VmStep):
    """Take it over from before the cluster was rebuilt. `facts`: as of RecordVm."""

    facts: tuple[tuple[str, str], ...] = ()


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
class GrowDisk(VmStep):
    """`size` in MiB."""

    disk: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveVm(VmStep):
    """Shown in the plan, never done: it is not allowed. What is done is `MakeMove`."""


async def perform(step: Step, resource: HostedInstance, context: Context) -> Outcome:
    """Do one step. Its outcome records which machine it was."""
    match step:
        case CreateVm():
            return await _create(step, resource, context)
        case BindInstance(cloud=cloud, place=place):
            return done().with_facts(cloud=where(cloud), **_recorded(place.cluster))
        case MakeMove():
            return await make_move(step, context)
        case CreateGroup() | DeleteGroup():
            return await _on_group(step, resource, context)
        case LeftBehindStep():
            return await fence_left_behind(step, resource, context)
        case RecordVm():
            known = {} if step.cluster is None else _recorded(step.cluster)
            outcome = done().with_facts(**{**dict.fromkeys(step.forgets, ""), **known, **dict(step.facts)})
        case ImageCall():
            return await step.do(await client_beside(step, resource, context), context, resource)
        case VmCall():
            outcome = await step.do(await client_of(step, resource, context), context, resource)
        case VmStep():
            outcome = await _perform(step, resource, context, await client_of(step, resource, context))
        case _:
            raise TypeError(f"not a step of a HostedInstance: {step!r}")
    # One that goes to be replaced is forgotten at once: from here on it is found by its mark while it ends, and its
    # absence afterwards is no loss but the moment to make the next one.
    gone = isinstance(step, ActOnVm) and step.replacing
    return outcome.with_facts(vm="" if gone else str(step.vm), cloud=where(step.cloud))


async def _on_group(step: CreateGroup | DeleteGroup, resource: HostedInstance, context: Context) -> Outcome:
    if isinstance(step, DeleteGroup):  # it may be from before its namespace had a user
        return await vm_compute_steps.perform_on_group(step, await context.open_nebula(step.cloud))
    return await vm_compute_steps.perform_on_group(
        step, await context.open_nebula_for(step.cloud, resource.metadata.namespace)
    )


def _recorded(cluster: int | None) -> dict[str, str]:
    return {CLUSTER_FACT: "" if cluster is None else str(cluster)}


async def _create(step: CreateVm, resource: HostedInstance, context: Context) -> Outcome:
    client = await context.open_nebula_for(step.cloud, resource.metadata.namespace)
    mark = context.mark(resource)
    guest = await guest_of(resource, context.kubernetes)
    context.promise(step.cloud, promise_of(resource, context, step.place.cluster, step.place.demand))
    if step.template is not None:
        extra = {
            **dict.fromkeys(step.forgets, CLEARED),
            **beside_template(resource, mark, step.cards, guest),
            **restored_disks(resource, step.restored),
            **compute_attributes(resource, step.surroundings),
            **carried_requests(resource),
            **carried_exit(resource),
            **carried_moves(resource),
        }
        made = await client.instantiate(step.template, resource.outside_name, extra)
    elif step.image is not None:
        whole = from_image(resource, mark, step.image, step.cards or (), guest)
        around = compute_attributes(resource, step.surroundings)
        carried = {**carried_requests(resource), **carried_exit(resource), **carried_moves(resource)}
        made = await client.create_vm({**whole, **around, **carried})
    else:
        raise TypeError("a machine is made from an image or from a template")
    message = f'VM {made} "{resource.outside_name}" created in {where(step.cloud)}'
    labelled = labels_digest(labels_text(resource.metadata.labels))
    facts = {"vm": str(made), "cloud": where(step.cloud), "adopted": "", "owner": "", LABELS_FACT: labelled}
    facts |= _recorded(step.place.cluster)
    return under_way(Reason.CREATED, message).with_facts(**facts)


async def _perform(step: VmStep, resource: HostedInstance, context: Context, client: OpenNebula) -> Outcome:
    match step:
        case MarkVm():
            await client.update_vm(step.vm, context.mark(resource).for_opennebula())
            taken = done(Reason.TAKEN_OVER, f"VM {step.vm} taken over from before the cluster was rebuilt")
            return taken.with_facts(**dict(step.facts))
        case AdoptionStep():
            return await vm_adoption_steps.perform(step, resource, context, client)
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
        case SetLabels():
            return await write_labels(step, client)
        case ComputeStep():
            return await vm_compute_steps.perform(step, client)
        case GrowDisk():
            await client.resize_disk(step.vm, step.disk, step.size)
            return under_way(
                Reason.RESIZING_DISK, f"growing disk {step.disk} of VM {step.vm} to {step.size} MiB", alive=True
            )
        case CardStep():
            return await vm_card_steps.perform(step, client)
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")
