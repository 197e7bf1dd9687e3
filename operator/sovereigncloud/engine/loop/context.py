"""Reconcile context: what a controller can read and call while it works on one object."""

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
from sovereigncloud.engine.loop.capacity_reservations import CapacityReservations
from sovereigncloud.engine.loop.comparison_cache import ComparisonCache
from sovereigncloud.engine.loop.evaluate import owner_of
from sovereigncloud.engine.loop.history import ReconcileHistory
from sovereigncloud.engine.policy.bindings import PolicyBindings
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.engine.views.cloud_watch import ViewT, ViewWatch
from sovereigncloud.engine.views.federation import Reach, federation_of
from sovereigncloud.engine.views.host_key_cache import HostKeyCache
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.kinds.contract.instance_facts import InstanceFacts
from sovereigncloud.kinds.contract.reservations import Reservation
from sovereigncloud.kinds.contract.tenancy import Tenancies, Tenancy, tenancies
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of
from sovereigncloud.ports.errors import MissingSecret, Retry
from sovereigncloud.ports.installer.client import Installer
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.ovh.account import AccountView, Ovh
from sovereigncloud.ports.ssh import Greeting
from sovereigncloud.sovereignty.rules import Rules
from sovereigncloud.sovereignty.verdict import Judged

logger = logging.getLogger(__name__)


class NeedsReconcileError(Exception):
    """A sweep compares with its view only; what needs an external call is left to a reconcile."""


@dataclass(slots=True)
class SharedState:
    """State that all objects share.

    Attributes:
        watch_of_cloud, watch_of_account: return a view watch, created on first use.
        verdicts: of the change limits, by the cloud that was swept.
        account_verdicts: of account sweeps, by the cloud on the account's servers, else by the object itself.
    """

    store: Store
    histories: ReconcileHistory
    clients: Clients
    kubernetes: Kubernetes
    installer: Installer
    installation: str
    plain_http_hosts: frozenset[str]
    now: Callable[[], datetime]
    watch_of_cloud: Callable[[Key], ViewWatch[CloudView]]
    watch_of_account: Callable[[str, str, str, str], ViewWatch[AccountView]]
    host_keys: HostKeyCache = field(default_factory=lambda: HostKeyCache(None))
    verdicts: dict[Key, Verdict] = field(default_factory=dict)
    account_verdicts: dict[Key, Verdict] = field(default_factory=dict)
    clock: Callable[[], float] = monotonic
    own_namespace: str = ""
    namespaces: Namespaces = field(default_factory=Namespaces)
    distance: Callable[[Key, Key], float | None] = lambda _, __: None
    reservations: CapacityReservations = field(default_factory=CapacityReservations)
    _policy_bindings: PolicyBindings | None = None
    _instance_index: InstanceIndex | None = None
    _comparison_cache: ComparisonCache | None = None
    _tenancies: tuple[int, Tenancies] = (-1, {})

    @property
    def tenancies(self) -> Tenancies:
        """Tenancies of all Tenants, recomputed when a Tenant changed: a sweep asks for each VM."""
        changes = self.store.changes["Tenant"]
        if self._tenancies[0] != changes:
            found = (self.store.get(key) for key in self.store.keys("Tenant"))
            self._tenancies = (changes, tenancies(t for t in found if isinstance(t, Tenant)))
        return self._tenancies[1]

    @property
    def policy_bindings(self) -> PolicyBindings:
        """Index of the policies by namespace and cloud."""
        if self._policy_bindings is None:
            self._policy_bindings = PolicyBindings(self.store, self.namespaces, self.now)
        return self._policy_bindings

    @property
    def inhabitants(self) -> InstanceIndex:
        """Index of the instances in each cloud."""
        if self._instance_index is None:
            self._instance_index = InstanceIndex(self.store)
        return self._instance_index

    @property
    def comparison_cache(self) -> ComparisonCache:
        """Inputs of the last comparisons."""
        if self._comparison_cache is None:
            self._comparison_cache = ComparisonCache(self.store, lambda: self.tenancies, self.policy_bindings.of)
        return self._comparison_cache

    def group(self, resource: AnyResource) -> Key:
        """Return the key for which an object counts in an account sweep: the cloud that composed it, else itself."""
        owner = owner_of(resource, self.store)
        return owner.key if owner is not None else resource.key

    def held(self, key: Key) -> tuple[Verdict, ...]:
        """Return the verdicts of a cloud that hold changes."""
        found = (self.verdicts.get(key), self.account_verdicts.get(key))
        return tuple(v for v in found if v is not None and v.held)

    def distrust(self, resource: AnyResource, uses: Uses) -> None:
        """Drop the cached Secrets of an object and its clouds after a refused credential."""
        for key in (resource.key, *targets(uses)):
            stored = self.store.stored(key)
            for secret in stored.uses.secrets if stored else ():
                self.clients.forget(key.namespace, secret.name)


