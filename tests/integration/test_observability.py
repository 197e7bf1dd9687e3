"""A running operator seen from outside: a real Prometheus that scrapes it, a collector of its traces, its log, its events.

One stage for all: three machines of which one drifts and one cannot be made, a server at OVHcloud, an API that says no.
"""

import base64
import json

import pytest
from tests.integration import hosted_scenes
from tests.integration.otlp import CLIENT, Collector

from sovereigncloud_sandbox.prometheus import JOB, Prometheus, promtool
from sovereigncloud_sandbox.stage import CHART, SYSTEM, condition

DASHBOARD = json.loads((CHART / "files" / "dashboards" / "sovereign-clouds.json").read_text())
RULES = CHART / "files" / "rules" / "alerts.yaml"
TARGETS = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
]


@pytest.fixture(scope="module")
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def stage(bare_stage, collector):
    bare_stage.start_operator(log_format="json", tracing_endpoint=collector.url)
    yield bare_stage
    print(bare_stage.log()[-8000:])


@pytest.fixture(scope="module")
def prometheus(stage, prometheus_programs, tmp_path_factory):
    stage.probe("/readyz")
    port = stage.probe("/metrics").url.split(":")[2].partition("/")[0]
    where = tmp_path_factory.mktemp("prometheus")
    with Prometheus(where, prometheus_programs, target=f"127.0.0.1:{port}", rules=(RULES,)) as prometheus:
        yield prometheus


def drift_told(stage):
    """How often it was said of the machine that is switched off that it drifted."""
    return sum(e["count"] for e in stage.events("HostedInstance", "off") if e["reason"] == "DriftDetected")


@pytest.fixture(scope="module")
def story(stage, paris):
    """What happens, once, while everybody watches."""
    server = {"endpoint": "ovh-eu", "serviceName": hosted_scenes.NODE, "credentialsSecretRef": {"name": "ovh-account"}}
    stage.apply([
        hosted_scenes.account(stage),
        paris.object("BareMetalServer", "node", {"ovh": server, "management": "Observe"}),
        *(paris.instance(name) for name in ("calm", "off", "renamed")),
        paris.instance("impossible", networks=[{"name": "there-is-none"}]),
    ])  # fmt: skip
    for name in ("calm", "off", "renamed"):
        paris.ready("hostedinstance", name)
    paris.says("hostedinstance", "impossible", "Stalled", "NetworkNotFound")
    for times in (1, 2):
        paris.mischief("vm-power-off", vm="off")
        stage.until(lambda wanted=times: drift_told(stage) == wanted, "the drift told", seconds=30)
        paris.ready("hostedinstance", "off")
    stage.fault("paris", "reply", "one.vm.rename", status=503)
    paris.mischief("rename", kind="VM", name="not-mine", which=paris.vm("renamed").id)
    paris.wait(
        "hostedinstance", "renamed", "drifted", lambda found: condition(found, "Drifted").get("status") == "True"
    )
    return paris


# --- metrics -------------------------------------------------------------------------------------------------------------


def test_promtool_finds_nothing_to_say_of_what_is_exposed(stage, story, prometheus_programs):
    done = promtool(prometheus_programs, "check", "metrics", text=stage.probe("/metrics").text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("expression", TARGETS)
def test_each_panel_of_the_dashboard_has_data(stage, story, prometheus, expression):
    query = expression.replace("$job", ".+").replace("$__rate_interval", "1m")
    found = stage.until(lambda: prometheus.ask(query), f"data for {query}", seconds=30)
    assert all(len(series["value"]) == 2 for series in found)


def test_the_dashboard_is_one_that_grafana_takes():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    kinds = [variable["type"] for variable in DASHBOARD["templating"]["list"]]
    assert kinds == ["datasource", "query"]
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    boxes = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(boxes)) == len(boxes), "none lies on another"


def test_the_alerts_are_evaluated_and_those_that_should_be_pending_are(stage, story, prometheus):
    def judged():
        (group,) = prometheus.get("rules")["groups"]
        return group["rules"] if all(rule["health"] == "ok" for rule in group["rules"]) else None

    rules = {rule["name"]: rule for rule in stage.until(judged, "rules that evaluate", seconds=20)}
    raised = stage.until(lambda: prometheus.get("alerts")["alerts"], "alerts", seconds=20)
    about = {(a["labels"]["alertname"], a["labels"].get("reason")) for a in raised}
    assert ("SovereignObjectStalled", "NetworkNotFound") in about
    assert {name for name, _ in about} <= {"SovereignObjectStalled"}, "nothing else is wrong"
    (told,) = [a for a in raised if a["labels"]["alertname"] == "SovereignObjectStalled"]
    assert told["annotations"]["description"] == (
        "1 HostedInstance objects are Stalled with NetworkNotFound: no retry mends it."
    )
    assert rules["SovereignOperatorDown"]["state"] == "inactive"


