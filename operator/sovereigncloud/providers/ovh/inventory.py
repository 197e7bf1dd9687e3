"""The port `Inventory` over the OVHcloud API: what IAM lists."""

from __future__ import annotations

from typing import Final

from sovereigncloud.ports.errors import Retry
from sovereigncloud.providers.ovh.replies import PARSER, Resource
from sovereigncloud.providers.ovh.transport import Transport

_WHERE: Final = "/v2/iam/resource"
_PAGE: Final = "100"
_MAX_PAGES: Final = 100


class Listing:
    """What the account of a transport has."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls

    async def vracks(self) -> tuple[str, ...]:
        return await self._names("vrack")

    async def blocks(self) -> tuple[str, ...]:
        return await self._names("ip")

    async def _names(self, kind: str) -> tuple[str, ...]:
        found: list[str] = []
        headers = {"X-Pagination-Size": _PAGE}
        for _ in range(_MAX_PAGES):
            reply = await self._calls.call("GET", _WHERE, query={"resourceType": kind}, headers=headers)
            found += [one.name for one in PARSER.read(list[Resource], reply, what=f"OVHcloud GET {_WHERE}")]
            cursor = reply.headers.get("X-Pagination-Cursor-Next")
            if not cursor:
                return tuple(sorted(found))
            headers = {"X-Pagination-Size": _PAGE, "X-Pagination-Cursor": cursor}
        raise Retry(f"more than {_MAX_PAGES} pages", where=f"OVHcloud GET {_WHERE}", maybe_done=False)
