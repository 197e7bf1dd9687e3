"""The kubelet of the sandbox does what Kubernetes documents, as kubectl shows it; its containers are scripts of this Python."""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from sovereigncloud_sandbox.kubelet.images import python_image
from sovereigncloud_sandbox.process_id import ProcessId

IMAGE = "registry.test:5000/scripts/python"
RESTRICTED = {
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
FOREVER = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: exit(0))\nprint('up', flush=True)\nwhile True: signal.pause()"
SERVER = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/fail": open("/tmp/ill", "w").close()
        code = 500 if self.path == "/health" and os.path.exists("/tmp/ill") else 200
        self.send_response(code); self.end_headers(); self.wfile.write(os.environ["HOSTNAME"].encode())
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.ThreadingHTTPServer((os.environ["IP"], 8080), Handler).serve_forever()
"""
IP = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
TMP = {"volumes": [{"name": "tmp", "emptyDir": {}}]}
AT_TMP = {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}


@pytest.fixture(scope="module")
def plane(own_control_plane, tmp_path_factory):
    own_control_plane.start_kubelet({IMAGE: python_image(tmp_path_factory.mktemp("image"))}, refresh=1.0)
    yield own_control_plane
    print((own_control_plane.directory / "kubelet.log").read_text()[-4000:])


def container(script, name="main", **spec):
    return {"name": name, "image": f"{IMAGE}:1", "command": ["python", "-c", script], **spec}


def pod(name, *containers, restart="Never", labels=None, **spec):
    metadata = {"name": name, "namespace": "default", "labels": labels or {}}
    spec = {"restartPolicy": restart, "terminationGracePeriodSeconds": 5, "containers": list(containers), **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def apply(plane, *documents):
    plane.kubectl("apply", "--filename=-", input=yaml.safe_dump_all(documents))


def get(plane, name):
    return plane.request("GET", f"/api/v1/namespaces/default/pods/{name}")


def until(found, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"not {what} within {seconds} s"
        time.sleep(0.05)
    return result


def status(plane, name, test, what, seconds=30):
    """The pod's first status for which the test holds."""
    seen = {}

    def now():
        seen["it"] = (get(plane, name) or {}).get("status") or {}
        return test(seen["it"]) and seen["it"]

    try:
        return until(now, what, seconds)
    except AssertionError:
        pytest.fail(f"{name}: not {what} but {yaml.safe_dump(seen['it'])}")


def ended(plane, name):
    return status(plane, name, lambda s: s.get("phase") in {"Succeeded", "Failed"}, "ended")


def first(found):
    return (found.get("containerStatuses") or [{}])[0]


def state(found):
    ((kind, detail),) = (first(found).get("state") or {"none": {}}).items()
    return kind, detail


def conditions(found):
    return {one["type"]: (one["status"], one.get("reason", "")) for one in found["conditions"]}


def log(plane, name, *arguments):
    return plane.kubectl("logs", name, *arguments).stdout


def events(plane, name):
    found = plane.get("events", f"--field-selector=involvedObject.name={name}")["items"]
    return {(one["reason"], one["message"]) for one in found}


# --- the node -------------------------------------------------------------------------------------------------------------


def test_there_is_one_node_and_it_is_ready(plane):
    plane.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=10s")
    (node,) = plane.get("nodes")["items"]
    assert "taints" not in node["spec"]
    assert plane.get("lease", node["metadata"]["name"], "--namespace=kube-node-lease")["spec"]["renewTime"]


def test_a_pod_with_another_image_stays_pending_and_says_why(plane):
    foreign = {"name": "main", "image": "docker.io/library/nginx:1"}
    apply(plane, pod("foreign", foreign), pod("elsewhere", container("pass"), nodeSelector={"disk": "ssd"}))
    for name, why in (("foreign", "docker.io/library/nginx:1"), ("elsewhere", "node affinity/selector")):
        found = status(plane, name, lambda s: s.get("conditions"), "judged")
        assert (found["phase"], conditions(found)["PodScheduled"]) == ("Pending", ("False", "Unschedulable"))
        assert why in found["conditions"][0]["message"]
        assert "nodeName" not in get(plane, name)["spec"]


# --- what a container gets --------------------------------------------------------------------------------------------------

