"""Resolve a SovereignCloud reference, and check that the cloud can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sovereigncloud.api.common.base import Key, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import Outcome, blocked, retry, stalled
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.ports.errors import MissingSecret, OutsideError

if TYPE_CHECKING:
    from sovereigncloud.kinds.contract.controller import Context


def not_allowed(cloud: Key, namespace: str, field: str, context: Context | None = None) -> Outcome | None:
    """Report why an object of this namespace may not use the cloud.

    Another namespace needs a Tenant that lists both. Without a context: for kinds that a tenant may never create.
    """
    if cloud.namespace == namespace:
        return None
    if context is None:
        return stalled(
            Reason.NAMESPACE_NOT_ALLOWED,
            f"{field} names {where(cloud)}, which is in another namespace: this kind must be in the namespace of the cloud;"
            f" create it there, or name a SovereignCloud of namespace {namespace}",
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
    """Return the message for a reference to a cloud that does not exist."""
    return f"{cloud} does not exist: create it, or correct the reference"


def not_answering_yet(cloud: Key, context: Context) -> Outcome | None:
    """Report why the cloud cannot be read: no such object, or its endpoint was not reached yet."""
    found = context.get(cloud)
    if not isinstance(found, SovereignCloud):
        return blocked(f"{no_such(cloud)}; to delete this object without it, set spec.deletionPolicy: Retain")
    if not found.status.endpoint:
        return blocked(f"SovereignCloud {where(cloud)} has no endpoint that was reached yet: check its conditions")
    return None


def needs_management(cloud: Key, context: Context) -> str:
    """Return the consent that steps in the cloud still need; empty where it is managed."""
    found = context.get(cloud)
    management = found.spec.management if found is not None else None
    if management in {None, Management.MANAGE}:
        return ""
    return f"spec.management: Manage on SovereignCloud {where(cloud)} (it is {management})"


def not_looked_at(cloud: Key, error: OutsideError | MissingSecret) -> Outcome:
    """Build the outcome for a failed read of the cloud, or a missing credential."""
    say = blocked if isinstance(error, MissingSecret) else retry
    return say(f"cloud {where(cloud)}: {error}")
