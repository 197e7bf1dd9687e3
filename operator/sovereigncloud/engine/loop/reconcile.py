"""Generic reconcile loop, the same order for every kind.

parse -> gate on references -> observe, plan, decide -> change limits -> finalizer -> perform -> one status PATCH ->
events.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT, DeletionPolicy, Key, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, Phase, stalled, waiting
from sovereigncloud.engine.cache.store import AnyResource
from sovereigncloud.engine.loop.comparison_cache import Notes
from sovereigncloud.engine.loop.context import ObjectContext, SharedState
from sovereigncloud.engine.loop.evaluate import (
    AnyController,
    Evaluation,
    StatusTarget,
    at_rest,
    evaluate,
    gate,
    is_loss_reported,
    policy_of,
    status_patch,
)
from sovereigncloud.engine.loop.execute import LOOK_FIRST, Executor, Scope
from sovereigncloud.engine.loop.finalizers import FinalizerManager, ObjectWriter
from sovereigncloud.engine.loop.history import ObjectHistory
from sovereigncloud.engine.loop.outcomes import outcome_of
from sovereigncloud.engine.loop.preflight import Preflight
from sovereigncloud.engine.views.cloud_watch import ViewPendingError
from sovereigncloud.ports.errors import Auth, MissingSecret, NotFound, NotYet, OutsideError

logger = logging.getLogger(__name__)
Json = dict[str, Any]

_LOOK_AGAIN = 2.0
"""Seconds until a change in progress is checked again that no view shows."""
_SWEPT_FIRST = waiting(
    Reason.CONFIRMING_ABSENCE,
    "waiting for the next sweep of its cloud, which checks all losses against the change limits",
    after=60.0,
)
"""Used after a start; the sweep queues the object."""
_SAY_NOTHING = (LOOK_FIRST, _SWEPT_FIRST)
"""Outcomes without new information: no status is written."""
# Conditions that are told when they become true, by which reason; none: their own.
_WARNINGS: Mapping[tuple[str, str], Reason | None] = {
    ("Drifted", "True"): Reason.DRIFT_DETECTED,
    ("Stalled", "True"): None,
    ("Verified", "False"): None,
    ("Compliant", "False"): None,
    ("Compliant", "Unknown"): None,
    ("Satisfiable", "False"): None,
}
_NEWS: Mapping[tuple[str, str], Reason | None] = {
    ("Verified", "True"): None,
    ("Ready", "True"): Reason.READY,
    ("Compliant", "True"): None,
}
_ONLY_ONCE = frozenset({("Ready", "True"), ("Compliant", "True")})
"""Condition changes that post no second event when only the reason differs."""

_MOVE = "InstanceMigration"


@dataclass(frozen=True, slots=True)
class Result:
    """Result for the queue: done, look again after a time, or back off.

    Attributes:
        failed: the object could not be evaluated.
    """

    outcome: Outcome = DONE
    gone: bool = False
    failed: bool = False


class Reconciler:
    """Reconciles keys.

    Args:
        controllers: by kind.
        shared: state that all objects share.
        actor: executes steps.
        guards: of finalizers.
        writer: of status.
        preflight: names the missing rights after a refused call.
        may_write: whether this process holds the Lease; without it nothing is written anywhere.
        event: posts a Kubernetes event: (resource, type, reason, message).
        ingest: stores the reply to the operator's own PATCH.
        vanished: called for an object that no longer exists.
    """

    def __init__(
        self,
        controllers: Mapping[str, AnyController],
        shared: SharedState,
        actor: Executor,
        guards: FinalizerManager,
        writer: ObjectWriter,
        *,
        preflight: Preflight,
        may_write: Callable[[], bool],
        event: Callable[[AnyResource, str, str, str], None],
        ingest: Callable[[Json], None],
        vanished: Callable[[Key, str], None],
    ) -> None:
        self._controllers, self._shared, self._actor, self._guards = controllers, shared, actor, guards
        self._writer, self._may_write, self._preflight = writer, may_write, preflight
        self._event, self._ingest, self._vanished = event, ingest, vanished

    async def reconcile(self, key: Key) -> Result:
        """Bring one object one step closer to its spec. Raises Retry or Conflict when Kubernetes itself fails."""
        if not self._may_write():
            return Result(waiting(Reason.NOT_LEADER, "another operator holds the Lease", after=5.0))
        if self._shared.store.stored(key) is None:
            self._shared.histories.forget(key)
            return Result(gone=True)
        try:
            resource = self._shared.store.parse(key)
        except ValidationError as error:
            return await self._unreadable(key, error)
        if resource is None or (resource.deleting and not resource.finalized):
            return Result(gone=True)
        history = self._shared.histories.of(resource)
        resource = await self._with_crd_retention(_with_facts(resource, history))
        controller = self._controllers[key.kind]
        context = ObjectContext(self._shared, resource)
        scope = Scope(controller, resource, controller.uses(resource), context, history)
        self._acknowledge(scope)
        history.basis = None
        with self._shared.comparison_cache.begin() as notes:
            return await self._look_and_act(scope, notes)

    async def _look_and_act(self, scope: Scope, notes: Notes) -> Result:
        key = scope.resource.key
        outcome = gate(scope.resource, scope.uses, notes.store)
        evaluation: Evaluation | None = None
        failed = False
        if outcome.phase is Phase.DONE:
            try:
                evaluation = await self._evaluate(scope, notes)
            except (NotYet, MissingSecret, OutsideError) as error:
                if isinstance(error, Auth):
                    self._shared.distrust(scope.resource, scope.uses)
                explained = await self._preflight.explained(error, scope.resource)
                outcome, failed = explained or outcome_of(error), not isinstance(error, NotYet)
                if isinstance(error, ViewPendingError) or (
                    isinstance(error, NotYet) and scope.resource.status.condition("Ready")
                ):
                    return Result(outcome)  # nothing new is known: nothing is written
            except Exception as error:  # a bug in a kind must not end the worker
                logger.exception("observing failed", extra={"object": str(key)})
                outcome, failed = outcome_of(error), True
        if evaluation is not None:
            if evaluation.decision.release and not self._may_still_appear(scope):
                return await self._release(scope)
            outcome = await self._follow(scope, evaluation)
            await self._restore_finalizer(scope)
            if outcome in _SAY_NOTHING or (outcome.reason == Reason.NOT_LEADER and not scope.history.facts):
                return Result(outcome)
        for verdict in self._shared.held(key):
            outcome = outcome.merge(stalled(Reason.TOO_MANY_CHANGES, verdict.message))
        outcome = self._settle(scope, outcome)
        await self._write_status(scope, outcome, evaluation)
        await self._guards.drop(scope.resource, scope.uses, scope.history)
        self._record_basis(scope, outcome, evaluation, notes)
        return Result(outcome, failed=failed)

    async def _evaluate(self, scope: Scope, notes: Notes) -> Evaluation:
        approval, generation, steps = scope.history.approval
        same = (approval, generation) == (scope.resource.spec.approved_plan, scope.resource.metadata.generation)
        begun = steps if approval and same else ()
        context, now = notes.context(scope.context), notes.time(self._shared.now())
        return await evaluate(scope.controller, scope.resource, context, notes.store, begun=begun, now=now)

    def _record_basis(self, scope: Scope, outcome: Outcome, evaluation: Evaluation | None, notes: Notes) -> None:
        """Record the inputs of an evaluation without findings, so that the next sweep skips the object.

        After a start a sweep finds thousands like it. The basis is for the evaluated version: after a status write a
        sweep compares the object again.
        """
        if evaluation is not None and at_rest(evaluation) and outcome.phase is Phase.DONE:
            scope.history.basis = self._shared.comparison_cache.basis(notes, scope.resource.metadata.resource_version)

    async def _restore_finalizer(self, scope: Scope) -> None:
        """Restore a finalizer that is missing on an object with external resources.

        Another release, a replace from Git or a restored backup may have removed it; a deletion would then leave the
        external resources behind.
        """
        resource, stored = scope.resource, self._shared.store.stored(scope.resource.key)
        lets_go = getattr(resource, "adopted", False)  # its marks are to be taken off
        ends = bool(resource.external) and (resource.deletion_policy is DeletionPolicy.DELETE or lets_go)
        if not ends or stored is None or stored.finalized or stored.deleting:
            return
        policy = policy_of(resource, scope.uses, self._shared.store)
        if policy.management is not Management.OBSERVE:
            await self._guards.hold(resource, scope.uses, scope.history)

    def _may_still_appear(self, scope: Scope) -> bool:
        """Return whether a request of an earlier process may still create something that nobody would delete.

        An InstanceMigration removes what it created whatever its deletion policy, which concerns the source VM.
        """
        if scope.resource.crd.kind == _MOVE:
            return scope.history.looked_before_an_answer()
        return scope.resource.deletion_policy is DeletionPolicy.DELETE and scope.history.looked_too_early()

    async def _follow(self, scope: Scope, evaluation: Evaluation) -> Outcome:
        """Carry out the decision."""
        if evaluation.plan.absent and is_loss_reported(scope.resource) and not scope.context.admitted:
            return _SWEPT_FIRST
        if not evaluation.decision.release:
            return await self._actor.act(scope, evaluation)
        after = max(scope.history.trust_after - self._shared.clock(), 0.0) + 0.05
        message = "an earlier request may still take effect"
        return waiting(Reason.DELETING, message, after=after)

    async def _release(self, scope: Scope) -> Result:
        try:
            await self._guards.release(scope.resource, scope.history)
        except NotFound:
            self._vanished(scope.resource.key, scope.resource.metadata.uid)
        return Result(gone=True)

    async def _with_crd_retention(self, resource: AnyResource) -> AnyResource:
        """Return the object with Retain while its CRD is being deleted: that deletion was not meant for each object."""
        if resource.deleting and await self._writer.kind_is_going(resource.crd.kind):
            spec = resource.spec.model_copy(update={"deletion_policy": DeletionPolicy.RETAIN})
            return resource.model_copy(update={"spec": spec})
        return resource

    async def _write_status(self, scope: Scope, outcome: Outcome, evaluation: Evaluation | None) -> None:
        resource, history = scope.resource, scope.history
        stored = self._shared.store.stored(resource.key)
        history.facts.update(outcome.facts)
        if stored is None or stored.uid != resource.metadata.uid or stored.lingers or not self._may_write():
            return
        previous: Json = stored.status()
        patch = status_patch(
            StatusTarget.looked_at(resource, previous),
            previous,
            outcome,
            now=self._shared.now(),
            evaluation=evaluation,
            facts=history.facts,
            approved=scope.approved or self._used_up(resource.key),
        )
        if patch:
            metadata = resource.metadata
            try:
                written = await self._writer.patch_status(
                    resource.crd.kind, metadata.namespace, metadata.name, stored.version, patch
                )
            except NotFound:
                now = self._shared.store.stored(resource.key)
                if now is not None and not now.lingers:
                    self._vanished(resource.key, metadata.uid)
                return
            self._ingest(written)
            self._post_events(resource, previous, patch)
        history.facts.clear()
        events, history.events = history.events, ()
        for reason, message in events:
            self._event(resource, "Normal", reason, message)

    def _used_up(self, key: Key) -> str:
        """Return the approval under which the change limits let changes in a cloud continue."""
        for verdicts in (self._shared.verdicts, self._shared.account_verdicts):
            verdict = verdicts.get(key)
            if verdict is not None and verdict.approved:
                return verdict.approved
        return ""

    def _post_events(self, resource: AnyResource, previous: Json, patch: Json) -> None:
        """Post events for conditions that changed with this write, never for unchanged ones."""
        before = {c["type"]: c for c in previous.get("conditions") or []}
        for condition in patch.get("conditions") or []:
            old = before.get(condition["type"], {})
            if (old.get("status"), old.get("reason")) == (condition["status"], condition["reason"]):
                continue
            now = (condition["type"], condition["status"])
            if now in _WARNINGS:
                self._event(resource, "Warning", _WARNINGS[now] or condition["reason"], condition["message"])
            elif now in _NEWS and (now not in _ONLY_ONCE or old.get("status") != condition["status"]):
                self._event(resource, "Normal", _NEWS[now] or condition["reason"], condition["message"])

    def _settle(self, scope: Scope, outcome: Outcome) -> Outcome:
        """Read the used views often while a change is in progress; without a view, requeue after a delay."""
        under_way = outcome.after is None and (outcome.phase is Phase.WAITING or outcome.beside)
        watches = tuple(scope.context.watches) if under_way else ()
        for watch in scope.history.watches:
            if watch not in watches:
                watch.rest(scope.resource.key)
        for watch in watches:
            watch.settle(scope.resource.key)
        scope.history.watches = watches
        return replace(outcome, after=_LOOK_AGAIN) if under_way and not watches else outcome

    def _acknowledge(self, scope: Scope) -> None:
        """Handle a reconcile-requested-at annotation: only views from now on are believed."""
        asked = scope.resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
        if asked and asked not in {scope.resource.status.last_handled_reconcile_at, scope.history.asked}:
            scope.history.asked = asked
            scope.history.trust_after = max(scope.history.trust_after, self._shared.clock())

    async def _unreadable(self, key: Key, error: ValidationError) -> Result:
        """Report the fields of a spec that the API server accepted and the model rejects."""
        stored = self._shared.store.stored(key)
        if stored is None:
            return Result(gone=True)
        body = stored.body()
        wrong = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
        outcome = stalled(Reason.INVALID_SPEC, wrong)
        patch = status_patch(StatusTarget.of(body), body.get("status") or {}, outcome, now=self._shared.now())
        if patch:
            self._ingest(await self._writer.patch_status(key.kind, key.namespace, key.name, stored.version, patch))
        return Result(outcome)


def _with_facts(resource: AnyResource, history: ObjectHistory) -> AnyResource:
    """Return the object with the ids that could not be written to its status yet."""
    if not history.facts:
        return resource
    external = {k: v for k, v in {**resource.external, **history.facts}.items() if v}
    return resource.model_copy(update={"status": resource.status.model_copy(update={"external": external})})
