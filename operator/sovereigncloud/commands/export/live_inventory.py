"""What stands at OVHcloud and in OpenNebula, read for `sovereign export`."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.ovh.account import AccountView, Ovh, Server


@dataclass(frozen=True, slots=True)
class Found:
    """What was read.

    Attributes:
        account: servers, and the vRacks with what is in them.
        details: of servers that are in a vRack, by service name.
        url: the endpoint of OpenNebula; empty: none was given.
        front: addresses of its host.
        cloud: everything in it; None: none was given.
    """

    account: AccountView
    details: dict[str, Server] = field(default_factory=dict)
    url: str = ""
    front: frozenset[str] = frozenset()
    cloud: CloudView | None = None


async def found(ovh: Ovh, url: str, one: OpenNebula | None) -> Found:
    """Reads. One request for each server that is in a vRack, and a handful besides. Raises OutsideError."""
    account = await ovh.view(0.0, frozenset(await ovh.inventory.vracks()))
    details: dict[str, Server] = {}
    cloud = None
    if one is not None:
        cloud = await one.view(0.0)
        members = {name for vrack in account.vracks.values() for name in vrack.interfaces.values()}
        for name in sorted(members & account.servers.keys()):
            details[name] = await ovh.server(name)
    return Found(account, details, url, await _addresses(url), cloud)


async def _addresses(url: str) -> frozenset[str]:
    host = urlsplit(url).hostname
    if not host:
        return frozenset()
    try:
        known = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset({host})
    return frozenset({host, *(str(one[4][0]) for one in known)})