IDENTITY = """
import json, os, pathlib, socket
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
writable = {}
for path in ("/etc/x", "/usr/x", "/x", "/tmp/x", "/data/x", "/settings/x"):
    try: open(path, "w"); writable[path] = True
    except OSError as error: writable[path] = error.strerror
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "pid": os.getpid(), "host": socket.gethostname(),
    "processes": sum(name.isdigit() for name in os.listdir("/proc")), "cwd": os.getcwd(), "writable": writable,
    "caps": status["CapPrm"].strip(), "no_new_privs": status["NoNewPrivs"].strip(),
    "hosts": pathlib.Path("/etc/hosts").read_text(),
}))
"""


def test_user_root_and_privileges_are_those_of_the_security_context(plane):
    """A missing `runAsUser`, a write to the root or a port below 1024 fails here as it would in a cluster."""
    context = {"runAsUser": 4711, "runAsGroup": 4712, "fsGroup": 4713, "supplementalGroups": [4714]}
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": "settings", "mountPath": "/settings"}]
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "settings", "configMap": {"name": "settings"}}]
    restricted = container(IDENTITY, securityContext=RESTRICTED, volumeMounts=mounts, workingDir="/data")
    apply(plane, settings, pod("identity", restricted, securityContext=context, volumes=volumes))
    assert ended(plane, "identity")["phase"] == "Succeeded", log(plane, "identity")
    seen = json.loads(log(plane, "identity"))
    if os.geteuid() == 0:
        assert sorted(seen["groups"]) == [4713, 4714]
    assert (seen["uid"], seen["gid"], seen["host"], seen["cwd"]) == (4711, 4712, "identity", "/data")
    assert (seen["pid"], seen["processes"]) == (1, 1), "it sees its own processes only"
    assert (int(seen["caps"], 16), seen["no_new_privs"]) == (0, "1")
    refused = "Read-only file system"
    assert seen["writable"] == {
        "/etc/x": refused, "/usr/x": refused, "/x": refused, "/tmp/x": refused, "/data/x": True, "/settings/x": refused,
    }  # fmt: skip
    assert f"{get(plane, 'identity')['status']['podIP']} identity" in seen["hosts"]


def test_what_a_container_writes_is_gone_with_it_and_never_on_the_machine(plane):
    # Root in a user namespace is nobody where the machine's root is the owner.
    folders = ("/tmp", "/var/tmp", "/etc", "/") if os.geteuid() == 0 else ("/tmp",)
    paths = [Path(folder) / f"of-a-container-{os.getpid()}" for folder in folders]
    script = f"for path in {[str(path) for path in paths]}: open(path, 'w').write('x')"
    apply(plane, pod("writer", container(script, securityContext={"runAsUser": 0})))
    assert ended(plane, "writer")["phase"] == "Succeeded", log(plane, "writer")
    assert not [path for path in paths if path.exists()]


def test_run_as_non_root_is_refused_to_root(plane):
    apply(plane, pod("rooted", container("pass", securityContext={"runAsNonRoot": True, "runAsUser": 0})))
    found = status(plane, "rooted", lambda s: state(s)[1].get("reason") == "CreateContainerConfigError", "refused")
    assert "image will run as root" in state(found)[1]["message"]