def test_what_is_counted_is_what_happened(stage, story, prometheus):
    def one(query):
        (found,) = stage.until(lambda: prometheus.ask(query), query, seconds=20)
        return float(found["value"][1])

    assert one('sovereign_objects{kind="HostedInstance"}') == 4
    assert one('sum(sovereign_steps_total{kind="HostedInstance",action="Create",result="done"})') == 3
    assert one('sum(sovereign_external_requests_total{endpoint="one.vm.allocate",code="success"})') == 3
    assert one('sum(sovereign_external_requests_total{endpoint="one.vm.rename",code="503"})') >= 1
    assert one('sum(sovereign_external_requests_total{api="ovh",code="200"})') >= 1
    assert one("sum(sovereign_lease_held)") == 1
    assert (
        one(f'sovereign_external_budget_limit_requests{{job="{JOB}",api="ovh",account="platform/ovh-account"}}') == 200
    )


# --- traces --------------------------------------------------------------------------------------------------------------


def created(stage, name):
    """The line of the log that tells that a machine was made."""
    lines = [json.loads(line) for line in stage.log().splitlines()]
    wanted = [
        x
        for x in lines
        if x.get("object") == f"HostedInstance platform/{name}" and x["message"].startswith("Create VM")
    ]
    return wanted[0]


def test_a_reconcile_is_one_trace_with_a_span_for_each_call_outside(stage, story, collector):
    line = created(stage, "calm")
    spans = stage.until(lambda: collector.trace(line["trace_id"]), "the trace", seconds=20)
    root = next(span for span in spans if not span.parent)
    uid = story.get("hostedinstance", "calm")["metadata"]["uid"]
    assert (root.name, root.service) == ("reconcile HostedInstance", "sovereign-cloud-operator")
    assert root.attributes | {"sovereign.outcome": ""} == {
        "sovereign.kind": "HostedInstance",
        "sovereign.namespace": "platform",
        "sovereign.name": "calm",
        "sovereign.generation": 1,
        "sovereign.reconcile_id": line["reconcile_id"],
        "sovereign.outcome": "",
    }
    assert root.attributes["sovereign.outcome"] == "waiting"
    assert (line["span_id"], line["uid"]) == (root.span_id, uid)
    calls = {span.name: span for span in spans if span.parent}
    assert {"opennebula one.vm.allocate", "kubernetes patch hostedinstances/status"} <= set(calls)
    for span in calls.values():
        assert (span.parent, span.kind) == (root.span_id, CLIENT)
        told = {"sovereign.api", "sovereign.endpoint", "sovereign.code", "sovereign.retries"}
        assert set(span.attributes) == told
    assert calls["opennebula one.vm.allocate"].attributes["sovereign.code"] == "success", "made in a worker thread"


def test_a_reading_of_a_cloud_or_an_account_is_a_trace_of_its_own(stage, story, collector):
    def reading(name):
        roots = {span.trace_id for span in collector.spans if span.name == name and not span.parent}
        return {span.name for span in collector.spans if span.trace_id in roots and span.parent}

    stage.until(lambda: "opennebula one.vmpool.infoextended" in reading("read OpenNebula"), "a pool read", seconds=20)
    stage.until(lambda: "ovh GET /v2/iam/resource" in reading("read OVHcloud"), "an account read", seconds=20)
    lonely = [s for s in collector.spans if not s.parent and not s.name.startswith(("reconcile ", "read "))]
    assert lonely == [], "what nobody asked for in a trace has none"


def test_a_call_that_fails_is_an_error_in_the_trace(stage, story, collector):
    stage.until(
        lambda: [s for s in collector.spans if s.name == "opennebula one.vm.rename" and s.status == 2],
        "told",
        seconds=20,
    )


# --- log, events ---------------------------------------------------------------------------------------------------------


def test_each_line_is_json_and_no_secret_is_in_log_or_traces(stage, story, collector):
    lines = [json.loads(line) for line in stage.log().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    about = [line for line in lines if line.get("object") == "HostedInstance platform/off"]
    assert {line["reconcile_id"] for line in about if "Update" in line["message"]} != set()
    secrets = stage.cluster.get("secrets", "-n", "platform")["items"]
    values = {
        base64.b64decode(value)
        for secret in secrets
        for key, value in secret["data"].items()
        if key not in {"username", "clientId", "sshPublicKey"}
    }
    assert values
    told = stage.log().encode() + collector.received
    assert [value for value in values if value in told] == []


def test_what_is_said_again_counts_up_one_event(stage, story):
    told = [(e["reason"], e["count"]) for e in stage.events("HostedInstance", "off") if e["reason"] == "DriftDetected"]
    assert told == [("DriftDetected", 2)]
    named = {e["metadata"]["name"] for e in stage.events("HostedInstance", "off")}
    described = stage.cluster.kubectl("describe", "hinst", "off", "-n", "platform").stdout
    assert "DriftDetected" in described
    assert "(x2 over" in described
    assert len(named) < 10


def test_it_sends_what_is_left_before_it_ends(stage, story, collector):
    before = len(collector.spans)
    story.patch("hostedinstance", "calm", power="Stopped")
    story.ready("hostedinstance", "calm")
    assert stage.stop_operator() < 5
    assert len(collector.spans) > before
    lines = stage.log().splitlines()
    assert json.loads(lines[-1])["message"].startswith("stopped")
    leases = stage.cluster.get("leases", "-n", SYSTEM)["items"]
    assert leases[0]["spec"]["holderIdentity"] == ""
