"""Plan the settings of a zone: mark, name, endpoints, servers, state. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sovereigncloud.api.federatedzone import FederatedZone, ZoneState
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.federatedzone.observation import ZoneObservation
from sovereigncloud.kinds.federatedzone.steps import (
    AddServer,
    EnableZone,
    MarkZone,
    RemoveServer,
    RenameZone,
    SetZoneEndpoint,
)
from sovereigncloud.ports.opennebula.zones import Zone, ZoneServer


def plan_settings(zone: FederatedZone, seen: ZoneObservation, thing: Zone, *, member: bool) -> Plan:
    """Plan all settings of a zone.

    `member`: the cloud is in the federation, so that state and servers can be set there.
    """
    cause = Cause.OBSERVED if zone.settled else Cause.DECLARED
    parts = [_mark(seen, thing), _name(zone, seen, thing, cause), *_endpoints(zone, seen, thing, cause)]
    if member:
        state = _state(zone, seen, thing, cause)
        servers = _servers(zone, seen, thing, cause)
        # A disabled zone accepts no changes: it is enabled first, and disabled last.
        parts = [state, *parts, servers] if not thing.enabled else [*parts, servers, state]
    return Plan(
        drift=tuple(drift for part in parts for drift in part.drift),
        steps=tuple(step for part in parts for step in part.steps),
    )


def zone_title(thing: Zone) -> str:
    return f'zone {thing.id} "{thing.name}"'


def _mark(seen: ZoneObservation, thing: Zone) -> Plan:
    if not (seen.found.predecessor or seen.found.adoptable):
        return Plan()
    # The mark of an adopted zone names a field: differences from spec are then declared changes, not drift.
    fields = ("spec.cloudRef",) if seen.found.adoptable else ()
    step = MarkZone(
        action=Action.MARK,
        target=zone_title(thing),
        fields=fields,
        needs=seen.master_side.needs,
        at=seen.master_side.cloud,
        zone=thing.id,
    )
    return Plan(steps=(step,))


def _name(zone: FederatedZone, seen: ZoneObservation, thing: Zone, cause: Cause) -> Plan:
    if thing.name == zone.outside_name:
        return Plan()
    path = "spec.name" if zone.spec.name else "metadata.name"
    step = RenameZone(
        action=Action.UPDATE,
        target=f"name of zone {thing.id}",
        fields=(path,),
        cause=cause,
        needs=seen.master_side.needs,
        at=seen.master_side.cloud,
        zone=thing.id,
        name=zone.outside_name,
    )
    return Plan(drift=(Drift(path, zone.outside_name, thing.name),), steps=(step,))


def endpoint_wanted(zone: FederatedZone, seen: ZoneObservation) -> str:
    """Return the endpoint under which other zones reach it."""
    return zone.spec.endpoint or seen.own.endpoint


def _endpoints(zone: FederatedZone, seen: ZoneObservation, thing: Zone, cause: Cause) -> Iterable[Plan]:
    rows = (
        ("spec.endpoint", "ENDPOINT", endpoint_wanted(zone, seen), thing.endpoint),
        ("spec.sunstoneEndpoint", "FIREEDGE_ENDPOINT", zone.spec.sunstone_endpoint, thing.sunstone),
        ("spec.oneFlowEndpoint", "ONEFLOW_ENDPOINT", zone.spec.one_flow_endpoint, thing.one_flow),
    )
    for path, key, wanted, found in rows:
        if not wanted or wanted == found:
            continue
        step = SetZoneEndpoint(
            action=Action.UPDATE,
            target=f"{key} of zone {thing.id}",
            fields=(path,),
            cause=cause,
            needs=seen.master_side.needs,
            at=seen.master_side.cloud,
            zone=thing.id,
            key=key,
            address=wanted,
        )
        yield Plan(drift=(Drift(path, wanted, found),), steps=(step,))


def _state(zone: FederatedZone, seen: ZoneObservation, thing: Zone, cause: Cause) -> Plan:
    wanted = zone.spec.state
    found = ZoneState.ENABLED if thing.enabled else ZoneState.DISABLED
    if wanted is None or wanted == found:
        return Plan()
    step = EnableZone(
        action=Action.UPDATE,
        target=f"state of zone {thing.id}",
        fields=("spec.state",),
        cause=cause,
        at=seen.own.cloud,
        zone=thing.id,
        enabled=wanted == ZoneState.ENABLED,
    )
    return Plan(drift=(Drift("spec.state", wanted, found),), steps=(step,))


# ------------------------------------------------------------------------------------------------------------- servers


def _servers(zone: FederatedZone, seen: ZoneObservation, thing: Zone, cause: Cause) -> Plan:
    """Plan the servers of a zone: add missing ones, remove undeclared ones that do not run.

    A changed endpoint is only reported: readding the server would change the SERVER_ID that its configuration names.
    """
    if zone.spec.servers is None:
        return Plan()
    wanted = {server.name: server.endpoint for server in zone.spec.servers}
    there = {server.name: server for server in thing.servers}
    drift: list[Drift] = []
    steps: list[Step] = []
    for name, endpoint in wanted.items():
        path = f"spec.servers[{name}].endpoint"
        if name not in there:
            drift.append(Drift(path, endpoint, "not listed"))
            steps.append(_add(seen, thing, name, endpoint, path, cause))
        elif there[name].endpoint != endpoint:
            drift.append(Drift(path, endpoint, there[name].endpoint, mendable=False))
    running = _running(seen)
    for server in (one for name, one in there.items() if name not in wanted):
        path = f"spec.servers[{server.name}]"
        if running.get(server.id, False):
            # A server removed while it runs keeps starting elections, and the zone has no leader (observed).
            drift.append(Drift(path, "not listed", f"{server.endpoint}, which runs: stop it first", mendable=False))
        else:
            drift.append(Drift(path, "not listed", server.endpoint))
            steps.append(_remove(seen, thing, server, path, cause))
    return Plan(drift=tuple(drift), steps=tuple(steps))


def _running(seen: ZoneObservation) -> Mapping[int, bool]:
    federation = seen.own.federation
    return {one.server.id: one.raft is not None for one in (federation.answers if federation else ())}


def _add(seen: ZoneObservation, thing: Zone, name: str, endpoint: str, path: str, cause: Cause) -> AddServer:
    return AddServer(
        action=Action.UPDATE,
        target=f'server "{name}" of zone {thing.id}',
        fields=(path,),
        cause=cause,
        at=seen.own.cloud,
        zone=thing.id,
        name=name,
        endpoint=endpoint,
    )


def _remove(seen: ZoneObservation, thing: Zone, server: ZoneServer, path: str, cause: Cause) -> RemoveServer:
    return RemoveServer(
        action=Action.UPDATE,
        target=f'server {server.id} "{server.name}" of zone {thing.id}',
        fields=(path,),
        cause=cause,
        at=seen.own.cloud,
        zone=thing.id,
        server=server.id,
    )
