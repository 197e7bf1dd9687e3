"""The chart on a node that runs its pods: the sandbox in three commands, then as a company would run it, by an upgrade."""

import json
import time
from pathlib import Path

import pytest
import yaml
from tests.integration.chart.rendered import CHART

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud_sandbox.certificates import Authority
from sovereigncloud_sandbox.stage import Door, Stage

SYSTEM, PLATFORM, RELEASE = "sovereign-system", "platform", "sovereign"
NAME = "sovereign-sovereign-cloud-operator"
EXAMPLES = Path(__file__).parents[3] / "manifests" / "sandbox"
PATIENCE = 120.0
IN_SYSTEM, IN_PLATFORM = f"--namespace={SYSTEM}", f"--namespace={PLATFORM}"
OPERATOR = f"--selector=app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=sovereign-cloud-operator"


def waited(plane, what, *subjects):
    plane.kubectl("wait", f"--for={what}", *subjects, IN_PLATFORM, f"--timeout={PATIENCE:.0f}s", timeout=PATIENCE + 10)


def operators(plane):
    return plane.get("pods", OPERATOR, IN_SYSTEM)["items"]


def holder(plane):
    """The pod that writes: the Lease is held in its name."""
    (lease,) = plane.get("leases", IN_SYSTEM)["items"]
    return (lease["spec"].get("holderIdentity") or "").partition("_")[0]