def test_command_arguments_and_environment(plane):
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "env"},
        "stringData": {"k": "hidden", "b": "2"},
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "env"},
        "data": {"c": "3"},
    }
    variables = [
        {"name": "PLAIN", "value": "p"},
        {"name": "JOINED", "value": "$(PLAIN)-$(K)-$(UNKNOWN)-$$(PLAIN)"},
        {"name": "K2", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}},
        {"name": "C2", "valueFrom": {"configMapKeyRef": {"name": "env", "key": "c"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "k", "optional": True}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        IP,
    ]
    sources = [{"secretRef": {"name": "env"}}, {"prefix": "P_", "configMapRef": {"name": "env"}}]
    given = {"env": variables, "envFrom": sources, "resources": {"limits": {"memory": "64Mi", "cpu": "100m"}}}
    main = container("", args=["$(PLAIN)", "$(k)"], **given)
    main["command"] = ["python", "-c", "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"]
    cmd = {"name": "cmd", "image": f"{IMAGE}@sha256:{'0' * 64}", "args": ["version"]}
    apply(plane, secret, config, pod("env", main, cmd, labels={"app": "env"}))
    assert ended(plane, "env")["phase"] == "Succeeded", log(plane, "env", "--container=cmd")
    arguments, seen = json.loads(log(plane, "env", "--container=main"))
    assert arguments == ["p", "hidden"]
    expected = {
        "PLAIN": "p", "JOINED": "p-$(K)-$(UNKNOWN)-$(PLAIN)", "K2": "hidden", "k": "hidden", "b": "2", "C2": "3", "P_c": "3",
        "POD": "env", "LABEL": "env", "MEMORY": "64", "IP": get(plane, "env")["status"]["podIP"], "HOSTNAME": "env",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": plane.endpoint.rpartition(":")[2],
    }  # fmt: skip
    assert {key: seen.get(key) for key in expected} == expected
    assert "NONE" not in seen
    assert not [key for key in seen if key.startswith("SOVEREIGN") or " " in key], (
        "nothing of this process's environment"
    )
    assert log(plane, "env", "--container=cmd").strip(), "the image's ENTRYPOINT with other arguments"


WHO = """
import kubernetes
kubernetes.config.load_incluster_config()
print(kubernetes.client.AuthenticationV1Api().create_self_subject_review({}).status.user_info.username)
"""
FILES = """
import json, os
root = "/mounted"
found = {}
for folder, _, names in os.walk(root):
    for name in names:
        path = os.path.join(folder, name)
        found[path[len(root) + 1:]] = [open(path).read(), oct(os.stat(path).st_mode & 0o777)]
print(json.dumps(found))
"""


def test_volumes_are_at_their_paths_and_the_token_is_one(plane):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vol"}, "stringData": {"a": "A", "b": "B"}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vol"}, "data": {"c": "C"}}
    label = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    volumes = [
        {"name": "secret", "secret": {"secretName": "vol", "items": [{"key": "a", "path": "deep/a", "mode": 0o444}]}},
        {"name": "maybe", "secret": {"secretName": "nowhere", "optional": True}},
        {"name": "config", "configMap": {"name": "vol"}},
        {"name": "all", "projected": {"sources": [
            {"secret": {"name": "vol"}}, {"configMap": {"name": "vol"}}, {"downwardAPI": {"items": [label]}},
            {"serviceAccountToken": {"path": "token", "audience": "shop", "expirationSeconds": 600}},
        ]}},
        {"name": "shared", "emptyDir": {}},
    ]  # fmt: skip
    mounts = [
        {"name": name, "mountPath": f"/mounted/{name}"} for name in ("secret", "maybe", "config", "all", "shared")
    ]
    mounts.append({"name": "config", "mountPath": "/mounted/one", "subPath": "c"})
    writer = container("open('/mounted/shared/left', 'w').write('by init')", "first", volumeMounts=mounts)
    apply(
        plane, secret, config,
        pod("volumes", container(FILES, volumeMounts=mounts), initContainers=[writer], volumes=volumes, labels={"app": "x"}),
        pod("who", container(WHO)),
    )  # fmt: skip
    assert ended(plane, "volumes")["phase"] == "Succeeded", log(plane, "volumes")
    seen = json.loads(log(plane, "volumes"))
    token = seen.pop("all/token")
    assert token[0].count(".") == 2
    assert seen == {
        "secret/deep/a": ["A", "0o444"], "config/c": ["C", "0o644"], "one": ["C", "0o644"], "shared/left": ["by init", "0o644"],
        "all/a": ["A", "0o644"], "all/b": ["B", "0o644"], "all/c": ["C", "0o644"], "all/labels": ['app="x"', "0o644"],
    }  # fmt: skip
    assert ended(plane, "who")["phase"] == "Succeeded", log(plane, "who")
    assert log(plane, "who").strip() == "system:serviceaccount:default:default"


def test_a_changed_config_map_arrives_in_the_running_container(plane):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "live"}, "data": {"x": "old"}}
    script = "import time\nwhile open('/c/x').read() != 'new': time.sleep(0.05)"
    volumes = {"volumes": [{"name": "c", "configMap": {"name": "live"}}]}
    apply(plane, config, pod("live", container(script, volumeMounts=[{"name": "c", "mountPath": "/c"}]), **volumes))
    status(plane, "live", lambda s: s.get("phase") == "Running", "running")
    apply(plane, config | {"data": {"x": "new"}})
    assert ended(plane, "live")["phase"] == "Succeeded"


