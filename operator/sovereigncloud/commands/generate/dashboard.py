"""The Grafana dashboard of the chart, from a description that a person can read.

Every query is held to a real Prometheus in tests/integration/prometheus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT = 24, 8


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: what it tells.
        queries: PromQL by legend; JOB in it stands for the choice of the operator.
        unit: of Grafana: s, short, bytes, ops, ...
        shape: timeseries, stat or table.
        width: of 24.
        help: a sentence, where the title does not say what to look for.
    """

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    shape: str = "timeseries"
    width: int = 8
    help: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def _quantile(q: float, metric: str, by: str, selector: str = "JOB") -> str:
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{selector}}}[$__rate_interval])))"


ROWS = (
    Row(
        "What is kept",
        (
            Panel(
                "Objects that are Ready",
                {
                    "": 'sum(sovereign_object_conditions{JOB,condition="Ready",status="True"}) / sum(sovereign_objects{JOB})'
                },
                "percentunit",
                "stat",
                4,
            ),
            Panel("Fields that differ", {"": "sum(sovereign_drift_fields{JOB})"}, shape="stat", width=4),
            Panel(
                "Waiting for a person",
                {"": 'sum(sovereign_object_conditions{JOB,condition="Stalled",status="True"})'},
                shape="stat",
                width=4,
            ),
            Panel("Changes held by the brakes", {"": "sum(sovereign_brakes_held_changes{JOB})"}, shape="stat", width=4),
            Panel(
                "Processes that write",
                {"": "sum(sovereign_lease_held{JOB})"},
                shape="stat",
                width=4,
                help="1 at any time.",
            ),
            Panel("Version", {"{{version}}": "count by (version) (sovereign_build_info{JOB})"}, shape="stat", width=4),
            Panel("Objects by kind", {"{{kind}}": "sum by (kind) (sovereign_objects{JOB})"}),
            Panel(
                "Not Ready",
                {"{{kind}}": 'sum by (kind) (sovereign_object_conditions{JOB,condition="Ready",status!="True"})'},
            ),
            Panel(
                "Waiting for a person, by why",
                {"{{kind}} {{reason}}": "sum by (kind, reason) (sovereign_stalled_objects{JOB})"},
            ),
            Panel("Fields that differ, by kind", {"{{kind}}": "sum by (kind) (sovereign_drift_fields{JOB})"}),
            Panel(
                "Oldest difference that is to be corrected",
                {"{{kind}}": "time() - min by (kind) (sovereign_drift_oldest_timestamp_seconds{JOB})"},
                "s",
            ),
            Panel(
                "Paused and reconciling",
                {
                    "{{condition}}": "sum by (condition) (sovereign_object_conditions"
                    '{JOB,condition=~"Paused|Reconciling",status="True"})'
                },
            ),
        ),
    ),
    Row(
        "What the operator does",
        (
            Panel(
                "Reconciles per second, by outcome",
                {
                    "{{outcome}}": "sum by (outcome) (rate(sovereign_reconcile_duration_seconds_count{JOB}[$__rate_interval]))"
                },
                "ops",
            ),
            Panel(
                "Time of a reconcile",
                {
                    "{{kind}} median": _quantile(0.5, "sovereign_reconcile_duration_seconds", "kind"),
                    "{{kind}} p99": _quantile(0.99, "sovereign_reconcile_duration_seconds", "kind"),
                },
                "s",
            ),
            Panel(
                "Steps",
                {
                    "{{kind}} {{action}} {{result}}": "sum by (kind, action, result) "
                    "(increase(sovereign_steps_total{JOB}[$__rate_interval]))"
                },
            ),
            Panel("Queue", {"{{lane}}": "sum by (lane) (sovereign_queue_depth{JOB})"}),
            Panel("Wait in the queue, p99", {"{{lane}}": _quantile(0.99, "sovereign_queue_wait_seconds", "lane")}, "s"),
            Panel(
                "Under way",
                {
                    "reconciles": "sum(sovereign_reconciles_in_flight{JOB})",
                    "oldest, seconds": "max(sovereign_reconcile_oldest_seconds{JOB})",
                },
            ),
            Panel(
                "Time of a step, p99",
                {"{{kind}} {{action}}": _quantile(0.99, "sovereign_step_duration_seconds", "kind, action")},
                "s",
            ),
            Panel("Time of a sweep, p99", {"{{api}}": _quantile(0.99, "sovereign_sweep_duration_seconds", "api")}, "s"),
            Panel(
                "Since the last comparison with reality",
                {
                    "{{api}} {{account}}": "time() - max by (api, account) (sovereign_sweep_last_success_timestamp_seconds{JOB})"
                },
                "s",
                help="More than the interval of the sweeps means that nobody looks.",
            ),
        ),
    ),
    Row(
        "Whom it asks",
        (
            Panel(
                "Requests per second, by answer",
                {
                    "{{api}} {{code}}": "sum by (api, code) (rate(sovereign_external_requests_total{JOB}[$__rate_interval]))"
                },
                "reqps",
            ),
            Panel(
                "Time of a request, p99",
                {"{{api}}": _quantile(0.99, "sovereign_external_request_duration_seconds", "api")},
                "s",
            ),
            Panel(
                "Busiest endpoints",
                {
                    "{{api}} {{endpoint}}": "topk(10, sum by (api, endpoint) "
                    "(rate(sovereign_external_requests_total{JOB}[$__rate_interval])))"
                },
                "reqps",
            ),
            Panel(
                "Requests left",
                {"{{api}} {{account}}": "min by (api, account) (sovereign_external_budget_requests{JOB})"},
                help="Below zero: so many wait for their turn.",
            ),
            Panel(
                "Down, or asking for patience",
                {
                    "{{account}} down": "max by (account) (sovereign_external_breaker_open{JOB})",
                    "{{account}} held off, seconds": "max by (account) (sovereign_external_held_off_seconds{JOB})",
                    "{{account}} failed reads": "max by (account) (sovereign_sweep_failed_reads{JOB})",
                },
            ),
            Panel(
                "Writes to Kubernetes per second",
                {
                    "{{verb}} {{resource}}": "sum by (verb, resource) "
                    "(rate(sovereign_kubernetes_writes_total{JOB}[$__rate_interval]))"
                },
                "ops",
                help="At rest only Leases are written.",
            ),
        ),
    ),
    Row(
        "The process",
        (
            Panel("Memory", {"{{pod}}": "process_resident_memory_bytes{JOB}"}, "bytes"),
            Panel("CPU", {"{{pod}}": "rate(process_cpu_seconds_total{JOB}[$__rate_interval])"}, "percentunit"),
            Panel(
                "Since the API server last told something",
                {"{{pod}}": "time() - sovereign_watch_last_event_timestamp_seconds{JOB}"},
                "s",
            ),
        ),
    ),
)


