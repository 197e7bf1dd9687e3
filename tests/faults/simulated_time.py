"""An event loop whose time passes only when nothing is left to do, so that an hour takes no time and every run is the same.

What the operator does in threads - its two bindings are synchronous - is done here in the loop itself (`wire.py`).
"""

import asyncio
import selectors
from datetime import UTC, datetime

EPOCH = 1_790_000_000.0
"""Seconds since the epoch at which every run begins."""
_BEGIN = 1000.0


class _Jumps(selectors.DefaultSelector):
    """Instead of waiting for so many seconds, lets them have passed."""

    def __init__(self, passed):
        super().__init__()
        self._passed = passed

    def select(self, timeout=None):
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("everything waits and nothing will happen")
        self._passed(max(timeout, 0.0))
        return ready


class SimulatedTimeLoop(asyncio.SelectorEventLoop):
    """`time()` is simulated; work for other threads is done at once."""

    def __init__(self):
        self._simulated = _BEGIN
        super().__init__(_Jumps(self._pass))

    def time(self):
        return self._simulated

    def _pass(self, seconds):
        self._simulated += seconds

    def call_exception_handler(self, context):
        """Nobody asks what became of the tasks of a process that crashed."""
        if isinstance(context.get("exception"), Exception):
            super().call_exception_handler(context)

    def run_in_executor(self, executor, func, *args):
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to who waits for it, as with a thread
            done.set_exception(error)
        return done


def run(coroutine):
    """Run a coroutine in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedTimeLoop) as runner:
        return runner.run(coroutine)


def clock():
    """Monotonic seconds."""
    return asyncio.get_running_loop().time()


def wall():
    """Seconds since the epoch."""
    return EPOCH + clock() - _BEGIN


def now():
    return datetime.fromtimestamp(wall(), UTC)
