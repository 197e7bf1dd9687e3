"""Every call outside, as the adapters tell it: counted, and a span of the trace that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from sovereigncloud.engine.catalogue import Api
from sovereigncloud.engine.metrics import Metrics


class Call(Protocol):
    """What is read of `providers.calls.Call`."""

    @property
    def api(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def retries(self) -> int: ...


class Calls:
    """Stands behind the port `providers.calls.Observer`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @contextmanager
    def during(self, call: Call) -> Iterator[None]:
        begun = monotonic()
        try:
            yield
        finally:
            self._metrics.asked(Api(call.api), call.endpoint, call.code, monotonic() - begun, retries=call.retries)
