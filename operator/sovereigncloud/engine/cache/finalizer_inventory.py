"""What the operator holds by its finalizer, told in a ConfigMap of its own namespace.

An uninstalled operator takes no finalizer off, and CEL lists no objects: the policy that refuses the uninstallation
(chart, uninstall.policy: Refuse) reads from here what to name, also while the operator is down. Written when it changes;
docs/adr/0008-consent-to-uninstall.md.
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
"""Objects that are named. A message of an admission policy may have 5 KiB, and a name with its namespace 320."""
INTERVAL = 2.0
"""Seconds: a burst of new objects is one write or two."""
NOTHING: Mapping[str, str] = {"count": "0", "names": ""}


class HoldingsApi(Protocol):
    async def holdings(self, namespace: str) -> Mapping[str, str] | None: ...
    async def tell_holdings(self, namespace: str, data: Mapping[str, str]) -> None: ...


def told(held: Iterable[Key]) -> Mapping[str, str]:
    """What the ConfigMap says about these objects: how many, and the first of them by name."""
    keys = tuple(held)
    if not keys:
        return NOTHING
    first = ", ".join(str(key) for key in heapq.nsmallest(NAMED, keys))
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return {"count": str(len(keys)), "names": first + more}


class Holdings:
    """Keeps the ConfigMap as the store is.

    Args:
        api: reads and writes it.
        store: for what carries the finalizer.
        namespace: of the operator.
    """

    def __init__(self, api: HoldingsApi, store: Store, namespace: str) -> None:
        self._api, self._store, self._namespace = api, store, namespace
        self._last: Mapping[str, str] | None = None

    async def run(self, interval: float = INTERVAL) -> None:
        """For ever. The store is looked at, not the API server."""
        while True:
            try:
                await self.once()
            except OutsideError as error:
                logger.warning(
                    "what is held could not be told, an uninstallation may be judged by an old list: %s", error
                )
                await asyncio.sleep(interval * 10)
            await asyncio.sleep(interval)

    async def once(self) -> None:
        """Write it where it differs. Raises OutsideError."""
        everything = ((key, self._store.stored(key)) for key in self._store.keys())  # noqa: SIM118 - a method of the store
        wanted = told(key for key, stored in everything if stored is not None and stored.finalized)
        if self._last is None:  # the process before may have told the same
            self._last = await self._api.holdings(self._namespace) or NOTHING
        if wanted != self._last:
            await self._api.tell_holdings(self._namespace, wanted)
            self._last = wanted
