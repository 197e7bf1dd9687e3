"""Host key cache: what SSH servers presented last, reused for a while; a sweep never connects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.ssh import Greeting, Ssh

_SILENT = 300.0
"""Seconds without a new attempt after a server did not answer and nothing waits for it."""


@dataclass(frozen=True, slots=True)
class _Said:
    at: float
    what: Greeting | Retry


class HostKeyCache:
    """Reads host keys over SSH and caches them.

    Args:
        ssh: connects; None: host keys are never read.
        clock: monotonic seconds.
    """

    def __init__(self, ssh: Ssh | None, clock: Callable[[], float] = monotonic) -> None:
        self._ssh, self._clock = ssh, clock
        self._said: dict[str, _Said] = {}

    @property
    def asks(self) -> bool:
        """Return whether host keys are read at all."""
        return self._ssh is not None

    async def get(self, address: str, within: float) -> Greeting | None:
        """Return the greeting of a server, at most `within` seconds old; None when host keys are never read. Raises
        Retry.
        """
        if self._ssh is None:
            return None
        if (known := self.known(address, within)) is None:
            known = await self._ask(self._ssh, address)
            self._said[address] = _Said(self._clock(), known)
        if isinstance(known, Retry):
            raise known
        return known

    def known(self, address: str, within: float) -> Greeting | Retry | None:
        """Return the cached greeting or failure of the last `within` seconds; None when a read is needed."""
        said = self._said.get(address)
        if said is None:
            return None
        good = min(within, _SILENT) if isinstance(said.what, Retry) else within
        return said.what if self._clock() - said.at < good else None

    async def _ask(self, ssh: Ssh, address: str) -> Greeting | Retry:
        try:
            return await ssh.greeting(address)
        except Retry as error:
            return error
