"""How many machines could start elsewhere, how old the oldest of their copies is, and when one last did."""

from collections import Counter
from time import time

import pytest
from tests.fakes import objects

from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.gauges import _objects
from sovereigncloud.engine.telemetry import metric_catalogue

DAY = "2026-11-0{}T00:00:00Z"


def gauges(*told):
    """Of machines with these: FailoverReady, lastCopy, lastFailover."""
    store = Store()
    for number, (ready, copied, at) in enumerate(told):
        continuity = {"lastCopy": copied, "lastFailover": {"at": at} if at else None}
        status = {"conditions": [objects.condition("FailoverReady", ready)] if ready else [], "continuity": continuity}
        store.put(objects.instance(f"web-{number}", status=status))
    return _objects(Counter(store.standings()))


def test_of_each_the_worst():
    found = gauges(
        ("True", DAY.format(3), None),
        ("False", DAY.format(2), DAY.format(1)),
        ("False", None, DAY.format(4)),
        ("", DAY.format(1), None),
    )
    assert dict(found[metric_catalogue.FAILOVER_READY]) == {("True",): 1, ("False",): 2}
    ((_, age),) = found[metric_catalogue.COPY_AGE]
    assert age == pytest.approx(time() - 1793577600, abs=60), "of the second of November"
    assert found[metric_catalogue.FAILED_OVER] == [((), 1793750400.0)]


def test_where_nobody_asks_for_it():
    found = gauges(("", None, None))
    assert dict(found[metric_catalogue.FAILOVER_READY]) == {("True",): 0, ("False",): 0}
    assert (found[metric_catalogue.COPY_AGE], found[metric_catalogue.FAILED_OVER]) == ([], [])
