"""Who looks again when a border moved: a policy, a profile, a label of a namespace, or where a cloud is.

What is bound is compared at once with what was read last; nothing outside is read for it. The policies themselves count anew
what they bind a moment later, all that came meanwhile at once. A machine that found no place is in no cloud to be compared with:
it is queued whenever there may be one.
"""

from __future__ import annotations

from sovereigncloud.api import ProviderProfile, SovereignCloud, SovereigntyPolicy
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store, Stored
from sovereigncloud.engine.cache.unscheduled_instances import unplaced
from sovereigncloud.engine.loop.cloud_watches import Watches
from sovereigncloud.engine.loop.queue import Lane, Workqueue
from sovereigncloud.engine.policy.bindings import Borders
from sovereigncloud.sovereignty.rules import Rules

_POLICY, _PROFILE, _CLOUD = SovereigntyPolicy.crd.kind, ProviderProfile.crd.kind, SovereignCloud.crd.kind
_GATHERED = 2.0
"""Seconds."""


class BorderNews:
    """Tells who is to look again.

    Args:
        store: what the API server told.
        borders: which policies bind what.
        watches: of clouds.
        queue: of keys.
    """

    def __init__(self, store: Store, borders: Borders, watches: Watches, queue: Workqueue[Key]) -> None:
        self._store, self._borders, self._watches, self._queue = store, borders, watches, queue
        self._rules: tuple[Rules, ...] = ()

    def namespaces_changed(self) -> None:
        """A label may bind somebody else now."""
        if self._any_policy():
            self._compare()
            self._count_soon()

    def changed(self, key: Key, before: Stored | None) -> None:
        """An object came, changed or went."""
        if key.kind == _CLOUD and self._offers_otherwise(key, before):
            self.place()
        if key.kind == _POLICY:
            self._policy(key, before)
        elif not self._any_policy():
            return
        elif key.kind == _PROFILE and self._told_otherwise(key, before):
            self._compare()
            self._count_soon()
        elif (key.kind == _CLOUD and self._moved(key, before)) or self._judged_otherwise(key, before):
            self._count_soon()

    def referred(self, before: tuple[Key, ...], after: tuple[Key, ...]) -> None:
        """A profile tells how many use it."""
        for key in {*before} ^ {*after}:
            if key.kind == _PROFILE and self._store.stored(key) is not None:
                self._queue.add(key, Lane.RECHECK)

    def _policy(self, key: Key, before: Stored | None) -> None:
        rules = self._borders.all()
        if rules != self._rules:
            self._rules = rules
            self._compare()
        if self._told_otherwise(key, before):
            self._count_soon(beside=key)

    def _any_policy(self) -> bool:
        return next(self._store.keys(_POLICY), None) is not None

    def _compare(self) -> None:
        for watch in self._watches.clouds.values():
            watch.compare()
        self.place()

    def place(self) -> None:
        """There may be a place for who found none."""
        for key in unplaced(self._store):
            self._queue.add(key, Lane.RECHECK)

    def _count_soon(self, beside: Key | None = None) -> None:
        for key in self._store.keys(_POLICY):
            if key != beside:
                self._queue.add_after(key, _GATHERED)

    def _told_otherwise(self, key: Key, before: Stored | None) -> bool:
        """Whether its spec is another, or it is new or gone."""
        after = self._store.stored(key)
        return after is None or before is None or (before.uid, before.trigger[:2]) != (after.uid, after.trigger[:2])

    def _offers_otherwise(self, key: Key, before: Stored | None) -> bool:
        """Whether a machine may find a place there that it did not find before: it is new, answers, is labelled or is known to be
        elsewhere.
        """
        after = self._store.stored(key)
        if after is None or before is None:
            return after is not None
        return (before.trigger, before.others) != (after.trigger, after.others) or _where(before) != _where(after)

    def _moved(self, key: Key, before: Stored | None) -> bool:
        after = self._store.stored(key)
        return after is None or before is None or self._told_otherwise(key, before) or _where(before) != _where(after)

    def _judged_otherwise(self, key: Key, before: Stored | None) -> bool:
        after = self._store.stored(key)
        return _judgement(before) != _judgement(after)


def _where(cloud: Stored) -> object:
    return cloud.status().get("locations")


def _judgement(stored: Stored | None) -> tuple[str, tuple[str, ...]]:
    return (stored.standing.compliant, stored.standing.broken) if stored is not None else ("", ())
