"""Names follow Prometheus' rules, and the number of series does not grow with the number of objects."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.fakes import objects
from tests.fakes.engine_bench import scenario
from tests.fakes.objects import CLOUD, key

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.plan import Action
from sovereigncloud.engine.telemetry.metric_catalogue import CONDITIONS, FAMILIES, LABELS, OTHER, OUTCOMES, Api, Shape
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.providers.call_observer import NO_ANSWER
from sovereigncloud.providers.ovh.endpoints import ENDPOINTS, endpoint_class

ABBREVIATED = re.compile(
    r"_(s|ms|us|ns|sec|secs|min|mins|hr|hrs|kb|mb|gb|bits|percent|pct|milliseconds|minutes|hours|days)(_|$)"
)
UNITS = (
    "seconds",
    "bytes",
    "ratio",
    "requests",
    "machines",
    "records",
    "index",
    "term",
    "objects",
    "fields",
    "changes",
    "reads",
    "info",
    "depth",
    "conditions",
)
CLOSED = {
    "action": set(Action),
    "api": set(Api),
    "condition": set(CONDITIONS),
    "kind": {kind.crd.kind for kind in KINDS},
    "lane": {"user", "recheck"},
    "outcome": set(OUTCOMES),
    "reason": {*Reason, OTHER},
    "result": {"done", "failed"},
    "status": {"True", "False", "Unknown"},
    "verb": {"create", "update", "patch", "delete"},
}


# --- names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_a_name_follows_the_rules_of_prometheus(family):
    assert re.fullmatch(r"sovereign_[a-z]+(_[a-z]+)*", family.name)
    assert not ABBREVIATED.search(family.name), "base units, written out"
    assert family.name.endswith("_total") == (family.shape is Shape.COUNTER)
    assert not re.search(r"_(count|sum|bucket)$", family.name), "they belong to histograms"
    if family.shape is Shape.HISTOGRAM:
        assert family.name.endswith("_seconds")
        assert list(family.buckets) == sorted(family.buckets)
        assert len(family.buckets) <= 8, "each is a series per combination of labels"
    if "timestamp" in family.name:
        assert family.name.endswith("_timestamp_seconds")
    if family.shape is Shape.GAUGE:
        last = family.name.rpartition("_")[2]
        assert last in UNITS or family.name in {
            "sovereign_lease_held",
            "sovereign_reconciles_in_flight",
            "sovereign_external_breaker_open",
        }
    assert re.fullmatch(r"(?s)[A-Z0-9].*\.", family.help), "a sentence"
    assert set(family.labels) <= set(LABELS)
    assert not {"name", "namespace", "uid", "id", "object", "job", "instance", "le"} & set(family.labels)


def test_labels_are_described_and_none_is_described_for_nothing():
    assert {label for family in FAMILIES for label in family.labels} == set(LABELS)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


# --- what is exposed -------------------------------------------------------------------------------------------------------


def exposed(b):
    return list(text_string_to_metric_families(generate_latest(b.metrics.registry).decode()))


def series(b):
    return {(s.name, tuple(sorted(s.labels.items()))) for family in exposed(b) for s in family.samples}


def value(b, name, **labels):
    return b.metrics.registry.get_sample_value(name, labels)


@scenario
async def test_everything_exposed_stands_in_the_catalogue_with_values_of_closed_sets(b):
    await b.running("web", "db")
    names = {family.name for family in FAMILIES}
    for family in exposed(b):
        assert {family.name, f"{family.name}_total"} & names, family.name
        for sample in family.samples:
            assert not sample.name.endswith("_created"), "it doubles the series and tells nothing"
            for label, said in sample.labels.items():
                assert said in CLOSED.get(label, {said}), (family.name, label, said)


@scenario
async def test_a_thousand_objects_have_as_many_series_as_two(b):
    await b.running("web", "db")
    few = series(b)
    for number in range(20):
        b.api.apply(objects.instance(f"vm-{number:04}"))
    await b.after(60)
    some = series(b)
    assert {name for name, _ in some - few} <= {"sovereign_queue_wait_seconds_bucket"}, "those went the whole way"
    for number in range(1000):  # and these are only kept: the loop over so many takes half a minute
        b.engine.store.put(objects.instance(f"vm-1{number:04}", status=b.api.status(key("web"))))
    assert value(b, "sovereign_objects", kind="HostedInstance") == 1022
    assert value(b, "sovereign_object_conditions", kind="HostedInstance", condition="Ready", status="True") == 1022
    assert series(b) == some
    assert not any("vm-0" in text for _, labels in series(b) for pair in labels for text in pair)


@scenario
async def test_a_cloud_that_went_takes_its_series_along(b):
    await b.running("web")
    about = {name for name, labels in series(b) if ("account", "prefecture/paris") in labels}
    assert {"sovereign_external_budget_requests", "sovereign_sweep_last_success_timestamp_seconds"} <= about
    b.api.delete(key("web"))
    await b.after(60)
    b.api.delete(CLOUD)
    await b.after(60)
    left = [labels for _, labels in series(b) if any(name == "account" for name, _ in labels)]
    assert left == []
    assert not b.clients._open_nebula, "nor is the client kept"
    assert not b.clients._secrets, "nor what was read from the Secret"


@scenario
async def test_drift_that_is_only_reported_is_counted_and_has_no_date(b):
    await b.running("web", driftPolicy={"default": "Report"})
    b.outside.change(10, name="renamed", memory=1)
    await b.after(70)
    assert value(b, "sovereign_drift_fields", kind="HostedInstance") == 2
    assert value(b, "sovereign_drift_oldest_timestamp_seconds", kind="HostedInstance") is None


@scenario
async def test_drift_that_is_to_be_corrected_is_dated_and_a_stalled_object_says_why(b):
    await b.running("web")
    b.outside.deaf = True
    b.outside.change(10, memory=1)
    await b.after(70)
    assert value(b, "sovereign_drift_oldest_timestamp_seconds", kind="HostedInstance") > 1_700_000_000
    assert value(b, "sovereign_stalled_objects", kind="HostedInstance", reason="NotConverging") == 1
    assert value(b, "sovereign_object_conditions", kind="HostedInstance", condition="Stalled", status="True") == 1


@scenario(brake_objects=1)
async def test_what_the_brakes_hold_is_counted(b):
    await b.running("a", "b", "c", updatePolicy={"replace": "Allow"})
    b.outside.lose(10, 11)
    await b.after(70)
    held = {s.value for f in exposed(b) if f.name == "sovereign_brakes_held_changes" for s in f.samples}
    assert held == {2}


@scenario
async def test_a_reason_that_nobody_knows_is_other(b):
    await b.running("web")
    b.engine.store.put(
        objects.instance("odd")
        | {"status": {"conditions": [{"type": "Stalled", "status": "True", "reason": "SomebodyWroteThis"}]}}
    )
    assert value(b, "sovereign_stalled_objects", kind="HostedInstance", reason="Other") == 1


def test_requests_are_counted_by_answer_and_writes_of_kubernetes_apart():
    metrics = Metrics(CollectorRegistry())
    told = metrics.registry.get_sample_value
    metrics.asked(Api.KUBERNETES, "patch hostedinstances/status", "200", 0.1)
    metrics.asked(Api.KUBERNETES, "patch hostedinstances/status", "409", 0.1)
    metrics.asked(Api.KUBERNETES, "list hostedinstances", "200", 0.1)
    metrics.asked(Api.OVH, "GET /v1/ip/{}", NO_ANSWER, 3.0, retries=2)
    assert told("sovereign_kubernetes_writes_total", {"verb": "patch", "resource": "hostedinstances/status"}) == 1
    assert told("sovereign_external_requests_total", {"api": "ovh", "endpoint": "GET /v1/ip/{}", "code": "none"}) == 1
    assert told("sovereign_external_retries_total", {"api": "ovh"}) == 2


@pytest.mark.parametrize(
    ("why", "path", "wanted"),
    [
        ("the name of a server", "/v1/dedicated/server/ns1.eu", "GET /v1/dedicated/server/{}"),
        ("a block with its mask quoted", "/v1/vrack/pn-1/ip/10.0.0.0%2F28", "GET /v1/vrack/{}/ip/{}"),
        ("a urn", "/v2/iam/resource/urn%3Av1%3Aeu/tag/key", "GET /v2/iam/resource/{}/tag/{}"),
        ("no id in it", "/v1/services", "GET /v1/services"),
        ("nobody knows it", "/v1/me/12345", "GET other"),
    ],
)
def test_an_endpoint_of_ovhcloud_is_told_without_ids(why, path, wanted):
    assert endpoint_class("GET", path) == wanted, why
    assert wanted.partition(" ")[2] in (*ENDPOINTS, "other")
