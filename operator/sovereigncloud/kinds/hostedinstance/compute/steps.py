"""Steps about the size of a machine, its processor and devices, the host under it and the machines beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.hostedinstance.machine.step import (
    MODEL_REFUSED,
    PCI_REFUSED,
    REFUSED,
    TRIED_HOT,
    VmStep,
    because,
    under_way,
)
from sovereigncloud.ports.errors import NotFound, Quota, Rejected
from sovereigncloud.ports.opennebula.client import OpenNebula

TOGETHER, APART = "together", "apart"
POLICIES = {TOGETHER: "AFFINED", APART: "ANTI_AFFINED"}
"""Both roles of each VM group that is made here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeStep(VmStep):
    """One that is done here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStep(ComputeStep):
    """Done while it is powered off. `attempt` names this attempt where the machine waits to be started again: a refusal is
    noted under it, so that a machine is not kept down, nor powered off once more, for what it cannot have.
    """

    refused: ClassVar[str]
    attempt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeVm(ColdStep):
    """Set its capacity.

    Attributes:
        given_up: while it runs: what is noted where OpenNebula refuses to do it live at all.
    """

    refused: ClassVar[str] = REFUSED
    cpu: str
    vcpu: int
    memory: int
    given_up: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCpuModel(ColdStep):
    refused: ClassVar[str] = MODEL_REFUSED
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachPci(ColdStep):
    """Empty: any."""

    refused: ClassVar[str] = PCI_REFUSED
    vendor: str
    device: str
    class_: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachPci(ColdStep):
    refused: ClassVar[str] = PCI_REFUSED
    pci: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveToHost(ComputeStep):
    """Inside its cloud. OpenNebula lets only administrators choose a host."""

    by_administrator: ClassVar[bool] = True
    host: int
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryVm(ComputeStep):
    """What failed is done once more: one.vm.recover, which OpenNebula counts among the rights of administrators."""

    by_administrator: ClassVar[bool] = True
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinGroup(ComputeStep):
    group: int
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveGroup(ComputeStep):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateGroup(Step):
    cloud: Key
    name: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteGroup(Step):
    cloud: Key
    group: int


async def perform(step: ComputeStep, client: OpenNebula) -> Outcome:
    """Do one of them."""
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
            return under_way(Reason.RECOVERING, f"VM {step.vm}: {step.what} is tried again")
        case JoinGroup():
            await client.vm_groups.join(step.vm, step.group, step.role)
            return done(Reason.VM_GROUP_JOINED, f"VM {step.vm} is in VM group {step.group}, {step.role}")
        case LeaveGroup():
            await client.vm_groups.leave(step.vm)
            return done(Reason.VM_GROUP_LEFT, f"VM {step.vm} is in no VM group")
        case _:
            raise TypeError(f"not a step that can be done here: {step!r}")


async def perform_on_group(step: CreateGroup | DeleteGroup, client: OpenNebula) -> Outcome:
    """A group is made before its first member, and deleted after its last."""
    if isinstance(step, CreateGroup):
        made = await client.vm_groups.create(step.name, POLICIES, step.mark)
        # Looked for in the next view: a machine is born into it by its id.
        return under_way(Reason.VM_GROUP_CREATED, f'VM group {made} "{step.name}" made')
    try:
        await client.vm_groups.delete(step.group)
    except NotFound:
        return done()  # another one that was last did it
    return done(Reason.VM_GROUP_DELETED, f"VM group {step.group} deleted: nobody is in it")


async def _change(step: ColdStep, client: OpenNebula) -> Outcome:
    try:
        return await _do(step, client)
    except (Quota, Rejected) as refusal:
        if not step.attempt:
            raise
        await client.update_vm(step.vm, {step.refused: step.attempt, because(step.refused): refusal.message})
        reason = Reason.RESIZE_REFUSED if isinstance(step, ResizeVm) else Reason.CHANGE_REFUSED
        return waiting(reason, f"OpenNebula refused {_words(step)}: {refusal.message}", after=1.0)


async def _do(step: ColdStep, client: OpenNebula) -> Outcome:
    match step:
        case ResizeVm():
            await client.resize(step.vm, cpu=step.cpu, vcpu=step.vcpu, memory=step.memory)
            return done(Reason.RESIZED, f"VM {step.vm} has {step.vcpu} vcpu, {step.cpu} cpu, {step.memory} MiB now")
        case SetCpuModel():
            await client.configure_vm(step.vm, {"CPU_MODEL": {"MODEL": step.model}})
            return done(Reason.CONFIGURED, f"VM {step.vm} has processors of model {step.model}")
        case AttachPci():
            wanted = {"VENDOR": step.vendor, "DEVICE": step.device, "CLASS": step.class_}
            await client.attach_pci(step.vm, {name: value for name, value in wanted.items() if value})
            return done(Reason.DEVICE_ATTACHED, f"VM {step.vm} has a device more")
        case DetachPci():
            await client.detach_pci(step.vm, step.pci)
            return done(Reason.DEVICE_DETACHED, f"VM {step.vm} has a device less")
        case _:
            raise TypeError(f"not a step that can be done here: {step!r}")


def _words(step: ColdStep) -> str:
    return f"to resize VM {step.vm}" if isinstance(step, ResizeVm) else f"a change of VM {step.vm}"


async def _resize_live(step: ResizeVm, client: OpenNebula) -> Outcome:
    """While it runs. Where there is no room on the host a power cycle would not help; where the driver cannot, it does."""
    try:
        await client.resize(step.vm, cpu=step.cpu, vcpu=step.vcpu, memory=step.memory)
    except Quota as refusal:
        await client.update_vm(step.vm, {step.refused: step.attempt, because(step.refused): refusal.message})
        return waiting(Reason.RESIZE_REFUSED, f"OpenNebula refused {_words(step)}: {refusal.message}", after=1.0)
    except Rejected as refusal:
        await client.update_vm(step.vm, {TRIED_HOT: step.given_up})
        return waiting(
            Reason.NOT_RESIZED,
            f"VM {step.vm} is not resized while it runs: {refusal.message}",
            after=1.0,
            available=True,
        )
    return under_way(
        Reason.RESIZING, f"VM {step.vm} gets {step.vcpu} vcpu, {step.cpu} cpu, {step.memory} MiB as it runs", alive=True
    )
