"""The generic loop: in this order for every kind, with what was learnt from those who got the order wrong.

parse -> gate on references -> observe, plan, decide -> brakes -> finalizer -> perform -> one status PATCH -> events.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Protocol

from pydantic import ValidationError

from sovereigncloud.api.base import FINALIZER, RECONCILE_REQUESTED_AT, DeletionPolicy, Key
from sovereigncloud.core.brakes import Limits, judge
from sovereigncloud.core.outcome import DONE, Outcome, Phase, stalled, waiting
from sovereigncloud.core.plan import Action, Step, plan_hash
from sovereigncloud.engine.examine import (
    AnyController,
    Examination,
    Subject,
    examine,
    gate,
    said,
    status_patch,
)
from sovereigncloud.engine.metrics import Metrics
from sovereigncloud.engine.outcomes import outcome_of
from sovereigncloud.engine.store import AnyResource
from sovereigncloud.engine.tracks import Track
from sovereigncloud.engine.world import ObjectWorld, Shared
from sovereigncloud.kinds.errors import Conflict, MissingSecret, NotFound, NotYet, OutsideError, Retry

logger = logging.getLogger(__name__)
Json = dict[str, Any]

# A create must not be done twice, and a record of a one-time request must not be overwritten by an older one that is late.
_LASTING = frozenset({Action.CREATE, Action.REINSTALL, Action.INSTALL})


class ObjectWriter(Protocol):
    """The one writer of status and finalizers."""

    async def patch_status(self, kind: str, namespace: str, name: str, uid: str, patch: Json) -> Json: ...
    async def patch_finalizers(
        self, kind: str, namespace: str, name: str, version: str, finalizers: list[str]
    ) -> Json: ...
    async def guard_secret(self, namespace: str, name: str, *, hold: bool) -> None: ...
    async def kind_is_going(self, kind: str) -> bool: ...
    async def create_event(self, namespace: str, body: Json) -> None: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What the queue should do with the key: nothing, look again after a time, or back off."""

    outcome: Outcome = DONE
    gone: bool = False


@dataclass(slots=True)
class Scope:
    """One reconcile: what is worked on, and with what."""

    controller: AnyController
    resource: AnyResource
    world: ObjectWorld
    track: Track


