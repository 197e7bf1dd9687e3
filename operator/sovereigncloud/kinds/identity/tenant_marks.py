"""What a Tenant writes on what it makes, beside its mark, and what that says."""

from __future__ import annotations

from sovereigncloud.api.tenant import Tenant
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.ports.opennebula.tenancy import User

TENANT = Tenant.crd.kind
NAMESPACE_NOTE = "SOVEREIGNCLOUD_NAMESPACE"
"""On a user: the namespace whose objects it makes; of a person, EXTERNAL."""
CLOUD_NOTE = "SOVEREIGNCLOUD_CLOUD"
"""On a user: namespace/name of the SovereignCloud that it is for. Users are one for all zones of a federation."""
EXTERNAL = "-"


def is_ours(user: User, mark: Mark) -> bool:
    """Whether this Tenant made it, or its predecessor from before the cluster was rebuilt."""
    return ownership(user.mark, mark) in {Ownership.OURS, Ownership.PREDECESSOR}


def is_namespaces(user: User, mark: Mark) -> bool:
    """Whether it was made for a namespace."""
    return is_ours(user, mark) and user.notes.get(NAMESPACE_NOTE, "") not in {"", EXTERNAL}


def is_person(user: User, mark: Mark) -> bool:
    """Whether it was made for a person."""
    return is_ours(user, mark) and user.notes.get(NAMESPACE_NOTE) == EXTERNAL
