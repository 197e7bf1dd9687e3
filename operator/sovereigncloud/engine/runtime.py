"""The engine put together: what the API server tells goes in, keys come out of the queue, workers reconcile them."""

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
from sovereigncloud.engine import gauges as exposed
from sovereigncloud.engine.cache.namespaces import Namespaces
from sovereigncloud.engine.cache.store import (
    Store,
    Stored,
    differs_in_loss,
    exit_of,
    groups_beside,
    key_of,
    namespaces_of_tenants,
    secret_key,
    targets,
    who_waits_for_a_name,
)
from sovereigncloud.engine.loop.cloud_watches import Watches
from sovereigncloud.engine.loop.context import Shared
from sovereigncloud.engine.loop.evaluate import AnyController, owner_of
from sovereigncloud.engine.loop.execute import Actor
from sovereigncloud.engine.loop.finalizers import Guards, ObjectWriter, let_go_too_early
from sovereigncloud.engine.loop.history import ReconcileHistory
from sovereigncloud.engine.loop.preflight import Preflight
from sovereigncloud.engine.loop.queue import Backoff, Lane, Workqueue
from sovereigncloud.engine.loop.reconcile import Reconciler, Result
from sovereigncloud.engine.loop.sweep import Sweeper
from sovereigncloud.engine.policy.triggers import BorderNews
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry.events import EventPoster
from sovereigncloud.engine.telemetry.log_context import Subject, busy_with
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.engine.telemetry.tracing import Tracer, Untraced
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.engine.views.host_key_cache import Greetings
from sovereigncloud.engine.views.latency_probes import Distances
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.kinds.planning import urgency
from sovereigncloud.kinds.planning.urgency import Urgency
from sovereigncloud.ports.errors import OutsideError
from sovereigncloud.ports.installer.installation import Installer
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.latency import Sites
from sovereigncloud.ports.ssh import Ssh

logger = logging.getLogger(__name__)
Json = dict[str, Any]

_TENANT = "Tenant"
_READ_ALONG = frozenset({_TENANT, "FederatedZone"})
_NAMED = frozenset({"MachineImage", "VirtualNetwork", "SecurityGroup"})
_MOVE = "InstanceMigration"
"""What it uses follows it."""
_RESERVED = 4
"""Every fourth worker takes only what a person changed."""
_UNANSWERED = frozenset[Phase | str]({Phase.WAITING, Phase.RETRY, "error"})
_AGAIN = {Phase.BLOCKED: 60.0, Phase.STALLED: 300.0}
"""Seconds until an object is looked at again, should no event and no sweep tell that its cause went."""


