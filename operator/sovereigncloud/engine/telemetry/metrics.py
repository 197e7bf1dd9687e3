"""Prometheus metrics: what is counted when it happens (`Metrics`), and what is looked up when somebody asks (`Shown`).

What each means stands in `engine/telemetry/metric_catalogue.py`.
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
"""(values of the labels, value)"""
Look = Callable[[], Mapping[Family, Iterable[Sample]]]


class Metrics:
    """What the engine counts."""

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
        """A reconcile ended: with a phase, or gone, or error."""
        said = outcome.name.lower() if isinstance(outcome, Phase) else outcome
        self._reconciles.labels(kind, said).observe(seconds)

    def waited(self, lane: str, seconds: float) -> None:
        """A key came out of the queue."""
        self._queue_wait.labels(lane).observe(seconds)

    def step(self, kind: str, action: str, result: str, seconds: float) -> None:
        self._steps.labels(kind, action, result).inc()
        self._step_time.labels(kind, action).observe(seconds)

    def asked(self, api: Api, endpoint: str, code: str, seconds: float, *, retries: int = 0) -> None:
        """A request was answered, or nobody did."""
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

    def told(self, at: float) -> None:
        self._watched.set(at)

    def show(self, look: Look) -> None:
        """Expose gauges that are looked up when somebody asks."""
        self.registry.register(Shown(look))

    def _counter(self, family: Family) -> Counter:
        return Counter(family.name, family.help, family.labels, registry=self.registry)

    def _histogram(self, family: Family) -> Histogram:
        return Histogram(family.name, family.help, family.labels, buckets=family.buckets, registry=self.registry)


class Shown(Collector):
    """Gauges as they are at the moment of asking: what went away has no series any more."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for family, samples in self._look().items():
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in samples:
                gauge.add_metric(labels, value)
            yield gauge
