"""Steps that attach, detach and filter NICs."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import NewNic
from sovereigncloud.kinds.hostedinstance.machine.step import VmStep, under_way
from sovereigncloud.ports.opennebula.client import OpenNebula


@dataclass(frozen=True, slots=True, kw_only=True)
class NicStep(VmStep):
    """Base of the steps on a NIC; `name` is that of its network."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachNic(NicStep):
    """Attach a new NIC."""

    nic: NewNic


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachNic(NicStep):
    """Detach a NIC by its id."""

    nic: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupStep(NicStep):
    """Base of the steps on a security group of a NIC.

    The NIC stays attached: detaching it would change its address.
    """

    nic: int
    group: int
    group_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachSecurityGroup(SecurityGroupStep):
    """Add a security group to a NIC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachSecurityGroup(SecurityGroupStep):
    """Remove a security group from a NIC."""


async def perform(step: NicStep, client: OpenNebula) -> Outcome:
    """Execute a step on a NIC."""
    match step:
        case AttachNic():
            await client.attach_nic(step.vm, step.nic.as_nic())
            what = f'attaching VM {step.vm} to network "{step.name}"'
            address = f" with address {step.nic.address}" if step.nic.address else ""
            return under_way(Reason.ATTACHING_NETWORK, what + address, alive=True)
        case DetachNic():
            await client.detach_nic(step.vm, step.nic)
            return under_way(Reason.DETACHING_NETWORK, f'detaching VM {step.vm} from network "{step.name}"', alive=True)
        case AttachSecurityGroup():
            await client.security_groups.attach(step.vm, step.nic, step.group)
            what = f'attaching security group "{step.group_name}" to VM {step.vm} on network "{step.name}"'
            return under_way(Reason.CHANGING_SECURITY_GROUPS, what, alive=True)
        case DetachSecurityGroup():
            await client.security_groups.detach(step.vm, step.nic, step.group)
            what = f'detaching security group "{step.group_name}" from VM {step.vm} on network "{step.name}"'
            return under_way(Reason.CHANGING_SECURITY_GROUPS, what, alive=True)
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")
