"""The watches of clouds and OVHcloud accounts: made on first need, gone when nobody needs them any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import AnyResource, Store
from sovereigncloud.engine.gauges import Account as Read
from sovereigncloud.engine.loop.context import open_nebula_of, view_of
from sovereigncloud.engine.loop.sweep import Sweeper
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry.metric_catalogue import Api
from sovereigncloud.engine.telemetry.tracing import Tracer
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.engine.views.cloud_watch import ViewWatch
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of
from sovereigncloud.ports.errors import Auth
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.ovh.account import AccountView

Account = tuple[str, str, str]
"""(endpoint, namespace, Secret)"""
_PER_REQUEST = 5.0
"""Seconds of rest per request that a view of an account took, where it is swept every minute: 60 requests in five minutes, a
quarter of what OVHcloud lets one credential ask, however many vRacks there are. The rest is for what people change."""


class Watches:
    """One watch per cloud and account.

    Args:
        settings: of the operator.
        store: what the API server told.
        clients: of clouds and accounts.
        tracer: of what is read.
        recheck: queues a key.
        distrust: a credential of this cloud was refused.
        sweeper: compares what was read; asked for when something was.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clients: Clients,
        tracer: Tracer,
        *,
        recheck: Callable[[Key], None],
        distrust: Callable[[AnyResource], None],
        sweeper: Callable[[], Sweeper],
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._store, self._clients, self._tracer = settings, store, clients, tracer
        self._recheck, self._distrust, self._sweeper, self._clock = recheck, distrust, sweeper, clock
        self.clouds: dict[Key, ViewWatch[CloudView]] = {}
        self.accounts: dict[Account, ViewWatch[AccountView]] = {}
        self._vracks: dict[Account, set[str]] = {}

    def all(self) -> tuple[ViewWatch[Any], ...]:
        return (*self.clouds.values(), *self.accounts.values())

    def answers(self, cloud: Key) -> bool:
        """Whether it did when it was read last."""
        watch = self.clouds.get(cloud)
        return watch is not None and watch.view is not None and not watch.failures

    def gone(self, key: Key) -> None:
        """An object is not there any more: nothing is under way for it, and nobody reads its cloud."""
        for watch in self.all():
            watch.rest(key)
        if watch_of_it := self.clouds.pop(key, None):
            watch_of_it.stop()

    def exposed(self) -> tuple[Read, ...]:
        """What is read, for the metrics."""
        return (*self._exposed_clouds(), *self._exposed_accounts())

    def of_cloud(self, cloud: Key) -> ViewWatch[CloudView]:
        if cloud not in self.clouds:

            async def read(began: float) -> CloudView:
                resource = self._store.get(cloud)
                try:
                    with self._tracer.trace("read OpenNebula", _named(f"{cloud.namespace}/{cloud.name}")):
                        client = await open_nebula_of(self._clients, resource, self._store.get)
                        return await view_of(client, cloud, self._store, began, self._reach, self._allows)
                except Auth:
                    if resource is not None:
                        self._distrust(resource)
                    raise

            async def swept(_: CloudView, keys: frozenset[Key] | None) -> bool:
                if keys is not None:
                    return await self._sweeper().some(cloud, keys)
                await self._sweeper().cloud(cloud)
                return False

            def failed() -> None:
                users = ((key, self._store.stored(key)) for key in self._store.users(cloud))
                for key in (cloud, *(key for key, stored in users if stored is not None and stored.uses.reach)):
                    self._recheck(key)

            self.clouds[cloud] = ViewWatch(
                str(cloud),
                read=read,
                swept=swept,
                enqueue=self._recheck,
                failed=failed,
                interval=self._settings.sweep_interval,
                settle=self._settings.settle_interval,
                clock=self._clock,
            )
            self.clouds[cloud].start()
        return self.clouds[cloud]

    async def _reach(self, cloud: Key) -> OpenNebula:
        return await open_nebula_of(self._clients, self._store.get(cloud), self._store.get)

    def _allows(self, host: str) -> bool:
        return host in self._settings.plain_http_hosts

    def of_account(self, endpoint: str, namespace: str, secret: str, vrack: str) -> ViewWatch[AccountView]:
        account = (endpoint, namespace, secret)
        vracks = self._vracks.setdefault(account, set())
        if account not in self.accounts:

            async def read(began: float) -> AccountView:
                try:
                    with self._tracer.trace("read OVHcloud", _named(f"{namespace}/{secret}")):
                        client = await self._clients.ovh(endpoint, namespace, secret)
                        return await client.view(began, frozenset(self._vracks[account]))
                except Auth:
                    self._clients.forget(namespace, secret)
                    raise

            async def swept(_: AccountView, __: frozenset[Key] | None) -> bool:
                if members := self._account_members(account):
                    await self._sweeper().account(members)
                else:
                    self._leave(account)
                return False

            def failed() -> None:
                for key in (members := self._account_members(account)):
                    self._recheck(key)
                if not members:
                    self._leave(account)

            self.accounts[account] = ViewWatch(
                f"OVHcloud account of Secret {namespace}/{secret}",
                read=read,
                swept=swept,
                enqueue=self._recheck,
                failed=failed,
                interval=self._settings.sweep_interval,
                settle=self._settings.settle_interval * 2,
                rest=lambda view: view.requests * _PER_REQUEST * self._settings.sweep_interval / 60.0,
                clock=self._clock,
            )
            self.accounts[account].start()
        if vrack and vrack not in vracks:
            vracks.add(vrack)
            self.accounts[account].invalidate()
        return self.accounts[account]

    def _leave(self, account: Account) -> None:
        """Nobody names the account any more: it is not read for nobody."""
        if watch := self.accounts.pop(account, None):
            watch.stop()
        self._vracks.pop(account, None)

    def _account_members(self, account: Account) -> tuple[Key, ...]:
        """Servers, and clouds on servers, of the namespace of the account's Secret."""
        kinds = ("BareMetalServer", "SovereignCloud")
        keys = (k for kind in kinds for k in self._store.keys(kind, account[1]))
        return tuple(k for k in keys if self._names_secret(k, account[2]))

    def _names_secret(self, key: Key, secret: str) -> bool:
        stored = self._store.stored(key)
        return stored is not None and any(s.name == secret for s in stored.uses.secrets)

    def _exposed_clouds(self) -> Iterator[Read]:
        for key, watch in self.clouds.items():
            cloud = self._store.get(key)
            endpoint = endpoint_of(cloud, self._store.get) if isinstance(cloud, SovereignCloud) else None
            client = self._clients.known_open_nebula(endpoint.url, key.namespace, endpoint.secret) if endpoint else None
            yield Read(Api.OPENNEBULA, f"{key.namespace}/{key.name}", watch, client)

    def _exposed_accounts(self) -> Iterator[Read]:
        for (endpoint, namespace, secret), watch in self.accounts.items():
            client = self._clients.known_ovh(endpoint, namespace, secret)
            yield Read(Api.OVH, f"{namespace}/{secret}", watch, client)


def _named(account: str) -> Mapping[str, str]:
    """Attributes of a trace in which an account is read."""
    return {"sovereign.account": account}
