"""Kubernetes events: posted in the background after the write they speak of, dropped when they cannot be.

What is said again counts up the event that said it first, as client-go does, and what is said in ever other words for
the same reason becomes one event after a while: a mistake that goes on for a day is one line of `kubectl describe`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud.engine.cache.store import AnyResource
from sovereigncloud.ports.errors import NotFound, OutsideError

logger = logging.getLogger(__name__)
Json = dict[str, Any]
COMPONENT = "sovereign-cloud-operator"
_MAX_WAITING = 1000
_MAX_MESSAGE = 1024
_REMEMBERED = 256
SPAN = 600.0
"""Seconds after which the same words begin a new event (client-go: ten minutes)."""
_MAX_WORDINGS = 10
"""Different messages for one reason of one object within the span, before they become one event (client-go: ten)."""
_COMBINED = "(combined from similar events): "

Said = tuple[str, str, str, str]
"""(uid, type, reason, message)"""


class EventApi(Protocol):
    async def create_event(self, namespace: str, body: Json) -> None: ...
    async def patch_event(self, namespace: str, name: str, patch: Json) -> None: ...


@dataclass(slots=True)
class _Posted:
    """An event that is in the API server: where, how often it was said, until when it counts up."""

    namespace: str
    name: str
    count: int
    until: float


@dataclass(slots=True)
class _Wordings:
    """In how many ways one reason of one object was told lately."""

    messages: set[int]  # hashes: the texts may be long
    until: float


class EventPoster:
    """Posts events in order, without holding up the loop.

    Args:
        api: takes them.
        clock: monotonic seconds.
    """

    def __init__(self, api: EventApi, *, clock: Callable[[], float] = monotonic) -> None:
        self._api, self._clock = api, clock
        self._waiting: asyncio.Queue[tuple[Said, Json]] = asyncio.Queue(_MAX_WAITING)
        self._posted: OrderedDict[Said, _Posted] = OrderedDict()
        self._wordings: OrderedDict[tuple[str, str, str], _Wordings] = OrderedDict()

    def post(self, resource: AnyResource, kind: str, reason: str, message: str) -> None:
        """Normal or Warning, a CamelCase reason, a sentence."""
        uid = resource.metadata.uid
        combined = self._too_many((uid, kind, reason), message)
        text = f"{_COMBINED if combined else ''}{message}"[:_MAX_MESSAGE]
        said = (uid, kind, reason, _COMBINED if combined else text)
        try:
            self._waiting.put_nowait((said, _body(resource, kind, reason, text)))
        except asyncio.QueueFull:
            logger.warning("an event was dropped: %s", reason, extra={"object": str(resource.key)})

    async def run(self) -> None:
        while True:
            said, body = await self._waiting.get()
            try:
                await self._say(said, body)
            except OutsideError as error:
                logger.warning("an event was dropped: %s", error)
            except Exception:  # whatever it is, the next event is not to be lost for it
                logger.exception("an event was dropped")

    async def _say(self, said: Said, body: Json) -> None:
        known = self._posted.get(said)
        if known is not None and known.until > self._clock():
            try:
                patch = {"count": known.count + 1, "lastTimestamp": body["lastTimestamp"]}
                if said[3] == _COMBINED:  # the latest of them
                    patch["message"] = body["message"]
                await self._api.patch_event(known.namespace, known.name, patch)
            except NotFound:
                pass  # it is older than the API server keeps events, or somebody deleted it
            else:
                known.count, known.until = known.count + 1, self._clock() + SPAN
                return
        metadata = body["metadata"]
        await self._api.create_event(metadata["namespace"], body)
        _remember(self._posted, said, _Posted(metadata["namespace"], metadata["name"], 1, self._clock() + SPAN))

    def _too_many(self, about: tuple[str, str, str], message: str) -> bool:
        """Whether one reason of one object was told in so many ways that all further ones are one event."""
        now = self._clock()
        known = self._wordings.get(about)
        if known is None or known.until <= now:
            known = _Wordings(set(), now + SPAN)
            _remember(self._wordings, about, known)
        if len(known.messages) <= _MAX_WORDINGS:
            known.messages.add(hash(message))
        return len(known.messages) > _MAX_WORDINGS


def _remember(kept: OrderedDict[Any, Any], key: object, value: object) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _REMEMBERED:
        kept.popitem(last=False)


def _body(resource: AnyResource, kind: str, reason: str, message: str) -> Json:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = resource.metadata
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata.name[:200]}.{uuid.uuid4().hex[:16]}",
            "namespace": metadata.namespace or "default",
        },
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
        "message": message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
