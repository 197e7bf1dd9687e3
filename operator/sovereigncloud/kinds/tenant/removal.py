"""Leaving: namespaces and people that are off the list, and whole clouds.

oned deletes a user who owns machines, and leaves them behind (observed): so nobody goes while anything is theirs. Users go
first, then the VDC, then the group, and the Secrets last: without a user there is nothing that they are needed for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.tenant import Tenant
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import DONE, Outcome, blocked, merge, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.contract.tenancy import secret_name, user_name
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.tenant_marks import CLOUD_NOTE, NAMESPACE_NOTE, is_namespaces, is_person
from sovereigncloud.kinds.tenant.observation import TenantIn
from sovereigncloud.kinds.tenant.steps import (
    ChangeCluster,
    DeleteGroup,
    DeleteLogin,
    DeleteUser,
    DeleteVdc,
    JoinGroup,
    RemoveRule,
)
from sovereigncloud.ports.opennebula.tenancy import Group, User, Vdc
from sovereigncloud.ports.opennebula.views import CloudView

_SHOWN = 10


class Owned(Protocol):
    """What belongs to a user."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def owner(self) -> int: ...


def leave_namespaces(here: TenantIn, resource: Tenant, group: Group, mark: Mark) -> Plan:
    """Namespaces and people that are off the list of a cloud that stays."""
    people = {one.name for one in resource.spec.external_users or ()}
    going = [
        user
        for user in _made_here(here, group, mark)
        if (is_namespaces(user, mark) and user.notes[NAMESPACE_NOTE] not in resource.spec.namespaces)
        or (is_person(user, mark) and user.name not in people)
    ]
    plan = _without(here, going)
    logins = _logins(here, resource, [n for n in here.namespaces if n not in resource.spec.namespaces])
    return Plan(steps=(*plan.steps, *logins), outcome=plan.outcome)


def leave_cloud(here: TenantIn, resource: Tenant, mark: Mark) -> Plan:
    """Everything of the Tenant in a cloud; nothing left to do: it is out of it."""
    problem = here.problem or here.group.problem or here.vdc.problem
    if problem is not None:
        return Plan(outcome=problem)
    group, vdc = here.group.thing, here.vdc.thing
    if group is not None:
        users = _without(here, _made_here(here, group, mark))
        if users.steps or users.outcome != DONE:
            return users
        left = here.members(group.id)
        if any(is_namespaces(user, mark) for user in left):
            # In a federation it is the group of another of its clouds, too: only this zone leaves the VDC.
            logins = tuple(_logins(here, resource, list(here.namespaces)))
            return Plan(steps=(*_out_of_zone(here, group, vdc), *logins))
        if left:
            return _strangers_leave(here, group, left)
    if vdc is not None:
        target = f'VDC {vdc.id} "{vdc.name}" in {where(here.cloud)}'
        step = DeleteVdc(action=Action.DELETE, target=target, cloud=here.cloud, vdc=vdc.id)
        return Plan(steps=(step,), outcome=waiting(Reason.DELETING, f"{target} is to be deleted"))
    if group is not None:
        return _group_goes(here, group)
    return Plan(steps=tuple(_logins(here, resource, list(here.namespaces))))


def _made_here(here: TenantIn, group: Group, mark: Mark) -> list[User]:
    """Those of this cloud: in a federation the users of all of them are in the same group."""
    place = where(here.cloud)
    ours = (u for u in here.members(group.id) if is_namespaces(u, mark) or is_person(u, mark))
    return [user for user in ours if user.group == group.id and user.notes.get(CLOUD_NOTE) == place]


def _without(here: TenantIn, users: list[User]) -> Plan:
    """Each goes when nothing is theirs any more."""
    steps: list[Step] = []
    outcomes: list[Outcome] = []
    for user in users:
        what = f'user {user.id} "{user.name}" in {where(here.cloud)}'
        objects = here.objects.get(user.notes.get(NAMESPACE_NOTE, ""), ())
        names = (*objects, *(_owned(user.id, here.view) if here.view is not None else ()))
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            outcomes.append(
                blocked(
                    f"{what} stays while it has {', '.join(names[:_SHOWN])}{more}: delete them, or give them to another user",
                    reason=Reason.IN_USE,
                )
            )
        else:
            steps.append(DeleteUser(action=Action.DELETE, target=what, cloud=here.cloud, user=user.id))
            outcomes.append(waiting(Reason.DELETING, f"{what} is to be deleted"))
    return Plan(steps=tuple(steps), outcome=merge(outcomes))


def _owned(user: int, view: CloudView) -> Iterator[str]:
    pools: tuple[tuple[str, Mapping[int, Owned]], ...] = (
        ("VM", view.vms),
        ("image", view.images),
        ("network", view.networks),
        ("template", view.templates),
        ("security group", view.security_groups),
    )
    for noun, pool in pools:
        for thing in pool.values():
            if thing.owner == user:
                yield f'{noun} {thing.id} "{thing.name}"'


def _out_of_zone(here: TenantIn, group: Group, vdc: Vdc | None) -> Iterator[Step]:
    """This zone's clusters and images are not the group's any more."""
    if vdc is None or here.people is None:
        return
    for zone, cluster in sorted(vdc.clusters):
        if zone == here.people.zone:
            yield ChangeCluster(
                action=Action.UPDATE,
                target=f'VDC {vdc.id} "{vdc.name}": cluster {cluster} of zone {zone} leaves',
                cloud=here.cloud,
                vdc=vdc.id,
                zone=zone,
                cluster=cluster,
                remove=True,
            )
    for (whose, image), rule in sorted(here.people.images.items()):
        if whose == group.id:
            target = f"rule {rule} by which group {group.id} may use image {image}"
            yield RemoveRule(action=Action.UPDATE, target=target, cloud=here.cloud, rule=rule)


def _strangers_leave(here: TenantIn, group: Group, left: list[User]) -> Plan:
    """A group is only deleted when nobody is in it. Who has another group leaves it; whose only one it is stays."""
    steps = tuple(
        JoinGroup(
            action=Action.UPDATE, target=f'user {user.id} "{user.name}" out of group {group.id} of {where(here.cloud)}',
            cloud=here.cloud, user=user.id, group=group.id, leave=True,
        )
        for user in left if user.group != group.id
    )  # fmt: skip
    if steps:
        return Plan(steps=steps, outcome=waiting(Reason.DELETING, f"group {group.id} is to be emptied"))
    names = ", ".join(f'user {user.id} "{user.name}"' for user in left[:_SHOWN])
    return Plan(
        outcome=blocked(
            f'group {group.id} "{group.name}" in {where(here.cloud)} is the primary group of {names}, whom nobody of ours made:'
            " give them another one (oneuser chgrp)",
            reason=Reason.IN_USE,
        )
    )


def _group_goes(here: TenantIn, group: Group) -> Plan:
    target = f'group {group.id} "{group.name}" in {where(here.cloud)}'
    step = DeleteGroup(action=Action.DELETE, target=target, cloud=here.cloud, group=group.id)
    return Plan(steps=(step,), outcome=waiting(Reason.DELETING, f"{target} is to be deleted"))


def _logins(here: TenantIn, resource: Tenant, namespaces: list[str]) -> Iterator[DeleteLogin]:
    """The Secrets of users that are gone."""
    for namespace in namespaces:
        if here.secrets.get(namespace) and here.named(user_name(resource.metadata.name, namespace, here.cloud)) is None:
            name = secret_name(resource.metadata.name, namespace, here.cloud)
            yield DeleteLogin(
                action=Action.DELETE, target=f"Secret {name}", inside=True, cloud=here.cloud, namespace=namespace
            )
