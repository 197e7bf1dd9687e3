"""Every call outside, as the adapters tell it: counted, and a span of the trace that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from sovereigncloud.engine.telemetry.metric_catalogue import Api
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.engine.telemetry.tracing import Tracer


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

    def __init__(self, metrics: Metrics, tracer: Tracer) -> None:
        self._metrics, self._tracer = metrics, tracer

    @contextmanager
    def during(self, call: Call) -> Iterator[None]:
        begun = monotonic()
        with self._tracer.call(f"{call.api} {call.endpoint}") as span:
            try:
                yield
            finally:
                self._metrics.asked(Api(call.api), call.endpoint, call.code, monotonic() - begun, retries=call.retries)
                told: dict[str, str | int] = {
                    "sovereign.api": call.api,
                    "sovereign.endpoint": call.endpoint,
                    "sovereign.code": call.code,
                    "sovereign.retries": call.retries,
                }
                span.tell(told, failed=not _well(call.code))


def _well(code: str) -> bool:
    """Whether a call was answered as one hopes. Not being there, and being changed by another, are answers as well."""
    return code in {"success", "no_exists", "404", "409"} or code.startswith(("2", "3"))
