"""VirtualNetwork controller: an OpenNebula network, created once or adopted, kept as declared."""

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
from sovereigncloud.kinds.contract.cloud_keys import referred
from sovereigncloud.kinds.contract.controller import AnyResource, Context, Uses
from sovereigncloud.kinds.endpoint.clouds import not_allowed, not_answering_yet
from sovereigncloud.kinds.identity.identification import owner_of
from sovereigncloud.kinds.identity.name_resolution import PENDING_KINDS, find_pending_resources
from sovereigncloud.kinds.virtualnetwork.adoption import is_let_go, release_timed_out, which
from sovereigncloud.kinds.virtualnetwork.plan import NetworkObservation, is_left_alone, plan_network
from sovereigncloud.kinds.virtualnetwork.steps import perform_network
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import CloudView

_FIELDS = ("id", "addresses", "gateway")


class VirtualNetworkController:
    """Reconcile VirtualNetwork resources through `one.vn.*` of one cloud."""

    resource = VirtualNetwork

    def uses(self, resource: VirtualNetwork) -> Uses:
        cloud = referred(resource.spec.cloud_ref, resource.metadata.namespace)
        if is_left_alone(resource) or cloud.namespace != resource.metadata.namespace:
            return Uses()
        return Uses(cloud=cloud)

    async def observe(self, resource: VirtualNetwork, context: Context) -> NetworkObservation:
        seen = NetworkObservation(mark=context.mark(resource), admitted=context.admitted)
        try:
            found = await self._observe(seen, resource, context)
        except (OutsideError, MissingSecret):
            if release_timed_out(resource, context):
                return seen
            raise
        return seen if found.problem is not None and release_timed_out(resource, context) else found

    async def _observe(
        self, seen: NetworkObservation, resource: VirtualNetwork, context: Context
    ) -> NetworkObservation:
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
            adopting=_allows_adoption(cloud, context),
            named_by=_named_by(resource, cloud, context) if resource.deleting else (),
            pending_resources=find_pending_resources(_creating_resources(resource, cloud, context))
            if _has_missing_references(resource, view)
            else (),
        )

    def plan(self, resource: VirtualNetwork, observed: NetworkObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the Controller protocol
        return plan_network(resource, observed)

    async def perform(self, step: Step, resource: VirtualNetwork, context: Context) -> Outcome:
        return await perform_network(step, resource, context)

    def status(self, resource: VirtualNetwork, observed: NetworkObservation) -> Mapping[str, object]:
        """Report the observed network; while the cloud is unreachable the last known values stay."""
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


def _allows_adoption(cloud: Key, context: Context) -> bool:
    """Whether the cloud's networks may exist already: an existing endpoint or an adopted installation.

    In a cloud that the operator installed, an unmarked network belongs to somebody else.
    """
    found = context.get(cloud)
    if not isinstance(found, SovereignCloud):
        return False
    hosted = found.spec.hosted
    return found.spec.existing is not None or (hosted is not None and hosted.open_nebula.adopt is not None)


def _has_missing_references(resource: VirtualNetwork, view: CloudView) -> bool:
    """Whether spec names a network or group that the view lacks.

    Only then the custom resources are searched for it.
    """
    if resource.deleting:
        return False
    spec = resource.spec
    networks = {network.name for network in view.networks.values()}
    groups = {group.name for group in view.security_groups.values()}
    return (spec.reservation is not None and spec.reservation.from_ not in networks) or not groups.issuperset(
        spec.security_groups or ()
    )


def _creating_resources(resource: VirtualNetwork, cloud: Key, context: Context) -> list[AnyResource]:
    """Return the custom resources that may create it.

    SecurityGroups are included by name, since they may exist in no cloud yet.
    """
    names = sorted(resource.spec.security_groups or ())
    groups = (context.get(Key(SecurityGroup.crd.kind, resource.metadata.namespace, name)) for name in names)
    return [*context.users(cloud, *PENDING_KINDS), *(group for group in groups if group is not None)]


def _named_by(resource: VirtualNetwork, cloud: Key, context: Context) -> tuple[str, ...]:
    return tuple(
        str(user.key)
        for user in context.users(cloud, HostedInstance.crd.kind)
        if isinstance(user, HostedInstance)
        and not user.deleting
        and any(network.name == resource.outside_name for network in user.spec.networks or ())
    )
