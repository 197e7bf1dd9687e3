"""The brakes: what an observation asks for is not done when it asks for too much at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be recreated, deleted or disrupted in one sweep because of what was observed.

    Attributes:
        objects: at most so many objects,
        fraction: and at most this part of the cloud's objects; one is always allowed.
    """

    objects: int = 5
    fraction: float = 0.10

    def allowed(self, total: int) -> int:
        # Rounded before it is cut: 100 * 0.29 is 28.999... in binary.
        return min(self.objects, max(1, int(round(total * self.fraction, 6))))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the brakes say about one sweep.

    Attributes:
        admitted: what may go on.
        held: what is held, in words; empty when nothing is.
        hash: names what is held: `spec.approvedPlan` of the cloud lets exactly this go on.
        approved: the approval under which some of it goes on.
        released: what goes on under it, until it was done: one by one it must not need another approval.
    """

    admitted: frozenset[str]
    held: tuple[str, ...] = ()
    hash: str = ""
    approved: str = ""
    released: frozenset[str] = frozenset()

    @property
    def message(self) -> str:
        """What would be done, and how to let it happen."""
        shown = "; ".join(self.held[:10])
        more = f" and {len(self.held) - 10} more" if len(self.held) > 10 else ""
        return (
            f"{len(self.held)} changes at once were asked for by what was observed, nothing of it is done: {shown}{more}. "
            f"If reality is really so, set spec.approvedPlan: {self.hash}"
        )


NOTHING = Verdict(frozenset())


def judge(
    changes: Mapping[str, str], total: int, limits: Limits, approved: str, *, before: Verdict = NOTHING, spent: str = ""
) -> Verdict:
    """Whether what a sweep found may be done.

    Args:
        changes: object -> what would be done to it, in words.
        total: objects of the cloud.
        limits: how much at once is normal.
        approved: the hash that a person approved on the cloud.
        before: the verdict of the sweep before.
        spent: the last approval that was used. It is part of the hash, so that the same loss a second time is another
            question.
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
