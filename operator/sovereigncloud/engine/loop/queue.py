"""A keyed workqueue with client-go's semantics: one worker per key at a time, dedup while queued, backoff per key.

What a user changed goes ahead of re-checks, so that a sweep over thousands never delays an answer to a person.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from time import monotonic
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")


class Lane(IntEnum):
    """Which keys go first."""

    USER = 0
    RECHECK = 1


class Backoff:
    """Delays that double with each failure in a row, spread between half of it and all of it.

    Args:
        base: first delay after a failure, seconds.
        ceiling: longest delay, seconds.
        jitter: a number in [0, 1) per call; injected so that tests are exact.
    """

    def __init__(
        self, *, base: float = 0.5, ceiling: float = 60.0, jitter: Callable[[], float] = random.random
    ) -> None:
        self._base, self._ceiling, self._jitter = base, ceiling, jitter

    def delay(self, failures: int, *, ceiling: float | None = None) -> float:
        """Seconds to wait after so many failures before this one. A `ceiling` that is said is reached exactly."""
        spread = 0.5 + 0.5 * self._jitter()
        doubled = self._base * 2.0 ** min(failures, 16)
        return min(self._ceiling, doubled) * spread if ceiling is None else min(ceiling, doubled * spread)


class Workqueue(Generic[KeyT]):
    """Keys to be reconciled.

    Args:
        backoff: after failures.
        clock: monotonic seconds.
        waited: told how long a key of a lane waited, when it is handed out.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = monotonic,
        waited: Callable[[Lane, float], None] = lambda _lane, _seconds: None,
    ) -> None:
        self._waited = waited
        self._backoff, self._clock = backoff or Backoff(), clock
        self._lanes: tuple[deque[KeyT], deque[KeyT]] = (deque(), deque())
        self._queued: dict[KeyT, tuple[Lane, float]] = {}
        self._running: dict[KeyT, Lane] = {}
        self._again: dict[KeyT, Lane] = {}
        self._later: list[tuple[float, int, KeyT]] = []
        self._due: dict[KeyT, float] = {}
        self._sequence = 0
        self._failures: dict[KeyT, int] = {}
        self._wake = asyncio.Event()
        self._stopped = False

    def add(self, key: KeyT, lane: Lane = Lane.USER) -> None:
        """Queue a key; one that runs is queued again when it is done; one that is queued may move to the user's lane."""
        if key in self._running:
            self._again[key] = min(lane, self._again.get(key, lane))
            return
        queued, since = self._queued.get(key, (None, self._clock()))
        if queued is not None and queued <= lane:
            return
        self._queued[key] = lane, since
        self._lanes[lane].append(key)
        self._wake.set()

    def add_after(self, key: KeyT, delay: float) -> None:
        """Queue a key in so many seconds; an earlier time that is already set stays."""
        if delay <= 0:
            self.add(key, Lane.RECHECK)
            return
        due = self._clock() + delay
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._later, (due, self._sequence, key))
        self._wake.set()

    def add_rate_limited(self, key: KeyT, *, at_least: float = 0.0, at_most: float | None = None) -> float:
        """Queue a key after a delay that doubles with each failure in a row; returns the delay. `at_least`: seconds that
        somebody else asked for (Retry-After); zero of them do not make a hot loop. `at_most`: the longest delay.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(at_least, self._backoff.delay(failures, ceiling=at_most))
        self.add_after(key, delay)
        return delay

    def forget(self, key: KeyT) -> None:
        """The key succeeded: its failures are forgotten."""
        self._failures.pop(key, None)

    def failures(self, key: KeyT) -> int:
        return self._failures.get(key, 0)

    async def get(self, lanes: Iterable[Lane] = Lane) -> KeyT | None:
        """The next key of these lanes; None when the queue was stopped."""
        lanes = tuple(lanes)
        while not self._stopped:
            self._promote()
            for lane in lanes:
                while self._lanes[lane]:
                    key = self._lanes[lane].popleft()
                    queued, since = self._queued.get(key, (None, 0.0))
                    if queued == lane:  # else it moved to the other lane
                        del self._queued[key]
                        self._running[key] = lane
                        self._waited(lane, self._clock() - since)
                        return key
            self._wake.clear()
            wait = self._later[0][0] - self._clock() if self._later else None
            try:
                async with asyncio.timeout(max(wait, 0.001) if wait is not None else None):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return None

    def done(self, key: KeyT) -> None:
        """A worker is done with a key."""
        self._running.pop(key, None)
        if key in self._again:
            self.add(key, self._again.pop(key))

    def stop(self) -> None:
        """No further key is handed out."""
        self._stopped = True
        self._wake.set()

    def __len__(self) -> int:
        return len(self._queued)

    @property
    def depth(self) -> Counter[Lane]:
        """Keys that wait, by lane."""
        return Counter(lane for lane, _ in self._queued.values())

    @property
    def running(self) -> frozenset[KeyT]:
        return frozenset(self._running)

    def lane(self, key: KeyT) -> Lane:
        """In which a key that runs came."""
        return self._running.get(key, Lane.RECHECK)

    @property
    def stopped(self) -> bool:
        return self._stopped

    def _promote(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key, Lane.RECHECK)
