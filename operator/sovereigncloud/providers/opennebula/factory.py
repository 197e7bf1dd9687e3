"""What the engine makes clients of front-ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.errors import Rejected
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.providers.call_observer import Observer
from sovereigncloud.providers.opennebula.client import FrontEnd
from sovereigncloud.providers.opennebula.session import Connections, Login, Timeout
from sovereigncloud.providers.opennebula.transport import Transport
from sovereigncloud.providers.rate_limits import Budget, CircuitBreaker, TokenBucket

_TIMEOUT = Timeout()
_DEADLINE = 120.0
"""Seconds for one call in all: a page of 5 MB over a slow line is no failure."""
_OF_A_SERVER = 5.0
"""Seconds in which a server of a zone says how it is: the sweep of its cloud waits for it."""


def open_nebula_factory(
    *,
    rate: float = 30.0,
    burst: int = 30,
    threads: int = 4,
    timeout: Timeout = _TIMEOUT,
    deadline: float = _DEADLINE,
    observer: Observer | None = None,
    ca_file: str = "",
) -> Callable[[str, str, str, str], OpenNebula]:
    """A maker of clients: (endpoint, username, password, PEM of the CA or "") -> client.

    `rate` and `burst` are calls per second and at once, `threads` calls at the same time, all per credential. oned
    answers about 230 calls a second however many threads ask (facts: oned-observed). `ca_file` has authorities that are
    believed beside the public ones, where a front-end has no CA of its own.
    """
    hosts: dict[str, asyncio.Lock] = {}

    def make(endpoint: str, username: str, password: str, authority: str) -> OpenNebula:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Rejected("the endpoint is no URL such as https://one.example.org/RPC2", reason=Reason.NOT_OPEN_NEBULA)

        def transport(where: str, within: float) -> Transport:
            connections = Connections(Login(where, username, password, authority, ca_file), timeout)
            budget = Budget(TokenBucket(rate, burst, places=threads), CircuitBreaker())
            return Transport(connections, budget, deadline=within, observer=observer)

        servers: dict[str, Transport] = {}

        def elsewhere(where: str) -> Transport:
            """Another server of the same zone: one that is down must not hold up the calls to those that are not."""
            if where not in servers:
                servers[where] = transport(where, _OF_A_SERVER)
            return servers[where]

        return FrontEnd(transport(endpoint, deadline), hosts.setdefault(endpoint, asyncio.Lock()), elsewhere)

    return make
