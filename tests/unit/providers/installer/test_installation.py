"""The installer's Job: what is in it, that it is made once, and what its conditions say."""

import json
import subprocess
from collections import Counter

import pytest
import yaml
from tests.unit.providers.installer.installations import GUARDED, HIGHLY_AVAILABLE

from sovereigncloud.ports.errors import Auth, Conflict
from sovereigncloud.ports.installer.installation import Installation, InstallState, InstallTarget
from sovereigncloud.providers.installer.installation import JobInstaller, job_name, manifest, state_of
from sovereigncloud.providers.installer.inventory import inventory, render
from sovereigncloud.providers.installer.netplan import netplan
from sovereigncloud_sandbox.installer_player import (
    PlayError,
    check,
    cloud_of,
    failed,
    federation_of,
    is_over,
    running,
    succeeded,
)

FRONT = InstallTarget("one-1", "57.131.167.160", ("Frontend", "Node"), ("aa:00", "aa:01"), ("bb:00", "bb:01"))
NODE = InstallTarget("one-2", "57.131.167.161", ("Node",), ("cc:00",), ("dd:00",))
WANTED = Installation(
    cloud="ovh-rbx",
    namespace="platform",
    owner_uid="u1",
    version="7.0",
    architecture="Basic",
    targets=(FRONT, NODE),
    credentials_secret="ovh-rbx-oneadmin",
    hash="0123456789abcdef",
)


class FakeJobs:
    """Jobs of one namespace; `racing` makes another operator's create win."""

    def __init__(self, *jobs):
        self.found = {j["metadata"]["name"]: j for j in jobs}
        self.created = Counter()
        self.racing = False
        self.selectors = []
        self.pods_of = []

    async def job(self, namespace, name):
        return self.found.get(name)

    async def jobs(self, namespace, selector):
        self.selectors.append(selector)
        return list(self.found.values())

    async def pods(self, namespace, selector):
        self.selectors.append(selector)
        if self.pods_of is None:
            raise Auth("forbidden")
        return self.pods_of

    async def create_job(self, namespace, body):
        name = body["metadata"]["name"]
        if self.racing or name in self.found:
            raise Conflict("already exists")
        self.created[name] += 1
        self.found[name] = body


def job(name=None, **status):
    return {"metadata": {"name": name or job_name(WANTED), "namespace": "platform"}, "status": status}


def pod_that_said(words):
    terminated = {"exitCode": 1, "message": words}
    return {"status": {"containerStatuses": [{"name": "one-deploy", "state": {"terminated": terminated}}]}}


def condition(kind, status="True", message=""):
    return {"type": kind, "status": status, "message": message}


@pytest.mark.parametrize(
    ("why", "found", "state", "says"),
    [
        ("just made", {}, "Running", "ovh-rbx-install"),
        ("its pod runs", {"active": 1}, "Running", ""),
        ("not over before the controller says so", {"conditions": [condition("SuccessCriteriaMet")]}, "Running", ""),
        ("a failure in the making is not over either", {"conditions": [condition("FailureTarget")]}, "Running", ""),
        ("over", {"conditions": [condition("Complete")]}, "Succeeded", ""),
        ("a condition that is false says nothing", {"conditions": [condition("Complete", "False")]}, "Running", ""),
        (
            "failed",
            {"conditions": [condition("Failed", message="BackoffLimit")]},
            "Failed",
            "BackoffLimit (kubectl logs",
        ),
    ],
)
def test_state(why, found, state, says):
    told = state_of(job(**found))
    assert told.state == state, why
    assert says in told.message, why


@pytest.mark.parametrize(
    ("why", "pods", "says"),
    [
        (
            "its pod told the task",
            [pod_that_said("prepare.yml failed in TASK [Apply]\non one-2")],
            "Apply] on one-2 (kub",
        ),
        ("a pod that said nothing", [pod_that_said("")], "BackoffLimit (kubectl logs"),
        ("a pod that never ran", [{"status": {}}], "BackoffLimit (kubectl logs"),
        ("its pod is gone", [], "BackoffLimit (kubectl logs"),
        ("without the right to look at pods", None, "BackoffLimit (kubectl logs"),
    ],
)
async def test_the_failing_task_is_told(why, pods, says):
    api = FakeJobs(job(conditions=[condition("Failed", message="BackoffLimit")]))
    api.pods_of = pods
    state = await JobInstaller(api, image="i").state(WANTED)
    assert state.state == "Failed", why
    assert says in state.message, why
    assert api.selectors == [f"job-name={job_name(WANTED)}"]


