"""The mark that every object made outside carries, so that no name is an identity."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

# OpenNebula upper-cases template keys and allows neither '-' nor '/' in them (observed).
ONE_INSTALLATION = "SOVEREIGNCLOUD_INSTALLATION"
ONE_OBJECT = "SOVEREIGNCLOUD_OBJECT"
ONE_UID = "SOVEREIGNCLOUD_UID"
ONE_PREFIX = "SOVEREIGNCLOUD_"
"""Of every attribute that the operator writes."""
ONE_ADOPTED = "SOVEREIGNCLOUD_ADOPTED"
"""Noted on what was there before: it is not deleted unless spec says so."""
# OVHcloud IAM tag keys: ^[a-zA-Z0-9_.:/=+@-]{1,128}$, value <= 256.
OVH_INSTALLATION = "sovereigncloud.io/installation"
OVH_OBJECT = "sovereigncloud.io/object"
OVH_UID = "sovereigncloud.io/uid"


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose an object outside is.

    Attributes:
        installation: the id of the operator's installation, kept across clusters.
        object: "Kind/namespace/name"; "Kind//name" of what is in no namespace.
        uid: UID of the custom resource that made it; another UID under the same name is a rebuilt cluster.
    """

    installation: str
    object: str
    uid: str

    def for_opennebula(self) -> dict[str, str]:
        return {ONE_INSTALLATION: self.installation, ONE_OBJECT: self.object, ONE_UID: self.uid}

    def for_ovh(self) -> dict[str, str]:
        """Written one by one, in this order: until the last is there it is no mark, so half of one is not taken for a
        predecessor's.
        """
        return {OVH_UID: self.uid, OVH_OBJECT: self.object, OVH_INSTALLATION: self.installation}


def mark_from_opennebula(attributes: Mapping[str, str]) -> Mark | None:
    return _read(attributes, ONE_INSTALLATION, ONE_OBJECT, ONE_UID)


def mark_from_ovh(tags: Mapping[str, str]) -> Mark | None:
    return _read(tags, OVH_INSTALLATION, OVH_OBJECT, OVH_UID)


def is_half_removed(tags: Mapping[str, str], ours: Mark) -> bool:
    """What a crash leaves of a mark that was being removed: tags go one by one, that of the installation last."""
    return tags.get(OVH_INSTALLATION) == ours.installation and OVH_OBJECT not in tags


def _read(attributes: Mapping[str, str], installation: str, name: str, uid: str) -> Mark | None:
    if not attributes.get(installation) or not attributes.get(name):
        return None
    # One text for ten thousand machines.
    return Mark(sys.intern(attributes[installation]), attributes[name], attributes.get(uid, ""))


class Ownership(StrEnum):
    """What a mark found outside says about an object of ours."""

    NONE = "None"  # unmarked
    OURS = "Ours"  # made by this very resource
    PREDECESSOR = "Predecessor"  # same installation and name, another UID: a rebuilt cluster; taken over
    SIBLING = "Sibling"  # same installation, another object of it
    FOREIGN = "Foreign"  # another installation: read-only


def ownership(found: Mark | None, ours: Mark) -> Ownership:
    """Compare a mark found outside with the mark of the resource at hand."""
    if found is None:
        return Ownership.NONE
    if found.installation != ours.installation:
        return Ownership.FOREIGN
    if found.object != ours.object:
        return Ownership.SIBLING
    return Ownership.OURS if found.uid == ours.uid else Ownership.PREDECESSOR


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a search by mark brought: nothing (create), one (adopt), several (a person must choose)."""

    ours: tuple[T, ...] = ()
    predecessors: tuple[T, ...] = ()

    @property
    def candidates(self) -> tuple[T, ...]:
        return self.ours or self.predecessors


def find(candidates: Iterable[tuple[Mark | None, T]], ours: Mark) -> Found[T]:
    """Objects outside that carry this resource's mark, or its predecessor's from before the cluster was rebuilt."""
    mine: list[T] = []
    before: list[T] = []
    for mark, value in candidates:
        match ownership(mark, ours):
            case Ownership.OURS:
                mine.append(value)
            case Ownership.PREDECESSOR:
                before.append(value)
            case _:
                pass
    return Found(tuple(mine), tuple(before))
