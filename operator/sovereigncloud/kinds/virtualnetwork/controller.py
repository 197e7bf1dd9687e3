"""VirtualNetwork: a network in OpenNebula, made once, adopted where a person made it, kept as declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.controller import AnyResource, Context, Uses
from sovereigncloud.kinds.endpoint.clouds import not_allowed, not_answering_yet, referred
from sovereigncloud.kinds.identity.identification import owner_of
from sovereigncloud.kinds.identity.name_resolution import COMING_KINDS, coming
from sovereigncloud.kinds.virtualnetwork import plan as network_plan
from sovereigncloud.kinds.virtualnetwork import steps
from sovereigncloud.kinds.virtualnetwork.adoption import has_waited_enough, is_let_go, which
from sovereigncloud.kinds.virtualnetwork.plan import NetworkObservation, is_left_alone
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import CloudView

_FIELDS = ("id", "addresses", "gateway")


class VirtualNetworkController:
    """Drives `one.vn.*` of one cloud."""

    resource = VirtualNetwork

    def uses(self, resource: VirtualNetwork) -> Uses:
        cloud = referred(resource.spec.cloud_ref, resource.metadata.namespace)
        if is_left_alone(resource) or cloud.namespace != resource.metadata.namespace:
            return Uses()
        return Uses(cloud=cloud)

    async def observe(self, resource: VirtualNetwork, context: Context) -> NetworkObservation:
        seen = NetworkObservation(mark=context.mark(resource), admitted=context.admitted)
        try:
            found = await self._look(seen, resource, context)
        except (OutsideError, MissingSecret):
            if has_waited_enough(resource, context):
                return seen
            raise
        return seen if found.problem is not None and has_waited_enough(resource, context) else found

    async def _look(self, seen: NetworkObservation, resource: VirtualNetwork, context: Context) -> NetworkObservation:
        if is_left_alone(resource):
            return seen
        cloud = referred(resource.spec.cloud_ref, resource.metadata.namespace)
        problem = not_allowed(cloud, resource.metadata.namespace, "spec.cloudRef")
        if problem is not None:
            return seen if resource.deleting else replace(seen, problem=problem)
        problem = not_answering_yet(cloud, context)
        if problem is not None:
            never_made = resource.deleting and context.get(cloud) is None and "network" not in resource.external
            never_made |= is_let_go(resource) and context.get(cloud) is None
            return seen if never_made else replace(seen, cloud=cloud, problem=problem)
        view = await context.view(cloud)
        owner = await owner_of(view, cloud, context)
        found = which(resource, cloud, view, owner, seen.mark)
        same_name = (n for n in view.networks.values() if n.name == resource.outside_name and n.owner == owner)
        return replace(
            seen,
            cloud=cloud,
            view=view,
            found=found,
            namesake=next(same_name, None) if found.thing is None else None,
            adopting=_built_by_a_person(cloud, context),
            named_by=_named_by(resource, cloud, context) if resource.deleting else (),
            on_their_way=coming(_bringing(resource, cloud, context)) if _lacks(resource, view) else (),
        )

    def plan(self, resource: VirtualNetwork, observed: NetworkObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the seam
        return network_plan.plan(resource, observed)

    async def perform(self, step: Step, resource: VirtualNetwork, context: Context) -> Outcome:
        return await steps.perform(step, resource, context)

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


def _built_by_a_person(cloud: Key, context: Context) -> bool:
    """Whether the networks of the cloud were there before: an endpoint elsewhere, or one adopted after the guide. In a
    cloud that the operator installed itself, a network that it did not mark is a stranger's.
    """
    found = context.get(cloud)
    if not isinstance(found, SovereignCloud):
        return False
    hosted = found.spec.hosted
    return found.spec.existing is not None or (hosted is not None and hosted.open_nebula.adopt is not None)


def _lacks(resource: VirtualNetwork, view: CloudView) -> bool:
    """Whether spec names something that the view does not have: only then are the custom resources looked through."""
    if resource.deleting:
        return False
    spec = resource.spec
    networks = {network.name for network in view.networks.values()}
    groups = {group.name for group in view.security_groups.values()}
    return (spec.reservation is not None and spec.reservation.from_ not in networks) or not groups.issuperset(
        spec.security_groups or ()
    )


def _bringing(resource: VirtualNetwork, cloud: Key, context: Context) -> list[AnyResource]:
    """What is to bring it: what refers to the cloud, and SecurityGroups, which may be in no cloud yet."""
    names = sorted(resource.spec.security_groups or ())
    groups = (context.get(Key(SecurityGroup.crd.kind, resource.metadata.namespace, name)) for name in names)
    return [*context.users(cloud, *COMING_KINDS), *(group for group in groups if group is not None)]


def _named_by(resource: VirtualNetwork, cloud: Key, context: Context) -> tuple[str, ...]:
    return tuple(
        str(user.key)
        for user in context.users(cloud, HostedInstance.crd.kind)
        if isinstance(user, HostedInstance)
        and not user.deleting
        and any(network.name == resource.outside_name for network in user.spec.networks or ())
    )
