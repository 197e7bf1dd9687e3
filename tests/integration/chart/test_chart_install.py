import base64
import concurrent.futures
import json
import time
from pathlib import Path

import pytest
import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP
from sovereigncloud.providers.kubernetes.api import INSTALLATION_CONFIG_MAP

CHART = Path(__file__).parents[3] / "charts" / "sovereign-cloud-operator"
NAMESPACE = "sovereign-system"
RELEASE = "sovereign"
NAME = "sovereign-sovereign-cloud-operator"
CRDS = {f"{kind.crd.plural}.{GROUP}" for kind in KINDS}

IMAGE = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "MachineImage",
    "metadata": {"name": "kept", "namespace": NAMESPACE},
    "spec": {"cloudRefs": [{"name": "somewhere"}], "source": {"marketplaceApp": "Ubuntu 24.04"}},
}


def helm(plane, *arguments, values=None, check=True):
    return plane.helm(
        *arguments, f"--namespace={NAMESPACE}", *(["--values=-"] if values else []),
        input=json.dumps(values) if values else None, check=check,
    )  # fmt: skip


def until(found, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return result


def names(plane, kind, *arguments):
    return {item["metadata"]["name"] for item in plane.get(kind, *arguments)["items"]}


@pytest.fixture(scope="module")
def installed(own_control_plane):
    """The chart as a person installs it, in a namespace that admits restricted pods only."""
    plane = own_control_plane
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    plane.kubectl("apply", "--filename=-", input=yaml.safe_dump(namespace))
    plane.notes = helm(plane, "install", RELEASE, str(CHART)).stdout
    return plane


def test_every_object_is_there(installed):
    manifest = helm(installed, "get", "manifest", RELEASE).stdout
    rendered = {(d["kind"], d["metadata"]["name"]) for d in yaml.safe_load_all(manifest) if d}
    stored = installed.kubectl(
        "get", "--filename=-", "--output=json", f"--namespace={NAMESPACE}", input=manifest
    ).stdout
    assert {(i["kind"], i["metadata"]["name"]) for i in json.loads(stored)["items"]} == rendered
    assert {kind for kind, _ in rendered} >= {"Deployment", "ClusterRole", "Role", "Service", "ServiceAccount"}
    assert {name for kind, name in rendered if kind == "CustomResourceDefinition"} == CRDS


def test_the_notes_say_what_next_what_to_back_up_and_how_to_leave(installed):
    notes = installed.notes
    assert f"kubectl get configmap {INSTALLATION_CONFIG_MAP} --namespace {NAMESPACE}" in notes
    assert "kubectl get secrets --all-namespaces --selector sovereigncloud.io/cloud" in notes
    assert "status.drift" in notes
    order = [
        notes.index(text)
        for text in (
            "kubectl delete sovereign --all --all-namespaces",
            "uninstall.policy=Release",
            f"helm uninstall {RELEASE}",
            "xargs kubectl delete crd",
        )
    ]
    assert order == sorted(order)


def test_the_strictest_pod_security_standard_admits_the_pod(installed):
    (pod,) = until(lambda: installed.get("pods", f"--namespace={NAMESPACE}")["items"], "the Deployment's pod")
    assert pod["spec"]["serviceAccountName"] == NAME
    assert "fsGroup" in pod["spec"]["securityContext"]


def test_the_release_is_far_from_the_limit_of_a_secret(installed):
    (secret,) = installed.get("secrets", "--selector=owner=helm", f"--namespace={NAMESPACE}")["items"]
    assert len(base64.b64decode(secret["data"]["release"])) < 200_000, "a release of Helm may have 1 MiB"


def test_helm_test_runs_the_pod_and_believes_its_end(installed):
    """No node runs it: this test is the kubelet."""
    name = f"{NAME}-test"

    def finish(phase):
        def there():
            return installed.kubectl("get", "pod", name, f"--namespace={NAMESPACE}", check=False).returncode == 0

        until(there, "the test pod")
        patch = json.dumps({"status": {"phase": phase}})
        installed.kubectl(
            "patch", "pod", name, "--subresource=status", "--type=merge", f"--patch={patch}", f"--namespace={NAMESPACE}"
        )

    for phase, succeeds in (("Failed", False), ("Succeeded", True)):
        installed.kubectl("delete", "pod", name, "--ignore-not-found", "--now", f"--namespace={NAMESPACE}")
        with concurrent.futures.ThreadPoolExecutor() as threads:
            run = threads.submit(helm, installed, "test", RELEASE, "--timeout=30s", check=False)
            finish(phase)
            assert (run.result().returncode == 0) is succeeds, run.result().stderr


def test_upgrade_uninstall_and_the_way_back(installed):
    """What must outlive a release outlives it: CRDs, everything of theirs, and the installation id."""
    plane = installed
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in CRDS))
    plane.kubectl("apply", "--filename=-", input=yaml.safe_dump(IMAGE))
    plane.kubectl("create", "configmap", INSTALLATION_CONFIG_MAP, "--from-literal=id=abc", f"--namespace={NAMESPACE}")
    uids = {name: plane.get("crd", name)["metadata"]["uid"] for name in CRDS}
    before = plane.get("deployment", NAME, f"--namespace={NAMESPACE}")

    helm(plane, "upgrade", RELEASE, str(CHART), values={"workers": 4, "installationId": "abc"})
    after = plane.get("deployment", NAME, f"--namespace={NAMESPACE}")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    (container,) = after["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert (told["SOVEREIGN_WORKERS"], told["SOVEREIGN_INSTALLATION_ID"]) == ("4", "abc")
    refused = helm(plane, "upgrade", RELEASE, str(CHART), values={"wokers": 4}, check=False)
    assert "wokers" in refused.stderr

    helm(plane, "upgrade", RELEASE, str(CHART), values={"crds": {"install": False}})
    assert {name: plane.get("crd", name)["metadata"]["uid"] for name in CRDS} == uids
    helm(plane, "upgrade", RELEASE, str(CHART))

    helm(plane, "uninstall", RELEASE)
    assert {name: plane.get("crd", name)["metadata"]["uid"] for name in CRDS} == uids
    assert plane.get("machineimage", "kept", f"--namespace={NAMESPACE}")["spec"] == IMAGE["spec"]
    assert plane.get("configmap", INSTALLATION_CONFIG_MAP, f"--namespace={NAMESPACE}")["data"] == {"id": "abc"}
    for kind in ("deployments", "services", "roles", "rolebindings"):
        assert names(plane, kind, f"--namespace={NAMESPACE}") == set(), kind
    assert NAME not in names(plane, "serviceaccounts", f"--namespace={NAMESPACE}")
    for kind in ("clusterroles", "clusterrolebindings"):
        assert not [name for name in names(plane, kind) if name.endswith(NAME)], kind

    helm(plane, "install", RELEASE, str(CHART))
    assert {name: plane.get("crd", name)["metadata"]["uid"] for name in CRDS} == uids
    other = helm(plane, "install", "other", str(CHART), check=False)
    assert "ownership metadata" in other.stderr, "two releases never fight for the CRDs"
    other = helm(plane, "install", "other", str(CHART), values={"crds": {"install": False}}, check=False)
    assert "borders.sovereigncloud.io" in other.stderr, "nor for the borders that policies draw for the whole cluster"
    helm(plane, "install", "other", str(CHART), values={"crds": {"install": False}, "policies": {"enforce": False}})
