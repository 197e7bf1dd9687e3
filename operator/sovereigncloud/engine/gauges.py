"""Prometheus gauges computed at scrape time from the informer store and the view watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import time

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.change_limits import Verdict
from sovereigncloud.engine.cache.status_summary import StatusSummary
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.loop.queue import Lane
from sovereigncloud.engine.policy.bindings import JUDGED
from sovereigncloud.engine.telemetry import metric_catalogue as catalogue
from sovereigncloud.engine.telemetry.metric_catalogue import COMPLIANCE, CONDITIONS, OTHER, Api, Family
from sovereigncloud.engine.telemetry.metrics import Sample
from sovereigncloud.engine.views.monitored_accounts import Limited, MonitoredAccount
from sovereigncloud.ports.opennebula.views import CloudView

_KINDS = tuple(kind.crd.kind for kind in KINDS)
_REASONS = frozenset(Reason)


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """State of the engine at scrape time.

    Attributes:
        holds_lease: whether this process writes.
        waiting: keys in the queue, by lane.
        in_flight, oldest: number of running reconciles, and seconds that the oldest has taken.
        accounts: clouds and OVHcloud accounts that are read.
        verdicts: results of the change limits, by cloud or object.
        summaries: number of objects by kind and status summary.
        site_latencies: seconds from one site to another.
        exits: by cloud, how many of its VMs could leave, and how many there are.
    """

    holds_lease: bool
    waiting: Mapping[Lane, int]
    in_flight: int
    oldest: float
    accounts: Iterable[MonitoredAccount]
    verdicts: Iterable[tuple[Key, Verdict]]
    summaries: Counter[tuple[str, StatusSummary]]
    site_latencies: Mapping[tuple[Key, Key], float] = field(default_factory=dict)
    exits: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def gauges(look: Callable[[], EngineSnapshot]) -> Callable[[], Mapping[Family, Iterable[Sample]]]:
    """Return the function that `Metrics.show` registers."""

    def families() -> Mapping[Family, Iterable[Sample]]:
        now = look()
        return {**_process(now), **_accounts(now), **_exits(now), **_objects(now.summaries)}

    return families


def exits_of(store: Store) -> Mapping[str, tuple[int, int]]:
    """Return the movable and total VMs by cloud, as status.exit of each SovereignCloud reports them."""
    found: dict[str, tuple[int, int]] = {}
    for key in sorted(store.keys("SovereignCloud")):
        stored = store.stored(key)
        told = str(stored.status().get("exit") or "") if stored is not None else ""
        movable, _, machines = told.partition("/")
        if movable.isdigit() and machines.isdigit():
            found[_cloud(key)] = (int(movable), int(machines))
    return found


def _exits(now: EngineSnapshot) -> Mapping[Family, Iterable[Sample]]:
    return {
        catalogue.MACHINES: [((cloud,), machines) for cloud, (_, machines) in now.exits.items()],
        catalogue.MOVABLE: [((cloud,), movable) for cloud, (movable, _) in now.exits.items()],
    }


def _process(now: EngineSnapshot) -> Mapping[Family, Iterable[Sample]]:
    return {
        catalogue.LEASE: [((), float(now.holds_lease))],
        catalogue.IN_FLIGHT: [((), now.in_flight)],
        catalogue.OLDEST: [((), now.oldest)],
        catalogue.QUEUE: [((lane.name.lower(),), now.waiting[lane]) for lane in Lane],
    }


def _accounts(now: EngineSnapshot) -> Mapping[Family, Iterable[Sample]]:
    accounts = tuple(now.accounts)
    limited = [((a.api, a.name), a.client.allowance) for a in accounts if isinstance(a.client, Limited)]
    held = Counter[str]()
    for key, verdict in now.verdicts:
        held[_cloud(key)] += len(verdict.held)
    return {
        catalogue.BUDGET: [(labels, allowance.left) for labels, allowance in limited],
        catalogue.BUDGET_SIZE: [(labels, allowance.size) for labels, allowance in limited],
        catalogue.HELD_OFF: [(labels, allowance.paused) for labels, allowance in limited],
        catalogue.BREAKER: [(labels, float(allowance.refused)) for labels, allowance in limited],
        catalogue.SWEPT: [((a.api, a.name), a.watch.swept_at) for a in accounts],
        catalogue.FAILED_READS: [((a.api, a.name), a.watch.failures) for a in accounts],
        catalogue.LATENCY: [((a.name,), ms / 1000) for a in accounts if (ms := _latency(a)) is not None],
        catalogue.SITE_LATENCY: [
            ((_cloud(one), _cloud(other)), s) for (one, other), s in sorted(now.site_latencies.items())
        ],
        catalogue.BRAKES: [((name,), number) for name, number in sorted(held.items())],
        **_zones(accounts),
    }


def _zones(accounts: Iterable[MonitoredAccount]) -> Mapping[Family, Iterable[Sample]]:
    """Return the Raft state of the servers of federated clouds, as of the last read."""
    views = ((account.name, account.watch.view) for account in accounts if account.api is Api.OPENNEBULA)
    found = [(name, view.federation) for name, view in views if view is not None and view.federation is not None]
    rafts = [
        ((name, str(one.server.id)), one.raft)
        for name, federation in found
        for one in federation.answers
        if one.raft is not None
    ]
    return {
        catalogue.ZONE_TERM: [(labels, raft.term) for labels, raft in rafts],
        catalogue.ZONE_LOG: [(labels, raft.log_index) for labels, raft in rafts],
        catalogue.ZONE_COMMIT: [(labels, raft.commit) for labels, raft in rafts],
        catalogue.ZONE_FEDLOG: [(labels, raft.fed_index) for labels, raft in rafts],
        catalogue.ZONE_LAG: [
            ((name,), federation.in_step.lag)
            for name, federation in found
            if federation.in_step is not None and federation.in_step.master
        ],
    }


def _latency(account: MonitoredAccount) -> float | None:
    view = account.watch.view
    return view.latency if isinstance(view, CloudView) else None


def _cloud(key: Key) -> str:
    return f"{key.namespace}/{key.name}" if key.kind == "SovereignCloud" else catalogue.STANDALONE


def _objects(summaries: Counter[tuple[str, StatusSummary]]) -> Mapping[Family, Iterable[Sample]]:
    numbers, fields, since = Counter[str](), Counter[str](), dict[str, float]()
    judged = Counter[tuple[str, str]]()
    ready, copied, failed_over = Counter[str](), list[float](), list[float]()
    conditions, reasons = Counter[tuple[str, str, str]](), Counter[tuple[str, str]]()
    for (kind, summary), number in summaries.items():
        numbers[kind] += number
        fields[kind] += number * summary.fields
        if summary.since:
            since[kind] = min(summary.since, since.get(kind, summary.since))
        if summary.failover:
            ready["True" if summary.failover == "True" else "False"] += number
            copied += [summary.copied] if summary.copied else []
            failed_over += [summary.failed_over] if summary.failed_over else []
        if summary.compliant in COMPLIANCE:
            judged[kind, summary.compliant] += number
        if summary.stalled:
            reasons[kind, summary.stalled if summary.stalled in _REASONS else OTHER] += number
        for condition, status in _conditions(summary):
            conditions[kind, condition, status] += number
    return {
        catalogue.OBJECTS: [((kind,), numbers[kind]) for kind in _KINDS],
        catalogue.BY_CONDITION: [
            ((kind, condition, status), conditions[kind, condition, status])
            for kind in _KINDS
            for condition, statuses in CONDITIONS.items()
            for status in statuses
        ],
        catalogue.POLICY_OBJECTS: [((kind, one), judged[kind, one]) for kind in JUDGED for one in COMPLIANCE],
        catalogue.FAILOVER_READY: [((one,), ready[one]) for one in ("True", "False")],
        catalogue.COPY_AGE: [((), max(time() - min(copied), 0.0))] if copied else [],
        catalogue.FAILED_OVER: [((), max(failed_over))] if failed_over else [],
        catalogue.STALLED: sorted(reasons.items()),
        catalogue.DRIFT: [((kind,), fields[kind]) for kind in _KINDS],
        catalogue.DRIFT_SINCE: [((kind,), at) for kind, at in sorted(since.items())],
    }


def _conditions(summary: StatusSummary) -> Iterator[tuple[str, str]]:
    """Yield each condition with a status from the catalogue; status may hold other values, written by anybody."""
    yield "Ready", _known("Ready", summary.ready, otherwise="Unknown")
    yield "Reconciling", str(summary.reconciling)
    yield "Stalled", str(bool(summary.stalled))
    yield "Drifted", _known("Drifted", summary.drifted, otherwise="Unknown")
    yield "Paused", str(summary.paused)


def _known(condition: str, status: str, *, otherwise: str) -> str:
    return status if status in CONDITIONS[condition] else otherwise
