"""How often an account may be asked: one token bucket and one circuit breaker per credential, shared by all its calls.

Both are used in one event loop only. They know no API: an adapter acquires, calls, and says how it went.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic


class TokenBucket:
    """At most `burst` calls at once and `rate` per second after that; callers are served in the order they came."""

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._tokens, self._counted = float(burst), clock()
        self._closed_until = 0.0

    @property
    def size(self) -> float:
        """Calls at most at once."""
        return self._burst

    @property
    def left(self) -> float:
        """Calls that could be made at once. Negative: so many callers are waiting."""
        return min(self._burst, self._tokens + (self._clock() - self._counted) * self._rate)

    @property
    def closed(self) -> float:
        """Seconds that nobody is let through."""
        return max(0.0, self._closed_until - self._clock())

    def close(self, seconds: float) -> None:
        """Let nobody through for so long: the API said when to come back (Retry-After)."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    async def acquire(self) -> None:
        """Wait for one's turn."""
        now = self._clock()
        self._tokens = self.left - 1
        self._counted = now
        # The token is taken at once and may be owed: that is the queue, first come, first served.
        owed = -self._tokens / self._rate if self._tokens < 0 else 0.0
        if (wait := max(owed, self.closed)) > 0:
            await asyncio.sleep(wait)


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

    @staticmethod
    def of(bucket: TokenBucket, breaker: CircuitBreaker) -> Allowance:
        return Allowance(bucket.left, bucket.size, bucket.closed, breaker.opened)
