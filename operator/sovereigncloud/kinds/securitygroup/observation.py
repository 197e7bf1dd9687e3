"""Looking for the group of a SecurityGroup in each of its clouds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import (
    needs_management,
    not_allowed,
    not_answering_yet,
    not_looked_at,
    referred,
    written_cloud,
)
from sovereigncloud.kinds.identity.adoption_per_cloud import Whose, has_adopted, has_waited_enough, which
from sovereigncloud.kinds.identity.identification import Identified, makers_of
from sovereigncloud.kinds.identity.name_resolution import COMING_KINDS, Coming, coming
from sovereigncloud.kinds.identity.usage_rights import may_be_made
from sovereigncloud.kinds.securitygroup.steps import record, recorded_clouds
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.security_groups import DEFAULT_GROUP
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup as Group
from sovereigncloud.ports.opennebula.views import CloudView


@dataclass(frozen=True, slots=True)
class CloudGroup:
    """The group in one cloud.

    Attributes:
        cloud: the cloud.
        wanted: whether it is to be there; it was made there once if not.
        problem: why nothing can be looked at there.
        needs: what lets the cloud be written to, where it is only observed.
        view: of the cloud.
        owners: who may own what is made for the namespace there.
        found: the group that was made there.
        namesake: another group of that name under the same owner: no second one can be made.
        on_their_way: custom resources that are to bring networks that rules name.
        named_by: the instances whose spec names it.
        networks: the networks whose every card it filters.
    """

    cloud: Key
    wanted: bool
    problem: Outcome | None = None
    needs: str = ""
    view: CloudView | None = None
    owners: frozenset[int] = frozenset()
    found: Identified[Group] = field(default_factory=Identified)
    namesake: Group | None = None
    on_their_way: tuple[Coming, ...] = ()
    named_by: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupObservation:
    mark: Mark
    admitted: bool = False
    clouds: tuple[CloudGroup, ...] = ()
    late: bool = False
    """A cloud that does not answer has held its deletion long enough, where it is only let go."""


def is_left_alone(resource: SecurityGroup) -> bool:
    """Whether it goes without anything being done outside."""
    return resource.deleting and resource.deletion_policy is DeletionPolicy.RETAIN and not has_adopted(resource)


def declared_clouds(resource: SecurityGroup) -> tuple[Key, ...] | None:
    """The clouds that spec names; None: all that the namespace may use."""
    if resource.spec.cloud_refs is None:
        return None
    return tuple(referred(ref, resource.metadata.namespace) for ref in resource.spec.cloud_refs)


def known_clouds(resource: SecurityGroup) -> tuple[Key, ...]:
    """Those where it was made."""
    found = (written_cloud(text) for text in recorded_clouds(resource.external))
    return tuple(cloud for cloud in found if cloud is not None)


async def look(resource: SecurityGroup, context: Context) -> GroupObservation:
    """In each cloud by itself: one that does not answer must not hold up the others."""
    late = has_waited_enough(resource, context.now)
    seen = GroupObservation(mark=context.mark(resource), admitted=context.admitted, late=late)
    if is_left_alone(resource):
        return seen
    found: list[CloudGroup] = []
    for start in _clouds(resource, context):
        try:
            found.append(await _look_in(start, seen, resource, context))
        except (OutsideError, MissingSecret) as error:
            found.append(replace(start, problem=not_looked_at(start.cloud, error)))
    return replace(seen, clouds=tuple(found))


def _clouds(resource: SecurityGroup, context: Context) -> list[CloudGroup]:
    """Those where it is to be, and those where it was made when it was to be there."""
    declared = declared_clouds(resource)
    named = context.clouds(resource.metadata.namespace) if declared is None else declared
    before = tuple(cloud for cloud in known_clouds(resource) if cloud not in named)
    clouds = [*((cloud, True) for cloud in named), *((cloud, False) for cloud in before)]
    # Where the cloud itself is not there, nothing was made, or nothing more can be done.
    return [
        CloudGroup(cloud=cloud, wanted=wanted, needs=needs_management(cloud, context))
        for cloud, wanted in clouds
        if (wanted and not resource.deleting) or context.get(cloud) is not None
    ]


async def _look_in(start: CloudGroup, seen: GroupObservation, resource: SecurityGroup, context: Context) -> CloudGroup:
    cloud, name = start.cloud, resource.outside_name
    # What was made there is ended there, also where the namespace is not listed any more: its Tenant waits for that.
    ending = (resource.deleting or not start.wanted) and record(cloud) in resource.external
    refused = None if ending else not_allowed(cloud, resource.metadata.namespace, "spec.cloudRefs", context)
    problem = refused or not_answering_yet(cloud, context)
    if problem is not None:
        return replace(start, problem=problem)
    view = await context.view(cloud)
    makers = await makers_of(view, cloud, resource.metadata.namespace, context)
    tenancy = context.tenancy(resource.metadata.namespace, cloud)
    whose = Whose(makers.owner, makers.owners, tenancy.user if tenancy is not None else None)
    recorded = resource.external.get(record(cloud))
    groups = {number: one for number, one in view.security_groups.items() if number != DEFAULT_GROUP}
    found = which(resource, cloud, recorded, groups, whose, seen.mark, "security group")
    here = replace(start, view=view, owners=makers.owners, found=found)
    group = found.thing
    if group is None and start.wanted and not resource.deleting:
        not_yet = may_be_made(context.tenancy(resource.metadata.namespace, cloud))
        if not_yet is not None:
            return replace(start, problem=not_yet)
    if group is None:
        same_name = (g for g in view.security_groups.values() if g.name == name and g.owner == makers.owner)
        here = replace(here, namesake=next(same_name, None))
    if resource.deleting or not start.wanted:
        using = () if group is None else _networks(group, view)
        return replace(here, named_by=_named_by(resource, cloud, context), networks=using)
    networks = {network.name for network in view.networks.values()}
    if any(rule.network not in {None, *networks} for rule in resource.spec.rules):
        here = replace(here, on_their_way=coming(context.users(cloud, *COMING_KINDS)))
    return here


def _networks(group: Group, view: CloudView) -> tuple[str, ...]:
    return tuple(
        f'network {network.id} "{network.name}"'
        for network in view.networks.values()
        if str(group.id) in network.attributes.get("SECURITY_GROUPS", "").split(",")
    )


def _named_by(resource: SecurityGroup, cloud: Key, context: Context) -> tuple[str, ...]:
    return tuple(
        str(user.key)
        for user in context.users(cloud, HostedInstance.crd.kind)
        if isinstance(user, HostedInstance)
        and not user.deleting
        and user.metadata.namespace == resource.metadata.namespace
        and any(resource.outside_name in (card.security_groups or ()) for card in user.spec.networks or ())
    )
