"""The machines of each cloud, as far as leaving it is concerned: an object is read anew only when it is another."""

from __future__ import annotations

from sovereigncloud.api import HostedInstance
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.kinds.exit_readiness.facts import InstanceFacts, facts_of

_INSTANCE = HostedInstance.crd.kind


class InstanceIndex:
    """Kept by the resourceVersion of each object.

    Args:
        store: with the objects.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[Key, tuple[str, InstanceFacts | None]] = {}

    def of(self, cloud: Key) -> tuple[InstanceFacts, ...]:
        """Of the HostedInstances with a machine there, by name."""
        if len(self._known) > 2 * len(self._store) + 64:
            self._known = {key: known for key, known in self._known.items() if self._store.stored(key) is not None}
        found = (self._of(key) for key in sorted(self._store.users(cloud)) if key.kind == _INSTANCE)
        return tuple(one for one in found if one is not None and one.cloud == cloud)

    def _of(self, key: Key) -> InstanceFacts | None:
        stored = self._store.stored(key)
        if stored is None:
            return None
        known = self._known.get(key)
        if known is None or known[0] != stored.version:
            resource = self._store.get(key)
            known = (stored.version, facts_of(resource) if isinstance(resource, HostedInstance) else None)
            self._known[key] = known
        return known[1]
