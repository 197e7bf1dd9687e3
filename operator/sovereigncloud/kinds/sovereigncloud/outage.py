"""A cloud that does not answer: since when, whether its machines are proven dead, and whether its servers are to be switched off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import DONE, Outcome
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.fencing.confirmation import may_switch_off, proof_of
from sovereigncloud.kinds.fencing.outage_tolerance import overdue, until_overdue

_STARTS = frozenset({Reason.FAILOVER_POSSIBLE, Reason.COPY_TOO_OLD})


def as_lost(cloud: SovereignCloud, since: str) -> SovereignCloud:
    """The cloud as it is once that is written down."""
    return cloud.model_copy(update={"status": cloud.status.model_copy(update={"lost_since": since})})


def who_waits(cloud: SovereignCloud, since: str, context: Context) -> tuple[HostedInstance, ...]:
    """Machines in it that would start elsewhere if it were proven dead. Looked for only while it is lost."""
    if not since or not may_switch_off(cloud):
        return ()
    found = context.users(cloud.key, HostedInstance.crd.kind)
    return tuple(one for one in found if isinstance(one, HostedInstance) and _could_start(one))


def _could_start(instance: HostedInstance) -> bool:
    if instance.spec.continuity is None or instance.deleting or instance.paused:
        return False
    told = instance.status.condition("FailoverReady")
    return told is not None and told.reason in _STARTS


def fenced_for(cloud: SovereignCloud, since: str, waiting: Iterable[HostedInstance], now: datetime) -> str:
    """The outage for which its servers are switched off: once begun for it, that stays so until it answers."""
    if cloud.status.fenced_for == since or any(overdue(one, since, now) for one in waiting):
        return since
    return ""


def looks_again(since: str, waiting: Iterable[HostedInstance], now: datetime) -> Outcome:
    """When the patience of the next of them ends."""
    left = [time for one in waiting if (time := until_overdue(one, since, now)) > 0]
    return Outcome(after=min(left) + 1.0) if left else DONE


def fenced(cloud: SovereignCloud, since: str, servers: Sequence[BareMetalServer]) -> tuple[Mapping[str, str], ...]:
    """The condition Fenced of a lost cloud: whether what ran there may start elsewhere, or what is to be done."""
    if not since:
        return ()
    proof = proof_of(as_lost(cloud, since), servers)
    status, reason = ("True", Reason.FENCED) if proof.dead else ("False", Reason.FENCING_UNCONFIRMED)
    return ({"type": "Fenced", "status": status, "reason": reason, "message": proof.why},)
