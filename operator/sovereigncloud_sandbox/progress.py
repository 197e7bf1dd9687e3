"""A progress line on stderr: the current step and its duration."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

_EVERY = 15.0  # seconds between lines where the output is not a terminal


class Progress:
    """Shows "<what> 1:23": one updating line on a terminal, else a line now and then.

    Call `tick()` often; nothing is shown for waits that end before the first tick.
    """

    def __init__(
        self,
        what: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._stream = stream or sys.stderr
        self._clock = clock
        self._began = clock()
        self._terminal = self._stream.isatty()
        self._next = 0.0
        self._shown = False

    def tick(self) -> None:
        elapsed = self._clock() - self._began
        if self._terminal:
            self._write(f"\r\033[K{self._what} {_minutes(elapsed)}")
        elif elapsed >= self._next:
            self._write(f"{self._what} {_minutes(elapsed)}\n")
            self._next = elapsed - elapsed % _EVERY + _EVERY

    def done(self, outcome: str) -> None:
        """The last line: how it went."""
        if self._shown:
            start = "\r\033[K" if self._terminal else ""
            self._write(f"{start}{self._what} {_minutes(self._clock() - self._began)}, {outcome}\n")

    def _write(self, text: str) -> None:
        self._shown = True
        self._stream.write(text)
        self._stream.flush()


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
