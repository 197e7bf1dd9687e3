"""The SovereignCloud that an object names, and what it has to offer before anything can be looked at."""

from __future__ import annotations

from sovereigncloud.api.base import CloudRef, Key
from sovereigncloud.api.reasons import Reason
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import Outcome, blocked, stalled
from sovereigncloud.kinds.controller import World


def cloud_key(name: str, namespace: str) -> Key:
    return Key(SovereignCloud.crd.kind, namespace, name)


def referred(ref: CloudRef, namespace: str) -> Key:
    """The cloud that a reference names; without a namespace it is in the object's own."""
    return cloud_key(ref.name, ref.namespace or namespace)


def where(cloud: Key) -> str:
    """namespace/name, as in `status.placement.cloud` and in messages."""
    return f"{cloud.namespace}/{cloud.name}"


def written_cloud(text: str) -> Key | None:
    """The cloud that "namespace/name" stands for."""
    namespace, slash, name = text.partition("/")
    return cloud_key(name, namespace) if slash and namespace and name else None


def not_allowed(cloud: Key, namespace: str, field: str) -> Outcome | None:
    """Why an object of this namespace may not use the cloud: another namespace needs a Tenant that lists both."""
    if cloud.namespace == namespace:
        return None
    return stalled(
        Reason.NAMESPACE_NOT_ALLOWED,
        f"{field} names {where(cloud)}, which is in another namespace: that needs a Tenant that lists namespace"
        f" {namespace} and this cloud; or name a SovereignCloud of namespace {namespace}",
    )


def not_answering_yet(cloud: Key, world: World) -> Outcome | None:
    """Why nothing in the cloud can be looked at: no such object, or its endpoint has not answered yet."""
    found = world.get(cloud)
    if not isinstance(found, SovereignCloud):
        return blocked(
            f"there is no SovereignCloud {where(cloud)}; make it, or delete this object with spec.deletionPolicy: Retain"
        )
    if not found.status.endpoint:
        return blocked(f"SovereignCloud {where(cloud)} has no endpoint that answered yet")
    return None
