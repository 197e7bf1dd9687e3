"""Sweep: compare every object of a cloud or account with one view, and queue those that differ."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from time import monotonic

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.change_limits import NOTHING, Limits, Verdict, judge
from sovereigncloud.core.outcome import Outcome, Phase
from sovereigncloud.engine.cache.store import AnyResource, Stored
from sovereigncloud.engine.cache.unscheduled_instances import unscheduled_instances
from sovereigncloud.engine.loop.comparison_cache import Notes
from sovereigncloud.engine.loop.context import NeedsReconcileError, SharedState, SweepContext
from sovereigncloud.engine.loop.evaluate import (
    AnyController,
    Evaluation,
    StatusTarget,
    at_rest,
    evaluate,
    gate,
    is_loss_reported,
    said,
    status_patch,
)
from sovereigncloud.engine.loop.execute import signature_of
from sovereigncloud.engine.loop.history import NEVER_TOLD, ObjectHistory
from sovereigncloud.engine.telemetry.metric_catalogue import Api
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.ports.errors import MissingSecret, NotYet, OutsideError

logger = logging.getLogger(__name__)
_SLICE = 8
"""Objects that are parsed together: fewer take longer, more need memory that the pod does not have (measured)."""
_TURN = 24
"""Objects between two turns of the event loop, so that a sweep over thousands does not delay user changes."""
_ADMITTED = "a lookup by id is in progress"


@dataclass(frozen=True, slots=True)
class Difference:
    """Finding of a sweep for one object.

    Attributes:
        differs: there is a step to do or a status to write.
        change: description of what would be recreated, deleted or disrupted because of an observation; empty: nothing.
        known: its loss was confirmed before: it is checked again, and does not count for the change limits.
        going: a user deletes it. A missing VM is then no loss that the change limits count: its own deletion took effect
            and the answer was lost.
    """

    differs: bool = False
    change: str = ""
    known: bool = False
    going: bool = False


_NONE = Difference()


class Sweeper:
    """Compares views with the declared state.

    Args:
        shared: state that all objects share; it keeps the verdicts of the change limits.
        controllers: by kind.
        enqueue: queues a key as a re-check.
        limits: change limits.
        metrics: of the sweeps.
    """

    def __init__(
        self,
        shared: SharedState,
        controllers: Mapping[str, AnyController],
        enqueue: Callable[[Key], None],
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._shared, self._controllers, self._enqueue = shared, controllers, enqueue
        self._limits, self._metrics = limits, metrics
        self._comparison_cache = shared.comparison_cache

    async def some(self, cloud: Key, keys: frozenset[Key]) -> bool:
        """Compare the objects with a change in progress; return whether a full sweep must judge a loss."""
        verdict = self._shared.verdicts.get(cloud, NOTHING)
        differences = await self._compare(keys)
        self._queue(differences, verdict)
        return not verdict.held and any(d.change and str(k) not in verdict.admitted for k, d in differences.items())

    def forget(self, cloud: Key) -> None:
        """Forget a deleted cloud."""
        self._comparison_cache.forget(cloud)

    async def cloud(self, cloud: Key) -> None:
        """Sweep a cloud: its objects, then the change limits, then the cloud itself."""
        begun = monotonic()
        members = tuple(self._shared.store.users(cloud))
        differences = await self._compare(members)
        verdict = self._judge(cloud, differences, len(members), self._shared.verdicts)
        self._queue(differences, verdict)
        # What came into this cloud, or left it, may make room for one.
        self._queue(await self._compare(unscheduled_instances(self._shared.store)), verdict)
        if any(one.differs for one in (await self._compare((cloud,))).values()):
            self._enqueue(cloud)
        self._metrics.swept(Api.OPENNEBULA, monotonic() - begun)

    async def account(self, members: Iterable[Key]) -> None:
        """Sweep the objects in an OVHcloud account, grouped by the cloud that composed them."""
        begun = monotonic()
        groups: dict[Key, list[Key]] = {}
        for key in members:
            resource = self._shared.store.get(key)
            groups.setdefault(self._shared.group(resource) if resource else key, []).append(key)
        for group, keys in groups.items():
            differences = await self._compare(keys)
            own = differences.pop(group, None) if group.kind == "SovereignCloud" else None
            self._queue(differences, self._judge(group, differences, len(keys), self._shared.account_verdicts))
            if own is not None and own.differs:
                self._enqueue(group)
        self._metrics.swept(Api.OVH, monotonic() - begun)

    def _judge(
        self, cloud: Key, differences: Mapping[Key, Difference], total: int, verdicts: dict[Key, Verdict]
    ) -> Verdict:
        """Return the verdict of the change limits and queue the cloud when the verdict changed."""
        changes = {str(k): d.change for k, d in differences.items() if d.change and not d.going}
        before = verdicts.get(cloud, NOTHING)
        resource = self._shared.store.get(cloud)
        approved = (resource.spec.approved_plan or "") if resource else ""
        spent = (resource.status.last_approved_plan or "") if resource else ""
        verdict = judge(changes, max(total, 1), self._limits, approved, before=before, spent=spent)
        # Where anything is held the whole view may be wrong: then what goes waits, too.
        uncounted = {str(k) for k, d in differences.items() if d.known or (d.going and d.change and not verdict.held)}
        verdict = verdicts[cloud] = replace(verdict, admitted=verdict.admitted | uncounted)
        if verdict.held != before.held or verdict.approved != before.approved:
            self._enqueue(cloud)
        return verdict

    def _queue(self, differences: Mapping[Key, Difference], verdict: Verdict) -> None:
        for key, difference in differences.items():
            if difference.change and str(key) not in verdict.admitted:
                continue
            if difference.change and (resource := self._shared.store.get(key)) is not None:
                self._shared.histories.of(resource).admitted = True
            if difference.differs:
                self._enqueue(key)

    async def _compare(self, keys: Iterable[Key]) -> dict[Key, Difference]:
        found: dict[Key, Difference] = {}
        remaining, looked_at = iter(keys), 0
        while some := tuple(islice(remaining, _SLICE)):
            if looked_at and looked_at % _TURN == 0:
                await asyncio.sleep(0)
            looked_at += len(some)
            changed = [key for key in some if not self._is_unchanged(key)]
            now = self._shared.now()
            for resource in self._shared.store.parse_some(changed):  # of what is not valid its own event told already
                with self._comparison_cache.begin() as notes:
                    difference = await self._difference(resource, notes, now)
                if difference.differs or difference.change:
                    found[resource.key] = difference
        return found

    async def _difference(self, resource: AnyResource, notes: Notes, now: datetime) -> Difference:
        stored = self._shared.store.stored(resource.key)
        if stored is None or (resource.deleting and not resource.finalized):
            return _NONE
        controller, uses = self._controllers[resource.crd.kind], stored.uses
        context, store = notes.context(SweepContext(self._shared, resource)), notes.store
        if gate(resource, uses, store).phase is not Phase.DONE:
            return _NONE  # what it waits for will queue it
        history = self._shared.histories.of(resource)
        history.basis = None
        try:
            evaluation = await evaluate(controller, resource, context, store, uses=uses, now=notes.time(now))
        except NeedsReconcileError:
            # What a reconcile found and may not do yet, or was admitted to do and has not begun, still counts: else it
            # would be admitted in every second sweep.
            change = history.dangerous or (_ADMITTED if history.admitted else "")
            return Difference(True, change, known=history.lost and not change, going=resource.deleting)
        except (NotYet, MissingSecret, OutsideError):
            return _NONE  # it is queued by the view or by its backoff
        except Exception:
            logger.exception("comparing failed", extra={"object": str(resource.key)})
            return Difference(differs=True)
        return self._found(resource, history, evaluation, notes, now)

    def _is_unchanged(self, key: Key) -> bool:
        """Return whether no input changed since the last comparison, which found nothing to do."""
        stored, history = self._shared.store.stored(key), self._shared.histories.known(key)
        if stored is None or history is None or history.basis is None or history.uid != stored.uid:
            return False
        view = self._shared.watch_of_cloud(history.basis.cloud).view
        return view is not None and self._comparison_cache.holds(history.basis, stored, view, self._shared.now)

    def _found(
        self, resource: AnyResource, history: ObjectHistory, evaluation: Evaluation, notes: Notes, now: datetime
    ) -> Difference:
        stored = self._shared.store.stored(resource.key)
        if stored is None or stored.version != resource.metadata.resource_version:
            return _NONE  # it changed meanwhile, and its own event has it looked at
        decision, failed = evaluation.decision, None
        if decision.steps and history.failure is not None:
            # What failed a moment ago is left alone until its time, however often a sweep comes by.
            failed = history.held_back(signature_of(resource, decision.steps), self._shared.clock())
        patch = self._status_differs(resource, stored, history, failed or said(evaluation), evaluation, now)
        change = "; ".join(f"{s.action} {s.target}" for s in decision.steps if s.dangerous)
        history.lost = evaluation.plan.absent
        if evaluation.plan.absent and not change:
            if is_loss_reported(resource):
                return Difference(differs=True, known=True)
            change = "it is missing in the cloud"
        acts = bool(decision.steps) and failed is None
        differs = bool(acts or patch or decision.release or evaluation.plan.absent)
        if not (differs or change):
            if at_rest(evaluation):
                history.basis = self._comparison_cache.basis(notes, stored.version)
            return _NONE
        return Difference(differs, change, going=resource.deleting)

    def _status_differs(
        self,
        resource: AnyResource,
        stored: Stored,
        history: ObjectHistory,
        outcome: Outcome,
        evaluation: Evaluation,
        now: datetime,
    ) -> bool:
        """Return whether the status would change.

        A digest of what the status says is kept from the second comparison on, because computing it takes time and an
        object without findings is not compared again while nothing changes.
        """
        told = (stored.version, _digest(resource, outcome, evaluation) if history.told[0] == stored.version else 0)
        if told[1] and history.told == told:
            return False
        previous = stored.status()
        patch = status_patch(
            StatusTarget.looked_at(resource, previous), previous, outcome, now=now, evaluation=evaluation
        )
        history.told = NEVER_TOLD if patch else told
        return bool(patch)


def _digest(resource: AnyResource, outcome: Outcome, evaluation: Evaluation) -> int:
    """Return a hash of everything that a status would report."""
    decision = evaluation.decision
    words = (
        outcome,
        decision.drift,
        decision.published,
        decision.hash,
        evaluation.plan.absent,
        evaluation.fields,
    )
    return hash(repr((resource.metadata.generation, words)))
