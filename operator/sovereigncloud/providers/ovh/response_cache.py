"""Response cache for reads that rarely change. A write of this process invalidates it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar, cast

T = TypeVar("T")
_MOST = 4096


class ResponseCache:
    """Responses of one account by request.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, Any]] = {}
        self._changed = float("-inf")
        self._changing = 0

    async def answer(self, question: str, max_age: float, ask: Callable[[], Awaitable[T]]) -> T:
        """Return a response at most `max_age` seconds old, else ask again."""
        began = self._clock()
        known = self._answers.get(question)
        if known is not None and known[0] + max_age > began:
            return cast("T", known[1])
        answer = await ask()
        if not self._changing and began >= self._changed:
            if len(self._answers) >= _MOST:
                self._answers.clear()
            self._answers[question] = (began, answer)
        return answer

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Context manager around a write: invalidates what was read before its end, also when it failed."""
        self._changing += 1
        self._answers.clear()
        try:
            yield
        finally:
            self._changing -= 1
            self._changed = self._clock()
