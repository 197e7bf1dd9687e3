"""Which entry of spec a part of a cloud is: all parts carry the mark of their SovereignCloud, so a note beside it tells them
apart. It outlives a renaming, and a cluster that is rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from sovereigncloud.core.identity import Mark, Ownership, ownership

PART_NOTE = "SOVEREIGNCLOUD_PART"


class Marked(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def mark(self) -> Mark | None: ...
    @property
    def attributes(self) -> Mapping[str, str]: ...


T = TypeVar("T", bound=Marked)
OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})


def marked_as(field: str, name: str, mark: Mark) -> dict[str, str]:
    """The attributes that make something this entry of `spec.<field>`."""
    return {**mark.for_opennebula(), PART_NOTE: f"{field}/{name}"}


def entry_of(thing: Marked, field: str, mark: Mark) -> str | None:
    """The name of the entry of `spec.<field>` that it was made for, by this cloud; None: it is none of ours."""
    noted, slash, name = thing.attributes.get(PART_NOTE, "").partition("/")
    return name if slash and noted == field and ownership(thing.mark, mark) in OURS else None


def made_for(things: Iterable[T], field: str, name: str, mark: Mark) -> tuple[T, ...]:
    """What was made for that entry: ours, else a predecessor's from before the cluster was rebuilt."""
    found = [thing for thing in things if entry_of(thing, field, mark) == name]
    ours = [thing for thing in found if ownership(thing.mark, mark) is Ownership.OURS]
    return tuple(ours or found)


def leaving(things: Iterable[T], field: str, declared: Iterable[str], mark: Mark) -> tuple[tuple[str, T], ...]:
    """What was made for entries that spec does not list any more, with their names there. A predecessor's is left alone: a
    rebuilt cluster takes over and deletes nothing.
    """
    names = frozenset(declared)
    found = ((entry_of(t, field, mark), t) for t in things if ownership(t.mark, mark) is Ownership.OURS)
    return tuple((name, thing) for name, thing in found if name is not None and name not in names)
