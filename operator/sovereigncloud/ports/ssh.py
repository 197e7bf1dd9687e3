"""What an SSH server shows to anybody, before anybody logs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Greeting:
    """Its first line, and the host key that it proved to hold.

    Attributes:
        version: for example SSH-2.0-OpenSSH_9.6p1, and what it adds.
        host_key: "ssh-ed25519 AAAA..."
    """

    version: str
    host_key: str


class Ssh(Protocol):
    """Asks SSH servers who they are; logs in nowhere."""

    async def greeting(self, address: str) -> Greeting:
        """Raises Retry."""
        ...
