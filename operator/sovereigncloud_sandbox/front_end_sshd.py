"""The simulated sshd of an OpenNebula front-end: public key login and TCP forwarding.

It runs nothing. How long a connection from it to another address takes is what is said here, since on one machine all places are
as near as can be; so is whether it forwards at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import asyncssh

_Answer = asyncssh.SSHTCPSession[bytes]


@dataclass(slots=True)
class Ways:
    """TCP forwarding of a front-end: permission and delays, and a record of logins and targets.

    Attributes:
        forwards: False: as with AllowTcpForwarding no.
        delays: seconds there and back, by host and port; 0: as long as it takes.
        offered: who offered a key there, and was let in or not.
        asked: what it was asked to connect to.
    """

    forwards: bool = True
    delays: dict[tuple[str, int], float] = field(default_factory=dict)
    offered: set[tuple[str, bool]] = field(default_factory=set)
    asked: list[tuple[str, int]] = field(default_factory=list)


class FrontEnd(asyncssh.SSHServer):
    """One SSH connection to the front-end."""

    def __init__(self, keys: Sequence[asyncssh.SSHKey], ways: Ways) -> None:
        self._keys, self._ways = {key.public_data for key in keys}, ways
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - whoever it is
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = key.public_data in self._keys
        self._ways.offered.add((username, known))
        return known

    def connection_requested(
        self,
        dest_host: str,
        dest_port: int,
        orig_host: str,  # noqa: ARG002 - wherever it comes from
        orig_port: int,  # noqa: ARG002
    ) -> Callable[..., None]:
        # asyncssh awaits what is given back before it answers (connection.py, 2.24), which its types do not say.
        return cast("Callable[..., None]", self._connect(dest_host, dest_port))

    async def _connect(self, host: str, port: int) -> _Answer:
        self._ways.asked.append((host, port))
        if not self._ways.forwards or self._connection is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        await asyncio.sleep(self._ways.delays.get((host, port), 0.0))
        return cast("_Answer", await self._connection.forward_connection(host, port))
