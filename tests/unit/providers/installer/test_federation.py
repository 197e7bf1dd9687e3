"""The Job that makes a front-end a member of a federation: made once for a word, with what it needs and no secret in it."""

import json
from dataclasses import replace

import pytest
import yaml
from tests.unit.providers.installer.installations import ED25519, MEMBERS, SLAVE
from tests.unit.providers.installer.test_installation import FakeJobs

from sovereigncloud.ports.errors import Conflict
from sovereigncloud.providers.installer.federation import FEDERATION_LABEL, inventory, job_name, known_hosts, manifest
from sovereigncloud.providers.installer.installation import JobInstaller
from sovereigncloud.providers.installer.job_api import CLOUD_LABEL
from sovereigncloud_sandbox.installer_player import federation_of


async def test_a_word_makes_one_job_whatever_becomes_of_it():
    jobs = FakeJobs()
    installer = JobInstaller(jobs, image="i")
    assert (await installer.federation(SLAVE)).state == "Absent"
    for _ in range(2):
        await installer.federate(SLAVE)
    assert jobs.created == {job_name(SLAVE): 1}
    assert (await installer.federation(SLAVE)).state == "Running"
    raced = FakeJobs()
    raced.racing = True
    await JobInstaller(raced, image="i").federate(SLAVE)  # somebody else made it meanwhile: it is the same


async def test_it_waits_while_another_job_is_at_work_on_the_same_servers():
    running = {"metadata": {"name": "ovh-rbx-install-0123", "namespace": "platform"}, "status": {}}
    with pytest.raises(Conflict, match="still runs"):
        await JobInstaller(FakeJobs(running), image="i").federate(SLAVE)


def test_another_word_or_another_master_is_another_job():
    others = (replace(SLAVE, request="join-2"), replace(SLAVE, master_endpoint="https://two/RPC2"), *MEMBERS)
    names = {job_name(change) for change in others}
    assert len(names) == len(others)
    assert all(len(job_name(replace(SLAVE, cloud="c" * 128))) <= 63 for _ in names)


@pytest.mark.parametrize("change", MEMBERS, ids=lambda change: str(change.change))
def test_the_job_is_labelled_and_the_player_understands_it(change):
    made = json.loads(json.dumps(manifest(change, "i", {"HTTPS_PROXY": "http://proxy"})))
    labels = made["metadata"]["labels"]
    assert (labels[CLOUD_LABEL], labels[FEDERATION_LABEL]) == (change.cloud, str(change.change))
    assert made["spec"]["backoffLimit"] == 0
    address, conf = federation_of(made)
    assert address == "57.131.167.160:2633"
    slave = change is SLAVE
    assert conf == {
        "mode": str(change.change).upper(),
        "zone_id": 100 if slave else 0,
        "master_oned": "https://one.example.fr/RPC2" if slave else "",
    }


def test_each_key_is_mounted_and_none_is_in_the_job():
    (container,) = manifest(SLAVE, "i", {})["spec"]["template"]["spec"]["containers"]
    volumes = manifest(SLAVE, "i", {})["spec"]["template"]["spec"]["volumes"]
    secrets = {v["name"]: v["secret"]["secretName"] for v in volumes if "secret" in v}
    assert secrets == {"member": "ovh-rbx-oneadmin", "member-bastion": "bastion-key", "master": "onprem-ssh"}
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert mounts == {
        "runner": "/runner",
        "member": "/keys/member",
        "member-bastion": "/keys/member_bastion",
        "master": "/keys/master",
    }
    assert all(item["key"] == "sshPrivateKey" for v in volumes if "secret" in v for item in v["secret"]["items"])


def test_only_front_ends_whose_keys_are_known_are_believed():
    assert known_hosts(SLAVE).splitlines() == [
        f"57.131.167.160 {ED25519}",
        f"[bastion.example.fr]:2222 {ED25519}",
        f"[one.example.fr]:2200 {ED25519}",
    ]
    hosts = {name: group["hosts"][f"the-{name}"] for name, group in inventory(SLAVE).items() if name != "all"}
    arguments = {name: host["ansible_ssh_common_args"] for name, host in hosts.items()}
    assert all("StrictHostKeyChecking=yes" in one for one in arguments.values())
    assert "ssh -i /runner/env/member_bastion_key" in arguments["member"]
    assert "jump@bastion.example.fr" in arguments["member"]
    assert "ProxyCommand" not in arguments["master"]
    assert (hosts["master"]["ansible_port"], hosts["master"]["ansible_user"]) == (2200, "root")
    unknown = replace(SLAVE, login=replace(SLAVE.login, host_key="", jump_host=None))
    assert "accept-new" in inventory(unknown)["member"]["hosts"]["the-member"]["ansible_ssh_common_args"]


def test_the_word_itself_is_not_in_the_inventory():
    """It is a person's text, and stands in names of files."""
    assert "join-1" not in yaml.safe_dump(inventory(SLAVE))
