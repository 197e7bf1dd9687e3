"""Traces over OTLP. Imported only where somebody wants them; the standard OTEL_* variables say the rest (sampling,
headers, resource attributes).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

import sovereigncloud
from sovereigncloud.engine.telemetry.tracing import Attributes, Span

SERVICE = "sovereign-cloud-operator"


class _Told:
    """A span of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def ids(self) -> tuple[str, str]:
        context = self._span.get_span_context()
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def tell(self, attributes: Attributes, *, failed: bool = False) -> None:
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))


class OpenTelemetry:
    """Behind the port `engine.tracing.Tracer`."""

    def __init__(self, endpoint: str) -> None:
        told = {"service.version": sovereigncloud.__version__}
        if not os.environ.get("OTEL_SERVICE_NAME"):
            told["service.name"] = SERVICE
        self._provider = TracerProvider(resource=Resource.create(told), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("sovereigncloud", sovereigncloud.__version__)

    @contextmanager
    def trace(self, name: str, attributes: Attributes) -> Iterator[Span]:
        # What an exception says may hold anything: it is for the log, which redacts.
        with self._tracer.start_as_current_span(
            name, context=Context(), attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            yield _Told(span)

    @contextmanager
    def call(self, name: str) -> Iterator[Span]:
        if not trace.get_current_span().get_span_context().is_valid:
            yield _Told(trace.INVALID_SPAN)
            return
        with self._tracer.start_as_current_span(
            name, kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
        ) as span:
            yield _Told(span)

    def shutdown(self) -> None:
        self._provider.shutdown()
