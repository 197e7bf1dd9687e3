"""The port `Vracks` over the OVHcloud API. The legacy way of a whole server (POST /vrack/{name}/dedicatedServer) is never used."""

from __future__ import annotations

from typing import Final

from sovereigncloud.kinds.errors import NotFound
from sovereigncloud.kinds.vrack_port import Eligibility
from sovereigncloud.providers.ovh.kept import Kept
from sovereigncloud.providers.ovh.replies import PARSER, Dedicated, EligibleServices
from sovereigncloud.providers.ovh.transport import Transport, path

_A_DAY: Final = 86400.0


class VrackCalls:
    """vRacks of one account.

    Args:
        calls: of its credential.
        kept: answers that seldom change.
    """

    def __init__(self, calls: Transport, kept: Kept) -> None:
        self._calls, self._kept = calls, kept
        self._regions = Kept()  # a server does not travel: no write changes where it stands

    async def eligible(self, vrack: str) -> Eligibility:
        where = path("/v1/vrack/{}/eligibleServices", vrack)
        reply = await self._calls.call("GET", where)
        found = PARSER.read(EligibleServices, reply, what=f"OVHcloud GET {where}")
        listed = found.result.interfaces if found.result else None
        interfaces = None if listed is None else frozenset(one.interface for one in listed)
        return Eligibility(interfaces, tuple(found.errors or ()))

    async def park(self, block: str) -> None:
        with self._kept.changing():
            await self._calls.call("POST", path("/v1/ip/{}/park", block))

    async def region(self, service_name: str) -> str:
        return await self._regions.answer(service_name, _A_DAY, lambda: self._region(service_name))

    async def _region(self, service_name: str) -> str:
        where = path("/v1/dedicated/server/{}", service_name)
        try:
            reply = await self._calls.call("GET", where)
        except NotFound:
            return ""
        return PARSER.read(Dedicated, reply, what=f"OVHcloud GET {where}").region
