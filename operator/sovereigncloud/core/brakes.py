"""The brakes: what an observation asks for is not done when it asks for too much at once."""

from __future__ import annotations

import hashlib
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
        return min(self.objects, max(1, int(total * self.fraction)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the brakes say about one sweep.

    Attributes:
        admitted: what may go on.
        held: what is held, in words; empty when nothing is.
        hash: names what is held: `spec.approvedPlan` of the cloud lets exactly this go on.
    """

    admitted: frozenset[str]
    held: tuple[str, ...] = ()
    hash: str = ""

    @property
    def message(self) -> str:
        """What would be done, and how to let it happen."""
        shown = "; ".join(self.held[:10])
        more = f" and {len(self.held) - 10} more" if len(self.held) > 10 else ""
        return (
            f"{len(self.held)} changes at once were asked for by what was observed, nothing of it is done: {shown}{more}. "
            f"If reality is really so, set spec.approvedPlan: {self.hash}"
        )


def judge(changes: dict[str, str], total: int, limits: Limits, approved: str) -> Verdict:
    """Whether what a sweep found may be done.

    Args:
        changes: object -> what would be done to it, in words.
        total: objects of the cloud.
        limits: how much at once is normal.
        approved: the hash that a person approved on the cloud.
    """
    if len(changes) <= limits.allowed(total):
        return Verdict(frozenset(changes))
    listed = tuple(f"{name}: {what}" for name, what in sorted(changes.items()))
    digest = hashlib.sha256("\n".join(listed).encode()).hexdigest()[:16]
    if digest == approved:
        return Verdict(frozenset(changes))
    return Verdict(frozenset(), listed, digest)
