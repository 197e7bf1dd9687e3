"""Between which sites latency is measured: where the operator may log in, and to what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of
from sovereigncloud.kinds.federatedzone.installer_request import entry_of
from sovereigncloud.ports.installer.federation import Login
from sovereigncloud.ports.latency import Address

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Site:
    """Where a cloud stands. `login`: at its front-end; None: nobody may, or its host key is not known."""

    cloud: Key
    address: Address
    login: Login | None = None


def site_of(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None], ssh_port: int) -> Site | None:
    """None where nothing is to be measured.

    Args:
        cloud: of which it is the site.
        get: an object of ours.
        ssh_port: where sshd of hosted clouds listens; 0: nobody asks it.
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
    """Only where whoever answers can be told from everybody else."""
    login = entry_of(cloud, get)
    if login is None or not login.host_key:
        return None
    if cloud.spec.hosted is None:
        return login
    return replace(login, port=ssh_port) if ssh_port else None


def routes(sites: Iterable[Site]) -> Iterator[tuple[Site, Site]]:
    """From, to. Only within a namespace: whoever declares a cloud says with its endpoint what a front-end connects to, and
    front-ends of others are no business of theirs.
    """
    known = tuple(sites)
    for one in known:
        if one.login is not None:
            yield from ((one, other) for other in known if one.cloud != other.cloud and _together(one, other))


def _together(one: Site, other: Site) -> bool:
    return one.cloud.namespace == other.cloud.namespace
