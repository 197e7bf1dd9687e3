"""Steps of a VirtualNetwork: one idempotent call each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.common.adoption import ADOPTED_FACT
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.identity.adoption import OWNER_FACT
from sovereigncloud.kinds.virtualnetwork.template import ADOPTED, template
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import AddressRange

_AT_ONCE = 0.1
_DEFAULT_CLUSTER = 0  # there is always one, and it cannot be deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork(Step):
    """Create the network.

    `groups`: the security groups of its NICs; OpenNebula adds its default group.
    """

    cloud: Key
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteReservation(Step):
    """Record in status that a reservation is about to be created.

    The call takes no mark: an unmarked network of that name is ours only if this record says so.
    """

    parent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveNetwork(Step):
    """Create a network from addresses of another network."""

    cloud: Key
    parent: int
    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStep(Step):
    cloud: Key
    network: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNetwork(NetworkStep):
    """Record a network found by its mark, where the answer to its creation was lost.

    Changes only status. `adopted`: the owner of an adopted network.
    """

    adopted: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkNetwork(NetworkStep):
    """Write the ownership mark on the network.

    This takes it over after a cluster rebuild, or adopts it (`adopting`): its `owner` keeps it.
    """

    adopting: bool = False
    reserved: bool = False
    """It was just made by a reservation."""
    owner: int | None = None
    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateNetwork(NetworkStep):
    """Set template attributes of the network."""

    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressStep(NetworkStep):
    """A step on addresses of the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRange(AddressStep):
    """Add an address range."""

    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeRange(AddressStep):
    """Change the size of an address range."""

    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRange(AddressStep):
    """Remove an address range; `reserved`: return it to the source network."""

    range_id: int
    reserved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRange(AddressStep):
    """Reserve another address range from the source network."""

    parent: int
    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAddress(AddressStep):
    """Put an address on hold."""

    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAddress(AddressStep):
    """Release a held address."""

    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseNetwork(NetworkStep):
    """Remove the operator's attributes from an adopted network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNetwork(NetworkStep):
    """Delete the network; asynchronous: state LOCK_DELETE, then gone (observed)."""


async def perform_network(step: Step, resource: VirtualNetwork, context: Context) -> Outcome:
    """Perform one step; the outcome records the network id."""
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
                message = f"{what} adopted as it is"
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
            return done(Reason.RANGE_REMOVED, f"{what}: address range {range_id} returned")
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
    """Build the reservation request; OpenNebula refuses an address without its range id."""
    return {"AR_ID": str(range_.parent), "IP": range_.ip, "SIZE": str(range_.size)}
