"""Gauges that are looked up when somebody asks for the metrics: they can neither lag behind nor outlive what they tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import time
from typing import Any, Protocol, runtime_checkable

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
from sovereigncloud.engine.views.cloud_watch import ViewWatch
from sovereigncloud.ports.opennebula.views import CloudView

_KINDS = tuple(kind.crd.kind for kind in KINDS)
_REASONS = frozenset(Reason)


class Allowance(Protocol):
    """What a credential may still ask; see `providers.limits.Allowance`."""

    @property
    def left(self) -> float: ...
    @property
    def size(self) -> float: ...
    @property
    def paused(self) -> float: ...
    @property
    def refused(self) -> bool: ...


@runtime_checkable
class Limited(Protocol):
    """A client that tells what it may still ask."""

    @property
    def allowance(self) -> Allowance: ...


@dataclass(frozen=True, slots=True)
class Account:
    """A cloud or an OVHcloud account that is read.

    Attributes:
        api: whose it is.
        name: namespace/name of its SovereignCloud or Secret.
        watch: reads it.
        client: None before the first read.
    """

    api: Api
    name: str
    watch: ViewWatch[Any]
    client: object


@dataclass(frozen=True, slots=True)
class Now:
    """The engine at the moment of asking.

    Attributes:
        holds_lease: whether this process writes.
        waiting: keys in the queue, by lane.
        in_flight, oldest: reconciles that are under way, and the seconds that the oldest has taken.
        accounts: what is read.
        verdicts: of the brakes, by cloud or object.
        standings: how many objects of a kind stand how.
        distances: seconds from one site to another.
        exits: by cloud, how many of its machines could leave, and how many there are.
    """

    holds_lease: bool
    waiting: Mapping[Lane, int]
    in_flight: int
    oldest: float
    accounts: Iterable[Account]
    verdicts: Iterable[tuple[Key, Verdict]]
    standings: Counter[tuple[str, StatusSummary]]
    distances: Mapping[tuple[Key, Key], float] = field(default_factory=dict)
    exits: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def gauges(look: Callable[[], Now]) -> Callable[[], Mapping[Family, Iterable[Sample]]]:
    """What `Metrics.show` takes."""

    def families() -> Mapping[Family, Iterable[Sample]]:
        now = look()
        return {**_process(now), **_accounts(now), **_exits(now), **_objects(now.standings)}

    return families


def exits_of(store: Store) -> Mapping[str, tuple[int, int]]:
    """As the clouds say."""
    found: dict[str, tuple[int, int]] = {}
    for key in sorted(store.keys("SovereignCloud")):
        stored = store.stored(key)
        told = str(stored.status().get("exit") or "") if stored is not None else ""
        movable, _, machines = told.partition("/")
        if movable.isdigit() and machines.isdigit():
            found[_cloud(key)] = (int(movable), int(machines))
    return found


def _exits(now: Now) -> Mapping[Family, Iterable[Sample]]:
    return {
        catalogue.MACHINES: [((cloud,), machines) for cloud, (_, machines) in now.exits.items()],
        catalogue.MOVABLE: [((cloud,), movable) for cloud, (movable, _) in now.exits.items()],
    }


def _process(now: Now) -> Mapping[Family, Iterable[Sample]]:
    return {
        catalogue.LEASE: [((), float(now.holds_lease))],
        catalogue.IN_FLIGHT: [((), now.in_flight)],
        catalogue.OLDEST: [((), now.oldest)],
        catalogue.QUEUE: [((lane.name.lower(),), now.waiting[lane]) for lane in Lane],
    }


def _accounts(now: Now) -> Mapping[Family, Iterable[Sample]]:
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
            ((_cloud(one), _cloud(other)), s) for (one, other), s in sorted(now.distances.items())
        ],
        catalogue.BRAKES: [((name,), number) for name, number in sorted(held.items())],
        **_zones(accounts),
    }


def _zones(accounts: Iterable[Account]) -> Mapping[Family, Iterable[Sample]]:
    """How far the servers of federated clouds are, as they said when they were read last."""
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


def _latency(account: Account) -> float | None:
    view = account.watch.view
    return view.latency if isinstance(view, CloudView) else None


def _cloud(key: Key) -> str:
    return f"{key.namespace}/{key.name}" if key.kind == "SovereignCloud" else catalogue.STANDALONE


def _objects(standings: Counter[tuple[str, StatusSummary]]) -> Mapping[Family, Iterable[Sample]]:
    numbers, fields, since = Counter[str](), Counter[str](), dict[str, float]()
    judged = Counter[tuple[str, str]]()
    ready, copied, failed_over = Counter[str](), list[float](), list[float]()
    conditions, reasons = Counter[tuple[str, str, str]](), Counter[tuple[str, str]]()
    for (kind, standing), number in standings.items():
        numbers[kind] += number
        fields[kind] += number * standing.fields
        if standing.since:
            since[kind] = min(standing.since, since.get(kind, standing.since))
        if standing.failover:
            ready["True" if standing.failover == "True" else "False"] += number
            copied += [standing.copied] if standing.copied else []
            failed_over += [standing.failed_over] if standing.failed_over else []
        if standing.compliant in COMPLIANCE:
            judged[kind, standing.compliant] += number
        if standing.stalled:
            reasons[kind, standing.stalled if standing.stalled in _REASONS else OTHER] += number
        for condition, status in _conditions(standing):
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


def _conditions(standing: StatusSummary) -> Iterator[tuple[str, str]]:
    """Every condition with a status that the catalogue knows; somebody may have written another into status."""
    yield "Ready", _known("Ready", standing.ready, otherwise="Unknown")
    yield "Reconciling", str(standing.reconciling)
    yield "Stalled", str(bool(standing.stalled))
    yield "Drifted", _known("Drifted", standing.drifted, otherwise="Unknown")
    yield "Paused", str(standing.paused)


def _known(condition: str, status: str, *, otherwise: str) -> str:
    return status if status in CONDITIONS[condition] else otherwise
