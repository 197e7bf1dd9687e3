"""What a controller sees and reaches while it works for one object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, cast

from sovereigncloud.api import SovereignCloud, Tenant
from sovereigncloud.api.common.base import Key
from sovereigncloud.core.change_limits import Verdict
from sovereigncloud.core.identity import Mark
from sovereigncloud.engine.cache.instance_index import InstanceIndex
from sovereigncloud.engine.cache.namespaces import Namespaces
from sovereigncloud.engine.cache.store import AnyResource, Store, targets
from sovereigncloud.engine.loop.capacity_reservations import Promises
from sovereigncloud.engine.loop.comparison_cache import Notebook
from sovereigncloud.engine.loop.evaluate import owner_of
from sovereigncloud.engine.loop.history import ReconcileHistory
from sovereigncloud.engine.policy.bindings import Borders
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.engine.views.cloud_watch import ViewT, ViewWatch
from sovereigncloud.engine.views.federation import Reach, federation_of
from sovereigncloud.engine.views.host_key_cache import Greetings
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.kinds.contract.reservations import Reservation
from sovereigncloud.kinds.contract.tenancy import Tenancies, Tenancy, tenancies
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of
from sovereigncloud.kinds.exit_readiness.facts import InstanceFacts
from sovereigncloud.ports.errors import MissingSecret, Retry
from sovereigncloud.ports.installer.installation import Installer
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.ovh.account import AccountView, Ovh
from sovereigncloud.ports.ssh import Greeting
from sovereigncloud.sovereignty.rules import Rules
from sovereigncloud.sovereignty.verdict import Judged

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
    tracks: ReconcileHistory
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
    own_namespace: str = ""
    namespaces: Namespaces = field(default_factory=Namespaces)
    distance: Callable[[Key, Key], float | None] = lambda _, __: None
    reservations: Promises = field(default_factory=Promises)
    _borders: Borders | None = None
    _inhabitants: InstanceIndex | None = None
    _notebook: Notebook | None = None
    _tenancies: tuple[int, Tenancies] = (-1, {})

    @property
    def tenancies(self) -> Tenancies:
        """What all Tenants say, made anew only when one of them changed: asked for each machine of a sweep."""
        changes = self.store.changes["Tenant"]
        if self._tenancies[0] != changes:
            found = (self.store.get(key) for key in self.store.keys("Tenant"))
            self._tenancies = (changes, tenancies(t for t in found if isinstance(t, Tenant)))
        return self._tenancies[1]

    @property
    def borders(self) -> Borders:
        """Which policies bind what."""
        if self._borders is None:
            self._borders = Borders(self.store, self.namespaces, self.now)
        return self._borders

    @property
    def inhabitants(self) -> InstanceIndex:
        """Who is in which cloud."""
        if self._inhabitants is None:
            self._inhabitants = InstanceIndex(self.store)
        return self._inhabitants

    @property
    def notebook(self) -> Notebook:
        """What comparisons looked at."""
        if self._notebook is None:
            self._notebook = Notebook(self.store, lambda: self.tenancies, self.borders.of)
        return self._notebook

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


class ObjectContext:
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
        shared = self._shared
        # In the same order each time, whichever was told first: the steps of a plan have a hash.
        own = sorted(shared.store.keys("SovereignCloud", namespace))
        lent = sorted(cloud for (whose, cloud), one in shared.tenancies.items() if whose == namespace and one.allowed)
        found = (shared.store.get(k) for k in dict.fromkeys((*own, *lent)))
        return tuple(c.key for c in found if c is not None and not c.deleting)

    def tenancy(self, namespace: str, cloud: Key) -> Tenancy | None:
        return self._shared.tenancies.get((namespace, cloud))

    def policies(self, namespace: str, cloud: Key) -> tuple[Rules, ...]:
        return self._shared.borders.of(namespace, cloud)

    def judged(self, policy: str) -> tuple[Judged, ...]:
        return self._shared.borders.judged(policy)

    def beside(self, policy: str) -> tuple[tuple[Rules, ...], ...]:
        return self._shared.borders.beside(policy)

    def everything(self, kind: str) -> tuple[AnyResource, ...]:
        found = (self._shared.store.get(key) for key in sorted(self._shared.store.keys(kind)))
        return tuple(one for one in found if one is not None)

    def inhabitants(self, cloud: Key) -> tuple[InstanceFacts, ...]:
        return self._shared.inhabitants.of(cloud)

    def promise(self, cloud: Key, promise: Reservation) -> None:
        self._shared.reservations.add(cloud, promise, self._shared.clock())

    def promised(self, cloud: Key, began: float) -> tuple[Reservation, ...]:
        return self._shared.reservations.since(cloud, began)

    def distance(self, one: Key, other: Key) -> float | None:
        return self._shared.distance(one, other)

    @property
    def own_namespace(self) -> str:
        return self._shared.own_namespace

    async def has_secret(self, namespace: str, name: str) -> bool | None:
        try:
            await self.kubernetes.secret(namespace, name)
        except MissingSecret:
            return False
        return True

    def mark(self, resource: AnyResource) -> Mark:
        where = f"{resource.metadata.namespace}/{resource.metadata.name}"
        return Mark(self._shared.installation, f"{resource.crd.kind}/{where}", resource.metadata.uid)

    def get(self, key: Key) -> AnyResource | None:
        return self._shared.store.get(key)

    def users(self, key: Key, *kinds: str) -> Iterable[AnyResource]:
        keys = [user for user in self._shared.store.users(key) if not kinds or user.kind in kinds]
        return tuple([u for u in map(self._shared.store.get, keys) if u is not None]) if keys else ()

    def silent_since(self, cloud: Key) -> datetime | None:
        if self._shared.store.stored(cloud) is None:
            return None
        silent = self._shared.watch_of_cloud(cloud).silent_for
        return None if silent is None else self._shared.now() - timedelta(seconds=silent)

    async def open_nebula(self, cloud: Key) -> OpenNebula:
        resource = self._resource if self._resource.key == cloud else self._shared.store.get(cloud)
        return await open_nebula_of(self._shared.clients, resource, self._shared.store.get)

    async def open_nebula_with(self, cloud: Key, secret: str) -> OpenNebula:
        resource = self._resource if self._resource.key == cloud else self._shared.store.get(cloud)
        return await open_nebula_of(self._shared.clients, resource, self._shared.store.get, secret)

    async def open_nebula_for(
        self,
        cloud: Key,
        namespace: str,
        vm: int | None = None,
        security_group: int | None = None,
        *,
        anew: bool = False,
    ) -> OpenNebula:
        tenancy = self.tenancy(namespace, cloud)
        if tenancy is None or self._is_the_administrators(cloud, vm, security_group):
            return await self.open_nebula(cloud)
        if cloud.namespace == namespace and self._is_somebody_elses(cloud, vm, tenancy.user):
            return await self.open_nebula(cloud)  # adopted, in the namespace that has the administrator's credential
        resource = self._shared.store.get(cloud)
        endpoint = endpoint_of(resource, self._shared.store.get) if isinstance(resource, SovereignCloud) else None
        if endpoint is None:
            raise MissingSecret(f"where {cloud} answers is not known yet")
        if anew:
            self._shared.clients.forget(self.own_namespace, tenancy.secret)
        return await self._shared.clients.open_nebula(
            endpoint.url, self.own_namespace, tenancy.secret, endpoint.ca_secret, cloud.namespace
        )

    def _is_the_administrators(self, cloud: Key, vm: int | None, security_group: int | None) -> bool:
        """By the view that there is, however old: things keep their owner."""
        view = self._shared.watch_of_cloud(cloud).view
        if view is None:
            return False
        owners = {
            thing.owner for thing in (view.vms.get(_id(vm)), view.security_groups.get(_id(security_group))) if thing
        }
        return view.owner in owners

    def _is_somebody_elses(self, cloud: Key, vm: int | None, user: int | None) -> bool:
        view = self._shared.watch_of_cloud(cloud).view
        machine = view.vms.get(_id(vm)) if view is not None else None
        return machine is not None and machine.owner != user

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


class SweepContext(ObjectContext):
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

    async def open_nebula_with(self, cloud: Key, secret: str) -> OpenNebula:  # noqa: ARG002 - as above
        return cast("OpenNebula", _BEYOND)

    async def open_nebula_for(
        self,
        cloud: Key,  # noqa: ARG002 - as above
        namespace: str,  # noqa: ARG002
        vm: int | None = None,  # noqa: ARG002
        security_group: int | None = None,  # noqa: ARG002
        *,
        anew: bool = False,  # noqa: ARG002
    ) -> OpenNebula:
        return cast("OpenNebula", _BEYOND)

    async def has_secret(self, namespace: str, name: str) -> bool | None:  # noqa: ARG002 - nobody looks
        return None

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


def _id(number: int | None) -> int:
    return -1 if number is None else number


class _Beyond:
    """Stands for every client: to have one costs nothing and says nothing, the first call is more than a sweep does."""

    def __getattr__(self, verb: str) -> object:
        raise BeyondSweepError(verb)


_BEYOND = _Beyond()


async def view_of(
    client: OpenNebula, cloud: Key, store: Store, began: float, reach: Reach, allows: Callable[[str], bool]
) -> CloudView:
    """A view of a cloud; with groups and users where a Tenant lists it, and its federation where a FederatedZone names it,
    which others need not be asked for.
    """
    view = await client.view(began)
    if (federation := await federation_of(client, cloud, store, reach, allows)) is not None:
        view = replace(view, federation=federation)
    if any(user.kind == "Tenant" for user in store.users(cloud)):
        view = replace(view, tenancy=await client.tenancy.view())
    return view


async def open_nebula_of(
    clients: Clients, cloud: AnyResource | None, get: Callable[[Key], AnyResource | None], secret: str = ""
) -> OpenNebula:
    """The client of a SovereignCloud; `secret`: with another credential than its own. Raises MissingSecret, also where its
    endpoint cannot be known yet.
    """
    if not isinstance(cloud, SovereignCloud):
        raise MissingSecret("the SovereignCloud is not there")
    endpoint = endpoint_of(cloud, get)
    if endpoint is None:
        raise MissingSecret(f"where {cloud.key} answers is not known yet")
    return await clients.open_nebula(
        endpoint.url, cloud.metadata.namespace, secret or endpoint.secret, endpoint.ca_secret
    )
