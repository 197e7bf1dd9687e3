"""Looking at what a Tenant has in each of its clouds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.api.tenant import Tenant, TenantCloud, TenantCloudStatus
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, blocked
from sovereigncloud.kinds.contract.controller import AnyResource, Context
from sovereigncloud.kinds.contract.tenancy import key_of, secret_name
from sovereigncloud.kinds.endpoint.clouds import cloud_key, needs_management, not_answering_yet, not_looked_at, where
from sovereigncloud.kinds.hostedinstance.observation import bound_cloud
from sovereigncloud.kinds.identity.identification import Identified, identify
from sovereigncloud.kinds.identity.name_resolution import COMING_KINDS, Coming, coming
from sovereigncloud.kinds.securitygroup.observation import known_clouds
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.tenancy import Group, TenancyView, User, Vdc
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.opennebula.zones import FIRST


@dataclass(frozen=True, slots=True)
class TenantIn:
    """A Tenant in one cloud.

    Attributes:
        cloud: the cloud.
        wanted: what spec says of it; None: it is to be left, or the whole Tenant goes.
        namespaces: those that have, or are to have, a user there.
        known: what status told of it before.
        problem: why nothing can be looked at there.
        needs: what lets the cloud be written to, where it is only observed.
        view, people: of the cloud.
        group, vdc: those that carry the mark.
        rivals: names of other Tenants that list a namespace for the cloud, by namespace.
        secrets: whether the Secret of a namespace is there; None: nobody looked.
        objects: the HostedInstances and SecurityGroups of a namespace that are in the cloud, of namespaces that are to leave
            it.
        on_their_way: custom resources that are to bring what the quota names.
    """

    cloud: Key
    wanted: TenantCloud | None
    namespaces: tuple[str, ...] = ()
    known: TenantCloudStatus | None = None
    problem: Outcome | None = None
    needs: str = ""
    view: CloudView | None = None
    people: TenancyView | None = None
    group: Identified[Group] = field(default_factory=Identified)
    vdc: Identified[Vdc] = field(default_factory=Identified)
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: Mapping[str, bool | None] = field(default_factory=dict)
    objects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    on_their_way: tuple[Coming, ...] = ()

    @property
    def path(self) -> str:
        return f"spec.clouds[{where(self.cloud)}]"

    def named(self, name: str) -> User | None:
        """The user of that name: names of users are unique, and cannot be changed."""
        users = self.people.users.values() if self.people is not None else ()
        return next((user for user in users if user.name == name), None)

    def members(self, group: int) -> list[User]:
        users = self.people.users.values() if self.people is not None else ()
        return sorted((user for user in users if group in user.groups), key=lambda user: user.id)


@dataclass(frozen=True, slots=True)
class TenantObservation:
    mark: Mark
    clouds: tuple[TenantIn, ...] = ()


def is_left_alone(resource: Tenant) -> bool:
    """Whether it goes without anything being done outside."""
    return resource.deleting and resource.deletion_policy is DeletionPolicy.RETAIN


async def look(resource: Tenant, context: Context) -> TenantObservation:
    """In each cloud by itself: one that does not answer must not hold up the others."""
    seen = TenantObservation(mark=context.mark(resource))
    if is_left_alone(resource):
        return seen
    found: list[TenantIn] = []
    for start in clouds_of(resource):
        if context.get(start.cloud) is None and start.wanted is None:
            continue  # nothing more can be done there
        here = replace(start, needs=needs_management(start.cloud, context))
        try:
            found.append(await _look_in(here, seen, resource, context))
        except (OutsideError, MissingSecret) as error:
            found.append(replace(here, problem=not_looked_at(start.cloud, error)))
    return replace(seen, clouds=tuple(found))


def clouds_of(resource: Tenant) -> Iterable[TenantIn]:
    """Those that spec lists, and those that status tells of."""
    known = {cloud_key(s.name or "", s.namespace or ""): s for s in resource.status.clouds or ()}
    listed = {} if resource.deleting else {key_of(c.cloud_ref): c for c in resource.spec.clouds}
    named = (key_of(c.cloud_ref) for c in resource.spec.clouds)
    for cloud in dict.fromkeys((*named, *known)):
        status, wanted = known.get(cloud), listed.get(cloud)
        users = (user.namespace for user in (status.users if status else None) or ())
        own = resource.spec.namespaces if wanted is not None or resource.deleting else ()
        yield TenantIn(cloud, wanted, tuple(dict.fromkeys((*own, *filter(None, users)))), status)


async def _look_in(start: TenantIn, seen: TenantObservation, resource: Tenant, context: Context) -> TenantIn:
    cloud = start.cloud
    problem = not_answering_yet(cloud, context)
    if problem is not None:
        return replace(start, problem=problem)
    view = await context.view(cloud)
    if (people := view.tenancy) is None:
        return replace(start, problem=blocked(f"groups and users of {where(cloud)} are not read yet"))
    known = start.known or TenantCloudStatus()
    here = replace(
        start,
        view=view,
        people=people,
        group=identify(_known(known.group, people.groups, people, seen.mark), people.groups, 0, seen.mark, "group"),
        vdc=identify(_known(known.vdc, people.vdcs, people, seen.mark), people.vdcs, 0, seen.mark, "VDC"),
        rivals=_rivals(start, resource, context),
        secrets={namespace: await _secret(namespace, resource, cloud, context) for namespace in start.namespaces},
    )
    leaving = [n for n in here.namespaces if here.wanted is None or n not in resource.spec.namespaces]
    if leaving:
        here = replace(here, objects=_objects(cloud, leaving, context))
    if here.wanted is not None and here.wanted.quota is not None and here.wanted.quota.networks:
        here = replace(here, on_their_way=coming(context.users(cloud, *COMING_KINDS)))
    return here


def _known(
    recorded: str | None, pool: Mapping[int, Group] | Mapping[int, Vdc], people: TenancyView, mark: Mark
) -> str | None:
    """The number that was recorded; not in a slave where it is somebody else's by now: its groups and VDCs are the master's since
    it joined, and those that it had are gone.
    """
    found = pool.get(int(recorded)) if recorded and recorded.isdigit() else None
    somebody_elses = found is not None and (found.mark is None or found.mark.object != mark.object)
    return None if somebody_elses and people.zone != FIRST else recorded


async def _secret(namespace: str, resource: Tenant, cloud: Key, context: Context) -> bool | None:
    return await context.has_secret(context.own_namespace, secret_name(resource.metadata.name, namespace, cloud))


def _rivals(here: TenantIn, resource: Tenant, context: Context) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for namespace in here.namespaces if here.wanted is not None else ():
        tenancy = context.tenancy(namespace, here.cloud)
        names = {tenancy.tenant, *tenancy.others} - {resource.metadata.name} if tenancy is not None else set()
        if names and tenancy is not None and (tenancy.others or tenancy.tenant != resource.metadata.name):
            found[namespace] = tuple(sorted(names))
    return found


def _objects(cloud: Key, namespaces: list[str], context: Context) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for user in context.users(cloud, HostedInstance.crd.kind, SecurityGroup.crd.kind):
        namespace = user.metadata.namespace
        if namespace in namespaces and _is_in(user, cloud):
            found[namespace] = (*found.get(namespace, ()), str(user.key))
    return found


def _is_in(user: AnyResource, cloud: Key) -> bool:
    match user:
        case HostedInstance():
            return bound_cloud(user) == cloud
        case SecurityGroup():
            return cloud in known_clouds(user)
        case _:
            return False
