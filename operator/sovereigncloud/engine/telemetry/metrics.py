"""Prometheus metrics: counters and histograms (`Metrics`), and gauges computed at scrape time (`GaugeCollector`).

`engine/telemetry/metric_catalogue.py` describes each metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import sovereigncloud
from sovereigncloud.core.outcome import Phase
from sovereigncloud.engine.telemetry import metric_catalogue as catalogue
from sovereigncloud.engine.telemetry.metric_catalogue import Api, Family

# A second series for each counter and histogram, which says since when it counts: process_start_time_seconds does.
disable_created_metrics()  # type: ignore[no-untyped-call]

READS = frozenset({"get", "list", "watch"})
Sample = tuple[tuple[str, ...], float]
"""Label values and value of one series."""
Look = Callable[[], Mapping[Family, Iterable[Sample]]]


class Metrics:
    """Counters and histograms of the engine."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._reconciles = self._histogram(catalogue.RECONCILES)
        self._queue_wait = self._histogram(catalogue.QUEUE_WAIT)
        self._steps, self._step_time = self._counter(catalogue.STEPS), self._histogram(catalogue.STEP_TIME)
        self._requests, self._retries = self._counter(catalogue.REQUESTS), self._counter(catalogue.RETRIES)
        self._request_time = self._histogram(catalogue.REQUEST_TIME)
        self._writes = self._counter(catalogue.WRITES)
        self._sweeps = self._histogram(catalogue.SWEEPS)
        self._watched = Gauge(catalogue.WATCHED.name, catalogue.WATCHED.help, registry=registry)
        build = Gauge(catalogue.BUILD.name, catalogue.BUILD.help, catalogue.BUILD.labels, registry=registry)
        build.labels(sovereigncloud.__version__).set(1)

    def reconciled(self, kind: str, outcome: Phase | str, seconds: float) -> None:
        """Record the duration of a reconcile by outcome: a phase, "gone" or "error"."""
        said = outcome.name.lower() if isinstance(outcome, Phase) else outcome
        self._reconciles.labels(kind, said).observe(seconds)

    def waited(self, lane: str, seconds: float) -> None:
        """Record how long a key waited in the queue."""
        self._queue_wait.labels(lane).observe(seconds)

    def step(self, kind: str, action: str, result: str, seconds: float) -> None:
        self._steps.labels(kind, action, result).inc()
        self._step_time.labels(kind, action).observe(seconds)

    def request_finished(self, api: Api, endpoint: str, code: str, seconds: float, *, retries: int = 0) -> None:
        """Record an external request and its response code, or that there was no response."""
        self._requests.labels(api, endpoint, code).inc()
        self._request_time.labels(api, endpoint).observe(seconds)
        if retries:
            self._retries.labels(api).inc(retries)
        if api is Api.KUBERNETES and code.startswith("2"):
            verb, _, resource = endpoint.partition(" ")
            if verb not in READS:
                self._writes.labels(verb, resource).inc()

    def swept(self, api: Api, seconds: float) -> None:
        self._sweeps.labels(api).observe(seconds)

    def watch_event(self, at: float) -> None:
        self._watched.set(at)

    def show(self, look: Look) -> None:
        """Register gauges that are computed at scrape time."""
        self.registry.register(GaugeCollector(look))

    def _counter(self, family: Family) -> Counter:
        return Counter(family.name, family.help, family.labels, registry=self.registry)

    def _histogram(self, family: Family) -> Histogram:
        return Histogram(family.name, family.help, family.labels, buckets=family.buckets, registry=self.registry)


class GaugeCollector(Collector):
    """Collector of gauges computed at scrape time; a deleted object leaves no stale series."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for family, samples in self._look().items():
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in samples:
                gauge.add_metric(labels, value)
            yield gauge
