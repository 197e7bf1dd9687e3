"""Replication of a zone.

The conditions Reachable and InSync, and the remedy for a lagging slave. Pure.
"""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.federatedzone import FederatedZone, ZoneRole
from sovereigncloud.core.outcome import Outcome, retry, waiting
from sovereigncloud.core.plan import Action, Plan
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.federatedzone.manual_commands import to_catch_up
from sovereigncloud.kinds.federatedzone.observation import ZoneObservation
from sovereigncloud.kinds.federatedzone.records import Nudge, last_nudge
from sovereigncloud.kinds.federatedzone.settings import zone_title
from sovereigncloud.kinds.federatedzone.steps import NudgeZone
from sovereigncloud.ports.opennebula.zones import Answer, Mode, RaftState, Zone

REACHABLE, IN_SYNC = "Reachable", "InSync"
NUDGE_INTERVAL = 300
"""Seconds between two records that are written for a lagging slave."""
PATIENCE = 45
"""Seconds after such a record within which the slave may still catch up."""
_LOOK_AGAIN = 10.0

Json = dict[str, object]


# ----------------------------------------------------------------------------------------------------- what is to be done


def plan_replication(zone: FederatedZone, seen: ZoneObservation, thing: Zone, now: datetime) -> Plan:
    """Plan a member: check its servers and quorum, and nudge a lagging slave."""
    unreached = unreachable_reason(seen)
    if unreached:
        return Plan(outcome=retry(unreached, after=_LOOK_AGAIN, reason=Reason.ZONE_UNREACHABLE))
    if no_quorum := _no_quorum(seen):
        return Plan(outcome=_not_available(retry(no_quorum, after=_LOOK_AGAIN, reason=Reason.NO_QUORUM)))
    if zone.spec.role == ZoneRole.MASTER or not is_lagging(seen):
        return Plan()
    since = _seconds_since_vain_nudge(seen, thing, now)
    if since >= NUDGE_INTERVAL:
        return Plan(steps=(_nudge(seen, thing, now),), outcome=_catching_up(zone, seen))
    if since < PATIENCE:
        return Plan(outcome=_catching_up(zone, seen))
    return Plan(
        outcome=_not_available(retry(_lagging_message(seen), after=_LOOK_AGAIN, reason=Reason.REPLICATION_LAGGING))
    )


def _nudge(seen: ZoneObservation, thing: Zone, now: datetime) -> NudgeZone:
    return NudgeZone(
        action=Action.UPDATE,
        # The time of the last nudge makes each a distinct step, so that it does not count as one repeated without effect.
        target=f"record for {zone_title(thing)} to catch up with, after that of {last_nudge(thing.notes).at or 'never'}",
        needs=seen.master_side.needs,
        at=seen.master_side.cloud,
        zone=thing.id,
        nudge=Nudge(int(now.timestamp()), _index(seen) + _lag(seen)),
    )


def _seconds_since_vain_nudge(seen: ZoneObservation, thing: Zone, now: datetime) -> float:
    """Return seconds since the last nudge without effect; NUDGE_INTERVAL if it had an effect."""
    last = last_nudge(thing.notes)
    return NUDGE_INTERVAL if _index(seen) >= last.index else now.timestamp() - last.at


def _index(seen: ZoneObservation) -> int:
    found = seen.own.federation
    return found.in_step.index if found is not None and found.in_step is not None else -1


def _lag(seen: ZoneObservation) -> int:
    found = seen.own.federation
    return found.in_step.lag if found is not None and found.in_step is not None else 0


def _catching_up(zone: FederatedZone, seen: ZoneObservation) -> Outcome:
    master = where(seen.master_side.cloud)
    message = f"replication lags behind the master {master}; a record is written to make it catch up"
    return waiting(Reason.CATCHING_UP, message, after=_LOOK_AGAIN, available=zone.settled)


def _not_available(outcome: Outcome) -> Outcome:
    """Mark the outcome as not available, so that Ready becomes false."""
    return Outcome(outcome.phase, outcome.reason, outcome.message, after=outcome.after, available=False)


def is_lagging(seen: ZoneObservation) -> bool:
    federation = seen.own.federation
    return federation is not None and federation.in_step is not None and federation.in_step.behind


def lags_after_nudge(zone: FederatedZone, seen: ZoneObservation) -> bool:
    """Tell whether a slave still lags after PATIENCE since the last nudge."""
    thing, now = seen.found.thing, seen.read_at
    if thing is None or now is None or zone.spec.role == ZoneRole.MASTER or not is_lagging(seen):
        return False
    return PATIENCE <= _seconds_since_vain_nudge(seen, thing, now) < NUDGE_INTERVAL


def commands(seen: ZoneObservation) -> tuple[str, ...]:
    """Return the commands for a slave that still lags."""
    thing = seen.found.thing
    return to_catch_up(where(seen.own.cloud), where(seen.master_side.cloud), thing.endpoint if thing else "")


