"""drift, pause, resume, reconcile, logs: what they say, what they write, how they end."""

import json

import pytest
from tests.unit.commands.cli_fakes import CLOUD_SPEC, CLOUD_STATUS, INSTANCE_SPEC, Outside, body
from tests.unit.commands.cli_scene import drifted, in_sync, progressing, stalled
from typer.testing import CliRunner

from sovereigncloud.api.common.base import PAUSED, RECONCILE_REQUESTED_AT, Key
from sovereigncloud.cli import app
from sovereigncloud.commands.drift.report import drift_report
from sovereigncloud.commands.lifecycle.pause_ownership import owners
from sovereigncloud.commands.logs.lines import about
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.formatting import seconds
from sovereigncloud.commands.shared.resource_graph import ResourceGraph
from sovereigncloud.kinds import CONTROLLERS

WEB = Key("HostedInstance", "team", "web")
CLOUD = body("SovereignCloud", "paris", CLOUD_SPEC, CLOUD_STATUS)


def web(status=None, **metadata):
    return body("HostedInstance", "web", INSTANCE_SPEC, status or in_sync(), **metadata)


def run(*arguments, outside):
    return CliRunner().invoke(app, arguments, obj=outside.connections)


# --- drift ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "looked", "unknown", "why"),
    [
        (in_sync(), 0, 1, 0, "compared, and the same"),
        (drifted("spec.memory", "4Gi", "2Gi"), 2, 1, 0, "drift that is reported"),
        (drifted("spec.memory", "4Gi", "2Gi", "Correcting"), 2, 1, 0, "drift that is being mended is drift still"),
        (drifted("spec.memory", "4Gi", "2Gi", "Ignored"), 0, 1, 0, "what driftPolicy ignores does not count"),
        ({"observedGeneration": -1}, 0, 0, 1, "nobody compared it yet: that is said, and no drift"),
    ],
)
def test_the_exit_code_says_whether_there_is_drift(status, code, looked, unknown, why):
    report = drift_report(ResourceGraph([web(status)], CONTROLLERS), [WEB])
    assert (report.exit_code, report.looked, len(report.unknown)) == (code, looked, unknown), why


def test_drift_is_listed_by_field_with_the_names_of_status():
    outside = Outside().with_cluster(CLOUD, web(drifted("spec.memory", "4Gi", "2Gi")))
    result = run("drift", "hinst", "-o", "json", outside=outside)
    told = json.loads(result.stdout)
    assert result.exit_code == told["exitCode"] == 2
    assert told["items"] == [
        {
            "kind": "HostedInstance", "namespace": "team", "name": "web", "path": "spec.memory", "desired": "4Gi",
            "observed": "2Gi", "action": "Reported", "since": "2026-07-01T11:00:00Z",
        }
    ]  # fmt: skip
    shown = run("drift", outside=outside)
    assert shown.exit_code == 2
    assert "hinst/web   spec.memory   4Gi        2Gi     Reported   1h" in shown.stdout
    assert "1 field of 1 object drifted" in shown.stdout
    assert "Not compared with reality yet: scloud/paris" in shown.stdout
    assert outside.writes == []


# --- pause and resume -----------------------------------------------------------------------------------------------


def managed(manager, operation="Update", annotation=PAUSED):
    fields = {"f:metadata": {"f:annotations": {f"f:{annotation}": {}}}}
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.mark.parametrize(
    ("metadata", "found", "why"),
    [
        ({"managedFields": [managed("kubectl-sovereign")]}, (), "our own: nobody comes again"),
        ({"managedFields": [managed("kubectl-annotate")]}, (), "a person's hand"),
        ({"managedFields": [managed("argocd-controller", "Apply")]}, ("argocd-controller",), "Argo CD applies it again"),
        ({"managedFields": [managed("flux", "Apply"), managed("kubectl-sovereign")]}, ("flux",), "one of two"),
        ({"managedFields": [managed("argocd-controller", "Apply", "other")]}, (), "another annotation"),
        ({"managedFields": [managed("kubectl-client-side-apply")]}, ("kubectl-client-side-apply",), "client-side apply"),
        ({"annotations": {LAST_APPLIED: json.dumps({"metadata": {"annotations": {PAUSED: "true"}}})}}, ("kubectl apply",),
         "it is in what was applied"),
        ({"annotations": {LAST_APPLIED: "no JSON"}}, (), "nothing that can be read"),
        ({}, (), "nobody"),
    ],
)  # fmt: skip
def test_who_puts_the_annotation_back(metadata, found, why):
    assert owners({"metadata": metadata}) == found, why


