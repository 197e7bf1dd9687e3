"""Status summary: the few status fields that metrics need of each of ten thousand objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sovereigncloud.api.common.base import ConditionStatus
from sovereigncloud.sovereignty.evaluation import COMPLIANT, broken_policies

_CORRECTING = "Correcting"


@dataclass(frozen=True, slots=True)
class StatusSummary:
    """Status fields of one object that metrics count.

    Attributes:
        ready, drifted: status of the condition; empty without it.
        stalled: reason of the condition Stalled; empty without it.
        reconciling, paused: whether the condition is True.
        fields: number of fields that differ and are not ignored.
        since: when the oldest difference to be corrected was found, Unix seconds; 0: none.
        compliant: status of the condition Compliant; empty without a policy.
        broken: policies that the condition names as broken.
        failover: status of the condition FailoverReady; empty without spec.continuity.
        copied: time of the newest copy outside its cloud, Unix seconds; 0: none.
        failed_over: time of the last failover, Unix seconds; 0: none.
    """

    ready: str = ""
    drifted: str = ""
    stalled: str = ""
    reconciling: bool = False
    paused: bool = False
    fields: int = 0
    since: float = 0.0
    compliant: str = ""
    broken: tuple[str, ...] = ()
    failover: str = ""
    copied: float = 0.0
    failed_over: float = 0.0

    @staticmethod
    def of(status: Mapping[str, Any]) -> StatusSummary:
        told = {c.get("type"): c for c in status.get("conditions") or ()}
        says = {kind: str(condition.get("status") or "") for kind, condition in told.items()}
        stalled = told["Stalled"].get("reason") or "" if says.get("Stalled") == ConditionStatus.TRUE else ""
        times = [d.get("since") or "" for d in status.get("drift") or () if d.get("action") == _CORRECTING]
        return StatusSummary(
            ready=says.get("Ready", ""),
            drifted=says.get("Drifted", ""),
            stalled=str(stalled),
            reconciling=says.get("Reconciling") == ConditionStatus.TRUE,
            paused=says.get("Paused") == ConditionStatus.TRUE,
            fields=int(status.get("driftCount") or 0),
            since=min((at for at in map(_seconds, times) if at), default=0.0),
            compliant=says.get(COMPLIANT, ""),
            broken=broken_policies(str(told[COMPLIANT].get("message") or "")) if COMPLIANT in told else (),
            **_continuity(says.get("FailoverReady", ""), status.get("continuity") or {}),
        )


def _continuity(ready: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the failover fields of an instance with spec.continuity."""
    if not ready:
        return {}
    last = told.get("lastFailover") or {}
    return {
        "failover": ready,
        "copied": _seconds(str(told.get("lastCopy") or "")),
        "failed_over": _seconds(str(last.get("at") or "")),
    }


def _seconds(text: str) -> float:
    """Convert an RFC 3339 timestamp to Unix seconds; 0 when it is invalid, since anybody may have written it."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
