"""What the commands reach the outside through, so that a test can put something else there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sovereigncloud.api.base import Key
from sovereigncloud.commands.errors import CommandError
from sovereigncloud.engine.clients import OpenNebulaFactory, OvhFactory
from sovereigncloud.engine.examine import AnyController
from sovereigncloud.engine.settings import Settings, SettingsError, settings
from sovereigncloud.kinds.ports import Installer

Json = dict[str, Any]


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


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that a kubeconfig, or the pod that this runs in, names.

    Attributes:
        host: its address, for people.
        namespace: of what is named without one.
        installer: reads the installer's Jobs there.
    """

    host: str
    namespace: str
    reads: ClusterReads
    installer: Installer


class NoClusterError(Exception):
    """No kubeconfig names a cluster, or none of that context."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The outside.

    Attributes:
        controllers: by kind, as the operator uses them.
        cluster: the cluster of a context (None: the current one), opened. Raises NoClusterError.
        installation_map: name of the ConfigMap that holds the installation id, in the operator's namespace.
    """

    settings: Settings
    controllers: Mapping[str, AnyController]
    open_nebula: OpenNebulaFactory
    ovh: OvhFactory
    cluster: Callable[[str | None], AbstractAsyncContextManager[Cluster]]
    installation_map: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def settings_or_error() -> Settings:
    """The operator's settings from the environment. Raises CommandError."""
    try:
        return settings()
    except SettingsError as error:
        raise CommandError(f"{error}: correct the environment variable") from error


def real_doors() -> Doors:
    """The real outside. Raises CommandError for wrong settings."""
    wanted = settings_or_error()
    # Kopf, both bindings and the Kubernetes client take seconds to import: only who goes outside pays for them.
    from kubernetes.config import ConfigException  # noqa: PLC0415

    from sovereigncloud.kinds import CONTROLLERS  # noqa: PLC0415
    from sovereigncloud.providers.installer.job import JobInstaller  # noqa: PLC0415
    from sovereigncloud.providers.kubernetes import INSTALLATION_CONFIG_MAP, Connection  # noqa: PLC0415
    from sovereigncloud.providers.kubernetes_reads import ReadingKubernetesApi, namespace_of  # noqa: PLC0415
    from sovereigncloud.wiring import open_nebula_clients, ovh_clients  # noqa: PLC0415

    @asynccontextmanager
    async def cluster(context: str | None) -> AsyncIterator[Cluster]:
        try:
            connection = Connection.load(context)
            namespace = "default" if connection.token_file else namespace_of(context)
        except (ConfigException, OSError) as error:
            raise NoClusterError(str(error)) from error
        async with ReadingKubernetesApi(connection) as api:
            yield Cluster(api.host, namespace, api, JobInstaller(api, image=wanted.installer_image))

    try:
        clouds, accounts = open_nebula_clients(wanted), ovh_clients(wanted)
    except SettingsError as error:
        raise CommandError(f"{error}: correct the environment variable") from error
    return Doors(
        settings=wanted,
        controllers=CONTROLLERS,
        open_nebula=clouds,
        ovh=accounts,
        cluster=cluster,
        installation_map=INSTALLATION_CONFIG_MAP,
    )
