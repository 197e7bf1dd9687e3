"""`sovereign plan`: the operator's own controllers and decisions, on fakes of everything outside."""

import copy
import json
import re

import pytest
import yaml
from tests.unit.commands.cli_fakes import (
    CLOUD_SPEC,
    CLOUD_STATUS,
    INSTANCE_SPEC,
    INSTANCE_STATUS,
    Outside,
    body,
    ready,
    vm,
)
from typer.testing import CliRunner

from sovereigncloud.cli import app
from sovereigncloud.ports.errors import Auth, Retry

PASSWORD = "hunter2-never-shown"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ONE = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "one"},
    "stringData": {"username": "oneadmin", "password": PASSWORD},
}
OVH = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "ovh"},
    "stringData": {"clientId": "id", "clientSecret": PASSWORD},
}
HOSTED_SPEC = {
    "hosted": {
        "ovh": {
            "endpoint": "ovh-eu",
            "credentialsSecretRef": {"name": "ovh"},
            "vrack": "pn-1",
            "servers": [
                {
                    "name": "one-1",
                    "serviceName": "ns1.example",
                    "roles": ["Frontend", "Node"],
                    "reinstall": {"request": "first", "operatingSystem": "ubuntu2404-server_64"},
                }
            ],
        },
        "openNebula": {"install": {"architecture": "Basic", "version": "7.0"}},
        "networks": [{"name": "vm_public", "publicBlock": "57.131.167.176/28"}],
    }
}
SECRETS = {("team", "one"): {"username": "oneadmin", "password": PASSWORD}}


def cloud(status=CLOUD_STATUS, **metadata):
    return body("SovereignCloud", "paris", CLOUD_SPEC, status, **metadata)


def instance(status=INSTANCE_STATUS, spec=None, **metadata):
    return body("HostedInstance", "web", INSTANCE_SPEC | (spec or {}), status, **metadata)


def manifest(made, **spec):
    """What a person keeps in Git of an object."""
    return {
        "apiVersion": made["apiVersion"],
        "kind": made["kind"],
        "metadata": {"name": made["metadata"]["name"], "namespace": made["metadata"]["namespace"]},
        "spec": copy.deepcopy(made["spec"]) | spec,
    }


def team(secret):
    return {**secret, "metadata": {**secret["metadata"], "namespace": "team"}}


def plan(outside, *documents, options=(), text=None):
    given = text if text is not None else yaml.safe_dump_all(documents)
    return CliRunner().invoke(app, ["plan", "-f", "-", *options], input=given, obj=outside.connections)


def planned(outside, *documents, options=()):
    """The JSON and the result."""
    result = plan(outside, *documents, options=("-o", "json", *options))
    return json.loads(result.stdout), result


def only(report):
    assert len(report["objects"]) == 1
    return report["objects"][0]


def steps(found):
    return [(s["action"], s["target"], s["now"]) for s in found["steps"]]


# --- exit codes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outside", "file", "code", "result", "why"),
    [
        (Outside(vm()).with_cluster(cloud(), instance(), secrets=SECRETS), manifest(instance()), 0, "NothingToDo",
         "the file is what is in the cluster, and reality is so"),
        (Outside(vm()).with_cluster(cloud(), instance(), secrets=SECRETS), manifest(instance(), memory="8Gi"), 2, "Changes",
         "the file asks for more memory"),
        (Outside(vm(memory=2048, state=8, lcm_state=0)).with_cluster(cloud(), instance(), secrets=SECRETS), manifest(instance()),
         2, "Changes", "somebody resized the machine"),
        (Outside().with_cluster(cloud(), secrets=SECRETS), manifest(instance()), 2, "Changes", "there is no machine yet"),
        (Outside(vm(lcm_state=2)).with_cluster(cloud(), instance(), secrets=SECRETS), manifest(instance(), power="Running"), 2,
         "Changes", "it is booting: nothing to do, but not yet as declared"),
        (Outside().with_cluster(secrets=SECRETS), manifest(instance()), 1, "Error", "its cloud is neither in files nor cluster"),
        (Outside().with_cluster(cloud()), manifest(instance()), 1, "Error", "its cloud's Secret does not exist"),
        (Outside(down=Auth("User couldn't be authenticated, aborting.")).with_cluster(cloud(), instance(), secrets=SECRETS),
         manifest(instance()), 1, "Error", "the credential is refused"),
        (Outside(down=Retry("connection refused")).with_cluster(secrets=SECRETS), manifest(cloud()), 1, "Error",
         "the cloud does not answer: what would be done cannot be said"),
        (Outside().with_cluster(cloud(), secrets=SECRETS), manifest(instance(), source={"image": "nope"}), 1, "Error",
         "no such image, and none on its way: a person must act"),
    ],
)  # fmt: skip
def test_the_exit_code_says_what_there_is_to_do(outside, file, code, result, why):
    report, run = planned(outside, file)
    assert (run.exit_code, report["exitCode"], report["result"]) == (code, code, result), why
    assert outside.writes == []


