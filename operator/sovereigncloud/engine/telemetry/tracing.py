"""Tracing port, off by default: one trace per reconcile and per view read, one span per external call.

The engine knows this port only. `engine/telemetry/otel.py` implements it and is imported only when tracing is enabled
(`wiring.tracer_for`), because OpenTelemetry takes memory and time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Attributes = Mapping[str, str | int]


class Span(Protocol):
    """Part of a trace."""

    @property
    def ids(self) -> tuple[str, str]:
        """Trace id and span id in hex; empty without tracing."""
        ...

    def tell(self, attributes: Attributes, *, failed: bool = False) -> None:
        """Set attributes of the result. They hold no secret: names of objects, and values from closed sets."""
        ...


class Tracer(Protocol):
    """Starts spans; each ends when its `with` block ends."""

    def trace(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """Start a new trace."""
        ...

    def call(self, name: str) -> AbstractContextManager[Span]:
        """Start a span for an external call in the current trace; without a trace the call is not recorded."""
        ...

    def shutdown(self) -> None:
        """Send the spans that are still buffered. Blocks; call it in a thread."""
        ...


class _NoSpan:
    ids = ("", "")

    def tell(self, attributes: Attributes, *, failed: bool = False) -> None: ...


_NO_SPAN = _NoSpan()


class NoTracer:
    """Tracer that records nothing."""

    @contextmanager
    def trace(self, name: str, attributes: Attributes) -> Iterator[Span]:
        del name, attributes
        yield _NO_SPAN

    @contextmanager
    def call(self, name: str) -> Iterator[Span]:
        del name
        yield _NO_SPAN

    def shutdown(self) -> None: ...
