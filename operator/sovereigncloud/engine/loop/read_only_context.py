"""A world that only reads: for the CLI, which shows what the operator would do.

Reads are listed, everything else is refused, so that a verb that a port gains later is refused until it is listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar, cast

from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import AnyResource
from sovereigncloud.engine.loop.context import ObjectContext, Shared, view_of
from sovereigncloud.engine.views.clients import OpenNebulaFactory, OvhFactory
from sovereigncloud.ports.errors import OutsideError
from sovereigncloud.ports.installer.installation import Installer
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
"""Of the ports in the port of OVHcloud that also write."""
ONE_INNER_READS: Mapping[str, frozenset[str]] = {
    "security_groups": frozenset(),
    "addresses": frozenset(),
    "storage": frozenset({"scheduled"}),
    "moves": frozenset({"apps"}),
    "tenancy": frozenset({"view"}),
    "zones": frozenset({"federation", "raft", "vdc_parts"}),
    "parts": frozenset({"marketplaces", "shown"}),
}
"""Of the ports in the port of OpenNebula that also write."""
INSTALLER_READS = frozenset({"state", "validation", "federation"})
KUBERNETES_READS = frozenset({"secret"})
INNER_KUBERNETES_READS = {"admission": frozenset({"installed", "binding"})}
"""Of the ports in the port of Kubernetes that also write."""

ViewT = TypeVar("ViewT", CloudView, AccountView)
PortT = TypeVar("PortT")


class WriteRefusedError(Exception):
    """Something tried to write where only looking is allowed."""


class _OnlyReads:
    """A port of which only the listed verbs can be used, and the listed ports in it as far as they are listed."""

    __slots__ = ("_inner", "_name", "_port", "_reads")

    def __init__(self, port: object, reads: frozenset[str], name: str, inner: Mapping[str, frozenset[str]]) -> None:
        self._port, self._reads, self._name, self._inner = port, reads, name, inner

    def __getattr__(self, verb: str) -> Any:
        if verb in self._inner:
            return only_reads(getattr(self._port, verb), self._inner[verb], f"{self._name} {verb}")
        if verb not in self._reads:
            raise WriteRefusedError(f"{self._name}: {verb} is not a read: nothing is written here")
        return getattr(self._port, verb)


def only_reads(
    port: PortT, reads: frozenset[str], name: str, inner: Mapping[str, frozenset[str]] | None = None
) -> PortT:
    """The port, every verb but these refused with WriteRefusedError. `inner`: of the ports in it."""
    return cast(PortT, _OnlyReads(port, reads, name, inner or {}))


def reading_open_nebula(factory: OpenNebulaFactory) -> OpenNebulaFactory:
    """Clients that only read."""
    return lambda *where: only_reads(factory(*where), OPENNEBULA_READS, "OpenNebula", ONE_INNER_READS)


def reading_ovh(factory: OvhFactory) -> OvhFactory:
    """As above, of OVHcloud."""
    return lambda *where: only_reads(factory(*where), OVH_READS, "OVHcloud", INNER_READS)


class Views:
    """Reads each cloud and account once, and remembers also that it could not be read."""

    def __init__(self) -> None:
        self._known: dict[object, CloudView | AccountView | Exception] = {}

    async def get(self, name: object, read: Callable[[float], Any], kind: type[ViewT]) -> ViewT:
        """Raises what the read raised."""
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
    """The world of one object for one look."""

    def __init__(self, shared: Shared, resource: AnyResource, views: Views) -> None:
        super().__init__(shared, resource)
        self._views = views

    @property
    def kubernetes(self) -> Kubernetes:
        return only_reads(self._shared.kubernetes, KUBERNETES_READS, "Kubernetes", INNER_KUBERNETES_READS)

    @property
    def installer(self) -> Installer:
        return only_reads(self._shared.installer, INSTALLER_READS, "the installer")

    async def has_secret(self, namespace: str, name: str) -> bool | None:
        """None also where who looks may not read it."""
        try:
            return await super().has_secret(namespace, name)
        except OutsideError:
            return None

    def _is_the_administrators(self, cloud: Key, vm: int | None, security_group: int | None) -> bool:  # noqa: ARG002 - nothing is written here
        return False

    @property
    def admitted(self) -> bool:
        """Always: asking by id is a read, and the brakes hold only what would be done about the answer."""
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
