"""FederatedZone: a cloud as master or slave of a federation, made one where the operator is let in, kept in step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.federatedzone import FederatedZone, FederatedZoneStatus, ZoneState
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, Context, Uses
from sovereigncloud.kinds.endpoint.clouds import referred
from sovereigncloud.kinds.federatedzone import join, steps, sync
from sovereigncloud.kinds.federatedzone import plan as zone_plan
from sovereigncloud.kinds.federatedzone.observation import ZoneObservation, is_left_alone, look
from sovereigncloud.ports.opennebula.zones import Answer

_KEPT = ("zone_id", "role", "master", "endpoint", "state", "servers")
_UNREACHABLE = "Unreachable"


class FederatedZoneController:
    """Drives `one.zone.*` of a master, and the front-ends of clouds that become members."""

    resource = FederatedZone

    def uses(self, resource: FederatedZone) -> Uses:
        """Its cloud, and its master: that waits for its slaves, and is read for them as long as it does."""
        namespace = resource.metadata.namespace
        cloud, master = referred(resource.spec.cloud_ref, namespace), resource.spec.master_ref
        if cloud.namespace != namespace or (is_left_alone(resource) and master is not None):
            return Uses()
        zones = (Key(FederatedZone.crd.kind, namespace, master.name),) if master is not None else ()
        return Uses(cloud=cloud, objects=zones, reach=True)

    async def observe(self, resource: FederatedZone, context: Context) -> ZoneObservation:
        return await look(resource, context)

    def plan(self, resource: FederatedZone, observed: ZoneObservation, now: datetime) -> Plan:
        return zone_plan.plan(resource, observed, now)

    async def perform(self, step: Step, resource: FederatedZone, context: Context) -> Outcome:
        return await steps.perform(step, resource, context)

    def status(self, resource: FederatedZone, observed: ZoneObservation) -> Mapping[str, object]:
        """What is known, and what was while nobody could look: also of one that goes, until it is gone."""
        fields = _kept(resource.status)
        zone, federation = observed.found.thing, observed.own.federation
        if federation is not None and not federation.problem:
            fields["role"] = federation.config.mode.capitalize()
            fields["master"] = federation.config.master or None
            fields["servers"] = [_server(one) for one in federation.answers] or fields["servers"]
        elif observed.own.view is None and observed.own.why:
            fields["servers"] = [
                {**one.model_dump(by_alias=True, exclude_none=True), "state": _UNREACHABLE}
                for one in resource.status.servers or ()
            ] or None
        if zone is not None:
            state = ZoneState.ENABLED if zone.enabled else ZoneState.DISABLED
            fields.update(zoneID=str(zone.id), endpoint=zone.endpoint or None, state=str(state))
        commands = join.commands(resource, observed)
        if not commands and sync.stays_behind(resource, observed):
            commands = sync.commands(observed)
        own = sync.conditions(resource, observed)
        return {**fields, "commands": list(commands) or None, OWN_CONDITIONS: own}


def _kept(before: FederatedZoneStatus) -> dict[str, object]:
    known = before.model_dump(by_alias=True, exclude_none=True, include=set(_KEPT))
    return {**dict.fromkeys(("zoneID", "role", "master", "endpoint", "state", "servers")), **known}


def _server(answer: Answer) -> dict[str, str]:
    server = answer.server
    state = str(answer.raft.state) if answer.raft is not None else _UNREACHABLE
    return {"name": server.name, "id": str(server.id), "endpoint": server.endpoint, "state": state}
