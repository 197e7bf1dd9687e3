"""The life of the process: probes, logs, rights; one writer; ended, killed and cut off at any moment, and nothing twice."""

import base64
import contextlib
import json
import random
import time
from collections import Counter

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.hosted_scenes import account, hosted, image, instance, make_paris, paris

from sovereigncloud_sandbox.stage import RELEASE, SERVICE_ACCOUNT, SYSTEM

SECONDS_TO_END = 5.0
SECOND = "second"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture(scope="module")
def world(bare_stage, chronicle):
    """A hosted and an existing cloud with a machine each; the operator logs as it does in a cluster."""
    bare_stage.settings["log_format"] = "json"
    bare_stage.start_operator()
    endpoint = make_paris(bare_stage)
    bare_stage.apply([
        account(bare_stage), hosted(), *paris(endpoint), image("paris", "ovh-rbx"),
        instance("web", "ovh-rbx", "vm_public"), small("app"),
    ])  # fmt: skip
    chronicle.all_ready(10, 120)
    return bare_stage


def small(name):
    return instance(name, "paris", "lan-apps", memory="256Mi", vcpu=1, cpu="100m")


def machines(stage, prefix=""):
    """Of paris, whatever became of them: how often each name was ever made."""
    return Counter(vm["name"] for vm in stage.cloud("paris")["vms"] if vm["name"].startswith(prefix))


def running(stage, name):
    return {vm["lcm"] for vm in stage.cloud("paris")["vms"] if vm["name"] == name} == {"RUNNING"}


def struck(stage, name):
    return next(f["struck"] for f in stage.one.call("GET", "/clouds/paris/faults") if f["name"] == name)


@contextlib.contextmanager
def fault(stage, **rule):
    """A fault before calls to paris, for the length of the block."""
    stage.one.call("POST", "/clouds/paris/faults", rule)
    try:
        yield
    finally:
        stage.one.call("DELETE", "/clouds/paris/faults")


# --- what it tells ------------------------------------------------------------------------------------------------------


def test_probes_and_metrics_answer(world):
    assert (world.probe("/healthz").status_code, world.probe("/healthz").text) == (200, "ok\n")
    assert world.probe("/readyz").status_code == 200
    told = {f.name: f for f in text_string_to_metric_families(world.probe("/metrics").text)}
    assert {
        "sovereign_reconcile_duration_seconds",
        "sovereign_steps",
        "sovereign_kubernetes_writes",
        "sovereign_queue_depth",
    } <= set(told)
    done = {
        (s.labels["kind"], s.labels["action"]): s.value
        for s in told["sovereign_steps"].samples
        if s.name.endswith("_total")
    }
    assert done["BareMetalServer", "Reinstall"] >= 2
    assert done["HostedInstance", "Create"] == 2


