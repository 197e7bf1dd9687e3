"""What the engine remembers of an object beside the store: when it wrote for it, what failed, what it must still tell."""

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
"""What has no name of ours outside, so that a second one would not be refused."""
INTERRUPTS = frozenset({Disruption.RESTART, Disruption.REBUILD})
MAX_REPEATS = 6
"""So often in a row may the same steps be done without reality following, before a person is asked."""
_REMEMBERED = 16


Approval = tuple[str, int, tuple[Step, ...]]
NO_APPROVAL: Approval = ("", 0, ())
NEVER_TOLD = ("", 0)


@dataclass(frozen=True, slots=True)
class Failure:
    """Steps that failed, and until when they are not tried again: sweeps come more often than that."""

    signature: str
    until: float
    outcome: Outcome


@dataclass(slots=True)
class ObjectHistory:
    """One object.

    Attributes:
        uid: a new uid under the same name starts anew.
        trust_after: only a view that began after this (monotonic seconds) is believed.
        uncertain_until: until then what was asked for before this process may still take effect.
        predecessor_until: until then a write of a process before this one may still take effect, if there was any for it.
        unanswered_until: likewise what this process asked for without an answer; only who takes back waits for it.
        nameless: its name outside is not unique, so that a lost answer could lead to a second one.
        interrupts_from: until then a machine may still be interrupted by what was asked for before, so it is not asked
            for again: it would be interrupted twice.
        facts: ids that a write brought and that are not in status yet.
        events: what was done and not told yet, since the status write failed.
        failure: the last steps that failed.
        failures: how often in a row.
        repeats: how often each of the last steps was done since reality was as declared.
        asked: the last reconcile-requested-at that was seen.
        dangerous: what an observation asks for and the brakes did not admit yet, in words.
        admitted: whether the brakes let go on what a sweep found, and no reconcile has looked since.
        lost: what it recorded was missing when a sweep last could tell.
        guarded: Secrets that it is known to hold.
        approval: the approved plan that is being carried out, for which generation, and its steps.
        confirmed: the approval for which reality was looked at once more.
        watches: which are read often on its behalf.
        told: the resourceVersion whose status was found to say already what a sweep had to say, and what that was; 0: not
            put down yet.
        basis: what the last sweep looked at and found nothing to do or say; None: it is compared again.
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
        """What these very steps failed with, as long as they are not to be tried again."""
        known = self.failure
        if known is None or known.signature != signature or now >= known.until:
            return None
        return replace(known.outcome, after=known.until - now, events=(), facts={})

    def failed(self, signature: str, outcome: Outcome, until: float) -> None:
        """These steps failed; they are tried again at that time, others at once."""
        self.failures = self.failures + 1 if self.failure and self.failure.signature == signature else 1
        self.failure = Failure(signature, until, outcome)

    def did(self, signature: str) -> int:
        """These steps were done without an error; returns how often since reality was as declared."""
        self.failure, self.failures = None, 0
        times = self.repeats.pop(signature, 0) + 1
        self.repeats[signature] = times
        if len(self.repeats) > _REMEMBERED:
            del self.repeats[next(iter(self.repeats))]
        return times

    def converged(self) -> None:
        """Reality is as declared."""
        self.failure, self.failures = None, 0
        self.repeats.clear()

    def must_look_again(self, steps: tuple[Step, ...]) -> bool:
        """Whether one of the steps makes what a process before this one may have asked for, or takes back what it may have made
        final, and what was looked at may be from before that took effect. From then on only a later view is believed.
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
        """Likewise of what this process asked for and nobody answered."""
        self.uncertain_until = max(self.uncertain_until, self.unanswered_until)
        return self.looked_too_early()

    def looked_too_early(self) -> bool:
        """Whether what was looked at may be from before something took effect that a process before this one asked for.
        From then on only a later view is believed.
        """
        if self.trust_after >= self.uncertain_until:
            return False
        self.trust_after = self.uncertain_until
        return True

    def must_not_interrupt(self, steps: tuple[Step, ...], now: float) -> bool:
        """Whether one of the steps interrupts a machine that may be interrupted anyway, by an earlier request."""
        return now < self.interrupts_from and any(s.disruption in INTERRUPTS for s in steps)


class ReconcileHistory:
    """Tracks by key.

    Args:
        grace: seconds that a write with a lost answer may still take effect.
        clock: monotonic seconds.
        started: when this process began to be the one that writes, on that clock; None: now.
    """

    def __init__(self, *, grace: float, clock: Callable[[], float] = monotonic, started: float | None = None) -> None:
        self._grace, self._clock = grace, clock
        self._started = clock() if started is None else started
        self._tracks: dict[Key, ObjectHistory] = {}
        self._floor = float("-inf")

    def start(self) -> None:
        """This process is the one that writes, from now on. It may have waited for that for hours, while another wrote."""
        self._started = self._clock()
        self._tracks.clear()

    def of(self, resource: Resource[Any, Any]) -> ObjectHistory:
        """The track of an object, made anew for a new uid."""
        key = resource.key
        known = self._tracks.get(key)
        if known is None or known.uid != resource.metadata.uid:
            self.forget(key)
            known = ObjectHistory(resource.metadata.uid, trust_after=self._floor)
            known.nameless = resource.crd.kind in _NAMES_NOT_UNIQUE
            known.predecessor_until = self._started + self._grace
            if resource.finalized:
                # Something may have been attempted before this process: no id in status is a proof that nothing was.
                known.uncertain_until = known.interrupts_from = known.predecessor_until
            self._tracks[key] = known
        return known

    def known(self, key: Key) -> ObjectHistory | None:
        """The track of an object, if there is one."""
        return self._tracks.get(key)

    def forget(self, key: Key) -> None:
        """The object went. What was made for it a moment ago and stays may be in no view yet; whoever comes under its name
        must find it.
        """
        known = self._tracks.pop(key, None)
        if known is not None:
            self._floor = max(self._floor, min(known.trust_after, self._clock()))

    def __len__(self) -> int:
        return len(self._tracks)
