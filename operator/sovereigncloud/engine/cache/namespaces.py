"""Namespaces by their labels, which decide whom a policy binds. Kopf tells of each change; a list now and then tells what it
missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sovereigncloud.ports.errors import OutsideError

logger = logging.getLogger(__name__)
Json = dict[str, Any]
INTERVAL = 300.0
Labels = Mapping[str, str]


class NamespaceLister(Protocol):
    async def namespace_labels(self) -> dict[str, Labels]: ...


class Namespaces:
    """What is known of namespaces."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Called when labels of one became others."""
        self._labels: dict[str, Labels] = {}
        self.changes = 0
        """How often something of them became another."""

    def labels(self, namespace: str) -> Labels | None:
        """None: nobody told of that namespace yet."""
        return self._labels.get(namespace)

    def all(self) -> tuple[tuple[str, Labels], ...]:
        """Each with its labels."""
        return tuple(self._labels.items())

    def told(self, event: str | None, body: Json) -> None:
        """An event of the watch (None: listed)."""
        metadata = body["metadata"]
        self._keep(metadata["name"], None if event == "DELETED" else dict(metadata.get("labels") or {}))

    def listed(self, labels: Mapping[str, Labels]) -> None:
        """All that there are."""
        for name in self._labels.keys() | labels.keys():
            self._keep(name, labels.get(name))

    def _keep(self, name: str, labels: Labels | None) -> None:
        if self._labels.get(name) == labels:
            return
        if labels is None:
            del self._labels[name]
        else:
            self._labels[name] = labels
        self.changes += 1
        self.changed()

    async def audit(self, api: NamespaceLister, interval: float = INTERVAL) -> None:
        """For ever: what the watch missed is taken in."""
        while True:
            await asyncio.sleep(interval)
            try:
                self.listed(await api.namespace_labels())
            except OutsideError as error:
                logger.warning("listing namespaces failed, the watch goes on: %s", error)