def _lagging_message(seen: ZoneObservation) -> str:
    own, master = where(seen.own.cloud), where(seen.master_side.cloud)
    thing = seen.found.thing
    return (
        f"{own} lags behind the master {master} although a record was written to make it catch up: this operator reaches both,"
        f" so {master} does not reach {own} at {thing.endpoint if thing else 'its endpoint'}. Fix the network between the two;"
        " if it works, run the commands in status.commands"
    )


# -------------------------------------------------------------------------------------------------------- who reaches whom


def unreachable_reason(seen: ZoneObservation) -> str:
    """Describe which cloud or server is unreachable; empty: all answer."""
    for side, what in ((seen.own, "the zone's cloud"), (seen.master, "the master")):
        if side is not None and side.view is None:
            return f"this operator does not reach {what} {where(side.cloud)}: {side.why or 'not read yet'}"
    found = seen.own.federation
    if found is None:
        return ""
    if found.in_step is not None and not found.in_step.master:
        return f"this operator does not reach the master {where(seen.master_side.cloud)}: {found.in_step.why}"
    gone = [one for one in found.answers if one.raft is None]
    return "; ".join(f"server {_describe_server(one)} does not answer: {one.why}" for one in gone)


def _describe_server(answer: Answer) -> str:
    return f'{answer.server.id} "{answer.server.name}" at {answer.server.endpoint or "no address"}'


def _no_quorum(seen: ZoneObservation) -> str:
    """Describe a missing quorum or leader; empty: none.

    Writes without a quorum block for ever (observed).
    """
    answers = seen.own.federation.answers if seen.own.federation else ()
    if len(answers) <= 1:
        return ""
    here = [one for one in answers if one.raft is not None]
    leaders = [one for one in here if one.raft is not None and one.raft.state is RaftState.LEADER]
    if 2 * len(here) <= len(answers):
        return f"only {len(here)} of {len(answers)} servers answer, which is no majority: nothing can be written"
    return "" if leaders else f"none of the {len(answers)} servers leads: nothing can be written until one is elected"


# ------------------------------------------------------------------------------------------------------------ conditions


def conditions(zone: FederatedZone, seen: ZoneObservation) -> tuple[Json, ...]:
    """Return the conditions Reachable and InSync; the last ones if a problem prevents reading."""
    if seen.problem is not None and seen.own.view is None:
        return tuple(
            {"type": kind, "status": str(known.status), "reason": known.reason, "message": known.message}
            for kind in (REACHABLE, IN_SYNC)
            if (known := zone.status.condition(kind)) is not None
        )
    return _reachable(seen), _in_sync(zone, seen)


def _reachable(seen: ZoneObservation) -> Json:
    words = unreachable_reason(seen)
    if words:
        return _condition(REACHABLE, "False", Reason.ZONE_UNREACHABLE, words)
    number = len(seen.own.federation.answers) if seen.own.federation else 0
    return _condition(
        REACHABLE,
        "True",
        Reason.ALL_ZONES_REACHABLE,
        f"{number} of its servers answer" if number else "the zone answers",
    )


def _in_sync(zone: FederatedZone, seen: ZoneObservation) -> Json:
    mode, found = seen.own.mode, seen.own.federation
    wanted = Mode.MASTER if zone.spec.role == ZoneRole.MASTER else Mode.SLAVE
    if found is None or mode is None:
        why = seen.own.why or (found.problem if found is not None else "") or "not read yet"
        return _condition(IN_SYNC, "Unknown", Reason.ZONE_UNREACHABLE, f"{where(seen.own.cloud)} does not say: {why}")
    if mode is not wanted or (wanted is Mode.SLAVE and not found.imported):
        says = f"{where(seen.own.cloud)} is no {wanted.lower()} yet: its configuration says {mode}"
        return _condition(IN_SYNC, "False", Reason.NOT_FEDERATED, says)
    if no_quorum := _no_quorum(seen):
        return _condition(IN_SYNC, "False", Reason.NO_QUORUM, no_quorum)
    if wanted is Mode.MASTER:
        return _condition(IN_SYNC, "True", Reason.IN_SYNC, "the zone is the master of its federation")
    if found.in_step is None or not found.in_step.master:
        return _condition(
            IN_SYNC, "Unknown", Reason.ZONE_UNREACHABLE, unreachable_reason(seen) or "the master was not asked"
        )
    if not found.in_step.behind:
        return _condition(IN_SYNC, "True", Reason.IN_SYNC, f"in sync with the master {where(seen.master_side.cloud)}")
    if lags_after_nudge(zone, seen):
        return _condition(IN_SYNC, "False", Reason.REPLICATION_LAGGING, _lagging_message(seen))
    return _condition(IN_SYNC, "False", Reason.CATCHING_UP, f"replication lags behind {where(seen.master_side.cloud)}")


def _condition(kind: str, status: str, reason: Reason, message: str) -> Json:
    return {"type": kind, "status": status, "reason": str(reason), "message": message}
