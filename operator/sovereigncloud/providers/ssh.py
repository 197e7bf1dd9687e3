"""The port `Ssh`: the first line and the host key of an SSH server. Nobody logs in, so nothing is asked of its users."""

from __future__ import annotations

import asyncio
import os

import asyncssh

from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.ssh import Greeting

PORT = 22
_WITHIN = 10.0
_ALGORITHM = "ssh-ed25519"
_LONGEST = 255  # of the first line (RFC 4253, section 4.2); lines before it may come and are no part of it
_BEFORE = 20

asyncssh.set_log_level("WARNING")


def without_a_name() -> None:
    """The user of a pod has no line in /etc/passwd; asyncssh asks for the name and the home of whoever runs it."""
    for name, value in (("LOGNAME", "nobody"), ("HOME", "/")):
        os.environ.setdefault(name, value)


class HostKeys:
    """Asks SSH servers who they are.

    Args:
        port: where sshd listens on every server.
        within: seconds that it may take.
    """

    def __init__(self, port: int = PORT, within: float = _WITHIN) -> None:
        self._port, self._within = port, within
        without_a_name()

    async def greeting(self, address: str) -> Greeting:
        """Raises Retry. The first line may come from anybody; what it proves is proven by its own text (`kinds.day0`)."""
        where = f"SSH {address}:{self._port}"
        try:
            async with asyncio.timeout(self._within):
                version = await self._first_line(address)
                key = await asyncssh.get_server_host_key(
                    address, self._port, server_host_key_algs=[_ALGORITHM], config=None
                )
        except TimeoutError:
            raise Retry("no answer in time", where=where, maybe_done=False) from None
        except asyncssh.KeyExchangeFailed:
            raise Retry(f"it has no host key of type {_ALGORITHM}", where=where, maybe_done=False) from None
        except (OSError, asyncssh.Error, ValueError):
            raise Retry("no answer, or none of an SSH server", where=where, maybe_done=False) from None
        if key is None:
            raise Retry("it showed no host key", where=where, maybe_done=False)
        algorithm, blob = key.export_public_key("openssh").decode().split()[:2]
        return Greeting(version, f"{algorithm} {blob}")

    async def _first_line(self, address: str) -> str:
        reader, writer = await asyncio.open_connection(address, self._port, limit=_LONGEST + 1)
        try:
            for _ in range(_BEFORE):
                line = (await reader.readline()).decode("ascii", errors="replace").strip()
                if line.startswith("SSH-"):
                    return line
        finally:
            writer.close()
        raise ValueError("no SSH server")
