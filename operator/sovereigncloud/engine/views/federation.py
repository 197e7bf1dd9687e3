"""What is read of a federation along with a cloud that a FederatedZone names: a handful of calls, one per server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.federatedzone import FederatedZone
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.kinds.endpoint.clouds import referred
from sovereigncloud.kinds.endpoint.endpoint import Endpoint
from sovereigncloud.ports.errors import MissingSecret, NotFound, OutsideError, Retry
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.zones import SOLO, Answer, FederationView, InStep, Mode, Raft, ZoneServer

Reach = Callable[[Key], Awaitable[OpenNebula]]

_PAUSES = (0.05, 0.25, 0.7, 1.0)
"""Seconds between two looks at a slave that lacks something: a record takes milliseconds to come to it, a burst of two
hundred some 2.5 seconds to settle (facts: oned-observed)."""

_PATIENCE = 5.0


async def federation_of(
    client: OpenNebula, cloud: Key, store: Store, reach: Reach, allows: Callable[[str], bool]
) -> FederationView | None:
    """None where no FederatedZone names the cloud: whoever is in none is asked nothing.

    Args:
        client: of the cloud.
        cloud: that is read.
        store: for the zones that there are to be.
        reach: the client of another cloud.
        allows: whether plain http to a public host is allowed by name.
    """
    zone = zone_of(cloud, store)
    if zone is None:
        return None
    try:
        return await _read(client, zone, store, reach, allows)
    except Retry:
        raise
    except OutsideError as error:
        # Whoever may not see the configuration of the server, which only oneadmin may, sees the rest of the cloud all the same.
        return FederationView(problem=str(error))


async def _read(
    client: OpenNebula, zone: FederatedZone, store: Store, reach: Reach, allows: Callable[[str], bool]
) -> FederationView:
    found = await client.zones.federation()
    # The master first: a slave is behind only where it lacks what was there before it was asked itself.
    ahead = await _master(zone, store, reach) if found.config.mode is Mode.SLAVE else None
    try:
        own = await client.zones.raft()
    except NotFound:
        return replace(found, imported=False)
    answers = await _answers(client, found, own, allows)
    in_step = None if ahead is None else await _in_step(client, own, ahead)
    return replace(found, answers=answers, in_step=in_step)


def zone_of(cloud: Key, store: Store) -> FederatedZone | None:
    """The FederatedZone of a cloud."""
    for key in sorted(store.users(cloud)):
        zone = store.get(key) if key.kind == FederatedZone.crd.kind else None
        if isinstance(zone, FederatedZone) and referred(zone.spec.cloud_ref, key.namespace) == cloud:
            return zone
    return None


async def _master(zone: FederatedZone, store: Store, reach: Reach) -> int | str | None:
    """How far the master is, or why it does not say so."""
    if zone.spec.master_ref is None:
        return None
    master = store.get(Key(FederatedZone.crd.kind, zone.metadata.namespace, zone.spec.master_ref.name))
    if not isinstance(master, FederatedZone):
        return None
    try:
        # The sweep of a slave does not wait for a master that is silent.
        async with asyncio.timeout(_PATIENCE):
            there = await reach(referred(master.spec.cloud_ref, master.metadata.namespace))
            return (await there.zones.raft()).fed_index
    except TimeoutError:
        return f"no answer within {_PATIENCE:.0f} seconds"
    except (OutsideError, MissingSecret) as error:
        return str(error)


async def _in_step(client: OpenNebula, own: Raft, ahead: int | str) -> InStep:
    if isinstance(ahead, str):
        return InStep(master=False, why=ahead)
    for pause in _PAUSES:
        if own.fed_index >= ahead:
            break
        await asyncio.sleep(pause)
        own = await client.zones.raft()
    lag = max(ahead - own.fed_index, 0)
    return InStep(master=True, behind=lag > 0, index=own.fed_index, lag=lag)


async def _answers(
    client: OpenNebula, found: FederationView, own: Raft, allows: Callable[[str], bool]
) -> tuple[Answer, ...]:
    zone = found.own
    if zone is None or not zone.servers:
        return (Answer(ZoneServer(SOLO, zone.name if zone else "", zone.endpoint if zone else ""), own),)
    return tuple(await asyncio.gather(*(_ask(client, server, allows) for server in zone.servers)))


async def _ask(client: OpenNebula, server: ZoneServer, allows: Callable[[str], bool]) -> Answer:
    if not server.endpoint:
        return Answer(server, why="it has no address")
    if Endpoint(server.endpoint, "").insecure(allows):
        return Answer(server, why="the administrator's password would go there in clear over a public network")
    try:
        return Answer(server, await client.zones.raft(server.endpoint))
    except OutsideError as error:
        return Answer(server, why=str(error))
