"""Generic steps on a VM: write attributes, rename, change the power state, grow a disk."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.core.placement import NOTHING, Demand
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.hostedinstance.machine.step import VmStep, under_way
from sovereigncloud.ports.opennebula.attributes import Attributes
from sovereigncloud.ports.opennebula.client import OpenNebula

TERMINATE = "terminate-hard"
_DOING = {
    "poweroff": (Reason.POWERING_OFF, "powering off"),
    "resume": (Reason.STARTING, "starting"),
    "suspend": (Reason.SUSPENDING, "suspending"),
    "release": (Reason.RELEASING, "releasing"),
    TERMINATE: (Reason.TERMINATING, "terminating"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GenericVmStep(VmStep):
    """Base of the steps that `perform` of this module executes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteOnVm(GenericVmStep):
    """Write attributes to the VM that must be known after a crash of the operator."""

    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameVm(GenericVmStep):
    """Rename a VM."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActOnVm(GenericVmStep):
    """Change the power state of a VM, or terminate it.

    Attributes:
        verb: poweroff, resume, suspend, release or terminate-hard.
        replacing: whether the VM is terminated to be replaced by a new one.
    """

    verb: str
    replacing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowDisk(GenericVmStep):
    """Grow a disk; `size` in MiB."""

    disk: int
    size: int


async def perform(step: GenericVmStep, client: OpenNebula) -> Outcome:
    """Execute a generic step."""
    match step:
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
        case GrowDisk():
            await client.resize_disk(step.vm, step.disk, step.size)
            return under_way(
                Reason.RESIZING_DISK, f"growing disk {step.disk} of VM {step.vm} to {step.size} MiB", alive=True
            )
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")


@dataclass(frozen=True, slots=True)
class ChosenPlace:
    """What was chosen in a cloud: the cluster, and what the machine takes of it. None: nothing was chosen from."""

    cluster: int | None = None
    demand: Demand = NOTHING


NO_CHOICE = ChosenPlace()


@dataclass(frozen=True, slots=True, kw_only=True)
class BindInstance(Step):
    """Record the cloud that was chosen, and the cluster. Nothing outside."""

    cloud: Key
    place: ChosenPlace = NO_CHOICE


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveVm(VmStep):
    """Shown in the plan, never done: it is not allowed. What is done is `RequestMigration`."""


@dataclass(frozen=True, slots=True)
class NewNic:
    """A NIC to be attached: network id, optional address, and initial security groups."""

    network: int
    address: str = ""
    groups: tuple[int, ...] = ()

    def as_nic(self) -> Attributes:
        """Return the attributes inside NIC=[...]."""
        nic = {"NETWORK_ID": str(self.network)}
        if self.address:
            nic["IP"] = self.address
        if self.groups:
            nic["SECURITY_GROUPS"] = ",".join(str(group) for group in self.groups)
        return nic
