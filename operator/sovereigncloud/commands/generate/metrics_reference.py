"""The reference of the metrics for the documentation, from the catalogue that they are made from."""

from __future__ import annotations

from collections.abc import Iterator

from sovereigncloud.engine.telemetry.metric_catalogue import FAMILIES, LABELS, Family

_HEAD = """\
<!-- Generated from operator/sovereigncloud/engine/telemetry/metric_catalogue.py by `sovereign crds --write`. Do not edit. -->
# Metrics

The operator answers on `/metrics` (port 8080, without authentication). [How to observe](../how-to/observe.md) says how
Prometheus gets there, and [Alerts](alerts.md) what to do when one fires.

No label holds the name of an object, and values come from closed sets: a thousand machines have as many series as one.
Only `account`, `from` and `to` grow, with the clouds and OVHcloud accounts, and their series go when a cloud goes.
Besides these there are the metrics of the process: `process_*`, `python_info`, `python_gc_*`.

| metric | type | labels | what it tells |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The text of docs/reference/metrics.md."""
    return (
        _HEAD + "".join(map(_row, FAMILIES)) + "\n## Labels\n\n| label | values |\n| --- | --- |\n" + "".join(_labels())
    )


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.shape} | {labels} | {family.help} |\n"


def _labels() -> Iterator[str]:
    for label, meaning in sorted(LABELS.items()):
        yield f"| `{label}` | {meaning} |\n"
