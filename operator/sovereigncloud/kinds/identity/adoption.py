"""Select the external resource to adopt: the id in spec, if no other object owns it.

An adopted resource keeps its owner, which may be any user of OpenNebula. That owner can write the mark, so the mark
alone does not decide: the id is in spec, and the owner at the time of adoption is recorded.
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
"""In `status.external`: the id of the OpenNebula user who owned the resource at its adoption."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An adoption that spec requests, with what status knows about it.

    Attributes:
        id: the id in spec.
        recorded: the id in status; None or empty: none.
        done: this object adopted it before, in this cluster.
        owner: the owner at that time.
        among: the users whose resources may be adopted; None: everybody's.
    """

    id: int
    recorded: str | None = None
    done: bool = False
    owner: int | None = None
    among: frozenset[int] | None = None


def asked(
    adopt: Adopt, external: Mapping[str, str], recorded: str | None, among: frozenset[int] | None, suffix: str = ""
) -> Asked:
    """Read an adoption from spec and status.

    `suffix`: of the facts, where an object exists in several clouds.
    """
    owner = external.get(f"{OWNER_FACT}{suffix}", "")
    return Asked(
        id=int(adopt.id),
        recorded=recorded,
        done=external.get(f"{ADOPTED_FACT}{suffix}") == "yes",
        owner=int(owner) if owner.isdigit() else None,
        among=among,
    )


def releasing(step: Step) -> Plan:
    """Plan the removal of the operator's marks from an adopted resource."""
    return Plan(steps=(step,), outcome=waiting(Reason.RELEASING, f"{step.target} are to be removed"))


def may_adopt(cloud: Key, namespace: str, user: int | None) -> frozenset[int] | None:
    """Return the users whose resources the object may adopt; None: everybody's.

    Objects in the cloud's own namespace may adopt everything. Objects of another namespace may adopt only what the
    tenant's user made (`user` None: nothing), not what the administrator made.
    """
    if cloud.namespace == namespace:
        return None
    return frozenset() if user is None else frozenset({user})


def identify_asked(wanted: Asked, pool: Mapping[int, T], owner: int, mark: Mark, noun: str) -> Identified[T]:
    """Find the resource to adopt in a pool of the cloud, and check whether it may be adopted."""
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
    """Handle a missing adoption target: search as usual, but never create a replacement for it."""
    usual = identify(wanted.recorded, pool, owner, mark, noun)
    if wanted.recorded or wanted.done or usual.thing is not None or usual.problem is not None:
        return usual
    return Identified(
        problem=stalled(
            Reason.NOTHING_TO_ADOPT,
            f"there is no {noun} {wanted.id}, or the cloud's user may not see it: correct adopt.id in spec, or remove"
            " adopt to create a new one",
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
