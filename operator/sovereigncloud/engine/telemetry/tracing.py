"""Traces, off by default: one per reconcile and one per reading of a cloud, with a span for each call outside.

The engine knows this port. What stands behind it is imported only where somebody wants traces (`engine/telemetry/otel.py`): it
takes memory and time that nobody should pay for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Attributes = Mapping[str, str | int]


class Span(Protocol):
    """A part of a trace."""

    @property
    def ids(self) -> tuple[str, str]:
        """Trace id and span id in hex; empty where nobody traces."""
        ...

    def tell(self, attributes: Attributes, *, failed: bool = False) -> None:
        """What came of it. Attributes hold no secret: names of objects, and what stands in closed sets."""
        ...


class Tracer(Protocol):
    """Begins spans. Each is left when its `with` is."""

    def trace(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """A new trace."""
        ...

    def call(self, name: str) -> AbstractContextManager[Span]:
        """A call outside, in the trace that asked for it; one that nobody's trace asked for is not told."""
        ...

    def shutdown(self) -> None:
        """Send what is not sent yet. Blocks; call it in a thread."""
        ...


class _NoSpan:
    ids = ("", "")

    def tell(self, attributes: Attributes, *, failed: bool = False) -> None: ...


_NO_SPAN = _NoSpan()


class Untraced:
    """Nobody wants traces."""

    @contextmanager
    def trace(self, name: str, attributes: Attributes) -> Iterator[Span]:
        del name, attributes
        yield _NO_SPAN

    @contextmanager
    def call(self, name: str) -> Iterator[Span]:
        del name
        yield _NO_SPAN

    def shutdown(self) -> None: ...


def tracer(endpoint: str) -> Tracer:
    """Sends to the base URL of an OTLP collector (http), without `/v1/traces`; empty: nobody is told."""
    if not endpoint:
        return Untraced()
    from sovereigncloud.engine.telemetry.otel import OpenTelemetry  # noqa: PLC0415 - 8 MB that only who traces pays for

    return OpenTelemetry(endpoint)
