"""VirtualNetwork: a network in OpenNebula, made once, adopted where a person made it, kept as declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sovereigncloud.api.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds import network_plan, network_steps
from sovereigncloud.kinds.clouds import not_allowed, not_answering_yet, referred
from sovereigncloud.kinds.controller import Uses, World
from sovereigncloud.kinds.identification import identify, owner_of
from sovereigncloud.kinds.network_plan import NetworkObservation, is_left_alone

_FIELDS = ("id", "addresses", "gateway")


class VirtualNetworkController:
    """Drives `one.vn.*` of one cloud."""

    resource = VirtualNetwork

    def uses(self, resource: VirtualNetwork) -> Uses:
        cloud = referred(resource.spec.cloud_ref, resource.metadata.namespace)
        if is_left_alone(resource) or cloud.namespace != resource.metadata.namespace:
            return Uses()
        return Uses(cloud=cloud)

    async def observe(self, resource: VirtualNetwork, world: World) -> NetworkObservation:
        seen = NetworkObservation(mark=world.mark(resource), admitted=world.admitted)
        if is_left_alone(resource):
            return seen
        cloud = referred(resource.spec.cloud_ref, resource.metadata.namespace)
        problem = not_allowed(cloud, resource.metadata.namespace, "spec.cloudRef")
        if problem is not None:
            return seen if resource.deleting else replace(seen, problem=problem)
        problem = not_answering_yet(cloud, world)
        if problem is not None:
            never_made = resource.deleting and world.get(cloud) is None and "network" not in resource.external
            return seen if never_made else replace(seen, cloud=cloud, problem=problem)
        view = await world.view(cloud)
        owner = await owner_of(view, cloud, world)
        found = identify(resource.external.get("network"), view.networks, owner, seen.mark, "network")
        same_name = (n for n in view.networks.values() if n.name == resource.outside_name and n.owner == owner)
        return replace(
            seen,
            cloud=cloud,
            view=view,
            found=found,
            namesake=next(same_name, None) if found.thing is None else None,
            adopting=_built_by_a_person(cloud, world),
            named_by=_named_by(resource, cloud, world) if resource.deleting else (),
        )

    def plan(self, resource: VirtualNetwork, observed: NetworkObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the seam
        return network_plan.plan(resource, observed)

    async def perform(self, step: Step, resource: VirtualNetwork, world: World) -> Outcome:
        return await network_steps.perform(step, resource, world)

    def status(self, resource: VirtualNetwork, observed: NetworkObservation) -> Mapping[str, object]:
        """What is there, not what is declared. While nobody could look, what was known stays."""
        network = observed.found.thing
        if network is None:
            if observed.problem is None and observed.found == type(observed.found)():
                return dict.fromkeys(_FIELDS)
            known = resource.status.model_dump(by_alias=True, exclude_none=True)
            return {key: known.get(key) for key in _FIELDS}
        return {
            "id": str(network.id),
            "addresses": str(sum(range_.size for range_ in network.ranges)),
            "gateway": network.attributes.get("GATEWAY") or None,
        }


def _built_by_a_person(cloud: Key, world: World) -> bool:
    """Whether the networks of the cloud were there before: an endpoint elsewhere, or one adopted after the guide. In a
    cloud that the operator installed itself, a network that it did not mark is a stranger's.
    """
    found = world.get(cloud)
    if not isinstance(found, SovereignCloud):
        return False
    hosted = found.spec.hosted
    return found.spec.existing is not None or (hosted is not None and hosted.open_nebula.adopt is not None)


def _named_by(resource: VirtualNetwork, cloud: Key, world: World) -> tuple[str, ...]:
    return tuple(
        str(user.key)
        for user in world.users(cloud, HostedInstance.crd.kind)
        if isinstance(user, HostedInstance)
        and not user.deleting
        and any(network.name == resource.outside_name for network in user.spec.networks or ())
    )
