"""Prometheus metrics. No label holds the name of an object, so that their number stays bounded."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        self.drifted = Gauge("sovereign_drifted_objects", "Objects with drift, by kind.", ["kind"], registry=registry)
        self.ready = Gauge("sovereign_objects", "Objects by kind and Ready.", ["kind", "ready"], registry=registry)
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

    def watch_queue(self, depth: Callable[[], int]) -> None:
        self._queue.set_function(depth)
