"""The port `Zones` over the OVHcloud API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from sovereigncloud.ports.errors import NotFound
from sovereigncloud.ports.ovh.dns import Record, Zone
from sovereigncloud.providers.ovh.replies import PARSER, Reverse, ZoneRecord, ZoneReply
from sovereigncloud.providers.ovh.response_cache import Kept
from sovereigncloud.providers.ovh.transport import Transport, path

T = TypeVar("T")
_REVERSE: Final = "/v1/ip/{}/reverse"
_ZONE: Final = "/v1/domain/zone/{}"
_LEADS_SOMEWHERE: Final = frozenset({"A", "AAAA", "CNAME"})


class ZoneCalls:
    """Names of one account.

    Args:
        calls: of its credential.
        kept: answers that seldom change.
    """

    def __init__(self, calls: Transport, kept: Kept) -> None:
        self._calls, self._kept = calls, kept

    async def _read(self, kind: type[T], where: str, query: Mapping[str, str] | None = None) -> T:
        reply = await self._calls.call("GET", where, query=query)
        return PARSER.read(kind, reply, what=f"OVHcloud GET {where}")

    async def _write(self, method: str, where: str, body: Mapping[str, Any] | None = None) -> Any:
        with self._kept.changing():
            return await self._calls.call(method, where, body)

    # -- reverse names

    async def reverses(self, block: str, addresses: frozenset[str], max_age: float = 0.0) -> Mapping[str, str]:
        question = f"reverses {block} {','.join(sorted(addresses))}"
        return await self._kept.answer(question, max_age, lambda: self._reverses(block, addresses))

    async def _reverses(self, block: str, addresses: frozenset[str]) -> dict[str, str]:
        root = path(_REVERSE, block)
        found: dict[str, str] = {}
        for address in sorted(addresses.intersection(await self._read(list[str], root))):
            try:
                found[address] = (await self._read(Reverse, path(f"{_REVERSE}/{{}}", block, address))).name
            except NotFound:
                continue  # taken away between the two calls
        return found

    async def set_reverse(self, block: str, address: str, name: str) -> None:
        await self._write("POST", path(_REVERSE, block), {"ipReverse": address, "reverse": name})

    async def delete_reverse(self, block: str, address: str) -> None:
        await self._gone(path(f"{_REVERSE}/{{}}", block, address))

    # -- records

    async def zone(self, name: str, max_age: float = 0.0) -> Zone:
        return await self._kept.answer(f"zone {name}", max_age, lambda: self._zone(name))

    async def _zone(self, name: str) -> Zone:
        found = await self._read(ZoneReply, path(_ZONE, name))
        if found.iam is None:
            return Zone(found.name, f"urn:v1:eu:resource:dnsZone:{found.name}", {})
        return Zone(found.name, found.iam.urn, found.iam.tags)

    async def records(self, zone: str, subdomain: str, max_age: float = 0.0) -> tuple[Record, ...]:
        return await self._kept.answer(f"records {zone} {subdomain}", max_age, lambda: self._records(zone, subdomain))

    async def _records(self, zone: str, subdomain: str) -> tuple[Record, ...]:
        found: list[Record] = []
        for number in sorted(await self._read(list[int], path(f"{_ZONE}/record", zone), {"subDomain": subdomain})):
            try:
                one = await self._read(ZoneRecord, path(f"{_ZONE}/record/{{}}", zone, str(number)))
            except NotFound:
                continue
            # How an empty subDomain is filtered is not documented, and a filter that nobody heeds gives the whole zone.
            if one.subdomain == subdomain and one.type in _LEADS_SOMEWHERE:
                found.append(Record(one.id, one.type, one.target))
        return tuple(found)

    async def create_record(self, zone: str, subdomain: str, address: str) -> int:
        where = path(f"{_ZONE}/record", zone)
        reply = await self._write("POST", where, {"fieldType": "A", "subDomain": subdomain, "target": address})
        return PARSER.read(ZoneRecord, reply, what=f"OVHcloud POST {where}").id

    async def change_record(self, zone: str, record: int, address: str) -> None:
        await self._write("PUT", path(f"{_ZONE}/record/{{}}", zone, str(record)), {"target": address})

    async def delete_record(self, zone: str, record: int) -> None:
        await self._gone(path(f"{_ZONE}/record/{{}}", zone, str(record)))

    async def publish(self, zone: str) -> None:
        await self._write("POST", path(f"{_ZONE}/refresh", zone))

    async def _gone(self, where: str) -> None:
        try:
            await self._write("DELETE", where)
        except NotFound:
            return
