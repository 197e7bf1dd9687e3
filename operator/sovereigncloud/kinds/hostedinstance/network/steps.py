"""What can be done to the network cards of a machine."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.kinds.hostedinstance.machine.step import VmStep, under_way
from sovereigncloud.ports.opennebula.client import Attributes, OpenNebula


@dataclass(frozen=True, slots=True)
class NewCard:
    """A card that is to be: its network, the address and the security groups that it is to have from the start."""

    network: int
    address: str = ""
    groups: tuple[int, ...] = ()

    def as_nic(self) -> Attributes:
        """What stands inside NIC=[...]."""
        nic = {"NETWORK_ID": str(self.network)}
        if self.address:
            nic["IP"] = self.address
        if self.groups:
            nic["SECURITY_GROUPS"] = ",".join(str(group) for group in self.groups)
        return nic


@dataclass(frozen=True, slots=True, kw_only=True)
class CardStep(VmStep):
    """`name`: of the network."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachNic(CardStep):
    card: NewCard


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachNic(CardStep):
    nic: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStep(CardStep):
    """About a security group that filters a card. The card stays: to take it off would reshuffle addresses."""

    nic: int
    group: int
    group_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachGroup(GroupStep):
    """Filter a card with one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachGroup(GroupStep):
    """Filter it with one less."""


async def perform(step: CardStep, client: OpenNebula) -> Outcome:
    """Do one of them."""
    match step:
        case AttachNic():
            await client.attach_nic(step.vm, step.card.as_nic())
            what = f'attaching VM {step.vm} to network "{step.name}"'
            address = f" with address {step.card.address}" if step.card.address else ""
            return under_way(Reason.ATTACHING_NETWORK, what + address, alive=True)
        case DetachNic():
            await client.detach_nic(step.vm, step.nic)
            return under_way(Reason.DETACHING_NETWORK, f'detaching VM {step.vm} from network "{step.name}"', alive=True)
        case AttachGroup():
            await client.security_groups.attach(step.vm, step.nic, step.group)
            what = f'security group "{step.group_name}" filters VM {step.vm} on network "{step.name}"'
            return under_way(Reason.CHANGING_SECURITY_GROUPS, what, alive=True)
        case DetachGroup():
            await client.security_groups.detach(step.vm, step.nic, step.group)
            what = f'security group "{step.group_name}" does not filter VM {step.vm} on network "{step.name}" any more'
            return under_way(Reason.CHANGING_SECURITY_GROUPS, what, alive=True)
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")
