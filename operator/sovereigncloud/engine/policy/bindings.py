"""Which policies bind what, now: kept until a policy, a label of a namespace or the day is another one."""

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
"""Kinds that have a condition Compliant where policies bind them."""
_ANY_CLOUD = Key(_CLOUD, "", "")
"""Stands for one that comes yet: a policy that names its clouds does not bind it."""


class Borders:
    """The rules of all policies, by what they bind.

    Args:
        store: of policies.
        namespaces: whose labels decide.
        now: for dates.
    """

    def __init__(self, store: Store, namespaces: Namespaces, now: Callable[[], datetime]) -> None:
        self._store, self._namespaces, self._now = store, namespaces, now
        self._state: tuple[int, int] | None = None
        self._today = self._tomorrow = datetime.min.replace(tzinfo=UTC)
        self._rules: dict[str, Rules] = {}
        self._bound: dict[tuple[str, Key], tuple[Rules, ...]] = {}

    def of(self, namespace: str, cloud: Key) -> tuple[Rules, ...]:
        """The rules that bind what is of this namespace in this cloud, by the names of the policies. They are the very same
        ones as long as they say the same: a sweep asks for each of ten thousand machines.
        """
        self._look()
        place = (namespace, cloud)
        found = self._bound.get(place)
        if found is None:
            found = self._bound[place] = tuple(r for r in self._rules.values() if self._binds(r, namespace, cloud))
        return found

    def all(self) -> tuple[Rules, ...]:
        """Of every policy."""
        self._look()
        return tuple(self._rules.values())

    def judged(self, policy: str) -> tuple[Judged, ...]:
        """What the policy binds and was judged."""
        self._look()
        found: list[Judged] = []
        for kind in JUDGED:
            for key in self._store.keys(kind):
                stored = self._store.stored(key)
                if stored is None or not stored.standing.compliant:
                    continue
                clouds = (key,) if kind == _CLOUD else (one for one in targets(stored.uses) if one.kind == _CLOUD)
                bound = (one for one in clouds if any(r.policy == policy for r in self.of(key.namespace, one)))
                if (cloud := next(bound, None)) is not None:
                    found.append(Judged(key, cloud, stored.standing.compliant, stored.standing.broken))
        return tuple(found)

    def beside(self, policy: str) -> tuple[tuple[Rules, ...], ...]:
        """Each set of policies, this one among them, that bind together what is in some namespace and some cloud."""
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
        """A namespace of which nobody told yet is bound: else what is in it could be placed before its label is known."""
        labels = self._namespaces.labels(namespace)
        return rules.binding.binds_cloud(cloud) and (labels is None or rules.binding.binds_namespace(labels))
