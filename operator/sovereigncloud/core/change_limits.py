"""Change limits: changes caused by an observation are held when there are too many of them at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum number of objects recreated, deleted or disrupted in one sweep because of an observation.

    Attributes:
        objects: at most this number of objects,
        fraction: and at most this fraction of the cloud's objects; one is always allowed.
    """

    objects: int = 5
    fraction: float = 0.10

    def allowed(self, total: int) -> int:
        # Rounded before it is cut: 100 * 0.29 is 28.999... in binary.
        return min(self.objects, max(1, int(round(total * self.fraction, 6))))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Decision of the change limits about one sweep.

    Attributes:
        admitted: objects that may be changed.
        held: descriptions of the changes that are held; empty: none.
        hash: identifies what is held; `spec.approvedPlan` of the cloud with this value admits exactly that.
        approved: the approval under which some of it is admitted.
        released: changes admitted under it until they are done, so that none needs another approval.
    """

    admitted: frozenset[str]
    held: tuple[str, ...] = ()
    hash: str = ""
    approved: str = ""
    released: frozenset[str] = frozenset()

    @property
    def message(self) -> str:
        """Describe what would be done, and how to approve it."""
        shown = "; ".join(self.held[:10])
        more = f" and {len(self.held) - 10} more" if len(self.held) > 10 else ""
        return (
            f"{len(self.held)} changes at once exceed the change limits and are held: {shown}{more}. "
            f"If they are correct, set spec.approvedPlan: {self.hash}"
        )


NOTHING = Verdict(frozenset())


def judge(
    changes: Mapping[str, str], total: int, limits: Limits, approved: str, *, before: Verdict = NOTHING, spent: str = ""
) -> Verdict:
    """Decide whether the changes that a sweep found may be done.

    Args:
        changes: object -> description of the change.
        total: number of objects of the cloud.
        limits: changes that are normal at once.
        approved: the hash that a person approved on the cloud.
        before: the verdict of the previous sweep.
        spent: the last approval that was used. It is part of the hash, so the same loss a second time needs a new approval.
    """
    goes_on = before.released & changes.keys() if before.approved == approved else frozenset()
    fresh = {name: what for name, what in changes.items() if name not in goes_on}
    going = before.approved if goes_on else ""
    if len(fresh) <= limits.allowed(total):
        return Verdict(frozenset(changes), approved=going, released=goes_on)
    listed = tuple(f"{name}: {what}" for name, what in sorted(fresh.items()))
    digest = hashlib.sha256("\n".join((spent, *listed)).encode()).hexdigest()[:16]
    if digest == approved:
        return Verdict(frozenset(changes), approved=approved, released=frozenset(changes))
    return Verdict(goes_on, listed, digest, approved=going, released=goes_on)