def test_the_worst_of_several_objects_decides():
    outside = Outside(vm()).with_cluster(cloud(), instance(), secrets=SECRETS)
    other = manifest(body("HostedInstance", "db", INSTANCE_SPEC))
    broken = manifest(body("HostedInstance", "ci", INSTANCE_SPEC | {"placement": {"cloudRef": {"name": "nowhere"}}}))
    report, run = planned(outside, manifest(instance()), other)
    assert [o["result"] for o in report["objects"]] == ["NothingToDo", "Changes"]
    assert run.exit_code == 2
    report, run = planned(outside, manifest(instance()), other, broken)
    assert run.exit_code == 1, report
    assert "SovereignCloud team/nowhere does not exist" in report["objects"][2]["message"]


# --- what it says --------------------------------------------------------------------------------------------------------


def test_a_change_of_spec_is_work_to_do_and_names_the_consent_that_it_needs():
    outside = Outside(vm()).with_cluster(cloud(), instance(), secrets=SECRETS)
    found = only(planned(outside, manifest(instance(), memory="8Gi"))[0])
    assert found["presence"] == "Changed"
    assert found["changedFields"] == ["spec.memory"]
    assert found["differences"] == [{"path": "spec.memory", "desired": "8Gi", "observed": "4Gi"}]
    restart = next(s for s in found["steps"] if s["disruption"] == "Restart")
    assert (restart["now"], restart["needs"]) == (False, "spec.updatePolicy.powerCycle: Allow")
    assert restart["fields"] == ["spec.memory"]
    assert found["reason"] == "ApprovalRequired"


def test_consent_in_the_file_makes_it_go_ahead():
    outside = Outside(vm()).with_cluster(cloud(), instance(), secrets=SECRETS)
    found = only(planned(outside, manifest(instance(), memory="8Gi", updatePolicy={"powerCycle": "Allow"}))[0])
    assert found["steps"]
    assert all(s["now"] for s in found["steps"])


def test_a_difference_that_came_from_outside_is_drift():
    outside = Outside(vm(memory=2048, state=8, lcm_state=0)).with_cluster(cloud(), instance(), secrets=SECRETS)
    found = only(planned(outside, manifest(instance()))[0])
    assert found["drift"] == [{"path": "spec.memory", "desired": "4Gi", "observed": "2Gi", "action": "Correcting"}]
    assert {s["cause"] for s in found["steps"]} == {"Observed"}


@pytest.mark.parametrize(
    ("spec", "annotations", "held"),
    [
        ({"management": "Observe"}, {}, "management is Observe"),
        ({"management": "Approve"}, {}, "spec.approvedPlan: "),
        ({}, {"sovereigncloud.io/paused": "true"}, "paused"),
    ],
)
def test_what_is_only_shown_says_why(spec, annotations, held):
    outside = Outside().with_cluster(cloud(), secrets=SECRETS)
    file = manifest(instance(), **spec)
    file["metadata"]["annotations"] = annotations
    found = only(planned(outside, file)[0])
    assert [(s["action"], s["now"]) for s in found["steps"]] == [("Create", False)]
    assert found["steps"][0]["held"].startswith(held)


