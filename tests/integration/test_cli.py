"""The command line on a real API server, against the simulators over their wires, beside a running operator.

One story in order: before anything is applied, as a tenant, built, changed in the file, broken behind the operator's back.
"""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import tomllib
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from sovereigncloud_sandbox.overlay import prepare
from sovereigncloud_sandbox.stage import SYSTEM

KINDS = "sovereignclouds,baremetalservers,virtualnetworks,machineimages,hostedinstances"
PARIS = {
    ("Namespace", "platform"), ("Secret", "onprem-one"), ("SovereignCloud", "onprem-paris"), ("VirtualNetwork", "lan-apps"),
    ("MachineImage", "ubuntu-24.04"), ("HostedInstance", "app-paris"),
}  # fmt: skip
REPOSITORY = Path(__file__).parents[2]
SSH = '#!/bin/sh\necho ran ssh "$@"\nexit 7\n'


class Shop:
    """The stage, the examples turned to its simulators, and the commands as a person runs them."""

    def __init__(self, stage):
        self.stage = stage
        documents = list(yaml.safe_load_all(stage.cluster.kubectl("kustomize", str(prepare(stage))).stdout))
        self.everything = self.file("everything.yaml", documents)
        image = next(d for d in documents if d["kind"] == "MachineImage")
        self.of_paris = [d for d in documents if (d["kind"], d["metadata"]["name"]) in PARIS]
        image["spec"]["cloudRefs"] = [{"name": "onprem-paris"}]
        self.paris = self.file("paris.yaml", self.of_paris)
        self.programs = self.installed()

    def installed(self):
        """A directory with the programs that pip makes of this project, and an ssh that says how it was called."""
        directory = self.stage.directory / "bin"
        directory.mkdir()
        scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
        made = {"ssh": SSH}
        for name, target in scripts.items():
            module, _, function = target.partition(":")
            made[name] = f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        for name, text in made.items():
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)
        return directory

    def environment(self, kubeconfig=None, **settings):
        """As a person has it: the programs on the PATH, and no more of the project."""
        connection = self.stage.ovh_connection
        endpoints = {"ovh-eu": {"api": connection["endpoint"], "token": connection["tokenURL"]}}
        environment = self.stage.cluster.environment(kubeconfig) | {
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "SOVEREIGN_NAMESPACE": SYSTEM,
            "SOVEREIGN_OVH_ENDPOINTS": json.dumps(endpoints),
            "SOVEREIGN_OVH_REQUESTS_PER_MINUTE": "6000",
            "COLUMNS": "160",
        }
        environment["PATH"] = os.pathsep.join([str(self.programs), environment["PATH"]])
        return environment | settings

    def kubectl(self, *arguments, kubeconfig=None, code=0, **settings):
        """What kubectl printed, run as a person runs it; it must end with this exit code."""
        done = subprocess.run(
            [str(self.stage.cluster.toolchain.find("kubectl")), *arguments],
            env=self.environment(kubeconfig, **settings), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def plugin(self, *arguments, **more):
        """`kubectl sovereign ...` in namespace platform."""
        return self.kubectl("sovereign", arguments[0], "-n", "platform", *arguments[1:], **more)

    def file(self, name, documents):
        path = self.stage.directory / name
        path.write_text(yaml.safe_dump_all(documents))
        return str(path)

    def with_memory(self, memory):
        changed = json.loads(json.dumps(self.of_paris))
        next(d for d in changed if d["kind"] == "HostedInstance")["spec"]["memory"] = memory
        return self.file(f"paris-{memory}.yaml", changed)

    def sovereign(self, *arguments, kubeconfig=None, **settings):
        command = [sys.executable, "-m", "sovereigncloud.cli", *arguments]
        environment = self.environment(kubeconfig, **settings)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def plan(self, *arguments, **more):
        """Exit code, and the objects of the JSON by kind and name."""
        done = self.sovereign("plan", *arguments, "-o", "json", **more)
        assert done.stdout, done.stderr
        report = json.loads(done.stdout)
        return done.returncode, {(o["kind"], o["name"]): o for o in report["objects"]}

    def writes(self):
        """What the simulators were asked to change since they were started."""
        clouds = self.stage.one.call("GET", "/counts")
        account = self.stage.ovh.call("GET", "/log")["counts"]
        changing = {k: n for k, n in account.items() if not k.startswith("GET") and "token" not in k.lower()}
        return {name: c["writes"] for name, c in clouds.items()}, changing

    def objects(self):
        """Every object of ours, Secret and ConfigMap with its version."""
        listed = self.stage.cluster.get(f"{KINDS},secrets,configmaps", "--all-namespaces")["items"]
        return {(o["kind"], o["metadata"]["name"]): o["metadata"]["resourceVersion"] for o in listed}


QUIET = 8.0  # seconds: two sweeps and a half of these stages


@pytest.fixture(scope="module")
def shop(bare_stage):
    return Shop(bare_stage)


@pytest.fixture(scope="module")
def built(shop):
    """The existing cloud and what is in it, applied and built by the operator."""
    # The operator is a pod: its log is read through the API server. It runs before there is anything to tell.
    shop.stage.cluster.start_kubelet()
    shop.stage.deploy()
    shop.stage.apply(Path(shop.paris).read_text())
    shop.stage.wait_ready("hostedinstance", "app-paris", seconds=120)
    shop.stage.wait_ready("virtualnetwork", "lan-apps")
    shop.stage.wait_ready("machineimage", "ubuntu-24.04")
    # Its image is told as used by a later sweep: built is what does not change any more.
    quiet, known = time.monotonic(), shop.objects()
    while time.monotonic() - quiet < QUIET:
        time.sleep(0.5)
        if (now := shop.objects()) != known:
            quiet, known = time.monotonic(), now
    return shop


def steps(found):
    return [(s["action"], s["target"]) for s in found["steps"] if s["where"] == "Outside"]


def test_before_anything_is_applied_the_plan_shows_everything_and_nothing_is_written(shop):
    objects, writes = shop.objects(), shop.writes()
    code, against = shop.plan("-f", shop.everything)
    assert code == 2
    assert {o["presence"] for o in against.values()} == {"New"}
    assert ("Reinstall", "DataLoss") in {
        (s["action"], s["disruption"]) for s in against["BareMetalServer", "ovh-rbx-one-1"]["steps"]
    }
    assert any(
        action == "Attach" and "57.131.167.176/28" in what
        for action, what in steps(against["SovereignCloud", "ovh-rbx"])
    )
    assert "Reinstall" not in json.dumps([o for (kind, name), o in against.items() if "adopted" in name])
    assert [action for action, _ in steps(against["VirtualNetwork", "lan-apps"])] == ["Create"]
    code, straight = shop.plan("-f", shop.everything, "--no-cluster")
    assert code == 2
    assert {key: steps(o) for key, o in straight.items()} == {key: steps(o) for key, o in against.items()}
    assert shop.objects() == objects
    assert shop.writes() == writes


def test_what_was_built_is_nothing_to_do_and_describes_itself(built):
    objects, writes = built.objects(), built.writes()
    code, found = built.plan("-f", built.paris)
    assert (code, {o["result"] for o in found.values()}) == (0, {"NothingToDo"}), json.dumps(found, indent=1)
    assert {o["presence"] for o in found.values()} == {"Unchanged"}
    shown = built.sovereign("describe", "hinst/app-paris", "-n", "platform")
    assert shown.returncode == 0, shown.stderr
    said = " ".join(shown.stdout.split())
    for words in (
        "HostedInstance app-paris Ready",
        "SovereignCloud onprem-paris Ready",
        "state Running",
        "outside: vm",
        "Created",
    ):
        assert words in said
    cloud = built.sovereign("describe", "SovereignCloud", "onprem-paris", "-n", "platform").stdout
    assert "Secret onprem-one  there" in cloud
    assert "used by (3/3 ready)" in cloud
    assert "existing" not in shown.stdout + cloud.split("Conditions")[1], "the password of the simulator"
    assert built.objects() == objects
    assert built.writes() == writes


def test_a_changed_file_is_compared_with_the_cluster(built):
    code, found = built.plan("-f", built.with_memory("3Gi"))
    instance = found["HostedInstance", "app-paris"]
    assert (code, instance["presence"], instance["changedFields"]) == (2, "Changed", ["spec.memory"])
    assert {"path": "spec.memory", "desired": "3Gi", "observed": "2Gi"} in instance["differences"]
    assert "Restart" in {s["disruption"] for s in instance["steps"]}


def test_what_was_broken_while_it_is_paused_is_planned_and_described(built):
    stage = built.stage
    stage.cluster.kubectl("annotate", "hinst/app-paris", "-n", "platform", "sovereigncloud.io/paused=true")
    stage.mischief("onprem-paris", "vm-power-off", vm="app-paris")
    stage.wait("hostedinstance", "app-paris", "drifted", lambda o: (o.get("status") or {}).get("driftCount"))
    code, found = built.plan("-f", built.paris)
    instance = found["HostedInstance", "app-paris"]
    assert code == 2
    assert [d["path"] for d in instance["drift"]] == ["spec.power"]
    assert {(s["now"], s["held"]) for s in instance["steps"]} == {(False, "paused")}
    shown = built.sovereign("describe", "hinst/app-paris", "-n", "platform").stdout
    assert "let it go on: kubectl annotate hinst/app-paris -n platform sovereigncloud.io/paused-" in shown
    assert "spec.power" in shown.split("Drift")[1]
    stage.cluster.kubectl("annotate", "hinst/app-paris", "-n", "platform", "sovereigncloud.io/paused-")
    stage.wait_ready("hostedinstance", "app-paris")


def test_a_tenant_plans_with_the_rights_of_a_namespace(built):
    cluster = built.stage.cluster
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "tenant", "namespace": "platform"},
        "rules": [
            {"apiGroups": ["sovereigncloud.io"], "resources": ["*"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
        ],
    }
    built.stage.apply(role)
    cluster.kubectl("create", "serviceaccount", "tenant", "-n", "platform")
    cluster.kubectl(
        "create", "rolebinding", "tenant", "-n", "platform", "--role=tenant", "--serviceaccount=platform:tenant"
    )
    kubeconfig = cluster.kubeconfig_for_service_account("platform", "tenant")
    file = built.file("instance.yaml", [d for d in built.of_paris if d["kind"] == "HostedInstance"])
    blind = built.sovereign("plan", "-f", file, kubeconfig=kubeconfig)
    assert "the installation id is not known" in " ".join(blind.stdout.split())
    known = cluster.get("configmap", "sovereign-installation", "-n", SYSTEM)["data"]["id"]
    code, found = built.plan("-f", file, kubeconfig=kubeconfig, SOVEREIGN_INSTALLATION_ID=known)
    assert (code, [o["result"] for o in found.values()]) == (0, ["NothingToDo"])
    shown = built.sovereign("describe", "hinst/app-paris", "-n", "platform", kubeconfig=kubeconfig)
    assert shown.returncode == 0, shown.stderr
    assert "events may not be read" in shown.stdout
    nobody = built.sovereign("describe", "hinst/app-paris", "-n", SYSTEM, kubeconfig=kubeconfig)
    assert nobody.returncode == 1
    assert "cannot read sovereignclouds from the cluster" in nobody.stderr
    assert nobody.stderr.count("\n") == 1


def test_kubectl_finds_it_as_a_plugin(shop):
    assert shop.kubectl("sovereign", "version").stdout.startswith("sovereign ")
    wrong = shop.kubectl("sovereign", "nonsense", code=1)
    assert "(see kubectl sovereign --help)" in wrong.stderr


# --- as a person asks, one command after the other ---------------------------------------------------------------------


def test_what_belongs_to_what_what_it_is_doing_and_what_was_said_about_it(built):
    """Everything that only looks, at once; nothing is written."""
    objects, writes = built.objects(), built.writes()
    picture = built.stage.directory / "clouds.html"
    asked = {
        "tree": ("tree",),
        "json": ("tree", "hinst/app-paris", "-o", "json"),
        "drift": ("drift",),
        "plan": ("plan", "hinst", "-o", "yaml"),
        "logs": ("logs", "app-paris"),
        "console": ("console", "app-paris"),
        "map": ("map", str(picture)),
        "svg": ("map", "-o", "svg"),
    }
    with ThreadPoolExecutor(3) as pool:
        done = dict(zip(asked, pool.map(lambda words: built.plugin(*words), asked.values()), strict=True))
    said = {name: one.stdout for name, one in done.items()}
    for words in ("scloud/onprem-paris", "├─ onevnet/lan-apps", "├─ hinst/app-paris", "└─ secret/onprem-one", "Exists"):
        assert words in said["tree"]
    (root,) = json.loads(said["json"])["items"]
    used = [(child["relation"], child["kind"], child["ready"]) for child in root["children"]]
    assert used == [("uses", kind, "True") for kind in ("SovereignCloud", "VirtualNetwork", "MachineImage")]
    assert "No drift in 4 objects." in said["drift"]
    assert [o["result"] for o in yaml.safe_load(said["plan"])["objects"]] == ["NothingToDo"]
    assert 'Create VM "app-paris"' in said["logs"]
    assert "lan-apps" not in said["logs"], "lines about others"
    assert ":2616 does not answer from here" in said["console"]
    assert f"virsh --connect qemu:///system console one-{root_id(built)}" in said["console"]
    assert said["map"] == f"{picture} written\n"
    page = picture.read_text()
    assert "app-paris" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "nothing is fetched from anywhere"
    drawn = ET.fromstring(said["svg"])
    assert "app-paris" in {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert (built.objects(), built.writes()) == (objects, writes)


def root_id(built):
    return built.stage.get("hostedinstance", "app-paris")["status"]["id"]


def test_a_machine_is_logged_in_to_with_the_ssh_of_the_person(built):
    address = built.stage.get("hostedinstance", "app-paris")["status"]["primaryAddress"]
    assert built.plugin("ssh", "app-paris", "--print", "-l", "ubuntu").stdout == f"ssh ubuntu@{address}\n"
    ran = built.plugin("ssh", "app-paris", "-J", "me@bastion", "--", "uptime", "-p", code=7)
    assert ran.stdout == f"ran ssh -J me@bastion root@{address} uptime -p\n", "and the exit code is that of ssh"


def test_pause_drift_resume_and_a_look_that_is_waited_for(built):
    stage = built.stage
    paused = built.plugin("pause", "hinst", "app-paris")
    assert paused.stdout == "hinst/app-paris paused\n"
    assert "Suspended" in paused.stderr
    stage.mischief("onprem-paris", "vm-power-off", vm="app-paris")
    stage.wait("hostedinstance", "app-paris", "drifted", lambda o: (o.get("status") or {}).get("driftCount"))
    (line,) = json.loads(built.plugin("drift", "-o", "json", code=2).stdout)["items"]
    assert (line["path"], line["desired"], line["action"]) == ("spec.power", "Running", "Reported")
    refused = built.plugin("ssh", "app-paris", code=1)
    assert "is PoweredOff, not Running" in refused.stderr or "not Running: start it" in refused.stderr
    # Somebody keeps the annotation in Git.
    manifest = {
        "apiVersion": "sovereigncloud.io/v1alpha1", "kind": "HostedInstance",
        "metadata": {"name": "app-paris", "namespace": "platform", "annotations": {"sovereigncloud.io/paused": "true"}},
    }  # fmt: skip
    apply = ("apply", "--server-side", "--field-manager=argocd-controller", "--force-conflicts", "-f", "-")
    stage.cluster.kubectl(*apply, input=json.dumps(manifest))
    resumed = built.plugin("resume", "app-paris")
    assert resumed.stdout == "hinst/app-paris resumed\n"
    assert "argocd-controller applies the annotation" in resumed.stderr
    fields = stage.get("hostedinstance", "app-paris")["metadata"]
    assert "sovereigncloud.io/paused" not in fields.get("annotations", {})
    told = json.loads(built.plugin("reconcile", "app-paris", "--wait", "--timeout=60s", "-o", "json").stdout)["items"][
        0
    ]
    found = stage.get("hostedinstance", "app-paris")
    assert found["status"]["lastHandledReconcileAt"] == told["reconcileRequestedAt"]
    assert (told["handled"], told["health"]) == (True, "Ready")
    stage.wait_ready("hostedinstance", "app-paris")


def test_the_tree_lives_until_ctrl_c(built):
    """In a terminal: it shows a change that happens while it runs, and leaves the terminal as it was."""
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (100, 200))
    command = [str(built.stage.cluster.toolchain.find("kubectl")), "sovereign", "tree", "-n", "platform", "--watch"]
    environment = built.environment(TERM="xterm-256color")
    # Of tests that a shell runs in the background SIGINT is ignored, and what they start would ignore it, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        child = subprocess.Popen(
            command, env=environment, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    os.close(terminal)
    try:
        seen = _until(master, "app-paris")
        built.stage.annotate("hostedinstance", "app-paris", paused="true")
        seen += _until(master, "[paused]")
        os.killpg(child.pid, signal.SIGINT)
        seen += _until(master, "\x1b[?1049l")
        assert child.wait(timeout=10) == 0
    finally:
        child.kill()
        child.wait()
        os.close(master)
        built.stage.annotate("hostedinstance", "app-paris", paused=None)
    assert "Traceback" not in seen


def _until(master, words, seconds=30):
    """What the terminal showed until these words came."""
    deadline, seen = time.monotonic() + seconds, ""
    while words not in seen:
        assert time.monotonic() < deadline, f"{words!r} never came: {seen.split()[-300:]}"
        if select.select([master], [], [], 0.2)[0]:
            seen += os.read(master, 65536).decode(errors="replace")
    return seen


def test_kubectl_completes_commands_kinds_and_names(built):
    complete = ("__complete", "sovereign")
    assert "tree\t" in built.kubectl(*complete, "tr").stdout

    def offered():
        """Whoever is too slow for a person at the TAB key offers nothing, as on a machine with much else to do."""
        lines = built.kubectl(*complete, "pause", "-n", "platform", "hinst/").stdout.splitlines()
        return lines if len(lines) > 1 else None

    assert built.stage.until(offered, "offered", seconds=120) == ["hinst/app-paris", ":4"]


def test_who_may_not_look_is_told_what_to_ask_for(built):
    built.stage.cluster.kubectl("create", "serviceaccount", "nobody", "-n", "platform")
    kubeconfig = built.stage.cluster.kubeconfig_for_service_account("platform", "nobody")
    refused = built.plugin("tree", kubeconfig=kubeconfig, code=1)
    assert refused.stderr.startswith("error: you may not list ")
    assert "in namespace platform: ask for a Role with get, list and watch on them" in refused.stderr
    assert refused.stderr.count("\n") == 1
    near = built.plugin("drift", "hinst/app-pariss", code=1, kubeconfig=None)
    assert "did you mean app-paris?" in near.stderr


def test_a_cluster_that_is_down_is_said_in_one_line(shop, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    nowhere = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}
    kubeconfig.write_text(
        yaml.safe_dump(
            {"apiVersion": "v1", "kind": "Config", "current-context": "nowhere", "clusters": [nowhere], "contexts": [context],
             "users": [{"name": "nobody", "user": {}}]}
        )
    )  # fmt: skip
    for arguments in (["describe", "hinst/web"], ["plan", "-f", shop.paris, "--context", "nowhere"]):
        done = shop.sovereign(*arguments, kubeconfig=kubeconfig)
        assert done.returncode == 1
        assert done.stderr.startswith("error: no answer from the cluster at https://127.0.0.1:1")
        assert done.stderr.count("\n") == 1
    wrong = shop.sovereign("describe", "hinst/web", "--context", "elsewhere")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "no cluster to look into" in wrong.stderr
