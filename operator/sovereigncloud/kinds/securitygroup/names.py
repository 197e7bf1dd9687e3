"""Resolve security groups by their OpenNebula name, within what a namespace may use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.securitygroup import SecurityGroup as Declared
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, merge
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.identity.name_resolution import PendingResource, resolve
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup
from sovereigncloud.ports.opennebula.views import CloudView

_ONEADMIN = 0


@dataclass(frozen=True, slots=True)
class Place:
    """The scope of a name lookup.

    Attributes:
        cloud: the cloud.
        view: of it.
        mark: of the object that names the groups: its namespace decides which groups are its own.
        pending_resources: custom resources that will create what the view lacks.
        vm: the VM whose NICs are planned, which may keep its own addresses; -1: none, or not created yet.
        owners: users that may own the namespace's resources, beside the owner of the view.
    """

    cloud: Key
    view: CloudView
    mark: Mark
    pending_resources: tuple[PendingResource, ...] = ()
    vm: int = -1
    owners: frozenset[int] = frozenset()


def named_groups(names: Iterable[str], place: Place) -> tuple[SecurityGroup, ...] | Outcome:
    """Resolve security groups by name: the namespace's own before shared ones.

    Groups of other namespaces are no candidates.
    """
    found: list[SecurityGroup] = []
    troubles: list[Outcome] = []
    for name in names:
        group = resolve("security group", name, _candidates(name, place), place.pending_resources, where(place.cloud))
        if isinstance(group, Outcome):
            troubles.append(group)
        elif group not in found:
            found.append(group)
    return merge(troubles) if troubles else tuple(found)


def _candidates(name: str, place: Place) -> list[SecurityGroup]:
    """Return the groups of that name that the namespace may use, its own before shared ones.

    Without a match it returns all shared groups, which the message lists.
    """
    namespace = place.mark.object.split("/")[1]
    same = [group for group in place.view.security_groups.values() if group.name == name]
    own = [group for group in same if _is_of(group, namespace, place)]
    shared = own or [group for group in same if _is_shared(group, place)]
    return shared or [group for group in place.view.security_groups.values() if _is_shared(group, place)]


def _is_shared(group: SecurityGroup, place: Place) -> bool:
    """Whether the group belongs to the cloud's namespace, or to no object and the administrator.

    A group without a mark may also be made by a tenant's user; then it belongs to that tenant.
    """
    if group.mark is not None:
        return _is_of(group, place.cloud.namespace, place)
    at_home = place.mark.object.split("/")[1] == place.cloud.namespace
    return at_home or group.owner in {_ONEADMIN, place.view.owner}


def _is_of(group: SecurityGroup, namespace: str, place: Place) -> bool:
    """Whether the group was made for a SecurityGroup of the namespace.

    Marks count under the expected owners only: tenants can write them.
    """
    mark = group.mark
    return (
        mark is not None
        and mark.installation == place.mark.installation
        and mark.object.startswith(f"{Declared.crd.kind}/{namespace}/")
        and (group.owner == place.view.owner or group.owner in place.owners)
    )


def names_of(ids: Iterable[int], view: CloudView) -> str:
    """Format security groups for messages: by name, by id where the name is not visible."""
    return ",".join(sorted(group_name(one, view) for one in ids)) or "none"


def group_name(number: int, view: CloudView) -> str:
    known = view.security_groups.get(number)
    return known.name if known is not None else str(number)
