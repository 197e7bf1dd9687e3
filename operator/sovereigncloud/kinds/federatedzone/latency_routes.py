"""Select the pairs of sites between which latency is measured. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of
from sovereigncloud.kinds.federatedzone.installer_request import front_end_login
from sovereigncloud.ports.installer.federation import Login
from sovereigncloud.ports.latency import Address

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Site:
    """A cloud as end of a latency probe.

    `login`: SSH to its front-end; None: no login or host key unknown.
    """

    cloud: Key
    address: Address
    login: Login | None = None


def site_of(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None], ssh_port: int) -> Site | None:
    """Return the site of a cloud; None: nothing is measured there.

    Args:
        cloud: the cloud to measure.
        get: looks up an object by key.
        ssh_port: SSH port of hosted clouds; 0: no probes from hosted clouds.
    """
    endpoint = endpoint_of(cloud, get)
    if endpoint is None or cloud.deleting or cloud.paused:
        return None
    url = urlsplit(endpoint.url)
    if not url.hostname:
        return None
    address = Address(url.hostname, url.port or _PORTS.get(url.scheme, _PORTS["https"]))
    return Site(cloud.key, address, _login(cloud, get, ssh_port))


def _login(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None], ssh_port: int) -> Login | None:
    """Return the SSH login of a cloud whose host key is known."""
    login = front_end_login(cloud, get)
    if login is None or not login.host_key:
        return None
    if cloud.spec.hosted is None:
        return login
    return replace(login, port=ssh_port) if ssh_port else None


def routes(sites: Iterable[Site]) -> Iterator[tuple[Site, Site]]:
    """Yield (source, target) pairs within each namespace.

    The endpoint in spec decides what a front-end connects to, so a tenant must not direct front-ends of other namespaces.
    """
    known = tuple(sites)
    for source in known:
        if source.login is not None:
            yield from (
                (source, target) for target in known if source.cloud != target.cloud and _same_namespace(source, target)
            )


def _same_namespace(source: Site, target: Site) -> bool:
    return source.cloud.namespace == target.cloud.namespace