def test_pause_sets_the_annotation_of_that_object_and_nothing_else():
    outside = Outside().with_cluster(CLOUD, web())
    result = run("pause", "web", outside=outside)
    assert (result.exit_code, result.stdout) == (0, "hinst/web paused\n")
    assert outside.cluster.annotated == [(WEB, {PAUSED: "true"})]
    for words in ("drift is still found", "a deletion waits", "Suspended", "kubectl sovereign resume web"):
        assert words in result.stderr


def test_pause_of_a_cloud_says_that_what_is_in_it_goes_on_unless_it_is_meant_too():
    outside = Outside().with_cluster(CLOUD, web())
    alone = run("pause", "paris", outside=outside)
    assert "what is in it goes on (1 object): --recursive pauses it, too" in alone.stderr
    outside = Outside().with_cluster(CLOUD, web())
    told = json.loads(run("pause", "paris", "-R", "-o", "json", outside=outside).stdout)
    assert [(i["name"], i["paused"], i["changed"]) for i in told["items"]] == [
        ("paris", True, True),
        ("web", True, True),
    ]
    assert len(outside.cluster.annotated) == 2


def test_what_is_paused_already_is_left_alone():
    outside = Outside().with_cluster(web(annotations={PAUSED: "true"}))
    assert run("pause", "web", outside=outside).stdout == "hinst/web was paused already\n"
    assert outside.cluster.annotated == []


def test_resume_removes_it_and_warns_where_a_manifest_puts_it_back():
    metadata = {"annotations": {PAUSED: "true"}, "managedFields": [managed("argocd-controller", "Apply")]}
    outside = Outside().with_cluster(web(**metadata))
    result = run("resume", "hinst/web", outside=outside)
    assert (result.exit_code, result.stdout) == (0, "hinst/web resumed\n")
    assert outside.cluster.annotated == [(WEB, {PAUSED: None})]
    assert "argocd-controller applies the annotation" in result.stderr
    assert "take it out of the manifest" in result.stderr
    assert run("resume", "web", outside=Outside().with_cluster(web())).stdout == "hinst/web was not paused\n"


@pytest.mark.parametrize("command", ["pause", "reconcile"])
def test_who_may_not_write_is_told_what_to_ask_for(command):
    result = run(command, "web", outside=Outside().with_cluster(web(), may_annotate=False))
    assert result.exit_code == 1
    assert "you may not change hinst/web in namespace team: ask for a Role with patch on it" in result.stderr


# --- reconcile ------------------------------------------------------------------------------------------------------


class Answering(Outside):
    """The operator answers a request with this status."""

    def then(self, status, generation=1):
        cluster = self.cluster
        ask = cluster.annotate

        async def annotate(key, annotations):
            token = annotations[RECONCILE_REQUESTED_AT]
            cluster.later.append(("MODIFIED", web({**status, "lastHandledReconcileAt": token}, generation=generation)))
            return await ask(key, annotations)

        cluster.annotate = annotate
        return self


@pytest.mark.parametrize(
    ("status", "code", "said", "why"),
    [
        (in_sync(), 0, "hinst/web was looked at: AsDeclared: as declared", "all is well"),
        (stalled("NetworkNotFound", "no such network"), 2, "NetworkNotFound: no such network", "it needs a person"),
        (
            progressing("ApprovalRequired", "waits for consent"),
            2,
            "ApprovalRequired",
            "nothing moves until somebody agrees",
        ),
        (drifted("spec.memory", "4Gi", "2Gi"), 0, "(drift in 1 field)", "ready, with drift that is reported"),
    ],
)
def test_reconcile_waits_for_the_answer_and_reports_it(status, code, said, why):
    outside = Answering().with_cluster(web()).then(status)
    result = run("reconcile", "web", "--wait", outside=outside)
    assert result.exit_code == code, (why, result.output)
    assert said in result.output, why


def test_what_is_still_under_way_is_waited_for_until_the_timeout():
    outside = Answering().with_cluster(web()).then(progressing("Booting", "VM 12 is booting"))
    result = run("reconcile", "web", "--wait", "--timeout", "300ms", outside=outside)
    assert result.exit_code == 1
    assert "was looked at, and is still under way after 300ms: Booting: VM 12 is booting" in result.stderr


def test_an_operator_that_does_not_run_is_a_timeout_with_a_remedy():
    result = run("reconcile", "web", "--wait", "--timeout", "200ms", outside=Outside().with_cluster(web()))
    assert result.exit_code == 1
    assert "was not looked at within 200ms: see that the operator runs and holds its Lease" in result.stderr