def test_what_is_missing_is_named_and_waited_for(plane):
    variable = {"name": "K", "valueFrom": {"secretKeyRef": {"name": "late", "key": "k"}}}
    volumes = {"volumes": [{"name": "v", "secret": {"secretName": "late"}}]}
    mounts = [{"name": "v", "mountPath": "/v"}]
    apply(
        plane, pod("late-env", container("import os; print(os.environ['K'])", env=[variable])),
        pod("late-volume", container("print(open('/v/k').read())", volumeMounts=mounts), **volumes),
    )  # fmt: skip
    found = status(plane, "late-env", lambda s: state(s)[1].get("reason") == "CreateContainerConfigError", "told")
    assert (found["phase"], state(found)[1]["message"]) == ("Pending", 'secret "late" not found')
    until(
        lambda: any(reason == "FailedMount" and "late" in text for reason, text in events(plane, "late-volume")), "told"
    )
    assert state(get(plane, "late-volume")["status"]) == ("waiting", {"reason": "ContainerCreating"})
    apply(plane, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"k": "come"}})
    for name in ("late-env", "late-volume"):
        assert ended(plane, name)["phase"] == "Succeeded"
        assert log(plane, name) == "come\n"


# --- how it ends and begins again ---------------------------------------------------------------------------------------------


def test_exit_codes_make_the_phase(plane):
    apply(
        plane,
        pod("well", container("print('done')")),
        pod("ill", container("exit(3)"), container("pass", "other")),
        pod("no-such-program", {"name": "main", "image": IMAGE, "command": ["/nowhere"]}),
    )
    well, ill = ended(plane, "well"), ended(plane, "ill")
    assert (well["phase"], conditions(well)["Ready"]) == ("Succeeded", ("False", "PodCompleted"))
    kind, end = state(well)
    assert (kind, end["exitCode"], end["reason"]) == ("terminated", 0, "Completed")
    assert end["startedAt"] <= end["finishedAt"]
    assert (ill["phase"], conditions(ill)["ContainersReady"]) == ("Failed", ("False", "PodFailed"))
    codes = {one["name"]: one["state"]["terminated"]["exitCode"] for one in ill["containerStatuses"]}
    assert codes == {"main": 3, "other": 0}
    assert ended(plane, "no-such-program")["phase"] == "Failed"


def test_a_container_that_fails_is_started_again_ever_later(plane):
    script = "import time; print('run', time.time()); exit(1)"
    apply(plane, pod("crash", container(script), restart="Always"))
    found = status(plane, "crash", lambda s: state(s)[1].get("reason") == "CrashLoopBackOff", "backing off")
    assert found["phase"] == "Running"
    found = status(plane, "crash", lambda s: first(s).get("restartCount", 0) >= 2, "restarted twice")
    assert first(found)["lastState"]["terminated"]["exitCode"] == 1
    now, before = log(plane, "crash"), log(plane, "crash", "--previous")
    assert now != before
    assert before.startswith("run ")
    assert any(reason == "BackOff" for reason, _ in events(plane, "crash"))
    started = [
        e["count"] for e in plane.get("events", "--field-selector=reason=Started,involvedObject.name=crash")["items"]
    ]
    assert len(started) == 1, "what happens again is counted"
    assert started[0] >= 3


def test_on_failure_runs_until_it_goes_well(plane):
    script = "import os\nn = len(os.listdir('/runs'))\nopen(f'/runs/{n}', 'w').close()\nexit(n < 2)"
    volumes = {"volumes": [{"name": "runs", "emptyDir": {}}]}
    mounts = [{"name": "runs", "mountPath": "/runs"}]
    apply(plane, pod("again", container(script, volumeMounts=mounts), restart="OnFailure", **volumes))
    found = ended(plane, "again")
    assert (found["phase"], first(found)["restartCount"]) == ("Succeeded", 2)


def test_a_failing_init_container_holds_the_others(plane):
    apply(plane, pod("held", container("print('never')"), initContainers=[container("exit(1)", "first")]))
    found = ended(plane, "held")
    assert found["phase"] == "Failed"
    assert conditions(found)["Initialized"] == ("False", "ContainersNotInitialized")
    assert state(found) == ("waiting", {"reason": "PodInitializing"})


def test_jobs_succeed_and_fail(plane):
    def job(name, script):
        template = {"spec": {"restartPolicy": "Never", "containers": [container(script)]}}
        return {
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": template},
        }  # fmt: skip

    apply(plane, job("good", "pass"), job("bad", "exit(2)"))
    plane.kubectl("wait", "--for=condition=Complete", "job/good", "--timeout=30s")
    plane.kubectl("wait", "--for=condition=Failed", "job/bad", "--timeout=30s")


