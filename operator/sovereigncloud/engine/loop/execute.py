"""Execution of decided steps: preconditions, the steps themselves, and the outcome to report."""

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
from sovereigncloud.engine.loop.context import ObjectContext, SharedState
from sovereigncloud.engine.loop.evaluate import AnyController, Evaluation, said
from sovereigncloud.engine.loop.finalizers import FinalizerManager
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
"""Seconds after which a write to Kubernetes shows in the store, should no event arrive."""
LOOK_FIRST = waiting(
    Reason.OBSERVING, "the plan is computed again before the approved one is carried out", after=0.01, available=True
)
"""No new information: no status is written."""
_NO_STEP = waiting(
    Reason.NOT_LEADER, "this process does not hold the Lease, so it begins no step", after=5.0, available=True
)
MAX_FACT = 500
"""Maximum length in characters of an error in a value of `status.external`."""
_SHOWS_OUTSIDE = 0.1
"""Seconds in which a read may still return the state before a write (oned: up to 40 ms, observed)."""
_MAY_HAVE_MADE = frozenset(
    {
        Action.CREATE, Action.ATTACH, Action.REINSTALL, Action.INSTALL, Action.VERIFY, Action.BACK_UP,
        Action.SNAPSHOT, Action.SCHEDULE, Action.RESTORE,
    }
)  # fmt: skip
"""Actions that would create a duplicate if repeated before a lost request took effect. A late request would also
overwrite the record of a newer one-time request.
"""
_MAKES = frozenset({Action.CREATE, Action.DELETE})
_PROGRESS = {
    Action.CREATE: Reason.CREATING, Action.DELETE: Reason.DELETING, Action.REPLACE: Reason.REPLACING,
    Action.REINSTALL: Reason.REINSTALLING, Action.INSTALL: Reason.INSTALLING,
}  # fmt: skip


@dataclass(slots=True)
class Scope:
    """One reconcile: the object, its controller, context and history.

    Attributes:
        approved: the approved plan that was begun in it.
    """

    controller: AnyController
    resource: AnyResource
    uses: Uses
    context: ObjectContext
    history: ObjectHistory
    approved: str = ""


