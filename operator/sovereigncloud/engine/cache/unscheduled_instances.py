"""Unscheduled instances: HostedInstances without a cloud, which no sweep of a cloud would visit."""

from __future__ import annotations

from collections.abc import Iterator

from sovereigncloud.api import HostedInstance
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store


def unscheduled_instances(store: Store) -> Iterator[Key]:
    """Return the keys of HostedInstances without a placement, except those that are being deleted."""
    for key in store.keys(HostedInstance.crd.kind):
        stored = store.stored(key)
        if stored is not None and stored.uses.cloud is None and not stored.deleting:
            yield key