# --- termination -----------------------------------------------------------------------------------------------------------


def process_of(plane, name):
    """Process 1 of a pod's container, as this machine counts."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            spaces = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()[1:]
            environment = status.with_name("environ").read_bytes().split(b"\0")
            mine = f"KUBERNETES_SERVICE_PORT={plane.endpoint.rpartition(':')[2]}".encode()
            if len(spaces) > 1 and spaces[-1] == "1" and {mine, f"HOSTNAME={name}".encode()} <= set(environment):
                return ProcessId.of(int(status.parent.name))
    return None


def test_a_pod_that_is_deleted_may_say_good_bye(plane):
    script = (
        "import signal, sys, time\n"
        "def bye(*_): print('bye', flush=True); time.sleep(0.5); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\nprint('up', flush=True)\nwhile True: signal.pause()"
    )
    apply(plane, pod("polite", container(script)))
    until(lambda: plane.kubectl("logs", "polite", check=False).stdout == "up\n", "up")
    with subprocess.Popen(
        [plane.toolchain.resolve("kubectl"), "logs", "--follow", "polite"],
        env=plane.environment(),
        stdout=subprocess.PIPE,
    ) as follower:
        begun = time.monotonic()
        plane.kubectl("delete", "pod", "polite", "--timeout=20s")
        assert time.monotonic() - begun < 5, "it does not wait for the grace to pass"
        assert follower.communicate(timeout=10)[0] == b"up\nbye\n", "logs are followed to their end"
    assert get(plane, "polite") is None


def test_one_that_ignores_it_is_killed_after_the_grace(plane):
    """As process 1 it gets no signal that it does not handle, in a cluster as here."""
    apply(
        plane,
        pod(
            "deaf", container("import time; print('up', flush=True); time.sleep(1000)"), terminationGracePeriodSeconds=1
        ),
    )
    until(lambda: plane.kubectl("logs", "deaf", check=False).stdout == "up\n", "up")
    process = process_of(plane, "deaf")
    begun = time.monotonic()
    plane.kubectl("delete", "pod", "deaf", "--timeout=20s")
    assert 1 <= time.monotonic() - begun < 6
    assert process.wait(2)


# --- probes ------------------------------------------------------------------------------------------------------------------


def test_probes_start_ready_and_restart_a_container(plane):
    """Two pods listen on the same port, each at its own address."""
    health = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1}
    ports = [{"name": "http", "containerPort": 8080}]
    asked = {"ports": ports, "env": [IP], "readinessProbe": health, **AT_TMP}
    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30}
    liveness = health | {"failureThreshold": 2}
    script = f"import os\nif os.path.exists('/tmp/ill'): os.remove('/tmp/ill')\n{SERVER}"
    apply(
        plane,
        pod("ready", container(SERVER, **asked, startupProbe=startup), restart="Always", **TMP),
        pod("lives", container(script, **asked, livenessProbe=liveness), restart="Always", **TMP),
    )
    plane.kubectl("wait", "--for=condition=Ready", "pod/ready", "pod/lives", "--timeout=30s")
    addresses = {name: get(plane, name)["status"]["podIP"] for name in ("ready", "lives")}
    assert len(set(addresses.values())) == 2
    for name, address in addresses.items():
        with urllib.request.urlopen(f"http://{address}:8080/", timeout=5) as reply:
            assert reply.read().decode() == name
        urllib.request.urlopen(f"http://{address}:8080/fail", timeout=5).close()
    found = status(plane, "ready", lambda s: conditions(s)["Ready"][0] == "False", "no more ready")
    assert conditions(found)["Ready"] == ("False", "ContainersNotReady")
    assert (first(found)["started"], first(found)["restartCount"]) == (True, 0)
    status(plane, "lives", lambda s: first(s).get("restartCount") == 1 and first(s)["ready"], "restarted and ready")
    assert any(reason == "Unhealthy" and "statuscode: 500" in text for reason, text in events(plane, "ready"))
    assert any(reason == "Killing" for reason, _ in events(plane, "lives"))


def test_a_probe_may_be_a_command_in_the_container(plane):
    probe = {"exec": {"command": ["python", "-c", "open('/tmp/here')"]}, "periodSeconds": 1, "timeoutSeconds": 5}
    script = f"import time; time.sleep(1.5); open('/tmp/here', 'w').close()\n{FOREVER}"
    apply(plane, pod("exec", container(script, readinessProbe=probe, **AT_TMP), **TMP))
    status(plane, "exec", lambda s: s.get("phase") == "Running" and not first(s)["ready"], "running and not ready")
    plane.kubectl("wait", "--for=condition=Ready", "pod/exec", "--timeout=30s")


# --- logs, Services -----------------------------------------------------------------------------------------------------------


def test_logs_by_lines_and_what_is_not_there_says_so(plane):
    apply(plane, pod("talks", container("for n in range(5): print(n)")))
    ended(plane, "talks")
    assert log(plane, "talks", "--tail=2") == "3\n4\n"
    assert log(plane, "talks", "--limit-bytes=3") == "0\n1"
    stamped = log(plane, "talks", "--timestamps", "--tail=1")
    assert stamped.endswith("Z 4\n")
    previous = plane.kubectl("logs", "talks", "--previous", check=False)
    assert "previous terminated container" in previous.stderr
    refused = plane.kubectl("exec", "talks", "--", "true", check=False)
    assert refused.returncode != 0


def test_a_service_is_reached_by_its_name_and_its_address(plane):
    ready = {"httpGet": {"port": 8080}, "periodSeconds": 1}
    server = container(
        SERVER, env=[IP], ports=[{"name": "http", "containerPort": 8080}], readinessProbe=ready, **AT_TMP
    )
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [server], **TMP}},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop"},
        "spec": {"selector": {"app": "shop"}, "ports": [{"port": 9090, "targetPort": "http"}]},
    }
    apply(plane, service, deployment)
    plane.kubectl("rollout", "status", "deployment/shop", "--timeout=60s")
    fetch = "import urllib.request as u\nfor n in ('shop', 'shop.default.svc'): print(u.urlopen(f'http://{n}:9090/').read().decode())"
    apply(plane, pod("customer", container(fetch)))
    assert ended(plane, "customer")["phase"] == "Succeeded", log(plane, "customer")
    names = {item["metadata"]["name"] for item in plane.get("pods", "--selector=app=shop")["items"]}
    assert set(log(plane, "customer").split()) == names, "each in its turn"
    address = plane.get("service", "shop")["spec"]["clusterIP"]
    with urllib.request.urlopen(f"http://{address}:9090/", timeout=5) as reply:
        assert reply.read().decode() in names
    plane.kubectl("scale", "deployment/shop", "--replicas=0")
    plane.kubectl("wait", "--for=delete", "pod", "--selector=app=shop", "--timeout=30s")
    with pytest.raises(OSError, match=r"refused|reset"):
        urllib.request.urlopen(f"http://{address}:9090/", timeout=5)


# --- the end of the kubelet ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_container_outlives_the_kubelet(plane, number):
    apply(plane, pod("orphan", container(FOREVER)))
    until(lambda: plane.kubectl("logs", "orphan", check=False).stdout == "up\n", "up")
    process = process_of(plane, "orphan")
    assert process.is_alive()
    kubelet = plane.children["kubelet"]
    os.kill(kubelet.pid, number)
    kubelet.wait(15)
    assert process.wait(8), "it lives on"
    plane.restart_kubelet()
    plane.kubectl("delete", "pod", "orphan", "--grace-period=1", "--timeout=30s")


def test_without_namespaces_paths_are_rewritten_and_the_token_is_in_a_kubeconfig(plane):
    """As the kubelet does where the machine grants none; the log says so."""
    plane.restart_kubelet(namespaces=False)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "open"}, "data": {"a": "A"}}
    variable = {"name": "FILE", "value": "/settings/a"}
    script = (
        "import os, kubernetes as k; print(open(os.environ['FILE']).read(), open('/settings/a').read())\n"
        "k.config.load_kube_config()\n"
        "print(k.client.AuthenticationV1Api().create_self_subject_review({}).status.user_info.username)"
    )
    mounts = {"env": [variable], "volumeMounts": [{"name": "c", "mountPath": "/settings"}]}
    apply(
        plane, config, pod("open", container(script, **mounts), volumes=[{"name": "c", "configMap": {"name": "open"}}])
    )
    assert ended(plane, "open")["phase"] == "Succeeded", log(plane, "open")
    assert log(plane, "open") == "A A\nsystem:serviceaccount:default:default\n"
    assert "the machine grants no namespaces" in (plane.directory / "kubelet.log").read_text()
