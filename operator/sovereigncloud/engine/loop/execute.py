"""Acting: what stands in the way of a decision, the steps themselves, and what to say of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.change_limits import Limits, judge
from sovereigncloud.core.outcome import DONE, Outcome, Phase, held, stalled, waiting
from sovereigncloud.core.plan import Action, Step, plan_hash
from sovereigncloud.engine.cache.store import AnyResource
from sovereigncloud.engine.loop.context import ObjectContext, Shared
from sovereigncloud.engine.loop.evaluate import AnyController, Evaluation, said
from sovereigncloud.engine.loop.finalizers import Guards
from sovereigncloud.engine.loop.history import INTERRUPTS, MAX_REPEATS, NO_APPROVAL, ObjectHistory
from sovereigncloud.engine.loop.outcomes import outcome_of
from sovereigncloud.engine.loop.preflight import Preflight
from sovereigncloud.engine.loop.queue import Backoff
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.ports.errors import Auth, MissingSecret, NotYet, OutsideError, Retry

logger = logging.getLogger(__name__)

_NOT_CONVERGING_AGAIN = 300.0
_BLOCKED_AGAIN = 10.0
_SHOWS_INSIDE = 0.5
"""Seconds after which a write to Kubernetes shows in the store, should no event tell of it."""
LOOK_FIRST = waiting(
    Reason.OBSERVING, "looks once more before what was approved is carried out", after=0.01, available=True
)
"""Nothing new is known: nothing is written."""
_NO_STEP = waiting(Reason.NOT_LEADER, "no step is begun: the Lease is not held", after=5.0, available=True)
MAX_FACT = 500
"""Characters of what went wrong, in a value of `status.external`."""
_SHOWS_OUTSIDE = 0.1
"""Seconds in which a read may still show what was before a write (oned: up to 40 ms, observed)."""
_MAY_HAVE_MADE = frozenset(
    {
        Action.CREATE, Action.ATTACH, Action.REINSTALL, Action.INSTALL, Action.VERIFY, Action.BACK_UP,
        Action.SNAPSHOT, Action.SCHEDULE, Action.RESTORE,
    }
)  # fmt: skip
"""What would be there twice if it was done again before a lost one took effect; the record of a one-time request would
be overwritten by an older one that is late."""
_MAKES = frozenset({Action.CREATE, Action.DELETE})
_PROGRESS = {
    Action.CREATE: Reason.CREATING, Action.DELETE: Reason.DELETING, Action.REPLACE: Reason.REPLACING,
    Action.REINSTALL: Reason.REINSTALLING, Action.INSTALL: Reason.INSTALLING,
}  # fmt: skip


@dataclass(slots=True)
class Scope:
    """One reconcile: what is worked on, and with what.

    Attributes:
        approved: the approved plan that was begun in it.
    """

    controller: AnyController
    resource: AnyResource
    uses: Uses
    context: ObjectContext
    track: ObjectHistory
    approved: str = ""


class Actor:
    """Performs what was decided.

    Args:
        shared: what all objects share.
        guards: of finalizers.
        metrics: of steps.
        limits: of the brakes.
        grace: seconds that a write with a lost answer may still take effect.
        may_begin: whether a step may be begun: this process holds the Lease and is not about to end.
        preflight: looks after rights that lack, before anything is done.
        backoff: after steps that failed.
    """

    def __init__(
        self,
        shared: Shared,
        guards: Guards,
        metrics: Metrics,
        *,
        limits: Limits,
        grace: float,
        may_begin: Callable[[], bool],
        preflight: Preflight,
        backoff: Backoff,
    ) -> None:
        self._shared, self._guards, self._metrics = shared, guards, metrics
        self._limits, self._grace, self._may_begin, self._backoff = limits, grace, may_begin, backoff
        self._preflight = preflight

    async def act(self, scope: Scope, examination: Evaluation) -> Outcome:
        """Perform what may be done, and what to say of it."""
        decision, track = examination.decision, scope.track
        track.dangerous, track.admitted = "", False
        if not decision.approved and decision.published:
            track.approval = NO_APPROVAL  # what is to be done now is not what was approved
        if not decision.steps:
            if decision.outcome.phase is Phase.DONE:
                track.converged()
                track.approval = NO_APPROVAL
            return said(examination)
        # Where a person approved exactly these steps there is nothing left to ask.
        steps, brake = (decision.steps, DONE) if decision.approved else self._before_the_brakes(scope, decision.steps)
        if not steps:
            return brake if brake is LOOK_FIRST else decision.outcome.merge(brake)
        if decision.approved and self._looks_first(track, decision.approved):
            return LOOK_FIRST
        outcome = await self._attempt(scope, examination, steps)
        if all(s.beside for s in steps):
            return _beside(said(examination), steps[0].beside, outcome)
        return outcome.merge(brake)

    async def _attempt(self, scope: Scope, examination: Evaluation, steps: tuple[Step, ...]) -> Outcome:
        """What nobody forbids: unless it was tried a moment ago, or may be on its way already."""
        track = scope.track
        signature = signature_of(scope.resource, steps)
        if (failed := self._not_now(track, steps, signature)) is not None:
            return failed
        if track.must_look_again(steps):
            after = max(track.trust_after - self._shared.clock(), 0.0) + 0.05
            message = "what was asked for before may still take effect, or show only now; it goes on by itself"
            return waiting(Reason.OBSERVING, message, after=after, available=True)
        if track.must_not_interrupt(steps, self._shared.clock()):
            message = "an interruption that was asked for before may still take effect: it is not asked for again yet"
            return waiting(Reason.OBSERVING, message, available=True)
        if (lacking := await self._lacking(scope)) is not None:
            return lacking
        if any(not s.inside for s in steps):
            if not self._may_begin():
                return _NO_STEP
            await self._guards.hold(scope.resource, scope.uses, track)
        if examination.decision.approved:
            self._begin_approved(scope, examination)
        return await self._perform(scope, examination, steps, signature)

    async def _lacking(self, scope: Scope) -> Outcome | None:
        """Rights that lack. Who deletes something is not held up by those that only its making needs."""
        return None if scope.resource.deleting else await self._preflight.lacking(scope.resource)

    def _not_now(self, track: ObjectHistory, steps: tuple[Step, ...], signature: str) -> Outcome | None:
        """Why these steps are not tried now: they failed a moment ago, or they were done often and changed nothing."""
        now, times = self._shared.clock(), track.repeats.get(signature, 0)
        if times >= MAX_REPEATS:
            names = ", ".join(f"{s.action} {s.target}" for s in steps)
            stuck = stalled(Reason.NOT_CONVERGING, f"{names} was done {times} times and reality did not follow")
            track.converged()
            track.failed(signature, stuck, now + _NOT_CONVERGING_AGAIN)
        return track.held_back(signature, now)

    def _looks_first(self, track: ObjectHistory, approved: str) -> bool:
        """An approval is for what a person saw. What is carried out must still be that, so it is looked at once more."""
        if approved in {track.confirmed, track.approval[0]}:
            return False
        track.confirmed, track.trust_after = approved, max(track.trust_after, self._shared.clock())
        return True

    def _begin_approved(self, scope: Scope, examination: Evaluation) -> None:
        """From here on the approval is used up; what is left of the plan goes on under it."""
        decision, track = examination.decision, scope.track
        scope.approved = decision.approved
        begun = (decision.approved, scope.resource.metadata.generation)
        if track.approval[:2] != begun:
            track.approval = (*begun, tuple(s for s in examination.plan.steps if not s.inside))

    def _before_the_brakes(self, scope: Scope, steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], Outcome]:
        """The steps up to the first that the brakes hold, and what they say.

        What an observation asks for goes through the sweep's verdict; a cloud's own plan is judged by itself.
        """
        scope.track.dangerous = "; ".join(f"{s.action} {s.target}" for s in steps if s.dangerous)
        if not scope.track.dangerous:
            return steps, DONE
        first = next(i for i, s in enumerate(steps) if s.dangerous)
        resource = scope.resource
        if resource.crd.kind != "SovereignCloud" and scope.context.watches:
            if scope.context.admitted:
                return steps, DONE
            for watch in scope.context.watches:
                watch.refresh()
            return steps[:first], held(
                Reason.TOO_MANY_CHANGES, "waits for what the next sweep says of all that was lost"
            )
        dangerous = {s.target: f"{s.action} {s.target}" for s in steps if s.dangerous}
        total = sum(1 for _ in self._shared.store.users(resource.key)) + len(dangerous)
        spent = resource.status.last_approved_plan or ""
        verdict = judge(dangerous, total, self._limits, resource.spec.approved_plan or "", spent=spent)
        if verdict.held:
            return steps[:first], stalled(Reason.TOO_MANY_CHANGES, verdict.message)
        if verdict.approved and self._looks_first(scope.track, verdict.approved):
            return (), LOOK_FIRST
        scope.approved = verdict.approved
        return steps, DONE

    async def _perform(self, scope: Scope, examination: Evaluation, steps: tuple[Step, ...], signature: str) -> Outcome:
        track, total, result = scope.track, DONE, DONE
        for step in steps:
            if not step.inside and not self._may_begin():
                return total.merge(_NO_STEP)
            result, failed = await self._one_step(scope, step)
            track.facts.update(result.facts)
            track.events += result.events
            if failed:
                result = self._failed(track, signature, result)
            total = total.merge(result)
            if failed:
                return total
            if result.phase is not Phase.DONE or result.after is not None:
                break  # it must be seen before the next one
        track.did(signature)
        return self._under_way(examination, steps, total)

    def _failed(self, track: ObjectHistory, signature: str, result: Outcome) -> Outcome:
        """The same steps are not tried again before their time, however often a sweep comes by."""
        failures = track.failures if track.failure is not None and track.failure.signature == signature else 0
        if result.phase is Phase.RETRY:
            delay = max(result.after or 0.0, self._backoff.delay(failures))
        else:
            # Who has just made a mistake mends it now: tried again soon, then as seldom as the table of errors says.
            delay = self._backoff.delay(failures, ceiling=result.after or _BLOCKED_AGAIN)
        result = replace(result, after=delay)
        track.failed(signature, result, self._shared.clock() + delay)
        return result

    def _under_way(self, examination: Evaluation, steps: tuple[Step, ...], total: Outcome) -> Outcome:
        """What is said while it is not seen yet."""
        plan, decision = examination.plan, examination.decision
        only_taken_over = all(s.takes_over for s in steps) and len(steps) == len(plan.steps)
        if total.phase is Phase.DONE and only_taken_over and total.after is None:
            # Nothing changed but whose it is: what it was before, it is now.
            total = replace(plan.outcome, facts={**plan.outcome.facts, **total.facts})
        elif total.phase is Phase.DONE:
            names = ", ".join(f"{s.action} {s.target}" for s in steps)
            works = all(s.disruption == "None" and s.action not in _MAKES for s in steps)
            meanwhile = plan.outcome.phase is Phase.DONE or plan.outcome.available
            after = total.after
            if after is None and all(s.inside for s in steps):
                after = _SHOWS_INSIDE
            total = replace(
                waiting(_progress(steps), f"{names}: done, waiting for it to show", available=works and meanwhile),
                facts={**plan.outcome.facts, **total.facts},
                after=after,
            )
        # A step further on may wait for consent: that is said, too.
        return total.merge(decision.outcome) if decision.published else total

    async def _one_step(self, scope: Scope, step: Step) -> tuple[Outcome, bool]:
        """Its outcome, and whether it failed."""
        track, name = scope.track, str(scope.resource.key)
        begun = monotonic()
        failed = unanswered = False
        try:
            result = await scope.controller.perform(step, scope.resource, scope.context)
        except (NotYet, MissingSecret, OutsideError) as error:
            unanswered = isinstance(error, Retry) and error.maybe_done
            logger.warning("%s %s failed: %s", step.action, step.target, error, extra={"object": name})
            if isinstance(error, Auth):
                self._shared.distrust(scope.resource, scope.uses)
            result, failed = await self._preflight.explained(error, scope.resource) or outcome_of(error), True
        except Exception as error:
            unanswered = True
            logger.exception("%s %s failed", step.action, step.target, extra={"object": name})
            result, failed = outcome_of(error), True
        if not step.inside:
            # Without an answer it may have been done, or be done later than the client waited.
            now = self._shared.clock()
            lost = unanswered and step.action in _MAY_HAVE_MADE
            track.trust_after = max(track.trust_after, now + (self._grace if lost else _SHOWS_OUTSIDE))
            if unanswered:
                track.unanswered_until = now + self._grace
            if unanswered and step.disruption in INTERRUPTS:
                track.interrupts_from = now + self._grace
        outcome = "failed" if failed else "done"
        self._metrics.step(scope.resource.crd.kind, step.action, outcome, monotonic() - begun)
        if not failed:
            logger.info("%s %s", step.action, step.target, extra={"object": name})
        return result, failed


def signature_of(resource: AnyResource, steps: tuple[Step, ...]) -> str:
    """Names an attempt: these steps, for this spec, as often as somebody asks for it anew."""
    asked = resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
    return f"{plan_hash(steps)} {resource.metadata.generation} {asked}"


def _beside(told: Outcome, key: str, outcome: Outcome) -> Outcome:
    """What is said of an object while something is done beside what it declares: what would be said without it. What went
    wrong is kept as a fact, for the condition that speaks of it; it is tried again, or not, like any other step.
    """
    failed = outcome.phase in {Phase.RETRY, Phase.STALLED, Phase.BLOCKED} or outcome.reason == Reason.QUOTA_EXCEEDED
    facts = {**told.facts, **outcome.facts, **({key: outcome.message[:MAX_FACT]} if failed else {})}
    times = [t for t in (told.after, outcome.after) if t is not None]
    return replace(
        told, facts=facts, events=told.events + outcome.events, after=min(times) if times else None, beside=True
    )


def _progress(steps: tuple[Step, ...]) -> Reason:
    return next((_PROGRESS[s.action] for s in steps if s.action in _PROGRESS), Reason.UPDATING)
