"""Which object outside is ours: by the id that was recorded, else by its mark; never by its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, find, ownership
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.ports.opennebula.views import CloudView


class Marked(Protocol):
    """What a VM, a network and an image have in common."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def owner(self) -> int: ...
    @property
    def mark(self) -> Mark | None: ...


T = TypeVar("T", bound=Marked)


@dataclass(frozen=True, slots=True)
class Identified(Generic[T]):
    """What the search brought; nothing of it: never made.

    Attributes:
        thing: the object that is ours.
        predecessor: it carries the mark from before the cluster was rebuilt and is to be marked anew.
        missing: the recorded id, where the view has no object for it and none carries the mark.
        problem: why nothing may be done: several, not ours, the mark lost.
        adoptable: it is nobody's, and spec names it by its id: it is to be marked.
    """

    thing: T | None = None
    predecessor: bool = False
    missing: int | None = None
    problem: Outcome | None = None
    adoptable: bool = False


Owners = int | Collection[int]
"""Who may own what is ours: the cloud's administrator, and the user of a tenant's namespace."""


def identify(recorded: str | None, pool: Mapping[int, T], owner: Owners, mark: Mark, noun: str) -> Identified[T]:
    """Search a pool of the cloud.

    Only what an expected owner owns counts: tenants can write the template attributes that hold the mark.
    """
    owners = _each(owner)
    number = int(recorded) if recorded and recorded.isdigit() else None
    if number is not None and (recorded_one := pool.get(number)) is not None:
        return check(recorded_one, owners, mark, noun)
    named = [t for t in pool.values() if t.owner in owners and t.mark is not None and t.mark.object == mark.object]
    found = find(((thing.mark, thing) for thing in named), mark)
    match found.candidates:
        case () if named and number is None:
            # The very object of another installation, or of this one whose id was lost: a second one is never made.
            return Identified(problem=foreign(named[0], noun))
        case ():
            return Identified(missing=number)
        case (thing,):
            return Identified(thing=thing, predecessor=not found.ours)
        case several:
            return Identified(problem=_several(several, noun))


def check(thing: T, owner: Owners, mark: Mark, noun: str) -> Identified[T]:
    """Whether the object that has the recorded id is really ours: ids begin at 0 again in another oned."""
    owners, whose = _each(owner), ownership(thing.mark, mark)
    if whose is Ownership.OURS and thing.owner in owners:
        return Identified(thing=thing)
    what = f'{noun} {thing.id} "{thing.name}"'
    if thing.owner not in owners and whose in {Ownership.OURS, Ownership.PREDECESSOR}:
        return Identified(
            problem=stalled(
                Reason.OWNER_CHANGED,
                f"{what} now belongs to user {thing.owner}; give it back to user {max(owners)} to have it managed, or release"
                " it with spec.deletionPolicy: Retain and delete this object",
            )
        )
    match whose:
        case Ownership.OURS:
            return Identified(thing=thing)
        case Ownership.PREDECESSOR:
            return Identified(thing=thing, predecessor=True)
        case Ownership.NONE:
            return Identified(
                problem=stalled(
                    Reason.MARK_LOST,
                    f"{what} has the id that was recorded but not this object's mark, so it may be another one and is"
                    f" left alone; if it is the right one, add to its template: {written(mark)}",
                )
            )
        case Ownership.SIBLING:
            return Identified(
                problem=stalled(
                    Reason.FOREIGN_OPEN_NEBULA,
                    f"{what} has the id that was recorded but belongs to {_name(thing.mark)}: is this another OpenNebula"
                    " than before, or was it restored from a backup?",
                )
            )
        case Ownership.FOREIGN:
            return Identified(problem=foreign(thing, noun))


def _each(owner: Owners) -> Collection[int]:
    return (owner,) if isinstance(owner, int) else owner


def foreign(thing: Marked, noun: str) -> Outcome:
    """Another installation of the operator manages it: read-only."""
    whose = thing.mark.installation if thing.mark else "unknown"
    return stalled(
        Reason.OWNED_BY_ANOTHER_INSTALLATION,
        f'{noun} {thing.id} "{thing.name}" belongs to {_name(thing.mark)} of installation {whose}; delete it there with'
        " spec.deletionPolicy: Retain and remove its SOVEREIGNCLOUD_* attributes to hand it over",
    )


def looked_for_again(what: str) -> Plan:
    """The recorded one is not in the last view: nothing is concluded before it was asked about by its id."""
    outcome = waiting(
        Reason.CONFIRMING_ABSENCE, f"{what} is missing in the last view; it is looked for again", available=True
    )
    return Plan(absent=True, outcome=outcome)


def written(mark: Mark) -> str:
    """The mark as a person would add it to a template in OpenNebula."""
    return ", ".join(f'{key}="{value}"' for key, value in mark.for_opennebula().items())


async def owner_of(view: CloudView, cloud: Key, context: Context) -> int:
    """The user under whose name the cloud's credential creates. A sweep has nothing but the view, so it is asked only
    where the view does not tell.
    """
    return view.owner if view.owner is not None else (await (await context.open_nebula(cloud)).front()).user_id


@dataclass(frozen=True, slots=True)
class Makers:
    """Who makes what a namespace declares, and whose it may be.

    Attributes:
        owner: the user that a Tenant gave the namespace, else the administrator.
        owners: both of them, since things may be older than the Tenant. Nobody else's marks count, not even those of another
            namespace of the same tenant.
    """

    owner: int
    owners: frozenset[int]


async def makers_of(view: CloudView, cloud: Key, namespace: str, context: Context) -> Makers:
    """As whom, and whose, in a cloud."""
    administrator, tenancy = await owner_of(view, cloud, context), context.tenancy(namespace, cloud)
    user = administrator if tenancy is None or tenancy.user is None else tenancy.user
    return Makers(user, frozenset({administrator, user}))


def _several(things: tuple[T, ...], noun: str) -> Outcome:
    ids = ", ".join(str(thing.id) for thing in sorted(things, key=lambda t: t.id))
    return stalled(
        Reason.MULTIPLE_MATCHES,
        f"{noun}s {ids} all carry this object's mark; keep one, and delete the others in OpenNebula or remove their"
        " SOVEREIGNCLOUD_* attributes",
    )


def _name(mark: Mark | None) -> str:
    return mark.object.replace("/", " ", 1) if mark else "nobody"
