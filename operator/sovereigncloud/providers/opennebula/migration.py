"""The port `Moves` over one front-end and credential."""

from __future__ import annotations

import asyncio

from sovereigncloud.core.identity import mark_from_opennebula
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.migration import App
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.transport import Transport
from sovereigncloud.providers.opennebula.xml_elements import (
    Element,
    malformed_means_retry,
    number,
    read_pool,
    singles,
    text,
)

_MINE = -3
_WHOLE = -1
_AS_IT_IS = -1
"""No snapshot of a disk, but what is on it."""
_SAME_TYPE = ""
_SAME_STORE = -1


class FrontEndMoves:
    """Saved disks and apps."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls

    async def apps(self) -> tuple[App, ...]:
        method = "one.marketapppool.info"
        xml = str(await self._calls.read(method, _MINE, _WHOLE, _WHOLE))
        with malformed_means_retry(method):
            return tuple(await asyncio.to_thread(read_pool, xml, "MARKETPLACEAPP", _app))

    async def save_disk(self, vm_id: int, disk_id: int, name: str) -> int:
        return int(await self._calls.write("one.vm.disksaveas", vm_id, disk_id, name, _SAME_TYPE, _AS_IT_IS))

    async def clone_image(self, image_id: int, name: str) -> int:
        return int(await self._calls.write("one.image.clone", image_id, name, _SAME_STORE))

    async def create_held(self, template: Attributes) -> int:
        return int(await self._calls.write("one.vm.allocate", template_xml(template), True))

    async def publish(self, template: Attributes, marketplace_id: int) -> int:
        return int(await self._calls.write("one.marketapp.allocate", template_xml(template), marketplace_id))

    async def delete_app(self, app_id: int) -> None:
        await self._calls.write("one.marketapp.delete", app_id)


def _app(element: Element) -> App:
    attributes = singles(element.find("TEMPLATE"))
    return App(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        owner=number(element, "UID"),
        state=number(element, "STATE"),
        size=number(element, "SIZE"),
        source=text(element, "SOURCE"),
        digest=text(element, "MD5"),
        marketplace=text(element, "MARKETPLACE"),
        zone=number(element, "ZONE_ID"),
        mark=mark_from_opennebula(attributes),
        error=attributes.get("ERROR", ""),
    )
