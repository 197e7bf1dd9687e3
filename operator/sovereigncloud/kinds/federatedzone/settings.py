"""A zone as the federation lists it, kept as declared: name, addresses, servers, state. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sovereigncloud.api.federatedzone import FederatedZone, ZoneState
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.federatedzone.observation import ZoneObservation
from sovereigncloud.kinds.federatedzone.steps import (
    AddressZone,
    AddServer,
    EnableZone,
    MarkZone,
    RemoveServer,
    RenameZone,
)
from sovereigncloud.ports.opennebula.zones import Zone, ZoneServer


def plan_upkeep(zone: FederatedZone, seen: ZoneObservation, thing: Zone, *, member: bool) -> Plan:
    """All differences of its entry. `member`: its own front-end answers as this zone, so that what only it takes can be done."""
    cause = Cause.OBSERVED if zone.settled else Cause.DECLARED
    parts = [_marked(seen, thing), _named(zone, seen, thing, cause), *_addressed(zone, seen, thing, cause)]
    if member:
        state = _enabled(zone, seen, thing, cause)
        servers = _servers(zone, seen, thing, cause)
        # A disabled zone takes no changes: it is enabled before all, and disabled after all.
        parts = [state, *parts, servers] if not thing.enabled else [*parts, servers, state]
    return Plan(
        drift=tuple(drift for part in parts for drift in part.drift),
        steps=tuple(step for part in parts for step in part.steps),
    )


def told(thing: Zone) -> str:
    return f'zone {thing.id} "{thing.name}"'


def _marked(seen: ZoneObservation, thing: Zone) -> Plan:
    if not (seen.found.predecessor or seen.found.adoptable):
        return Plan()
    # What a person made is written down on behalf of a field: what differs from spec then is work, and no drift.
    fields = ("spec.cloudRef",) if seen.found.adoptable else ()
    step = MarkZone(
        action=Action.MARK,
        target=told(thing),
        fields=fields,
        needs=seen.keeper.needs,
        at=seen.keeper.cloud,
        zone=thing.id,
    )
    return Plan(steps=(step,))


def _named(zone: FederatedZone, seen: ZoneObservation, thing: Zone, cause: Cause) -> Plan:
    if thing.name == zone.outside_name:
        return Plan()
    path = "spec.name" if zone.spec.name else "metadata.name"
    step = RenameZone(
        action=Action.UPDATE,
        target=f"name of zone {thing.id}",
        fields=(path,),
        cause=cause,
        needs=seen.keeper.needs,
        at=seen.keeper.cloud,
        zone=thing.id,
        name=zone.outside_name,
    )
    return Plan(drift=(Drift(path, zone.outside_name, thing.name),), steps=(step,))


def endpoint_wanted(zone: FederatedZone, seen: ZoneObservation) -> str:
    """Under which address the others reach it."""
    return zone.spec.endpoint or seen.own.endpoint


def _addressed(zone: FederatedZone, seen: ZoneObservation, thing: Zone, cause: Cause) -> Iterable[Plan]:
    rows = (
        ("spec.endpoint", "ENDPOINT", endpoint_wanted(zone, seen), thing.endpoint),
        ("spec.sunstoneEndpoint", "FIREEDGE_ENDPOINT", zone.spec.sunstone_endpoint, thing.sunstone),
        ("spec.oneFlowEndpoint", "ONEFLOW_ENDPOINT", zone.spec.one_flow_endpoint, thing.one_flow),
    )
    for path, key, wanted, found in rows:
        if not wanted or wanted == found:
            continue
        step = AddressZone(
            action=Action.UPDATE,
            target=f"{key} of zone {thing.id}",
            fields=(path,),
            cause=cause,
            needs=seen.keeper.needs,
            at=seen.keeper.cloud,
            zone=thing.id,
            key=key,
            address=wanted,
        )
        yield Plan(drift=(Drift(path, wanted, found),), steps=(step,))


def _enabled(zone: FederatedZone, seen: ZoneObservation, thing: Zone, cause: Cause) -> Plan:
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
    """Those that lack are listed, those that are too many and do not run are taken off. A server that was listed under another
    address has a number of its own, which its configuration names, so that is not done by itself.
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
            # Taken off while it runs it goes on campaigning, and the zone is without a leader (observed).
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