def test_without_waiting_the_request_is_the_result():
    outside = Outside().with_cluster(web())
    told = json.loads(run("reconcile", "web", "-o", "json", outside=outside).stdout)
    ((key, annotations),) = outside.cluster.annotated
    assert key == WEB
    assert told["items"][0]["reconcileRequestedAt"] == annotations[RECONCILE_REQUESTED_AT]
    assert told["items"][0]["handled"] is False


@pytest.mark.parametrize(("text", "found"), [("90s", 90), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("1.5m", 90)])
def test_durations(text, found):
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "90", "s", "1d", "5 m", "-1s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(CommandError, match="is no duration"):
        seconds(text)


# --- logs -----------------------------------------------------------------------------------------------------------

OTHER = (
    '{"time":"2026-07-01T11:00:01Z","level":"INFO","message":"Create VM \\"db\\"","object":"HostedInstance team/db"}'
)
OURS = (
    '{"time":"2026-07-01T11:00:02Z","level":"INFO","logger":"x","message":"Create VM \\"web\\"",'
    '"object":"HostedInstance team/web","traceId":"abc"}'
)
TEXT = [
    '2026-07-01 11:00:00,001 INFO Create VM "web" [HostedInstance team/web]',
    "2026-07-01 11:00:00,002 INFO serving probes and metrics",
    "2026-07-01 11:00:00,003 ERROR reconcile failed [HostedInstance team/web]",
    "Traceback (most recent call last):",
    "ValueError: x",
    "2026-07-01 11:00:00,004 ERROR reconcile failed [HostedInstance team/web-2]",
    "Traceback of the other",
]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "messages", "why"),
    [
        ([OTHER, OURS, '{"message":"of nobody"}', "{broken"], ['Create VM "web"'], "JSON: by the field object"),
        (TEXT, ['Create VM "web"', "reconcile failed", "Traceback (most recent call last):", "ValueError: x"],
         "text: by the name at the end, with the lines of a traceback"),
        ([*TEXT[2:4], OURS, "no line of ours"], ["reconcile failed", TEXT[3], 'Create VM "web"'], "both, after a change of setting"),
        ([], [], "nothing"),
    ],
)  # fmt: skip
def test_the_lines_about_an_object(lines, messages, why):
    assert [line.message for line in about(lines, WEB)] == messages, why


def pod(name="operator-1", node="node-1"):
    spec = {"containers": [{"name": "operator"}], **({"nodeName": node} if node else {})}
    return {"metadata": {"name": name, "namespace": "sovereign-system"}, "spec": spec}


def test_logs_are_those_of_the_operators_pods():
    outside = Outside().with_cluster(web(), pods=(pod(),), said=(OTHER, OURS))
    result = run("logs", "web", outside=outside)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == '2026-07-01T11:00:02Z INFO    Create VM "web"\n'
    told = json.loads(run("logs", "web", "-o", "json", outside=outside).stdout)
    assert told["items"] == [
        {"time": "2026-07-01T11:00:02Z", "level": "INFO", "message": 'Create VM "web"', "traceId": "abc"}
    ]
    assert run("logs", "web", "--tail", "0", outside=outside).stdout == ""


@pytest.mark.parametrize(
    ("more", "said", "why"),
    [
        ({}, "no pod of the operator in any namespace", "it is not installed, or a process"),
        ({"pods": (pod(node=""),)}, "runs on no node yet", "it is pending"),
        (
            {"only": frozenset({"team"}), "pods": (pod(),)},
            "you may not read pods in namespace sovereign-system",
            "a tenant",
        ),
    ],
)
def test_where_there_is_no_log_it_says_why(more, said, why):
    result = run("logs", "web", outside=Outside().with_cluster(web(), **more))
    assert result.exit_code == 1, why
    assert said in result.stderr, why
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "printed", "why"),
    [
        ([], '2026-07-01T11:00:02Z INFO    Create VM "web"\n', "as it comes"),
        (["--tail", "0"], "", "only what comes from now on"),
        (["--tail", "1"], '2026-07-01T11:00:02Z INFO    Create VM "web"\n', "the last one, then what comes"),
    ],
)
def test_logs_are_followed(options, printed, why):
    outside = Outside().with_cluster(web(), pods=(pod(),), said=(OTHER, OURS))
    result = run("logs", "web", "-f", *options, outside=outside)
    assert (result.exit_code, result.stdout) == (0, printed), why
    assert "said nothing" not in result.stderr


def test_followed_logs_for_programs_are_one_object_a_line():
    outside = Outside().with_cluster(web(), pods=(pod(),), said=(OTHER, OURS))
    assert json.loads(run("logs", "web", "-f", "-o", "json", outside=outside).stdout)["traceId"] == "abc"
    assert "use -o json" in run("logs", "web", "-f", "-o", "yaml", outside=outside).stderr
