"""A cloud is verified on request: every check in status, Verified says what came of it, and Ready does not speak of it."""

import json

import pytest
from tests.integration.hosted_scenes import account, hosted

from sovereigncloud_sandbox.stage import StageError, condition

SETTINGS = {"sweep_interval": "2", "settle_interval": "0.3"}


def verified(found, request):
    """The condition, once the run that this word asked for is over."""
    told = (found.get("status") or {}).get("verification") or {}
    over = told.get("request") == request and told.get("finishedAt")
    return condition(found, "Verified") if over else {}


def ask(stage, cloud, request, status, *, seconds=60, **verification):
    """Ask with a word, and the object as soon as the run is over, which must have that status."""
    spec = {"spec": {"verification": {"request": request, **verification}}}
    stage.patch("sovereigncloud", cloud, spec, "platform")
    found = stage.wait(
        "sovereigncloud", cloud, f"{request}: Verified", lambda f: verified(f, request).get("status"), seconds=seconds
    )
    assert verified(found, request)["status"] == status, verified(found, request)
    return found


def results(found):
    return {c["name"]: c["result"] for c in found["status"]["verification"]["checks"]}


def machines(stage, cloud):
    """Names of those that are there."""
    return [vm["name"] for vm in stage.cloud(cloud)["vms"] if vm["state"] != "DONE"]


def others(stage, told):
    """(Ready, whether anything is reconciling or stalled), in each version of the object."""
    return {
        (condition(v, "Ready").get("status"), bool(condition(v, "Reconciling") or condition(v, "Stalled")))
        for v in told
        if v["status"].get("observedGeneration") == v["metadata"]["generation"]
    }


@pytest.fixture(scope="module")
def chosen(paris):
    """Nothing but the hosts and the network is in it."""
    return paris.name


def test_a_word_in_spec_verifies_the_cloud_and_neither_ready_nor_a_machine_remains_of_it(stage, chosen):
    before = stage.get("sovereigncloud", chosen)
    found = ask(stage, chosen, "first", "True")
    assert results(found) == {
        "CoreVersion": "Passed",
        "HostsMonitored": "Passed",
        "DatastoresHaveSpace": "Passed",
        "NetworksHaveLeases": "Passed",
        "VMOnHost/paris-host-0": "Passed",
        "VMOnHost/paris-host-1": "Passed",
        "VMOnNetwork/lan": "Passed",
    }
    assert machines(stage, chosen) == []
    versions = stage.versions(before)
    assert ("Unknown", "Verifying") in {
        (condition(v, "Verified").get("status"), condition(v, "Verified").get("reason")) for v in versions
    }
    assert others(stage, versions) == {("True", False)}
    reasons = {event["reason"] for event in stage.events("SovereignCloud", chosen)}
    assert {"Verifying", "VerificationPassed"} <= reasons
    table = stage.cluster.kubectl("get", "scloud", chosen, "-n", "platform", "-o", "wide").stdout
    assert "VERIFIED" in table
    assert "True" in table.splitlines()[1]


def test_the_same_word_never_asks_twice(stage, chosen):
    calls = stage.calls(chosen)
    ask(stage, chosen, "first", "True")
    stage.cluster.kubectl(
        "annotate", "scloud", chosen, "-n", "platform", "--overwrite", "sovereigncloud.io/reconcile-requested-at=now"
    )
    stage.wait("sovereigncloud", chosen, "looked at", lambda f: f["status"].get("lastHandledReconcileAt") == "now")
    assert stage.calls(chosen)["one.vm.allocate"] == calls["one.vm.allocate"]
    assert stage.calls(chosen)["one.zone.update"] == calls["one.zone.update"]


def test_a_broken_host_is_named_and_a_mended_one_passes_again(stage, chosen):
    stage.mischief(chosen, "host-break", host="paris-host-1")
    found = ask(stage, chosen, "second", "False")
    failed = {name for name, result in results(found).items() if result == "Failed"}
    assert failed == {"HostsMonitored", "VMOnHost/paris-host-1"}
    assert "paris-host-1" in condition(found, "Verified")["message"]
    assert condition(found, "Ready")["status"] == "True", "an existing cloud's hosts are its owner's business"
    assert machines(stage, chosen) == []
    stage.mischief(chosen, "host-enable", host="paris-host-1")
    stage.until(
        lambda: all(h["state"].startswith("MONITORED") for h in stage.cloud(chosen)["hosts"]), "mended", seconds=20
    )
    ask(stage, chosen, "third", "True")


