"""Read-only reconcile context for the CLI, which shows what the operator would do.

Reads are listed explicitly and everything else is refused, so a verb added to a port is refused until it is listed
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar, cast

from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import AnyResource
from sovereigncloud.engine.loop.context import ObjectContext, SharedState, view_of
from sovereigncloud.engine.views.clients import OpenNebulaFactory, OvhFactory
from sovereigncloud.ports.errors import OutsideError
from sovereigncloud.ports.installer.client import Installer
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.ovh.account import AccountView, Ovh

OPENNEBULA_READS = frozenset({"front", "login", "view", "vm", "apps", "particulars"})
OVH_READS = frozenset(
    {
        "view", "server", "interfaces", "disk_groups", "compatible_systems", "template", "reinstall_tasks",
        "install_progress", "block", "rights", "inventory",
    }
)  # fmt: skip
VRACKS_READS = frozenset({"eligible", "regions", "standing"})
ZONES_READS = frozenset({"reverses", "zone", "records"})
ORDERS_READS = frozenset(
    {
        "catalogue", "stock", "carts", "cart", "quote", "orders", "status", "bill", "lines", "payment_method", "renewal",
    }
)  # fmt: skip
POWER_READS = frozenset({"boot_of_type", "reboots"})
INNER_READS = {"power": POWER_READS, "vracks": VRACKS_READS, "zones": ZONES_READS, "orders": ORDERS_READS}
"""Allowed reads of the nested ports of the OVHcloud port."""
ONE_INNER_READS: Mapping[str, frozenset[str]] = {
    "security_groups": frozenset(),
    "addresses": frozenset(),
    "storage": frozenset({"scheduled"}),
    "moves": frozenset({"apps"}),
    "tenancy": frozenset({"view"}),
    "zones": frozenset({"federation", "raft", "vdc_parts"}),
    "parts": frozenset({"marketplaces", "shown"}),
}
"""Allowed reads of the nested ports of the OpenNebula port."""
INSTALLER_READS = frozenset({"state", "validation", "federation"})
KUBERNETES_READS = frozenset({"secret"})
INNER_KUBERNETES_READS = {"admission": frozenset({"installed", "binding"})}
"""Allowed reads of the nested ports of the Kubernetes port."""

ViewT = TypeVar("ViewT", CloudView, AccountView)
PortT = TypeVar("PortT")


class WriteRefusedError(Exception):
    """A write was attempted in a read-only context."""


class _ReadOnlyPort:
    """Wrapper of a port that allows the listed verbs and nested ports only."""

    __slots__ = ("_inner", "_name", "_port", "_reads")

    def __init__(self, port: object, reads: frozenset[str], name: str, inner: Mapping[str, frozenset[str]]) -> None:
        self._port, self._reads, self._name, self._inner = port, reads, name, inner

    def __getattr__(self, verb: str) -> Any:
        if verb in self._inner:
            return read_only(getattr(self._port, verb), self._inner[verb], f"{self._name} {verb}")
        if verb not in self._reads:
            raise WriteRefusedError(f"{self._name}: {verb} is not a read: nothing is written here")
        return getattr(self._port, verb)


def read_only(
    port: PortT, reads: frozenset[str], name: str, inner: Mapping[str, frozenset[str]] | None = None
) -> PortT:
    """Wrap a port so that every verb except the listed reads raises WriteRefusedError. `inner`: nested ports."""
    return cast(PortT, _ReadOnlyPort(port, reads, name, inner or {}))


def read_only_open_nebula_factory(factory: OpenNebulaFactory) -> OpenNebulaFactory:
    """Wrap a factory so that its OpenNebula clients are read-only."""
    return lambda *where: read_only(factory(*where), OPENNEBULA_READS, "OpenNebula", ONE_INNER_READS)


def read_only_ovh_factory(factory: OvhFactory) -> OvhFactory:
    """Wrap a factory so that its OVHcloud clients are read-only."""
    return lambda *where: read_only(factory(*where), OVH_READS, "OVHcloud", INNER_READS)


class ViewCache:
    """Cache that reads each cloud and account once, failures included."""

    def __init__(self) -> None:
        self._known: dict[object, CloudView | AccountView | Exception] = {}

    async def get(self, name: object, read: Callable[[float], Any], kind: type[ViewT]) -> ViewT:
        """Return the cached view, or raise what its read raised."""
        if name not in self._known:
            try:
                self._known[name] = await read(monotonic())
            except OutsideError as error:
                self._known[name] = error
        found = self._known[name]
        if isinstance(found, kind):
            return found
        raise cast(Exception, found)


class ReadOnlyContext(ObjectContext):
    """Read-only reconcile context of one object."""

    def __init__(self, shared: SharedState, resource: AnyResource, views: ViewCache) -> None:
        super().__init__(shared, resource)
        self._views = views

    @property
    def kubernetes(self) -> Kubernetes:
        return read_only(self._shared.kubernetes, KUBERNETES_READS, "Kubernetes", INNER_KUBERNETES_READS)

    @property
    def installer(self) -> Installer:
        return read_only(self._shared.installer, INSTALLER_READS, "the installer")

    async def has_secret(self, namespace: str, name: str) -> bool | None:
        """Return whether a Secret exists; None also when the user may not read it."""
        try:
            return await super().has_secret(namespace, name)
        except OutsideError:
            return None

    def _is_owned_by_admin(self, cloud: Key, vm: int | None, security_group: int | None) -> bool:  # noqa: ARG002 - nothing is written here
        return False

    @property
    def admitted(self) -> bool:
        """Always True: a lookup by id is a read, and the change limits hold only the actions that follow."""
        return True

    def silent_since(self, cloud: Key) -> datetime | None:  # noqa: ARG002 - who looks once knows of no row of failures
        return None

    async def view(self, cloud: Key) -> CloudView:
        async def read(began: float) -> CloudView:
            client: OpenNebula = await self.open_nebula(cloud)
            return await view_of(client, cloud, self._shared.store, began, self.open_nebula, self.allows_plain_http)

        return await self._views.get(cloud, read, CloudView)

    async def account(self, endpoint: str, namespace: str, secret: str, vrack: str) -> AccountView:
        async def read(began: float) -> AccountView:
            client: Ovh = await self.ovh(endpoint, namespace, secret)
            return await client.view(began, frozenset({vrack} if vrack else ()))

        return await self._views.get((endpoint, namespace, secret, vrack), read, AccountView)
