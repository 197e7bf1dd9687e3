"""The SovereignCloud that an object names, and what it has to offer before anything can be looked at."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sovereigncloud.api.common.base import CloudRef, Key, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import Outcome, blocked, retry, stalled
from sovereigncloud.ports.errors import MissingSecret, OutsideError

if TYPE_CHECKING:
    from sovereigncloud.kinds.contract.controller import Context


@lru_cache(maxsize=1024)  # of ten thousand machines the same few are asked for, again and again
def cloud_key(name: str, namespace: str) -> Key:
    return Key(SovereignCloud.crd.kind, namespace, name)


def referred(ref: CloudRef, namespace: str) -> Key:
    """The cloud that a reference names; without a namespace it is in the object's own."""
    return cloud_key(ref.name, ref.namespace or namespace)


def where(cloud: Key) -> str:
    """namespace/name, as in `status.placement.cloud` and in messages."""
    return f"{cloud.namespace}/{cloud.name}"


@lru_cache(maxsize=1024)
def written_cloud(text: str) -> Key | None:
    """The cloud that "namespace/name" stands for."""
    namespace, slash, name = text.partition("/")
    return cloud_key(name, namespace) if slash and namespace and name else None


def not_allowed(cloud: Key, namespace: str, field: str, context: Context | None = None) -> Outcome | None:
    """Why an object of this namespace may not use the cloud: another namespace needs a Tenant that lists both.

    Without a world: for what a tenant may not make at all.
    """
    if cloud.namespace == namespace:
        return None
    if context is None:
        return stalled(
            Reason.NAMESPACE_NOT_ALLOWED,
            f"{field} names {where(cloud)}, which is in another namespace: this kind is the platform's, in the namespace of"
            f" the cloud; make it there, or name a SovereignCloud of namespace {namespace}",
        )
    tenancy = context.tenancy(namespace, cloud)
    if tenancy is not None and tenancy.allowed:
        return None
    return stalled(
        Reason.NAMESPACE_NOT_ALLOWED,
        f"{field} names {where(cloud)}, which is in another namespace: that needs a Tenant that lists namespace"
        f" {namespace} and this cloud; or name a SovereignCloud of namespace {namespace}",
    )


def no_such(cloud: Key) -> str:
    """Of a cloud that something names and nobody declares."""
    return f"{cloud} does not exist: create it, or correct the reference"


def not_answering_yet(cloud: Key, context: Context) -> Outcome | None:
    """Why nothing in the cloud can be looked at: no such object, or its endpoint has not answered yet."""
    found = context.get(cloud)
    if not isinstance(found, SovereignCloud):
        return blocked(f"{no_such(cloud)}; to delete this object without it, set spec.deletionPolicy: Retain")
    if not found.status.endpoint:
        return blocked(f"SovereignCloud {where(cloud)} has no endpoint that answered yet")
    return None


def needs_management(cloud: Key, context: Context) -> str:
    """The consent that steps in the cloud still need; empty where it is managed."""
    found = context.get(cloud)
    management = found.spec.management if found is not None else None
    if management in {None, Management.MANAGE}:
        return ""
    return f"spec.management: Manage on SovereignCloud {where(cloud)} (it is {management})"


def not_looked_at(cloud: Key, error: OutsideError | MissingSecret) -> Outcome:
    """Why nothing is known of the cloud this time: it failed, or there is no credential for it."""
    say = blocked if isinstance(error, MissingSecret) else retry
    return say(f"cloud {where(cloud)}: {error}")
