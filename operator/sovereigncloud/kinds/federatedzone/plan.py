"""The plan of a FederatedZone: made, a member, as declared, in step with its master; or taken out of the federation. Pure."""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.federatedzone import FederatedZone, ZoneRole
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, Phase, blocked, merge, retry, stalled, waiting
from sovereigncloud.core.plan import LOST_PATH, Action, Cause, Drift, Plan
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.federatedzone.installer_request import is_pending, wanted_change
from sovereigncloud.kinds.federatedzone.join import plan_change
from sovereigncloud.kinds.federatedzone.observation import ZONE, ZoneObservation, is_left_alone
from sovereigncloud.kinds.federatedzone.records import read_record
from sovereigncloud.kinds.federatedzone.settings import endpoint_wanted, plan_upkeep, told
from sovereigncloud.kinds.federatedzone.steps import AllocateZone, DeleteZone, LeaveVdc
from sovereigncloud.kinds.federatedzone.sync import plan_health, unreached_words
from sovereigncloud.kinds.identity.identification import foreign, written
from sovereigncloud.ports.opennebula.zones import Mode, Zone

_LOOK_AGAIN = 10.0


def plan(zone: FederatedZone, seen: ZoneObservation, now: datetime) -> Plan:
    """All differences, the steps, and what the zone says."""
    if is_left_alone(zone):
        return Plan()
    if seen.problem is not None:
        gone = zone.deleting and ZONE not in zone.external and seen.problem.phase is not Phase.RETRY
        return Plan() if gone else Plan(outcome=seen.problem)
    if zone.deleting:
        return _leave(zone, seen, now)
    return _master(zone, seen, now) if zone.spec.role == ZoneRole.MASTER else _slave(zone, seen, now)


# ------------------------------------------------------------------------------------------------------------ a master


def _master(zone: FederatedZone, seen: ZoneObservation, now: datetime) -> Plan:
    thing, mode = seen.found.thing, seen.own.mode
    if (unread := _unread(zone, seen, now)) is not None:
        return unread
    if mode is Mode.SLAVE:
        return Plan(
            outcome=_wrong_role(seen, "is a slave", "leave that federation first, or make it a zone with role: Slave")
        )
    if thing is None:
        return Plan(outcome=blocked(f"the zones of {where(seen.own.cloud)} are not read yet"))
    upkeep = plan_upkeep(zone, seen, thing, member=True)
    # Addressed first: a slave is told this address, and the master itself is reached under it.
    after = plan_change(zone, seen, thing, now) if mode is Mode.STANDALONE else plan_health(zone, seen, thing, now)
    return _both(upkeep, after)


# ------------------------------------------------------------------------------------------------------------- a slave


def _slave(zone: FederatedZone, seen: ZoneObservation, now: datetime) -> Plan:
    thing, mode, number = seen.found.thing, seen.own.mode, seen.own.federation
    if (unread := _unread(zone, seen, now)) is not None:
        return unread
    if (waits := _no_master(seen)) is not None:
        return Plan(outcome=waits)
    if mode is Mode.MASTER:
        return Plan(outcome=_wrong_role(seen, "is the master of a federation", "make it a zone with role: Master"))
    if seen.found.problem is not None:
        return Plan(outcome=seen.found.problem)
    if thing is None:
        return _none_yet(zone, seen)
    if mode is Mode.SLAVE and number is not None and number.config.zone != thing.id:
        wrong = f"is zone {number.config.zone} of the federation of {number.config.master or 'another master'}"
        return Plan(outcome=_wrong_role(seen, wrong, f"take it out of there; it is to be {told(thing)}"))
    pending = is_pending(zone, number, thing.id)
    upkeep = plan_upkeep(zone, seen, thing, member=not pending)
    after = plan_change(zone, seen, thing, now) if pending else plan_health(zone, seen, thing, now)
    recorded = Outcome(facts={ZONE: str(thing.id)}) if zone.external.get(ZONE) != str(thing.id) else Outcome()
    return _both(upkeep, Plan(after.drift, after.steps, merge((after.outcome, recorded))))


def _no_master(seen: ZoneObservation) -> Outcome | None:
    """Why the master does not let a slave be looked after: it lists the zones."""
    master = seen.master
    if master is None or master.view is None:
        return retry(unreached_words(seen), after=_LOOK_AGAIN, reason=Reason.ZONE_UNREACHABLE)
    name = seen.master_zone.metadata.name if seen.master_zone else ""
    if master.federation is not None and master.federation.problem:
        return blocked(f"FederatedZone {name} cannot be read: {master.federation.problem}")
    if master.mode is not Mode.MASTER:
        return blocked(
            f"FederatedZone {name} is no master yet: {where(master.cloud)} says {master.mode or 'nothing yet'}"
        )
    return None