def test_a_check_that_is_switched_off_shows_its_justification(stage, chosen):
    off = [{"check": "VMOnNetwork/lan", "justification": "No spare address until January."}]
    found = ask(stage, chosen, "fourth", "True", disabled=off)
    assert results(found)["VMOnNetwork/lan"] == "Skipped"
    assert "No spare address until January." in json.dumps(found["status"]["verification"])


REFUSED = [
    ({"suite": "API"}, "nothing says when"),
    ({"request": "a", "disabled": [{"check": "VMOnHost", "justification": " "}]}, "must say why"),
    ({"request": "a", "disabled": [{"check": "Nothing", "justification": "x"}]}, "no such check"),
    ({"request": "a", "disabled": [{"check": "CoreVersion/x", "justification": "x"}]}, "only VMOnHost and VMOnNetwork"),
    ({"request": "a", "suite": "OneDeployValidation", "reportClaimRef": {"name": "x"}}, "needs hosted.openNebula.install"),
    ({"schedule": "61 * * * *"}, "five fields"),
    ({"schedule": "* * * *"}, "five fields"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "words"), REFUSED)
def test_what_makes_no_sense_is_refused_at_once(stage, chosen, wrong, words):
    nothing = {"disabled": None, "suite": None, "schedule": None, "request": None}
    with pytest.raises(Exception, match=words):
        stage.patch("sovereigncloud", chosen, {"spec": {"verification": {**nothing, **wrong}}}, "platform")


def test_nothing_is_done_while_it_only_observes(stage, chosen):
    allocated = stage.calls(chosen)["one.vm.allocate"]
    verification = {"request": "observed", "disabled": None}
    spec = {"spec": {"management": "Observe", "verification": verification}}
    stage.patch("sovereigncloud", chosen, spec, "platform")
    stage.wait(
        "sovereigncloud",
        chosen,
        "NotActing",
        lambda f: (
            (condition(f, "Verified").get("status"), condition(f, "Verified").get("reason")) == ("Unknown", "NotActing")
        ),
    )
    with pytest.raises(StageError):
        stage.wait("sovereigncloud", chosen, "verified", lambda f: verified(f, "observed"), seconds=5)
    assert stage.calls(chosen)["one.vm.allocate"] == allocated
    stage.patch("sovereigncloud", chosen, {"spec": {"management": "Manage"}}, "platform")
    stage.wait("sovereigncloud", chosen, "verified", lambda f: verified(f, "observed"))


def test_a_schedule_is_told_and_nothing_is_run_before_its_time(stage, chosen):
    verification = {"schedule": "0 3 1 1 *", "request": None}
    stage.patch("sovereigncloud", chosen, {"spec": {"verification": verification}}, "platform")
    found = stage.wait(
        "sovereigncloud", chosen, "scheduled", lambda f: (f["status"].get("verification") or {}).get("nextRun")
    )
    assert found["status"]["verification"]["nextRun"].endswith("-01-01T03:00:00Z")
    assert condition(found, "Verified")["status"] == "True", "what was found last"


def test_the_suite_of_opennebula_runs_in_a_job_and_its_report_is_told_with_its_digest(stage):
    """From one manifest: the cloud is built, and once it is ready it is verified."""
    suite = {"request": "after-install", "suite": "OneDeployValidation", "reportClaimRef": {"name": "reports"}}
    off = [{"check": "StorageBenchmark", "justification": "Measured by the provider."}]
    stage.apply([account(stage), hosted(verification={**suite, "disabled": off})])
    found = stage.wait(
        "sovereigncloud",
        "ovh-rbx",
        "Verified",
        lambda f: verified(f, "after-install").get("status"),
        seconds=180,
    )
    assert verified(found, "after-install")["status"] == "True", found["status"]
    assert results(found)["StorageBenchmark"] == "Skipped"
    assert results(found)["CoreServices"] == "Passed"
    report = found["status"]["verification"]["report"]
    assert report["digest"].startswith("sha256:")
    assert (report["claim"], report["path"].split("/")[:2]) == ("reports", ["platform", "ovh-rbx"])
    jobs = [j["metadata"]["name"] for j in stage.cluster.get("jobs", "-n", "platform")["items"]]
    assert len([name for name in jobs if name.startswith("ovh-rbx-validate-")]) == 1

    stage.mischief("ovh-rbx", "host-break", host=stage.cloud("ovh-rbx")["hosts"][1]["name"])
    found = ask(stage, "ovh-rbx", "broken", "False", disabled=off, seconds=120)
    assert stage.cloud("ovh-rbx")["hosts"][1]["name"] in condition(found, "Verified")["message"]
