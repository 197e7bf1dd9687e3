"""Security groups by their name in OpenNebula: which of that name an object of a namespace means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.securitygroup import SecurityGroup as Declared
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, merge
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.name_resolution import Coming, resolve
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup
from sovereigncloud.ports.opennebula.views import CloudView

_ONEADMIN = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where names are looked up, and for whom.

    Attributes:
        cloud: the cloud.
        view: of it.
        mark: of the object that names them: its namespace decides which security groups are its own.
        on_their_way: custom resources that are to bring what the view lacks.
        vm: the machine whose cards are at stake, whose own addresses are free to it; -1: none, or not made yet.
        owners: who may own what is made for the namespace, beside the owner of the view.
    """

    cloud: Key
    view: CloudView
    mark: Mark
    on_their_way: tuple[Coming, ...] = ()
    vm: int = -1
    owners: frozenset[int] = frozenset()


def named_groups(names: Iterable[str], place: Place) -> tuple[SecurityGroup, ...] | Outcome:
    """Security groups by name: the namespace's own before those that the cloud shares; no other namespace's."""
    found: list[SecurityGroup] = []
    troubles: list[Outcome] = []
    for name in names:
        group = resolve("security group", name, _candidates(name, place), place.on_their_way, where(place.cloud))
        if isinstance(group, Outcome):
            troubles.append(group)
        elif group not in found:
            found.append(group)
    return merge(troubles) if troubles else tuple(found)


def _candidates(name: str, place: Place) -> list[SecurityGroup]:
    """Those of that name that it may use, the namespace's own before those that are shared; where there is none, all that
    are shared: a message lists them. Most machines find theirs, so that is the quick way.
    """
    namespace = place.mark.object.split("/")[1]
    same = [group for group in place.view.security_groups.values() if group.name == name]
    own = [group for group in same if _is_of(group, namespace, place)]
    shared = own or [group for group in same if _is_shared(group, place)]
    return shared or [group for group in place.view.security_groups.values() if _is_shared(group, place)]


def _is_shared(group: SecurityGroup, place: Place) -> bool:
    """Whether it is one of the cloud's own namespace, or nobody's object's: a tenant's user can make such a one, too, and then
    it is that tenant's.
    """
    if group.mark is not None:
        return _is_of(group, place.cloud.namespace, place)
    at_home = place.mark.object.split("/")[1] == place.cloud.namespace
    return at_home or group.owner in {_ONEADMIN, place.view.owner}


def _is_of(group: SecurityGroup, namespace: str, place: Place) -> bool:
    """Whether it was made for a SecurityGroup of the namespace. Marks count under the expected owners only: tenants can write
    them.
    """
    mark = group.mark
    return (
        mark is not None
        and mark.installation == place.mark.installation
        and mark.object.startswith(f"{Declared.crd.kind}/{namespace}/")
        and (group.owner == place.view.owner or group.owner in place.owners)
    )


def names_of(ids: Iterable[int], view: CloudView) -> str:
    """Security groups for people: by name, by number where it is not to be seen."""
    return ",".join(sorted(group_name(one, view) for one in ids)) or "none"


def group_name(number: int, view: CloudView) -> str:
    known = view.security_groups.get(number)
    return known.name if known is not None else str(number)
