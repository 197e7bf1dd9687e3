"""What an object of several clouds takes over in each of them: which image or group spec names by its id there, and what is
known of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sovereigncloud.api.common.adoption import ADOPTED_FACT, Adopt
from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.core.identity import ONE_ADOPTED, Mark
from sovereigncloud.kinds.identity.adoption import Asked, identify_asked, may_adopt
from sovereigncloud.kinds.identity.identification import Identified, Marked, Owners, identify

_PATIENCE = timedelta(minutes=10)

InClouds = MachineImage | SecurityGroup


class Noted(Marked, Protocol):
    """What notes of ours can be on."""

    @property
    def notes(self) -> Mapping[str, str]: ...


T = TypeVar("T", bound=Noted)


@dataclass(frozen=True, slots=True)
class Whose:
    """Who makes what the object declares, whose it may be besides, and the user that a Tenant gave its namespace."""

    maker: int
    owners: frozenset[int]
    user: int | None = None


def fact(cloud: Key) -> str:
    """The key of `status.external` for whose the image there was when it was adopted. It is there once it was."""
    return f"{ADOPTED_FACT}.{cloud.name}"


def adoption(resource: InClouds, cloud: Key) -> Adopt | None:
    """What spec says of a cloud."""
    return next((ref.adopt for ref in resource.spec.cloud_refs or () if ref.name == cloud.name), None)


def which(
    resource: InClouds,
    cloud: Key,
    recorded: str | None,
    pool: Mapping[int, T],
    whose: Whose,
    mark: Mark,
    noun: str,
) -> Identified[T]:
    """The one that spec names; else the one that was recorded, or carries the mark."""
    adopt, was = adoption(resource, cloud), resource.external.get(fact(cloud), "")
    if adopt is not None:
        wanted = Asked(
            id=int(adopt.id),
            recorded=recorded,
            done=bool(was),
            owner=int(was) if was.isdigit() else None,
            among=may_adopt(cloud, resource.metadata.namespace, whose.user),
        )
        return identify_asked(wanted, pool, whose.maker, mark, noun)
    there = pool.get(int(recorded)) if recorded and recorded.isdigit() else None
    owners: Owners = whose.owners
    if there is not None and was == str(there.owner):
        owners = there.owner  # whose it was when it was adopted
    return identify(recorded, pool, owners, mark, noun)


def was_adopted(resource: InClouds, cloud: Key, thing: Noted | None) -> bool:
    """Noted on it itself; spec and status say it, too."""
    adopt = adoption(resource, cloud)
    if thing is None:
        return fact(cloud) in resource.external or adopt is not None
    return (
        fact(cloud) in resource.external
        or thing.notes.get(ONE_ADOPTED) == "YES"
        or (adopt is not None and adopt.id == str(thing.id))
    )


def has_adopted(resource: InClouds) -> bool:
    """In any of its clouds."""
    return any(key.startswith(f"{ADOPTED_FACT}.") for key in resource.external)


def is_let_go(resource: InClouds, cloud: Key, thing: Noted | None) -> bool:
    """Whether what was written on it is taken off, and nothing else is done, where it is wanted no more."""
    return resource.spec.deletion_policy is not DeletionPolicy.DELETE and was_adopted(resource, cloud, thing)


def has_waited_enough(resource: InClouds, now: datetime) -> bool:
    """A cloud that does not come back must not hold what is only to be let go: then the mark stays on it."""
    since = resource.metadata.deletion_timestamp
    return since is not None and now - since > _PATIENCE
