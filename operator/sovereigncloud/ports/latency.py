"""How long a round trip takes from where a cloud stands to another one: what is asked of whoever can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sovereigncloud.ports.installer.federation import Login


@dataclass(frozen=True, slots=True)
class Entry:
    """How a site is entered. `bastion_key`: of the login's jump host."""

    login: Login
    key: str = field(repr=False)
    bastion_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cloud answers."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Trip:
    """There and back in so many seconds; None: it was not measured, and why."""

    seconds: float | None
    why: str = ""


class Sites(Protocol):
    """Measures from where it may log in. Nothing is run there, and nothing written."""

    async def trips(self, entry: Entry, targets: Sequence[Address]) -> Mapping[Address, Trip]:
        """To each of them. Raises Auth where it is not let in, or somebody else answers: then nothing was offered to it.
        Raises Retry.
        """
        ...
