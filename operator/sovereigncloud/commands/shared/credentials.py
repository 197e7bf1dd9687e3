"""The credentials that a command is given: Secrets of a cluster, or what the tools of OVHcloud and OpenNebula read from the
environment. Values of them are never shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.ports.errors import MissingSecret
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.ovh.account import Ovh

_FROM_ENVIRONMENT: Mapping[str, str] = {
    "clientId": "OVH_CLIENT_ID",
    "clientSecret": "OVH_CLIENT_SECRET",
    "applicationKey": "OVH_APPLICATION_KEY",
    "applicationSecret": "OVH_APPLICATION_SECRET",
    "consumerKey": "OVH_CONSUMER_KEY",
}
"""Keys of a Secret, and the variables that OVHcloud's own clients read."""
_WAYS_IN = (("clientId", "clientSecret"), ("applicationKey", "applicationSecret", "consumerKey"))
ENDPOINTS = ("ovh-eu", "ovh-ca", "ovh-us")


@dataclass(frozen=True, slots=True)
class Given:
    """What was typed.

    Attributes:
        ovh_secret: name of a Secret; empty: the environment.
        endpoint: of OVHcloud; empty: OVH_ENDPOINT, or ovh-eu.
        open_nebula: its XML-RPC endpoint; empty: ONE_XMLRPC, or none.
        open_nebula_secret: name of a Secret; empty: ONE_AUTH, or oneadmin's file.
        environment: of the process.
    """

    ovh_secret: str = ""
    endpoint: str = ""
    open_nebula: str = ""
    open_nebula_secret: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def needs_cluster(self) -> bool:
        return bool(self.ovh_secret or self.open_nebula_secret)

    @property
    def by_environment(self) -> bool:
        """Whether the environment has a credential of OVHcloud."""
        return any(all(self.environment.get(_FROM_ENVIRONMENT[key]) for key in keys) for keys in _WAYS_IN)

    @property
    def region(self) -> str:
        """Which of OVHcloud's APIs. Raises CommandError."""
        found = self.endpoint or self.environment.get("OVH_ENDPOINT", "") or ENDPOINTS[0]
        if found not in ENDPOINTS:
            raise CommandError(f"there is no endpoint {found}: choose one of {', '.join(ENDPOINTS)}")
        return found

    @property
    def url(self) -> str:
        return self.open_nebula or self.environment.get("ONE_XMLRPC", "")


async def ovh_of(given: Given, connections: Connections, cluster: Cluster | None, namespace: str) -> Ovh:
    """The account. Raises CommandError."""
    if given.ovh_secret and cluster is not None:
        values = await secret(cluster, namespace, given.ovh_secret)
        where = f"Secret {namespace}/{given.ovh_secret}"
    else:
        values = {key: given.environment.get(name, "") for key, name in _FROM_ENVIRONMENT.items()}
        where = "the environment"
    way = next((keys for keys in _WAYS_IN if all(values.get(key) for key in keys)), None)
    if way is None:
        wanted = " or ".join(", ".join(keys) for keys in _WAYS_IN)
        variables = (
            "" if given.ovh_secret else f" ({', '.join(_FROM_ENVIRONMENT.values())}); or name a Secret: --secret"
        )
        raise CommandError(f"{where} has no credential of OVHcloud: it must hold {wanted}{variables}")
    return connections.ovh(given.region, {key: values[key].strip() for key in way})


async def open_nebula_of(
    given: Given, connections: Connections, cluster: Cluster | None, namespace: str
) -> OpenNebula | None:
    """The front-end; None where none is given. Raises CommandError."""
    if not given.url:
        return None
    if given.open_nebula_secret and cluster is not None:
        values = await secret(cluster, namespace, given.open_nebula_secret)
        username, password = values.get("username", "").strip(), values.get("password", "").strip()
        where = f"Secret {namespace}/{given.open_nebula_secret} must hold username and password"
    else:
        username, password = _one_auth(given.environment)
        where = "ONE_AUTH must name a file that holds user:password; or name a Secret: --opennebula-secret"
    if not username or not password:
        raise CommandError(f"no credential for {given.url}: {where}")
    return connections.open_nebula(given.url, username, password, "")


def _one_auth(environment: Mapping[str, str]) -> tuple[str, str]:
    """As the tools of OpenNebula find it."""
    path = Path(environment.get("ONE_AUTH") or Path.home() / ".one" / "one_auth")
    try:
        username, _, password = path.read_text(encoding="utf-8").strip().partition(":")
    except (OSError, UnicodeDecodeError):
        return "", ""
    return username, password


async def secret(cluster: Cluster, namespace: str, name: str) -> Mapping[str, str]:
    """Raises CommandError."""
    try:
        return await cluster.reads.secret(namespace, name)
    except MissingSecret as error:
        raise CommandError(str(error)) from None
