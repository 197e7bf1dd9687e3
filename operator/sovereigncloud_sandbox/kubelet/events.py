"""Kubernetes events about pods: a repeated event increments a count, as with a real kubelet."""

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from sovereigncloud_sandbox.api_server import ApiServer

logger = logging.getLogger("kubelet")
Json = dict[str, Any]
_REMEMBERED = 1000  # events of this node that may be counted on


@dataclass(slots=True)
class Events:
    """Tells of pods in the order of what happened, without keeping anybody waiting."""

    api: ApiServer
    node: str
    _known: dict[tuple[str, ...], tuple[str, int]] = field(default_factory=dict)
    _order: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def tell(self, pod: Json, kind: str, reason: str, message: str, container: str) -> None:
        """One event, or one more of it."""
        task = asyncio.create_task(self._tell(pod, kind, reason, message, container))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, pod: Json, kind: str, reason: str, message: str, container: str) -> None:
        metadata, now = pod["metadata"], utc_now()
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        key = (metadata["uid"], container, kind, reason, message)
        async with self._order:
            name, count = self._known.pop(key, (f"{metadata['name']}.{secrets.token_hex(8)}", 0))
            try:
                if count:
                    await self.api.call("PATCH", f"{path}/{name}", {"count": count + 1, "lastTimestamp": now})
                else:
                    body = self._event(metadata, container)
                    told = {
                        "type": kind,
                        "reason": reason,
                        "message": message,
                        "firstTimestamp": now,
                        "lastTimestamp": now,
                    }
                    await self.api.call("POST", path, body | told | {"metadata": body["metadata"] | {"name": name}})
            except (aiohttp.ClientError, TimeoutError) as error:
                logger.info("event %s of %s is lost: %s", reason, metadata["name"], error)
                return
            self._known[key] = name, count + 1
            while len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]

    def _event(self, about: Json, container: str) -> Json:
        regarding = {"kind": "Pod", "apiVersion": "v1"} | {key: about[key] for key in ("name", "namespace", "uid")}
        if container:
            regarding["fieldPath"] = f"spec.containers{{{container}}}"
        return {
            "metadata": {"namespace": about["namespace"]},
            "involvedObject": regarding,
            "source": {"component": "kubelet", "host": self.node},
            "reportingComponent": "kubelet",
            "count": 1,
        }


def utc_now() -> str:
    """Now, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
