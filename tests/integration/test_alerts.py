"""Each alert fires when it should and is silent when it should be, judged by promtool; and says where help is."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from sovereigncloud_sandbox.prometheus import promtool
from sovereigncloud_sandbox.stage import CHART

RULES = CHART / "files" / "rules" / "alerts.yaml"
REPOSITORY = CHART.parents[1]
DOCUMENTS = "https://github.com/sovereigncloud-io/sovereign-cloud-operator/blob/main/"
ALERTS = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
WHERE = 'namespace="sovereign-system", job="operator"'
ALIVE = {f"sovereign_build_info{{{WHERE}}}": "1x120"}


@dataclass(frozen=True)
class Case:
    """A sentence, an alert, the series, and the minutes after which it fires and before which it does not; None: never."""

    why: str
    alert: str
    series: dict = field(default_factory=dict)
    fires: int | None = None
    silent: int = 0
    alive: bool = True


def stalled(reason, values):
    return {f'sovereign_stalled_objects{{{WHERE}, kind="HostedInstance", reason="{reason}"}}': values}


def account(name, values):
    return {f'{name}{{{WHERE}, api="opennebula", account="platform/paris"}}': values}


LEASE = f"sovereign_lease_held{{{WHERE}"
REQUESTS = f'sovereign_external_requests_total{{{WHERE}, api="ovh", endpoint="GET /v1/ip/{{}}"'
ERRORS = f'sovereign_reconcile_duration_seconds_count{{{WHERE}, kind="MachineImage"'
CASES = [
    Case("it is not scraped any more", "SovereignOperatorDown", {f"sovereign_build_info{{{WHERE}}}": "1x20 _x100"}, 40, 20, alive=False),
    Case("it was never there", "SovereignOperatorDown", {}, 6, 4, alive=False),
    Case("it is restarted: a minute without it", "SovereignOperatorDown", {f"sovereign_build_info{{{WHERE}}}": "1x20 _x2 1x90"}, alive=False),
    Case("two processes, and none holds the Lease", "SovereignNobodyWrites", {f'{LEASE}, pod="a"}}': "0x60", f'{LEASE}, pod="b"}}': "0x60"}, 3, 1),
    Case("one of two holds it", "SovereignNobodyWrites", {f'{LEASE}, pod="a"}}': "0x60", f'{LEASE}, pod="b"}}': "1x60"}),
    Case("the last sweep was at the beginning", "SovereignSweepStale", account("sovereign_sweep_last_success_timestamp_seconds", "0x60"), 17, 10),
    Case("a sweep each minute", "SovereignSweepStale", account("sovereign_sweep_last_success_timestamp_seconds", "0+60x60")),
    Case("the breaker stays open", "SovereignApiDown", account("sovereign_external_breaker_open", "1x60"), 6, 4),
    Case("a blip", "SovereignApiDown", account("sovereign_external_breaker_open", "0x5 1x2 0x60")),
    Case("a password was changed", "SovereignCredentialsRefused", stalled("CredentialsRejected", "0x5 1x60"), 10, 5),
    Case("another reason", "SovereignCredentialsRefused", stalled("NotFound", "1x60")),
    Case("changes are held", "SovereignBrakesHeld", {f'sovereign_brakes_held_changes{{{WHERE}, account="platform/paris"}}': "7x60"}, 2, 0),
    Case("nothing is held", "SovereignBrakesHeld", {f'sovereign_brakes_held_changes{{{WHERE}, account="platform/paris"}}': "0x60"}),
    Case("six times the same", "SovereignNotConverging", stalled("NotConverging", "1x60"), 2, 0),
    Case("it converged", "SovereignNotConverging", stalled("NotConverging", "0x60")),
    Case("an image that does not exist", "SovereignObjectStalled", stalled("ImageNotFound", "1x60"), 16, 14),
    Case("mended within ten minutes", "SovereignObjectStalled", stalled("ImageNotFound", "1x10 stale _x48")),
    Case("refused credentials have an alert of their own", "SovereignObjectStalled", stalled("CredentialsRejected", "1x60")),
    Case("a machine is where it may not be", "SovereignPolicyBroken", {f'sovereign_policy_objects{{{WHERE}, kind="HostedInstance", compliant="False"}}': "0x9 1x60"}, 17, 12),
    Case("where one is, nobody knows", "SovereignPolicyBroken", {f'sovereign_policy_objects{{{WHERE}, kind="HostedInstance", compliant="Unknown"}}': "1x60"}),
    Case("a machine could start nowhere else", "SovereignNoFailover", {f'sovereign_failover_machines{{{WHERE}, ready="False"}}': "1x120"}, 62, 58),
    Case("every machine could", "SovereignNoFailover", {f'sovereign_failover_machines{{{WHERE}, ready="False"}}': "0x120"}),
    Case("a difference from the beginning on", "SovereignDriftNotMended", {f'sovereign_drift_oldest_timestamp_seconds{{{WHERE}, kind="VirtualNetwork"}}': "0x60"}, 37, 30),
    Case("each is mended, others come", "SovereignDriftNotMended", {f'sovereign_drift_oldest_timestamp_seconds{{{WHERE}, kind="VirtualNetwork"}}': "0+60x60"}),
    Case("calls wait for their turn", "SovereignBudgetExhausted", account("sovereign_external_budget_requests", "-3x60"), 11, 9),
    Case("a burst", "SovereignBudgetExhausted", account("sovereign_external_budget_requests", "5x5 -20x5 5x60")),
    Case("one 429 a minute", "SovereignRateLimited", {f'{REQUESTS}, code="429"}}': "0+1x60"}, 20, 4),
    Case("one 429", "SovereignRateLimited", {f'{REQUESTS}, code="429"}}': "0x5 1x60"}),
    Case("many good answers", "SovereignRateLimited", {f'{REQUESTS}, code="200"}}': "0+50x60"}),
    Case("it does not get shorter", "SovereignQueueGrows", {f'sovereign_queue_depth{{{WHERE}, lane="user"}}': "0+10x60"}, 25, 15),
    Case("a thousand at once, done in five minutes", "SovereignQueueGrows", {f'sovereign_queue_depth{{{WHERE}, lane="recheck"}}': "1000x5 0x60"}),
    Case("a call that never ends", "SovereignReconcileStuck", {f"sovereign_reconcile_oldest_seconds{{{WHERE}}}": "0+60x20"}, 13, 10),
    Case("a long one", "SovereignReconcileStuck", {f"sovereign_reconcile_oldest_seconds{{{WHERE}}}": "0+60x5 0x50"}),
    Case("an error a minute", "SovereignReconcileErrors", {f'{ERRORS}, outcome="error"}}': "0+1x60"}, 20, 5),
    Case("one error", "SovereignReconcileErrors", {f'{ERRORS}, outcome="error"}}': "0x5 1x60"}),
    Case("a slave stays behind", "SovereignZoneBehind", {f'sovereign_zone_lag_records{{{WHERE}, account="platform/rbx"}}': "0x9 7x60"}, 27, 22),
    Case("it lacks something now and then", "SovereignZoneBehind", {f'sovereign_zone_lag_records{{{WHERE}, account="platform/rbx"}}': "0x9 7x3 0x60"}),
    Case("what ends with a retry is the cloud's business", "SovereignReconcileErrors", {f'{ERRORS}, outcome="retry"}}': "0+5x60"}),
]  # fmt: skip


def firing(case, minutes, *, wanted):
    expression = f'count by (alertname) (ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
    samples = [{"labels": f'{{alertname="{case.alert}"}}', "value": 1}] if wanted else []
    return {"expr": expression, "eval_time": f"{minutes}m", "exp_samples": samples}


def promtool_test(case):
    series = {**(ALIVE if case.alive else {}), **case.series}
    if case.fires is None:
        tests = [firing(case, minutes, wanted=False) for minutes in range(1, 59)]
    else:
        tests = [firing(case, case.silent, wanted=False), firing(case, case.fires, wanted=True)]
    return {
        "name": f"{case.alert}: {case.why}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": tests,
    }


def test_promtool_accepts_the_rules(prometheus_programs):
    done = promtool(prometheus_programs, "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_each_alert_fires_when_it_should_and_only_then(prometheus_programs, tmp_path):
    file = tmp_path / "alerts.test.yaml"
    tests = [promtool_test(case) for case in CASES]
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool(prometheus_programs, "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_is_tested_both_ways_and_says_what_to_do(alert):
    name, told = alert["alert"], alert["annotations"]
    cases = [case for case in CASES if case.alert == name]
    assert any(case.fires for case in cases)
    assert any(case.fires is None for case in cases)
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert told["summary"].endswith(".")
    assert told["description"].endswith(".")
    path, _, anchor = told["runbook_url"].removeprefix(DOCUMENTS).partition("#")
    headings = [line[3:].strip() for line in Path(REPOSITORY / path).read_text().splitlines() if line.startswith("## ")]
    assert anchor == name.lower()
    assert name in headings, "its runbook is a section of that name"


def test_no_runbook_is_left_over():
    lines = (REPOSITORY / "docs" / "reference" / "alerts.md").read_text().splitlines()
    assert {line[3:] for line in lines if line.startswith("## ")} == {alert["alert"] for alert in ALERTS}
