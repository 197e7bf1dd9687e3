"""Which object outside is ours: by the id that was recorded, else by its mark; never by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sovereigncloud.api.base import Key
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, find, ownership
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.kinds.controller import World
from sovereigncloud.kinds.ports import CloudView


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
    """

    thing: T | None = None
    predecessor: bool = False
    missing: int | None = None
    problem: Outcome | None = None


def identify(recorded: str | None, pool: Mapping[int, T], owner: int, mark: Mark, noun: str) -> Identified[T]:
    """Search a pool of the cloud.

    Only what `owner` owns counts: tenants can write the template attributes that hold the mark.
    """
    number = int(recorded) if recorded and recorded.isdigit() else None
    if number is not None and number in pool:
        return check(pool[number], owner, mark, noun)
    named = [t for t in pool.values() if t.owner == owner and t.mark is not None and t.mark.object == mark.object]
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


def check(thing: T, owner: int, mark: Mark, noun: str) -> Identified[T]:
    """Whether the object that has the recorded id is really ours: ids begin at 0 again in another oned."""
    what = f'{noun} {thing.id} "{thing.name}"'
    whose = ownership(thing.mark, mark)
    if thing.owner != owner and whose in {Ownership.OURS, Ownership.PREDECESSOR}:
        return Identified(
            problem=stalled(
                Reason.OWNER_CHANGED,
                f"{what} now belongs to user {thing.owner}; give it back to user {owner} to have it managed, or release"
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
                    Reason.NOT_OUR_OPEN_NEBULA,
                    f"{what} has the id that was recorded but belongs to {_name(thing.mark)}: is this another OpenNebula"
                    " than before, or was it restored from a backup?",
                )
            )
        case Ownership.FOREIGN:
            return Identified(problem=foreign(thing, noun))


def foreign(thing: Marked, noun: str) -> Outcome:
    """Another installation of the operator manages it: read-only."""
    whose = thing.mark.installation if thing.mark else "unknown"
    return stalled(
        Reason.OWNED_BY_ANOTHER_INSTALLATION,
        f'{noun} {thing.id} "{thing.name}" belongs to {_name(thing.mark)} of installation {whose}; delete it there with'
        " spec.deletionPolicy: Retain and remove its SOVEREIGNCLOUD_* attributes to hand it over",
    )


def written(mark: Mark) -> str:
    """The mark as a person would add it to a template in OpenNebula."""
    return ", ".join(f'{key}="{value}"' for key, value in mark.for_opennebula().items())


async def owner_of(view: CloudView, cloud: Key, world: World) -> int:
    """The user under whose name the cloud's credential creates. A sweep has nothing but the view, so it is asked only
    where the view does not tell.
    """
    return view.owner if view.owner is not None else (await (await world.open_nebula(cloud)).front()).user_id


def _several(things: tuple[T, ...], noun: str) -> Outcome:
    ids = ", ".join(str(thing.id) for thing in sorted(things, key=lambda t: t.id))
    return stalled(
        Reason.SEVERAL_FOUND,
        f"{noun}s {ids} all carry this object's mark; keep one, and delete the others in OpenNebula or remove their"
        " SOVEREIGNCLOUD_* attributes",
    )


def _name(mark: Mark | None) -> str:
    return mark.object.replace("/", " ", 1) if mark else "nobody"
