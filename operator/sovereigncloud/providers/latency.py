"""The port `Sites` over SSH: how long sshd at a front-end takes to open a connection to another site.

A channel of the kind direct-tcpip is open once the front-end's own connection to the other address is, so opening one takes a
round trip to the front-end and one from there. The first is what the question takes that keeps a connection alive, and is taken off.
No program runs there; who listens at the other end sees a connection that is closed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import Final

import asyncssh

from sovereigncloud.ports.errors import Auth, Retry
from sovereigncloud.ports.latency import Address, Entry, Trip
from sovereigncloud.providers.ssh import without_a_name

_WITHIN: Final = 10.0
_NEAR_ENOUGH: Final = 3.0
"""Seconds after which an address that has not answered is given up: where a firewall is silent, others wait for their turn."""
_TIMES: Final = 4
"""Channels to each address, of which the quickest counts: a busy moment on the way only ever adds."""
_ALIVE: Final = b"keepalive@openssh.com"
"""What sshd answers at once, if only that it does not know it, and does not log."""


class SshSites:
    """Logs in, opens channels, and is gone again.

    Args:
        within: seconds that it may take to get in, and out again.
        near_enough: seconds that a site may take to reach an address.
    """

    def __init__(self, within: float = _WITHIN, near_enough: float = _NEAR_ENOUGH) -> None:
        self._within, self._near_enough = within, near_enough
        without_a_name()

    async def trips(self, entry: Entry, targets: Sequence[Address]) -> Mapping[Address, Trip]:
        """One after the other, on one connection: sshd is not to be busy with another one of ours."""
        where = f"SSH {entry.login.host}:{entry.login.port}"
        async with AsyncExitStack() as opened:
            connection = await self._enter(entry, where, opened)
            try:
                near = min([await self._answer(connection) for _ in range(_TIMES)])
                return {target: await self._trip(connection, target, near) for target in targets}
            except (OSError, asyncssh.Error, TimeoutError):
                raise Retry("the connection broke", where=where, maybe_done=False) from None

    async def _enter(self, entry: Entry, where: str, opened: AsyncExitStack) -> asyncssh.SSHClientConnection:
        login, through = entry.login, None
        if (jump := login.jump_host) is not None:
            bastion = f"SSH {jump.host}:{jump.port}"
            key = entry.bastion_key or entry.key
            through = await self._connect(jump.host, jump.port, jump.user, jump.host_key, key, None, bastion)
            opened.push_async_callback(self._leave, through)
        there = await self._connect(login.host, login.port, login.user, login.host_key, entry.key, through, where)
        opened.push_async_callback(self._leave, there)
        return there

    async def _connect(
        self,
        host: str,
        port: int,
        user: str,
        host_key: str,
        key: str,
        through: asyncssh.SSHClientConnection | None,
        where: str,
    ) -> asyncssh.SSHClientConnection:
        """With this key, to whoever holds that host key, and with nothing that the machine at hand may have in its files."""
        try:
            pinned, own = asyncssh.import_public_key(host_key), asyncssh.import_private_key(key)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
            raise Auth(
                "the host key or the private key is none that can be read without a password", where=where
            ) from None
        try:
            async with asyncio.timeout(self._within):
                return await asyncssh.connect(
                    host,
                    port,
                    username=user,
                    client_keys=[own],
                    known_hosts=([pinned], [], []),
                    tunnel=through,
                    config=None,
                    agent_path=None,
                    preferred_auth=["publickey"],
                    gss_host=None,
                    x509_trusted_certs=None,
                )
        except TimeoutError:
            raise Retry("no answer in time", where=where, maybe_done=False) from None
        except asyncssh.HostKeyNotVerifiable:
            raise Auth("it has another host key than the pinned one; nothing was offered to it", where=where) from None
        except asyncssh.PermissionDenied:
            raise Auth("it does not let this key in", where=where) from None
        except asyncssh.KeyExchangeFailed:
            raise Auth("it has no host key of the type of the pinned one", where=where) from None
        except (OSError, asyncssh.Error, ValueError):
            raise Retry("no answer, or none of an SSH server", where=where, maybe_done=False) from None

    async def _leave(self, connection: asyncssh.SSHClientConnection) -> None:
        connection.close()
        try:
            async with asyncio.timeout(self._within):
                await connection.wait_closed()
        except TimeoutError:
            connection.abort()

    async def _answer(self, connection: asyncssh.SSHClientConnection) -> float:
        """Seconds to the front-end and back."""
        begun = monotonic()
        async with asyncio.timeout(self._within):
            # asyncssh asks it by itself now and then, and has no other way to ask (connection.py, 2.24).
            await connection._make_global_request(_ALIVE)  # noqa: SLF001
        return monotonic() - begun

    async def _trip(self, connection: asyncssh.SSHClientConnection, target: Address, near: float) -> Trip:
        took: list[float] = []
        for _ in range(_TIMES):
            try:
                took.append(await self._open(connection, target))
            except asyncssh.ChannelOpenError as error:
                if connection.is_closed():
                    raise
                if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                    return Trip(None, f"sshd there does not forward to {target} (AllowTcpForwarding, PermitOpen)")
                return Trip(None, f"nothing answers there at {target}")
            except TimeoutError:
                return Trip(None, f"no answer in time there from {target}")
        return Trip(max(min(took) - near, 0.0))

    async def _open(self, connection: asyncssh.SSHClientConnection, target: Address) -> float:
        """Seconds until it is open."""
        begun = monotonic()
        async with asyncio.timeout(self._near_enough):
            _, writer = await connection.open_connection(target.host, target.port)
        took = monotonic() - begun
        # Closed before the next is opened, so that its answer waits for nothing of this one.
        writer.close()
        async with asyncio.timeout(self._near_enough):
            await writer.wait_closed()
        return took
