"""Plan failover: recreate a VM in another cloud when its own is lost. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import SourceState
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.outcome import Outcome, Phase, blocked, held, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.core.quantity import seconds
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.fencing.confirmation import FencingStatus
from sovereigncloud.kinds.fencing.outage_tolerance import seconds_until_failover, toleration_seconds
from sovereigncloud.kinds.hostedinstance.continuity.failover_readiness import failover_name
from sovereigncloud.kinds.hostedinstance.machine.observed import FailoverReadiness, InstanceObservation
from sovereigncloud.kinds.movement.requests import RequestMigration, migration_manifest

FAILOVER_READY = "FailoverReady"
_AGAIN = 15.0
"""Seconds between retries while something is missing; most changes trigger a reconcile anyway."""


def plan_failover(resource: HostedInstance, seen: FailoverReadiness, now: datetime) -> Plan:
    """Plan for a VM in a lost cloud: outage tolerance, prerequisites, then one migration."""
    if seen.move is not None:
        return Plan(outcome=_migration_outcome(seen))
    left = seconds_until_failover(resource, seen.lost, now)
    if left > 0:
        return Plan(outcome=_await_tolerance(resource, seen, left))
    gaps = [gap for gap in _missing_prerequisites(seen, seen.proof) if gap[0] is not Reason.COPY_TOO_OLD]
    if gaps or seen.target is None:
        reason, told = gaps[0] if gaps else (Reason.NO_COMPLIANT_TARGET, seen.refused)
        told = "; ".join(message for _, message in gaps) or told
        message = f"{where(seen.home)} is unreachable since {seen.lost}, and the VM cannot fail over: {told}"
        outcome = blocked(message, reason=reason)
        return Plan(outcome=Outcome(outcome.phase, outcome.reason, outcome.message, after=_AGAIN))
    name = failover_name(resource, seen.lost)
    step = RequestMigration(
        action=Action.CREATE,
        target=f"InstanceMigration {name}, which starts it in {where(seen.target)} from {seen.copy}",
        disruption=Disruption.NONE,
        manifest=migration_manifest(name, resource.key, seen.target, source_state=SourceState.LOST, owner=resource),
    )
    told = f"{where(seen.home)} is unreachable since {seen.lost}: the VM is recreated in {where(seen.target)} from {seen.copy}"
    return Plan(steps=(step,), outcome=waiting(Reason.MOVING, told))


def _migration_outcome(seen: FailoverReadiness) -> Outcome:
    move = seen.move
    if move is not None and move.failed:
        message = f"InstanceMigration {move.name}, the failover, failed: {move.failed}. Delete it to retry"
        return held(Reason.MOVE_FAILED, message, available=False)
    name, says = (move.name, move.says) if move is not None else ("", "")
    return waiting(Reason.MOVING, f"InstanceMigration {name} starts it elsewhere" + (f": {says}" if says else ""))


def _await_tolerance(resource: HostedInstance, seen: FailoverReadiness, left: float) -> Outcome:
    until = datetime.fromisoformat(seen.lost) + timedelta(seconds=toleration_seconds(resource))
    message = f"{where(seen.home)} is unreachable since {seen.lost}; failover starts at {timestamp(until)} (spec.continuity.tolerationSeconds)"
    return Outcome(Phase.RETRY, Reason.CLOUD_UNREACHABLE, message, after=left + 1.0)


# ------------------------------------------------------------------------------------------------------------- readiness


def _missing_prerequisites(seen: FailoverReadiness, proof: FencingStatus) -> Iterator[tuple[Reason, str]]:
    """Missing prerequisites, most important first, each with what to do.

    `proof`: fencing, confirmed or possible.
    """
    outside = [copy for copy in seen.copies if copy.outside]
    if not seen.copies:
        yield (
            Reason.NO_COPY,
            "there is no copy of it: set spec.backup with a store whose server is outside its cloud, and a schedule",
        )
    elif not outside:
        yield (
            Reason.COPY_INSIDE_CLOUD,
            f"its copies are in {where(seen.home)} and would be lost with it: set spec.backup.store to a store on a server outside",
        )
    if seen.refused:
        yield Reason.NO_COMPLIANT_TARGET, f"no other cloud can run it: {seen.refused}"
    if not proof.fenced:
        yield Reason.NO_FENCING, proof.why
    if seen.too_old and seen.copy is not None:
        yield Reason.COPY_TOO_OLD, f"its newest copy, {seen.copy}, is older than spec.continuity.rpo"


def failover_ready(resource: HostedInstance, observed: InstanceObservation) -> tuple[Mapping[str, str], ...]:
    """Condition FailoverReady; keeps its value while it cannot be evaluated."""
    if resource.spec.continuity is None or resource.deleting:
        return ()
    seen = observed.failover
    if seen is None or seen.move is not None:
        before = resource.status.condition(FAILOVER_READY)
        if before is None:
            return ()
        return _condition(before.status == "True", before.reason, before.message)
    gaps = list(_missing_prerequisites(seen, seen.provable))
    if gaps:
        return _condition(False, gaps[0][0], "; ".join(message for _, message in gaps) + _rto_exceeded(resource, seen))
    clouds = " or ".join(seen.allowed)
    told = f"it could be started in {clouds} from {seen.copy}; {seen.provable.why}{_rto_exceeded(resource, seen)}"
    return _condition(True, Reason.FAILOVER_POSSIBLE, told)


def _condition(true: bool, reason: str, message: str) -> tuple[Mapping[str, str], ...]:
    return ({"type": FAILOVER_READY, "status": str(true), "reason": reason, "message": message},)


def _rto_exceeded(resource: HostedInstance, seen: FailoverReadiness) -> str:
    """Note that the last failover took longer than spec.continuity.rto."""
    rto = resource.spec.continuity.rto if resource.spec.continuity is not None else None
    took = seen.last.get("rtoSeconds") if seen.last is not None else None
    if rto is None or not isinstance(took, int) or took <= seconds(rto):
        return ""
    return f"; the last failover took {took} s, longer than spec.continuity.rto: {rto}"


def failover_status(
    resource: HostedInstance, observed: InstanceObservation, told: Mapping[str, object]
) -> dict[str, object]:
    """Failover part of status.continuity, added to the copies in `told`."""
    if resource.spec.continuity is None:
        return dict(told)
    seen = observed.failover
    known = resource.status.continuity.last_failover if resource.status.continuity is not None else None
    before = known.model_dump(by_alias=True, exclude_none=True) if known is not None else None
    last = seen.last if seen is not None else before
    copies = seen.copies if seen is not None else ()
    newest = max((copy.time for copy in copies if copy.outside), default=None)
    kept = resource.status.continuity.last_copy if resource.status.continuity is not None and seen is None else None
    found = {"lastFailover": last, "lastCopy": newest or kept}
    return {**told, **{key: value for key, value in found.items() if value}}
