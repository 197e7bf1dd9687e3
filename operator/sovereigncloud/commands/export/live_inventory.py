"""Live inventory of OVHcloud and OpenNebula for `sovereign export`."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.ovh.account import AccountView, Ovh, Server


@dataclass(frozen=True, slots=True)
class LiveInventory:
    """Resources read from OVHcloud and OpenNebula.

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


async def found(ovh: Ovh, url: str, one: OpenNebula | None) -> LiveInventory:
    """Read the inventory: a few requests, and one per server in a vRack. Raises OutsideError."""
    account = await ovh.view(0.0, frozenset(await ovh.inventory.vracks()))
    details: dict[str, Server] = {}
    cloud = None
    if one is not None:
        cloud = await one.view(0.0)
        members = {name for vrack in account.vracks.values() for name in vrack.interfaces.values()}
        for name in sorted(members & account.servers.keys()):
            details[name] = await ovh.server(name)
    return LiveInventory(account, details, url, await _addresses(url), cloud)


async def _addresses(url: str) -> frozenset[str]:
    host = urlsplit(url).hostname
    if not host:
        return frozenset()
    try:
        known = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset({host})
    return frozenset({host, *(str(one[4][0]) for one in known)})
