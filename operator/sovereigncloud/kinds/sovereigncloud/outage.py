"""An unreachable cloud.

Who waits for failover, whether to fence its servers, and the condition Fenced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import DONE, Outcome
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.fencing.confirmation import fencing_status, may_switch_off
from sovereigncloud.kinds.fencing.outage_tolerance import is_overdue, seconds_until_failover

_CAN_FAIL_OVER = frozenset({Reason.FAILOVER_POSSIBLE, Reason.COPY_TOO_OLD})


def as_unreachable(cloud: SovereignCloud, since: str) -> SovereignCloud:
    """Return a copy of the cloud with `status.lostSince` set."""
    return cloud.model_copy(update={"status": cloud.status.model_copy(update={"lost_since": since})})


def instances_to_fail_over(cloud: SovereignCloud, since: str, context: Context) -> tuple[HostedInstance, ...]:
    """Return the instances that would fail over once the cloud is fenced.

    Empty unless it is unreachable.
    """
    if not since or not may_switch_off(cloud):
        return ()
    found = context.users(cloud.key, HostedInstance.crd.kind)
    return tuple(one for one in found if isinstance(one, HostedInstance) and _can_fail_over(one))


def _can_fail_over(instance: HostedInstance) -> bool:
    if instance.spec.continuity is None or instance.deleting or instance.paused:
        return False
    told = instance.status.condition("FailoverReady")
    return told is not None and told.reason in _CAN_FAIL_OVER


def fenced_for(cloud: SovereignCloud, since: str, waiting: Iterable[HostedInstance], now: datetime) -> str:
    """Return the outage (its start) for which the servers are switched off; empty: none.

    Once fencing started it stays until the cloud answers.
    """
    if cloud.status.fenced_for == since or any(is_overdue(one, since, now) for one in waiting):
        return since
    return ""


def next_overdue(since: str, waiting: Iterable[HostedInstance], now: datetime) -> Outcome:
    """Requeue when the next outage tolerance of the waiting instances ends."""
    left = [time for one in waiting if (time := seconds_until_failover(one, since, now)) > 0]
    return Outcome(after=min(left) + 1.0) if left else DONE


def fenced_condition(
    cloud: SovereignCloud, since: str, servers: Sequence[BareMetalServer]
) -> tuple[Mapping[str, str], ...]:
    """Return the condition Fenced of an unreachable cloud; empty: it is not unreachable."""
    if not since:
        return ()
    proof = fencing_status(as_unreachable(cloud, since), servers)
    status, reason = ("True", Reason.FENCED) if proof.fenced else ("False", Reason.FENCING_UNCONFIRMED)
    return ({"type": "Fenced", "status": status, "reason": reason, "message": proof.why},)
