"""What a controller sees and reaches while it works for one object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.base import Key
from sovereigncloud.core.brakes import Verdict
from sovereigncloud.core.identity import Mark
from sovereigncloud.engine.clients import Clients
from sovereigncloud.engine.store import AnyResource, Store
from sovereigncloud.engine.tracks import Tracks
from sovereigncloud.engine.watch import ViewWatch
from sovereigncloud.kinds.endpoint import endpoint_of
from sovereigncloud.kinds.errors import Auth, MissingSecret
from sovereigncloud.kinds.ports import AccountView, CloudView, Installer, Kubernetes, OpenNebula, Ovh

logger = logging.getLogger(__name__)


class BeyondSweepError(Exception):
    """A sweep compares with what it read; what needs more than that is reconciled."""


@dataclass(slots=True)
class Shared:
    """What all objects share. `watch_of_cloud` and `watch_of_account` make a watch on first need."""

    store: Store
    tracks: Tracks
    clients: Clients
    kubernetes: Kubernetes
    installer: Installer
    installation: str
    plain_http_hosts: frozenset[str]
    now: Callable[[], datetime]
    watch_of_cloud: Callable[[Key], ViewWatch[CloudView]]
    watch_of_account: Callable[[str, str, str, str], ViewWatch[AccountView]]
    verdicts: dict[Key, Verdict] = field(default_factory=dict)


class ObjectWorld:
    """The world of one object for one reconcile."""

    def __init__(self, shared: Shared, resource: AnyResource) -> None:
        self._shared, self._resource = shared, resource
        self.used_account: ViewWatch[AccountView] | None = None

    @property
    def now(self) -> datetime:
        return self._shared.now()

    @property
    def kubernetes(self) -> Kubernetes:
        return self._shared.kubernetes

    @property
    def installer(self) -> Installer:
        return self._shared.installer

    @property
    def admitted(self) -> bool:
        """Whether the brakes let this object go on, in the last sweep of its cloud. A cloud may go on where nothing in
        it is held; what its own plan asks for is counted again before it is done."""
        own = self._shared.verdicts.get(self._resource.key)
        if own is not None:
            return not own.held
        stored = self._shared.store.stored(self._resource.key)
        cloud = stored.uses.cloud if stored else None
        verdict = self._shared.verdicts.get(cloud) if cloud else None
        return verdict is not None and str(self._resource.key) in verdict.admitted

    def clouds(self, namespace: str) -> tuple[Key, ...]:
        found = (self._shared.store.get(k) for k in self._shared.store.keys("SovereignCloud", namespace))
        return tuple(c.key for c in found if c is not None and not c.deleting)

    def mark(self, resource: AnyResource) -> Mark:
        where = f"{resource.metadata.namespace}/{resource.metadata.name}"
        return Mark(self._shared.installation, f"{resource.crd.kind}/{where}", resource.metadata.uid)

    def get(self, key: Key) -> AnyResource | None:
        return self._shared.store.get(key)

    def users(self, key: Key) -> Iterable[AnyResource]:
        found = (self._shared.store.get(user) for user in self._shared.store.users(key))
        return tuple(u for u in found if u is not None)

    async def open_nebula(self, cloud: Key) -> OpenNebula:
        resource = self._resource if self._resource.key == cloud else self._shared.store.get(cloud)
        return await open_nebula_of(self._shared.clients, resource, self._shared.store.get)

    async def view(self, cloud: Key) -> CloudView:
        return self._shared.watch_of_cloud(cloud).get(self._resource.key, self._trust_after)

    async def ovh(self, endpoint: str, namespace: str, secret: str) -> Ovh:
        return await self._shared.clients.ovh(endpoint, namespace, secret)

    async def account(self, endpoint: str, namespace: str, secret: str, vrack: str) -> AccountView:
        self.used_account = self._shared.watch_of_account(endpoint, namespace, secret, vrack)
        return self.used_account.get(self._resource.key, self._trust_after)

    def allows_plain_http(self, host: str) -> bool:
        return host in self._shared.plain_http_hosts

    @property
    def _trust_after(self) -> float:
        return self._shared.tracks.of(self._resource).trust_after


class SweepWorld(ObjectWorld):
    """The world of one object while its cloud is swept: the views and the store, no call outside."""

    @property
    def kubernetes(self) -> Kubernetes:
        raise BeyondSweepError

    @property
    def installer(self) -> Installer:
        raise BeyondSweepError

    async def open_nebula(self, cloud: Key) -> OpenNebula:  # noqa: ARG002 - refused whatever is asked
        raise BeyondSweepError

    async def ovh(self, endpoint: str, namespace: str, secret: str) -> Ovh:  # noqa: ARG002 - as above
        raise BeyondSweepError


async def open_nebula_of(
    clients: Clients, cloud: AnyResource | None, get: Callable[[Key], AnyResource | None]
) -> OpenNebula:
    """The client of a SovereignCloud. Raises MissingSecret, also where its endpoint cannot be known yet."""
    if not isinstance(cloud, SovereignCloud):
        raise MissingSecret("the SovereignCloud is not there")
    endpoint = endpoint_of(cloud, get)
    if endpoint is None:
        raise MissingSecret(f"where {cloud.key} answers is not known yet")
    namespace = cloud.metadata.namespace
    try:
        return await clients.open_nebula(endpoint.url, namespace, endpoint.secret, endpoint.ca_secret)
    except Auth:
        clients.forget(namespace, endpoint.secret)
        raise
