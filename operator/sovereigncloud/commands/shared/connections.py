"""What the commands reach the outside through, so that a test can put something else there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from yaml import YAMLError

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.engine.loop.evaluate import AnyController
from sovereigncloud.engine.settings import Settings, SettingsError, settings
from sovereigncloud.engine.views.clients import OpenNebulaFactory, OvhFactory
from sovereigncloud.ports.installer.installation import Installer

Json = dict[str, Any]
_ANSWERS_WITHIN = 3.0
"""Seconds that a port gets to answer."""


class ClusterReads(Protocol):
    """What is read from an API server. Raises OutsideError."""

    async def answers(self) -> bool:
        """Whether somebody answers there."""
        ...

    def objects(self, kind: str) -> AsyncIterator[Json]:
        """Every object of a kind, in all namespaces."""
        ...

    def objects_in(self, kind: str, namespace: str) -> AsyncIterator[Json]:
        """Every object of a kind in a namespace."""
        ...

    async def object(self, key: Key) -> Json | None:
        """One object of ours, or None."""
        ...

    async def secret(self, namespace: str, name: str) -> Mapping[str, str]:
        """Decoded values. Raises MissingSecret."""
        ...

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Its data, or None."""
        ...

    async def events(self, key: Key) -> list[Json]:
        """Kubernetes events about an object, oldest first."""
        ...

    async def names(self, kind: str, namespace: str) -> list[tuple[str, str]]:
        """Namespace and name of every object of a kind, of one namespace or of all ("")."""
        ...

    async def secret_is_there(self, namespace: str, name: str) -> bool:
        """Whether a Secret is there; its values stay where they are."""
        ...

    def changes(self, kind: str, namespace: str, name: str = "") -> AsyncIterator[tuple[str, list[Json]]]:
        """What is there, as ("LISTED", objects), then each change: ADDED, MODIFIED, DELETED."""
        ...

    async def pods(self, namespace: str, selector: str) -> list[Json]:
        """Pods with these labels, in one namespace or in all ("")."""
        ...

    def log_lines(
        self, namespace: str, pod: str, container: str, *, follow: bool, since: int | None, tail: int | None
    ) -> AsyncIterator[str]:
        """Lines of a container, oldest first; with `follow` until it ends."""
        ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that a kubeconfig, or the pod that this runs in, names.

    Attributes:
        host: its address, for people.
        namespace: of what is named without one.
        installer: reads the installer's Jobs there.
        annotate: sets annotations of an object of ours, None removes one; the object as it is then. The only write.
    """

    host: str
    namespace: str
    reads: ClusterReads
    installer: Installer
    annotate: Callable[[Key, Mapping[str, str | None]], Awaitable[Json]]


class OpensCluster(Protocol):
    """Opens the cluster of a context and a kubeconfig (None: the current ones). Raises NoClusterError."""

    def __call__(self, context: str | None, kubeconfig: str | None = None) -> AbstractAsyncContextManager[Cluster]: ...


class Reaches(Protocol):
    """Whether somebody answers at a TCP port of a host, from this machine."""

    async def __call__(self, host: str, port: int) -> bool: ...


class NoClusterError(Exception):
    """No kubeconfig names a cluster, or none of that context."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The outside.

    Attributes:
        controllers: by kind, as the operator uses them.
        cluster: opens a cluster.
        reaches: tries a port.
        installation_map: name of the ConfigMap that holds the installation id, in the operator's namespace.
    """

    settings: Settings
    controllers: Mapping[str, AnyController]
    open_nebula: OpenNebulaFactory
    ovh: OvhFactory
    cluster: OpensCluster
    installation_map: str
    reaches: Reaches
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def settings_or_error() -> Settings:
    """The operator's settings from the environment. Raises CommandError."""
    try:
        return settings()
    except SettingsError as error:
        raise CommandError(f"{error}: correct the environment variable") from error


def real_doors(*, outside: bool = True) -> Connections:
    """The real outside. Raises CommandError for wrong settings.

    Args:
        outside: False: for commands that ask the cluster alone; the two bindings take half a second to import.
    """
    wanted = settings_or_error()
    from sovereigncloud.kinds import CONTROLLERS  # noqa: PLC0415 - only who opens a door pays for it
    from sovereigncloud.providers.kubernetes.api import INSTALLATION_CONFIG_MAP  # noqa: PLC0415 - as above

    open_nebula, ovh = _clients(wanted) if outside else (_closed, _closed)
    return Connections(
        settings=wanted,
        controllers=CONTROLLERS,
        open_nebula=open_nebula,
        ovh=ovh,
        cluster=partial(real_cluster, wanted.installer_image),
        installation_map=INSTALLATION_CONFIG_MAP,
        reaches=_reaches,
    )


def _clients(wanted: Settings) -> tuple[OpenNebulaFactory, OvhFactory]:
    from sovereigncloud.wiring import open_nebula_clients, ovh_clients  # noqa: PLC0415 - as in real_doors

    try:
        return open_nebula_clients(wanted), ovh_clients(wanted)
    except SettingsError as error:
        raise CommandError(f"{error}: correct the environment variable") from error


def _closed(*_: object) -> NoReturn:
    raise RuntimeError("this command asks the cluster alone")


@asynccontextmanager
async def real_cluster(
    installer_image: str, context: str | None, kubeconfig: str | None = None
) -> AsyncIterator[Cluster]:
    """The cluster of a kubeconfig, or of the pod that this runs in. Raises NoClusterError."""
    from kubernetes.config import ConfigException  # noqa: PLC0415 - as in real_doors

    from sovereigncloud.providers.installer.installation import JobInstaller  # noqa: PLC0415
    from sovereigncloud.providers.kubernetes.connection import Connection  # noqa: PLC0415
    from sovereigncloud.providers.kubernetes.read_only import namespace_of  # noqa: PLC0415
    from sovereigncloud.providers.kubernetes.user_session import PersonKubernetesApi  # noqa: PLC0415

    if kubeconfig and not Path(kubeconfig).is_file():  # noqa: ASYNC240 - nothing else runs yet
        raise NoClusterError(f"{kubeconfig}: there is no such file")
    try:
        connection = Connection.load(context, kubeconfig)
        namespace = "default" if connection.token_file else namespace_of(context, kubeconfig)
    except (ConfigException, OSError, YAMLError) as error:
        raise NoClusterError(" ".join(str(error).split())) from error
    async with PersonKubernetesApi(connection) as api:
        yield Cluster(api.host, namespace, api, JobInstaller(api, image=installer_image), api.annotate)


async def _reaches(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
