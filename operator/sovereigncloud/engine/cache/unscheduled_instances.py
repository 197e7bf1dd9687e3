"""Machines that found no place yet: they are in no cloud, so no sweep of one would come by."""

from __future__ import annotations

from collections.abc import Iterator

from sovereigncloud.api import HostedInstance
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store


def unplaced(store: Store) -> Iterator[Key]:
    """Their keys; those that go need none."""
    for key in store.keys(HostedInstance.crd.kind):
        stored = store.stored(key)
        if stored is not None and stored.uses.cloud is None and not stored.deleting:
            yield key
