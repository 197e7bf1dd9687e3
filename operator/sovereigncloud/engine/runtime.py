"""The engine: feeds watch events into the store and queue, and runs workers that reconcile the keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from secrets import token_hex
from time import monotonic, time
from typing import Any

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.change_limits import Limits
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.outcome import Phase
from sovereigncloud.engine.cache.namespaces import Namespaces
from sovereigncloud.engine.cache.store import (
    Store,
    Stored,
    differs_only_in_outage,
    exit_plan_of,
    instances_waiting_for,
    key_of,
    namespaces_of_tenants,
    related_security_groups,
    secret_key,
    targets,
)
from sovereigncloud.engine.gauges import EngineSnapshot, exits_of, gauges
from sovereigncloud.engine.loop.cloud_watches import ViewWatches
from sovereigncloud.engine.loop.context import SharedState
from sovereigncloud.engine.loop.evaluate import AnyController, owner_of
from sovereigncloud.engine.loop.execute import Executor
from sovereigncloud.engine.loop.finalizers import FinalizerManager, ObjectWriter, deleted_despite_finalizer
from sovereigncloud.engine.loop.history import ReconcileHistory
from sovereigncloud.engine.loop.preflight import Preflight
from sovereigncloud.engine.loop.queue import Backoff, Lane, Workqueue
from sovereigncloud.engine.loop.reconcile import Reconciler, Result
from sovereigncloud.engine.loop.sweep import Sweeper
from sovereigncloud.engine.policy.triggers import PolicyTriggers
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry.events import EventPoster
from sovereigncloud.engine.telemetry.log_context import LogContext, bound_log_context
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.engine.telemetry.tracing import NoTracer, Tracer
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.engine.views.host_key_cache import HostKeyCache
from sovereigncloud.engine.views.latency_probes import LatencyProbes
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.ports import urgency
from sovereigncloud.ports.errors import OutsideError
from sovereigncloud.ports.installer.client import Installer
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.latency import Sites
from sovereigncloud.ports.ssh import Ssh
from sovereigncloud.ports.urgency import Urgency

logger = logging.getLogger(__name__)
Json = dict[str, Any]

_TENANT = "Tenant"
_READ_ALONG = frozenset({_TENANT, "FederatedZone"})
_NAMED = frozenset({"MachineImage", "VirtualNetwork", "SecurityGroup"})
_MOVE = "InstanceMigration"
"""Objects that it refers to are reconciled after it."""
_RESERVED = 4
"""Every fourth worker is reserved for user changes."""
_UNANSWERED = frozenset[Phase | str]({Phase.WAITING, Phase.RETRY, "error"})
_AGAIN = {Phase.BLOCKED: 60.0, Phase.STALLED: 300.0}
"""Seconds until a blocked or stalled object is reconciled again when no event or sweep does."""


class Engine:
    """Store, queue, watches and workers.

    Args:
        settings: of the operator.
        installation: installation id in the marks of external objects.
        controllers: one per kind.
        clients: of clouds and accounts.
        kubernetes: what controllers may do in Kubernetes.
        writer: of status and finalizers.
        installer: of OpenNebula.
        ssh: reads host keys of servers; None: host keys are neither read nor pinned.
        sites: measures latency between sites; None: no measurements.
        metrics: counters and histograms.
        tracer: of reconciles and view reads; None: no traces.
        may_write: whether this process holds the Lease.
        clock: monotonic seconds.
        now: wall-clock time, for status.
        backoff: after failures.
    """

    def __init__(
        self,
        settings: Settings,
        installation: str,
        controllers: Mapping[str, AnyController],
        *,
        clients: Clients,
        kubernetes: Kubernetes,
        writer: ObjectWriter,
        installer: Installer,
        ssh: Ssh | None = None,
        sites: Sites | None = None,
        metrics: Metrics,
        tracer: Tracer | None = None,
        may_write: Callable[[], bool],
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        backoff: Backoff | None = None,
    ) -> None:
        self._settings, self._controllers, self._clients, self._metrics = settings, controllers, clients, metrics
        self._clock = clock
        backoff = backoff or Backoff()
        self.store = Store()
        self.namespaces = Namespaces()
        self.queue: Workqueue[Key] = Workqueue(
            backoff=backoff, clock=clock, waited=lambda lane, seconds: metrics.waited(lane.name.lower(), seconds)
        )
        self._events = EventPoster(writer, clock=clock)
        self._tasks: list[asyncio.Task[None]] = []
        self._since: dict[Key, float] = {}
        self._asked: set[Key] = set()
        self.synced = False
        self._tracer = tracer or NoTracer()
        self.watches = ViewWatches(
            settings,
            self.store,
            clients,
            self._tracer,
            recheck=self._recheck,
            distrust=lambda cloud: self._shared.distrust(cloud, Uses()),
            sweeper=lambda: self._sweeper,
            clock=clock,
        )
        self.latency_probes = LatencyProbes(sites, settings, self.store, clients, self.watches.answers, clock)
        self._shared = SharedState(
            store=self.store,
            histories=ReconcileHistory(grace=settings.late_write_grace, clock=clock),
            clients=clients,
            kubernetes=kubernetes,
            installer=installer,
            host_keys=HostKeyCache(ssh, clock),
            installation=installation,
            plain_http_hosts=frozenset(settings.plain_http_hosts),
            now=now,
            clock=clock,
            watch_of_cloud=self.watches.of_cloud,
            watch_of_account=self.watches.of_account,
            own_namespace=settings.namespace,
            namespaces=self.namespaces,
            distance=self.latency_probes.between,
        )
        self._policy_triggers = PolicyTriggers(
            self.store,
            self._shared.policy_bindings,
            compare_clouds=self.watches.compare_clouds,
            recheck=lambda key: self.queue.add(key, Lane.RECHECK),
            recheck_after=self.queue.add_after,
        )
        self.namespaces.changed = self._policy_triggers.namespaces_changed
        limits = Limits(settings.brake_objects, settings.brake_fraction)
        self._sweeper = Sweeper(self._shared, controllers, self._recheck, limits, metrics)
        guards = FinalizerManager(controllers, self.store, writer, self.ingest)
        self._preflight = Preflight(clients, self.store.get, clock)
        actor = Executor(
            self._shared,
            guards,
            metrics,
            limits=limits,
            grace=settings.late_write_grace,
            may_begin=lambda: may_write() and not self.queue.stopped,
            preflight=self._preflight,
            backoff=backoff,
        )
        self._reconciler = Reconciler(
            controllers,
            self._shared,
            actor,
            guards,
            writer,
            preflight=self._preflight,
            may_write=may_write,
            event=self._events.post,
            ingest=self.ingest,
            vanished=self._forget_object,
        )
        self._may_write = may_write
        metrics.show(gauges(self._snapshot))

    # --- what the API server tells -----------------------------------------------------------------------------------

    def handle_event(self, event: str | None, body: Json) -> None:
        """Handle a watch event (None: listed)."""
        self._metrics.watch_event(time())
        if event == "DELETED" and deleted_despite_finalizer(body):
            self._keep_deleted(body)
            return
        if event == "DELETED":
            self._forget_object(key_of(body), body["metadata"].get("uid", ""))
            return
        before = self.store.stored(key_of(body))
        key, news = self.store.put(body)
        if before is not None and (watch := self.watches.clouds.get(key)) and self._respecified(key, before):
            watch.invalidate()  # it may have another endpoint now: what was read before says nothing
        if news:
            self._update_references(key)
            self.queue.add(key, Lane.USER)
            self._requeue_dependents(key, before)
        elif event is None:
            self.queue.add(key, Lane.RECHECK)

    def ingest(self, body: Json) -> None:
        """Store the reply to the operator's own PATCH."""
        key = key_of(body)
        before = self.store.stored(key)
        metadata = body["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._forget_object(key, metadata.get("uid", ""))
            return
        if self.store.put_own(body) is not None:
            self._update_references(key)
            self._requeue_dependents(key, before)

    def _respecified(self, key: Key, before: Stored) -> bool:
        after = self.store.stored(key)
        return after is not None and (after.uid, after.trigger[0]) != (before.uid, before.trigger[0])

    def _keep_deleted(self, body: Json) -> None:
        """Keep an object that was deleted in spite of its finalizer until its external resources are deleted."""
        before = self.store.stored(key_of(body))
        key = self.store.keep_deleted(body, timestamp(self._shared.now()))
        if key is not None:
            logger.warning(
                "deleted by the API server in spite of the finalizer; its external resources are cleaned up",
                extra={"object": str(key)},
            )
            self._update_references(key)
            self.queue.add(key, Lane.USER)
            self._requeue_dependents(key, before)

    def _update_references(self, key: Key) -> None:
        resource = self.store.get(key)
        if resource is None:
            return
        uses = self._controllers[key.kind].uses(resource)
        if key.kind in _READ_ALONG:  # who is in a cloud, and its federation, are only read where one of these names it
            unread = (cloud for cloud in targets(uses) if key not in self.store.users(cloud))
            for watch in filter(None, map(self.watches.clouds.get, unread)):
                watch.invalidate()
        if (before := self.store.set_uses(key, uses)) is not None:
            self._policy_triggers.references_changed(targets(before), targets(uses))

    def _forget_object(self, key: Key, uid: str) -> None:
        stored = self.store.remove(key, uid)
        if stored is None:
            return
        self.queue.forget(key)
        self._shared.histories.forget(key)
        self._asked.discard(key)
        self.watches.gone(key)
        self._sweeper.forget(key)
        self._shared.verdicts.pop(key, None)
        self._shared.account_verdicts.pop(key, None)
        for secret in stored.uses.secrets:
            if next(self.store.users(secret_key(key.namespace, secret.name)), None) is None:
                self._clients.drop(key.namespace, secret.name)
                self._preflight.drop(key.namespace, secret.name)
        for other in (*targets(stored.uses), *self.store.users(key), *related_security_groups(self.store, key, stored)):
            self._recheck(other)
        if key.kind == _TENANT:
            self._requeue_tenant_namespaces(key, stored)
        self._requeue_exit_plan(key, stored)
        self._policy_triggers.changed(key, stored)
        for owner in stored.body()["metadata"].get("ownerReferences") or ():
            self._recheck(Key(owner["kind"], key.namespace, owner["name"]))

    def _requeue_dependents(self, key: Key, before: Stored | None) -> None:
        """Queue the users and the owner of an object when a field that they act upon changed."""
        after = self.store.stored(key)
        self._policy_triggers.changed(key, before)
        if after is None or (before is not None and before.uid == after.uid and before.others == after.others):
            return
        if before is not None and (watch := self.watches.clouds.get(key)) and _credential_changed(before, after):
            watch.invalidate()  # it is not to be read with the credential that was refused
        self._requeue_users(key, before, after)
        self._requeue_tenant_namespaces(key, before)
        resource = self.store.get(key)
        owner = owner_of(resource, self.store) if resource is not None else None
        if owner is not None:
            self._recheck(owner.key)
        if after.deleting or key.kind == _MOVE:
            for used in targets(after.uses):
                self._recheck(used)
        self._requeue_exit_plan(key, after)
        if key.kind in _NAMED and after.ready and not (before is not None and before.ready):
            self._policy_triggers.requeue_unscheduled()
            for waiting in instances_waiting_for(self.store, after):
                self._recheck(waiting)
        for group in related_security_groups(self.store, key, before):
            self._recheck(group)

    def _requeue_users(self, key: Key, before: Stored | None, after: Stored) -> None:
        lost = before is not None and differs_only_in_outage(before, after)
        for user in self.store.users(key):
            if not (lost and self._only_placed_in(key, user)):
                self._recheck(user)

    def _only_placed_in(self, cloud: Key, user: Key) -> bool:
        """Return whether an object is merely placed in this cloud, so that the next view suffices for it.

        After an outage of a cloud starts or ends, its thousands of objects need no reconcile before the next view.
        """
        stored = self.store.stored(user)
        return stored is not None and stored.uses.cloud == cloud and not stored.uses.reach

    def _requeue_exit_plan(self, key: Key, stored: Stored) -> None:
        if key.kind == _MOVE and (leaving := exit_plan_of(stored)) is not None:
            self._recheck(leaving)

    def _requeue_tenant_namespaces(self, key: Key, before: Stored | None) -> None:
        for namespace in namespaces_of_tenants(self.store, key, before):
            for other in self.store.keys(namespace=namespace):
                self._recheck(other)

    def _recheck(self, key: Key) -> None:
        if self.store.stored(key) is not None:
            self.queue.add(key, Lane.RECHECK)

    # --- workers -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the workers. Call it before Kopf, which cancels tasks started after it (Kopf 1.45, running.py)."""
        self._shared.histories.start()
        # Workers that wait for their turn at an API would else be all there are: a person's change must find one.
        reserved = self._settings.workers // _RESERVED
        self._tasks = [
            asyncio.create_task(self._work((Lane.USER,) if number < reserved else Lane), name=f"worker {number}")
            for number in range(self._settings.workers)
        ]
        self._tasks.append(asyncio.create_task(self._events.run(), name="events"))
        if self.latency_probes.measures:
            self._tasks.append(asyncio.create_task(self.latency_probes.run(), name="latency probes"))

    async def stop(self, patience: float) -> bool:
        """Begin no new step and wait up to `patience` seconds for calls in flight; return whether all ended."""
        self.queue.stop()
        for watch in self.watches.all():
            watch.stop()
        deadline = self._clock() + patience
        while self.queue.running and self._clock() < deadline:  # noqa: ASYNC110 - bounded by the deadline
            await asyncio.sleep(0.02)
        if ended := not self.queue.running:
            for task in self._tasks:
                task.cancel()
        return ended

    @property
    def oldest_in_flight(self) -> float:
        """Seconds that the oldest running reconcile has taken."""
        return max((self._clock() - since for since in self._since.values()), default=0.0)

    def _snapshot(self) -> EngineSnapshot:
        """Return the state that metrics report."""
        shared = self._shared
        return EngineSnapshot(
            holds_lease=self._may_write(),
            waiting=self.queue.depth,
            in_flight=len(self._since),
            oldest=self.oldest_in_flight,
            accounts=self.watches.monitored_accounts(),
            verdicts=(*shared.verdicts.items(), *shared.account_verdicts.items()),
            summaries=self.store.summaries(),
            site_latencies=self.latency_probes.seconds(),
            exits=exits_of(self.store),
        )

    async def _work(self, lanes: Iterable[Lane]) -> None:
        while (key := await self.queue.get(lanes)) is not None:
            begun = self._since[key] = self._clock()
            outcome: Phase | str = "error"
            try:
                outcome = await self._traced(key)
            finally:
                del self._since[key]
                self._metrics.reconciled(key.kind, outcome, self._clock() - begun)
                self.queue.done(key)

    async def _traced(self, key: Key) -> Phase | str:
        """Reconcile one key within a trace and a log context."""
        stored, reconcile_id = self.store.stored(key), token_hex(8)
        uid, generation = (stored.uid, int(stored.trigger[0] or 0)) if stored else ("", 0)
        attributes: dict[str, str | int] = {
            "sovereign.kind": key.kind,
            "sovereign.namespace": key.namespace,
            "sovereign.name": key.name,
            "sovereign.generation": generation,
        }
        with self._tracer.trace(f"reconcile {key.kind}", attributes) as span:
            with (
                bound_log_context(LogContext(key, uid, generation, reconcile_id, *span.ids)),
                urgency.at(self._urgency(key)),
            ):
                outcome = await self._reconcile(key)
            if outcome not in _UNANSWERED:
                self._asked.discard(key)
            told = outcome.name.lower() if isinstance(outcome, Phase) else outcome
            ended = {"sovereign.outcome": told, "sovereign.reconcile_id": reconcile_id}
            span.tell(ended, failed=outcome in {Phase.RETRY, "error"})
        return outcome

    def _urgency(self, key: Key) -> Urgency:
        """Return the urgency of a key: a user's change stays urgent until a reconcile ends with a result."""
        if self.queue.lane(key) is Lane.USER:
            self._asked.add(key)
        return Urgency.USER if key in self._asked else Urgency.RECHECK

    async def _reconcile(self, key: Key) -> Phase | str:
        try:
            result = await self._reconciler.reconcile(key)
            self._requeue(key, result)
        except OutsideError as error:
            logger.warning("Kubernetes: %s", error, extra={"object": str(key)})
            self.queue.add_rate_limited(key)
        except Exception:
            logger.exception("reconcile failed", extra={"object": str(key)})
            self.queue.add_rate_limited(key)
        else:
            return "gone" if result.gone else result.outcome.phase
        return "error"

    def _requeue(self, key: Key, result: Result) -> None:
        outcome = result.outcome
        if outcome.phase is Phase.RETRY and not result.gone:
            self.queue.add_rate_limited(key, at_least=outcome.after or 0.0)
            return
        if result.failed and not result.gone:
            # Who has just made a mistake mends it now: looked at again soon, then as seldom as the table of errors says.
            self.queue.add_rate_limited(key, at_most=outcome.after or _AGAIN.get(outcome.phase))
            return
        self.queue.forget(key)
        if result.gone:
            return
        if outcome.after is not None:
            self.queue.add_after(key, outcome.after)
        elif outcome.phase in _AGAIN:
            self.queue.add_after(key, _AGAIN[outcome.phase])


def _credential_changed(before: Stored, after: Stored) -> bool:
    """Return whether a cloud's credential changed, because it joined or left a federation."""
    known, now = (one.status().get("credentialsSecret") for one in (before, after))
    return bool(known) and known != now
