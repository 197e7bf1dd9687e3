"""The port `Parts` over one front-end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.providers.opennebula.infrastructure_views import attributes, marketplace
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.transport import Transport
from sovereigncloud.providers.opennebula.xml_elements import malformed_means_retry, read_one, read_pool

_MERGE = 1
_TAGS = {"market": "MARKETPLACE", "datastore": "DATASTORE"}
_MEMBERS = {"datastore": "datastore", "network": "vnet"}


class FrontEndParts:
    """Marketplaces, datastores and clusters."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls

    async def marketplaces(self) -> tuple[Marketplace, ...]:
        xml = str(await self._calls.read("one.marketpool.info"))
        with malformed_means_retry("one.marketpool.info"):
            return tuple(await asyncio.to_thread(read_pool, xml, "MARKETPLACE", marketplace))

    async def shown(self, kind: str, oid: int) -> Mapping[str, str]:
        method = f"one.{kind}.info"
        xml = str(await self._calls.read(method, oid))
        with malformed_means_retry(method):
            return read_one(xml, _TAGS[kind], attributes)

    async def create_marketplace(self, template: Mapping[str, str]) -> int:
        return int(await self._calls.write("one.market.allocate", template_xml(template)))

    async def update_marketplace(self, oid: int, attributes: Mapping[str, str]) -> None:
        await self._calls.write("one.market.update", oid, template_xml(attributes), _MERGE)

    async def rename_marketplace(self, oid: int, name: str) -> None:
        await self._calls.write("one.market.rename", oid, name)

    async def enable_marketplace(self, oid: int) -> None:
        await self._calls.write("one.market.enable", oid, True)

    async def delete_marketplace(self, oid: int) -> None:
        await self._calls.write("one.market.delete", oid)

    async def create_datastore(self, template: Mapping[str, str], cluster_id: int) -> int:
        return int(await self._calls.write("one.datastore.allocate", template_xml(template), cluster_id))

    async def update_datastore(self, oid: int, attributes: Mapping[str, str]) -> None:
        await self._calls.write("one.datastore.update", oid, template_xml(attributes), _MERGE)

    async def rename_datastore(self, oid: int, name: str) -> None:
        await self._calls.write("one.datastore.rename", oid, name)

    async def delete_datastore(self, oid: int) -> None:
        await self._calls.write("one.datastore.delete", oid)

    async def update_cluster(self, oid: int, attributes: Mapping[str, str]) -> None:
        await self._calls.write("one.cluster.update", oid, template_xml(attributes), _MERGE)

    async def rename_cluster(self, oid: int, name: str) -> None:
        await self._calls.write("one.cluster.rename", oid, name)

    async def leave_cluster(self, cluster_id: int, member: str, member_id: int) -> None:
        await self._calls.write(f"one.cluster.del{_MEMBERS[member]}", cluster_id, member_id)

    async def delete_cluster(self, oid: int) -> None:
        await self._calls.write("one.cluster.delete", oid)
