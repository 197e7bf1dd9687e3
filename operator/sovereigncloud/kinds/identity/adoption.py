"""Which thing outside an object takes over: the one that its spec names by id, if it is nobody's.

What is adopted may belong to any user of OpenNebula and keeps its owner. That owner can write the mark, so it is not the
mark alone that decides: the id stands in spec, and whose the thing was when it was adopted is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from sovereigncloud.api.common.adoption import ADOPTED_FACT, Adopt
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.identity.identification import Identified, Marked, check, foreign, identify

T = TypeVar("T", bound=Marked)

OWNER_FACT = "owner"
"""In `status.external`: the id of the OpenNebula user whose the thing was when it was adopted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What spec asks for, and what is known of it.

    Attributes:
        id: the number in spec.
        recorded: the id in status; None or empty: none.
        done: it was adopted once, by this object in this cluster.
        owner: whose it was then.
        among: whose things may be adopted; None: everybody's.
    """

    id: int
    recorded: str | None = None
    done: bool = False
    owner: int | None = None
    among: frozenset[int] | None = None


def asked(
    adopt: Adopt, external: Mapping[str, str], recorded: str | None, among: frozenset[int] | None, suffix: str = ""
) -> Asked:
    """Read spec and status. `suffix`: of the facts, where an object has things in several clouds."""
    owner = external.get(f"{OWNER_FACT}{suffix}", "")
    return Asked(
        id=int(adopt.id),
        recorded=recorded,
        done=external.get(f"{ADOPTED_FACT}{suffix}") == "yes",
        owner=int(owner) if owner.isdigit() else None,
        among=among,
    )


def releasing(step: Step) -> Plan:
    """Take off what the operator wrote on a thing that was there before, and nothing else."""
    return Plan(steps=(step,), outcome=waiting(Reason.RELEASING, f"{step.target} are to be removed"))


def may_adopt(cloud: Key, namespace: str, user: int | None) -> frozenset[int] | None:
    """Whose things an object may take over. Whoever writes objects beside the cloud's credential may have everything in it;
    who uses the cloud of another namespace, only what its own user made (None: it has none), not what the administrator did.
    """
    if cloud.namespace == namespace:
        return None
    return frozenset() if user is None else frozenset({user})


def identify_asked(wanted: Asked, pool: Mapping[int, T], owner: int, mark: Mark, noun: str) -> Identified[T]:
    """Search a pool of the cloud in which the thing is to be."""
    thing = pool.get(wanted.id)
    if thing is None:
        return _not_there(wanted, pool, owner, mark, noun)
    if wanted.recorded and wanted.recorded != str(wanted.id):
        other = f"this object has {noun} {wanted.recorded} already"
        return Identified(problem=_cannot(thing, noun, f"{other}: set adopt.id in spec to it, or make another object"))
    match ownership(thing.mark, mark):
        case Ownership.FOREIGN:
            return Identified(problem=foreign(thing, noun))
        case Ownership.SIBLING:
            named = thing.mark.object.replace("/", " ", 1) if thing.mark else "nobody"
            remedy = "delete that with spec.deletionPolicy: Retain and remove the SOVEREIGNCLOUD_* attributes first"
            return Identified(problem=_cannot(thing, noun, f"it belongs to {named}: {remedy}"))
        case Ownership.NONE if wanted.recorded or wanted.done:
            return check(thing, owner, mark, noun)  # it was marked once
        case Ownership.NONE:
            return _unmarked(thing, wanted, pool, owner, mark, noun)
        case whose:
            return _marked(thing, wanted, owner, noun, predecessor=whose is Ownership.PREDECESSOR)


def _not_there(wanted: Asked, pool: Mapping[int, T], owner: int, mark: Mark, noun: str) -> Identified[T]:
    """What took its place is found as usual. Nothing is made instead of a thing that nobody has seen."""
    usual = identify(wanted.recorded, pool, owner, mark, noun)
    if wanted.recorded or wanted.done or usual.thing is not None or usual.problem is not None:
        return usual
    return Identified(
        problem=stalled(
            Reason.NOTHING_TO_ADOPT,
            f"there is no {noun} {wanted.id}, or the cloud's user may not see it: correct adopt.id in spec, or take adopt"
            " out to have a new one made",
        )
    )


def _unmarked(thing: T, wanted: Asked, pool: Mapping[int, T], owner: int, mark: Mark, noun: str) -> Identified[T]:
    others = identify(None, pool, owner, mark, noun)
    if others.thing is not None:
        return Identified(problem=_cannot(thing, noun, f"{noun} {others.thing.id} carries this object's mark already"))
    if wanted.among is not None and thing.owner not in wanted.among:
        return Identified(problem=_not_among(thing, noun))
    return Identified(thing=thing, adoptable=True)


def _marked(thing: T, wanted: Asked, owner: int, noun: str, *, predecessor: bool) -> Identified[T]:
    if wanted.among is not None and thing.owner not in wanted.among:
        return Identified(problem=_not_among(thing, noun))
    if wanted.owner is not None and thing.owner not in {wanted.owner, owner}:
        return Identified(
            problem=stalled(
                Reason.OWNER_CHANGED,
                f'{noun} {thing.id} "{thing.name}" belonged to user {wanted.owner} when it was adopted and now belongs to'
                f" user {thing.owner}; give it back to have it managed, or delete this object, which leaves it as it is",
            )
        )
    return Identified(thing=thing, predecessor=predecessor)


def _not_among(thing: Marked, noun: str) -> Outcome:
    return _cannot(
        thing, noun, f"it belongs to user {thing.owner}, and this namespace may adopt only what its user made"
    )


def _cannot(thing: Marked, noun: str, why: str) -> Outcome:
    return stalled(Reason.CANNOT_ADOPT, f'{noun} {thing.id} "{thing.name}" cannot be adopted: {why}')
