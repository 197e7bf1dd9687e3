"""Prometheus metrics. No label holds the name of an object, so that their number stays bounded."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sovereigncloud.core.outcome import Phase


class Metrics:
    """What the engine counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._reconciles = Counter(
            "sovereign_reconciles", "Reconciles by kind and what they came to.", ["kind", "result"], registry=registry
        )
        self._seconds = Histogram(
            "sovereign_reconcile_seconds",
            "Time of one reconcile.",
            ["kind"],
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
            registry=registry,
        )
        self._steps = Counter(
            "sovereign_steps", "Steps performed outside.", ["kind", "action", "result"], registry=registry
        )
        self._step_seconds = Histogram(
            "sovereign_step_seconds",
            "Time of one step outside.",
            ["kind", "action"],
            buckets=(0.01, 0.05, 0.2, 1, 5, 30, 120),
            registry=registry,
        )
        self._writes = Counter("sovereign_status_writes", "Status PATCHes.", ["kind"], registry=registry)
        self._sweeps = Histogram(
            "sovereign_sweep_seconds", "Time of one sweep.", buckets=(0.01, 0.1, 0.5, 2, 10, 60), registry=registry
        )
        self._swept = Gauge("sovereign_last_sweep_timestamp_seconds", "When the last sweep ended.", registry=registry)
        self._queue = Gauge("sovereign_queue_depth", "Keys that wait to be reconciled.", registry=registry)
        self._events = Gauge(
            "sovereign_last_event_timestamp_seconds", "When the API server last told something.", registry=registry
        )

    def outcome(self, kind: str, phase: Phase) -> None:
        self._reconciles.labels(kind, phase.name.lower()).inc()

    def reconciled(self, kind: str, seconds: float) -> None:
        self._seconds.labels(kind).observe(seconds)

    def step(self, kind: str, action: str, result: str, seconds: float) -> None:
        self._steps.labels(kind, action, result).inc()
        self._step_seconds.labels(kind, action).observe(seconds)

    def wrote(self, kind: str) -> None:
        self._writes.labels(kind).inc()

    def swept(self, seconds: float, at: float) -> None:
        self._sweeps.observe(seconds)
        self._swept.set(at)

    def told(self, at: float) -> None:
        self._events.set(at)

    def watch_objects(self, counts: Callable[[], Mapping[tuple[str, str, bool], int]]) -> None:
        """Count objects by (kind, Ready, drifted) when somebody asks."""
        self.registry.register(_Objects(counts))

    def watch_queue(self, depth: Callable[[], int]) -> None:
        self._queue.set_function(depth)


class _Objects(Collector):
    """What the store holds, counted when it is asked for."""

    def __init__(self, counts: Callable[[], Mapping[tuple[str, str, bool], int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        objects = GaugeMetricFamily("sovereign_objects", "Objects by kind and Ready.", labels=["kind", "ready"])
        drifted = GaugeMetricFamily("sovereign_drifted_objects", "Objects with drift, by kind.", labels=["kind"])
        by_ready, by_drift = Count[tuple[str, str]](), Count[str]()
        for (kind, ready, differs), number in self._counts().items():
            by_ready[kind, ready] += number
            by_drift[kind] += number if differs else 0
        for labels, number in sorted(by_ready.items()):
            objects.add_metric(labels, number)
        for kind, number in sorted(by_drift.items()):
            drifted.add_metric([kind], number)
        yield objects
        yield drifted
