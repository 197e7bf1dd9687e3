"""Finalizer inventory: a ConfigMap that names the objects held by the operator's finalizer.

An uninstalled operator removes no finalizer, and CEL cannot list objects. The admission policy that refuses the
uninstallation (chart, uninstall.policy: Refuse) reads the names from this ConfigMap, also while the operator is down.
It is written when it changes; docs/adr/0008-consent-to-uninstall.md.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.ports.errors import OutsideError

logger = logging.getLogger(__name__)

NAMED = 10
"""Maximum number of objects named. An admission message may have 5 KiB, and a name with its namespace 320 bytes."""
INTERVAL = 2.0
"""Seconds between two looks: a burst of new objects causes one write or two."""
NOTHING: Mapping[str, str] = {"count": "0", "names": ""}


class FinalizerInventoryApi(Protocol):
    async def holdings(self, namespace: str) -> Mapping[str, str] | None: ...
    async def tell_holdings(self, namespace: str, data: Mapping[str, str]) -> None: ...


def inventory_data(held: Iterable[Key]) -> Mapping[str, str]:
    """Return the data of the ConfigMap: the number of objects and the first of their names."""
    keys = tuple(held)
    if not keys:
        return NOTHING
    first = ", ".join(str(key) for key in heapq.nsmallest(NAMED, keys))
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return {"count": str(len(keys)), "names": first + more}


class FinalizerInventory:
    """Keeps the ConfigMap in step with the store.

    Args:
        api: reads and writes the ConfigMap.
        store: objects with and without the finalizer.
        namespace: of the operator.
    """

    def __init__(self, api: FinalizerInventoryApi, store: Store, namespace: str) -> None:
        self._api, self._store, self._namespace = api, store, namespace
        self._last: Mapping[str, str] | None = None

    async def run(self, interval: float = INTERVAL) -> None:
        """Update the ConfigMap once per interval, for ever. Reads the store, not the API server."""
        while True:
            try:
                await self.once()
            except OutsideError as error:
                logger.warning(
                    "writing the finalizer inventory failed, an uninstallation may be judged by an outdated list: %s",
                    error,
                )
                await asyncio.sleep(interval * 10)
            await asyncio.sleep(interval)

    async def once(self) -> None:
        """Write the ConfigMap when it differs. Raises OutsideError."""
        everything = ((key, self._store.stored(key)) for key in self._store.keys())  # noqa: SIM118 - a method of the store
        wanted = inventory_data(key for key, stored in everything if stored is not None and stored.finalized)
        if self._last is None:  # the process before may have told the same
            self._last = await self._api.holdings(self._namespace) or NOTHING
        if wanted != self._last:
            await self._api.tell_holdings(self._namespace, wanted)
            self._last = wanted
