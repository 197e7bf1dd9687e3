"""What can be done to a zone, and how each of it is done: one call that is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.federatedzone import FederatedZone
from sovereigncloud.core.outcome import Outcome, Phase, done
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.federatedzone.observation import ZONE
from sovereigncloud.kinds.federatedzone.records import NUDGE_NOTE, RECORD_NOTE, WORDS_NOTE, Nudge, Record
from sovereigncloud.ports.installer.federation import FederationChange
from sovereigncloud.ports.opennebula.zones import VdcPart, Zones

_LOOK_AGAIN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneStep(Step):
    """`at`: the cloud whose front-end is asked."""

    at: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateZone(ZoneStep):
    name: str
    endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OnZone(ZoneStep):
    zone: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkZone(OnZone):
    """Write down whose it is: a zone from before the cluster was rebuilt, or that a person made."""

    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameZone(OnZone):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressZone(OnZone):
    """Set one of its addresses. `key`: of the zone's template."""

    key: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableZone(OnZone):
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AddServer(OnZone):
    name: str
    endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveServer(OnZone):
    server: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NudgeZone(OnZone):
    """Give a slave that stays behind a record to catch up with: what it lacks comes with the next one (observed)."""

    nudge: Nudge


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMembership(OnZone):
    """Records the request, has the front-end changed, records that this was begun. `words`: that were carried out then."""

    change: FederationChange
    record: Record
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveVdc(OnZone):
    held: VdcPart


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteZone(OnZone):
    pass


async def perform(step: Step, zone: FederatedZone, context: Context) -> Outcome:
    """Do one step."""
    if not isinstance(step, ZoneStep):
        raise TypeError(f"not a step of a FederatedZone: {step!r}")
    zones = (await context.open_nebula(step.at)).zones
    if isinstance(step, AllocateZone):
        mark = context.mark(zone).for_opennebula()
        made = await zones.allocate({"NAME": step.name, "ENDPOINT": step.endpoint, **mark})
        return done(Reason.CREATED, f'zone {made} "{step.name}" was made at {where(step.at)}', **{ZONE: str(made)})
    if isinstance(step, ChangeMembership):
        return await _change(step, zones, context)
    if isinstance(step, OnZone):
        return await _on_zone(step, zone, zones, context)
    raise TypeError(f"not a step that can be done: {step!r}")


async def _on_zone(step: OnZone, zone: FederatedZone, zones: Zones, context: Context) -> Outcome:
    match step:
        case MarkZone():
            await zones.update(step.zone, context.mark(zone).for_opennebula())
            return done(Reason.TAKEN_OVER, f"{step.target} carries the mark of this object", **{ZONE: str(step.zone)})
        case RenameZone(name=name):
            await zones.rename(step.zone, name)
            return done(Reason.RENAMED, f'{step.target} is "{name}" now')
        case AddressZone(key=key, address=address):
            await zones.update(step.zone, {key: address})
            return done(Reason.UPDATED, f"{step.target} is {address} now")
        case EnableZone(enabled=enabled):
            await zones.enable(step.zone, enabled=enabled)
            return done(Reason.UPDATED, f"{step.target}: {'enabled' if enabled else 'disabled'}")
        case AddServer(name=name, endpoint=endpoint):
            await zones.add_server(step.zone, name, endpoint)
            return done(Reason.UPDATED, f"{step.target} is listed")
        case RemoveServer(server=server):
            await zones.remove_server(step.zone, server)
            return done(Reason.UPDATED, f"{step.target} is not listed any more")
        case NudgeZone(nudge=nudge):
            await zones.update(step.zone, {NUDGE_NOTE: nudge.text})
            return done(Reason.UPDATED, f"{step.target} was given a record to catch up with")
        case LeaveVdc(held=held):
            await zones.remove_vdc_part(held)
            return done()
        case DeleteZone():
            await zones.delete(step.zone)
            return done(Reason.DELETING, f"{step.target} was deleted")
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")


async def _change(step: ChangeMembership, zones: Zones, context: Context) -> Outcome:
    """The record first: whatever becomes of the Job, the zone tells that it was asked for."""
    await zones.update(step.zone, {RECORD_NOTE: step.record.text, WORDS_NOTE: step.words})
    await context.installer.federate(step.change)
    await zones.update(step.zone, {RECORD_NOTE: replace(step.record, begun=True).text})
    message = f"{step.target} was begun"
    return Outcome(Phase.WAITING, Reason.JOINING, message, after=_LOOK_AGAIN, events=((Reason.JOINING, message),))
