"""Whether a zone is reached, and whether it has what the others have; and what is done about a slave that stays behind. Pure."""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.federatedzone import FederatedZone, ZoneRole
from sovereigncloud.core.outcome import Outcome, retry, waiting
from sovereigncloud.core.plan import Action, Plan
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.federatedzone.manual_commands import to_catch_up
from sovereigncloud.kinds.federatedzone.observation import ZoneObservation
from sovereigncloud.kinds.federatedzone.records import Nudge, last_nudge
from sovereigncloud.kinds.federatedzone.settings import told
from sovereigncloud.kinds.federatedzone.steps import NudgeZone
from sovereigncloud.ports.opennebula.zones import Answer, Mode, RaftState, Zone

REACHABLE, IN_SYNC = "Reachable", "InSync"
NUDGED_AGAIN = 300
"""Seconds between two records that are written for the sake of a slave that stays behind."""
PATIENCE = 45
"""Seconds after such a record in which it may still catch up."""
_LOOK_AGAIN = 10.0

Json = dict[str, object]


# ----------------------------------------------------------------------------------------------------- what is to be done


def plan_health(zone: FederatedZone, seen: ZoneObservation, thing: Zone, now: datetime) -> Plan:
    """Of a member: its servers, and for a slave what it lacks."""
    unreached = unreached_words(seen)
    if unreached:
        return Plan(outcome=retry(unreached, after=_LOOK_AGAIN, reason=Reason.ZONE_UNREACHABLE))
    if no_quorum := _no_quorum(seen):
        return Plan(outcome=_of_its_own(retry(no_quorum, after=_LOOK_AGAIN, reason=Reason.NO_QUORUM)))
    if zone.spec.role == ZoneRole.MASTER or not is_behind(seen):
        return Plan()
    since = _since_a_nudge_in_vain(seen, thing, now)
    if since >= NUDGED_AGAIN:
        return Plan(steps=(_nudge(seen, thing, now),), outcome=_catching_up(zone, seen))
    if since < PATIENCE:
        return Plan(outcome=_catching_up(zone, seen))
    return Plan(outcome=_of_its_own(retry(_behind(seen), after=_LOOK_AGAIN, reason=Reason.REPLICATION_LAGGING)))


def _nudge(seen: ZoneObservation, thing: Zone, now: datetime) -> NudgeZone:
    return NudgeZone(
        action=Action.UPDATE,
        # With the last one it names: it is another step then, and not one that was done often and changed nothing.
        target=f"record for {told(thing)} to catch up with, after that of {last_nudge(thing.notes).at or 'never'}",
        needs=seen.keeper.needs,
        at=seen.keeper.cloud,
        zone=thing.id,
        nudge=Nudge(int(now.timestamp()), _index(seen) + _lag(seen)),
    )


def _since_a_nudge_in_vain(seen: ZoneObservation, thing: Zone, now: datetime) -> float:
    """Seconds since the last record that did not help. One that helped was for what was lacking before."""
    last = last_nudge(thing.notes)
    return NUDGED_AGAIN if _index(seen) >= last.index else now.timestamp() - last.at


def _index(seen: ZoneObservation) -> int:
    found = seen.own.federation
    return found.in_step.index if found is not None and found.in_step is not None else -1


def _lag(seen: ZoneObservation) -> int:
    found = seen.own.federation
    return found.in_step.lag if found is not None and found.in_step is not None else 0


def _catching_up(zone: FederatedZone, seen: ZoneObservation) -> Outcome:
    master = where(seen.keeper.cloud)
    message = f"lacks what was changed at the master {master}; it is given a record to catch up with"
    return waiting(Reason.CATCHING_UP, message, after=_LOOK_AGAIN, available=zone.settled)


def _of_its_own(outcome: Outcome) -> Outcome:
    """Ready does not stay true meanwhile."""
    return Outcome(outcome.phase, outcome.reason, outcome.message, after=outcome.after, available=False)


