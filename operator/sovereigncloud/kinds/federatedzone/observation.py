"""What is read for a FederatedZone: its cloud, its master's, and while one becomes a member, how far that is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.federatedzone import FederatedZone, ZoneRole
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, blocked, stalled
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import (
    needs_management,
    no_such,
    not_allowed,
    not_answering_yet,
    referred,
    where,
)
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of
from sovereigncloud.kinds.federatedzone.installer_request import change_of, is_pending
from sovereigncloud.kinds.federatedzone.records import read_record
from sovereigncloud.kinds.identity.identification import Identified, identify
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.installer.federation import FederationChange
from sovereigncloud.ports.installer.installation import InstallState
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.opennebula.zones import FIRST, SOLO, FederationView, Mode, VdcPart, Zone

ZONE = "zone"
"""The key of `status.external` for the number of a slave's zone."""


@dataclass(frozen=True, slots=True)
class Side:
    """A cloud of the federation.

    Attributes:
        endpoint: where it answers.
        why: it cannot be read.
        needs: what lets it be written to, where it is only observed.
    """

    cloud: Key
    resource: SovereignCloud | None = None
    endpoint: str = ""
    view: CloudView | None = None
    why: str = ""
    needs: str = ""

    @property
    def federation(self) -> FederationView | None:
        return self.view.federation if self.view is not None else None

    @property
    def mode(self) -> Mode | None:
        """What its configuration says; None: nobody could look."""
        found = self.federation
        return found.config.mode if found is not None and not found.problem else None


@dataclass(frozen=True, slots=True)
class ZoneObservation:
    """What was read for one zone.

    Attributes:
        problem: why nothing can be looked at.
        master: of a slave: the cloud of its master; `master_zone` is the object, `address` is under what it is reached.
        found: the zone, where the federation lists it.
        proven: the configuration of the cloud itself says that it is this one, whatever mark it carries.
        change, job: what would be asked to make the cloud a member, or none, and what became of it; no change: the operator
            is not let in there.
        parts: what VDCs have in a zone that is to be deleted.
        moment: the time, where it matters: of one that is behind.
    """

    mark: Mark
    own: Side
    problem: Outcome | None = None
    master: Side | None = None
    master_zone: FederatedZone | None = None
    address: str = ""
    found: Identified[Zone] = field(default_factory=Identified)
    proven: bool = False
    change: FederationChange | None = None
    job: InstallState | None = None
    parts: tuple[VdcPart, ...] = ()
    moment: datetime | None = None

    @property
    def keeper(self) -> Side:
        """Where the list of zones is changed."""
        return self.master or self.own


def is_left_alone(zone: FederatedZone) -> bool:
    """Whether it goes without anything being done outside. A master stays what it is: its slaves were asked to leave before."""
    keeps = zone.deletion_policy is DeletionPolicy.RETAIN or zone.spec.role == ZoneRole.MASTER
    return zone.deleting and keeps


async def look(zone: FederatedZone, context: Context) -> ZoneObservation:
    """Reads only."""
    cloud = referred(zone.spec.cloud_ref, zone.metadata.namespace)
    seen = ZoneObservation(context.mark(zone), Side(cloud))
    if is_left_alone(zone):
        return seen
    problem = not_allowed(cloud, zone.metadata.namespace, "spec.cloudRef") or not_answering_yet(cloud, context)
    problem = problem or _twice(zone, cloud, context)
    if problem is not None:
        return replace(seen, problem=problem)
    seen = replace(seen, own=await _side(cloud, context))
    seen = await _with_master(zone, seen, context) if zone.spec.role == ZoneRole.SLAVE else _as_master(seen)
    federation = seen.own.federation
    if federation is not None and federation.in_step is not None and federation.in_step.behind:
        seen = replace(seen, moment=context.now)
    return await _with_change(zone, seen, context)


