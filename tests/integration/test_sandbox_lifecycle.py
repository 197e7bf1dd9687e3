import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import sovereigncloud
from sovereigncloud_sandbox.cluster import Cluster
from sovereigncloud_sandbox.lifecycle import Sandbox, SandboxError
from sovereigncloud_sandbox.process_id import ProcessId
from sovereigncloud_sandbox.services import Service
from sovereigncloud_sandbox.stage import SYSTEM, condition

SOURCE = Path(sovereigncloud.__file__).parent.parent

ANNOUNCER = """
import json, os, signal
file = os.environ["SOVEREIGN_SANDBOX_ANNOUNCE"]
with open(file + ".new", "w") as new:
    json.dump({"endpoint": os.environ["GREETING"], "kubeconfig": os.environ["KUBECONFIG"]}, new)
os.rename(file + ".new", file)
signal.pause()
"""


@pytest.fixture
def sandbox(tmp_path):
    directory = tmp_path / "sandbox"
    own = {name: value for name, value in os.environ.items() if name != "SOVEREIGN_KUBECONFIG"}
    sandbox = Sandbox(directory, own | {"SOVEREIGN_SANDBOX_DIR": str(directory)})
    yield sandbox
    sandbox.down()


def on_existing(sandbox, cluster):
    return Sandbox(sandbox.directory, {**sandbox.environ, "SOVEREIGN_KUBECONFIG": str(cluster.kubeconfig)})


def test_up_status_down_as_a_person_types_them(sandbox, programs):
    def sovereign_sandbox(command):
        return subprocess.run(
            [sys.executable, "-c", "from sovereigncloud_sandbox.cli import app; app()", command],
            env={**sandbox.environ, "PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    before = sovereign_sandbox("status")
    assert (before.returncode, before.stdout) == (1, "The sandbox is not up. Start it: sovereign sandbox up\n")

    up = sovereign_sandbox("up")
    assert up.returncode == 0, up.stderr
    kubeconfig = sandbox.status().state.kubeconfig
    assert f"export KUBECONFIG={kubeconfig}\n" in up.stdout
    answer = subprocess.run(
        [programs.resolve("kubectl"), "--kubeconfig", kubeconfig, "get", "--raw=/readyz"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"KUBECACHEDIR": str(sandbox.directory / "kubectl")},
    )
    assert answer.stdout == "ok"
    running = sandbox.status()
    names = ("etcd", "kube-apiserver", "kube-controller-manager", "kubelet", "playground")
    assert running.living == dict.fromkeys(names, True)
    assert Path(running.state.announced["playground"]["examples"], "kustomization.yaml").is_file()
    pods = Cluster(kubeconfig, sandbox.directory, programs).get("pods", f"--namespace={SYSTEM}")["items"]
    assert [condition(pod, "Ready")["status"] for pod in pods] == ["True"], "the operator is the chart's pod"
    processes = [running.state.supervisor, *running.state.processes.values()]

    shown = sovereign_sandbox("status")
    assert shown.returncode == 0
    assert str(kubeconfig) in shown.stdout
    assert all(f"pid {process.pid}" in shown.stdout for process in running.state.processes.values())

    again = sovereign_sandbox("up")
    assert again.returncode == 0
    assert sandbox.status().state == running.state, "a sandbox that is up is left as it is"

    assert sovereign_sandbox("down").stdout == "The sandbox is down.\n"
    assert not [process for process in processes if process.is_alive()]
    assert not kubeconfig.exists()
    assert sovereign_sandbox("down").stdout == "The sandbox was not up.\n"


def test_services_run_beside_an_existing_cluster_and_end_with_the_sandbox(sandbox, control_plane):
    sandbox = on_existing(sandbox, control_plane)
    service = Service("greeter", [sys.executable, "-c", ANNOUNCER], {"GREETING": "http://127.0.0.1:1"}, announces=True)
    status = sandbox.up([service])
    assert status.is_up
    assert status.state.announced == {
        "greeter": {"endpoint": "http://127.0.0.1:1", "kubeconfig": str(control_plane.kubeconfig)}
    }
    greeter = status.state.processes["greeter"]
    assert greeter.is_alive()
    assert sandbox.down()
    assert not greeter.is_alive()
    assert control_plane.kubectl("get", "--raw=/readyz").stdout == "ok", "a cluster that is not ours is left alone"


def test_a_service_that_ends_at_once_fails_the_start_with_its_last_words(sandbox, control_plane):
    sandbox = on_existing(sandbox, control_plane)
    service = Service("broken", [sys.executable, "-c", "raise SystemExit('no such port')"], announces=True)
    with pytest.raises(SandboxError, match=r"broken ended with code 1:\nno such port"):
        sandbox.up([service])
    assert not sandbox.status().is_up


def test_a_killed_supervisor_takes_all_along_and_up_starts_anew(sandbox, control_plane):
    sandbox = on_existing(sandbox, control_plane)
    service = Service("greeter", [sys.executable, "-c", ANNOUNCER], {"GREETING": "x"}, announces=True)
    first = sandbox.up([service]).state
    os.kill(first.supervisor.pid, 9)
    assert first.supervisor.wait(5)
    assert first.processes["greeter"].wait(10), "its guard saw the supervisor go"
    assert not sandbox.status().is_up
    second = sandbox.up([service]).state
    assert second.supervisor != first.supervisor


def test_an_existing_cluster_that_is_not_there_is_said_before_anything_starts(sandbox):
    with pytest.raises(SandboxError, match=r"SOVEREIGN_KUBECONFIG names /nowhere/config, which is not a file"):
        Sandbox(sandbox.directory, {**sandbox.environ, "SOVEREIGN_KUBECONFIG": "/nowhere/config"}).up()
    assert sandbox.status() is None


def test_down_never_ends_a_process_that_has_the_pid_by_chance(sandbox, control_plane):
    sandbox = on_existing(sandbox, control_plane)
    state = sandbox.up([]).state
    os.kill(state.supervisor.pid, 9)
    assert state.supervisor.wait(5)
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as stranger:
        now = ProcessId.of(stranger.pid)
        # Started a tick later than the process that was written down, which is all that tells the two apart.
        sandbox._files.write_state(replace(state, supervisor=replace(now, started=now.started - 1)))
        assert not sandbox.status().is_up
        assert not sandbox.down()
        assert now.is_alive()
        stranger.kill()