def test_each_line_of_the_log_is_json_and_names_its_object(world):
    lines = [json.loads(line) for line in world.log().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    about = {line["object"] for line in lines if "object" in line}
    assert {"SovereignCloud platform/ovh-rbx", "HostedInstance platform/web"} <= about
    created = [line for line in lines if line["message"].startswith("Create VM")]
    assert {line["object"] for line in created} == {"HostedInstance platform/web", "HostedInstance platform/app"}


def test_no_secret_is_told_anywhere(world):
    """Log, objects, events, Jobs, metrics: none holds a value of a Secret, a token, or the operator's own credentials."""
    secrets = world.cluster.get("secrets", "-n", "platform")["items"]
    public = {"username", "clientId", "sshPublicKey"}
    values = [
        base64.b64decode(value).decode()
        for secret in secrets
        for key, value in secret["data"].items()
        if key not in public
    ]
    private = [v for v in values if "PRIVATE KEY" in v]
    values += [line for key in private for line in key.splitlines() if len(line) > 40]
    values += world.ovh.call("GET", "/state")["tokens"]
    kubeconfig = world.cluster.kubeconfig_for_service_account(SYSTEM, SERVICE_ACCOUNT)
    values.append(yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"].split(".")[2])
    assert len(values) > 6
    shown = {
        "log": world.log(),
        "objects": world.cluster.kubectl("get", "sovereign", "-A", "-o", "json").stdout,
        "events": world.cluster.kubectl("get", "events", "-A", "-o", "json").stdout,
        "jobs": world.cluster.kubectl("get", "jobs", "-A", "-o", "json").stdout,
        "config maps": world.cluster.kubectl("get", "configmaps", "-n", SYSTEM, "-o", "json").stdout,
        "metrics": world.probe("/metrics").text,
    }
    for value in values:
        for form in (value, base64.b64encode(value.encode()).decode(), json.dumps(value)[1:-1]):
            told = [where for where, text in shown.items() if form in text]
            assert told == [], "a secret was told here"


# --- ended at any moment ---------------------------------------------------------------------------------------------------


def test_asked_to_end_with_a_call_in_flight_it_ends_in_time_and_makes_nothing_twice(world, chronicle):
    """The machine is made after the process that asked for it is gone: the next one finds it by its mark."""
    with fault(world, kind="latency", path="one.vm.allocate", seconds=7, count=1, name="slow"):
        world.apply(small("in-flight"))
        world.until(lambda: struck(world, "slow"), "asked for", seconds=20)
        assert world.stop_operator() < SECONDS_TO_END
        assert machines(world, "in-flight") == {}, "it is not there yet"
        world.start_operator()
        chronicle.ready("HostedInstance", "in-flight")
    assert machines(world, "in-flight") == {"in-flight": 1}


def test_at_rest_it_ends_at_once(world, chronicle):
    chronicle.all_ready(len(chronicle.objects()), 30)
    assert world.stop_operator() < 2.0
    assert "calls in flight" not in world.log_since_start()
    lease = world.cluster.get("leases", "-n", SYSTEM)["items"][0]
    assert lease["spec"]["holderIdentity"] == "", "let go, so that the next one need not wait"
    world.start_operator()


def test_restarted_at_random_moments_it_makes_twenty_machines_and_no_more(world, chronicle):
    chance, wanted = random.Random(20), [f"many-{number:02}" for number in range(20)]
    before = len(chronicle.objects())
    # Slow enough that something is in flight whenever it ends.
    with fault(world, kind="latency", path="one.vm.allocate", seconds=0.4, name="slow"):
        world.apply([small(name) for name in wanted])
        for ending in (world.kill_operator, world.stop_operator, world.kill_operator, world.stop_operator):
            world.until(lambda: "holding Lease" in world.log_since_start(), "the writer", seconds=30)
            time.sleep(chance.uniform(0.3, 1.8))
            ending()
            world.start_operator()
        chronicle.all_ready(before + len(wanted), 90)
    assert machines(world, "many-") == dict.fromkeys(wanted, 1)
    calls = world.one_mark("paris")
    world.cluster.kubectl("delete", "hinst", *wanted, "-n", "platform", "--timeout=60s")
    assert len(world.one_calls("paris", "one.vm.action", since=calls)) >= len(wanted)


# --- one writer ----------------------------------------------------------------------------------------------------------


def test_without_its_rights_it_says_which_are_missing(world):
    world.cluster.kubectl("create", "serviceaccount", "stranger", "-n", SYSTEM)
    child = world.start_operator("stranger", account="stranger")
    assert child.wait(20) == 1
    del world.children["stranger"]
    last = json.loads(world.log("stranger").splitlines()[-1])
    assert last["level"] == "CRITICAL"
    assert "cannot get resource" in last["message"]


@pytest.fixture(scope="module")
def second(world):
    """Another operator process beside the first, under an account of its own, so that the audit log tells them apart."""
    world.cluster.kubectl("create", "serviceaccount", SECOND, "-n", SYSTEM)
    subject = f"--serviceaccount={SYSTEM}:{SECOND}"
    world.cluster.kubectl("create", "clusterrolebinding", SECOND, f"--clusterrole={SYSTEM}-{RELEASE}", subject)
    world.cluster.kubectl("create", "rolebinding", SECOND, f"--role={RELEASE}", subject, "-n", SYSTEM)
    world.start_operator(SECOND, account=SECOND)
    return world


def writes_of_the_second(stage):
    return [
        (e["verb"], e["objectRef"]["resource"])
        for e in stage.cluster.audit()
        if e["user"]["username"].endswith(f":{SECOND}") and e["verb"] in WRITES
    ]


def test_a_second_operator_is_ready_and_never_writes(second, chronicle):
    second.until(lambda: second.probe("/readyz", SECOND).status_code == 200, "ready", seconds=20)
    before = len(chronicle.objects())
    for number in range(3):
        second.apply(small(f"beside-{number}"))
    chronicle.all_ready(before + 3)
    second.mischief("paris", "vm-power-off", vm="beside-0")
    second.until(lambda: running(second, "beside-0"), "mended by the first", seconds=30)
    assert second.log_since_start(SECOND).count("holding Lease") == 0
    assert writes_of_the_second(second) == []
    steps = {f.name: f for f in text_string_to_metric_families(second.probe("/metrics", SECOND).text)}[
        "sovereign_steps"
    ]
    assert [s for s in steps.samples if s.value] == []


def test_the_first_killed_the_second_takes_over_and_makes_nothing_twice(second, chronicle):
    before, wanted = len(chronicle.objects()), [f"taken-{number}" for number in range(6)]
    with fault(second, kind="latency", path="one.vm.allocate", seconds=1.5, name="slow"):
        second.apply([small(name) for name in wanted])
        second.until(lambda: struck(second, "slow") >= 2, "asked for", seconds=20)
        second.kill_operator()
        begun = time.monotonic()
        second.until(lambda: "holding Lease" in second.log_since_start(SECOND), "taken over", seconds=30)
        assert time.monotonic() - begun > 2.0, "not before the first one's time is up"
        chronicle.all_ready(before + len(wanted))
    assert machines(second, "taken-") == dict.fromkeys(wanted, 1)
    assert writes_of_the_second(second) != []
    second.stop_operator(SECOND)
    second.start_operator()


def test_it_ran_under_the_account_of_the_chart_and_nothing_was_forbidden(world):
    """All the time, restarts included."""
    name = f"system:serviceaccount:{SYSTEM}:{SERVICE_ACCOUNT}"
    asked = [e for e in world.cluster.audit() if e["user"]["username"] == name]
    codes = Counter(e["responseStatus"]["code"] for e in asked)
    assert codes[200] > 100
    refused = [e for e in asked if e["responseStatus"]["code"] in {401, 403}]
    assert refused == []


# --- cut off from Kubernetes ----------------------------------------------------------------------------------------------


def test_without_an_api_server_for_a_while_it_goes_on_afterwards(world, chronicle):
    world.stop_operator()
    child = world.start_operator(lease_seconds="60")
    world.apply(small("before"))  # made once it has begun and watches; one that cannot begin ends, and is begun again
    chronicle.ready("HostedInstance", "before")
    chronicle.all_ready(before := len(chronicle.objects()))
    calls = world.one_mark("paris")
    with world.cluster.without_api_server():
        world.mischief("paris", "vm-power-off", vm="app")
        time.sleep(5)
    world.apply(small("afterwards"))
    chronicle.ready("HostedInstance", "afterwards")
    world.until(lambda: running(world, "app"), "what happened meanwhile is mended", seconds=30)
    chronicle.all_ready(before + 1)
    assert child.poll() is None, "the same process"
    assert len(world.one_calls("paris", "one.vm.allocate", since=calls)) == 1


def test_a_lease_that_cannot_be_renewed_ends_the_process_and_the_next_one_goes_on(world, chronicle):
    world.stop_operator()
    child = world.start_operator()
    world.until(lambda: "holding Lease" in world.log_since_start(), "the writer", seconds=30)
    calls, writes = world.one_mark("paris"), world.ovh_mark
    with world.cluster.without_api_server():
        assert child.wait(30) == 1, "lost means exit"
        world.mischief("paris", "vm-power-off", vm="app")
    world.start_operator()  # as a kubelet does
    world.until(lambda: running(world, "app"), "mended by the next", seconds=40)
    chronicle.all_ready(len(chronicle.objects()))
    assert world.ovh_writes(writes) == []
    assert world.one_calls("paris", "one.vm.allocate", since=calls) == []