def _none_yet(zone: FederatedZone, seen: ZoneObservation) -> Plan:
    """The mark is in the call that makes it, so an answer that was lost is found by it."""
    name, place = zone.outside_name, where(seen.keeper.cloud)
    there = seen.keeper.federation
    taken = next((one for one in (there.zones.values() if there else ()) if one.name == name), None)
    if taken is not None:
        return Plan(outcome=_taken(taken, seen, place))
    drift: tuple[Drift, ...] = ()
    if seen.found.missing is not None:
        drift = (Drift(LOST_PATH, f'zone "{name}" at {place}', f"zone {seen.found.missing} was deleted"),)
    step = AllocateZone(
        action=Action.CREATE,
        target=f'zone "{name}" at {place}',
        fields=tuple(d.path for d in drift),
        cause=Cause.OBSERVED if drift else Cause.DECLARED,
        needs=seen.keeper.needs,
        at=seen.keeper.cloud,
        name=name,
        endpoint=endpoint_wanted(zone, seen),
    )
    return Plan(drift=drift, steps=(step,), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _taken(taken: Zone, seen: ZoneObservation, place: str) -> Outcome:
    mark: Mark = seen.mark
    if ownership(taken.mark, mark) is Ownership.FOREIGN:
        return foreign(taken, "zone")
    whose = f"it is that of {taken.mark.object.replace('/', ' ', 1)}" if taken.mark else "a person made it"
    at = f" at {taken.endpoint}" if taken.endpoint else ""
    return stalled(
        Reason.NAME_TAKEN,
        f"{told(taken)}{at} is listed by {place} already: {whose}. Set spec.name to another name; or, if it is this one, add"
        f" to its template: {written(mark)}",
    )


# ------------------------------------------------------------------------------------------------------------- leaving


def _leave(zone: FederatedZone, seen: ZoneObservation, now: datetime) -> Plan:
    """Its clusters leave all VDCs, it becomes a cloud of its own, and then nobody lists it any more: nothing is orphaned."""
    thing = seen.found.thing
    if seen.master is None or seen.master.view is None:
        return Plan(outcome=retry(unreached_words(seen), after=_LOOK_AGAIN, reason=Reason.ZONE_UNREACHABLE))
    if seen.master.federation is None or seen.master.federation.problem:
        why = seen.master.federation.problem if seen.master.federation is not None else "not read yet"
        return Plan(outcome=retry(f"the zones of {where(seen.master.cloud)} cannot be read: {why}", after=_LOOK_AGAIN))
    if seen.found.problem is not None:
        return Plan(outcome=seen.found.problem)
    if thing is None:
        return Plan()
    leaving = tuple(
        LeaveVdc(
            action=Action.UPDATE,
            target=f"VDC {part.vdc}: {part.member} {part.id} of zone {part.zone} leaves",
            needs=seen.keeper.needs,
            at=seen.keeper.cloud,
            zone=thing.id,
            held=part,
        )
        for part in seen.parts
    )
    if leaving:
        return Plan(
            steps=leaving, outcome=waiting(Reason.DELETING, f"{told(thing)} leaves {len(leaving)} places in VDCs")
        )
    pending = is_pending(zone, seen.own.federation, thing.id)
    if seen.own.view is None and read_record(thing.notes) is None:
        return Plan(
            outcome=retry(
                f"{unreached_words(seen)}; {told(thing)} is deleted once the cloud is none of the federation any more. To leave"
                " all as it is: set spec.deletionPolicy: Retain",
                after=_LOOK_AGAIN,
                reason=Reason.ZONE_UNREACHABLE,
            )
        )
    if pending:
        return plan_change(zone, seen, thing, now)
    step = DeleteZone(
        action=Action.DELETE, target=told(thing), needs=seen.keeper.needs, at=seen.keeper.cloud, zone=thing.id
    )
    return Plan(steps=(step,), outcome=waiting(Reason.DELETING, f"{told(thing)} is to be deleted"))


# -------------------------------------------------------------------------------------------------------------- either


def _unread(zone: FederatedZone, seen: ZoneObservation, now: datetime) -> Plan | None:
    """Why nobody can say what the cloud is. One that is being changed does not answer for a while."""
    found, thing = seen.own.federation, seen.found.thing
    if seen.own.view is None:
        record = read_record(thing.notes) if thing is not None else None
        if thing is not None and record is not None and record.change is wanted_change(zone) and seen.job is not None:
            return plan_change(zone, seen, thing, now)
        return Plan(outcome=retry(unreached_words(seen), after=_LOOK_AGAIN, reason=Reason.ZONE_UNREACHABLE))
    if found is None:
        return Plan(outcome=waiting(Reason.OBSERVING, f"the federation of {where(seen.own.cloud)} is being read"))
    if found.problem:
        told_ = f"only oneadmin may see what {where(seen.own.cloud)} is in its federation: {found.problem}"
        return Plan(outcome=stalled(Reason.CREDENTIALS_REJECTED, told_, after=60.0))
    return None


def _wrong_role(seen: ZoneObservation, what: str, remedy: str) -> Outcome:
    return stalled(Reason.WRONG_FEDERATION, f"{where(seen.own.cloud)} {what}: {remedy}", after=60.0)


def _both(upkeep: Plan, after: Plan) -> Plan:
    return Plan(
        drift=(*upkeep.drift, *after.drift),
        steps=(*upkeep.steps, *after.steps),
        outcome=merge((upkeep.outcome, after.outcome)),
    )
