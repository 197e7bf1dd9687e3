"""Reconcile history: what the engine remembers per object beside the store, such as writes and failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from sovereigncloud.api.common.base import Key, Resource
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Action, Disruption, Step
from sovereigncloud.engine.loop.comparison_cache import Basis
from sovereigncloud.engine.views.cloud_watch import ViewWatch

# OpenNebula keeps no machine name unique, so a lost answer could lead to a second machine; every other object that is
# made has a name that its API refuses a second time. A move makes a machine, and images and apps that it takes away again: what
# comes after that is refused by nothing.
_NAMES_NOT_UNIQUE = frozenset({"HostedInstance", "InstanceMigration"})
_NAMELESS = frozenset({Action.BACK_UP, Action.SNAPSHOT, Action.SCHEDULE, Action.RESTORE})
"""Actions whose results have no unique name outside, so that the API would not refuse a second one."""
INTERRUPTS = frozenset({Disruption.RESTART, Disruption.REBUILD})
MAX_REPEATS = 6
"""How often in a row the same steps are done without effect before the object is stalled."""
_REMEMBERED = 16


Approval = tuple[str, int, tuple[Step, ...]]
NO_APPROVAL: Approval = ("", 0, ())
NEVER_TOLD = ("", 0)


@dataclass(frozen=True, slots=True)
class Failure:
    """Steps that failed, and when they are tried again: sweeps come more often than that."""

    signature: str
    until: float
    outcome: Outcome


@dataclass(slots=True)
class ObjectHistory:
    """Reconcile history of one object.

    Attributes:
        uid: a new UID under the same name starts a new history.
        trust_after: only a view that began after this (monotonic seconds) is believed.
        uncertain_until: until then an earlier write may still take effect; only a view from after it is believed.
        predecessor_until: until then a write of an earlier process may still take effect, if there was any.
        unanswered_until: until then an unanswered write of this process may still take effect; only steps that undo
            something wait for it.
        nameless: its name outside is not unique, so a lost answer could lead to a duplicate.
        interrupts_from: until then an earlier request may still interrupt the VM, so no second one is sent.
        facts: ids that a write returned and that are not in status yet.
        events: what was done and not posted yet, because the status write failed.
        failure: the last steps that failed.
        failures: number of consecutive failures.
        repeats: how often each of the last steps was done since the object last matched its spec.
        asked: the last reconcile-requested-at that was seen.
        dangerous: description of observed changes that the change limits did not admit yet.
        admitted: whether the change limits admitted what a sweep found, and no reconcile has run since.
        lost: what it recorded was missing when a sweep last could tell.
        guarded: Secrets known to carry the finalizer for it.
        approval: the approved plan that is being carried out, for which generation, and its steps.
        confirmed: the approval for which the plan was computed once more.
        watches: which are read often on its behalf.
        told: resourceVersion and digest of a status that needs no write; digest 0: not computed yet.
        basis: inputs of the last comparison that found nothing to do; None: it is compared again.
    """

    uid: str
    trust_after: float = float("-inf")
    uncertain_until: float = float("-inf")
    predecessor_until: float = float("-inf")
    unanswered_until: float = float("-inf")
    nameless: bool = False
    interrupts_from: float = float("-inf")
    facts: dict[str, str] = field(default_factory=dict)
    events: tuple[tuple[Reason, str], ...] = ()
    failure: Failure | None = None
    failures: int = 0
    repeats: dict[str, int] = field(default_factory=dict)
    asked: str = ""
    dangerous: str = ""
    admitted: bool = False
    lost: bool = False
    guarded: frozenset[str] = frozenset()
    approval: Approval = NO_APPROVAL
    confirmed: str = ""
    watches: tuple[ViewWatch[Any], ...] = ()
    told: tuple[str, int] = NEVER_TOLD
    basis: Basis | None = None

    def held_back(self, signature: str, now: float) -> Outcome | None:
        """Return the failure of exactly these steps while they must not be tried again."""
        known = self.failure
        if known is None or known.signature != signature or now >= known.until:
            return None
        return replace(known.outcome, after=known.until - now, events=(), facts={})

    def failed(self, signature: str, outcome: Outcome, until: float) -> None:
        """Record that these steps failed and may be tried again at that time; other steps may run at once."""
        self.failures = self.failures + 1 if self.failure and self.failure.signature == signature else 1
        self.failure = Failure(signature, until, outcome)

    def did(self, signature: str) -> int:
        """Record that these steps succeeded; return how often since the object last matched its spec."""
        self.failure, self.failures = None, 0
        times = self.repeats.pop(signature, 0) + 1
        self.repeats[signature] = times
        if len(self.repeats) > _REMEMBERED:
            del self.repeats[next(iter(self.repeats))]
        return times

    def converged(self) -> None:
        """Record that the object matches its spec."""
        self.failure, self.failures = None, 0
        self.repeats.clear()

    def must_look_again(self, steps: tuple[Step, ...]) -> bool:
        """Return whether a step needs a newer view, because an earlier process may have requested the same.

        Steps that create something, or undo what an earlier write may make final, need a view from after that write
        took effect. From then on only a later view is believed.
        """
        if any(s.takes_back for s in steps):
            return self.looked_before_an_answer()
        resumes, shows_late = any(s.resumes for s in steps), any(s.shows_late for s in steps)
        if resumes or shows_late:
            self.uncertain_until = max(self.uncertain_until, self.predecessor_until)
            # That it goes on is known at once; what is made from then on waits.
            return not resumes and self.looked_too_early()
        # What a verification makes is a machine, whatever kind asks for it.
        makes = any(s.action is Action.CREATE and not s.inside and (self.nameless or s.beside) for s in steps)
        makes = makes or any(s.action in _NAMELESS for s in steps)
        return makes and self.looked_too_early()

    def looked_before_an_answer(self) -> bool:
        """Return whether the view may predate the effect of an unanswered write of this process."""
        self.uncertain_until = max(self.uncertain_until, self.unanswered_until)
        return self.looked_too_early()

    def looked_too_early(self) -> bool:
        """Return whether the view may predate the effect of a write of an earlier process.

        From then on only a later view is believed.
        """
        if self.trust_after >= self.uncertain_until:
            return False
        self.trust_after = self.uncertain_until
        return True

    def must_not_interrupt(self, steps: tuple[Step, ...], now: float) -> bool:
        """Return whether a step would interrupt a VM that an earlier request may still interrupt."""
        return now < self.interrupts_from and any(s.disruption in INTERRUPTS for s in steps)


class ReconcileHistory:
    """Object histories by key.

    Args:
        grace: seconds for which a write with a lost answer may still take effect.
        clock: monotonic seconds.
        started: when this process became the leader, on that clock; None: now.
    """

    def __init__(self, *, grace: float, clock: Callable[[], float] = monotonic, started: float | None = None) -> None:
        self._grace, self._clock = grace, clock
        self._started = clock() if started is None else started
        self._histories: dict[Key, ObjectHistory] = {}
        self._floor = float("-inf")

    def start(self) -> None:
        """Record that this process became the leader. Another process may have written until now."""
        self._started = self._clock()
        self._histories.clear()

    def of(self, resource: Resource[Any, Any]) -> ObjectHistory:
        """Return the history of an object; a new UID starts a new one."""
        key = resource.key
        known = self._histories.get(key)
        if known is None or known.uid != resource.metadata.uid:
            self.forget(key)
            known = ObjectHistory(resource.metadata.uid, trust_after=self._floor)
            known.nameless = resource.crd.kind in _NAMES_NOT_UNIQUE
            known.predecessor_until = self._started + self._grace
            if resource.finalized:
                # Something may have been attempted before this process: no id in status is a proof that nothing was.
                known.uncertain_until = known.interrupts_from = known.predecessor_until
            self._histories[key] = known
        return known

    def known(self, key: Key) -> ObjectHistory | None:
        """Return the history of an object, if any."""
        return self._histories.get(key)

    def forget(self, key: Key) -> None:
        """Forget a deleted object, except when it was last written.

        Resources that were created a moment ago and stay may be in no view yet; a new object of the same name must
        find them.
        """
        known = self._histories.pop(key, None)
        if known is not None:
            self._floor = max(self._floor, min(known.trust_after, self._clock()))

    def __len__(self) -> int:
        return len(self._histories)