def is_behind(seen: ZoneObservation) -> bool:
    federation = seen.own.federation
    return federation is not None and federation.in_step is not None and federation.in_step.behind


def stays_behind(zone: FederatedZone, seen: ZoneObservation) -> bool:
    """Whether a record did not help."""
    thing, now = seen.found.thing, seen.moment
    if thing is None or now is None or zone.spec.role == ZoneRole.MASTER or not is_behind(seen):
        return False
    return PATIENCE <= _since_a_nudge_in_vain(seen, thing, now) < NUDGED_AGAIN


def commands(seen: ZoneObservation) -> tuple[str, ...]:
    """For a slave that stays behind."""
    thing = seen.found.thing
    return to_catch_up(where(seen.own.cloud), where(seen.keeper.cloud), thing.endpoint if thing else "")


def _behind(seen: ZoneObservation) -> str:
    own, master = where(seen.own.cloud), where(seen.keeper.cloud)
    thing = seen.found.thing
    return (
        f"{own} stays behind the master {master} although it was given a record to catch up with: this operator reaches both,"
        f" so {master} does not reach {own} at {thing.endpoint if thing else 'its endpoint'}. Mend the network between the two;"
        " where it is whole, type what status.commands lists"
    )


# -------------------------------------------------------------------------------------------------------- who reaches whom


def unreached_words(seen: ZoneObservation) -> str:
    """Who does not reach whom; empty: all that answer are all that there are."""
    for side, what in ((seen.own, "the zone's cloud"), (seen.master, "the master")):
        if side is not None and side.view is None:
            return f"this operator does not reach {what} {where(side.cloud)}: {side.why or 'not read yet'}"
    found = seen.own.federation
    if found is None:
        return ""
    if found.in_step is not None and not found.in_step.master:
        return f"this operator does not reach the master {where(seen.keeper.cloud)}: {found.in_step.why}"
    gone = [one for one in found.answers if one.raft is None]
    return "; ".join(f"server {_server(one)} does not answer: {one.why}" for one in gone)


def _server(answer: Answer) -> str:
    return f'{answer.server.id} "{answer.server.name}" at {answer.server.endpoint or "no address"}'


def _no_quorum(seen: ZoneObservation) -> str:
    """Without a majority nothing is written, and whoever writes waits for ever without a word (observed)."""
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
    """Reachable and InSync. While the cloud cannot be read, what was said of it stays but for that."""
    if seen.problem is not None and seen.own.view is None:
        return tuple(
            {"type": kind, "status": str(known.status), "reason": known.reason, "message": known.message}
            for kind in (REACHABLE, IN_SYNC)
            if (known := zone.status.condition(kind)) is not None
        )
    return _reachable(seen), _in_sync(zone, seen)


def _reachable(seen: ZoneObservation) -> Json:
    words = unreached_words(seen)
    if words:
        return _condition(REACHABLE, "False", Reason.ZONE_UNREACHABLE, words)
    number = len(seen.own.federation.answers) if seen.own.federation else 0
    return _condition(
        REACHABLE, "True", Reason.ALL_ZONES_REACHABLE, f"{number} of its servers answer" if number else "it answers"
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
        return _condition(IN_SYNC, "True", Reason.IN_SYNC, "it is the master, which the others follow")
    if found.in_step is None or not found.in_step.master:
        return _condition(
            IN_SYNC, "Unknown", Reason.ZONE_UNREACHABLE, unreached_words(seen) or "the master was not asked"
        )
    if not found.in_step.behind:
        return _condition(IN_SYNC, "True", Reason.IN_SYNC, f"it has what the master {where(seen.keeper.cloud)} has")
    if stays_behind(zone, seen):
        return _condition(IN_SYNC, "False", Reason.REPLICATION_LAGGING, _behind(seen))
    return _condition(IN_SYNC, "False", Reason.CATCHING_UP, f"it lacks what was changed at {where(seen.keeper.cloud)}")


def _condition(kind: str, status: str, reason: Reason, message: str) -> Json:
    return {"type": kind, "status": status, "reason": str(reason), "message": message}