class ObjectContext:
    """Reconcile context of one object."""

    def __init__(self, shared: SharedState, resource: AnyResource) -> None:
        self._shared, self._resource = shared, resource
        self.watches: list[ViewWatch[Any]] = []
        """Views that were used; they are read often while a change is in progress."""

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
        """Whether the change limits admitted this object in the last sweeps of its clouds and its account.

        A cloud is admitted when nothing in it is held; what its own plan asks for is counted again before it is done.
        """
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
        return self._shared.policy_bindings.of(namespace, cloud)

    def judged(self, policy: str) -> tuple[Judged, ...]:
        return self._shared.policy_bindings.judged(policy)

    def beside(self, policy: str) -> tuple[tuple[Rules, ...], ...]:
        return self._shared.policy_bindings.beside(policy)

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
        if tenancy is None or self._is_owned_by_admin(cloud, vm, security_group):
            return await self.open_nebula(cloud)
        if cloud.namespace == namespace and self._is_owned_by_other(cloud, vm, tenancy.user):
            return await self.open_nebula(cloud)  # adopted, in the namespace that has the administrator's credential
        resource = self._shared.store.get(cloud)
        endpoint = endpoint_of(resource, self._shared.store.get) if isinstance(resource, SovereignCloud) else None
        if endpoint is None:
            raise MissingSecret(f"the endpoint of {cloud} is not known yet")
        if anew:
            self._shared.clients.forget(self.own_namespace, tenancy.secret)
        return await self._shared.clients.open_nebula(
            endpoint.url, self.own_namespace, tenancy.secret, endpoint.ca_secret, cloud.namespace
        )

    def _is_owned_by_admin(self, cloud: Key, vm: int | None, security_group: int | None) -> bool:
        """Return whether the administrator owns the VM or security group, by the last view, since owners do not
        change.
        """
        view = self._shared.watch_of_cloud(cloud).view
        if view is None:
            return False
        owners = {
            thing.owner for thing in (view.vms.get(_id(vm)), view.security_groups.get(_id(security_group))) if thing
        }
        return view.owner in owners

    def _is_owned_by_other(self, cloud: Key, vm: int | None, user: int | None) -> bool:
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
        return await self._shared.host_keys.get(address, within)

    def _look(self, watch: ViewWatch[ViewT]) -> ViewT:
        self.watches.append(watch)
        return watch.get(self._resource.key, self._trust_after)

    def allows_plain_http(self, host: str) -> bool:
        return host in self._shared.plain_http_hosts

    @property
    def _trust_after(self) -> float:
        return self._shared.histories.of(self._resource).trust_after


class SweepContext(ObjectContext):
    """Context during a sweep: views and store only, no external call."""

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
        if not self._shared.host_keys.asks:
            return None
        known = self._shared.host_keys.known(address, within)
        if known is None:
            raise NeedsReconcileError(address)
        if isinstance(known, Retry):
            raise known
        return known


def _id(number: int | None) -> int:
    return -1 if number is None else number


class _Beyond:
    """Placeholder for every client during a sweep; its first call raises NeedsReconcileError."""

    def __getattr__(self, verb: str) -> object:
        raise NeedsReconcileError(verb)


_BEYOND = _Beyond()


async def view_of(
    client: OpenNebula, cloud: Key, store: Store, began: float, reach: Reach, allows: Callable[[str], bool]
) -> CloudView:
    """Read the view of a cloud.

    Groups and users are read when a Tenant lists the cloud, the federation when a FederatedZone names it.
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
    """Return the client of a SovereignCloud; `secret` selects another credential than its own.

    Raises MissingSecret, also when its endpoint is not known yet.
    """
    if not isinstance(cloud, SovereignCloud):
        raise MissingSecret("the SovereignCloud does not exist")
    endpoint = endpoint_of(cloud, get)
    if endpoint is None:
        raise MissingSecret(f"the endpoint of {cloud.key} is not known yet")
    return await clients.open_nebula(
        endpoint.url, cloud.metadata.namespace, secret or endpoint.secret, endpoint.ca_secret
    )
