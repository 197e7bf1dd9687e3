"""Rate limits: one token bucket and one circuit breaker per credential, shared by all its calls.

Both are used in one event loop only. They know no API: an adapter takes a turn, calls, and reports the result.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from sovereigncloud.ports.urgency import Urgency, current

FAIRNESS = 5
"""Under contention every fifth turn goes to the less urgent: user changes must not starve the sweeps."""
PATIENCE = 5.0
"""Seconds that a call waits for an API with a Retry-After; for longer waits the object is requeued."""

_INSTANT = 1e-6
"""Seconds that count as none: floating point error of a wait that is over."""


class HeldOffError(Exception):
    """No call is allowed for so many seconds, longer than a caller waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"held off for {seconds:.0f} s")
        self.seconds = seconds


class TokenBucket:
    """Token bucket: at most `burst` calls at once and `rate` per second after that, `places` of them in flight.

    More urgent callers are served first, in order of arrival among equals; every FAIRNESS-th turn goes to the others.
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
        """Consecutive turns in which a less urgent caller waited."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> float:
        """Maximum calls at once."""
        return self._burst

    @property
    def left(self) -> float:
        """Calls available at once. Negative: number of waiting callers."""
        return self._ready - sum(not one.done() for queue in self._waiting.values() for one in queue)

    @property
    def closed(self) -> float:
        """Seconds for which no call is allowed."""
        return max(0.0, self._closed_until - self._clock())

    def close(self, seconds: float) -> None:
        """Allow no call for this many seconds, after a Retry-After.

        Callers that would have to wait longer than PATIENCE get HeldOffError.
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
        """Wait for a turn and hold it for one call. Raises HeldOffError before the turn, never after."""
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
        """Let the next callers through and schedule the next turn."""
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
    """Circuit breaker: opens after `failures` in a row, for `cooldown` seconds, doubling up to `longest`.

    After that one call is tried; its success closes the breaker, its failure opens it for longer.
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
        """Return the seconds until a call may be tried; 0: now. The caller that gets 0 from an open breaker is the
        trial.
        """
        if self._opened is None:
            return 0.0
        left = self._opened + self._open_for - self._clock()
        if left <= 0:
            # The others wait while this one tries.
            self._opened = self._clock()
            return 0.0
        return left

    def succeeded(self) -> None:
        """Record an answer of the API, whatever it said."""
        self._failed, self._opened, self._open_for = 0, None, self._cooldown

    def failed(self) -> None:
        """Record a missing answer, or one that shows an API failure."""
        self._failed += 1
        if self._opened is not None:
            self._opened, self._open_for = self._clock(), min(self._longest, self._open_for * 2)
        elif self._failed >= self._limit:
            self._opened = self._clock()


@dataclass(frozen=True, slots=True)
class Allowance:
    """Remaining call budget of one credential.

    Attributes:
        left: calls available at once; negative: number of waiting callers.
        size: maximum calls at once.
        paused: seconds for which the API allows no call.
        refused: whether calls are refused without being made, since the API is down.
    """

    left: float
    size: float
    paused: float
    refused: bool


@dataclass(slots=True, weakref_slot=True)
class Budget:
    """Token bucket and circuit breaker of one credential."""

    bucket: TokenBucket
    breaker: CircuitBreaker

    @property
    def allowance(self) -> Allowance:
        """Return the current budget."""
        return Allowance(self.bucket.left, self.bucket.size, self.bucket.closed, self.breaker.opened)
