"""Finalizers: ours on what may have something outside, on what that needs there, and on the Secrets of both.

Without them a namespace that is deleted takes the Secret, or the cloud, before the machines that need it to be ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Protocol

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.engine.cache.store import AnyResource, Store, secret_key, targets
from sovereigncloud.engine.loop.evaluate import AnyController
from sovereigncloud.engine.loop.history import ObjectHistory
from sovereigncloud.kinds.contract.controller import SecretUse, Uses

logger = logging.getLogger(__name__)
Json = dict[str, Any]


class ObjectWriter(Protocol):
    """The one writer of status and finalizers."""

    async def patch_status(self, kind: str, namespace: str, name: str, version: str, patch: Json) -> Json: ...
    async def patch_finalizers(
        self, kind: str, namespace: str, name: str, version: str, finalizers: list[str]
    ) -> Json: ...
    async def guard_secret(self, namespace: str, name: str, *, hold: bool) -> bool: ...
    async def kind_is_going(self, kind: str) -> bool: ...
    async def create_event(self, namespace: str, body: Json) -> None: ...
    async def patch_event(self, namespace: str, name: str, patch: Json) -> None: ...


class Guards:
    """Holds objects and Secrets, and lets them go.

    Args:
        controllers: by kind.
        store: for what uses what.
        writer: of finalizers.
        ingest: keeps the reply to a PATCH of ours in the store.
    """

    def __init__(
        self,
        controllers: Mapping[str, AnyController],
        store: Store,
        writer: ObjectWriter,
        ingest: Callable[[Json], None],
    ) -> None:
        self._controllers, self._store, self._writer, self._ingest = controllers, store, writer, ingest
        self._held: set[tuple[str, str]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._letting_go = asyncio.Lock()

    async def hold(self, resource: AnyResource, uses: Uses, track: ObjectHistory) -> None:
        """Before the first write outside. Raises Conflict where somebody changed an object meanwhile.

        An object before its Secrets: one that is held and whose user carries no finalizer is let go by nobody.
        """
        for used in targets(uses):
            async with self._one_at_a_time:  # many begin at once in one cloud, which is held once
                other = self._store.get(used)
                if other is None or other.deleting:
                    continue
                if not other.finalized:
                    await self._finalize(other)
                await self._hold_secrets(other, self._controllers[used.kind].uses(other).secrets)
        if not resource.finalized:
            await self._finalize(resource)
        await self._hold_secrets(resource, uses.secrets)
        track.guarded |= {s.name for s in uses.secrets}

    async def release(self, resource: AnyResource, track: ObjectHistory) -> None:
        """Nothing is left to do outside: the finalizer goes, and the Secrets are let go by their last user."""
        metadata = resource.metadata
        # A kind may need no Secret any more to end what it made; it did while that was there.
        alive = resource.model_copy(update={"metadata": metadata.model_copy(update={"deletion_timestamp": None})})
        used = {s.name for s in self._controllers[resource.crd.kind].uses(alive).secrets}
        names = used | track.guarded
        # Of two last users that end at once each would take the other for one that stays, and the Secret would be held for ever.
        async with self._letting_go if names else nullcontext():
            await self._let_go(resource, names)
            left = [f for f in metadata.finalizers if f != FINALIZER]
            body = await self._writer.patch_finalizers(
                resource.crd.kind, metadata.namespace, metadata.name, metadata.resource_version, left
            )
            self._ingest(body)
        logger.info("released", extra={"object": str(resource.key)})

    async def drop(self, resource: AnyResource, uses: Uses, track: ObjectHistory) -> None:
        """Secrets that spec named before and does not any more are let go."""
        dropped = track.guarded - {s.name for s in uses.secrets}
        if dropped and not resource.deleting:
            await self._let_go(resource, dropped)
            track.guarded -= dropped

    async def _finalize(self, resource: AnyResource) -> None:
        metadata = resource.metadata
        self._ingest(
            await self._writer.patch_finalizers(
                resource.crd.kind,
                metadata.namespace,
                metadata.name,
                metadata.resource_version,
                [*metadata.finalizers, FINALIZER],
            )
        )

    async def _hold_secrets(self, resource: AnyResource, secrets: tuple[SecretUse, ...]) -> None:
        for secret in secrets:
            place = (resource.metadata.namespace, secret.name)
            # One that is generated in this very visit is not there yet, and held before the next step outside.
            if place not in self._held and await self._writer.guard_secret(*place, hold=True):
                self._held.add(place)

    async def _let_go(self, resource: AnyResource, names: set[str] | frozenset[str]) -> None:
        namespace = resource.metadata.namespace
        for name in sorted(names):
            others = (
                self._store.stored(k) for k in self._store.users(secret_key(namespace, name)) if k != resource.key
            )
            if not any(other is not None and other.finalized for other in others):
                # Also where this process does not know of a hold: the one before it may have put it there.
                await self._writer.guard_secret(namespace, name, hold=False)
                self._held.discard((namespace, name))


def let_go_too_early(body: Json) -> bool:
    """Whether an object went with our finalizer on it. Where a deletion and the PATCH of the finalizer meet within a few
    milliseconds the API server deletes it at once (observed on 1.36 in 8 of 100: its conditional delete looks at the
    finalizers only before the first try). Such an object never was "being deleted".
    """
    metadata = body["metadata"]
    return FINALIZER in (metadata.get("finalizers") or ()) and "deletionTimestamp" not in metadata
