"""What the status of an object says, for those who count: as little as the metrics need of ten thousand objects."""

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
    """What the status of an object says, for those who count.

    Attributes:
        ready, drifted: the status of the condition, empty where there is none.
        stalled: the reason of the condition Stalled, empty where there is none.
        reconciling, paused: whether the condition is True.
        fields: how many fields differ and are not ignored.
        since: when the oldest of those that are to be corrected was found, seconds of Unix time; 0: none.
        compliant: the status of the condition, empty where no policy asks for anything.
        broken: the policies that it says are broken.
        failover: the status of the condition FailoverReady, empty where nobody asks for it.
        copied: as of when the newest copy outside its cloud is, seconds of Unix time; 0: there is none.
        failed_over: when it was last started elsewhere; likewise.
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
    """Of a machine that is to start elsewhere when its cloud is lost."""
    if not ready:
        return {}
    last = told.get("lastFailover") or {}
    return {
        "failover": ready,
        "copied": _seconds(str(told.get("lastCopy") or "")),
        "failed_over": _seconds(str(last.get("at") or "")),
    }


def _seconds(text: str) -> float:
    """A timestamp of Kubernetes as Unix time; 0 for what is none, since anybody may have written it."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