def _twice(zone: FederatedZone, cloud: Key, context: Context) -> Outcome | None:
    """A cloud is one zone."""
    others = [
        other.metadata.name
        for other in context.users(cloud, FederatedZone.crd.kind)
        if isinstance(other, FederatedZone)
        and other.key < zone.key
        and referred(other.spec.cloud_ref, other.metadata.namespace) == cloud
    ]
    if not others:
        return None
    return stalled(
        Reason.NAME_TAKEN,
        f"FederatedZone {others[0]} is the zone of {where(cloud)} already: delete one of the two with"
        " spec.deletionPolicy: Retain",
    )


async def _side(cloud: Key, context: Context) -> Side:
    found = context.get(cloud)
    if not isinstance(found, SovereignCloud):
        return Side(cloud, why=no_such(cloud))
    endpoint = endpoint_of(found, context.get)
    side = Side(cloud, found, endpoint.url if endpoint else "", needs=needs_management(cloud, context))
    try:
        return replace(side, view=await context.view(cloud))
    except (OutsideError, MissingSecret) as error:
        return replace(side, why=str(error))


def _as_master(seen: ZoneObservation) -> ZoneObservation:
    """Its zone is the first, whatever mark it carries."""
    federation = seen.own.federation
    zone = federation.zones.get(FIRST) if federation is not None else None
    return replace(seen, found=Identified(thing=zone), proven=True)


async def _with_master(zone: FederatedZone, seen: ZoneObservation, context: Context) -> ZoneObservation:
    name = zone.spec.master_ref.name if zone.spec.master_ref else ""
    master = context.get(Key(FederatedZone.crd.kind, zone.metadata.namespace, name))
    if not isinstance(master, FederatedZone):
        return replace(seen, problem=blocked(f"there is no FederatedZone {name}, which spec.masterRef names; make it"))
    if master.spec.role != ZoneRole.MASTER:
        told = f"FederatedZone {name}, which spec.masterRef names, has the role {master.spec.role}: name a master"
        return replace(seen, problem=stalled(Reason.UNKNOWN_REFERENCE, told))
    side = await _side(referred(master.spec.cloud_ref, master.metadata.namespace), context)
    address = master.spec.endpoint or side.endpoint
    seen = replace(seen, master=side, master_zone=master, address=address)
    return seen if side.federation is None else _identified(zone, seen, side.federation)


def _identified(zone: FederatedZone, seen: ZoneObservation, there: FederationView) -> ZoneObservation:
    """By what the cloud's own configuration says, where it is a slave: that is what makes it one. Else by its mark."""
    own = seen.own.federation
    if own is not None and own.config.mode is Mode.SLAVE:
        mine = there.zones.get(own.config.zone)
        recorded = zone.external.get(ZONE)
        if mine is not None and mine.mark is None and recorded in {None, str(mine.id)}:
            return replace(seen, found=Identified(thing=mine, adoptable=True), proven=True)
    found = identify(zone.external.get(ZONE), there.zones, 0, seen.mark, "zone")
    return replace(seen, found=found)


async def _with_change(zone: FederatedZone, seen: ZoneObservation, context: Context) -> ZoneObservation:
    """The Job is asked about only while one is under way: a sweep asks nothing."""
    thing = seen.found.thing
    if thing is None:
        return seen
    change = change_of(zone, seen.own.resource, _master_cloud(seen), thing.id, seen.address, context.get)
    if seen.own.federation is not None and seen.own.federation.config.server != SOLO:
        change = None  # one of several: the play makes a front-end that stands alone
    seen = replace(seen, change=change)
    if change is not None and is_pending(zone, seen.own.federation, thing.id):
        record = read_record(thing.notes)
        if record is not None and (record.change, record.word) == (change.change, change.request):
            seen = replace(seen, job=await context.installer.federation(change))
    if zone.deleting and seen.master is not None and seen.master.view is not None:
        client = await context.open_nebula(seen.master.cloud)
        seen = replace(seen, parts=await client.zones.vdc_parts(thing.id))
    return seen


def _master_cloud(seen: ZoneObservation) -> SovereignCloud | None:
    return seen.master.resource if seen.master is not None else None
