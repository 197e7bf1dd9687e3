"""Kubernetes events: posted in the background after the write they speak of, dropped when they cannot be."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from sovereigncloud.api.base import API_VERSION
from sovereigncloud.engine.store import AnyResource
from sovereigncloud.kinds.errors import OutsideError

logger = logging.getLogger(__name__)
COMPONENT = "sovereign-cloud-operator"
_MAX_WAITING = 1000
_MAX_MESSAGE = 1024


class EventPoster:
    """Posts events in order, without holding up the loop."""

    def __init__(self, create: Callable[[str, dict[str, Any]], Awaitable[None]]) -> None:
        self._create = create
        self._waiting: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(_MAX_WAITING)

    def post(self, resource: AnyResource, kind: str, reason: str, message: str) -> None:
        """Normal or Warning, a CamelCase reason, a sentence."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = resource.metadata
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata.name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": metadata.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": resource.crd.kind,
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
            "type": kind,
            "reason": reason,
            "message": message[:_MAX_MESSAGE],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self._waiting.put_nowait((metadata.namespace, body))
        except asyncio.QueueFull:
            logger.warning("an event was dropped: %s", reason, extra={"object": str(resource.key)})

    async def run(self) -> None:
        while True:
            namespace, body = await self._waiting.get()
            try:
                await self._create(namespace, body)
            except OutsideError as error:
                logger.warning("an event was dropped: %s", error)
            except Exception:  # whatever it is, the next event is not to be lost for it
                logger.exception("an event was dropped")
