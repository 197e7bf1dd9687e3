"""What came of one rule. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sovereigncloud.api.common.reasons import Reason


class Verdict(IntEnum):
    """What came of a rule; the larger is the worse."""

    PASS = 0
    WARN = 1
    UNKNOWN = 2
    FAIL = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one rule.

    Attributes:
        rule: "residency.compute", "jurisdiction.legalEntity", "certification.ISO27001", "exit.rehearsal".
        fact: a sentence: what is the case.
        source: from whom that is known; empty: from nobody.
        since: when it was first seen so; empty: not noted.
    """

    policy: str
    rule: str
    verdict: Verdict
    reason: Reason
    fact: str
    source: str = ""
    since: str = ""

    @property
    def gates(self) -> bool:
        """Whether it decides about where something may be placed. A rehearsal is about what is there already."""
        return not self.rule.startswith("exit.")

    def __str__(self) -> str:
        known = ", ".join(filter(None, (self.source, f"since {self.since}" if self.since else "")))
        return f"{self.rule}: {self.fact}" + (f" ({known})" if known else "")
