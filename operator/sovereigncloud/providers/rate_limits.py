"""How often an account may be asked: one token bucket and one circuit breaker per credential, shared by all its calls.

Both are used in one event loop only. They know no API: an adapter takes its turn, calls, and says how it went.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from sovereigncloud.kinds.planning.urgency import Urgency, current

FAIRNESS = 5
"""While both wait, every fifth turn is of who is less urgent: a day of changes must not blind the sweeps."""
PATIENCE = 5.0
"""Seconds that a call waits for an API that said when to come back; longer, the object waits and the worker does
something else."""

_INSTANT = 1e-6
"""Seconds that are none: what floating point leaves of a wait that is over."""


class HeldOffError(Exception):
    """Nobody is let through for so many seconds, longer than a caller waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"held off for {seconds:.0f} s")
        self.seconds = seconds


class TokenBucket:
    """At most `burst` calls at once and `rate` per second after that, `places` of them under way at a time.

    Who is more urgent is served first, in the order of coming among equals; every FAIRNESS-th turn is of the others.
    """

    def __init__(
        self, rate: float, burst: int, *, places: float = math.inf, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._tokens, self._counted = float(burst), clock()
        self._free = places
        self._closed_until = 0.0
        self._waiting: dict[Urgency, deque[asyncio.Future[None]]] = {one: deque() for one in Urgency}
        self._ahead = 0
        """Turns in a row that somebody less urgent stood behind."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> float:
        """Calls at most at once."""
        return self._burst

    @property
    def left(self) -> float:
        """Calls that could be made at once. Negative: so many callers are waiting."""
        return self._ready - sum(not one.done() for queue in self._waiting.values() for one in queue)

    @property
    def closed(self) -> float:
        """Seconds that nobody is let through."""
        return max(0.0, self._closed_until - self._clock())

    def close(self, seconds: float) -> None:
        """Let nobody through for so long: the API said when to come back (Retry-After). Who waits and would have to wait
        for longer than PATIENCE is sent away.
        """
        self._closed_until = max(self._closed_until, self._clock() + seconds)
        if self.closed <= PATIENCE:
            return
        for queue in self._waiting.values():
            while queue:
                if not (waiting := queue.popleft()).done():
                    waiting.set_exception(HeldOffError(self.closed))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One call, when it is its turn. Raises HeldOffError before it, never after."""
        await self._acquire(current())
        try:
            yield
        finally:
            self._free += 1
            self._serve()

    async def _acquire(self, urgency: Urgency) -> None:
        if self.closed > PATIENCE:
            raise HeldOffError(self.closed)
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[urgency].append(mine)
        self._serve()
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled() and mine.done() and mine.exception() is None:
                self._free += 1  # it was let through and does not go
            self._serve()
            raise

    @property
    def _ready(self) -> float:
        return min(self._burst, self._tokens + (self._clock() - self._counted) * self._rate)

    def _serve(self) -> None:
        """Let through whoever may go now, and come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._free >= 1 and any(self._waiting.values()):
            if (wait := max((1 - self._ready) / self._rate, self.closed)) > _INSTANT:
                self._timer = asyncio.get_running_loop().call_later(wait, self._serve)
                return
            if (mine := self._next()).done():
                continue  # its caller was cancelled
            self._tokens, self._counted = self._ready - 1, self._clock()
            self._free -= 1
            mine.set_result(None)

    def _next(self) -> asyncio.Future[None]:
        first, *others = (one for one in Urgency if self._waiting[one])
        self._ahead = self._ahead + 1 if others else 0
        if self._ahead == FAIRNESS:
            first, self._ahead = others[0], 0
        return self._waiting[first].popleft()


class CircuitBreaker:
    """Stops asking an API that is down: open after `failures` in a row, for `cooldown` seconds, doubling to `longest`.

    After that one call tries; its success closes the breaker, its failure opens it for longer.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        cooldown: float = 5.0,
        longest: float = 60.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._limit, self._cooldown, self._longest, self._clock = failures, cooldown, longest, clock
        self._failed = 0
        self._open_for = cooldown
        self._opened: float | None = None

    @property
    def opened(self) -> bool:
        """Whether calls are refused for now."""
        return self._opened is not None

    def wait(self) -> float:
        """Seconds until a call may be tried; 0: now. Whoever gets 0 from an open breaker is the one that tries."""
        if self._opened is None:
            return 0.0
        left = self._opened + self._open_for - self._clock()
        if left <= 0:
            # The others wait while this one tries.
            self._opened = self._clock()
            return 0.0
        return left

    def succeeded(self) -> None:
        """The API answered, whatever it said."""
        self._failed, self._opened, self._open_for = 0, None, self._cooldown

    def failed(self) -> None:
        """No answer, or one that says that the API itself is ill."""
        self._failed += 1
        if self._opened is not None:
            self._opened, self._open_for = self._clock(), min(self._longest, self._open_for * 2)
        elif self._failed >= self._limit:
            self._opened = self._clock()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one credential may still ask.

    Attributes:
        left: calls that could be made at once; negative: so many wait.
        size: calls at most at once.
        paused: seconds that nobody is let through, since the API said so.
        refused: whether calls are refused without being made, since the API is down.
    """

    left: float
    size: float
    paused: float
    refused: bool


@dataclass(slots=True, weakref_slot=True)
class Budget:
    """What is left for one credential, and whether its API answers."""

    bucket: TokenBucket
    breaker: CircuitBreaker

    @property
    def allowance(self) -> Allowance:
        """As it is now."""
        return Allowance(self.bucket.left, self.bucket.size, self.bucket.closed, self.breaker.opened)
