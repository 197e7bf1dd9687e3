"""One watch per cloud or account: reads everything once per interval, for all objects in it.

A reconcile reads the last view, unless something was written for its object since: then only a view that began after
that write ended will do, and all who wait share the one read. While something is under way the interval is short.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextvars import Context
from time import monotonic, time
from typing import Generic, Protocol, TypeVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.kinds.planning import urgency
from sovereigncloud.kinds.planning.urgency import Urgency
from sovereigncloud.ports.errors import MissingSecret, NotYet, OutsideError, Retry

logger = logging.getLogger(__name__)


class Began(Protocol):
    @property
    def began(self) -> float: ...


ViewT = TypeVar("ViewT", bound=Began)
_LONGEST_BACKOFF = 60.0
_AT_LEAST_BETWEEN = 0.2
"""Seconds between two reads, however many wait: those that come meanwhile share the next one."""
_UNANSWERED = 3
"""So many reads in a row must fail before the last view counts as old: a blip is nobody's business."""


class BeingReadError(NotYet):
    """A view is on its way; who waits for it is queued when it is there."""


class ViewWatch(Generic[ViewT]):
    """Keeps the view of one cloud or account.

    Args:
        name: for logs.
        read: reads a view; given the time it begins.
        swept: called with each new view and the keys to compare with it, None for all; says whether all are needed soon.
        enqueue: queues a key that waited for a view, or for the news that there is none.
        failed: called when the last view became too old to be believed.
        interval: seconds between reads at rest.
        settle: seconds between reads while something is under way.
        rest: the least seconds between reads at rest after a view that cost as much as this one.
        clock: monotonic seconds.
        wall: Unix time.
    """

    def __init__(
        self,
        name: str,
        *,
        read: Callable[[float], Awaitable[ViewT]],
        swept: Callable[[ViewT, frozenset[Key] | None], Awaitable[bool]],
        enqueue: Callable[[Key], None],
        interval: float,
        settle: float,
        rest: Callable[[ViewT], float] = lambda _: 0.0,
        failed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self._name, self._read, self._swept, self._enqueue, self._failed = name, read, swept, enqueue, failed
        self._interval, self._settle, self._clock, self._wall = interval, settle, clock, wall
        self._rest = rest
        self._view: ViewT | None = None
        self._error: Exception | None = None
        self._tried = float("-inf")
        self._ended = float("-inf")
        self._took = 0.0
        self._failures = 0
        self._unanswered, self._silent_from = 0, float("-inf")
        """Reads in a row that nobody answered, and when the first of them began."""
        self._soon = self._all_soon = self._anew = False
        self._all_swept = float("-inf")
        self._valid_from = float("-inf")
        self.swept_at = wall()
        """When everything was last compared with a view, seconds of Unix time; when it began, until then."""
        self._waiting: set[Key] = set()
        self._urgency = Urgency.RECHECK
        """Of the next read: that of the most urgent who waits for it."""
        self._settling: dict[Key, Urgency] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def view(self) -> ViewT | None:
        return self._view

    @property
    def failures(self) -> int:
        """Reads that failed in a row."""
        return self._failures

    @property
    def silent_for(self) -> float | None:
        """Seconds for which nobody has answered; None where the last read was answered, be it with a refusal, or where so few were
        not that it may be a blip.
        """
        return self._clock() - self._silent_from if self._unanswered >= _UNANSWERED else None

    def get(self, key: Key, newer_than: float) -> ViewT:
        """A view that began after `newer_than`. Raises NotYet (the key is queued when there is one) or the error of
        the last read, when that read was late enough and failed or when reads have failed for a while: then what was
        read before them says nothing of now."""
        newer_than = max(newer_than, self._valid_from)
        if self._failures < _UNANSWERED and self._view is not None and self._view.began > newer_than:
            return self._view
        if self._error is not None and (self._failures >= _UNANSWERED or self._tried > newer_than):
            self._wait(key)
            # One error is raised for all who wait, and each raise would lengthen its traceback.
            raise self._error.with_traceback(None)
        early = newer_than - self._clock()
        if early > 0:
            raise NotYet(f"a write for it may still take effect in {self._name}", after=early + 0.01)
        self._wait(key)
        self._start()
        self._wake.set()
        raise BeingReadError(f"{self._name} is being read", after=_LONGEST_BACKOFF)

    def _wait(self, key: Key) -> None:
        self._waiting.add(key)
        self._urgency = min(self._urgency, urgency.current())

    def peek(self, newer_than: float) -> ViewT:
        """As `get`, for who only compares: nobody is queued, and nothing is read on its behalf."""
        if self._view is None or self._view.began <= max(newer_than, self._valid_from):
            raise NotYet(f"{self._name} was not read since", after=self._interval)
        return self._view

    def settle(self, key: Key) -> None:
        """Something is under way for this object: read often until `rest`."""
        new = key not in self._settling
        self._settling[key] = urgency.current()
        if new:
            self._start()
            self._wake.set()

    def rest(self, key: Key) -> None:
        """Nothing is under way for this object any more."""
        self._settling.pop(key, None)

    def settling(self, key: Key) -> bool:
        return key in self._settling

    def refresh(self) -> None:
        """Read as soon as may be, and compare everything with it."""
        self._soon = self._all_soon = True
        self._start()
        self._wake.set()

    def compare(self) -> None:
        """Compare everything anew with what was read last, as soon as may be: what it is compared with became another."""
        self._anew = True
        self._wake.set()

    def invalidate(self) -> None:
        """What is read changed (another endpoint): no view from before counts."""
        self._valid_from = math.nextafter(self._clock(), 0.0)  # a read that begins now counts
        self._failures = 0
        self.refresh()

    def start(self) -> None:
        """Begin to read at the interval."""
        self._start()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _start(self) -> None:
        if self._task is None or self._task.done():
            # A context of its own: else it would belong for ever to the trace of whoever needed it first.
            self._task = asyncio.create_task(self._run(), name=f"watch {self._name}", context=Context())

    async def _run(self) -> None:
        while True:
            await self._until_due()
            if self._anew:
                await self._compare_anew()
            else:
                await self._once()

    async def _compare_anew(self) -> None:
        self._anew = False
        if self._view is None or self._failures:
            return  # compared when it is read
        try:
            await self._swept(self._view, None)
        except Exception:
            logger.exception("the sweep of %s failed", self._name)

    async def _until_due(self) -> None:
        while True:
            self._wake.clear()
            wait = self._due() - self._clock()
            if wait <= 0 or self._anew:
                return
            try:
                # asyncio.wait_for of Python 3.11 loses a cancellation that comes together with the event.
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _due(self) -> float:
        if self._soon:
            return self._ended + _AT_LEAST_BETWEEN
        if self._failures:
            return self._ended + min(_LONGEST_BACKOFF, 2.0 ** min(self._failures - 1, 6))
        if self._waiting:
            return self._ended + _AT_LEAST_BETWEEN
        if self._settling:
            return self._ended + max(self._settle, 2 * self._took)
        # From the last time that everything was compared: reads for the sake of one must not put that off.
        return max(self._ended + 2 * self._took, self._all_swept + self._between)

    @property
    def _between(self) -> float:
        """Seconds between two reads at rest."""
        return self._interval if self._view is None else max(self._interval, self._rest(self._view))

    async def _once(self) -> None:
        began = self._clock()
        self._soon = False
        hurry, self._urgency = min((self._urgency, *self._settling.values())), Urgency.RECHECK
        try:
            with urgency.at(hurry):
                self._view = await self._read(began)
            self._error, self._failures, self._unanswered = None, 0, 0
        except (OutsideError, MissingSecret) as error:
            self._error, self._failures = error, self._failures + 1
            self._silent_from = self._silent_from if self._unanswered else began
            self._unanswered = self._unanswered + 1 if isinstance(error, Retry) else 0
        except Exception as error:  # a bug in an adapter must not end the watch: it is shown on the objects
            logger.exception("reading %s failed", self._name)
            self._error, self._failures = (
                Retry(f"{type(error).__name__} while reading {self._name}"),
                self._failures + 1,
            )
        self._tried, self._ended = began, self._clock()
        self._took = self._ended - began
        waited, self._waiting = self._waiting, set()
        for key in waited:
            self._enqueue(key)
        if self._error is not None:
            if _UNANSWERED in {self._failures, self._unanswered}:
                logger.warning("%s does not answer: %s", self._name, self._error)
                self._failed()
        elif self._view is not None:
            await self._sweep(self._view)

    async def _sweep(self, view: ViewT) -> None:
        """Everything once per interval; what is under way, with each view. A cloud that builds a thousand machines is read
        every two seconds, and most of them have nothing to tell each time.
        """
        everything = self._all_soon or self._clock() - self._all_swept >= self._between
        self._all_soon = False
        if everything:
            self._all_swept = self._clock()
        try:
            if await self._swept(view, None if everything else frozenset(self._settling)):
                self.refresh()
            if everything:
                self.swept_at = self._wall()
        except Exception:
            logger.exception("the sweep of %s failed", self._name)
        self._ended = self._clock()
