"""Images, networks and templates are named by their OpenNebula name and resolved in the cloud at hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome, blocked, stalled
from sovereigncloud.kinds.contract.controller import AnyResource

_SHOWN = 10
_NOUNS = {
    MachineImage.crd.kind: "image",
    VirtualNetwork.crd.kind: "network",
    SecurityGroup.crd.kind: "security group",
}
COMING_KINDS = tuple(_NOUNS)
_NOT_FOUND = {
    "image": Reason.IMAGE_NOT_FOUND,
    "network": Reason.NETWORK_NOT_FOUND,
    "security group": Reason.SECURITY_GROUP_NOT_FOUND,
    "template": Reason.TEMPLATE_NOT_FOUND,
    "backup datastore": Reason.STORE_NOT_FOUND,
}


class Named(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


@dataclass(frozen=True, slots=True)
class Coming:
    """A custom resource that is to bring something of this name into the cloud."""

    noun: str
    name: str
    key: Key
    says: str


def coming(users: Iterable[AnyResource]) -> tuple[Coming, ...]:
    """What is on its way, of the objects that refer to a cloud."""
    return tuple(
        Coming(_NOUNS[user.key.kind], user.outside_name, user.key, _says(user))
        for user in users
        if user.key.kind in _NOUNS and not user.deleting
    )


def resolve(noun: str, name: str, candidates: Iterable[T], on_their_way: Iterable[Coming], where: str) -> T | Outcome:
    """The one thing of that name; else why not: several, on its way (blocked), or a person must act."""
    everything = list(candidates)
    matching = [thing for thing in everything if thing.name == name]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ids = ", ".join(str(thing.id) for thing in sorted(matching, key=lambda t: t.id))
        return stalled(
            Reason.MULTIPLE_MATCHES,
            f'{where} has several {noun}s called "{name}": {ids}; rename all but one of them there',
        )
    for awaited in on_their_way:
        if awaited.noun == noun and awaited.name == name:
            return blocked(f'{noun} "{name}" is not in {where} yet: {awaited.key} {awaited.says}')
    return stalled(_NOT_FOUND[noun], f'{where} has no {noun} called "{name}"; {_existing(everything)}')


def _existing(things: list[T]) -> str:
    names = sorted({thing.name for thing in things})
    if not names:
        return "it has none that this credential may see"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there are: {', '.join(names[:_SHOWN])}{more}"


def _says(user: AnyResource) -> str:
    ready = user.status.condition("Ready")
    if ready is None:
        return "has not been looked at yet"
    return f"says {ready.reason}: {ready.message}" if ready.message else f"says {ready.reason}"
