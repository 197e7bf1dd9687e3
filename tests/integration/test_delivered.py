"""The chart as a person installs it, its pod really running: how long it takes, and what kubectl and Helm show of it."""

import os
import time
from pathlib import Path

import pytest
from tests.integration.conftest import QUICK
from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud_sandbox.process_id import ProcessId
from sovereigncloud_sandbox.stage import RELEASE, SYSTEM, Stage

READY_WITHIN = 30.0
WATCHING_WITHIN = 3.0
POD = f"deployment/{RELEASE}"


@pytest.fixture(scope="module")
def delivered(own_node, tmp_path_factory):
    """Simulators, a cloud that somebody else runs, and no operator yet."""
    stage = Stage(own_node, tmp_path_factory.mktemp("stage"), QUICK | {"log_level": "INFO"})
    try:
        stage.start_simulators()
        stage.paris = ExistingCloud(stage, "paris")
        yield stage
    finally:
        print(stage.cluster.kubectl("describe", "pods", "-n", SYSTEM, check=False).stdout)
        stage.stop()


def test_from_helm_install_to_the_first_object_ready_it_takes_less_than_half_a_minute(delivered):
    # The limit is one for a machine that has nothing else to do; what waits for its processors already shares them.
    shared = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    begun = time.monotonic()
    delivered.deploy()
    installed = time.monotonic() - begun
    delivered.apply([
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}}, *delivered.paris.foundation(),
    ])  # fmt: skip
    delivered.wait_ready("sovereigncloud", "paris", seconds=READY_WITHIN * shared)
    took = time.monotonic() - begun
    print(f"helm install --wait {installed:.1f} s, first object Ready {took:.1f} s, load {shared:.1f}")
    assert took < READY_WITHIN * shared


def test_the_pod_runs_as_the_chart_says(delivered):
    (pod,) = delivered.cluster.get("pods", f"--namespace={SYSTEM}", "--field-selector=status.phase=Running")["items"]
    (status,) = pod["status"]["containerStatuses"]
    assert (status["ready"], status["restartCount"]) == (True, 0)
    assert "holding Lease" in delivered.pod_log()
    lease = delivered.cluster.get("leases", f"--namespace={SYSTEM}")["items"][0]["spec"]
    assert lease["holderIdentity"].startswith(pod["metadata"]["name"])


def test_helm_test_asks_the_running_operator(delivered):
    said = delivered.cluster.helm("test", RELEASE, f"--namespace={SYSTEM}", "--logs", "--timeout=60s").stdout
    assert "/readyz: ok" in said


def test_a_pod_that_is_deleted_ends_in_order_and_the_next_one_takes_over(delivered):
    old = delivered.cluster.get("pods", f"--namespace={SYSTEM}", "--field-selector=status.phase=Running")["items"][0]
    name = old["metadata"]["name"]
    begun = time.monotonic()
    delivered.cluster.kubectl("delete", "pod", name, f"--namespace={SYSTEM}", "--timeout=30s")
    assert time.monotonic() - begun < 8, "within the grace of the chart, by itself"
    assert '"stopped' in delivered.cluster.pod_log(SYSTEM, name, "operator")
    delivered.cluster.kubectl("rollout", "status", POD, f"--namespace={SYSTEM}", "--timeout=60s")
    delivered.apply(delivered.paris.network("lan"))
    delivered.wait_ready("virtualnetwork", "lan")


def test_the_operator_watches_within_three_seconds_of_its_start(delivered):
    """The best of a few, less the time that it waited for a processor: what else the machine does is not measured."""
    delivered.cluster.kubectl("scale", POD, "--replicas=0", f"--namespace={SYSTEM}")
    delivered.cluster.kubectl("wait", "--for=delete", "pod", f"-lapp.kubernetes.io/instance={RELEASE}", f"-n{SYSTEM}")
    took = []
    for _ in range(3):
        process = delivered.start_operator(log_format="text")
        begun = ProcessId.of(process.pid).started / os.sysconf("SC_CLK_TCK")
        delivered.until(lambda: "watching" in delivered.log_since_start().split(), "watching", seconds=60)
        _, waited, _ = Path(f"/proc/{process.pid}/schedstat").read_text().split()
        took.append(time.clock_gettime(time.CLOCK_BOOTTIME) - begun - int(waited) / 1e9)
        delivered.stop_operator()
        if min(took) < WATCHING_WITHIN:
            break
    print("seconds to watching:", took)
    assert min(took) < WATCHING_WITHIN
