"""Answers to questions that are asked again and again and whose answer seldom changes: kept for a while, so that looking costs
little. Whatever this process writes makes them forgotten, so what was written is seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar, cast

T = TypeVar("T")
_MOST = 4096


class Kept:
    """Answers of one account by question.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, Any]] = {}
        self._changed = float("-inf")
        self._changing = 0

    async def answer(self, question: str, max_age: float, ask: Callable[[], Awaitable[T]]) -> T:
        """What was answered at most `max_age` seconds ago, else what is answered now."""
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
        """Something is written meanwhile: what was read before its end may be another by then, also where it failed."""
        self._changing += 1
        self._answers.clear()
        try:
            yield
        finally:
            self._changing -= 1
            self._changed = self._clock()
