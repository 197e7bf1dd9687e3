"""The sweep: every object of a cloud or account against one view, and only those that differ are queued."""

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
from sovereigncloud.engine.cache.unscheduled_instances import unplaced
from sovereigncloud.engine.loop.comparison_cache import Notes
from sovereigncloud.engine.loop.context import BeyondSweepError, Shared, SweepContext
from sovereigncloud.engine.loop.evaluate import (
    AnyController,
    Evaluation,
    Subject,
    at_rest,
    evaluate,
    gate,
    loss_is_reported,
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
"""Objects that are parsed together: with fewer a sweep takes longer for parsing, with more for memory that is not at hand
(measured).
"""
_TURN = 24
"""Objects between two turns of the event loop: a sweep over thousands must not hold up an answer to a person."""
_ADMITTED = "it is being looked into"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a sweep found for one object.

    Attributes:
        differs: there is something to do or to say.
        change: what would be recreated, deleted or disrupted because of what was observed, in words; empty: nothing.
        known: its loss was confirmed before: it goes on being asked about, and counts no more.
        going: a person deletes it. That it is missing is then no loss that the brakes count: its own deletion took
            effect, and the answer was lost.
    """

    differs: bool = False
    change: str = ""
    known: bool = False
    going: bool = False


_NONE = Difference()


class Sweeper:
    """Compares views with what is declared.

    Args:
        shared: what all objects share; verdicts of the brakes are left there.
        controllers: by kind.
        enqueue: queues a key as a re-check.
        limits: of the brakes.
        metrics: of the sweeps.
    """

    def __init__(
        self,
        shared: Shared,
        controllers: Mapping[str, AnyController],
        enqueue: Callable[[Key], None],
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._shared, self._controllers, self._enqueue = shared, controllers, enqueue
        self._limits, self._metrics = limits, metrics
        self._notebook = shared.notebook

    async def some(self, cloud: Key, keys: frozenset[Key]) -> bool:
        """Look what became of what is under way. Whether something was lost that only a sweep of everything may judge."""
        verdict = self._shared.verdicts.get(cloud, NOTHING)
        differences = await self._compare(keys)
        self._queue(differences, verdict)
        return not verdict.held and any(d.change and str(k) not in verdict.admitted for k, d in differences.items())

    def forget(self, cloud: Key) -> None:
        """It is not there any more."""
        self._notebook.forget(cloud)

    async def cloud(self, cloud: Key) -> None:
        """Sweep a cloud: its members, then the brakes, then the cloud itself."""
        begun = monotonic()
        members = tuple(self._shared.store.users(cloud))
        differences = await self._compare(members)
        verdict = self._judge(cloud, differences, len(members), self._shared.verdicts)
        self._queue(differences, verdict)
        # What came into this cloud, or left it, may make room for one.
        self._queue(await self._compare(unplaced(self._shared.store)), verdict)
        if any(one.differs for one in (await self._compare((cloud,))).values()):
            self._enqueue(cloud)
        self._metrics.swept(Api.OPENNEBULA, monotonic() - begun)

    async def account(self, members: Iterable[Key]) -> None:
        """Sweep the objects that live in an OVHcloud account: what a cloud composed counts for that cloud."""
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
        """What the brakes say; the cloud is told when that changes."""
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
                self._shared.tracks.of(resource).admitted = True
            if difference.differs:
                self._enqueue(key)

    async def _compare(self, keys: Iterable[Key]) -> dict[Key, Difference]:
        found: dict[Key, Difference] = {}
        remaining, looked_at = iter(keys), 0
        while some := tuple(islice(remaining, _SLICE)):
            if looked_at and looked_at % _TURN == 0:
                await asyncio.sleep(0)
            looked_at += len(some)
            changed = [key for key in some if not self._is_as_it_was(key)]
            now = self._shared.now()
            for resource in self._shared.store.parse_some(changed):  # of what is not valid its own event told already
                with self._notebook.begin() as notes:
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
        track = self._shared.tracks.of(resource)
        track.basis = None
        try:
            examination = await evaluate(controller, resource, context, store, uses=uses, now=notes.time(now))
        except BeyondSweepError:
            # What a reconcile found and may not do yet, or was admitted to do and has not begun, still counts: else it
            # would be admitted in every second sweep.
            change = track.dangerous or (_ADMITTED if track.admitted else "")
            return Difference(True, change, known=track.lost and not change, going=resource.deleting)
        except (NotYet, MissingSecret, OutsideError):
            return _NONE  # it is queued by the view or by its backoff
        except Exception:
            logger.exception("comparing failed", extra={"object": str(resource.key)})
            return Difference(differs=True)
        return self._found(resource, track, examination, notes, now)

    def _is_as_it_was(self, key: Key) -> bool:
        """Whether nothing of what was looked at when it was compared last, and nothing was to be done or said, is another."""
        stored, track = self._shared.store.stored(key), self._shared.tracks.known(key)
        if stored is None or track is None or track.basis is None or track.uid != stored.uid:
            return False
        view = self._shared.watch_of_cloud(track.basis.cloud).view
        return view is not None and self._notebook.holds(track.basis, stored, view, self._shared.now)

    def _found(
        self, resource: AnyResource, track: ObjectHistory, examination: Evaluation, notes: Notes, now: datetime
    ) -> Difference:
        stored = self._shared.store.stored(resource.key)
        if stored is None or stored.version != resource.metadata.resource_version:
            return _NONE  # it changed meanwhile, and its own event has it looked at
        decision, failed = examination.decision, None
        if decision.steps and track.failure is not None:
            # What failed a moment ago is left alone until its time, however often a sweep comes by.
            failed = track.held_back(signature_of(resource, decision.steps), self._shared.clock())
        patch = self._would_say(resource, stored, track, failed or said(examination), examination, now)
        change = "; ".join(f"{s.action} {s.target}" for s in decision.steps if s.dangerous)
        track.lost = examination.plan.absent
        if examination.plan.absent and not change:
            if loss_is_reported(resource):
                return Difference(differs=True, known=True)
            change = "it is missing in the cloud"
        acts = bool(decision.steps) and failed is None
        differs = bool(acts or patch or decision.release or examination.plan.absent)
        if not (differs or change):
            if at_rest(examination):
                track.basis = self._notebook.basis(notes, stored.version)
            return _NONE
        return Difference(differs, change, going=resource.deleting)

    def _would_say(
        self,
        resource: AnyResource,
        stored: Stored,
        track: ObjectHistory,
        outcome: Outcome,
        examination: Evaluation,
        now: datetime,
    ) -> bool:
        """Whether there is something to say that status does not say yet. What is to be said of the same status in the
        same words is not made anew each time. To put the words down takes a while, so that is done from the second look on:
        what was found at rest in the first is not looked at again while nothing changes.
        """
        told = (stored.version, _digest(resource, outcome, examination) if track.told[0] == stored.version else 0)
        if told[1] and track.told == told:
            return False
        previous = stored.status()
        patch = status_patch(Subject.looked_at(resource, previous), previous, outcome, now=now, examination=examination)
        track.told = NEVER_TOLD if patch else told
        return bool(patch)


def _digest(resource: AnyResource, outcome: Outcome, examination: Evaluation) -> int:
    """Of all that a status would say."""
    decision = examination.decision
    words = (
        outcome,
        decision.drift,
        decision.published,
        decision.hash,
        examination.plan.absent,
        examination.fields,
    )
    return hash(repr((resource.metadata.generation, words)))
