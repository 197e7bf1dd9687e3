"""Namespace labels, which decide which policies apply. Kopf's watch updates them; a periodic list adds missed
changes.
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
    """Labels of all known namespaces."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Called when the labels of a namespace changed."""
        self._labels: dict[str, Labels] = {}
        self.changes = 0
        """Number of changes so far; a cache compares it."""

    def labels(self, namespace: str) -> Labels | None:
        """Return the labels of a namespace; None while it is unknown."""
        return self._labels.get(namespace)

    def all(self) -> tuple[tuple[str, Labels], ...]:
        """Return all namespaces with their labels."""
        return tuple(self._labels.items())

    def handle_event(self, event: str | None, body: Json) -> None:
        """Handle a watch event (None: listed)."""
        metadata = body["metadata"]
        self._keep(metadata["name"], None if event == "DELETED" else dict(metadata.get("labels") or {}))

    def listed(self, labels: Mapping[str, Labels]) -> None:
        """Replace everything known by a complete list."""
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
        """List the namespaces once per interval, for ever, and add what the watch missed."""
        while True:
            await asyncio.sleep(interval)
            try:
                self.listed(await api.namespace_labels())
            except OutsideError as error:
                logger.warning("listing namespaces failed, the watch goes on: %s", error)
