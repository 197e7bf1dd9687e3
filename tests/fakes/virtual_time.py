"""An event loop whose time passes only while nothing is left to do: a test of an hour takes no time and is exact."""

import asyncio
import selectors


class _NeverWaits(selectors.DefaultSelector):
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
        if timeout > 0:
            self._passed(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual seconds since the loop was made, at 1000 so that nobody takes it for a duration."""

    def __init__(self):
        self._virtual = 1000.0
        super().__init__(_NeverWaits(self._pass))

    def time(self):
        return self._virtual

    def _pass(self, seconds):
        self._virtual += seconds


def run(coroutine):
    """Run a coroutine in virtual time; tasks that it leaves behind are cancelled."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


def now():
    return asyncio.get_running_loop().time()
