"""What can be done to a network, and how each of it is done: one call that is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.base import Key
from sovereigncloud.api.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.controller import World
from sovereigncloud.kinds.network_template import ADOPTED, template
from sovereigncloud.kinds.ports import AddressRange, OpenNebula

_DEFAULT_CLUSTER = 0  # there is always one, and it cannot be deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork(Step):
    cloud: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStep(Step):
    cloud: Key
    network: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNetwork(NetworkStep):
    """Record the network that was found by its mark: the answer to its creation was lost. Nothing outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkNetwork(NetworkStep):
    """Take it over: from before the cluster was rebuilt, or, `adopting`, as what a person made."""

    adopting: bool = False
    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateNetwork(NetworkStep):
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRange(NetworkStep):
    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeRange(NetworkStep):
    range_: AddressRange


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRange(NetworkStep):
    range_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNetwork(NetworkStep):
    """Asynchronous: state LOCK_DELETE, then gone (observed)."""


async def perform(step: Step, resource: VirtualNetwork, world: World) -> Outcome:
    """Do one step. Its outcome records which network it was."""
    if isinstance(step, CreateNetwork):
        client = await world.open_nebula(step.cloud)
        made = await client.create_network(template(resource, world.mark(resource)), _DEFAULT_CLUSTER)
        message = f'network {made} "{resource.outside_name}" created in {where(step.cloud)}'
        return done(Reason.CREATED, message, network=str(made), adopted="")
    if not isinstance(step, NetworkStep):
        raise TypeError(f"not a step of a VirtualNetwork: {step!r}")
    if isinstance(step, RecordNetwork):
        return done(network=str(step.network))
    outcome = await _perform(step, resource, world, await world.open_nebula(step.cloud))
    # One that was told to go is forgotten at once: while it goes it is found by its mark, and then its absence is no
    # loss to be looked into.
    return outcome.with_facts(network="" if isinstance(step, DeleteNetwork) else str(step.network))


async def _perform(step: NetworkStep, resource: VirtualNetwork, world: World, client: OpenNebula) -> Outcome:
    what = f"network {step.network}"
    match step:
        case MarkNetwork(adopting=adopting):
            note = {ADOPTED: "YES"} if adopting else {}
            await client.update_network(step.network, {**world.mark(resource).for_opennebula(), **note})
            if adopting:
                return done(Reason.ADOPTED, f"{what} adopted as it was made by a person", adopted="yes")
            return done(Reason.TAKEN_OVER, f"{what} taken over from before the cluster was rebuilt")
        case UpdateNetwork(attributes=attributes):
            await client.update_network(step.network, dict(attributes))
            return done(Reason.UPDATED, f"{what}: {', '.join(f'{key}={value}' for key, value in attributes)}")
        case AddRange(range_=range_):
            await client.add_range(step.network, range_)
            return done(Reason.RANGE_ADDED, f"{what}: {range_.size} addresses from {range_.ip} added")
        case ResizeRange(range_=range_):
            await client.resize_range(step.network, range_)
            return done(Reason.RANGE_RESIZED, f"{what}: {range_.size} addresses from {range_.ip} now")
        case RemoveRange(range_id=range_id):
            await client.remove_range(step.network, range_id)
            return done(Reason.RANGE_REMOVED, f"{what}: address range {range_id} removed")
        case DeleteNetwork():
            await client.delete_network(step.network)
            return waiting(Reason.DELETING, f"{what} is being deleted")
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")
