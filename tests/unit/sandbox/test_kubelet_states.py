"""What the kubelet of the sandbox decides: probes, restarts, status, binding, Services. Pure, so tables."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sovereigncloud_sandbox.kubelet.binding import is_ours_to_bind, obstacle, unschedulable
from sovereigncloud_sandbox.kubelet.log_file import Wanted, record, text_of
from sovereigncloud_sandbox.kubelet.probes import Judgement, Probe, port_of
from sovereigncloud_sandbox.kubelet.restarts import failures_after, restarts, wait_before
from sovereigncloud_sandbox.kubelet.root import Identity, Isolation, Mount, Plan, script
from sovereigncloud_sandbox.kubelet.services import Backend, hosts_of, selects, target_of
from sovereigncloud_sandbox.kubelet.status import Container, Pod, Running, Terminated, Waiting, phase_of, status_of
from sovereigncloud_sandbox.kubelet.unisolated import moved

NOW, THEN = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"

# --- probes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "success", "failure", "answers", "verdicts", "why"),
    [
        (False, 1, 3, "+", "+", "readiness: not ready until it answers well once"),
        (False, 1, 3, "+--+", "++++", "two failures are no three"),
        (False, 1, 3, "+---+", "+++-+", "three in a row are, and one good answer makes up for them"),
        (False, 2, 3, "++-++", "-++++", "two good ones where two are asked for"),
        (True, 1, 2, "-+-+--", "+++++-", "liveness: alive until it fails twice in a row"),
        (None, 1, 2, "-+", "?+", "startup: nothing is known until it answers or fails for good"),
        (None, 1, 2, "--", "?-", "and then it has failed"),
    ],
)
def test_answers_count_at_their_threshold(first, success, failure, answers, verdicts, why):
    probe, judgement, seen = Probe({}, success_threshold=success, failure_threshold=failure), Judgement(first), ""
    for answer in answers:
        judgement = judgement.after(probe, answer == "+")
        seen += {True: "+", False: "-", None: "?"}[judgement.passing]
    assert seen == verdicts, why


def test_a_probe_has_the_defaults_of_kubernetes():
    assert Probe.of(None) is None
    probe = Probe.of({"httpGet": {"port": 1}, "initialDelaySeconds": 4})
    assert (probe.initial_delay, probe.period, probe.timeout) == (4, 10, 1)
    assert (probe.success_threshold, probe.failure_threshold) == (1, 3)


def test_ports_by_number_and_name():
    container = {"ports": [{"name": "http", "containerPort": 8080}]}
    assert [port_of(container, port) for port in (1, "2", "http")] == [1, 2, 8080]
    with pytest.raises(ValueError, match="couldn't find port: none"):
        port_of(container, "none")


# --- restarts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "code", "again", "why"),
    [
        ("Always", 0, True, "whatever the end"),
        ("Always", 1, True, "whatever the end"),
        ("OnFailure", 0, False, "it went well"),
        ("OnFailure", 1, True, "it did not"),
        ("Never", 1, False, "one run only"),
    ],
)
def test_restart_policies(policy, code, again, why):
    assert restarts(policy, code) is again, why


def test_the_first_restart_is_at_once_and_the_next_ones_later_and_later():
    assert [wait_before(number) for number in range(1, 9)] == [0, 1, 2, 4, 8, 16, 20, 20]
    assert failures_after(3, ran=5) == 4
    assert failures_after(3, ran=600) == 1, "one that ran well for long begins anew"


# --- status ---------------------------------------------------------------------------------------------------------------

RUNNING, WAITING = Running(THEN), Waiting("ContainerCreating")
WELL, ILL = Terminated(0, THEN, NOW), Terminated(1, THEN, NOW)


def containers(*states):
    return [Container(f"c{n}", "i", state, ready=state is RUNNING) for n, state in enumerate(states)]


@pytest.mark.parametrize(
    ("policy", "init", "states", "phase", "why"),
    [
        ("Always", (), (WAITING,), "Pending", "nothing runs yet"),
        ("Always", (), (RUNNING,), "Running", "it runs"),
        ("Always", (), (RUNNING, WAITING), "Pending", "one was never started"),
        ("Always", (), (WELL,), "Running", "it is about to be started again"),
        ("OnFailure", (), (WELL,), "Succeeded", "it ended well and stays so"),
        ("OnFailure", (), (ILL,), "Running", "it is about to be started again"),
        ("Never", (), (ILL, WELL), "Failed", "one ended ill"),
        ("Never", (), (WELL, WELL), "Succeeded", "all ended well"),
        ("Never", (), (ILL, RUNNING), "Running", "one still runs"),
        ("Never", (ILL,), (WAITING,), "Failed", "what comes first failed"),
        ("Always", (ILL,), (WAITING,), "Pending", "what comes first is tried again"),
        ("Always", (RUNNING,), (WAITING,), "Pending", "what comes first is not done"),
        ("Always", (WELL,), (RUNNING,), "Running", "it is"),
    ],
)
def test_the_phase(policy, init, states, phase, why):
    assert phase_of(Pod(containers(*states), containers(*init), policy)) == phase, why


def test_a_container_that_backs_off_has_run():
    crashed = replace(containers(Waiting("CrashLoopBackOff"))[0], last=ILL, restarts=2)
    assert phase_of(Pod([crashed])) == "Running"
    (told,) = status_of(Pod([crashed]), {}, NOW)["containerStatuses"]
    assert told["state"] == {"waiting": {"reason": "CrashLoopBackOff"}}
    assert (told["lastState"]["terminated"]["exitCode"], told["restartCount"]) == (1, 2)


def conditions(status):
    return {one["type"]: (one["status"], one.get("reason"), one.get("message")) for one in status["conditions"]}


def test_ready_says_which_containers_are_not():
    told = conditions(status_of(Pod(containers(RUNNING, WAITING), ip="127.1.1.1"), {}, NOW))
    assert (
        told["Ready"]
        == told["ContainersReady"]
        == ("False", "ContainersNotReady", "containers with unready status: [c1]")
    )
    assert told["Initialized"][0] == told["PodScheduled"][0] == "True"
    told = conditions(status_of(Pod(containers(RUNNING), containers(WELL)), {}, NOW))
    assert told["Ready"] == ("True", None, None)
    told = conditions(status_of(Pod(containers(WAITING), containers(WELL, RUNNING)), {}, NOW))
    assert told["Initialized"] == ("False", "ContainersNotInitialized", "containers with incomplete status: [c1]")


def test_the_time_of_a_condition_is_that_of_its_change_and_those_of_others_stay():
    before = status_of(Pod(containers(WAITING)), {}, THEN)
    before["conditions"].append({"type": "DisruptionTarget", "status": "True"})
    after = {one["type"]: one for one in status_of(Pod(containers(RUNNING)), before, NOW)["conditions"]}
    assert after["Ready"]["lastTransitionTime"] == NOW
    assert after["PodScheduled"]["lastTransitionTime"] == THEN
    assert "DisruptionTarget" in after


# --- binding, Services ------------------------------------------------------------------------------------------------------


def pod(spec=None, labels=None, **metadata):
    spec = {"containers": [{"image": "ours", "ports": [{"name": "http", "containerPort": 8080}]}], **(spec or {})}
    return {"metadata": {"namespace": "shop", "labels": labels or {}, **metadata}, "spec": spec}


@pytest.mark.parametrize(
    ("one", "ours", "why"),
    [
        (pod(), True, "it waits for a node"),
        (pod({"nodeName": "n"}), False, "it has one"),
        (pod({"schedulerName": "mine"}), False, "another scheduler's"),
        (pod({"schedulingGates": [{"name": "g"}]}), False, "it is held back"),
        (pod(deletionTimestamp=NOW), False, "it is going"),
    ],
)
def test_pods_to_bind(one, ours, why):
    assert is_ours_to_bind(one) is ours, why


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, ""),
        ({"nodeSelector": {"os": "linux"}}, ""),
        ({"nodeSelector": {"disk": "ssd"}}, "didn't match"),
        ({"initContainers": [{"image": "theirs"}]}, "no image theirs"),
        ({"initContainers": [{"image": "ours", "restartPolicy": "Always"}]}, "no sidecars"),
    ],
)
def test_what_keeps_a_pod_from_the_node(spec, why):
    found = obstacle(pod(spec), lambda image: image == "ours", {"os": "linux"})
    assert (why in found) if why else not found


def test_a_pod_without_a_node_keeps_its_other_conditions():
    waiting = pod() | {"status": {"conditions": [{"type": "PodScheduled"}, {"type": "Mine"}]}}
    told = unschedulable(waiting, "no", NOW)
    assert [(one["type"], one.get("reason")) for one in told["conditions"]] == [
        ("Mine", None),
        ("PodScheduled", "Unschedulable"),
    ]


def service(selector=None, **spec):
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": selector, "clusterIP": "127.9.9.9", **spec},
    }


@pytest.mark.parametrize(
    ("one", "backend", "expected", "why"),
    [
        (service({"a": "1"}), Backend(pod(labels={"a": "1", "b": "2"}), "x", ready=True), True, "its labels are there"),
        (service({"a": "1"}), Backend(pod(labels={"a": "2"}), "x", ready=True), False, "another value"),
        (service({"a": "1"}), Backend(pod(labels={"a": "1"}), "x", ready=False), False, "it is not ready"),
        (
            service({"a": "1"}, publishNotReadyAddresses=True), Backend(pod(labels={"a": "1"}), "x", ready=False), True,
            "the Service does not care",
        ),
        (service({"a": "1"}), Backend(pod(labels={"a": "1"}, namespace="other"), "x", ready=True), False, "elsewhere"),
        (service(), Backend(pod(labels={"a": "1"}), "x", ready=True), False, "without a selector it has no pods"),
    ],
)  # fmt: skip
def test_backends_of_a_service(one, backend, expected, why):
    assert selects(one, backend) is expected, why


def test_the_port_behind_a_port():
    assert target_of({"port": 80}, pod()) == 80
    assert target_of({"port": 80, "targetPort": 81}, pod()) == 81
    assert target_of({"port": 80, "targetPort": "http"}, pod()) == 8080
    with pytest.raises(ValueError, match="no container has a port grpc"):
        target_of({"port": 80, "targetPort": "grpc"}, pod())


def test_names_of_services():
    assert hosts_of([service()], "shop") == "127.9.9.9 web.shop.svc.cluster.local web.shop.svc web.shop web\n"
    assert hosts_of([service()], "other") == "127.9.9.9 web.shop.svc.cluster.local web.shop.svc web.shop\n"
    assert hosts_of([service(clusterIP="None")], "shop") == ""


# --- roots, logs ----------------------------------------------------------------------------------------------------------------


def root(**changes):
    mounts = (Mount(Path("/var/empty/a"), "/data/deep"), Mount(Path("/var"), "/data", read_only=True))
    plan = Plan(Path("/new"), mounts, Identity(1, 2, (3,), keeps_capabilities=False), "web", "/data", **changes)
    return script(plan, Isolation.ROOT, {"usr": None, "bin": "usr/bin", "proc": None, "tmp": None}).splitlines()


def test_a_root_is_made_of_the_machine_and_the_volumes_in_their_order():
    lines = root()
    assert "ln -s usr/bin /new/tree/bin" in lines
    overlays = [line for line in lines if line.startswith("mount -t overlay")]
    assert len(overlays) == 1, "of /usr only: /proc is its own, and /tmp empty"
    assert lines.index("mount --bind /var /new/tree/data") < lines.index(
        "mount --bind /var/empty/a /new/tree/data/deep"
    )
    assert "mount -o remount,bind,ro /new/tree/data" in lines
    assert lines[-1].startswith("exec ")
    assert "--reuid=1 --regid=2 --groups=3" in lines[-1]
    assert "--bounding-set=-all" in lines[-1]


@pytest.mark.parametrize(
    ("text", "expected", "why"),
    [
        ("/data", "/here/d", "the path of a volume"),
        ("--file=/data/x", "--file=/here/d/x", "and what lies in it"),
        ("/data/deep/x", "/here/e/x", "the longest counts"),
        ("/database /my/data", "/database /my/data", "no other path that looks like it"),
        ("/a:/data", "/a:/here/d", "in a list of paths, too"),
    ],
)
def test_paths_where_there_are_no_namespaces(text, expected, why):
    assert moved(text, [Mount(Path("/here/d"), "/data"), Mount(Path("/here/e"), "/data/deep")]) == expected, why


async def test_a_log_has_a_time_on_each_line_and_shows_what_is_asked_for(tmp_path):
    reader, log = asyncio.StreamReader(limit=8), tmp_path / "0.log"
    reader.feed_data(b"one\ntwo\n" + b"x" * 20 + b"\nno end")
    reader.feed_eof()
    await record(reader, log)
    assert text_of(log) == "one\ntwo\n" + "x" * 20 + "\nno end"
    entries = log.read_bytes().splitlines(keepends=True)
    now = datetime.now(UTC)
    assert b"".join(Wanted.of({"tailLines": "1"}, now).start(entries)).endswith(b"P no end\n")
    assert Wanted.of({"tailLines": "0"}, now).start(entries) == []
    stamped = Wanted.of({"timestamps": "true"}, now).shown(entries[0])
    assert stamped == entries[0].split(b" ")[0] + b" one\n"
    assert Wanted.of({"sinceSeconds": "60"}, now).shown(entries[0]) == b"one\n"
    assert Wanted.of({"sinceTime": "2999-01-01T00:00:00Z"}, now).shown(entries[0]) == b""