async def test_no_job_is_absent():
    assert await JobInstaller(FakeJobs(), image="i").state(WANTED) == InstallState("Absent")


async def test_the_same_inventory_never_starts_a_second():
    api = FakeJobs()
    installer = JobInstaller(api, image="i")
    await installer.start(WANTED)
    await installer.start(WANTED)
    assert api.created == {job_name(WANTED): 1}
    api.found[job_name(WANTED)]["status"] = {"conditions": [condition("Failed")]}
    await installer.start(WANTED)
    assert api.created == {job_name(WANTED): 1}, "retrying is a person's decision"


async def test_another_operator_that_was_faster_is_fine():
    api = FakeJobs()
    api.racing = True
    await JobInstaller(api, image="i").start(WANTED)
    assert not api.created


async def test_never_two_at_once_for_a_cloud():
    api = FakeJobs(job("ovh-rbx-install-older", active=1))
    with pytest.raises(Conflict, match="ovh-rbx-install-older"):
        await JobInstaller(api, image="i").start(WANTED)
    assert api.selectors == ["sovereigncloud.io/cloud=ovh-rbx,sovereigncloud.io/installer=one-deploy"]
    api.found["ovh-rbx-install-older"]["status"] = {"conditions": [condition("Complete")]}
    await JobInstaller(api, image="i").start(WANTED)
    assert api.created == {job_name(WANTED): 1}


