"""The Kubernetes cluster is lost. The same manifests, installation id and generated Secret in a new one: nothing outside
is made, reinstalled or deleted, and everything is Ready again (docs/adr/0005).
"""

from collections import Counter

import pytest
from tests.integration.hosted_scenes import (
    FRONT,
    NODE,
    account,
    adopted,
    build_by_hand,
    hosted,
    image,
    instance,
    make_paris,
    paris,
)

from sovereigncloud.sandbox.stage import SYSTEM, condition

OBJECTS = 14
MARKS = {"one.vm.update", "one.vn.update", "one.image.update", "one.host.update"}


@pytest.fixture(scope="module")
def git(bare_stage):
    """The manifests, as they are in Git; the Secrets among them, as they are in a vault."""
    endpoint, by_hand = make_paris(bare_stage), build_by_hand(bare_stage)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}},
        account(bare_stage),
        hosted(),
        *paris(endpoint),
        *adopted(by_hand),
        image("ovh-rbx", "paris", "ovh-adopted"),
        instance("web", "ovh-rbx", "vm_public"),
        instance("app", "paris", "lan-apps"),
        instance("batch", "ovh-adopted", "vm_vlan200"),
    ]


@pytest.fixture(scope="module")
def backup(stage, chronicle, git):
    """Everything is built; what docs/adr/0005 says is to be kept: the installation id and the generated Secret."""
    stage.apply(git)
    chronicle.all_ready(OBJECTS, 120)
    secret = stage.cluster.get("secret", "ovh-rbx-oneadmin", "-n", "platform")
    kept = {key: secret[key] for key in ("apiVersion", "kind", "data", "type")}
    kept["metadata"] = {key: secret["metadata"][key] for key in ("name", "namespace", "labels")}
    config = stage.cluster.get("configmap", "sovereign-installation", "-n", SYSTEM)
    return {"secret": kept, "installation": config["data"]["id"], "outside": outside(stage)}


def stalled(chronicle, kind, name, reason):
    """What it says of it."""

    def told():
        found = chronicle.condition(kind, name, "Stalled")
        return found if found.get("reason") == reason else None

    return chronicle.until(f"{name} stalled, {reason}", told)["message"]


def outside(stage):
    """Ids and names of what is there, and how often each server was installed."""
    clouds = {}
    for name in ("ovh-rbx", "paris", "ovh-adopted"):
        cloud = stage.cloud(name)
        clouds[name] = {
            pool: sorted((o["id"], o["name"], o["state"]) for o in cloud[pool] if o["state"] != "DONE")
            for pool in ("hosts", "vms", "vnets", "images")
        }
    return clouds, {name: len(stage.server(name)["installs"]) for name in (FRONT, NODE)}


def lose_the_cluster(stage):
    """The operator ends with it. Everything stored is gone: what is known is known outside, in Git and in the backup."""
    stage.kill_operator()
    stage.cluster.reset_etcd()


def rebuild(stage, git, backup, *, secret=True):
    """Argo CD on the new cluster: the chart with the installation id, the backup, the manifests."""
    stage.install(f"installationId={backup['installation']}")
    stage.apply(git[0])
    stage.start_operator()
    stage.apply([backup["secret"], *git[1:]] if secret else git[1:])


@pytest.fixture(scope="module")
def rebuilt(stage, chronicle, git, backup):
    lose_the_cluster(stage)
    marks = stage.ovh_mark, {name: stage.one_mark(name) for name in backup["outside"][0]}
    rebuild(stage, git, backup)
    chronicle.all_ready(OBJECTS, 120)
    return marks


def test_everything_is_ready_again(rebuilt, chronicle):
    drifted = {o["metadata"]["name"]: condition(o, "Drifted")["status"] for o in chronicle.objects()}
    assert set(drifted.values()) == {"False"}, drifted


