"""What SSH servers said last: one reading serves every look for a while, and a sweep never reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.ssh import Greeting, Ssh

_SILENT = 300.0
"""Seconds that nobody is asked again who did not answer, where nobody waits for it."""


@dataclass(frozen=True, slots=True)
class _Said:
    at: float
    what: Greeting | Retry


class Greetings:
    """Reads, and remembers.

    Args:
        ssh: asks; None: nobody can be asked.
        clock: monotonic seconds.
    """

    def __init__(self, ssh: Ssh | None, clock: Callable[[], float] = monotonic) -> None:
        self._ssh, self._clock = ssh, clock
        self._said: dict[str, _Said] = {}

    @property
    def asks(self) -> bool:
        """Whether anybody is asked at all."""
        return self._ssh is not None

    async def get(self, address: str, within: float) -> Greeting | None:
        """At most so many seconds old; None where nobody is asked. Raises Retry."""
        if self._ssh is None:
            return None
        if (known := self.known(address, within)) is None:
            known = await self._ask(self._ssh, address)
            self._said[address] = _Said(self._clock(), known)
        if isinstance(known, Retry):
            raise known
        return known

    def known(self, address: str, within: float) -> Greeting | Retry | None:
        """What was heard within so many seconds, or that nothing was; None: it must be asked."""
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
