"""The sweep: every object of a cloud or account against one view, and only those that differ are queued."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic, time

from pydantic import ValidationError

from sovereigncloud.api.base import Key
from sovereigncloud.core.brakes import Limits, Verdict, judge
from sovereigncloud.core.outcome import Phase
from sovereigncloud.engine.examine import AnyController, Subject, examine, gate, said, status_patch
from sovereigncloud.engine.metrics import Metrics
from sovereigncloud.engine.world import BeyondSweepError, Shared, SweepWorld
from sovereigncloud.kinds.errors import MissingSecret, NotYet, OutsideError

logger = logging.getLogger(__name__)
_SLICE = 25
"""Objects between two turns of the event loop: a sweep over thousands must not hold up an answer to a person."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a sweep found for one object.

    Attributes:
        differs: there is something to do or to say.
        change: what would be recreated, deleted or disrupted because of what was observed, in words; empty: nothing.
    """

    differs: bool = False
    change: str = ""


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

    async def cloud(self, cloud: Key) -> None:
        """Sweep a cloud: its members, then the brakes, then the cloud itself."""
        begun = monotonic()
        members = tuple(self._shared.store.users(cloud))
        differences = await self._compare(members)
        changes = {str(k): d.change for k, d in differences.items() if d.change}
        verdict = judge(changes, max(len(members), 1), self._limits, self._approved(cloud))
        if verdict.held != self._shared.verdicts.get(cloud, Verdict(frozenset())).held:
            self._enqueue(cloud)
        self._shared.verdicts[cloud] = verdict
        for key, difference in differences.items():
            if difference.change and str(key) not in verdict.admitted:
                continue
            if difference.differs:
                self._enqueue(key)
        if (await self._difference(cloud)).differs:
            self._enqueue(cloud)
        self._metrics.swept(monotonic() - begun, time())

    async def account(self, members: Iterable[Key]) -> None:
        """Sweep the objects that live in an OVHcloud account."""
        begun = monotonic()
        for key, difference in (await self._compare(members)).items():
            if difference.differs:
                self._enqueue(key)
        self._metrics.swept(monotonic() - begun, time())

    def _approved(self, cloud: Key) -> str:
        resource = self._shared.store.get(cloud)
        return (resource.spec.approved_plan or "") if resource else ""

    async def _compare(self, keys: Iterable[Key]) -> dict[Key, Difference]:
        found: dict[Key, Difference] = {}
        for number, key in enumerate(keys):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            difference = await self._difference(key)
            if difference.differs or difference.change:
                found[key] = difference
        return found

    async def _difference(self, key: Key) -> Difference:
        try:
            resource = self._shared.store.parse(key)
        except ValidationError:
            return Difference()  # its own event told it already
        if resource is None or (resource.deleting and not resource.finalized):
            return Difference()
        controller = self._controllers[key.kind]
        if gate(resource, controller.uses(resource), self._shared.store).phase is not Phase.DONE:
            return Difference()  # what it waits for will queue it
        try:
            examination = await examine(controller, resource, SweepWorld(self._shared, resource), self._shared.store)
        except BeyondSweepError:
            return Difference(differs=True)
        except (NotYet, MissingSecret, OutsideError):
            return Difference()  # it is queued by the view or by its backoff
        except Exception:
            logger.exception("comparing failed", extra={"object": str(key)})
            return Difference(differs=True)
        stored = self._shared.store.stored(key)
        if stored is None:
            return Difference()
        body = stored.body()
        patch = status_patch(
            Subject.of(body),
            body.get("status") or {},
            said(examination),
            now=self._shared.now(),
            examination=examination,
        )
        decision = examination.decision
        change = "; ".join(f"{s.action} {s.target}" for s in decision.steps if s.dangerous)
        if examination.plan.absent:
            change = change or "it is missing in the cloud"
        return Difference(bool(decision.steps or patch or decision.release or examination.plan.absent), change)
