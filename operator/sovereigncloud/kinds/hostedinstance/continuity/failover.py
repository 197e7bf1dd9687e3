"""Starting a machine elsewhere when its cloud is lost, and what is said of that beforehand. Pure."""

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
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.fencing.confirmation import Proof
from sovereigncloud.kinds.fencing.outage_tolerance import tolerated, until_overdue
from sovereigncloud.kinds.hostedinstance.continuity.failover_readiness import Elsewhere, name_of_failover
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.movement.requests import MakeMove, migration

FAILOVER_READY = "FailoverReady"
_AGAIN = 15.0
"""Seconds after which it is looked again whether something of what lacks is there: most of it tells of itself."""


def plan_failover(resource: HostedInstance, seen: Elsewhere, now: datetime) -> Plan:
    """Of a machine whose cloud is lost: patience, then everything that is needed, then one move."""
    if seen.move is not None:
        return Plan(outcome=_of_the_move(seen))
    left = until_overdue(resource, seen.lost, now)
    if left > 0:
        return Plan(outcome=_patience(resource, seen, left))
    gaps = [gap for gap in _gaps(seen, seen.proof) if gap[0] is not Reason.COPY_TOO_OLD]
    if gaps or seen.target is None:
        reason, told = gaps[0] if gaps else (Reason.NO_COMPLIANT_TARGET, seen.refused)
        told = "; ".join(message for _, message in gaps) or told
        message = f"{where(seen.home)} is lost since {seen.lost}, and the machine is not started elsewhere: {told}"
        outcome = blocked(message, reason=reason)
        return Plan(outcome=Outcome(outcome.phase, outcome.reason, outcome.message, after=_AGAIN))
    name = name_of_failover(resource, seen.lost)
    step = MakeMove(
        action=Action.CREATE,
        target=f"InstanceMigration {name}, which starts it in {where(seen.target)} from {seen.copy}",
        disruption=Disruption.NONE,
        manifest=migration(name, resource.key, seen.target, source_state=SourceState.LOST, owner=resource),
    )
    told = (
        f"{where(seen.home)} is lost since {seen.lost}: the machine is started in {where(seen.target)} from {seen.copy}"
    )
    return Plan(steps=(step,), outcome=waiting(Reason.MOVING, told))


def _of_the_move(seen: Elsewhere) -> Outcome:
    move = seen.move
    if move is not None and move.failed:
        message = f"InstanceMigration {move.name} was to start it elsewhere, and failed: {move.failed}. Delete that object to have it tried again"
        return held(Reason.MOVE_FAILED, message, available=False)
    name, says = (move.name, move.says) if move is not None else ("", "")
    return waiting(Reason.MOVING, f"InstanceMigration {name} starts it elsewhere" + (f": {says}" if says else ""))


def _patience(resource: HostedInstance, seen: Elsewhere, left: float) -> Outcome:
    until = datetime.fromisoformat(seen.lost) + timedelta(seconds=tolerated(resource))
    message = f"{where(seen.home)} does not answer since {seen.lost}; that is borne until {timestamp(until)}, then the machine starts elsewhere"
    return Outcome(Phase.RETRY, Reason.CLOUD_UNREACHABLE, message, after=left + 1.0)


# ------------------------------------------------------------------------------------------------------------ beforehand


def _gaps(seen: Elsewhere, proof: Proof) -> Iterator[tuple[Reason, str]]:
    """What lacks, the most needed first, each with what to do. `proof`: that its old place is dead, or could be proven so."""
    outside = [copy for copy in seen.copies if copy.outside]
    if not seen.copies:
        yield (
            Reason.NO_COPY,
            "there is no copy of it: set spec.backup with a store whose server is outside its cloud, and a schedule",
        )
    elif not outside:
        yield (
            Reason.COPY_INSIDE_CLOUD,
            f"its copies are in {where(seen.home)} and would be lost with it: name a store on a server outside in spec.backup",
        )
    if seen.refused:
        yield Reason.NO_COMPLIANT_TARGET, f"there is no cloud to start it in: {seen.refused}"
    if not proof.dead:
        yield Reason.NO_FENCING, proof.why
    if seen.too_old and seen.copy is not None:
        yield Reason.COPY_TOO_OLD, f"its newest copy, {seen.copy}, is older than spec.continuity.rpo"


def failover_ready(resource: HostedInstance, observed: InstanceObservation) -> tuple[Mapping[str, str], ...]:
    """The condition, as far as it can be told; else as it was told."""
    if resource.spec.continuity is None or resource.deleting:
        return ()
    seen = observed.elsewhere
    if seen is None or seen.move is not None:
        before = resource.status.condition(FAILOVER_READY)
        if before is None:
            return ()
        return _condition(before.status == "True", before.reason, before.message)
    gaps = list(_gaps(seen, seen.provable))
    if gaps:
        return _condition(False, gaps[0][0], "; ".join(message for _, message in gaps) + _slow(resource, seen))
    clouds = " or ".join(seen.allowed)
    told = f"it could be started in {clouds} from {seen.copy}; {seen.provable.why}{_slow(resource, seen)}"
    return _condition(True, Reason.FAILOVER_POSSIBLE, told)


def _condition(true: bool, reason: str, message: str) -> tuple[Mapping[str, str], ...]:
    return ({"type": FAILOVER_READY, "status": str(true), "reason": reason, "message": message},)


def _slow(resource: HostedInstance, seen: Elsewhere) -> str:
    """Whether the last time took longer than is allowed."""
    rto = resource.spec.continuity.rto if resource.spec.continuity is not None else None
    took = seen.last.get("rtoSeconds") if seen.last is not None else None
    if rto is None or not isinstance(took, int) or took <= seconds(rto):
        return ""
    return f"; the last failover took {took} s, longer than spec.continuity.rto: {rto}"


def failover_status(
    resource: HostedInstance, observed: InstanceObservation, told: Mapping[str, object]
) -> dict[str, object]:
    """What status.continuity says beside the copies that `told` has."""
    if resource.spec.continuity is None:
        return dict(told)
    seen = observed.elsewhere
    known = resource.status.continuity.last_failover if resource.status.continuity is not None else None
    before = known.model_dump(by_alias=True, exclude_none=True) if known is not None else None
    last = seen.last if seen is not None else before
    copies = seen.copies if seen is not None else ()
    newest = max((copy.time for copy in copies if copy.outside), default=None)
    kept = resource.status.continuity.last_copy if resource.status.continuity is not None and seen is None else None
    found = {"lastFailover": last, "lastCopy": newest or kept}
    return {**told, **{key: value for key, value in found.items() if value}}
