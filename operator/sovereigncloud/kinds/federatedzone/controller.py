"""Controller of FederatedZone: a cloud as master or slave of an OpenNebula federation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.federatedzone import FederatedZone, FederatedZoneStatus, ZoneState
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.cloud_keys import referred
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, Context, Uses
from sovereigncloud.kinds.federatedzone import join, sync
from sovereigncloud.kinds.federatedzone.observation import ZoneObservation, keeps_cloud_unchanged, observe_zone
from sovereigncloud.kinds.federatedzone.plan import plan_zone
from sovereigncloud.kinds.federatedzone.steps import perform_zone_step
from sovereigncloud.ports.opennebula.zones import Answer

_KEPT_FIELDS = ("zone_id", "role", "master", "endpoint", "state", "servers")
_UNREACHABLE = "Unreachable"


class FederatedZoneController:
    """Reconcile FederatedZones.

    `one.zone.*` of the master, and the front-ends of joining clouds.
    """

    resource = FederatedZone

    def uses(self, resource: FederatedZone) -> Uses:
        """Return its cloud and its master zone: a master is not deleted before its slaves."""
        namespace = resource.metadata.namespace
        cloud, master = referred(resource.spec.cloud_ref, namespace), resource.spec.master_ref
        if cloud.namespace != namespace or (keeps_cloud_unchanged(resource) and master is not None):
            return Uses()
        zones = (Key(FederatedZone.crd.kind, namespace, master.name),) if master is not None else ()
        return Uses(cloud=cloud, objects=zones, reach=True)

    async def observe(self, resource: FederatedZone, context: Context) -> ZoneObservation:
        return await observe_zone(resource, context)

    def plan(self, resource: FederatedZone, observed: ZoneObservation, now: datetime) -> Plan:
        return plan_zone(resource, observed, now)

    async def perform(self, step: Step, resource: FederatedZone, context: Context) -> Outcome:
        return await perform_zone_step(step, resource, context)

    def status(self, resource: FederatedZone, observed: ZoneObservation) -> Mapping[str, object]:
        """Return the status fields; they keep their last value while a cloud cannot be read."""
        fields = _last_status(resource.status)
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
        if not commands and sync.lags_after_nudge(resource, observed):
            commands = sync.commands(observed)
        own = sync.conditions(resource, observed)
        return {**fields, "commands": list(commands) or None, OWN_CONDITIONS: own}


def _last_status(before: FederatedZoneStatus) -> dict[str, object]:
    known = before.model_dump(by_alias=True, exclude_none=True, include=set(_KEPT_FIELDS))
    return {**dict.fromkeys(("zoneID", "role", "master", "endpoint", "state", "servers")), **known}


def _server(answer: Answer) -> dict[str, str]:
    server = answer.server
    state = str(answer.raft.state) if answer.raft is not None else _UNREACHABLE
    return {"name": server.name, "id": str(server.id), "endpoint": server.endpoint, "state": state}
