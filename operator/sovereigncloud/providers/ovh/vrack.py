"""The port `Vracks` over the OVHcloud API. The legacy way of a whole server (POST /vrack/{name}/dedicatedServer) is never used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from sovereigncloud.ports.errors import Auth, NotFound
from sovereigncloud.ports.ovh.vrack import Eligibility, Standing
from sovereigncloud.providers.ovh.replies import PARSER, Dedicated, EligibleServices
from sovereigncloud.providers.ovh.response_cache import Kept
from sovereigncloud.providers.ovh.transport import Transport, path

_A_FEW: Final = 5
_PAUSES: Final = (0.5, 1.0, 1.0)
"""Seconds between the questions who may join a vRack, while OVHcloud works it out: an answer does not stand for long, and on a
busy account the next reconcile of each object would come after it, and begin anew, for ever."""


class VrackCalls:
    """vRacks of one account.

    Args:
        calls: of its credential.
        kept: answers that seldom change.
    """

    def __init__(self, calls: Transport, kept: Kept) -> None:
        self._calls, self._kept = calls, kept
        self._standing: dict[str, Standing] = {}  # a server does not travel, and keeps its main address

    async def eligible(self, vrack: str) -> Eligibility:
        found = await self._eligible_services(vrack)
        for pause in _PAUSES:
            if found.result is not None and found.result.interfaces is not None:
                break
            await asyncio.sleep(pause)
            found = await self._eligible_services(vrack)
        listed = found.result.interfaces if found.result else None
        interfaces = None if listed is None else frozenset(one.interface for one in listed)
        return Eligibility(interfaces, tuple(found.errors or ()))

    async def _eligible_services(self, vrack: str) -> EligibleServices:
        where = path("/v1/vrack/{}/eligibleServices", vrack)
        reply = await self._calls.call("GET", where)
        return PARSER.read(EligibleServices, reply, what=f"OVHcloud GET {where}")

    async def park(self, block: str) -> None:
        with self._kept.changing():
            await self._calls.call("POST", path("/v1/ip/{}/park", block))

    async def regions(self, servers: frozenset[str]) -> Mapping[str, str]:
        return {name: one.region for name, one in (await self.standing(servers)).items()}

    async def standing(self, servers: frozenset[str]) -> Mapping[str, Standing]:
        for name in sorted(servers - self._standing.keys())[:_A_FEW]:
            self._standing[name] = await self._stands(name)
        return {name: self._standing[name] for name in servers & self._standing.keys()}

    async def _stands(self, service_name: str) -> Standing:
        where = path("/v1/dedicated/server/{}", service_name)
        try:
            reply = await self._calls.call("GET", where)
        except (NotFound, Auth):
            return Standing()
        found = PARSER.read(Dedicated, reply, what=f"OVHcloud GET {where}")
        return Standing(found.ip, found.region)
