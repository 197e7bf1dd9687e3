"""What can be done to a network, and how each of it is done: one call that is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.common.adoption import ADOPTED_FACT
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.adoption import OWNER_FACT
from sovereigncloud.kinds.virtualnetwork.template import ADOPTED, template
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import AddressRange

_AT_ONCE = 0.1
_DEFAULT_CLUSTER = 0  # there is always one, and it cannot be deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork(Step):
    """`groups`: the security groups that its cards are to have; OpenNebula adds its own."""

    cloud: Key
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteReservation(Step):
    """Record that a reservation is about to be made: the call takes no mark, so that one of that name without ours is ours
    only where this says so. Nothing outside.
    """

    parent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveNetwork(Step):
    """Make a network of addresses that are taken from another."""

    cloud: Key
    parent: int
    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStep(Step):
    cloud: Key
    network: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNetwork(NetworkStep):
    """Record the network that was found by its mark: the answer to its creation was lost. Nothing outside. `adopted`: it
    was there before, and whose it is.
    """

    adopted: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkNetwork(NetworkStep):
    """Take it over: from before the cluster was rebuilt, or, `adopting`, as what a person made; `owner` keeps it."""

    adopting: bool = False
    reserved: bool = False
    """It was just made by a reservation."""
    owner: int | None = None
    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateNetwork(NetworkStep):
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressStep(NetworkStep):
    """Of its addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRange(AddressStep):
    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeRange(AddressStep):
    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRange(AddressStep):
    """`reserved`: given back to the network that it is from."""

    range_id: int
    reserved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRange(AddressStep):
    """Take further addresses of its network into a reservation."""

    parent: int
    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAddress(AddressStep):
    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAddress(AddressStep):
    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseNetwork(NetworkStep):
    """Take off what the operator wrote on one that was there before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNetwork(NetworkStep):
    """Asynchronous: state LOCK_DELETE, then gone (observed)."""


async def perform(step: Step, resource: VirtualNetwork, context: Context) -> Outcome:
    """Do one step. Its outcome records which network it was."""
    if isinstance(step, NoteReservation):
        # Nothing more in this pass: the note has to be in the status before the call is made.
        noted = waiting(Reason.CREATING, f'network "{resource.outside_name}" is about to be reserved', after=_AT_ONCE)
        return noted.with_facts(reserving=str(step.parent))
    if isinstance(step, ReserveNetwork):
        port = (await context.open_nebula(step.cloud)).addresses
        made = await port.reserve(step.parent, {"NAME": resource.outside_name} | _run(step.range_))
        # It is recorded when it carries the mark: until then it is found by its name and what was noted.
        return done(Reason.CREATED, f'network {made} "{resource.outside_name}" reserved in {where(step.cloud)}')
    if isinstance(step, CreateNetwork):
        client = await context.open_nebula(step.cloud)
        made = await client.create_network(template(resource, context.mark(resource), step.groups), _DEFAULT_CLUSTER)
        message = f'network {made} "{resource.outside_name}" created in {where(step.cloud)}'
        return done(Reason.CREATED, message, network=str(made), adopted="", owner="")
    if not isinstance(step, NetworkStep):
        raise TypeError(f"not a step of a VirtualNetwork: {step!r}")
    if isinstance(step, RecordNetwork):
        found = {} if step.adopted is None else {ADOPTED_FACT: "yes", OWNER_FACT: str(step.adopted)}
        return done(network=str(step.network), reserving="").with_facts(**found)
    outcome = await _perform(step, resource, context, await context.open_nebula(step.cloud))
    # One that was told to go is forgotten at once: while it goes it is found by its mark, and then its absence is no
    # loss to be looked into.
    return outcome.with_facts(network="" if isinstance(step, DeleteNetwork) else str(step.network))


async def _perform(step: NetworkStep, resource: VirtualNetwork, context: Context, client: OpenNebula) -> Outcome:
    what = f"network {step.network}"
    match step:
        case MarkNetwork(reserved=True):
            # It was born with a copy of all that its network has noted.
            await client.update_network(step.network, {**context.mark(resource).for_opennebula(), ADOPTED: "NO"})
            return done(reserving="", adopted="", owner="")
        case MarkNetwork(adopting=adopting):
            note = {ADOPTED: "YES"} if adopting else {}
            await client.update_network(step.network, {**context.mark(resource).for_opennebula(), **note})
            if adopting:
                message = f"{what} adopted as it was made by a person"
                return done(Reason.ADOPTED, message, adopted="yes", owner=str(step.owner))
            return done(Reason.TAKEN_OVER, f"{what} taken over from before the cluster was rebuilt")
        case UpdateNetwork(attributes=attributes):
            await client.update_network(step.network, dict(attributes))
            return done(Reason.UPDATED, f"{what}: {', '.join(f'{key}={value}' for key, value in attributes)}")
        case AddressStep():
            return await _perform_on_addresses(step, client)
        case ReleaseNetwork():
            await client.unmark("network", step.network)
            return done(Reason.RELEASED, f"{what} no longer carries the mark of this installation")
        case DeleteNetwork():
            await client.delete_network(step.network)
            return waiting(Reason.DELETING, f"{what} is being deleted")
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")


async def _perform_on_addresses(step: AddressStep, client: OpenNebula) -> Outcome:
    what = f"network {step.network}"
    match step:
        case AddRange(range_=range_):
            await client.add_range(step.network, range_)
            return done(Reason.RANGE_ADDED, f"{what}: {range_.size} addresses from {range_.ip} added")
        case ResizeRange(range_=range_):
            await client.resize_range(step.network, range_)
            return done(Reason.RANGE_RESIZED, f"{what}: {range_.size} addresses from {range_.ip} now")
        case RemoveRange(range_id=range_id, reserved=True):
            await client.addresses.free_range(step.network, range_id)
            return done(Reason.RANGE_REMOVED, f"{what}: address range {range_id} given back")
        case ReserveRange(range_=range_):
            await client.addresses.reserve(step.parent, {"NETWORK_ID": str(step.network)} | _run(range_))
            return done(Reason.RANGE_ADDED, f"{what}: {range_.size} addresses from {range_.ip} reserved")
        case HoldAddress(ip=ip):
            await client.addresses.hold(step.network, ip)
            return done(Reason.UPDATED, f"{what}: {ip} is on hold")
        case ReleaseAddress(ip=ip):
            await client.addresses.release(step.network, ip)
            return done(Reason.UPDATED, f"{what}: {ip} is free again")
        case RemoveRange(range_id=range_id):
            await client.remove_range(step.network, range_id)
            return done(Reason.RANGE_REMOVED, f"{what}: address range {range_id} removed")
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")


def _run(range_: AddressRange) -> dict[str, str]:
    """Consecutive addresses of one range, as a reservation asks for them: an address without its range is refused."""
    return {"AR_ID": str(range_.parent), "IP": range_.ip, "SIZE": str(range_.size)}
