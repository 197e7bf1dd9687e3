"""The engine put together: what the API server tells goes in, keys come out of the queue, workers reconcile them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

from sovereigncloud.api.base import Key
from sovereigncloud.core.brakes import Limits
from sovereigncloud.core.outcome import Phase
from sovereigncloud.engine.clients import Clients
from sovereigncloud.engine.events import EventPoster
from sovereigncloud.engine.examine import AnyController, owner_of
from sovereigncloud.engine.metrics import Metrics
from sovereigncloud.engine.reconciler import ObjectWriter, Reconciler, Result
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.store import AnyResource, Store, key_of
from sovereigncloud.engine.sweep import Sweeper
from sovereigncloud.engine.tracks import Tracks
from sovereigncloud.engine.watch import ViewWatch
from sovereigncloud.engine.workqueue import Lane, Workqueue
from sovereigncloud.engine.world import Shared, open_nebula_of
from sovereigncloud.kinds.errors import OutsideError
from sovereigncloud.kinds.ports import AccountView, CloudView, Installer, Kubernetes

logger = logging.getLogger(__name__)
Json = dict[str, Any]
Account = tuple[str, str, str]
"""(endpoint, namespace, Secret)"""

BLOCKED_AGAIN = 60.0
"""Seconds until a blocked object is looked at again, should the event that frees it be missed."""


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
        metrics: counted.
        may_write: whether this process holds the Lease.
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
        metrics: Metrics,
        may_write: Callable[[], bool],
    ) -> None:
        self._settings, self._controllers, self._clients, self._metrics = settings, controllers, clients, metrics
        self.store = Store()
        self.queue: Workqueue[Key] = Workqueue()
        self._clouds: dict[Key, ViewWatch[CloudView]] = {}
        self._accounts: dict[Account, ViewWatch[AccountView]] = {}
        self._vracks: dict[Account, set[str]] = {}
        self._events = EventPoster(writer.create_event)
        self._tasks: list[asyncio.Task[None]] = []
        self._since: dict[Key, float] = {}
        self.synced = False
        tracks = Tracks(started=monotonic(), grace=settings.late_write_grace)
        self._shared = Shared(
            store=self.store,
            tracks=tracks,
            clients=clients,
            kubernetes=kubernetes,
            installer=installer,
            installation=installation,
            plain_http_hosts=frozenset(settings.plain_http_hosts),
            now=lambda: datetime.now(UTC),
            watch_of_cloud=self._watch_of_cloud,
            watch_of_account=self._watch_of_account,
        )
        limits = Limits(settings.brake_objects, settings.brake_fraction)
        self._sweeper = Sweeper(self._shared, controllers, self._recheck, limits, metrics)
        self._reconciler = Reconciler(
            controllers,
            self._shared,
            writer,
            metrics,
            limits=limits,
            grace=settings.late_write_grace,
            may_write=may_write,
            event=self._events.post,
            ingest=self.ingest,
        )
        metrics.watch_queue(lambda: len(self.queue))

    # --- what the API server tells -----------------------------------------------------------------------------------

    def told(self, event: str | None, body: Json) -> None:
        """An event of the watch (None: listed)."""
        self._metrics.told(time())
        if event == "DELETED":
            self._gone(key_of(body), body["metadata"].get("uid", ""))
            return
        before = self.store.get(key_of(body))
        key, news = self.store.put(body)
        self._refer(key)
        if news or event is None:
            self.queue.add(key, Lane.USER)
            self._tell_others(key, before)

    def ingest(self, body: Json) -> None:
        """The reply to a PATCH of ours."""
        before = self.store.get(key_of(body))
        metadata = body["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._gone(key_of(body), metadata.get("uid", ""))
            return
        key = self.store.put_own(body)
        self._refer(key)
        self._tell_others(key, before)

    def _refer(self, key: Key) -> None:
        resource = self.store.get(key)
        if resource is not None:
            self.store.set_uses(key, self._controllers[key.kind].uses(resource))

    def _gone(self, key: Key, uid: str) -> None:
        stored = self.store.remove(key, uid)
        if stored is None:
            return
        self.queue.forget(key)
        self._shared.tracks.forget(key)
        for used in (*((stored.uses.cloud,) if stored.uses.cloud else ()), *stored.uses.objects):
            self.queue.add(used, Lane.RECHECK)
        for user in self.store.users(key):
            self.queue.add(user, Lane.RECHECK)
        for owner in stored.body()["metadata"].get("ownerReferences") or ():
            self.queue.add(Key(owner["kind"], key.namespace, owner["name"]), Lane.RECHECK)
        for watch in self._watches:
            watch.rest(key)
        if watch_of_it := self._clouds.pop(key, None):
            watch_of_it.stop()
            self._shared.verdicts.pop(key, None)

    def _tell_others(self, key: Key, before: AnyResource | None) -> None:
        """Who refers to an object, and who composed it, look again when its readiness or deletion changed."""
        after = self.store.get(key)
        if after is None:
            return
        if before is None or _matters(before) != _matters(after):
            for user in self.store.users(key):
                self.queue.add(user, Lane.RECHECK)
            owner = owner_of(after, self.store)
            if owner is not None:
                self.queue.add(owner.key, Lane.RECHECK)
            if after.deleting:
                for used in self._uses_of(key):
                    self.queue.add(used, Lane.RECHECK)

    def _uses_of(self, key: Key) -> tuple[Key, ...]:
        stored = self.store.stored(key)
        return ((stored.uses.cloud,) if stored.uses.cloud else ()) + stored.uses.objects if stored else ()

    @property
    def _watches(self) -> tuple[ViewWatch[Any], ...]:
        return (*self._clouds.values(), *self._accounts.values())

    # --- watches -----------------------------------------------------------------------------------------------------

    def _recheck(self, key: Key) -> None:
        self.queue.add(key, Lane.RECHECK)

    def _watch_of_cloud(self, cloud: Key) -> ViewWatch[CloudView]:
        if cloud not in self._clouds:

            async def read(began: float) -> CloudView:
                client = await open_nebula_of(self._clients, self.store.get(cloud), self.store.get)
                return await client.view(began)

            async def swept(_: CloudView) -> None:
                await self._sweeper.cloud(cloud)

            self._clouds[cloud] = ViewWatch(
                str(cloud),
                read=read,
                swept=swept,
                enqueue=self._recheck,
                interval=self._settings.sweep_interval,
                settle=self._settings.settle_interval,
            )
            self._clouds[cloud].start()
        return self._clouds[cloud]

    def _watch_of_account(self, endpoint: str, namespace: str, secret: str, vrack: str) -> ViewWatch[AccountView]:
        account = (endpoint, namespace, secret)
        vracks = self._vracks.setdefault(account, set())
        if account not in self._accounts:

            async def read(began: float) -> AccountView:
                client = await self._clients.ovh(endpoint, namespace, secret)
                return await client.view(began, frozenset(self._vracks[account]))

            async def swept(_: AccountView) -> None:
                await self._sweeper.account(self._account_members(account))

            self._accounts[account] = ViewWatch(
                f"OVHcloud account of Secret {namespace}/{secret}",
                read=read,
                swept=swept,
                enqueue=self._recheck,
                interval=self._settings.sweep_interval,
                settle=self._settings.settle_interval * 2,
            )
            self._accounts[account].start()
        if vrack and vrack not in vracks:
            vracks.add(vrack)
            self._accounts[account].refresh()
        return self._accounts[account]

    def _account_members(self, account: Account) -> tuple[Key, ...]:
        """Servers, and clouds on servers, of the namespace of the account's Secret."""
        kinds = ("BareMetalServer", "SovereignCloud")
        keys = (k for kind in kinds for k in self.store.keys(kind, account[1]))
        return tuple(k for k in keys if self._names_secret(k, account[2]))

    def _names_secret(self, key: Key, secret: str) -> bool:
        stored = self.store.stored(key)
        return stored is not None and any(s.name == secret for s in stored.uses.secrets)

    # --- workers -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the workers. Before Kopf: it cancels what is started after it (facts of Kopf 1.45, running.py)."""
        self._tasks = [
            asyncio.create_task(self._work(), name=f"worker {number}") for number in range(self._settings.workers)
        ]
        self._tasks.append(asyncio.create_task(self._events.run(), name="events"))

    async def stop(self, patience: float) -> bool:
        """No new step; wait for calls in flight at most so many seconds. Whether all of them ended."""
        self.queue.stop()
        for watch in self._watches:
            watch.stop()
        deadline = monotonic() + patience
        while self.queue.running and monotonic() < deadline:  # noqa: ASYNC110 - bounded by the deadline
            await asyncio.sleep(0.02)
        return not self.queue.running

    @property
    def oldest_in_flight(self) -> float:
        """Seconds that the oldest running reconcile has taken."""
        return max((monotonic() - since for since in self._since.values()), default=0.0)

    async def _work(self) -> None:
        while (key := await self.queue.get()) is not None:
            begun = self._since[key] = monotonic()
            try:
                self._requeue(key, await self._reconciler.reconcile(key))
            except OutsideError as error:
                logger.warning("Kubernetes: %s", error, extra={"object": str(key)})
                self.queue.add_rate_limited(key)
            except Exception:
                logger.exception("reconcile failed", extra={"object": str(key)})
                self.queue.add_rate_limited(key)
            finally:
                del self._since[key]
                self._metrics.reconciled(key.kind, monotonic() - begun)
                self.queue.done(key)

    def _requeue(self, key: Key, result: Result) -> None:
        outcome = result.outcome
        if outcome.phase is Phase.RETRY and not result.gone:
            if outcome.after is not None:
                self.queue.add_after(key, outcome.after)
            else:
                self.queue.add_rate_limited(key)
            return
        self.queue.forget(key)
        if result.gone:
            return
        if outcome.after is not None:
            self.queue.add_after(key, outcome.after)
        elif outcome.phase is Phase.BLOCKED:
            self.queue.add_after(key, BLOCKED_AGAIN)


def _matters(resource: AnyResource) -> tuple[object, ...]:
    ready = resource.status.condition("Ready")
    return (
        resource.deleting,
        resource.finalized,
        ready.status if ready else None,
        getattr(resource.status, "endpoint", None),
        getattr(resource.status, "address", None),
        resource.spec.management,
    )
