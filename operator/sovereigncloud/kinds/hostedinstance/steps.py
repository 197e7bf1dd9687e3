"""What can be done to a machine, and how each of it is done: one call that is safe to repeat.

Most operations of OpenNebula are queued: OK says nothing about their result, and a second one is refused meanwhile. So
the outcome of such a step is "under way": the loop looks again before it does the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.compute import steps as vm_compute_steps
from sovereigncloud.kinds.hostedinstance.compute.steps import ComputeStep, CreateGroup, DeleteGroup
from sovereigncloud.kinds.hostedinstance.continuity.superseded_copy import SupersededVmStep, perform_fencing
from sovereigncloud.kinds.hostedinstance.creation.guest_configuration import read_guest_configuration
from sovereigncloud.kinds.hostedinstance.creation.steps import CreateVm
from sovereigncloud.kinds.hostedinstance.creation.template import (
    restored_disks,
    template_from_image,
    template_overrides,
)
from sovereigncloud.kinds.hostedinstance.creation.template_context import (
    compute_attributes,
)
from sovereigncloud.kinds.hostedinstance.machine import adoption_steps as vm_adoption_steps
from sovereigncloud.kinds.hostedinstance.machine import generic_steps
from sovereigncloud.kinds.hostedinstance.machine.adoption_steps import AdoptionStep
from sovereigncloud.kinds.hostedinstance.machine.credential import client_for_image, client_for_vm
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import (
    ActOnVm,
    BindInstance,
    GenericVmStep,
)
from sovereigncloud.kinds.hostedinstance.machine.labels import (
    LABELS_FACT,
    SetLabels,
    labels_digest,
    labels_text,
    write_labels,
)
from sovereigncloud.kinds.hostedinstance.machine.observed import CLUSTER_FACT
from sovereigncloud.kinds.hostedinstance.machine.requests import carried_requests
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, ImageCall, VmCall, VmStep, under_way
from sovereigncloud.kinds.hostedinstance.network import steps as vm_card_steps
from sovereigncloud.kinds.hostedinstance.network.steps import NicStep
from sovereigncloud.kinds.hostedinstance.placement.placement import reservation_of
from sovereigncloud.kinds.movement.placement_override import carried_exit_note
from sovereigncloud.kinds.movement.records import carried_migrations
from sovereigncloud.kinds.movement.requests import RequestMigration, request_migration
from sovereigncloud.ports.opennebula.client import OpenNebula


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


async def perform(step: Step, resource: HostedInstance, context: Context) -> Outcome:
    """Do one step. Its outcome records which machine it was."""
    match step:
        case CreateVm():
            return await _create(step, resource, context)
        case BindInstance(cloud=cloud, place=place):
            return done().with_facts(cloud=where(cloud), **_recorded(place.cluster))
        case RequestMigration():
            return await request_migration(step, context)
        case CreateGroup() | DeleteGroup():
            return await _on_group(step, resource, context)
        case SupersededVmStep():
            return await perform_fencing(step, resource, context)
        case RecordVm():
            known = {} if step.cluster is None else _recorded(step.cluster)
            outcome = done().with_facts(**{**dict.fromkeys(step.forgets, ""), **known, **dict(step.facts)})
        case ImageCall():
            return await step.do(await client_for_image(step, resource, context), context, resource)
        case VmCall():
            outcome = await step.do(await client_for_vm(step, resource, context), context, resource)
        case VmStep():
            outcome = await _perform(step, resource, context, await client_for_vm(step, resource, context))
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
    guest = await read_guest_configuration(resource, context.kubernetes)
    context.promise(step.cloud, reservation_of(resource, context, step.place.cluster, step.place.demand))
    if step.template is not None:
        extra = {
            **dict.fromkeys(step.forgets, CLEARED),
            **template_overrides(resource, mark, step.cards, guest),
            **restored_disks(resource, step.restored),
            **compute_attributes(resource, step.surroundings),
            **carried_requests(resource),
            **carried_exit_note(resource),
            **carried_migrations(resource),
        }
        made = await client.instantiate(step.template, resource.outside_name, extra)
    elif step.image is not None:
        whole = template_from_image(resource, mark, step.image, step.cards or (), guest)
        around = compute_attributes(resource, step.surroundings)
        carried = {**carried_requests(resource), **carried_exit_note(resource), **carried_migrations(resource)}
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
        case GenericVmStep():
            return await generic_steps.perform(step, client)
        case SetLabels():
            return await write_labels(step, client)
        case ComputeStep():
            return await vm_compute_steps.perform(step, client)
        case NicStep():
            return await vm_card_steps.perform(step, client)
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")
