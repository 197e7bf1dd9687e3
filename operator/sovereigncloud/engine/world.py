"""What a controller sees and reaches while it works for one object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, cast

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.base import Key
from sovereigncloud.core.brakes import Verdict
from sovereigncloud.core.identity import Mark
from sovereigncloud.engine.clients import Clients
from sovereigncloud.engine.examine import owner_of
from sovereigncloud.engine.greetings import Greetings
from sovereigncloud.engine.store import AnyResource, Store, targets
from sovereigncloud.engine.tracks import Tracks
from sovereigncloud.engine.watch import ViewT, ViewWatch
from sovereigncloud.kinds.controller import Uses
from sovereigncloud.kinds.endpoint import endpoint_of
from sovereigncloud.kinds.errors import MissingSecret, Retry
from sovereigncloud.kinds.ports import AccountView, CloudView, Installer, Kubernetes, OpenNebula, Ovh
from sovereigncloud.kinds.ssh_port import Greeting

logger = logging.getLogger(__name__)


class BeyondSweepError(Exception):
    """A sweep compares with what it read; what needs more than that is reconciled."""


@dataclass(slots=True)
class Shared:
    """What all objects share.

    Attributes:
        watch_of_cloud, watch_of_account: make a watch on first need.
        verdicts: of the brakes, by the cloud that was swept.
        account_verdicts: of the sweeps of accounts, by the cloud on the account's servers, else by the object itself.
    """

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
    greetings: Greetings = field(default_factory=lambda: Greetings(None))
    verdicts: dict[Key, Verdict] = field(default_factory=dict)
    account_verdicts: dict[Key, Verdict] = field(default_factory=dict)
    clock: Callable[[], float] = monotonic

    def group(self, resource: AnyResource) -> Key:
        """For whom an object counts in the sweep of an account: for the cloud that composed it, else for itself."""
        owner = owner_of(resource, self.store)
        return owner.key if owner is not None else resource.key

    def held(self, key: Key) -> tuple[Verdict, ...]:
        """The verdicts on a cloud that hold something."""
        found = (self.verdicts.get(key), self.account_verdicts.get(key))
        return tuple(v for v in found if v is not None and v.held)

    def distrust(self, resource: AnyResource, uses: Uses) -> None:
        """A credential was refused: read the Secrets of an object and of its clouds again."""
        for key in (resource.key, *targets(uses)):
            stored = self.store.stored(key)
            for secret in stored.uses.secrets if stored else ():
                self.clients.forget(key.namespace, secret.name)


class ObjectWorld:
    """The world of one object for one reconcile."""

    def __init__(self, shared: Shared, resource: AnyResource) -> None:
        self._shared, self._resource = shared, resource
        self.watches: list[ViewWatch[Any]] = []
        """What was read from: while something is under way, it is read often."""

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
        """Whether the brakes let this object go on, in the last sweeps of its clouds and its account. A cloud may go on
        where nothing in it is held; what its own plan asks for is counted again before it is done."""
        key, shared = self._resource.key, self._shared
        own = shared.verdicts.get(key)
        if own is not None:
            return not own.held
        stored = shared.store.stored(key)
        found = [shared.verdicts.get(cloud) for cloud in (targets(stored.uses) if stored else ())]
        if key.kind == "BareMetalServer":  # the sweep of an account knows nothing of what else its cloud composed
            found.append(shared.account_verdicts.get(shared.group(self._resource)))
        verdicts = [v for v in found if v is not None]
        return bool(verdicts) and all(str(key) in v.admitted for v in verdicts)

    def clouds(self, namespace: str) -> tuple[Key, ...]:
        found = (self._shared.store.get(k) for k in self._shared.store.keys("SovereignCloud", namespace))
        return tuple(c.key for c in found if c is not None and not c.deleting)

    def mark(self, resource: AnyResource) -> Mark:
        where = f"{resource.metadata.namespace}/{resource.metadata.name}"
        return Mark(self._shared.installation, f"{resource.crd.kind}/{where}", resource.metadata.uid)

    def get(self, key: Key) -> AnyResource | None:
        return self._shared.store.get(key)

    def users(self, key: Key, *kinds: str) -> Iterable[AnyResource]:
        keys = (user for user in self._shared.store.users(key) if not kinds or user.kind in kinds)
        found = (self._shared.store.get(user) for user in keys)
        return tuple(u for u in found if u is not None)

    async def open_nebula(self, cloud: Key) -> OpenNebula:
        resource = self._resource if self._resource.key == cloud else self._shared.store.get(cloud)
        return await open_nebula_of(self._shared.clients, resource, self._shared.store.get)

    async def view(self, cloud: Key) -> CloudView:
        if self._shared.store.stored(cloud) is None:
            raise MissingSecret(f"{cloud} does not exist")  # no watch is made for what nobody could stop again
        return self._look(self._shared.watch_of_cloud(cloud))

    async def ovh(self, endpoint: str, namespace: str, secret: str) -> Ovh:
        return await self._shared.clients.ovh(endpoint, namespace, secret)

    async def account(self, endpoint: str, namespace: str, secret: str, vrack: str) -> AccountView:
        return self._look(self._shared.watch_of_account(endpoint, namespace, secret, vrack))

    async def greeting(self, address: str, within: float) -> Greeting | None:
        return await self._shared.greetings.get(address, within)

    def _look(self, watch: ViewWatch[ViewT]) -> ViewT:
        self.watches.append(watch)
        return watch.get(self._resource.key, self._trust_after)

    def allows_plain_http(self, host: str) -> bool:
        return host in self._shared.plain_http_hosts

    @property
    def _trust_after(self) -> float:
        return self._shared.tracks.of(self._resource).trust_after


class SweepWorld(ObjectWorld):
    """The world of one object while its cloud is swept: the views and the store, no call outside."""

    def _look(self, watch: ViewWatch[ViewT]) -> ViewT:
        return watch.peek(self._trust_after)

    @property
    def kubernetes(self) -> Kubernetes:
        return cast("Kubernetes", _BEYOND)

    @property
    def installer(self) -> Installer:
        return cast("Installer", _BEYOND)

    async def open_nebula(self, cloud: Key) -> OpenNebula:  # noqa: ARG002 - refused whatever is asked
        return cast("OpenNebula", _BEYOND)

    async def ovh(self, endpoint: str, namespace: str, secret: str) -> Ovh:  # noqa: ARG002 - as above
        return cast("Ovh", _BEYOND)

    async def greeting(self, address: str, within: float) -> Greeting | None:
        if not self._shared.greetings.asks:
            return None
        known = self._shared.greetings.known(address, within)
        if known is None:
            raise BeyondSweepError(address)
        if isinstance(known, Retry):
            raise known
        return known


class _Beyond:
    """Stands for every client: to have one costs nothing and says nothing, the first call is more than a sweep does."""

    def __getattr__(self, verb: str) -> object:
        raise BeyondSweepError(verb)


_BEYOND = _Beyond()


async def open_nebula_of(
    clients: Clients, cloud: AnyResource | None, get: Callable[[Key], AnyResource | None]
) -> OpenNebula:
    """The client of a SovereignCloud. Raises MissingSecret, also where its endpoint cannot be known yet."""
    if not isinstance(cloud, SovereignCloud):
        raise MissingSecret("the SovereignCloud is not there")
    endpoint = endpoint_of(cloud, get)
    if endpoint is None:
        raise MissingSecret(f"where {cloud.key} answers is not known yet")
    return await clients.open_nebula(endpoint.url, cloud.metadata.namespace, endpoint.secret, endpoint.ca_secret)
