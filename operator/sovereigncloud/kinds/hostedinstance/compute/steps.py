"""Steps on capacity, CPU model, PCI devices, host and VM group of a VM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.hostedinstance.machine.step import (
    HOT_RESIZE_TRIES,
    MODEL_REFUSED,
    PCI_REFUSED,
    RESIZE_REFUSED,
    VmStep,
    reason_attribute,
    under_way,
)
from sovereigncloud.ports.errors import NotFound, Quota, Rejected
from sovereigncloud.ports.opennebula.client import OpenNebula

TOGETHER, APART = "together", "apart"
POLICIES = {TOGETHER: "AFFINED", APART: "ANTI_AFFINED"}
"""The two roles of each VM group that the operator creates, with their policies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeStep(VmStep):
    """Base of the steps that `perform` of this module executes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStep(ComputeStep):
    """A step on a powered-off VM.

    Attributes:
        refused: VM attribute that records a refusal.
        attempt: identifies this change in that record, so that a refused change neither keeps the VM off nor powers it off
            again. Empty if no VM waits to be started again.
    """

    refused: ClassVar[str]
    attempt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeVm(ColdStep):
    """Set the capacity of a VM.

    Attributes:
        given_up: for a hot resize: note to write if OpenNebula refuses it, so that a power cycle follows.
    """

    refused: ClassVar[str] = RESIZE_REFUSED
    cpu: str
    vcpu: int
    memory: int
    given_up: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCpuModel(ColdStep):
    """Set the CPU model of a VM."""

    refused: ClassVar[str] = MODEL_REFUSED
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachPci(ColdStep):
    """Attach a PCI device; an empty field matches any."""

    refused: ClassVar[str] = PCI_REFUSED
    vendor: str
    device: str
    class_: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachPci(ColdStep):
    """Detach a PCI device by its id on the VM."""

    refused: ClassVar[str] = PCI_REFUSED
    pci: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveToHost(ComputeStep):
    """Migrate a VM to another host of its cloud.

    OpenNebula lets only administrators select the host.
    """

    by_administrator: ClassVar[bool] = True
    host: int
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryVm(ComputeStep):
    """Retry a failed operation with one.vm.recover.

    OpenNebula requires administrator rights for it.
    """

    by_administrator: ClassVar[bool] = True
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinGroup(ComputeStep):
    """Add a VM to a VM group in a role."""

    group: int
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveGroup(ComputeStep):
    """Remove a VM from its VM group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateGroup(Step):
    """Create a VM group with both roles."""

    cloud: Key
    name: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteGroup(Step):
    """Delete a VM group without members."""

    cloud: Key
    group: int


async def perform(step: ComputeStep, client: OpenNebula) -> Outcome:
    """Execute a compute step."""
    match step:
        case ResizeVm(given_up=given_up) if given_up:
            return await _resize_live(step, client)
        case ColdStep():
            return await _change(step, client)
        case MoveToHost():
            await client.move_vm(step.vm, step.host, live=step.live)
            reason = Reason.LIVE_MIGRATING if step.live else Reason.MIGRATING
            return under_way(reason, f"moving VM {step.vm} to host {step.host}", alive=True)
        case RetryVm():
            await client.retry_vm(step.vm)
            return under_way(Reason.RECOVERING, f"retrying VM {step.vm} after {step.what}")
        case JoinGroup():
            await client.vm_groups.join(step.vm, step.group, step.role)
            return done(Reason.VM_GROUP_JOINED, f"VM {step.vm} joined VM group {step.group} in role {step.role}")
        case LeaveGroup():
            await client.vm_groups.leave(step.vm)
            return done(Reason.VM_GROUP_LEFT, f"VM {step.vm} left its VM group")
        case _:
            raise TypeError(f"not a step that can be done here: {step!r}")


async def perform_on_group(step: CreateGroup | DeleteGroup, client: OpenNebula) -> Outcome:
    """Create or delete a VM group."""
    if isinstance(step, CreateGroup):
        made = await client.vm_groups.create(step.name, POLICIES, step.mark)
        # Creation of the VM needs the group in the next view.
        return under_way(Reason.VM_GROUP_CREATED, f'VM group {made} "{step.name}" created')
    try:
        await client.vm_groups.delete(step.group)
    except NotFound:
        return done()  # another last member deleted it
    return done(Reason.VM_GROUP_DELETED, f"VM group {step.group} deleted, since it has no members")


async def _change(step: ColdStep, client: OpenNebula) -> Outcome:
    try:
        return await _apply(step, client)
    except (Quota, Rejected) as refusal:
        if not step.attempt:
            raise
        await client.update_vm(step.vm, {step.refused: step.attempt, reason_attribute(step.refused): refusal.message})
        reason = Reason.RESIZE_REFUSED if isinstance(step, ResizeVm) else Reason.CHANGE_REFUSED
        return waiting(reason, f"OpenNebula refused {_description(step)}: {refusal.message}", after=1.0)


async def _apply(step: ColdStep, client: OpenNebula) -> Outcome:
    match step:
        case ResizeVm():
            await client.resize(step.vm, cpu=step.cpu, vcpu=step.vcpu, memory=step.memory)
            return done(Reason.RESIZED, f"VM {step.vm} resized to {step.vcpu} vcpu, {step.cpu} cpu, {step.memory} MiB")
        case SetCpuModel():
            await client.configure_vm(step.vm, {"CPU_MODEL": {"MODEL": step.model}})
            return done(Reason.CONFIGURED, f"CPU model of VM {step.vm} set to {step.model}")
        case AttachPci():
            wanted = {"VENDOR": step.vendor, "DEVICE": step.device, "CLASS": step.class_}
            await client.attach_pci(step.vm, {name: value for name, value in wanted.items() if value})
            return done(Reason.DEVICE_ATTACHED, f"PCI device attached to VM {step.vm}")
        case DetachPci():
            await client.detach_pci(step.vm, step.pci)
            return done(Reason.DEVICE_DETACHED, f"PCI device detached from VM {step.vm}")
        case _:
            raise TypeError(f"not a step that can be done here: {step!r}")


def _description(step: ColdStep) -> str:
    return f"to resize VM {step.vm}" if isinstance(step, ResizeVm) else f"a change of VM {step.vm}"


async def _resize_live(step: ResizeVm, client: OpenNebula) -> Outcome:
    """Resize a running VM.

    A quota refusal is recorded as final; after a driver refusal a power cycle is planned.
    """
    try:
        await client.resize(step.vm, cpu=step.cpu, vcpu=step.vcpu, memory=step.memory)
    except Quota as refusal:
        await client.update_vm(step.vm, {step.refused: step.attempt, reason_attribute(step.refused): refusal.message})
        return waiting(Reason.RESIZE_REFUSED, f"OpenNebula refused {_description(step)}: {refusal.message}", after=1.0)
    except Rejected as refusal:
        await client.update_vm(step.vm, {HOT_RESIZE_TRIES: step.given_up})
        return waiting(
            Reason.NOT_RESIZED,
            f"OpenNebula refused the hot resize of VM {step.vm}: {refusal.message}",
            after=1.0,
            available=True,
        )
    return under_way(
        Reason.RESIZING,
        f"hot resize of VM {step.vm} to {step.vcpu} vcpu, {step.cpu} cpu, {step.memory} MiB",
        alive=True,
    )