def test_nothing_outside_was_made_reinstalled_or_deleted(stage, rebuilt, backup):
    assert outside(stage) == backup["outside"]
    ovh, ones = rebuilt
    assert Counter((e["method"], e["route"]) for e in stage.ovh_writes(ovh)).keys() == {
        ("POST", "/iam/resource/{resourceURN}/tag")
    }, "servers are marked anew, nothing else"
    for name, since in ones.items():
        called = Counter(e["path"] for e in stage.one_calls(name, since=since))
        assert called.keys() <= MARKS, name


def test_no_job_runs_again(stage, rebuilt):
    assert stage.cluster.get("jobs", "-A")["items"] == []


def test_the_new_objects_know_what_they_had(stage, rebuilt, chronicle):
    machines = {vm["name"]: vm for vm in stage.cloud("ovh-rbx")["vms"]}
    web = chronicle.get("HostedInstance", "web")["status"]
    assert web["external"]["vm"] == str(machines["web"]["id"])
    assert web["primaryAddress"] == machines["web"]["addresses"][0]
    assert chronicle.get("BareMetalServer", "ovh-rbx-one-1")["status"]["reinstalled"] == "first"


def test_it_works_on_as_before(stage, rebuilt, chronicle):
    """What is lost after the rebuild is mended, what is declared is made."""
    stage.mischief("paris", "vm-power-off", vm="app")
    stage.apply(instance("second", "ovh-rbx", "vm_public"))
    chronicle.ready("HostedInstance", "second")
    (app,) = (vm["id"] for vm in stage.cloud("paris")["vms"])
    stage.until(lambda: stage.cloud("paris")["vms"][app]["lcm"] == "RUNNING", "running again", seconds=30)
    stage.cluster.kubectl("delete", "hinst", "second", "-n", "platform", "--timeout=30s")


def test_without_the_secret_nobody_gets_a_new_password(stage, rebuilt, git, backup, chronicle):
    """Lost once more, and the backup of the Secret with it: Stalled/CredentialsLost says which to restore, and then heals."""
    lose_the_cluster(stage)
    ovh, one = stage.ovh_mark, stage.one_mark("ovh-rbx")
    rebuild(stage, git, backup, secret=False)
    assert "ovh-rbx-oneadmin" in stalled(chronicle, "SovereignCloud", "ovh-rbx", "CredentialsLost")
    for name in ("app", "batch"):
        chronicle.ready("HostedInstance", name)  # what lives in other clouds is taken over meanwhile
    secrets = {s["metadata"]["name"] for s in stage.cluster.get("secrets", "-n", "platform")["items"]}
    assert "ovh-rbx-oneadmin" not in secrets
    assert stage.one_calls("ovh-rbx", since=one) == []
    assert {e["route"] for e in stage.ovh_writes(ovh)} <= {"/iam/resource/{resourceURN}/tag"}
    stage.apply(backup["secret"])
    stage.cluster.kubectl(
        "annotate", "scloud/ovh-rbx", "-n", "platform", "sovereigncloud.io/reconcile-requested-at=now"
    )
    chronicle.all_ready(OBJECTS)
    assert outside(stage) == backup["outside"]


def test_another_installation_id_leaves_all_of_it_alone(stage, rebuilt, git, backup, chronicle):
    """Somebody applies the manifests with an operator of their own: read-only, and told whose it is."""
    lose_the_cluster(stage)
    ovh, ones = stage.ovh_mark, {name: stage.one_mark(name) for name in backup["outside"][0]}
    rebuild(stage, git, backup | {"installation": "somebody-else"})
    for kind, name in (
        ("BareMetalServer", "ovh-rbx-one-1"),
        ("VirtualNetwork", "lan-apps"),
        ("HostedInstance", "app"),
        ("VirtualNetwork", "ovh-adopted-vm-vlan200"),
    ):
        assert backup["installation"] in stalled(chronicle, kind, name, "OwnedByAnotherInstallation")
    assert stage.ovh_writes(ovh) == []
    for name, since in ones.items():
        assert stage.one_calls(name, since=since) == [], name
    assert outside(stage) == backup["outside"]
    secret = stage.cluster.get("secret", "ovh-rbx-oneadmin", "-n", "platform")
    assert secret["data"] == backup["secret"]["data"]
