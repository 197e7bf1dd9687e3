"""Is the informer alive? A list now and then tells: what it holds and the store does not, the watch has missed.

Kopf's watch of a kind can end for good while the process goes on (nolar/kopf#1276), and a re-list tells nothing of what
was deleted meanwhile. So what was missed is taken in, ghosts are forgotten, and a watch that misses twice in a row ends
the process: the next one starts with a fresh watch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store, key_of
from sovereigncloud.ports.errors import NotFound, OutsideError

logger = logging.getLogger(__name__)
Json = dict[str, Any]
INTERVAL = 300.0
_DELIVERY = 10.0
"""Seconds in which the watch may still deliver what a list shows already."""


class Lister(Protocol):
    def objects(self, kind: str) -> AsyncIterator[Json]: ...


class Audit:
    """Compares lists with the store.

    Args:
        api: lists.
        store: what the watch told.
        told: takes in what it missed: (event, object).
        kinds: to be listed.
        dead: called when the watch missed something twice in a row.
    """

    def __init__(
        self,
        api: Lister,
        store: Store,
        told: Callable[[str | None, Json], None],
        kinds: tuple[str, ...],
        dead: Callable[[], None],
    ) -> None:
        self._api, self._store, self._told, self._kinds, self._dead = api, store, told, kinds, dead
        self._missed_before = False

    async def run(self, interval: float = INTERVAL, delivery: float = _DELIVERY) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.once(delivery)
            except OutsideError as error:
                logger.warning("listing failed, the watch goes on: %s", error)

    async def once(self, delivery: float) -> None:
        """One look. Raises OutsideError when a list fails."""
        suspects: dict[Key, Json] = {}
        ghosts: list[tuple[Key, str]] = []
        for kind in self._kinds:
            held = {key: stored for key in self._store.keys(kind) if (stored := self._store.stored(key))}
            before = {key: stored.uid for key, stored in held.items() if not stored.lingers}
            listed = await self._list(kind)
            suspects |= {key: body for key, body in listed.items() if self._is_news(key, body)}
            ghosts += [(key, uid) for key, uid in before.items() if key not in listed]
        await asyncio.sleep(delivery)
        missed = [body for key, body in suspects.items() if self._is_news(key, body)]
        gone = [(key, uid) for key, uid in ghosts if (stored := self._store.stored(key)) and stored.uid == uid]
        for body in missed:
            self._told(None, body)
        for key, uid in gone:
            metadata = {"namespace": key.namespace, "name": key.name, "uid": uid}
            self._told("DELETED", {"kind": key.kind, "metadata": metadata})
        if missed or gone:
            logger.error("the watch missed %d changes and %d deletions; they are taken in now", len(missed), len(gone))
            if self._missed_before:
                logger.critical("the watch missed changes twice in a row: exit, the next process starts a fresh one")
                self._dead()
        self._missed_before = bool(missed or gone)

    async def _list(self, kind: str) -> dict[Key, Json]:
        try:
            return {key_of(body): body async for body in self._api.objects(kind)}
        except NotFound:
            return {}  # its CRD is gone, and all objects with it

    def _is_news(self, key: Key, body: Json) -> bool:
        stored = self._store.stored(key)
        if stored is None or stored.uid != body["metadata"]["uid"]:
            return True
        listed, known = body["metadata"]["resourceVersion"], stored.version
        if listed.isdigit() and known.isdigit():
            return int(listed) > int(known)
        return bool(listed != known)
