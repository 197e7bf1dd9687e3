"""The port `Zones` over one front-end and credential."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from sovereigncloud.core.identity import mark_from_opennebula
from sovereigncloud.ports.errors import Conflict, NotFound, Rejected
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.zones import (
    SOLO,
    Federation,
    FederationView,
    Mode,
    Raft,
    RaftState,
    VdcPart,
    Zone,
    ZoneServer,
)
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.transport import Transport
from sovereigncloud.providers.opennebula.xml_elements import (
    Element,
    malformed_means_retry,
    notes,
    read_one,
    read_pool,
    singles,
)

T = TypeVar("T")

_MERGE = 1
_ENABLED = "0"
_NO_RECORD = 2**64 - 1
_UNSET = "-"
"""What oned writes where a zone has no endpoint."""
_STATES = {"0": RaftState.SOLO, "1": RaftState.CANDIDATE, "2": RaftState.FOLLOWER, "3": RaftState.LEADER}
_MEMBERS = ("cluster", "host", "datastore", "vnet")
_NOT_IN = re.compile(r"not (part of|assigned)", re.IGNORECASE)


class ZoneCalls:
    """one.zone, and what it takes of one.vdc and one.system.

    Args:
        calls: of the front-end.
        elsewhere: calls of another server of the zone, with the same credential.
    """

    def __init__(self, calls: Transport, elsewhere: Callable[[str], Transport]) -> None:
        self._calls, self._elsewhere = calls, elsewhere

    async def federation(self) -> FederationView:
        config = await self._read("one.system.config", "OPENNEBULA_CONFIGURATION", _config)
        xml = str(await self._calls.read("one.zonepool.info"))
        zones = _parsed("one.zonepool.info", lambda: read_pool(xml, "ZONE", _zone))
        return FederationView(config, {zone.id: zone for zone in zones})

    async def raft(self, endpoint: str = "") -> Raft:
        calls = self._elsewhere(endpoint) if endpoint else self._calls
        xml = str(await calls.read("one.zone.raftstatus"))
        return _parsed("one.zone.raftstatus", lambda: read_one(xml, "RAFT", _raft))

    async def allocate(self, template: Attributes) -> int:
        return int(await self._calls.write("one.zone.allocate", template_xml(template)))

    async def update(self, zone: int, attributes: Attributes) -> None:
        await self._calls.write("one.zone.update", zone, template_xml(attributes), _MERGE)

    async def rename(self, zone: int, name: str) -> None:
        await self._calls.write("one.zone.rename", zone, name)

    async def enable(self, zone: int, *, enabled: bool) -> None:
        await self._calls.write("one.zone.enable", zone, enabled)

    async def add_server(self, zone: int, name: str, endpoint: str) -> None:
        server = template_xml({"SERVER": {"NAME": name, "ENDPOINT": endpoint}})
        await self._calls.write("one.zone.addserver", zone, server)

    async def remove_server(self, zone: int, server: int) -> None:
        await self._calls.write("one.zone.delserver", zone, server)

    async def delete(self, zone: int) -> None:
        try:
            await self._calls.write("one.zone.delete", zone)
        except NotFound:
            return

    async def vdc_parts(self, zone: int) -> tuple[VdcPart, ...]:
        xml = str(await self._calls.read("one.vdcpool.info"))
        found = _parsed("one.vdcpool.info", lambda: read_pool(xml, "VDC", _vdc_parts))
        return tuple(part for parts in found for part in parts if part.zone == zone)

    async def remove_vdc_part(self, part: VdcPart) -> None:
        try:
            await self._calls.write(f"one.vdc.del{part.member}", part.vdc, part.zone, part.id)
        except (Rejected, Conflict) as error:
            if not _NOT_IN.search(error.message):
                raise

    async def _read(self, method: str, tag: str, read: Callable[[Element], T]) -> T:
        xml = str(await self._calls.read(method))
        return _parsed(method, lambda: read_one(xml, tag, read))


def _parsed(method: str, parse: Callable[[], T]) -> T:
    with malformed_means_retry(method):
        return parse()


def _config(element: Element) -> Federation:
    found = element.find("FEDERATION")
    told = singles(found)
    mode = told.get("MODE", "").upper()
    return Federation(
        mode=Mode(mode) if mode in set(Mode) else Mode.STANDALONE,
        zone=_number(told.get("ZONE_ID", ""), 0),
        server=_number(told.get("SERVER_ID", ""), SOLO),
        master=told.get("MASTER_ONED", ""),
        backend=(element.findtext("DB/BACKEND") or "").strip(),
    )


def _zone(element: Element) -> Zone:
    template = singles(element.find("TEMPLATE"))
    return Zone(
        id=_number(element.findtext("ID")),
        name=element.findtext("NAME") or "",
        endpoint=_address(template, "ENDPOINT"),
        enabled=(element.findtext("STATE") or _ENABLED) == _ENABLED,
        sunstone=_address(template, "FIREEDGE_ENDPOINT"),
        one_flow=_address(template, "ONEFLOW_ENDPOINT"),
        servers=tuple(sorted(map(_server, element.iterfind("SERVER_POOL/SERVER")), key=lambda one: one.id)),
        mark=mark_from_opennebula(template),
        notes=notes(template),
    )


def _address(template: dict[str, str], key: str) -> str:
    found = template.get(key, "").strip()
    return "" if found == _UNSET else found


def _server(element: Element) -> ZoneServer:
    told = singles(element)
    return ZoneServer(_number(told.get("ID")), told.get("NAME", ""), told.get("ENDPOINT", ""))


def _raft(element: Element) -> Raft:
    told = singles(element)
    return Raft(
        state=_STATES.get(told.get("STATE", ""), RaftState.CANDIDATE),
        term=_number(told.get("TERM")),
        commit=_number(told.get("COMMIT")),
        log_index=_number(told.get("LOG_INDEX")),
        fed_index=_fed_index(told.get("FEDLOG_INDEX")),
    )


def _fed_index(text: str | None) -> int:
    """Of the last federated record; -1: there is none, for which oned, counting without a sign, writes 2^64-1."""
    found = _number(text)
    return found if found < _NO_RECORD else -1


def _vdc_parts(element: Element) -> list[VdcPart]:
    vdc = _number(element.findtext("ID"))
    return [
        VdcPart(vdc, member, _number(one.findtext("ZONE_ID")), _number(one.findtext(f"{member.upper()}_ID")))
        for member in _MEMBERS
        for one in element.iterfind(f"{member.upper()}S/{member.upper()}")
    ]


def _number(text: str | None, otherwise: int = -1) -> int:
    try:
        return int(text or otherwise)
    except ValueError:
        return otherwise
