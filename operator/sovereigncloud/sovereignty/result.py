"""Result of evaluating one rule. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sovereigncloud.api.common.reasons import Reason


class Verdict(IntEnum):
    """Verdict on a rule; larger is worse."""

    PASS = 0
    WARN = 1
    UNKNOWN = 2
    FAIL = 3


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one rule.

    Attributes:
        rule: "residency.compute", "jurisdiction.legalEntity", "certification.ISO27001", "exit.rehearsal".
        fact: a sentence with the observed fact.
        source: of the fact; empty: none.
        since: when it was first seen so; empty: not recorded.
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
        """Whether it restricts placement. A rehearsal rule concerns existing objects only."""
        return not self.rule.startswith("exit.")

    def __str__(self) -> str:
        known = ", ".join(filter(None, (self.source, f"since {self.since}" if self.since else "")))
        return f"{self.rule}: {self.fact}" + (f" ({known})" if known else "")