def test_the_job_ends_with_its_cloud_and_is_tried_once():
    made = manifest(WANTED, "image:1", {})
    assert made["spec"]["backoffLimit"] == 0
    reference = made["metadata"]["ownerReferences"][0]
    assert (reference["kind"], reference["name"], reference["uid"]) == ("SovereignCloud", "ovh-rbx", "u1")
    pod = made["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "image:1"
    assert pod["automountServiceAccountToken"] is False
    assert pod["volumes"][1]["secret"]["secretName"] == "ovh-rbx-oneadmin"
    assert len(job_name(WANTED)) <= 63


def test_a_long_name_still_makes_a_valid_job():
    from dataclasses import replace  # noqa: PLC0415

    name = job_name(replace(WANTED, cloud=f"{'a' * 37}-{'b' * 30}"))
    assert name == f"{'a' * 37}-install-0123456789ab"


def test_the_container_command_is_valid_shell():
    command = manifest(WANTED, "i", {})["spec"]["template"]["spec"]["containers"][0]["command"]
    subprocess.run([command[0], "-n", "-c", command[2]], check=True)


def test_the_preparation_is_a_playbook():
    env = manifest(WANTED, "i", {})["spec"]["template"]["spec"]["containers"][0]["env"]
    (play,) = yaml.safe_load(next(e["value"] for e in env if e["name"] == "PREPARE"))
    assert play["hosts"] == "frontend:node"
    names = [t["name"] for t in play["tasks"]]
    assert names.index("Write the bonds") < names.index("Apply, unless nothing changed")


# --- the inventory


def test_groups_addresses_version():
    made = inventory(WANTED)
    assert list(made["frontend"]["hosts"]) == ["one-1"]
    assert list(made["node"]["hosts"]) == ["one-1", "one-2"]
    assert made["node"]["hosts"]["one-2"]["ansible_host"] == "57.131.167.161"
    assert made["all"]["vars"]["one_version"] == "7.0"
    assert made["all"]["vars"]["db_backend"] == "SQLite"
    assert "vn" not in made["all"]["vars"], "the operator keeps networks over the API: two writers would fight"


def test_no_secret_is_in_it():
    assert "lookup(" in inventory(WANTED)["all"]["vars"]["one_pass"]
    assert yaml.safe_load(render(WANTED)) == inventory(WANTED)


def test_bonds_are_told_by_mac():
    network = netplan(FRONT)["network"]
    assert network["bonds"]["public_bond"]["interfaces"] == ["public0", "public1"]
    assert network["bonds"]["vrack_bond"]["interfaces"] == ["private0", "private1"]
    assert network["ethernets"]["private1"]["match"] == {"macaddress": "bb:01"}
    assert network["bonds"]["public_bond"]["dhcp4"] is True
    assert network["bonds"]["vrack_bond"]["dhcp4"] is False
    assert network["bonds"]["vrack_bond"]["parameters"]["mode"] == "802.3ad"


def test_a_single_card_makes_a_bond_of_the_same_name_without_lacp():
    bond = netplan(NODE)["network"]["bonds"]["vrack_bond"]
    assert bond["parameters"]["mode"] == "active-backup"


def test_a_server_of_unknown_cards_keeps_its_network():
    from dataclasses import replace  # noqa: PLC0415

    bare = replace(WANTED, targets=(replace(FRONT, public_macs=(), private_macs=()),))
    assert "netplan" not in inventory(bare)["frontend"]["hosts"]["one-1"]


# --- the sandbox's player reads what the operator writes


def test_the_player_brings_up_what_the_inventory_says():
    played = json.loads(json.dumps(manifest(WANTED, "i", {})))
    assert cloud_of(played, "secret") == {
        "name": "ovh-rbx",
        "listen": "57.131.167.160:2633",
        "version": "7.0.0",
        "oneadmin_password": "secret",
        "hosts": [{"name": "57.131.167.160"}, {"name": "57.131.167.161"}],
    }


def test_the_player_listens_where_the_inventory_lets_the_front_end_answer():
    def listens(installation):
        return cloud_of(json.loads(json.dumps(manifest(installation, "i", {}))), "secret")["listen"]

    assert listens(HIGHLY_AVAILABLE) == "10.1.0.10:2633"
    assert listens(GUARDED) == "57.131.167.160:443"


def test_the_player_has_each_of_several_front_ends_answer_at_its_own_address():
    played = cloud_of(json.loads(json.dumps(manifest(HIGHLY_AVAILABLE, "i", {}))), "secret")
    fronts = inventory(HIGHLY_AVAILABLE)["frontend"]["hosts"]
    assert played["front_ends"] == [
        {"name": name, "listen": f"{host['ansible_host']}:2633"} for name, host in fronts.items()
    ]


def test_the_player_makes_a_front_end_what_the_inventory_says():
    told = {"federation_mode": "SLAVE", "federation_zone": 100, "federation_master_oned": "http://127.0.0.9:2633/RPC2"}
    asked = {"all": {"vars": told}, "member": {"hosts": {"member": {"ansible_host": "127.0.0.8"}}}}
    container = {"env": [{"name": "INVENTORY", "value": json.dumps(asked)}]}
    conf = {"mode": "SLAVE", "zone_id": 100, "master_oned": "http://127.0.0.9:2633/RPC2"}
    made = {"spec": {"template": {"spec": {"containers": [container]}}}}
    assert federation_of(made) == ("127.0.0.8:2633", conf)


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("several front-ends without an address", {"one_vip": None, "one_vip_cidr": None, "one_vip_if": None}),
        ("an address without its interface", {"one_vip_if": None}),
        ("several front-ends over a file", {"db_backend": "SQLite"}),
        ("a web server that it does not know", {"ssl": {"web_server": "caddy"}}),
    ],
)
def test_the_player_refuses_what_one_deploy_refuses(why, change):
    told = inventory(HIGHLY_AVAILABLE)["all"]["vars"] | change
    with pytest.raises(PlayError):
        check({k: v for k, v in told.items() if v is not None}, 3)
    check(inventory(HIGHLY_AVAILABLE)["all"]["vars"], 3)


@pytest.mark.parametrize(
    ("status", "state"), [(running(), "Running"), (succeeded(), "Succeeded"), (failed("rc 2"), "Failed")]
)
def test_the_player_speaks_as_the_job_controller_does(status, state):
    assert state_of(job(**status)).state == state
    assert is_over(job(**status)) is (state != "Running")