class Engine:
    """Store, queue, watches and workers.

    Args:
        settings: of the operator.
        installation: the id on everything made outside.
        controllers: one per kind.
        clients: of clouds and accounts.
        kubernetes: what kinds may do in Kubernetes.
        writer: of status and finalizers.
        installer: of OpenNebula.
        ssh: asks servers for their host keys; None: nobody does, and none is pinned.
        sites: measures between them; None: nobody does.
        metrics: counted.
        tracer: of reconciles and of reading clouds and accounts; None: nobody.
        may_write: whether this process holds the Lease.
        clock: monotonic seconds.
        now: the time of day, for status.
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
        self._tracer = tracer or Untraced()
        self.watches = Watches(
            settings,
            self.store,
            clients,
            self._tracer,
            recheck=self._recheck,
            distrust=lambda cloud: self._shared.distrust(cloud, Uses()),
            sweeper=lambda: self._sweeper,
            clock=clock,
        )
        self.distances = Distances(sites, settings, self.store, clients, self.watches.answers, clock)
        self._shared = Shared(
            store=self.store,
            tracks=ReconcileHistory(grace=settings.late_write_grace, clock=clock),
            clients=clients,
            kubernetes=kubernetes,
            installer=installer,
            greetings=Greetings(ssh, clock),
            installation=installation,
            plain_http_hosts=frozenset(settings.plain_http_hosts),
            now=now,
            clock=clock,
            watch_of_cloud=self.watches.of_cloud,
            watch_of_account=self.watches.of_account,
            own_namespace=settings.namespace,
            namespaces=self.namespaces,
            distance=self.distances.between,
        )
        self._border_news = BorderNews(self.store, self._shared.borders, self.watches, self.queue)
        self.namespaces.changed = self._border_news.namespaces_changed
        limits = Limits(settings.brake_objects, settings.brake_fraction)
        self._sweeper = Sweeper(self._shared, controllers, self._recheck, limits, metrics)
        guards = Guards(controllers, self.store, writer, self.ingest)
        self._preflight = Preflight(clients, self.store.get, clock)
        actor = Actor(
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
            vanished=self._gone,
        )
        self._may_write = may_write
        metrics.show(exposed.gauges(self._now))

    # --- what the API server tells -----------------------------------------------------------------------------------

    def told(self, event: str | None, body: Json) -> None:
        """An event of the watch (None: listed)."""
        self._metrics.told(time())
        if event == "DELETED" and let_go_too_early(body):
            self._linger(body)
            return
        if event == "DELETED":
            self._gone(key_of(body), body["metadata"].get("uid", ""))
            return
        before = self.store.stored(key_of(body))
        key, news = self.store.put(body)
        if before is not None and (watch := self.watches.clouds.get(key)) and self._respecified(key, before):
            watch.invalidate()  # it may have another endpoint now: what was read before says nothing
        if news:
            self._refer(key)
            self.queue.add(key, Lane.USER)
            self._tell_others(key, before)
        elif event is None:
            self.queue.add(key, Lane.RECHECK)

    def ingest(self, body: Json) -> None:
        """The reply to a PATCH of ours."""
        key = key_of(body)
        before = self.store.stored(key)
        metadata = body["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._gone(key, metadata.get("uid", ""))
            return
        if self.store.put_own(body) is not None:
            self._refer(key)
            self._tell_others(key, before)

    def _respecified(self, key: Key, before: Stored) -> bool:
        after = self.store.stored(key)
        return after is not None and (after.uid, after.trigger[0]) != (before.uid, before.trigger[0])

    def _linger(self, body: Json) -> None:
        """What was made for it has to be ended all the same, as if it was still there."""
        before = self.store.stored(key_of(body))
        key = self.store.linger(body, timestamp(self._shared.now()))
        if key is not None:
            logger.warning("let go by the API server in spite of the finalizer", extra={"object": str(key)})
            self._refer(key)
            self.queue.add(key, Lane.USER)
            self._tell_others(key, before)

    def _refer(self, key: Key) -> None:
        resource = self.store.get(key)
        if resource is None:
            return
        uses = self._controllers[key.kind].uses(resource)
        if key.kind in _READ_ALONG:  # who is in a cloud, and its federation, are only read where one of these names it
            unread = (cloud for cloud in targets(uses) if key not in self.store.users(cloud))
            for watch in filter(None, map(self.watches.clouds.get, unread)):
                watch.invalidate()
        if (before := self.store.set_uses(key, uses)) is not None:
            self._border_news.referred(targets(before), targets(uses))

    def _gone(self, key: Key, uid: str) -> None:
        stored = self.store.remove(key, uid)
        if stored is None:
            return
        self.queue.forget(key)
        self._shared.tracks.forget(key)
        self._asked.discard(key)
        self.watches.gone(key)
        self._sweeper.forget(key)
        self._shared.verdicts.pop(key, None)
        self._shared.account_verdicts.pop(key, None)
        for secret in stored.uses.secrets:
            if next(self.store.users(secret_key(key.namespace, secret.name)), None) is None:
                self._clients.drop(key.namespace, secret.name)
                self._preflight.drop(key.namespace, secret.name)
        for other in (*targets(stored.uses), *self.store.users(key), *groups_beside(self.store, key, stored)):
            self._recheck(other)
        if key.kind == _TENANT:
            self._tell_tenants(key, stored)
        self._tell_exit(key, stored)
        self._border_news.changed(key, stored)
        for owner in stored.body()["metadata"].get("ownerReferences") or ():
            self._recheck(Key(owner["kind"], key.namespace, owner["name"]))

    def _tell_others(self, key: Key, before: Stored | None) -> None:
        """Who refers to an object, and who composed it, look again when something changed that they act upon."""
        after = self.store.stored(key)
        self._border_news.changed(key, before)
        if after is None or (before is not None and before.uid == after.uid and before.others == after.others):
            return
        if before is not None and (watch := self.watches.clouds.get(key)) and _entered_otherwise(before, after):
            watch.invalidate()  # it is not to be read with the credential that was refused
        self._tell_users(key, before, after)
        self._tell_tenants(key, before)
        resource = self.store.get(key)
        owner = owner_of(resource, self.store) if resource is not None else None
        if owner is not None:
            self._recheck(owner.key)
        if after.deleting or key.kind == _MOVE:
            for used in targets(after.uses):
                self._recheck(used)
        self._tell_exit(key, after)
        if key.kind in _NAMED and after.ready and not (before is not None and before.ready):
            self._border_news.place()
            for waiting in who_waits_for_a_name(self.store, after):
                self._recheck(waiting)
        for group in groups_beside(self.store, key, before):
            self._recheck(group)

    def _tell_users(self, key: Key, before: Stored | None, after: Stored) -> None:
        lost = before is not None and differs_in_loss(before, after)
        for user in self.store.users(key):
            if not (lost and self._only_lives_in(key, user)):
                self._recheck(user)

    def _only_lives_in(self, cloud: Key, user: Key) -> bool:
        """Of thousands in a cloud that is lost, or back, only what was there is known, and stays: their next look comes with its view."""
        stored = self.store.stored(user)
        return stored is not None and stored.uses.cloud == cloud and not stored.uses.reach

    def _tell_exit(self, key: Key, stored: Stored) -> None:
        if key.kind == _MOVE and (leaving := exit_of(stored)) is not None:
            self._recheck(leaving)

    def _tell_tenants(self, key: Key, before: Stored | None) -> None:
        for namespace in namespaces_of_tenants(self.store, key, before):
            for other in self.store.keys(namespace=namespace):
                self._recheck(other)

    def _recheck(self, key: Key) -> None:
        if self.store.stored(key) is not None:
            self.queue.add(key, Lane.RECHECK)

    # --- workers -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the workers. Before Kopf: it cancels what is started after it (facts of Kopf 1.45, running.py)."""
        self._shared.tracks.start()
        # Workers that wait for their turn at an API would else be all there are: a person's change must find one.
        reserved = self._settings.workers // _RESERVED
        self._tasks = [
            asyncio.create_task(self._work((Lane.USER,) if number < reserved else Lane), name=f"worker {number}")
            for number in range(self._settings.workers)
        ]
        self._tasks.append(asyncio.create_task(self._events.run(), name="events"))
        if self.distances.measures:
            self._tasks.append(asyncio.create_task(self.distances.run(), name="distances"))

    async def stop(self, patience: float) -> bool:
        """No new step; wait for calls in flight at most so many seconds. Whether all of them ended."""
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

    def _now(self) -> exposed.Now:
        """What is to be seen in the metrics."""
        shared = self._shared
        return exposed.Now(
            holds_lease=self._may_write(),
            waiting=self.queue.depth,
            in_flight=len(self._since),
            oldest=self.oldest_in_flight,
            accounts=self.watches.exposed(),
            verdicts=(*shared.verdicts.items(), *shared.account_verdicts.items()),
            standings=self.store.standings(),
            distances=self.distances.seconds(),
            exits=exposed.exits_of(self.store),
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
        """One reconcile, as a trace and with its lines of the log."""
        stored, reconcile_id = self.store.stored(key), token_hex(8)
        uid, generation = (stored.uid, int(stored.trigger[0] or 0)) if stored else ("", 0)
        attributes: dict[str, str | int] = {
            "sovereign.kind": key.kind,
            "sovereign.namespace": key.namespace,
            "sovereign.name": key.name,
            "sovereign.generation": generation,
        }
        with self._tracer.trace(f"reconcile {key.kind}", attributes) as span:
            with busy_with(Subject(key, uid, generation, reconcile_id, *span.ids)), urgency.at(self._urgency(key)):
                outcome = await self._reconcile(key)
            if outcome not in _UNANSWERED:
                self._asked.discard(key)
            told = outcome.name.lower() if isinstance(outcome, Phase) else outcome
            ended = {"sovereign.outcome": told, "sovereign.reconcile_id": reconcile_id}
            span.tell(ended, failed=outcome in {Phase.RETRY, "error"})
        return outcome

    def _urgency(self, key: Key) -> Urgency:
        """A person's change is one until it came to something, through all the looks that it takes."""
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


def _entered_otherwise(before: Stored, after: Stored) -> bool:
    """Whether a cloud is read with another Secret than before: it joined a federation, or left one."""
    known, now = (one.status().get("credentialsSecret") for one in (before, after))
    return bool(known) and known != now
