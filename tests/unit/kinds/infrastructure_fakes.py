"""The parts of an OpenNebula in memory: marketplaces, datastores and clusters, as unkind as oned about names and what is in use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sovereigncloud.core.identity import mark_from_opennebula
from sovereigncloud.ports.errors import Conflict, NotFound, Rejected, Retry
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.views import Cluster, Datastore

_MARK = {"SOVEREIGNCLOUD_INSTALLATION", "SOVEREIGNCLOUD_OBJECT", "SOVEREIGNCLOUD_UID"}
_TYPES = {"IMAGE_DS": 0, "SYSTEM_DS": 1, "FILE_DS": 2, "BACKUP_DS": 3}
STOCK = (
    Datastore(0, "system", 1, 0, 10, 10),
    Datastore(1, "default", 0, 0, 10, 10),
    Datastore(2, "files", 2, 0, 10, 10),
)


class Parts:
    """`lost`: verbs whose next answer is lost after the write. `encrypted`: attributes that are shown in another form."""

    def __init__(self, encrypted: frozenset[str] = frozenset()) -> None:
        self.markets: dict[int, Marketplace] = {0: Marketplace(0, "OpenNebula Public", 0, 0, "one")}
        self.datastores: dict[int, Datastore] = {one.id: one for one in STOCK}
        self.clusters: dict[int, Cluster] = {0: Cluster(0, "default", frozenset({0, 1, 2}), frozenset())}
        self.encrypted = encrypted
        self.journal: list[tuple[Any, ...]] = []
        self.lost: set[str] = set()
        self.next_id = 100

    def _wrote(self, verb: str, *what: Any) -> None:
        self.journal.append((verb, *what))
        if verb in self.lost:
            self.lost.discard(verb)
            raise Retry("timed out", where=f"OpenNebula {verb}")

    def _id(self) -> int:
        self.next_id += 1
        return self.next_id

    def _kept(self, template: dict[str, str]) -> dict[str, str]:
        return {
            key: f"~{value[::-1]}" if key in self.encrypted else value
            for key, value in template.items()
            if key not in _MARK and key != "NAME"
        }

    async def marketplaces(self) -> tuple[Marketplace, ...]:
        return tuple(self.markets.values())

    async def shown(self, kind: str, oid: int) -> dict[str, str]:
        return dict((self.markets if kind == "market" else self.datastores)[oid].attributes)

    async def create_marketplace(self, template: dict[str, str]) -> int:
        self._free(self.markets, "MARKETPLACE", template["NAME"])
        new = self._id()
        self.markets[new] = Marketplace(
            new, template["NAME"], 0, 0, template["MARKET_MAD"], mark=mark_from_opennebula(template),
            attributes=self._kept(template),
        )  # fmt: skip
        self._wrote("create_marketplace", template["NAME"])
        return new

    async def update_marketplace(self, oid: int, attributes: dict[str, str]) -> None:
        self.markets[oid] = self._merged(self.markets[oid], attributes)
        self._wrote("update_marketplace", oid, tuple(attributes))

    async def rename_marketplace(self, oid: int, name: str) -> None:
        self._free(self.markets, "MARKETPLACE", name)
        self.markets[oid] = replace(self.markets[oid], name=name)
        self._wrote("rename_marketplace", oid, name)

    async def enable_marketplace(self, oid: int) -> None:
        self.markets[oid] = replace(self.markets[oid], state=0)
        self._wrote("enable_marketplace", oid)

    async def delete_marketplace(self, oid: int) -> None:
        if oid not in self.markets:
            raise NotFound(f"Error getting marketplace [{oid}].")
        assert not self.markets[oid].apps, "a marketplace with appliances is never deleted"
        del self.markets[oid]
        self._wrote("delete_marketplace", oid)

    async def create_datastore(self, template: dict[str, str], cluster_id: int) -> int:
        self._free(self.datastores, "DATASTORE", template["NAME"])
        new = self._id()
        self.datastores[new] = Datastore(
            new, template["NAME"], _TYPES[template["TYPE"]], 0, 1000, 1000, 0, template.get("DS_MAD", "-"),
            template["TM_MAD"], frozenset({cluster_id}), mark=mark_from_opennebula(template),
            attributes=self._kept(template),
        )  # fmt: skip
        self._member(cluster_id, "datastores", new)
        self._wrote("create_datastore", template["NAME"], cluster_id)
        return new

    async def update_datastore(self, oid: int, attributes: dict[str, str]) -> None:
        self.datastores[oid] = self._merged(self.datastores[oid], attributes)
        self._wrote("update_datastore", oid, tuple(attributes))

    async def rename_datastore(self, oid: int, name: str) -> None:
        self._free(self.datastores, "DATASTORE", name)
        self.datastores[oid] = replace(self.datastores[oid], name=name)
        self._wrote("rename_datastore", oid, name)

    async def delete_datastore(self, oid: int) -> None:
        if oid not in self.datastores:
            raise NotFound(f"Error getting datastore [{oid}].")
        assert not self.datastores[oid].images, "a datastore with images is never deleted"
        del self.datastores[oid]
        self.clusters = {n: replace(c, datastores=c.datastores - {oid}) for n, c in self.clusters.items()}
        self._wrote("delete_datastore", oid)

    async def create_cluster(self, name: str) -> int:
        self._free(self.clusters, "CLUSTER", name)
        new = self._id()
        self.clusters[new] = Cluster(new, name, frozenset(), frozenset())
        self._wrote("create_cluster", name)
        return new

    async def update_cluster(self, oid: int, attributes: dict[str, str]) -> None:
        self.clusters[oid] = self._merged(self.clusters[oid], attributes)
        self._wrote("update_cluster", oid, tuple(attributes))

    async def rename_cluster(self, oid: int, name: str) -> None:
        self._free(self.clusters, "CLUSTER", name)
        self.clusters[oid] = replace(self.clusters[oid], name=name)
        self._wrote("rename_cluster", oid, name)

    async def leave_cluster(self, cluster_id: int, member: str, member_id: int) -> None:
        field = f"{member}s"
        found = self.clusters[cluster_id]
        self.clusters[cluster_id] = replace(found, **{field: getattr(found, field) - {member_id}})
        self._wrote("leave_cluster", cluster_id, member, member_id)

    async def delete_cluster(self, oid: int) -> None:
        found = self.clusters[oid]
        if found.hosts or found.datastores or found.networks:
            raise Rejected(f"Cluster {oid} is not empty")
        del self.clusters[oid]
        self._wrote("delete_cluster", oid)

    def _member(self, cluster_id: int, field: str, oid: int) -> None:
        found = self.clusters[cluster_id]
        self.clusters[cluster_id] = replace(found, **{field: getattr(found, field) | {oid}})

    def join(self, cluster_id: int, member: str, oid: int) -> None:
        if member == "host":
            self.forget_host(oid)
        self._member(cluster_id, f"{member}s", oid)
        if member == "datastore":
            found = self.datastores[oid]
            self.datastores[oid] = replace(found, clusters=found.clusters | {cluster_id})

    def forget_host(self, oid: int) -> None:
        self.clusters = {n: replace(c, hosts=c.hosts - {oid}) for n, c in self.clusters.items()}

    def _merged(self, thing: Any, attributes: dict[str, str]) -> Any:
        merged = {**thing.attributes, **self._kept(attributes)}
        return replace(thing, attributes=merged, mark=mark_from_opennebula(attributes) or thing.mark)

    @staticmethod
    def _free(pool: dict[int, Any], noun: str, name: str) -> None:
        taken = next((one for one in pool.values() if one.name == name), None)
        if taken is not None:
            raise Conflict(f"NAME is already taken by {noun} {taken.id}.")