class Reconciler:
    """Reconciles keys.

    Args:
        controllers: by kind.
        shared: what all objects share.
        writer: of status and finalizers.
        metrics: counted after the write.
        limits: of the brakes.
        grace: seconds that a write with a lost answer may still take effect.
        may_write: whether this process holds the Lease; asked before each write outside.
        event: posts a Kubernetes event: (resource, type, reason, message).
        ingest: keeps the reply to a PATCH of ours in the store.
    """

    def __init__(
        self,
        controllers: Mapping[str, AnyController],
        shared: Shared,
        writer: ObjectWriter,
        metrics: Metrics,
        *,
        limits: Limits,
        grace: float,
        may_write: Callable[[], bool],
        event: Callable[[AnyResource, str, str, str], None],
        ingest: Callable[[Json], None],
    ) -> None:
        self._controllers, self._shared, self._writer, self._metrics = controllers, shared, writer, metrics
        self._limits, self._grace, self._may_write = limits, grace, may_write
        self._event, self._ingest = event, ingest
        self._guarded: set[tuple[str, str]] = set()

    async def reconcile(self, key: Key) -> Result:
        """Bring one object one step nearer. Raises Retry or Conflict when Kubernetes itself fails."""
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
        scope = Scope(self._controllers[key.kind], resource, ObjectWorld(self._shared, resource), track)
        self._acknowledge(scope)
        return await self._look_and_act(scope)

    async def _look_and_act(self, scope: Scope) -> Result:
        outcome = gate(scope.resource, scope.controller.uses(scope.resource), self._shared.store)
        examination: Examination | None = None
        if outcome.phase is Phase.DONE:
            try:
                examination = await examine(scope.controller, scope.resource, scope.world, self._shared.store)
            except (NotYet, MissingSecret, OutsideError) as error:
                outcome = outcome_of(error)
                if isinstance(error, NotYet) and scope.resource.status.condition("Ready"):
                    return Result(outcome)  # nothing new is known: nothing is written
            except Exception as error:  # a bug in a kind must not end the worker
                logger.exception("observing failed", extra={"object": str(scope.resource.key)})
                outcome = outcome_of(error)
        if examination is not None:
            if examination.decision.release:
                await self._release(scope)
                return Result(gone=True)
            outcome = await self._act(scope, examination)
            verdict = self._shared.verdicts.get(scope.resource.key)
            if verdict is not None and verdict.held:
                outcome = outcome.merge(stalled("TooManyChanges", verdict.message))
        await self._write_status(scope, outcome, examination)
        self._settle(scope, outcome)
        return Result(outcome)

    async def _act(self, scope: Scope, examination: Examination) -> Outcome:
        """Perform what may be done, and what to say of it."""
        steps = examination.decision.steps
        if not steps:
            return said(examination)
        held = self._brake(scope, examination)
        if held is not None:
            return held
        if scope.track.stuck(plan_hash(steps)):
            names, times = ", ".join(f"{s.action} {s.target}" for s in steps), scope.track.repeats
            scope.track.repeats = 0
            return stalled("NotConverging", f"{names} was done {times} times and reality did not follow", after=300.0)
        if any(not s.inside for s in steps):
            if not self._may_write():
                return waiting("NotTheWriter", "another operator holds the Lease", after=5.0, available=True)
            await self._hold(scope)
        return await self._perform(scope, examination)

    def _brake(self, scope: Scope, examination: Examination) -> Outcome | None:
        """What an observation asks for goes through the sweep's verdict; a cloud's own plan is judged by itself."""
        dangerous = {s.target: f"{s.action} {s.target}" for s in examination.decision.steps if s.dangerous}
        if not dangerous:
            return None
        cloud = scope.controller.uses(scope.resource).cloud
        if cloud is not None:
            if scope.world.admitted:
                return None
            self._shared.watch_of_cloud(cloud).refresh()
            return waiting("TooManyChanges", f"waits for the brakes of {cloud}", available=True)
        total = sum(1 for _ in self._shared.store.users(scope.resource.key)) + len(dangerous)
        verdict = judge(dangerous, total, self._limits, scope.resource.spec.approved_plan or "")
        return stalled("TooManyChanges", verdict.message) if verdict.held else None

    async def _perform(self, scope: Scope, examination: Examination) -> Outcome:
        steps = examination.decision.steps
        total = DONE
        for step in steps:
            if not step.inside and not self._may_write():
                return total.merge(waiting("NotTheWriter", "the Lease was lost", after=5.0, available=True))
            result = await self._one_step(scope, step)
            total = total.merge(result)
            scope.track.facts.update(result.facts)
            if result.phase is not Phase.DONE:
                return total
        scope.track.did(plan_hash(steps))
        names = ", ".join(f"{s.action} {s.target}" for s in steps)
        going = waiting(_progress(steps), f"{names}: done, waiting for it to show", available=_keeps_working(steps))
        total = replace(going, facts=total.facts, events=total.events, after=total.after)
        # A step further on may wait for consent: that is said, too.
        return total.merge(examination.decision.outcome) if examination.decision.published else total

    async def _one_step(self, scope: Scope, step: Step) -> Outcome:
        track, name = scope.track, str(scope.resource.key)
        track.attempted = True
        begun = monotonic()
        result: Outcome | None = None
        lost = False
        try:
            result = await scope.controller.perform(step, scope.resource, scope.world)
        except (NotYet, MissingSecret, OutsideError) as error:
            # The answer was lost: it may have been done, or be done later than the client waited.
            lost = step.action in _LASTING and isinstance(error, Retry) and error.maybe_done
            logger.warning("%s %s failed: %s", step.action, step.target, error, extra={"object": name})
            outcome = outcome_of(error)
        except Exception as error:
            lost = True
            logger.exception("%s %s failed", step.action, step.target, extra={"object": name})
            outcome = outcome_of(error)
        if not step.inside:
            track.trust_after = max(track.trust_after, monotonic() + (self._grace if lost else 0.0))
        self._metrics.step(scope.resource.crd.kind, step.action, "done" if result else "failed", monotonic() - begun)
        if result is None:
            return outcome
        logger.info("%s %s", step.action, step.target, extra={"object": name})
        return result

    async def _hold(self, scope: Scope) -> None:
        """Our finalizer on the object, and on the Secrets that it needs until it is gone."""
        metadata = scope.resource.metadata
        for secret in scope.controller.uses(scope.resource).secrets:
            await self._guard(metadata.namespace, secret.name, hold=True)
        if scope.resource.finalized:
            return
        self._ingest(
            await self._writer.patch_finalizers(
                scope.resource.crd.kind,
                metadata.namespace,
                metadata.name,
                metadata.resource_version,
                [*metadata.finalizers, FINALIZER],
            )
        )

    async def _release(self, scope: Scope) -> None:
        """Nothing is left to do outside: the finalizer goes, and the Secrets are let go by their last user."""
        metadata = scope.resource.metadata
        for secret in scope.controller.uses(scope.resource).secrets:
            if not self._secret_needed(scope.resource, secret.name):
                await self._guard(metadata.namespace, secret.name, hold=False)
        left = [f for f in metadata.finalizers if f != FINALIZER]
        try:
            body = await self._writer.patch_finalizers(
                scope.resource.crd.kind, metadata.namespace, metadata.name, metadata.resource_version, left
            )
        except NotFound:
            return
        self._ingest(body)
        logger.info("released", extra={"object": str(scope.resource.key)})

    async def _guard(self, namespace: str, name: str, *, hold: bool) -> None:
        if ((namespace, name) in self._guarded) != hold:
            await self._writer.guard_secret(namespace, name, hold=hold)
            (self._guarded.add if hold else self._guarded.discard)((namespace, name))

    def _secret_needed(self, resource: AnyResource, name: str) -> bool:
        for key in self._shared.store.keys(namespace=resource.metadata.namespace):
            other = self._shared.store.stored(key)
            if key != resource.key and other and any(s.name == name for s in other.uses.secrets):
                return True
        return False

    async def _as_meant(self, resource: AnyResource) -> AnyResource:
        """While a CRD itself is being deleted everything counts as Retain: nobody meant each of the objects."""
        if resource.deleting and await self._writer.kind_is_going(resource.crd.kind):
            spec = resource.spec.model_copy(update={"deletion_policy": DeletionPolicy.RETAIN})
            return resource.model_copy(update={"spec": spec})
        return resource

    async def _write_status(self, scope: Scope, outcome: Outcome, examination: Examination | None) -> None:
        resource = scope.resource
        stored = self._shared.store.stored(resource.key)
        if stored is None:
            return
        body = stored.body()
        previous: Json = body.get("status") or {}
        patch = status_patch(
            Subject.of(body),
            previous,
            outcome,
            now=self._shared.now(),
            examination=examination,
            facts=scope.track.facts,
        )
        self._metrics.outcome(resource.crd.kind, outcome.phase)
        if patch:
            metadata = resource.metadata
            try:
                written = await self._writer.patch_status(
                    resource.crd.kind, metadata.namespace, metadata.name, metadata.uid, patch
                )
            except (NotFound, Conflict):
                return  # deleted meanwhile, or made anew: its own event tells
            self._metrics.wrote(resource.crd.kind)
            self._ingest(written)
            self._tell(resource, previous, patch)
        scope.track.facts.clear()
        for reason, message in outcome.events:
            self._event(resource, "Normal", reason, message)

    def _tell(self, resource: AnyResource, previous: Json, patch: Json) -> None:
        """Events for what became true with this write, never for what stays true."""
        before = {c["type"]: c for c in previous.get("conditions") or []}
        for condition in patch.get("conditions") or []:
            old = before.get(condition["type"], {})
            if (old.get("status"), old.get("reason")) == (condition["status"], condition["reason"]):
                continue
            match condition["type"], condition["status"]:
                case "Drifted", "True":
                    self._event(resource, "Warning", "DriftDetected", condition["message"])
                case "Stalled", "True":
                    self._event(resource, "Warning", condition["reason"], condition["message"])
                case "Ready", "True":
                    self._event(resource, "Normal", "Ready", condition["message"])
                case _:
                    pass

    def _settle(self, scope: Scope, outcome: Outcome) -> None:
        """Read the cloud often while something is under way in it."""
        resource = scope.resource
        under_way = outcome.phase is Phase.WAITING and outcome.after is None
        is_cloud = resource.crd.kind == "SovereignCloud"
        cloud = resource.key if is_cloud else scope.controller.uses(resource).cloud
        holder = resource if is_cloud else self._shared.store.get(cloud) if cloud else None
        # Read on behalf of those who wait for it, a front-end that is not installed yet would open its circuit breaker.
        if cloud is not None and holder is not None and getattr(holder.status, "endpoint", None):
            watch = self._shared.watch_of_cloud(cloud)
            (watch.settle if under_way else watch.rest)(resource.key)
        if scope.world.used_account is not None:
            (scope.world.used_account.settle if under_way else scope.world.used_account.rest)(resource.key)

    def _acknowledge(self, scope: Scope) -> None:
        """A person asked to look now: only what is read from now on counts."""
        asked = scope.resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
        if asked and asked not in {scope.resource.status.last_handled_reconcile_at, scope.track.asked}:
            scope.track.asked = asked
            scope.track.trust_after = max(scope.track.trust_after, monotonic())

    async def _unreadable(self, key: Key, error: ValidationError) -> Result:
        """The API server let it in, the model refuses it: say which field and why."""
        stored = self._shared.store.stored(key)
        if stored is None:
            return Result(gone=True)
        body = stored.body()
        wrong = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
        outcome = stalled("InvalidSpec", wrong)
        patch = status_patch(Subject.of(body), body.get("status") or {}, outcome, now=self._shared.now())
        if patch:
            self._ingest(await self._writer.patch_status(key.kind, key.namespace, key.name, stored.uid, patch))
        return Result(outcome)


def _with_facts(resource: AnyResource, track: Track) -> AnyResource:
    """The object with the ids that could not be written to its status yet."""
    if not track.facts:
        return resource
    external = {**resource.external, **track.facts}
    return resource.model_copy(update={"status": resource.status.model_copy(update={"external": external})})


def _progress(steps: tuple[Step, ...]) -> str:
    words = {
        Action.CREATE: "Creating", Action.DELETE: "Deleting", Action.REPLACE: "Replacing",
        Action.REINSTALL: "Reinstalling", Action.INSTALL: "Installing",
    }  # fmt: skip
    return next((words[s.action] for s in steps if s.action in words), "Updating")


def _keeps_working(steps: tuple[Step, ...]) -> bool:
    return all(s.disruption == "None" and s.action not in {Action.CREATE, Action.DELETE} for s in steps)