def dashboard() -> str:
    """The JSON that Grafana imports; its sidecar takes it from a ConfigMap of the chart."""
    return (
        json.dumps(
            {
                "title": "Sovereign clouds",
                "uid": "sovereign-clouds",
                "tags": ["sovereign-cloud-operator"],
                "schemaVersion": 39,
                "editable": True,
                "graphTooltip": 1,
                "time": {"from": "now-6h", "to": "now"},
                "refresh": "1m",
                "timezone": "",
                "annotations": {"list": []},
                "templating": {"list": [_datasource(), _job()]},
                "panels": list(_panels()),
            },
            indent=1,
        )
        + "\n"
    )


def _datasource() -> Json:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _job() -> Json:
    query = "label_values(sovereign_build_info, job)"
    return {
        "name": "job",
        "label": "Operator",
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "job"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
        "hide": 0,
    }


def _panels() -> Iterator[Json]:
    number = y = 0
    for row in ROWS:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": _at(0, y, 24, 1),
        }
        y, x, height = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + height
            height = _HEIGHT // 2 if panel.shape == "stat" else _HEIGHT
            number += 1
            yield _panel(panel, number, _at(x, y, panel.width, height))
            x += panel.width
        y += height


def _panel(panel: Panel, number: int, place: Json) -> Json:
    return {
        "id": number,
        "type": panel.shape,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query.replace("JOB", 'job=~"$job"'),
                "legendFormat": legend or "__auto",
                "range": True,
            }
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _at(x: int, y: int, width: int, height: int) -> Json:
    return {"x": x, "y": y, "w": width, "h": height}
