"""Policy triggers: which objects to reconcile after a policy, profile, namespace label or location changed.

Objects to which policies apply are compared at once with the last view; nothing is read for it. The policies count
their objects again a moment later, once for all changes in between. An unscheduled instance is in no cloud to be
compared with, so it is queued whenever a place may have become available.
"""

from __future__ import annotations

from collections.abc import Callable

from sovereigncloud.api import ProviderProfile, SovereignCloud, SovereigntyPolicy
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store, Stored
from sovereigncloud.engine.cache.unscheduled_instances import unscheduled_instances
from sovereigncloud.engine.policy.bindings import PolicyBindings
from sovereigncloud.sovereignty.rules import Rules

_POLICY, _PROFILE, _CLOUD = SovereigntyPolicy.crd.kind, ProviderProfile.crd.kind, SovereignCloud.crd.kind
_DEBOUNCE = 2.0
"""Seconds for which changes are collected before policies count again."""


class PolicyTriggers:
    """Queues the objects that a policy-related change affects.

    Args:
        store: what the API server told.
        borders: which policies bind what.
        compare_clouds: compares every cloud with its last view again.
        recheck: queues a key as a re-check.
        recheck_after: queues a key after a delay in seconds.
    """

    def __init__(
        self,
        store: Store,
        bindings: PolicyBindings,
        *,
        compare_clouds: Callable[[], None],
        recheck: Callable[[Key], None],
        recheck_after: Callable[[Key, float], None],
    ) -> None:
        self._store, self._bindings, self._compare_clouds = store, bindings, compare_clouds
        self._recheck, self._recheck_after = recheck, recheck_after
        self._rules: tuple[Rules, ...] = ()

    def namespaces_changed(self) -> None:
        """Handle changed namespace labels, which may bind other objects."""
        if self._any_policy():
            self._compare()
            self._recount_later()

    def changed(self, key: Key, before: Stored | None) -> None:
        """Handle an object that was added, changed or deleted."""
        if key.kind == _CLOUD and self._may_accept_more(key, before):
            self.requeue_unscheduled()
        if key.kind == _POLICY:
            self._policy(key, before)
        elif not self._any_policy():
            return
        elif key.kind == _PROFILE and self._spec_changed(key, before):
            self._compare()
            self._recount_later()
        elif (key.kind == _CLOUD and self._location_changed(key, before)) or self._compliance_changed(key, before):
            self._recount_later()

    def references_changed(self, before: tuple[Key, ...], after: tuple[Key, ...]) -> None:
        """Queue the ProviderProfiles whose users changed, because their status counts them."""
        for key in {*before} ^ {*after}:
            if key.kind == _PROFILE and self._store.stored(key) is not None:
                self._recheck(key)

    def _policy(self, key: Key, before: Stored | None) -> None:
        rules = self._bindings.all()
        if rules != self._rules:
            self._rules = rules
            self._compare()
        if self._spec_changed(key, before):
            self._recount_later(beside=key)

    def _any_policy(self) -> bool:
        return next(self._store.keys(_POLICY), None) is not None

    def _compare(self) -> None:
        self._compare_clouds()
        self.requeue_unscheduled()

    def requeue_unscheduled(self) -> None:
        """Queue the unscheduled instances, because a place may have become available."""
        for key in unscheduled_instances(self._store):
            self._recheck(key)

    def _recount_later(self, beside: Key | None = None) -> None:
        for key in self._store.keys(_POLICY):
            if key != beside:
                self._recheck_after(key, _DEBOUNCE)

    def _spec_changed(self, key: Key, before: Stored | None) -> bool:
        """Return whether the spec changed or the object is new or gone."""
        after = self._store.stored(key)
        return after is None or before is None or (before.uid, before.trigger[:2]) != (after.uid, after.trigger[:2])

    def _may_accept_more(self, key: Key, before: Stored | None) -> bool:
        """Return whether a cloud may now accept an instance that it did not accept before.

        It is new, became reachable, or its labels or locations changed.
        """
        after = self._store.stored(key)
        if after is None or before is None:
            return after is not None
        return (before.trigger, before.others) != (after.trigger, after.others) or _where(before) != _where(after)

    def _location_changed(self, key: Key, before: Stored | None) -> bool:
        after = self._store.stored(key)
        return after is None or before is None or self._spec_changed(key, before) or _where(before) != _where(after)

    def _compliance_changed(self, key: Key, before: Stored | None) -> bool:
        after = self._store.stored(key)
        return _judgement(before) != _judgement(after)


def _where(cloud: Stored) -> object:
    return cloud.status().get("locations")


def _judgement(stored: Stored | None) -> tuple[str, tuple[str, ...]]:
    return (stored.summary.compliant, stored.summary.broken) if stored is not None else ("", ())
