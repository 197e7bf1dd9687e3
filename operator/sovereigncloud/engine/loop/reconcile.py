"""The generic loop: in this order for every kind, with what was learnt from those who got the order wrong.

parse -> gate on references -> observe, plan, decide -> brakes -> finalizer -> perform -> one status PATCH -> events.
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
from sovereigncloud.engine.loop.context import ObjectContext, Shared
from sovereigncloud.engine.loop.evaluate import (
    AnyController,
    Evaluation,
    Subject,
    at_rest,
    evaluate,
    gate,
    loss_is_reported,
    policy_of,
    status_patch,
)
from sovereigncloud.engine.loop.execute import LOOK_FIRST, Actor, Scope
from sovereigncloud.engine.loop.finalizers import Guards, ObjectWriter
from sovereigncloud.engine.loop.history import ObjectHistory
from sovereigncloud.engine.loop.outcomes import outcome_of
from sovereigncloud.engine.loop.preflight import Preflight
from sovereigncloud.engine.views.cloud_watch import BeingReadError
from sovereigncloud.ports.errors import Auth, MissingSecret, NotFound, NotYet, OutsideError

logger = logging.getLogger(__name__)
Json = dict[str, Any]

_LOOK_AGAIN = 2.0
"""Seconds until something under way is looked at again that no view shows."""
_SWEPT_FIRST = waiting(Reason.CONFIRMING_ABSENCE, "it is compared with everything else of its cloud first", after=60.0)
"""After a start, and the sweep queues it."""
_SAY_NOTHING = (LOOK_FIRST, _SWEPT_FIRST)
"""Nothing new is known, and nothing is written."""
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
"""Not again where only the reason is another."""

_MOVE = "InstanceMigration"


@dataclass(frozen=True, slots=True)
class Result:
    """What the queue should do with the key: nothing, look again after a time, or back off.

    Attributes:
        failed: it could not be looked at.
    """

    outcome: Outcome = DONE
    gone: bool = False
    failed: bool = False


class Reconciler:
    """Reconciles keys.

    Args:
        controllers: by kind.
        shared: what all objects share.
        actor: performs steps.
        guards: lets objects go.
        writer: of status.
        preflight: says which rights lack where one was refused.
        may_write: whether this process holds the Lease; without it nothing is written anywhere.
        event: posts a Kubernetes event: (resource, type, reason, message).
        ingest: keeps the reply to a PATCH of ours in the store.
        vanished: told of an object that is not there any more.
    """

    def __init__(
        self,
        controllers: Mapping[str, AnyController],
        shared: Shared,
        actor: Actor,
        guards: Guards,
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
        """Bring one object one step nearer. Raises Retry or Conflict when Kubernetes itself fails."""
        if not self._may_write():
            return Result(waiting(Reason.NOT_LEADER, "another operator holds the Lease", after=5.0))
        if self._shared.store.stored(key) is None:
            self._shared.tracks.forget(key)
            return Result(gone=True)
        try:
            resource = self._shared.store.parse(key)
        except ValidationError as error:
            return await self._unreadable(key, error)
        if resource is None or (resource.deleting and not resource.finalized):
            return Result(gone=True)
        track = self._shared.tracks.of(resource)
        resource = await self._as_meant(_with_facts(resource, track))
        controller = self._controllers[key.kind]
        context = ObjectContext(self._shared, resource)
        scope = Scope(controller, resource, controller.uses(resource), context, track)
        self._acknowledge(scope)
        track.basis = None
        with self._shared.notebook.begin() as notes:
            return await self._look_and_act(scope, notes)

    async def _look_and_act(self, scope: Scope, notes: Notes) -> Result:
        key = scope.resource.key
        outcome = gate(scope.resource, scope.uses, notes.store)
        examination: Evaluation | None = None
        failed = False
        if outcome.phase is Phase.DONE:
            try:
                examination = await self._examine(scope, notes)
            except (NotYet, MissingSecret, OutsideError) as error:
                if isinstance(error, Auth):
                    self._shared.distrust(scope.resource, scope.uses)
                explained = await self._preflight.explained(error, scope.resource)
                outcome, failed = explained or outcome_of(error), not isinstance(error, NotYet)
                if isinstance(error, BeingReadError) or (
                    isinstance(error, NotYet) and scope.resource.status.condition("Ready")
                ):
                    return Result(outcome)  # nothing new is known: nothing is written
            except Exception as error:  # a bug in a kind must not end the worker
                logger.exception("observing failed", extra={"object": str(key)})
                outcome, failed = outcome_of(error), True
        if examination is not None:
            if examination.decision.release and not self._may_still_appear(scope):
                return await self._release(scope)
            outcome = await self._follow(scope, examination)
            await self._hold_again(scope)
            if outcome in _SAY_NOTHING or (outcome.reason == Reason.NOT_LEADER and not scope.track.facts):
                return Result(outcome)
        for verdict in self._shared.held(key):
            outcome = outcome.merge(stalled(Reason.TOO_MANY_CHANGES, verdict.message))
        outcome = self._settle(scope, outcome)
        await self._write_status(scope, outcome, examination)
        await self._guards.drop(scope.resource, scope.uses, scope.track)
        self._note(scope, outcome, examination, notes)
        return Result(outcome, failed=failed)

    async def _examine(self, scope: Scope, notes: Notes) -> Evaluation:
        approval, generation, steps = scope.track.approval
        same = (approval, generation) == (scope.resource.spec.approved_plan, scope.resource.metadata.generation)
        begun = steps if approval and same else ()
        context, now = notes.context(scope.context), notes.time(self._shared.now())
        return await evaluate(scope.controller, scope.resource, context, notes.store, begun=begun, now=now)

    def _note(self, scope: Scope, outcome: Outcome, examination: Evaluation | None, notes: Notes) -> None:
        """What was found as declared needs no second comparison by the next sweep, which finds thousands like it after a
        start. Noted for the version that was looked at: where status was written, a sweep compares it again.
        """
        if examination is not None and at_rest(examination) and outcome.phase is Phase.DONE:
            scope.track.basis = self._shared.notebook.basis(notes, scope.resource.metadata.resource_version)

    async def _hold_again(self, scope: Scope) -> None:
        """The finalizer of what was made before may be gone: another release let go of it, a replace from Git or a restored
        backup did. Without it a deletion would leave what is outside to nobody.
        """
        resource, stored = scope.resource, self._shared.store.stored(scope.resource.key)
        lets_go = getattr(resource, "adopted", False)  # its marks are to be taken off
        ends = bool(resource.external) and (resource.deletion_policy is DeletionPolicy.DELETE or lets_go)
        if not ends or stored is None or stored.finalized or stored.deleting:
            return
        policy = policy_of(resource, scope.uses, self._shared.store)
        if policy.management is not Management.OBSERVE:
            await self._guards.hold(resource, scope.uses, scope.track)

    def _may_still_appear(self, scope: Scope) -> bool:
        """Whether what a process before this one asked for may still be made, so that nobody would end it. A move takes away
        what it made on its way whatever its policy is, which speaks of the machine that was left.
        """
        if scope.resource.crd.kind == _MOVE:
            return scope.track.looked_before_an_answer()
        return scope.resource.deletion_policy is DeletionPolicy.DELETE and scope.track.looked_too_early()

    async def _follow(self, scope: Scope, examination: Evaluation) -> Outcome:
        """Do what was decided."""
        if examination.plan.absent and loss_is_reported(scope.resource) and not scope.context.admitted:
            return _SWEPT_FIRST
        if not examination.decision.release:
            return await self._actor.act(scope, examination)
        after = max(scope.track.trust_after - self._shared.clock(), 0.0) + 0.05
        message = "what was asked for before may still take effect"
        return waiting(Reason.DELETING, message, after=after)

    async def _release(self, scope: Scope) -> Result:
        try:
            await self._guards.release(scope.resource, scope.track)
        except NotFound:
            self._vanished(scope.resource.key, scope.resource.metadata.uid)
        return Result(gone=True)

    async def _as_meant(self, resource: AnyResource) -> AnyResource:
        """While a CRD itself is being deleted everything counts as Retain: nobody meant each of the objects."""
        if resource.deleting and await self._writer.kind_is_going(resource.crd.kind):
            spec = resource.spec.model_copy(update={"deletion_policy": DeletionPolicy.RETAIN})
            return resource.model_copy(update={"spec": spec})
        return resource

    async def _write_status(self, scope: Scope, outcome: Outcome, examination: Evaluation | None) -> None:
        resource, track = scope.resource, scope.track
        stored = self._shared.store.stored(resource.key)
        track.facts.update(outcome.facts)
        if stored is None or stored.uid != resource.metadata.uid or stored.lingers or not self._may_write():
            return
        previous: Json = stored.status()
        patch = status_patch(
            Subject.looked_at(resource, previous),
            previous,
            outcome,
            now=self._shared.now(),
            examination=examination,
            facts=track.facts,
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
            self._tell(resource, previous, patch)
        track.facts.clear()
        events, track.events = track.events, ()
        for reason, message in events:
            self._event(resource, "Normal", reason, message)

    def _used_up(self, key: Key) -> str:
        """The approval under which the brakes let what is in a cloud go on."""
        for verdicts in (self._shared.verdicts, self._shared.account_verdicts):
            verdict = verdicts.get(key)
            if verdict is not None and verdict.approved:
                return verdict.approved
        return ""

    def _tell(self, resource: AnyResource, previous: Json, patch: Json) -> None:
        """Events for what became true with this write, never for what stays true."""
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
        """Read often, while something is under way, what was read for it; where no view was, look again by itself."""
        under_way = outcome.after is None and (outcome.phase is Phase.WAITING or outcome.beside)
        watches = tuple(scope.context.watches) if under_way else ()
        for watch in scope.track.watches:
            if watch not in watches:
                watch.rest(scope.resource.key)
        for watch in watches:
            watch.settle(scope.resource.key)
        scope.track.watches = watches
        return replace(outcome, after=_LOOK_AGAIN) if under_way and not watches else outcome

    def _acknowledge(self, scope: Scope) -> None:
        """A person asked to look now: only what is read from now on counts."""
        asked = scope.resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
        if asked and asked not in {scope.resource.status.last_handled_reconcile_at, scope.track.asked}:
            scope.track.asked = asked
            scope.track.trust_after = max(scope.track.trust_after, self._shared.clock())

    async def _unreadable(self, key: Key, error: ValidationError) -> Result:
        """The API server let it in, the model refuses it: say which field and why."""
        stored = self._shared.store.stored(key)
        if stored is None:
            return Result(gone=True)
        body = stored.body()
        wrong = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
        outcome = stalled(Reason.INVALID_SPEC, wrong)
        patch = status_patch(Subject.of(body), body.get("status") or {}, outcome, now=self._shared.now())
        if patch:
            self._ingest(await self._writer.patch_status(key.kind, key.namespace, key.name, stored.version, patch))
        return Result(outcome)


def _with_facts(resource: AnyResource, track: ObjectHistory) -> AnyResource:
    """The object with the ids that could not be written to its status yet."""
    if not track.facts:
        return resource
    external = {k: v for k, v in {**resource.external, **track.facts}.items() if v}
    return resource.model_copy(update={"status": resource.status.model_copy(update={"external": external})})