def test_the_approved_plan_in_the_file_lets_exactly_this_plan_go():
    outside = Outside().with_cluster(cloud(), secrets=SECRETS)
    waits = only(planned(outside, manifest(instance(), management="Approve"))[0])
    goes = only(planned(outside, manifest(instance(), management="Approve", approvedPlan=waits["hash"]))[0])
    assert [s["now"] for s in waits["steps"] + goes["steps"]] == [False, True]


def test_a_cloud_that_observes_holds_what_is_in_it():
    outside = Outside().with_cluster(cloud(), secrets=SECRETS)
    report, _ = planned(outside, manifest(cloud(), management="Observe"), manifest(instance()))
    assert report["objects"][1]["steps"][0]["held"] == "management is Observe"


def test_many_dangerous_changes_at_once_are_said_to_be_braked():
    names = [f"vm-{n}" for n in range(8)]
    spec = INSTANCE_SPEC | {"updatePolicy": {"replace": "Allow"}}
    gone = [
        body("HostedInstance", n, spec, ready(external={"vm": str(20 + i), "cloud": "team/paris"}))
        for i, n in enumerate(names)
    ]
    machines = [vm(id=20 + i, name=n, state=6, lcm_state=0, mark=None) for i, n in enumerate(names)]
    machines = [
        m.__class__(**{**{f: getattr(m, f) for f in m.__dataclass_fields__}, "mark": mark(n)})
        for m, n in zip(machines, names, strict=True)
    ]
    outside = Outside(*machines).with_cluster(cloud(), *gone, secrets=SECRETS)
    report, _ = planned(outside, *(manifest(g) for g in gone))
    assert {steps(o)[0][0] for o in report["objects"]} == {"Create"}
    assert "8 changes that recreate, delete or disrupt" in " ".join(report["notes"])


def mark(name):
    return vm().mark.__class__("inst-1", f"HostedInstance/team/{name}", f"uid-{name}")


# --- straight at the APIs ------------------------------------------------------------------------------------------------


def test_without_a_cluster_the_files_hold_all_that_is_needed():
    outside = Outside()
    report, run = planned(
        outside,
        ONE,
        manifest(cloud()) | {"metadata": {"name": "paris"}},
        manifest(instance()) | {"metadata": {"name": "web"}},
    )
    assert run.exit_code == 2
    assert report["cluster"] is None
    assert [(o["kind"], o["result"]) for o in report["objects"]] == [
        ("SovereignCloud", "NothingToDo"),
        ("HostedInstance", "Changes"),
    ]
    assert steps(report["objects"][1]) == [("Create", 'VM "web" in default/paris', True)]
    assert outside.credentials == [("https://one.example.gouv.fr/RPC2", "oneadmin", PASSWORD, "")]
    assert outside.writes == []
    assert "planning from the files alone" in run.stderr


def test_a_secret_that_is_in_no_file_is_asked_for_by_name():
    report, run = planned(Outside(), manifest(cloud()))
    assert run.exit_code == 1
    assert only(report)["reason"] == "SecretMissing"
    assert "Secret team/one is not in the files" in only(report)["message"]


