"""What no call of OpenNebula does: a cloud becomes a member of a federation, or none again. What is to be done about it, pure.

Each word in spec asks once. It is recorded on the zone, where the master keeps it, before the Job is made, so a Job that is
missing never means that there was none. Whether it is done is told by nothing but the configuration of the cloud itself, so
a person may do it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.federatedzone import FederatedZone
from sovereigncloud.core.outcome import Outcome, held, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.federatedzone.installer_request import is_pending, wanted_change, word_of
from sovereigncloud.kinds.federatedzone.manual_commands import to_change
from sovereigncloud.kinds.federatedzone.observation import ZoneObservation
from sovereigncloud.kinds.federatedzone.records import Record, read_record, was_used, words_with
from sovereigncloud.kinds.federatedzone.steps import ChangeMembership
from sovereigncloud.ports.installer.federation import Change
from sovereigncloud.ports.installer.installation import InstallState
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.opennebula.zones import SOLO, Mode, Zone

_CERTAIN = 3600
"""Seconds after which a Job that nobody knows was there, and one that is over without effect had none."""
_LOOK_AGAIN = 5.0
_ADMINISTRATOR = 0
_SHOWN = 10
_JOIN = "spec.join"
_CONSENT = f"{_JOIN}.replaceUsersGroupsVDCs: Accept"


class _Owned(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def owner(self) -> int: ...


def plan_change(zone: FederatedZone, seen: ZoneObservation, thing: Zone, now: datetime) -> Plan:
    """What to do so that the cloud becomes what it is to be; it is not that yet, or not any more."""
    plan, mode = _change(zone, seen, thing, now), seen.own.mode
    if not zone.settled or zone.deleting or mode is None:
        return plan
    return replace(plan, drift=(Drift("spec.role", zone.spec.role, mode.capitalize()),))


def _change(zone: FederatedZone, seen: ZoneObservation, thing: Zone, now: datetime) -> Plan:
    change, word = wanted_change(zone), word_of(zone)
    if change is Change.SLAVE:
        if (unlike := _unlike(seen)) is not None:
            return Plan(outcome=unlike)
        if strangers := belongings(seen.own.view):
            return Plan(outcome=_refused(seen, strangers))
        if not has_consent(zone):
            return Plan(outcome=_asks(zone))
    record = read_record(thing.notes)
    if record is not None and (record.change, record.word) == (change, word):
        return _follow(seen, thing, record, now)
    if seen.change is None:
        return Plan(outcome=_manual(seen))
    if was_used(thing.notes, change, word):
        return Plan(outcome=_asks(zone, "the word was used before: "))
    begin = _begin(seen, thing, Record(change, word, int(now.timestamp())))
    if not zone.settled or zone.deleting:
        return Plan(steps=(begin,))
    # It was a member, and somebody made it none: that is a difference like any other, which driftPolicy speaks of.
    return Plan(steps=(replace(begin, fields=("spec.role",), cause=Cause.OBSERVED),))


def commands(zone: FederatedZone, seen: ZoneObservation) -> tuple[str, ...]:
    """What a person types, where the operator is not let in."""
    thing, change = seen.found.thing, wanted_change(zone)
    if thing is None or seen.change is not None or not is_pending(zone, seen.own.federation, thing.id):
        return ()
    if change is Change.SLAVE and (not has_consent(zone) or belongings(seen.own.view)):
        return ()
    there = where(seen.master.cloud) if seen.master is not None else ""
    found = seen.own.federation
    server = found.config.server if found is not None else SOLO
    return to_change(change, where(seen.own.cloud), thing.id, seen.address, there, server)


def has_consent(zone: FederatedZone) -> bool:
    return zone.spec.join is not None and zone.spec.join.replace_users_groups_vdcs == "Accept"


def belongings(view: CloudView | None) -> tuple[str, ...]:
    """What would belong to nobody once the users are replaced. oneadmin is the same in every OpenNebula."""
    return () if view is None else tuple(_of_others(view))


def _of_others(view: CloudView) -> Iterator[str]:
    pools: tuple[tuple[str, Mapping[int, _Owned]], ...] = (
        ("VM", view.vms),
        ("image", view.images),
        ("network", view.networks),
        ("template", view.templates),
    )
    for noun, pool in pools:
        for thing in sorted(pool.values(), key=lambda one: one.id):
            if thing.owner != _ADMINISTRATOR:
                yield f'{noun} {thing.id} "{thing.name}" of user {thing.owner}'


def _begin(seen: ZoneObservation, thing: Zone, record: Record) -> ChangeMembership:
    change = seen.change
    if change is None:
        raise ValueError("nothing can be begun where nobody is let in")
    words = {
        Change.MASTER: "becomes the master of a federation",
        Change.SLAVE: f"becomes the slave of {where(seen.master.cloud) if seen.master else 'its master'}",
        Change.STANDALONE: "leaves its federation",
    }
    return ChangeMembership(
        action=Action.INSTALL,
        target=f"{where(seen.own.cloud)} {words[record.change]}",
        fields=() if record.change is not Change.SLAVE else (f"{_JOIN}.request",),
        needs=seen.keeper.needs,
        at=seen.keeper.cloud,
        zone=thing.id,
        change=change,
        record=record,
        words=words_with(thing.notes, record.change, record.word),
    )


def _follow(seen: ZoneObservation, thing: Zone, record: Record, now: datetime) -> Plan:
    """What becomes of a request that was recorded."""
    job = seen.job or InstallState("Absent")
    age = now.timestamp() - record.at
    what = where(seen.own.cloud)
    match job.state:
        case "Running":
            return Plan(outcome=waiting(Reason.JOINING, f"{what} is being changed: {job.message}", after=_LOOK_AGAIN))
        case "Failed":
            return Plan(
                outcome=stalled(
                    Reason.JOIN_FAILED,
                    f"{what} could not be made {_as(record)}: {job.message}. What it was before is kept on its front-end, in"
                    " /var/lib/one/before-federation-*, and put back where a task failed. To try again: mend the cause and set"
                    f" {_JOIN}.request to a new word",
                    after=60.0,
                )
            )
        case "Absent" if not record.begun and age < _CERTAIN and seen.change is not None:
            return Plan(steps=(_begin(seen, thing, record),))
        case "Succeeded" if age < _CERTAIN:
            message = f"{what} was made {_as(record)}; waiting until its front-end says so"
            return Plan(outcome=waiting(Reason.WAITING_FOR_FRONTEND, message))  # until it is read: often
        case _:
            return Plan(outcome=_unknown(seen, record))


def _as(record: Record) -> str:
    return {Change.MASTER: "a master", Change.SLAVE: "a slave", Change.STANDALONE: "a cloud of its own"}[record.change]


def _unknown(seen: ZoneObservation, record: Record) -> Outcome:
    says = seen.own.mode or "nothing"
    return stalled(
        Reason.JOIN_UNKNOWN,
        f"{where(seen.own.cloud)} was to be made {_as(record)} by the word {record.word}, nothing of that is under way, and"
        f" its configuration says {says}. Look at its front-end, and set {_JOIN}.request to a new word to do it again",
        after=60.0,
    )


def _refused(seen: ZoneObservation, strangers: tuple[str, ...]) -> Outcome:
    more = f" and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else ""
    return stalled(
        Reason.JOIN_REFUSED,
        f"{where(seen.own.cloud)} cannot become a slave: its users are replaced by the master's, and these belong to users"
        f" that would be gone: {', '.join(strangers[:_SHOWN])}{more}. Delete them there, or give them to oneadmin (user 0)",
        after=60.0,
    )


def _unlike(seen: ZoneObservation) -> Outcome | None:
    """A copy of one kind of database is none of another."""
    there = seen.master.federation if seen.master is not None else None
    own = seen.own.federation
    ours, masters = (found.config.backend if found is not None else "" for found in (own, there))
    if not ours or not masters or ours == masters:
        return None
    return stalled(
        Reason.JOIN_REFUSED,
        f"{where(seen.own.cloud)} has its database in {ours} and its master in {masters}: OpenNebula takes over the shared tables"
        " of the same kind of database only. Move one of the two (onedb sqlite2mysql)",
        after=300.0,
    )


def _asks(zone: FederatedZone, why: str = "") -> Outcome:
    missing = f"{_JOIN}: {{request: A-WORD, replaceUsersGroupsVDCs: Accept}}" if zone.spec.join is None else _CONSENT
    if why:
        missing = f"{_JOIN}.request to a new word"
    return held(
        Reason.APPROVAL_REQUIRED,
        f"{why}the users, groups and VDCs of the cloud are replaced by the master's when it joins; set {missing} to have that"
        " done",
        available=False,
    )


def _manual(seen: ZoneObservation) -> Outcome:
    """Nobody but a person gets to that front-end."""
    mode = seen.own.mode
    says = (
        f"its configuration says {mode}"
        if mode is not None and mode is not Mode.SLAVE
        else "its database is not joined"
    )
    several = seen.own.federation is not None and seen.own.federation.config.server != SOLO
    remedy = (
        "it has several front-ends, which only a person changes: type what status.commands lists"
        if several
        else "the operator cannot log in there: type what status.commands lists, or set spec.existing.ssh of the clouds"
    )
    return held(
        Reason.MANUAL_STEP_REQUIRED,
        f"{where(seen.own.cloud)}: {says}, and {remedy}. It goes on by itself once the configuration says that it is done",
        available=False,
    )
