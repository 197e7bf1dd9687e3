"""A world that only reads: for the CLI, which shows what the operator would do.

Reads are listed, everything else is refused, so that a verb that a port gains later is refused until it is listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, TypeVar, cast

from sovereigncloud.api.base import Key
from sovereigncloud.engine.clients import OpenNebulaFactory, OvhFactory
from sovereigncloud.engine.store import AnyResource
from sovereigncloud.engine.world import ObjectWorld, Shared
from sovereigncloud.kinds.errors import OutsideError
from sovereigncloud.kinds.ports import AccountView, CloudView, Installer, Kubernetes, OpenNebula, Ovh

OPENNEBULA_READS = frozenset({"front", "login", "view", "vm", "apps"})
OVH_READS = frozenset(
    {
        "view", "server", "interfaces", "disk_groups", "compatible_systems", "template", "reinstall_tasks",
        "install_progress", "block", "rights", "inventory",
    }
)  # fmt: skip
VRACKS_READS = frozenset({"eligible", "regions"})
ZONES_READS = frozenset({"reverses", "zone", "records"})
ORDERS_READS = frozenset(
    {
        "catalogue", "stock", "carts", "cart", "quote", "orders", "status", "bill", "lines", "payment_method", "renewal",
    }
)  # fmt: skip
INNER_READS = {"vracks": VRACKS_READS, "zones": ZONES_READS, "orders": ORDERS_READS}
"""Of the ports in the port of OVHcloud that also write."""
INSTALLER_READS = frozenset({"state", "validation"})
KUBERNETES_READS = frozenset({"secret"})

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
    return lambda *where: only_reads(factory(*where), OPENNEBULA_READS, "OpenNebula")


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


class ReadingWorld(ObjectWorld):
    """The world of one object for one look."""

    def __init__(self, shared: Shared, resource: AnyResource, views: Views) -> None:
        super().__init__(shared, resource)
        self._views = views

    @property
    def kubernetes(self) -> Kubernetes:
        return only_reads(self._shared.kubernetes, KUBERNETES_READS, "Kubernetes")

    @property
    def installer(self) -> Installer:
        return only_reads(self._shared.installer, INSTALLER_READS, "the installer")

    @property
    def admitted(self) -> bool:
        """Always: asking by id is a read, and the brakes hold only what would be done about the answer."""
        return True

    async def view(self, cloud: Key) -> CloudView:
        async def read(began: float) -> CloudView:
            client: OpenNebula = await self.open_nebula(cloud)
            return await client.view(began)

        return await self._views.get(cloud, read, CloudView)

    async def account(self, endpoint: str, namespace: str, secret: str, vrack: str) -> AccountView:
        async def read(began: float) -> AccountView:
            client: Ovh = await self.ovh(endpoint, namespace, secret)
            return await client.view(began, frozenset({vrack} if vrack else ()))

        return await self._views.get((endpoint, namespace, secret, vrack), read, AccountView)
