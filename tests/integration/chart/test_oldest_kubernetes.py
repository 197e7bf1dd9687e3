"""The oldest Kubernetes that Chart.yaml names: the CRDs, the chart and a cloud with a machine, on a real API server of it."""

import json
import re
from pathlib import Path

import pytest
import yaml
from tests.integration.chart.rendered import CHART

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP
from sovereigncloud_sandbox.controlplane import ControlPlane
from sovereigncloud_sandbox.go_build import pinned_version

SYSTEM, PLATFORM = "sovereign-system", "platform"
EXAMPLES = Path(__file__).parents[3] / "manifests" / "sandbox"
CHARTS = (CHART, CHART.parent / "sovereign-cloud-crds")


def least(chart):
    """What `kubeVersion` of a chart asks for at least, such as (1, 31)."""
    wanted = yaml.safe_load((chart / "Chart.yaml").read_text())["kubeVersion"]
    return tuple(int(part) for part in re.fullmatch(r">=(\d+)\.(\d+)\.0-0", wanted).groups())


@pytest.fixture(scope="module")
def plane(tmp_path_factory, oldest_kubernetes):
    with ControlPlane(tmp_path_factory.mktemp("oldest"), oldest_kubernetes) as running:
        running.start_kubelet()
        yield running


def test_it_is_the_version_that_the_charts_name(plane, oldest_kubernetes):
    told = json.loads(plane.kubectl("get", "--raw=/version").stdout)
    assert {least(chart) for chart in CHARTS} == {(int(told["major"]), int(told["minor"]))}
    module = oldest_kubernetes.modules / oldest_kubernetes.programs["kube-apiserver"].group / "go.mod"
    assert told["gitVersion"] == pinned_version(module, "k8s.io/kubernetes")


def test_the_crds_the_chart_and_a_cloud_with_a_machine(plane):
    """helm itself compares kubeVersion with the server's."""
    plane.helm(
        "install", "sovereign", str(CHART), f"--namespace={SYSTEM}", "--create-namespace", "--set=sandbox.enabled=true"
    )
    crds = [f"crd/{kind.crd.plural}.{GROUP}" for kind in KINDS]
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    plane.kubectl("apply", "--validate=strict", f"--filename={EXAMPLES}/cloud.yaml")
    try:
        plane.kubectl(
            "wait",
            "--for=condition=Ready",
            "sovereign",
            "--all",
            f"--namespace={PLATFORM}",
            "--timeout=120s",
            timeout=130,
        )
    finally:
        print(plane.kubectl("get", "pods,sovereign", "--all-namespaces", check=False).stdout)
    conditions = plane.get("crd", f"hostedinstances.{GROUP}")["status"]["conditions"]
    assert not [c for c in conditions if c["type"] == "NonStructuralSchema" and c["status"] == "True"]


def test_its_rules_are_asked(plane):
    """A rule in CEL that the version did not know would have kept the CRD out; here one refuses."""
    metadata = {"name": "x", "namespace": PLATFORM}
    cloud = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "SovereignCloud", "metadata": metadata, "spec": {}}
    done = plane.kubectl("apply", "--filename=-", input=yaml.safe_dump(cloud), check=False)
    assert "exactly one" in done.stderr.lower()
