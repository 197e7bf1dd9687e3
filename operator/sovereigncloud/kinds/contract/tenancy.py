"""Who may use whose clouds: what Tenants say, looked up by namespace and cloud. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.tenant import Tenant, TenantCloudRef, TenantCloudStatus
from sovereigncloud.kinds.endpoint.clouds import cloud_key, where

_LONGEST = 128  # a name in OpenNebula
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A namespace in a cloud.

    Attributes:
        tenant: who lists both; of several the one that has made a user already, else the first by name.
        allowed: they are listed. Else they were, and what is there still has to be ended.
        others: names of further Tenants that list both, which a person has to put right.
        user, group: in OpenNebula; None: not made yet.
        secret: with the user's password, in the operator's namespace.
    """

    namespace: str
    cloud: Key
    tenant: str
    allowed: bool
    others: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    secret: str = ""


Tenancies = Mapping[tuple[str, Key], Tenancy]


def tenancies(tenants: Iterable[Tenant]) -> Tenancies:
    """By namespace and cloud."""
    found: dict[tuple[str, Key], Tenancy] = {}
    for tenant in sorted(tenants, key=lambda t: t.metadata.name):
        for one in _of(tenant):
            place = (one.namespace, one.cloud)
            found[place] = _both(found[place], one) if place in found else one
    return found


def _of(tenant: Tenant) -> Iterable[Tenancy]:
    known = {_key(status): status for status in tenant.status.clouds or () if status.name and status.namespace}
    listed = {key_of(cloud.cloud_ref) for cloud in tenant.spec.clouds}
    for cloud in (*sorted(listed), *(key for key in known if key not in listed)):
        status = known.get(cloud)
        users = {user.namespace: user.id for user in (status.users if status else None) or () if user.namespace}
        for namespace in dict.fromkeys((*tenant.spec.namespaces, *filter(None, users))):
            allowed = cloud in listed and namespace in tenant.spec.namespaces and not tenant.deleting
            if not allowed and namespace not in users:
                continue
            yield Tenancy(
                namespace=namespace,
                cloud=cloud,
                tenant=tenant.metadata.name,
                allowed=allowed,
                user=_number(users.get(namespace)),
                group=_number(status.group if status else None),
                secret=secret_name(tenant.metadata.name, namespace, cloud),
            )


def _both(first: Tenancy, second: Tenancy) -> Tenancy:
    """Whoever is listed goes before who was, whoever has a user before who has none."""
    better, worse = (
        (second, first)
        if (second.allowed, second.user is not None) > (first.allowed, first.user is not None)
        else (first, second)
    )
    if not worse.allowed:
        return better
    return replace(better, others=tuple(sorted({*better.others, *worse.others, worse.tenant})))


def key_of(ref: TenantCloudRef) -> Key:
    return cloud_key(ref.name, ref.namespace)


def _key(status: TenantCloudStatus) -> Key:
    return cloud_key(status.name or "", status.namespace or "")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def user_name(tenant: str, namespace: str, cloud: Key) -> str:
    """Of the user that makes a namespace's objects. Users are one for all zones of a federation, so the cloud is in it."""
    return _short(
        f"{tenant}-{namespace}-{cloud.namespace}-{cloud.name}", f"{tenant}/{namespace}/{where(cloud)}", _LONGEST
    )


def secret_name(tenant: str, namespace: str, cloud: Key) -> str:
    """Of the Secret with the password, in the operator's namespace. Fixed: a second one is never made."""
    text = f"{tenant}/{namespace}/{where(cloud)}"
    return f"tenant-{_short(f'{tenant}-{namespace}', text, 200)}-{_digest(text)}"


def _short(text: str, whole: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - _DIGEST - 1]}-{_digest(whole)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
