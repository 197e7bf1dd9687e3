"""The users of a Tenant in a cloud: one per namespace, whose password is ours, and people whose password is kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.tenant import ExternalUser, Tenant
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import DONE, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.contract.tenancy import secret_name, user_name
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.identification import foreign
from sovereigncloud.kinds.identity.tenant_marks import is_namespaces, is_ours, is_person
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.tenant.observation import TenantIn
from sovereigncloud.kinds.tenant.removal import leave_namespaces
from sovereigncloud.kinds.tenant.steps import CreateUser, GenerateLogin, JoinGroup, MarkUser
from sovereigncloud.ports.opennebula.tenancy import Group, User


def plan_users(here: TenantIn, resource: Tenant, group: Group, mark: Mark, cause: Cause) -> Plan:
    parts = [_of_namespace(n, here, resource, group, mark, cause) for n in resource.spec.namespaces]
    parts += [_external(one, here, group, mark, cause) for one in resource.spec.external_users or ()]
    parts += [leave_namespaces(here, resource, group, mark), _strangers(here, resource, group, mark, cause)]
    return join(parts)


def _of_namespace(namespace: str, here: TenantIn, resource: Tenant, group: Group, mark: Mark, cause: Cause) -> Plan:
    if namespace in here.rivals:
        names = " and ".join(sorted((resource.metadata.name, *here.rivals[namespace])))
        return Plan(
            outcome=stalled(
                Reason.MULTIPLE_TENANTS,
                f"Tenants {names} all list namespace {namespace} for {where(here.cloud)}: take it out of all but one",
            )
        )
    name = user_name(resource.metadata.name, namespace, here.cloud)
    user, there = here.named(name), here.secrets.get(namespace)
    if user is not None:
        return _known(user, namespace, here, resource, group, mark)
    path = f"{here.path}.users[{namespace}]"
    recorded = _recorded(here, namespace)
    drift = (Drift(path, f'user "{name}"', f"user {recorded} was deleted"),) if recorded else ()
    target = f'user "{name}" in {where(here.cloud)}'
    steps: list[Step] = []
    if not there:
        steps.append(
            GenerateLogin(
                action=Action.UPDATE, target=f"password of {target}", inside=True, cloud=here.cloud, namespace=namespace,
                user=name,
            )
        )  # fmt: skip
    steps.append(
        CreateUser(
            action=Action.CREATE,
            target=target,
            fields=tuple(d.path for d in drift),
            cause=cause if drift else Cause.DECLARED,
            cloud=here.cloud,
            name=name,
            group=group.id,
            namespace=namespace,
        )
    )
    return Plan(drift=drift, steps=tuple(steps), outcome=waiting(Reason.CREATING, f"{target} is to be made"))


def _known(user: User, namespace: str, here: TenantIn, resource: Tenant, group: Group, mark: Mark) -> Plan:
    what = f'user {user.id} "{user.name}"'
    secret = secret_name(resource.metadata.name, namespace, here.cloud)
    if here.secrets.get(namespace) is False and not is_ours(user, mark):
        return Plan(
            outcome=stalled(
                Reason.NAME_TAKEN,
                f"{what} is in {where(here.cloud)} already and is not ours: there is no Secret {secret} with its password."
                " Rename or delete it there, or restore the Secret",
            )
        )
    if here.secrets.get(namespace) is False:
        return Plan(
            outcome=stalled(
                Reason.CREDENTIALS_LOST,
                f"{what} is in {where(here.cloud)}, and the Secret {secret} of the operator's namespace with its password is"
                " gone; it is not replaced, since a new password would not be OpenNebula's. Restore the Secret (username,"
                f" password) from a backup; or set a password (oneuser passwd {user.id}) and make the Secret with it",
                after=60.0,
            )
        )
    if group.id != user.group:
        return Plan(
            drift=(
                Drift(
                    f"{here.path}.users[{namespace}]", f"in group {group.id}", f"in group {user.group}", mendable=False
                ),
            ),
            outcome=stalled(
                Reason.OWNER_CHANGED,
                f"{what} in {where(here.cloud)} has group {user.group}, not {group.id} as its primary one, so its machines"
                f" would count for others; give it back (oneuser chgrp {user.id} {group.id})",
                after=60.0,
            ),
        )
    match ownership(user.mark, mark):
        case Ownership.OURS:
            return Plan()
        case Ownership.FOREIGN:
            return Plan(outcome=foreign(user, "user"))
        case found:
            before = found is Ownership.PREDECESSOR
            step = MarkUser(
                action=Action.MARK if before else Action.UPDATE,
                target=what if before else f"mark of {what}",
                cloud=here.cloud,
                user=user.id,
                namespace=namespace,
                proves=not before,
            )
            return Plan(steps=(step,), outcome=DONE if before else waiting(Reason.CREATING, f"{what} is to be marked"))


def _recorded(here: TenantIn, namespace: str) -> str:
    users = (here.known.users if here.known else None) or ()
    return next((user.id for user in users if user.namespace == namespace and user.id), "")


# -------------------------------------------------------------------------------------------------------------- people


def _external(one: ExternalUser, here: TenantIn, group: Group, mark: Mark, cause: Cause) -> Plan:
    """A person is made where there is none of the name, and else only put into the group: the account is not ours."""
    path, user = f"spec.externalUsers[{one.name}]", here.named(one.name)
    if user is None:
        step = CreateUser(
            action=Action.CREATE, target=f'user "{one.name}" in {where(here.cloud)}', fields=(path,), cloud=here.cloud,
            name=one.name, group=group.id, driver=one.driver, subject=one.subject or "",
        )  # fmt: skip
        return Plan(steps=(step,), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))
    what = f'user {user.id} "{user.name}"'
    drift: list[Drift] = []
    steps: list[Step] = []
    if user.driver != one.driver:
        drift.append(Drift(f"{path}.driver", one.driver, user.driver, mendable=False))
    if group.id not in user.groups:
        drift.append(Drift(path, f"in group {group.id}", "not in it"))
        steps.append(
            JoinGroup(
                action=Action.UPDATE, target=f"{what} into group {group.id} of {where(here.cloud)}", fields=(path,),
                cause=cause, cloud=here.cloud, user=user.id, group=group.id,
            )
        )  # fmt: skip
    if user.group == group.id and user.driver == one.driver and ownership(user.mark, mark) is not Ownership.OURS:
        # Whose primary group is ours was made for it.
        steps.append(
            MarkUser(action=Action.UPDATE, target=f"mark of {what}", cloud=here.cloud, user=user.id, namespace="")
        )
    return Plan(drift=tuple(drift), steps=tuple(steps))


def _strangers(here: TenantIn, resource: Tenant, group: Group, mark: Mark, cause: Cause) -> Plan:
    """Who else is in the group: could use all that the tenant has."""
    wanted = {one.name for one in resource.spec.external_users or ()}
    wanted |= {user_name(resource.metadata.name, namespace, here.cloud) for namespace in here.namespaces}
    drift: list[Drift] = []
    steps: list[Step] = []
    for user in here.members(group.id):
        if user.name in wanted or is_namespaces(user, mark):
            continue
        path, what = f"spec.externalUsers[{user.name}]", f'user {user.id} "{user.name}"'
        if user.group != group.id:
            drift.append(Drift(path, "not in the group", f"in group {group.id}"))
            steps.append(
                JoinGroup(
                    action=Action.UPDATE, target=f"{what} out of group {group.id} of {where(here.cloud)}", fields=(path,),
                    cause=cause, cloud=here.cloud, user=user.id, group=group.id, leave=True,
                )
            )  # fmt: skip
        elif not is_person(user, mark):
            drift.append(Drift(path, "not in the group", f"made in group {group.id}", mendable=False))
    return Plan(drift=tuple(_one_each(drift)), steps=tuple(steps))


def _one_each(drift: Iterable[Drift]) -> Iterable[Drift]:
    return {d.path: d for d in drift}.values()
