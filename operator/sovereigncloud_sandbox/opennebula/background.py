"""Run the simulator in a thread of its own, for synchronous programs."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.install import CloudSpec
from sovereigncloud_sandbox.opennebula.sandbox import OneSandbox

T = TypeVar("T")


class BackgroundSandbox:
    """A sandbox for the length of a with block. What is done to a cloud is done in its thread: `do(act, cloud)`."""

    def __init__(self, *specs: CloudSpec, clock: Callable[[], float] = time.time) -> None:
        self._specs = specs
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="opennebula-sandbox", daemon=True)
        self.sandbox = OneSandbox(clock)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            for spec in self._specs:
                self.wait(self.sandbox.create(spec))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait(self.sandbox.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the sandbox's thread and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def do(self, act: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a function in the sandbox's thread and wait for it."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(act(*arguments, **named))
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result()

    def __getitem__(self, name: str) -> Cloud:
        return self.sandbox[name]

    def endpoint(self, name: str) -> str:
        return self.sandbox.endpoint(name)
