"""Suite OneDeployValidation: its Job, what its pod says at its end, and how a run of it goes on after a crash."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.unit.kinds.sovereigncloud.test_verification import MARK, UNIX, Outside
from tests.unit.providers.installer.installations import BASIC, GUARDED
from tests.unit.providers.installer.test_installation import FakeJobs, condition

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.verification import SuiteCheck
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.sovereigncloud.verification.job import CERTAIN, validation_of
from sovereigncloud.kinds.sovereigncloud.verification.plan import verification_fields, with_verification
from sovereigncloud.kinds.sovereigncloud.verification.records import Record, read_record
from sovereigncloud.kinds.sovereigncloud.verification.steps import StartValidation, WriteRecord, perform_verification
from sovereigncloud.ports.errors import Conflict
from sovereigncloud.ports.installer.validation import Validation, ValidationState
from sovereigncloud.providers.installer import validation_summary
from sovereigncloud.providers.installer.installation import JobInstaller
from sovereigncloud.providers.installer.validation import SWITCHES, job_name, manifest, read_result, variables

WANTED = Validation(BASIC, 1_764_000_000, {"OneFlow": False}, "vm_public", "reports")
ALL = {str(check) for check in SuiteCheck}
PASSED = ValidationState("Ended", "", dict.fromkeys(ALL, ("Passed", "")), "sha256:abc", "platform/ovh-rbx/1")


# --- the Job -------------------------------------------------------------------------------------------------------------


def container(wanted=WANTED):
    pod = manifest(wanted, "image:1", {"HTTPS_PROXY": "http://proxy:3128"})["spec"]["template"]["spec"]
    (found,) = pod["containers"]
    return found, {e["name"]: e["value"] for e in found["env"]}, pod


def test_the_switches_are_the_suites_own_and_what_needs_a_person_stays_off():
    suite = variables(WANTED)["validation"]
    assert suite["run_one_flow"] is False
    assert all(suite[name] is True for check, name in SWITCHES.items() if check != "OneFlow")
    assert not any(suite[name] for name in ("run_vm_ha", "run_fe_ha", "run_federation", "run_ldap_auth"))
    assert suite["test_vm"]["vnet_name"] == suite["storage_benchmark"]["vnet_name"] == "vm_public"
    assert set(SWITCHES) == ALL


def test_the_pod_is_the_installers_with_another_command_and_a_volume_for_the_report():
    found, env, pod = container()
    assert {"name": "reports", "persistentVolumeClaim": {"claimName": "reports"}} in pod["volumes"]
    assert env["REPORT"] == "/reports/platform/ovh-rbx/1764000000"
    assert env["CHECKS"].split() == [c for c in SWITCHES if c != "OneFlow"]
    assert env["HTTPS_PROXY"] == "http://proxy:3128"
    assert yaml.safe_load(env["INVENTORY"])["frontend"]
    assert yaml.safe_load(env["VARIABLES"])["validation"]["run_core_services"] is True
    assert pod["automountServiceAccountToken"] is False
    subprocess.run([found["command"][0], "-n", "-c", found["command"][2]], check=True)
    secret_words = ("password:", "BEGIN OPENSSH")
    assert not any(word in json.dumps(env) for word in secret_words)
    long = replace(WANTED, installation=replace(GUARDED, cloud="a" * 60))
    assert len(job_name(long)) <= 63


async def test_a_run_is_made_once_and_alone():
    api = FakeJobs()
    installer = JobInstaller(api, image="i")
    await installer.validate(WANTED)
    await installer.validate(WANTED)
    assert api.created == {job_name(WANTED): 1}
    other = replace(WANTED, run=WANTED.run + 1)
    with pytest.raises(Conflict, match=job_name(WANTED)):
        await installer.validate(other)
    with pytest.raises(Conflict, match=job_name(WANTED)):
        await installer.start(BASIC)
    api.found[job_name(WANTED)]["status"] = {"conditions": [condition("Complete")]}
    await installer.validate(other)
    assert api.created[job_name(other)] == 1


def said(words):
    terminated = {"exitCode": 0, "message": words}
    return [{"status": {"containerStatuses": [{"name": "one-deploy", "state": {"terminated": terminated}}]}}]


RESULT = json.dumps({"checks": {"CoreServices": ["Failed", "x"]}, "digest": "sha256:abc", "path": "a/b/1"})


@pytest.mark.parametrize(
    ("why", "status", "pods", "expected"),
    [
        ("not made", None, [], ("Absent", "", {})),
        ("runs", {}, [], ("Running", "Job ovh-rbx-validate", {})),
        ("over", {"conditions": [condition("Complete")]}, said(RESULT), ("Ended", "", {"CoreServices": ("Failed", "x")})),
        ("said something else", {"conditions": [condition("Failed")]}, said("no suite"), ("Ended", "no suite", {})),
        ("never ran", {"conditions": [condition("Failed", message="Deadline")]}, [], ("Ended", "Deadline", {})),
        ("may not look", {"conditions": [condition("Complete")]}, None, ("Ended", "cannot be asked", {})),
    ],
)  # fmt: skip
async def test_what_became_of_it(why, status, pods, expected):
    api = FakeJobs()
    if status is not None:
        api.found[job_name(WANTED)] = {"metadata": {"name": job_name(WANTED)}, "status": status}
    api.pods_of = pods
    state = await JobInstaller(api, image="i").validation(WANTED)
    assert (state.state, state.results) == (expected[0], expected[2]), why
    assert expected[1] in state.message


@pytest.mark.parametrize("words", ["", "null", "[]", '{"checks": 3}', '{"checks": {"a": "b"}}', '{"checks": {"a": 1}}'])
def test_what_is_no_result_is_none(words):
    assert read_result(words) is None


# --- what the playbooks did, in the pod ----------------------------------------------------------------------------------


def event(kind, role, task="task", host="57.131.167.160", **data):
    return {"event": kind, "event_data": {"role": role, "task": task, "host": host, **data}}


def ok(role, **facts):
    return event("runner_on_ok", role, res={"ansible_facts": facts} if facts else {})


ROLES = {check: role for role, check in validation_summary.ROLES.items()}
WELL = [ok(role) for role in ROLES.values()]
LOST = {"vm_public": {"Network GW ping": '{"packet_loss_percent": 100.0}', "External Host ping": ""}}

EVENTS = [
    ("all well", WELL, {}),
    (
        "one fails and the suite stops",
        [ok("test_vm"), event("runner_on_failed", "storage-benchmark", "Run fio")],
        {
            "StorageBenchmark": "failed in: Run fio on 57",
            "Networks": "not reached: the suite stopped in: Run fio",
            "CoreServices": "not reached",
            "OneFlow": "not reached",
            "NetworkBenchmark": "not reached",
        },
    ),
    ("what is ignored is no failure", [*WELL, event("runner_on_failed", "validation", ignore_errors=True)], {}),
    ("OneFlow fails and the suite goes on", [event("runner_on_failed", "oneflow_validation"), *WELL], {"OneFlow": "failed in"}),
    ("packets are lost", [*WELL, ok("network_validation", network_verification_results=LOST)], {"Networks": "packets are lost"}),
    (
        "a host that is in error",
        [*WELL, ok("validation", verification_result={"Status of the registered KVM hosts": ["h1: ERROR"]})],
        {"CoreServices": "ERROR"},
    ),
    ("what is said of a service that is not there", [*WELL, ok("validation", verification_result={"gate": "skipped"})], {}),
    ("nothing came", [], dict.fromkeys(ALL, "the suite stopped in: its start")),
    (
        "a server is not reached",
        [event("runner_on_unreachable", "validation_common", "hostname")],
        dict.fromkeys(ALL, "stopped in: hostname on 57"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("why", "events", "failed"), EVENTS, ids=[case[0].replace(" ", "-") for case in EVENTS])
def test_what_the_events_say(why, events, failed):
    found = validation_summary.summarise(events, sorted(ALL))
    assert {name for name, (result, _) in found.items() if result == "Failed"} == set(failed), why
    assert all(words in found[name][1] for name, words in failed.items())
    assert len(json.dumps(found)) < 4096


def test_the_report_is_kept_and_its_digest_told(tmp_path):
    events, found, kept = tmp_path / "events", tmp_path / "found", tmp_path / "reports/platform/ovh-rbx/17"
    events.mkdir()
    found.mkdir()
    for number, one in enumerate(WELL, 1):
        (events / f"{number}-abc.json").write_text(json.dumps(one))
    (events / "99-abc.json").write_text("{cut")
    (found / validation_summary.REPORT).write_text("<html>")
    script = Path(validation_summary.__file__)
    environment = {"CHECKS": " ".join(sorted(ALL))}
    run = [sys.executable, "-S", str(script), str(events), str(found), str(kept)]
    told = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout
    state = read_result(told)
    assert state.digest == f"sha256:{hashlib.sha256(b'<html>').hexdigest()}"
    assert state.path == "platform/ovh-rbx/17"
    assert (kept / validation_summary.REPORT).read_text() == "<html>"
    assert {result for result, _ in state.results.values()} == {"Passed"}


# --- the run -------------------------------------------------------------------------------------------------------------


def hosted(verification, status=None):
    server = {"name": "one-1", "serviceName": "ns1", "roles": ["Frontend", "Node"]}
    spec = {
        "hosted": {
            "ovh": {
                "endpoint": "ovh-eu",
                "credentialsSecretRef": {"name": "ovh"},
                "vrack": "pn-1",
                "servers": [server],
            },
            "openNebula": {"install": {"architecture": "Basic", "version": "7.0"}},
            "networks": [{"name": "lan", "vlanID": 5}, {"name": "vm_public", "publicBlock": "57.131.167.176/28"}],
        },
        "verification": verification,
    }
    meta = {"name": "paris", "namespace": "platform", "uid": "uid-1", "generation": 1}
    return SovereignCloud.model_validate({"metadata": meta, "spec": spec, "status": status or {}})


SUITE = {"request": "first", "suite": "OneDeployValidation", "reportClaimRef": {"name": "reports"}}


class Jobs:
    """The installer, as far as a run needs it. `job`: what became of it."""

    def __init__(self, outside):
        self.outside, self.job, self.made = outside, ValidationState("Absent"), 0

    @property
    def installer(self):
        return self

    async def open_nebula(self, _):
        return self.outside

    async def validate(self, _):
        if self.job.state == "Absent":
            self.made, self.job = self.made + 1, ValidationState("Running", "Job paris-validate")

    async def look(self, status, *, steps=None):
        """Once through the loop, ending after so many steps. The plan and the status that would be written."""
        resource = hosted(SUITE | status.pop("spec", {}), status)
        seen = self.outside.seen()
        record = seen.record
        if record.running:
            wanted = validation_of(resource, {}, resource.spec.verification, record)
            seen = replace(seen, validation=wanted, job=self.job)
        plan = with_verification(resource, seen, Plan())
        fields, own = verification_fields(resource, seen)
        for step in plan.steps[:steps]:
            await perform_verification(step, resource, self)
        told = {k: v for k, v in fields.items() if v is not None}
        return plan, {"verification": told, "conditions": own}


async def test_from_a_word_to_a_report():
    outside = Outside()
    jobs, status = Jobs(outside), {}
    for _ in range(3):
        plan, status = await jobs.look(status)
        outside.pass_()
    assert jobs.made == 1
    assert plan.outcome.after == 15.0, "a Job of hours is not read for every two seconds"
    assert {c["result"] for c in status["verification"]["checks"]} == {"Running"}
    jobs.job = PASSED
    for _ in range(4):
        _, status = await jobs.look(status)
        outside.pass_()
    (told,) = status["conditions"]
    assert (told["status"], told["reason"]) == ("True", "VerificationPassed")
    assert status["verification"]["report"] == {
        "digest": "sha256:abc",
        "claim": "reports",
        "path": "platform/ovh-rbx/1",
    }
    assert status["verification"]["suite"] == "OneDeployValidation"
    assert not outside.made, "no machine of ours: the suite makes its own"


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_wherever_the_operator_ends_the_job_is_made_once(steps):
    outside = Outside()
    outside.remember(request="first", suite="OneDeployValidation", began=UNIX, asked=("first",))
    jobs = Jobs(outside)
    await jobs.look({}, steps=steps)
    for _ in range(3):
        _, status = await jobs.look({})
    assert jobs.made == 1
    assert {c["result"] for c in status["verification"]["checks"]} == {"Running"}


async def test_a_job_that_was_deleted_is_not_made_again():
    outside = Outside()
    outside.remember(
        request="first", suite="OneDeployValidation", began=UNIX - CERTAIN, started=UNIX - CERTAIN, asked=("first",)
    )
    jobs, status = Jobs(outside), {}
    for _ in range(3):
        _, status = await jobs.look(status)
    assert jobs.made == 0
    assert status["conditions"][0]["status"] == "False"
    assert "its Job is gone" in status["conditions"][0]["message"]


async def test_a_test_case_that_is_switched_off_is_skipped_with_its_justification():
    outside = Outside()
    outside.remember(request="first", suite="OneDeployValidation", began=UNIX, asked=("first",))
    jobs = Jobs(outside)
    jobs.job = replace(PASSED, results={"CoreServices": ("Failed", "failed in: restart")})
    off = {"disabled": [{"check": "OneFlow", "justification": "OneFlow is not used here"}]}
    _, status = await jobs.look({"spec": off})
    found = {c["name"]: (c["result"], c["message"]) for c in status["verification"]["checks"]}
    assert found["OneFlow"] == ("Skipped", "disabled in spec: OneFlow is not used here")
    assert found["CoreServices"] == ("Failed", "failed in: restart")
    assert found["Networks"][0] == "Failed"


def test_what_is_asked_of_the_suite():
    resource = hosted(SUITE)
    wanted = validation_of(resource, {}, resource.spec.verification, Record(began=5))
    assert (wanted.run, wanted.network, wanted.claim) == (5, "vm_public", "reports")
    assert set(wanted.switches) == ALL


def test_the_record_comes_before_the_job():
    outside = Outside()
    outside.remember(request="first", suite="OneDeployValidation", began=UNIX, asked=("first",))
    resource = hosted(SUITE)
    seen = outside.seen()
    wanted = validation_of(resource, {}, resource.spec.verification, seen.record)
    plan = with_verification(resource, replace(seen, validation=wanted, job=ValidationState("Absent")), Plan())
    assert [type(s) for s in plan.steps] == [WriteRecord, StartValidation]
    assert plan.steps[0].record.started == UNIX
    assert read_record(outside.notes, MARK).running