def test_a_hosted_cloud_shows_the_plans_of_what_it_composes():
    outside = Outside()
    report, run = planned(
        outside, OVH, manifest(body("SovereignCloud", "rbx", HOSTED_SPEC)) | {"metadata": {"name": "rbx"}}
    )
    by_name = {o["name"]: o for o in report["objects"]}
    assert list(by_name) == ["rbx", "rbx-one-1", "rbx-vm-public"]
    assert [(s["target"], s["where"]) for s in by_name["rbx"]["steps"]] == [
        ("Secret rbx-oneadmin", "Kubernetes"),
        ("BareMetalServer rbx-one-1", "Kubernetes"),
        ("VirtualNetwork rbx-vm-public", "Kubernetes"),
        ("mark of vRack pn-1", "Outside"),
        ("mark of IP block 57.131.167.176/28", "Outside"),
        ("IP block 57.131.167.176/28 to vRack pn-1", "Outside"),
    ]
    server = by_name["rbx-one-1"]
    assert server["composedBy"] == "SovereignCloud default/rbx"
    reinstall = next(s for s in server["steps"] if s["action"] == "Reinstall")
    assert (reinstall["disruption"], reinstall["fields"]) == ("DataLoss", ["spec.reinstall.request"])
    assert by_name["rbx-vm-public"]["reason"] == "WaitingForDependency"
    assert "Secret default/rbx-oneadmin, which the operator makes for it, is not in the files" in report["notes"][0]
    assert run.exit_code == 2
    assert outside.writes == []
    assert PASSWORD not in run.output


def test_no_cluster_asks_none_even_where_one_is():
    outside = Outside(vm()).with_cluster(cloud(), instance(), secrets=SECRETS)
    report, _ = planned(outside, team(ONE), manifest(cloud()), manifest(instance()), options=["--no-cluster"])
    assert report["cluster"] is None
    assert not [entry for entry in outside.log if "Kubernetes" in entry]


@pytest.mark.parametrize(
    ("silent", "words"), [(True, "no answer from the cluster at https://fake:6443"), (False, "no kubeconfig")]
)
def test_a_context_that_was_named_must_answer(silent, words):
    outside = Outside().with_cluster(silent=True) if silent else Outside()
    run = plan(outside, ONE, manifest(cloud()), options=["--context", "prod"])
    assert run.exit_code == 1
    assert words in run.stderr
    assert run.stderr.count("\n") == 1


# --- against a cluster -----------------------------------------------------------------------------------------------------


def test_what_was_applied_before_and_is_gone_from_the_file_goes_and_what_others_set_stays():
    applied = manifest(instance(), memory="4Gi", power="Running")
    live = instance(spec={"power": "Running", "approvedPlan": "abc"}, annotations={LAST_APPLIED: json.dumps(applied)})
    outside = Outside(vm()).with_cluster(cloud(), live, secrets=SECRETS)
    assert only(planned(outside, manifest(instance()))[0])["changedFields"] == ["spec.power"]


def test_with_server_side_apply_the_fields_of_other_managers_stay():
    owners = [
        {"manager": "argocd", "operation": "Apply", "fieldsV1": {"f:spec": {"f:memory": {}, "f:power": {}}}},
        {"manager": "kubectl-patch", "operation": "Update", "fieldsV1": {"f:spec": {"f:approvedPlan": {}}}},
    ]
    live = instance(spec={"power": "Running", "approvedPlan": "abc"}, managedFields=owners)
    outside = Outside(vm()).with_cluster(cloud(), live, secrets=SECRETS)
    assert only(planned(outside, manifest(instance()))[0])["changedFields"] == ["spec.power"]


def test_a_tenant_who_may_read_only_a_namespace_can_plan():
    elsewhere = body("SovereignCloud", "paris", CLOUD_SPEC, CLOUD_STATUS)
    outside = Outside(vm()).with_cluster(elsewhere, instance(), secrets=SECRETS, only=frozenset({"team"}))
    report, run = planned(outside, manifest(instance()))
    assert run.exit_code == 0
    assert only(report)["presence"] == "Unchanged"


def test_not_even_the_namespace_may_be_read():
    outside = Outside().with_cluster(only=frozenset())
    run = plan(outside, manifest(instance()))
    assert run.exit_code == 1
    assert "cannot read sovereignclouds" in run.stderr
    assert "forbidden" in run.stderr


def test_before_the_crds_are_installed_everything_is_new():
    outside = Outside().with_cluster(secrets=SECRETS, installed=False)
    report, run = planned(outside, manifest(cloud()), manifest(instance()))
    assert [o["presence"] for o in report["objects"]] == ["New", "New"]
    assert run.exit_code == 2


