"""The Kubernetes cluster is lost. The same manifests, installation id and generated Secret in a new one: nothing outside
is made, bought, reinstalled or deleted, and everything is Ready again (docs/adr/0005). An order is under way meanwhile.
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

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud_sandbox.stage import SYSTEM, condition, is_ready

OBJECTS = 15
ORDERED = ("BareMetalServer", "ordered")
AGES = 1e6
"""Seconds until a server is delivered: as long as it is not wanted here."""
MARKS = {"one.vm.update", "one.vn.update", "one.image.update", "one.host.update", "one.market.update"}


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
        ordered(),
    ]


def ordered():
    """A server that is bought and not there for days."""
    order = {
        "planCode": "24scale01",
        "datacenter": "rbx",
        "approval": {"maxPrice": "400.00", "currency": "EUR"},
    }
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh-account"}, "order": order}
    return {
        "apiVersion": API_VERSION,
        "kind": ORDERED[0],
        "metadata": {"name": ORDERED[1], "namespace": "platform"},
        "spec": {"ovh": ovh},
    }


def orders(stage):
    """Every order: what was paid for it, and the server that was delivered."""
    return [(o["id"], len(o["payments"]), o["domain"]) for o in stage.ovh.call("GET", "/state")["orders"].values()]


def all_but_the_order(chronicle, seconds=120):
    """Everything is Ready, and the order waits for its delivery."""

    def there():
        unready = {(o["kind"], o["metadata"]["name"]) for o in chronicle.objects() if not is_ready(o)}
        waiting = chronicle.condition(*ORDERED, "Reconciling").get("reason") == "Delivering"
        return waiting and unready == {ORDERED} and len(chronicle.objects()) == OBJECTS

    chronicle.until("all ready but the order, which is being delivered", there, seconds)


@pytest.fixture(scope="module")
def backup(stage, chronicle, git):
    """Everything is built; what docs/adr/0005 says is to be kept: the installation id and the generated Secret."""
    stage.ovh.call("PATCH", "/timing", {"delivery": AGES})
    stage.apply(git)
    all_but_the_order(chronicle)
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
    """Ids and names of what is there, how often each server was installed, and how often each order was paid."""
    clouds = {}
    for name in ("ovh-rbx", "paris", "ovh-adopted"):
        cloud = stage.cloud(name)
        clouds[name] = {
            pool: sorted((o["id"], o["name"], o["state"]) for o in cloud[pool] if o["state"] != "DONE")
            for pool in ("hosts", "vms", "vnets", "images")
        }
    return (
        clouds,
        {name: len(stage.server(name)["installs"]) for name in (FRONT, NODE)},
        [order[:2] for order in orders(stage)],
    )


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
    all_but_the_order(chronicle)
    return marks


def test_what_is_not_on_its_way_is_ready_again(rebuilt, chronicle):
    drifted = {o["metadata"]["name"]: condition(o, "Drifted")["status"] for o in chronicle.objects()}
    assert set(drifted.values()) == {"False"}, drifted


def test_nothing_outside_was_made_reinstalled_or_deleted(stage, rebuilt, backup):
    assert outside(stage) == backup["outside"]
    ovh, ones = rebuilt
    bought = orders(stage)
    assert [payments for _, payments, _ in bought] == [1], "neither ordered nor paid again"
    written = Counter((e["method"], e["route"]) for e in stage.ovh_writes(ovh)).keys()
    assert written == {("POST", "/iam/resource/{resourceURN}/tag")}, "servers are marked anew, nothing else"
    for name, since in ones.items():
        called = Counter(e["path"] for e in stage.one_calls(name, since=since))
        assert called.keys() <= MARKS, name


def test_no_job_runs_again(stage, rebuilt):
    assert stage.cluster.get("jobs", "-A")["items"] == []


def test_the_order_is_known_and_its_server_is_taken_when_it_comes(stage, rebuilt, chronicle):
    (before,) = orders(stage)
    assert chronicle.get(*ORDERED)["status"]["order"]["id"] == before[0]
    stage.ovh.call("PATCH", "/timing", {"delivery": 0.1})
    chronicle.all_ready(OBJECTS, 120)
    ((number, payments, domain),) = orders(stage)
    assert (number, payments) == before[:2]
    assert chronicle.get(*ORDERED)["status"]["serviceName"] == domain
    assert stage.server(domain)["installs"] == []


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
    # Without the order: to whom it is another installation, its consent would buy a server of its own.
    rebuild(stage, git[:-1], backup | {"installation": "somebody-else"})
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
