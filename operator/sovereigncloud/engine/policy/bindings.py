"""Policy bindings index: the policies that apply to a namespace in a cloud, cached until an input changes.

Inputs are the policies, the labels of namespaces and the date.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sovereigncloud.api import HostedInstance, MachineImage, SovereignCloud, SovereigntyPolicy
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.namespaces import Namespaces
from sovereigncloud.engine.cache.store import Store, targets
from sovereigncloud.sovereignty.rules import Rules, rules_of
from sovereigncloud.sovereignty.verdict import Judged

_POLICY, _CLOUD = SovereigntyPolicy.crd.kind, SovereignCloud.crd.kind
JUDGED = (_CLOUD, HostedInstance.crd.kind, MachineImage.crd.kind)
"""Kinds with a condition Compliant when a policy applies."""
_ANY_CLOUD = Key(_CLOUD, "", "")
"""A future cloud: a policy that lists its clouds does not apply to it."""


class PolicyBindings:
    """Rules of all policies, indexed by namespace and cloud.

    Args:
        store: the policies.
        namespaces: their labels.
        now: current time, for dates in rules.
    """

    def __init__(self, store: Store, namespaces: Namespaces, now: Callable[[], datetime]) -> None:
        self._store, self._namespaces, self._now = store, namespaces, now
        self._state: tuple[int, int] | None = None
        self._today = self._tomorrow = datetime.min.replace(tzinfo=UTC)
        self._rules: dict[str, Rules] = {}
        self._bound: dict[tuple[str, Key], tuple[Rules, ...]] = {}

    def of(self, namespace: str, cloud: Key) -> tuple[Rules, ...]:
        """Return the rules that apply to this namespace in this cloud, ordered by policy name.

        The same objects are returned while nothing changes: a sweep asks for each of ten thousand VMs.
        """
        self._look()
        place = (namespace, cloud)
        found = self._bound.get(place)
        if found is None:
            found = self._bound[place] = tuple(r for r in self._rules.values() if self._binds(r, namespace, cloud))
        return found

    def all(self) -> tuple[Rules, ...]:
        """Return the rules of every policy."""
        self._look()
        return tuple(self._rules.values())

    def judged(self, policy: str) -> tuple[Judged, ...]:
        """Return the evaluated objects to which this policy applies."""
        self._look()
        found: list[Judged] = []
        for kind in JUDGED:
            for key in self._store.keys(kind):
                stored = self._store.stored(key)
                if stored is None or not stored.summary.compliant:
                    continue
                clouds = (key,) if kind == _CLOUD else (one for one in targets(stored.uses) if one.kind == _CLOUD)
                bound = (one for one in clouds if any(r.policy == policy for r in self.of(key.namespace, one)))
                if (cloud := next(bound, None)) is not None:
                    found.append(Judged(key, cloud, stored.summary.compliant, stored.summary.broken))
        return tuple(found)

    def beside(self, policy: str) -> tuple[tuple[Rules, ...], ...]:
        """Return each set of policies, including this one, that apply together in some namespace and cloud."""
        self._look()
        of_namespaces = {
            tuple(name for name, rules in self._rules.items() if rules.binding.binds_namespace(labels))
            for _, labels in self._namespaces.all()
        }
        clouds = (_ANY_CLOUD, *self._store.keys(_CLOUD))
        together = {
            tuple(name for name in names if self._rules[name].binding.binds_cloud(cloud))
            for names in of_namespaces
            if policy in names
            for cloud in clouds
        }
        return tuple(tuple(self._rules[name] for name in names) for names in sorted(together) if policy in names)

    def _look(self) -> None:
        now = self._now()
        state = (self._store.changes[_POLICY], self._namespaces.changes)
        if state == self._state and self._today <= now < self._tomorrow:
            return
        self._today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._tomorrow = self._today + timedelta(days=1)
        self._state, before = state, self._rules
        found = (self._store.get(key) for key in sorted(self._store.keys(_POLICY)))
        made = [rules_of(p, self._now()) for p in found if isinstance(p, SovereigntyPolicy) and not p.deleting]
        self._rules = {r.policy: old if (old := before.get(r.policy)) == r else r for r in made}
        self._bound = {}

    def _binds(self, rules: Rules, namespace: str, cloud: Key) -> bool:
        """Return whether the rules apply; they do in a namespace whose labels are still unknown.

        Otherwise an object could be placed before its namespace's labels are known.
        """
        labels = self._namespaces.labels(namespace)
        return rules.binding.binds_cloud(cloud) and (labels is None or rules.binding.binds_namespace(labels))