def test_the_installation_id_is_read_from_the_cluster_or_said_to_be_unknown():
    known = Outside(vm(), installation_id="").with_cluster(cloud(), instance(), secrets=SECRETS)
    report, run = planned(known, manifest(instance()))
    assert (run.exit_code, report["notes"]) == (0, [])
    unknown = Outside(vm(), installation_id="")
    report, _ = planned(unknown, team(ONE), manifest(cloud()))
    assert "SOVEREIGN_INSTALLATION_ID" in report["notes"][0]


def test_a_rebuilt_cluster_takes_over_what_is_there():
    outside = Outside(vm()).with_cluster(cloud(), secrets=SECRETS)
    found = only(planned(outside, manifest(instance()))[0])
    assert [s["action"] for s in found["steps"]] == ["Mark"]


# --- nothing is written ------------------------------------------------------------------------------------------------------


def test_everything_that_was_asked_is_a_read():
    outside = Outside(vm(memory=2048, state=8, lcm_state=0)).with_cluster(
        cloud(), instance(), secrets=SECRETS | {("team", "ovh"): OVH["stringData"]}
    )
    planned(outside, manifest(cloud()), manifest(instance()), manifest(body("SovereignCloud", "rbx", HOSTED_SPEC)))
    asked = {re.sub(r" (team/.*|HostedInstance.*|ns1.*|\d.*)$", "", entry) for entry in outside.log}
    assert outside.writes == []
    assert "OVHcloud server" in asked
    assert "OpenNebula view" in asked
    assert {entry.split()[1] for entry in asked if entry.startswith("Kubernetes")} <= {
        "list",
        "secret",
        "get",
        "configmap",
    }


# --- for people ----------------------------------------------------------------------------------------------------------------


def test_the_table_says_what_why_and_what_it_needs():
    outside = Outside(vm()).with_cluster(cloud(), instance(), secrets=SECRETS)
    run = plan(outside, manifest(instance(), memory="8Gi"))
    said = " ".join(run.stdout.split())
    for words in (
        "Plan against the cluster at https://fake:6443. Nothing was changed, anywhere.",
        "HostedInstance team/web (changed, standard input:1)",
        "the file changes spec.memory",
        "spec.memory: 4Gi -> 8Gi",
        "Restart spec.updatePolicy.powerCycle: Allow",
        "Not checked here: the rules that only the API server runs",
        "1 to change, 0 with nothing to do, 0 with errors.",
    ):
        assert words in said
    assert "\x1b" not in run.stdout


def test_names_from_outside_cannot_speak_to_the_terminal():
    evil = vm(name="\x1b]0;owned\x07[red]web[/red]")
    outside = Outside(evil).with_cluster(cloud(), instance(), secrets=SECRETS)
    run = plan(outside, manifest(instance(), name="web"))
    assert run.exit_code == 2
    assert "\x1b" not in run.stdout
    assert "[red]web[/red]" in run.stdout


def test_the_keys_of_the_json_are_stable():
    outside = Outside(vm(memory=2048, state=8, lcm_state=0)).with_cluster(cloud(), instance(), secrets=SECRETS)
    report, _ = planned(outside, manifest(instance()))
    found = only(report)
    assert list(report) == ["format", "result", "exitCode", "cluster", "objects", "notes", "uncheckedRules"]
    assert list(found) == [
        "kind", "namespace", "name", "source", "composedBy", "presence", "changedFields", "result", "phase", "reason",
        "message", "hash", "steps", "differences", "drift",
    ]  # fmt: skip
    assert list(found["steps"][0]) == [
        "action", "target", "fields", "disruption", "cost", "needs", "cause", "where", "now", "held",
    ]  # fmt: skip
    assert list(found["drift"][0]) == ["path", "desired", "observed", "action"]
    assert {"kind", "field", "message"} == set(report["uncheckedRules"][0])