def until(found, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return result


@pytest.fixture(scope="module")
def sandbox(own_node):
    """The three commands."""
    plane = own_node
    plane.notes = plane.helm(
        "install", RELEASE, str(CHART), IN_SYSTEM, "--create-namespace", "--set=sandbox.enabled=true"
    ).stdout
    plane.kubectl("apply", f"--filename={EXAMPLES}/cloud.yaml")
    try:
        waited(plane, "condition=Ready", "sovereign", "--all")
    finally:
        print(plane.kubectl("get", "pods,sovereign", "--all-namespaces", check=False).stdout)
        for pod in plane.get("pods", IN_SYSTEM)["items"]:
            name = pod["metadata"]["name"]
            print(plane.kubectl("logs", name, "--all-containers", IN_SYSTEM, check=False).stdout[-3000:])
    return plane


def test_three_commands_and_a_cloud_with_a_machine_is_ready(sandbox):
    items = sandbox.get("sovereign", IN_PLATFORM)["items"]
    assert {item["kind"] for item in items} == {"SovereignCloud", "MachineImage", "VirtualNetwork", "HostedInstance"}


def test_the_notes_say_these_commands(sandbox):
    assert "manifests/sandbox/cloud.yaml" in sandbox.notes
    assert "kubectl wait --for=condition=Ready sovereign --all --namespace platform" in sandbox.notes
    assert "are simulated" in sandbox.notes


def test_its_pods_run_and_helm_test_passes(sandbox):
    pods = sandbox.get("pods", IN_SYSTEM)["items"]
    containers = [status for pod in pods for status in pod["status"]["containerStatuses"]]
    assert len(pods) == 2
    assert all(container["ready"] and container["restartCount"] == 0 for container in containers)
    sandbox.helm("test", RELEASE, IN_SYSTEM, "--timeout=60s", timeout=70)


def test_the_operators_image_is_without_the_simulators_and_says_so(sandbox):
    (container,) = sandbox.get("deployment", NAME, IN_SYSTEM)["spec"]["template"]["spec"]["containers"]
    pod = ("simulators", "--namespace=default")
    sandbox.kubectl("run", *pod, f"--image={container['image']}", "--restart=Never", "--", "sandbox", "ovh")
    sandbox.kubectl(
        "wait", "pod/simulators", pod[1], "--for=jsonpath={.status.phase}=Failed", "--timeout=60s", timeout=70
    )
    assert "`sandbox` is not installed here" in sandbox.kubectl("logs", *pod).stdout
    sandbox.kubectl("delete", "pod", *pod, "--timeout=30s")


def test_nothing_of_the_simulators_is_behind_the_operators_service(sandbox):
    service = sandbox.get("service", f"{NAME}-metrics", IN_SYSTEM)
    selector = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
    (pod,) = sandbox.get("pods", f"--selector={selector}", IN_SYSTEM)["items"]
    assert [container["name"] for container in pod["spec"]["containers"]] == ["operator"]


# --- a company's way, by an upgrade -----------------------------------------------------------------------------------------

MINISTRY = Authority.create("a ministry")
VALUES = {
    "replicas": 2,
    "privateCA": {"configMap": "authorities"},
    # Nobody answers there: the API server, and what is excepted, are asked without it.
    "proxy": {"httpsProxy": "http://127.0.0.1:9", "noProxy": ["127.0.0.0/8"]},
    "limits": {"ovh": {"requestsPerMinute": 3000, "burst": 100}},  # the simulated one bears it
    "sweepInterval": 5,
    "leaseSeconds": 6,
}


@pytest.fixture(scope="module")
def ministry(own_node, tmp_path_factory):
    """A cloud whose certificate no public authority has signed."""
    stage = Stage(own_node, tmp_path_factory.mktemp("ministry"))
    stage.one = Door(stage._announced("opennebula", ["--empty"])["admin"])
    address = stage.address(40)
    yield stage.make_cloud("ministry", address, tls=MINISTRY.issue("one", names=[address]))
    stage.stop()


@pytest.fixture(scope="module")
def company(sandbox, ministry):
    existing = {"endpoint": ministry, "credentialsSecretRef": {"name": "sandbox-one"}}
    metadata = {"name": "ministry", "namespace": PLATFORM}
    cloud = {"apiVersion": API_VERSION, "kind": "SovereignCloud", "metadata": metadata, "spec": {"existing": existing}}
    sandbox.kubectl("apply", "--filename=-", input=json.dumps(cloud))

    def refused():
        status = sandbox.get("sovereigncloud", "ministry", IN_PLATFORM).get("status", {})
        return any("certificate" in condition["message"] for condition in status.get("conditions", []))

    until(refused, "the certificate is refused")
    authorities = ["create", "configmap", "authorities", f"--from-literal=ca.crt={MINISTRY.pem.decode()}"]
    sandbox.kubectl(*authorities, IN_SYSTEM)
    sandbox.helm(
        "upgrade", RELEASE, str(CHART), IN_SYSTEM, "--reuse-values", "--values=-", "--wait", "--timeout=100s",
        input=yaml.safe_dump(VALUES), timeout=PATIENCE,
    )  # fmt: skip
    return sandbox


def test_a_private_authority_is_believed_once_its_configmap_is_named(company):
    waited(company, "condition=Ready", "sovereigncloud/ministry")


def test_of_two_replicas_both_are_ready_and_one_writes(company):
    assert len(operators(company)) == 2
    assert all(pod["status"]["containerStatuses"][0]["ready"] for pod in operators(company))
    until(lambda: holder(company) in {pod["metadata"]["name"] for pod in operators(company)}, "one of them writes")


def test_a_drained_node_never_takes_both(company):
    """The disruption controller counts the ready ones; the second eviction is refused until there are two again."""
    budget = lambda: company.get("poddisruptionbudget", NAME, IN_SYSTEM)["status"]  # noqa: E731
    until(lambda: budget().get("disruptionsAllowed") == 1, "one disruption is allowed")
    until(lambda: holder(company), "one writes")
    first, second = sorted((pod["metadata"]["name"] for pod in operators(company)), key=lambda name: name != holder(company))  # fmt: skip

    def evict(name):
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": SYSTEM}}
        return company.kubectl(
            "create", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{name}/eviction", "--filename=-",
            input=json.dumps(body), check=False,
        )  # fmt: skip

    assert evict(first).returncode == 0, "the one that writes"
    assert "disruption budget" in evict(second).stderr
    until(lambda: holder(company) == second, "the other one writes")
    until(lambda: budget()["disruptionsAllowed"] == 1, "there are two again")


def test_a_rollout_of_two_ends_and_somebody_writes_afterwards(company):
    before = {pod["metadata"]["name"] for pod in operators(company)}
    company.kubectl("rollout", "restart", f"deployment/{NAME}", IN_SYSTEM)
    company.kubectl("rollout", "status", f"deployment/{NAME}", IN_SYSTEM, "--timeout=100s", timeout=PATIENCE)
    until(lambda: len(operators(company)) == 2, "the old ones are gone")
    until(lambda: holder(company) in {pod["metadata"]["name"] for pod in operators(company)} - before, "a new one writes")  # fmt: skip


def test_a_hosted_cloud_is_built_on_the_simulated_servers(company):
    """The installer's Job is played by a pod with the rights that the chart gives it."""
    company.kubectl("apply", f"--filename={EXAMPLES}/hosted-cloud.yaml")
    waited(company, "condition=Ready", "sovereigncloud/sandbox-hosted")
    (job,) = company.get("jobs", IN_PLATFORM)["items"]
    assert {c["type"] for c in job["status"]["conditions"] if c["status"] == "True"} >= {"Complete"}


def test_whoever_plays_the_installer_uses_each_of_its_rights_and_misses_none(company):
    account = f"system:serviceaccount:{SYSTEM}:{NAME}-sandbox"
    asked = [entry for entry in company.audit() if entry["user"]["username"] == account and "objectRef" in entry]
    assert {entry["annotations"]["authorization.k8s.io/decision"] for entry in asked} == {"allow"}
    used = {(e["objectRef"]["resource"], e["objectRef"].get("subresource", ""), e["verb"]) for e in asked}
    rules = company.get("clusterrole", f"{SYSTEM}-{NAME}-sandbox")["rules"]
    granted = {(*f"{resource}/".split("/")[:2], verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}  # fmt: skip
    failed = {("pods", "", "list"), ("pods", "status", "patch")}  # only a run that fails leaves a word on its pod
    assert used == granted - failed


def test_what_was_there_before_is_as_it_was(company):
    """The simulators' pod was no part of the upgrade, so neither is what is in them."""
    waited(company, "condition=Ready", "hostedinstance/web", "sovereigncloud/sandbox")