class Executor:
    """Executes decided steps.

    Args:
        shared: state that all objects share.
        guards: of finalizers.
        metrics: of steps.
        limits: change limits.
        grace: seconds for which a write with a lost answer may still take effect.
        may_begin: whether a step may begin: this process holds the Lease and is not stopping.
        preflight: checks OVHcloud rights before the first step.
        backoff: after failed steps.
    """

    def __init__(
        self,
        shared: SharedState,
        guards: FinalizerManager,
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

    async def act(self, scope: Scope, evaluation: Evaluation) -> Outcome:
        """Execute the steps that are allowed now and return the outcome to report."""
        decision, history = evaluation.decision, scope.history
        history.dangerous, history.admitted = "", False
        if not decision.approved and decision.published:
            history.approval = NO_APPROVAL  # what is to be done now is not what was approved
        if not decision.steps:
            if decision.outcome.phase is Phase.DONE:
                history.converged()
                history.approval = NO_APPROVAL
            return said(evaluation)
        # Where a person approved exactly these steps there is nothing left to ask.
        steps, brake = (decision.steps, DONE) if decision.approved else self._steps_within_limits(scope, decision.steps)
        if not steps:
            return brake if brake is LOOK_FIRST else decision.outcome.merge(brake)
        if decision.approved and self._must_confirm_approval(history, decision.approved):
            return LOOK_FIRST
        outcome = await self._attempt(scope, evaluation, steps)
        if all(s.beside for s in steps):
            return _beside(said(evaluation), steps[0].beside, outcome)
        return outcome.merge(brake)

    async def _attempt(self, scope: Scope, evaluation: Evaluation, steps: tuple[Step, ...]) -> Outcome:
        """Execute the steps, unless they failed a moment ago or an earlier request may still take effect."""
        history = scope.history
        signature = signature_of(scope.resource, steps)
        if (failed := self._retry_blocked(history, steps, signature)) is not None:
            return failed
        if history.must_look_again(steps):
            after = max(history.trust_after - self._shared.clock(), 0.0) + 0.05
            message = "an earlier request may still take effect; the operator waits and continues by itself"
            return waiting(Reason.OBSERVING, message, after=after, available=True)
        if history.must_not_interrupt(steps, self._shared.clock()):
            message = "an earlier request may still interrupt the VM; the operator waits before it sends another one"
            return waiting(Reason.OBSERVING, message, available=True)
        if (lacking := await self._missing_rights(scope)) is not None:
            return lacking
        if any(not s.inside for s in steps):
            if not self._may_begin():
                return _NO_STEP
            await self._guards.hold(scope.resource, scope.uses, history)
        if evaluation.decision.approved:
            self._begin_approved(scope, evaluation)
        return await self._perform(scope, evaluation, steps, signature)

    async def _missing_rights(self, scope: Scope) -> Outcome | None:
        """Return the missing OVHcloud rights. A deletion does not need those for creation."""
        return None if scope.resource.deleting else await self._preflight.lacking(scope.resource)

    def _retry_blocked(self, history: ObjectHistory, steps: tuple[Step, ...], signature: str) -> Outcome | None:
        """Return why these steps are not tried now: a recent failure, or repeats without effect."""
        now, times = self._shared.clock(), history.repeats.get(signature, 0)
        if times >= MAX_REPEATS:
            names = ", ".join(f"{s.action} {s.target}" for s in steps)
            stuck = stalled(Reason.NOT_CONVERGING, f"{names} was done {times} times without effect")
            history.converged()
            history.failed(signature, stuck, now + _NOT_CONVERGING_AGAIN)
        return history.held_back(signature, now)

    def _must_confirm_approval(self, history: ObjectHistory, approved: str) -> bool:
        """Return whether an approved plan must be computed again before it starts, so that it is what was approved."""
        if approved in {history.confirmed, history.approval[0]}:
            return False
        history.confirmed, history.trust_after = approved, max(history.trust_after, self._shared.clock())
        return True

    def _begin_approved(self, scope: Scope, evaluation: Evaluation) -> None:
        """Mark the approval as used; the rest of the plan continues under it."""
        decision, history = evaluation.decision, scope.history
        scope.approved = decision.approved
        begun = (decision.approved, scope.resource.metadata.generation)
        if history.approval[:2] != begun:
            history.approval = (*begun, tuple(s for s in evaluation.plan.steps if not s.inside))

    def _steps_within_limits(self, scope: Scope, steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], Outcome]:
        """Return the steps before the first one that the change limits hold, and the outcome of the limits.

        Steps caused by an observation need the verdict of the sweep; a cloud's own plan is judged by itself.
        """
        scope.history.dangerous = "; ".join(f"{s.action} {s.target}" for s in steps if s.dangerous)
        if not scope.history.dangerous:
            return steps, DONE
        first = next(i for i, s in enumerate(steps) if s.dangerous)
        resource = scope.resource
        if resource.crd.kind != "SovereignCloud" and scope.context.watches:
            if scope.context.admitted:
                return steps, DONE
            for watch in scope.context.watches:
                watch.refresh()
            return steps[:first], held(
                Reason.TOO_MANY_CHANGES, "waiting for the next sweep, which checks all losses against the change limits"
            )
        dangerous = {s.target: f"{s.action} {s.target}" for s in steps if s.dangerous}
        total = sum(1 for _ in self._shared.store.users(resource.key)) + len(dangerous)
        spent = resource.status.last_approved_plan or ""
        verdict = judge(dangerous, total, self._limits, resource.spec.approved_plan or "", spent=spent)
        if verdict.held:
            return steps[:first], stalled(Reason.TOO_MANY_CHANGES, verdict.message)
        if verdict.approved and self._must_confirm_approval(scope.history, verdict.approved):
            return (), LOOK_FIRST
        scope.approved = verdict.approved
        return steps, DONE

    async def _perform(self, scope: Scope, evaluation: Evaluation, steps: tuple[Step, ...], signature: str) -> Outcome:
        history, total, result = scope.history, DONE, DONE
        for step in steps:
            if not step.inside and not self._may_begin():
                return total.merge(_NO_STEP)
            result, failed = await self._one_step(scope, step)
            history.facts.update(result.facts)
            history.events += result.events
            if failed:
                result = self._failed(history, signature, result)
            total = total.merge(result)
            if failed:
                return total
            if result.phase is not Phase.DONE or result.after is not None:
                break  # it must be seen before the next one
        history.did(signature)
        return self._under_way(evaluation, steps, total)

    def _failed(self, history: ObjectHistory, signature: str, result: Outcome) -> Outcome:
        """Record a failure: the same steps are not tried again before their time, however often a sweep finds them."""
        failures = history.failures if history.failure is not None and history.failure.signature == signature else 0
        if result.phase is Phase.RETRY:
            delay = max(result.after or 0.0, self._backoff.delay(failures))
        else:
            # Who has just made a mistake mends it now: tried again soon, then as seldom as the table of errors says.
            delay = self._backoff.delay(failures, ceiling=result.after or _BLOCKED_AGAIN)
        result = replace(result, after=delay)
        history.failed(signature, result, self._shared.clock() + delay)
        return result

    def _under_way(self, evaluation: Evaluation, steps: tuple[Step, ...], total: Outcome) -> Outcome:
        """Return the outcome to report while finished steps do not show yet."""
        plan, decision = evaluation.plan, evaluation.decision
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
                waiting(_progress(steps), f"{names}: done, waiting until it is visible", available=works and meanwhile),
                facts={**plan.outcome.facts, **total.facts},
                after=after,
            )
        # A step further on may wait for consent: that is said, too.
        return total.merge(decision.outcome) if decision.published else total

    async def _one_step(self, scope: Scope, step: Step) -> tuple[Outcome, bool]:
        """Execute one step; return its outcome and whether it failed."""
        history, name = scope.history, str(scope.resource.key)
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
            history.trust_after = max(history.trust_after, now + (self._grace if lost else _SHOWS_OUTSIDE))
            if unanswered:
                history.unanswered_until = now + self._grace
            if unanswered and step.disruption in INTERRUPTS:
                history.interrupts_from = now + self._grace
        outcome = "failed" if failed else "done"
        self._metrics.step(scope.resource.crd.kind, step.action, outcome, monotonic() - begun)
        if not failed:
            logger.info("%s %s", step.action, step.target, extra={"object": name})
        return result, failed


def signature_of(resource: AnyResource, steps: tuple[Step, ...]) -> str:
    """Return the identity of an attempt: steps, spec generation and requested reconcile."""
    asked = resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
    return f"{plan_hash(steps)} {resource.metadata.generation} {asked}"


def _beside(told: Outcome, key: str, outcome: Outcome) -> Outcome:
    """Return the outcome of an object while a step beside its declared state runs, such as a verification.

    Its failure is kept as a fact for the condition that reports it; it is retried, or not, like any other step.
    """
    failed = outcome.phase in {Phase.RETRY, Phase.STALLED, Phase.BLOCKED} or outcome.reason == Reason.QUOTA_EXCEEDED
    facts = {**told.facts, **outcome.facts, **({key: outcome.message[:MAX_FACT]} if failed else {})}
    times = [t for t in (told.after, outcome.after) if t is not None]
    return replace(
        told, facts=facts, events=told.events + outcome.events, after=min(times) if times else None, beside=True
    )


def _progress(steps: tuple[Step, ...]) -> Reason:
    return next((_PROGRESS[s.action] for s in steps if s.action in _PROGRESS), Reason.UPDATING)
