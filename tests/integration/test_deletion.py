"""Everything is deleted, in any order and in every way that Kubernetes has: all of it ends, and Retain leaves what stands."""

import random
from pprint import pformat

import pytest
from tests.integration.hosted_scenes import (
    BLOCK,
    FRONT,
    NODE,
    VRACK,
    account,
    hosted,
    image,
    instance,
    make_paris,
    paris,
)

from sovereigncloud.providers.kubernetes import RBAC
from sovereigncloud.sandbox.stage import condition, is_ready

KINDS = "scloud,bms,onevnet,mimg,hinst"


@pytest.fixture(scope="module")
def endpoint(stage):
    return make_paris(stage)


def manifests(stage, endpoint):
    return [
        account(stage),
        hosted(),
        *paris(endpoint),
        image("ovh-rbx", "paris"),
        instance("web", "ovh-rbx", "vm_public"),
        instance("app", "paris", "lan-apps"),
    ]


def build(stage, endpoint, chronicle):
    """Everything, Ready: from nothing the first time, by taking over what was retained the next."""
    stage.apply(manifests(stage, endpoint))
    everything = lambda: len(chronicle.objects("platform")) == 10 and all(map(is_ready, chronicle.objects("platform")))  # noqa: E731
    assert chronicle.wait(everything, 120), pformat([o.get("status") for o in chronicle.objects() if not is_ready(o)])


def standing(stage):
    """What Retain leaves as it is."""
    servers = {
        name: (
            stage.server(name)["document"]["os"],
            len(stage.server(name)["installs"]),
            stage.private_interface(name)["vrack"],
            stage.server(name)["resource"]["display_name"],
        )
        for name in (FRONT, NODE)
    }
    cloud = stage.cloud("ovh-rbx")
    hosts = [(h["id"], h["name"]) for h in cloud["hosts"]]
    networks = [(v["id"], v["name"], v["attributes"]["VN_MAD"]) for v in cloud["vnets"]]
    return servers, stage.block(BLOCK)["document"]["routedTo"], hosts, networks


def names(stage):
    """Everything that was applied and composed, as kubectl names it."""
    found = stage.cluster.kubectl("get", KINDS, "-n", "platform", "-o", "name").stdout.split()
    return [*found, "secret/ovh-account", "secret/onprem-one"]


def machines(stage):
    return [vm for cloud in ("ovh-rbx", "paris") for vm in stage.cloud(cloud)["vms"] if vm["state"] != "DONE"]


@pytest.mark.parametrize(
    ("seed", "cascade", "why"),
    [
        (1, "background", "the order of a person in a hurry"),
        (2, "foreground", "as Argo CD does it: owner and children at once"),
        (3, "orphan", "what a cloud composed lives on, until it is deleted itself"),
        (4, "foreground", "another order"),
        (5, "mixed", "each in another way"),
    ],
)
def test_deleted_in_any_order_all_of_it_ends(stage, endpoint, chronicle, seed, cascade, why):
    build(stage, endpoint, chronicle)
    before, writes = standing(stage), stage.ovh_mark
    chance = random.Random(seed)
    order = names(stage)
    chance.shuffle(order)
    for name in order:
        way = chance.choice(["background", "foreground", "orphan"]) if cascade == "mixed" else cascade
        stage.cluster.kubectl(
            "delete", name, "-n", "platform", "--wait=false", f"--cascade={way}", "--ignore-not-found"
        )
    if cascade in {"orphan", "mixed"}:
        # What was composed anew, or released, between its own deletion and that of its cloud is nobody's.
        gone = lambda: not chronicle.get("SovereignCloud", "ovh-rbx") and not chronicle.get("SovereignCloud", "paris")  # noqa: E731
        assert chronicle.wait(gone, 60), (why, order)
        stage.cluster.kubectl("delete", KINDS, "--all", "-n", "platform", "--wait=false")
    ended = chronicle.wait(lambda: not chronicle.objects("platform"), 60)
    assert ended, (why, order, pformat([(o["kind"], o["metadata"], o["status"]) for o in chronicle.objects()]))
    left = lambda: [  # noqa: E731
        (s["metadata"]["name"], s["metadata"].get("finalizers"))
        for s in stage.cluster.get("secrets", "-n", "platform")["items"]
    ]
    stage.until(
        lambda: left() == [("ovh-rbx-oneadmin", None)], "only the generated Secret, which nobody holds", seconds=20
    )
    assert standing(stage) == before
    assert {e["method"] for e in stage.ovh_writes(writes)} <= {"POST"}
    assert machines(stage) == [], "what can be made again was deleted"
    assert [v["name"] for v in stage.cloud("paris")["vnets"]] == []
    assert stage.cloud("paris")["images"] == []


def test_what_is_used_waits_and_names_its_users(stage, endpoint, chronicle):
    build(stage, endpoint, chronicle)
    for name in ("scloud/paris", "onevnet/lan-apps", "secret/onprem-one"):
        stage.cluster.kubectl("delete", name, "-n", "platform", "--wait=false")
    in_use = lambda kind, name: condition(chronicle.get(kind, name), "Reconciling")  # noqa: E731
    for kind, name in (("SovereignCloud", "paris"), ("VirtualNetwork", "lan-apps")):
        assert chronicle.wait(lambda k=kind, n=name: in_use(k, n).get("reason") == "InUse", 20), in_use(kind, name)
        assert "HostedInstance platform/app" in in_use(kind, name)["message"]
    assert [vm["lcm"] for vm in stage.cloud("paris")["vms"] if vm["state"] != "DONE"] == ["RUNNING"]
    stage.cluster.kubectl("delete", "hinst/app", "mimg/ubuntu-24.04", "-n", "platform", "--wait=false")
    stage.cluster.kubectl("delete", "hinst/web", "-n", "platform", "--wait=false")
    left = (("SovereignCloud", "paris"), ("VirtualNetwork", "lan-apps"), ("MachineImage", "ubuntu-24.04"))
    assert chronicle.wait(lambda: not any(chronicle.get(*one) for one in left), 60), pformat(
        chronicle.objects("platform")
    )


def test_a_cloud_with_machines_is_not_deleted(stage, endpoint, chronicle):
    """deletionPolicy Delete: servers leave the vRack and the password goes, but not while anybody's machine is in it."""
    kept = image("ovh-rbx")
    kept["spec"]["deletionPolicy"] = "Retain"  # it has a copy in the machine's disk, which holds it
    stage.apply([account(stage), hosted(deletionPolicy="Delete"), kept])
    child = lambda: chronicle.get("BareMetalServer", "ovh-rbx-one-2")  # noqa: E731
    assert chronicle.wait(lambda: child() and child()["spec"]["deletionPolicy"] == "Delete" and is_ready(child()), 60)
    stage.apply(instance("kept", "ovh-rbx", "vm_vlan100", deletionPolicy="Retain"))
    assert chronicle.wait(lambda: is_ready(chronicle.get("HostedInstance", "kept")), 60)
    stage.cluster.kubectl("delete", "hinst/kept", "mimg/ubuntu-24.04", "-n", "platform", "--timeout=30s")
    (machine,) = [vm for vm in stage.cloud("ovh-rbx")["vms"] if vm["state"] != "DONE"]
    stage.cluster.kubectl("delete", "scloud/ovh-rbx", "-n", "platform", "--wait=false")
    waits = lambda: condition(chronicle.get("SovereignCloud", "ovh-rbx"), "Reconciling")  # noqa: E731
    assert chronicle.wait(lambda: waits().get("reason") == "InUse", 30), waits()
    assert f"VM {machine['id']} (kept)" in waits()["message"]
    assert stage.private_interface(NODE)["vrack"] == VRACK
    stage.mischief("ovh-rbx", "vm-terminate", vm="kept")
    assert chronicle.wait(lambda: not chronicle.objects("platform"), 60), pformat(chronicle.objects("platform"))
    assert [stage.private_interface(name)["vrack"] for name in (FRONT, NODE)] == [None, None]
    ours = [t for name in (FRONT, NODE) for t in stage.server(name)["resource"]["tags"] if t.endswith("/object")]
    assert ours == [], "another object may have the servers now"
    secrets = [s["metadata"]["name"] for s in stage.cluster.get("secrets", "-n", "platform")["items"]]
    assert secrets == ["ovh-account"]


def test_a_namespace_deleted_ends_with_everything_in_it(stage, endpoint, chronicle):
    objects = [*paris(endpoint), image("paris"), instance("app", "paris", "lan-apps")]
    stage.apply(objects)
    assert chronicle.wait(lambda: is_ready(chronicle.get("HostedInstance", "app")), 60)
    stage.cluster.kubectl("delete", "namespace", "platform", "--wait=false")
    assert chronicle.wait(lambda: not chronicle.objects("platform"), 60), pformat(chronicle.objects("platform"))
    gone = lambda: not stage.cluster.kubectl("get", "namespace", "platform", "--ignore-not-found").stdout  # noqa: E731
    stage.until(gone, "the namespace is gone", seconds=60)
    assert machines(stage) == []


def test_a_kind_deleted_takes_nothing_outside_with_it(stage, endpoint, chronicle):
    """Nobody meant each of the machines who deletes their CRD: everything counts as Retain."""
    stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}})
    stage.apply([*paris(endpoint), image("paris"), instance("app", "paris", "lan-apps")])
    assert chronicle.wait(lambda: is_ready(chronicle.get("HostedInstance", "app")), 60)
    stage.cluster.kubectl("delete", "crd", "hostedinstances.sovereigncloud.io", "--timeout=60s")
    (machine,) = machines(stage)
    assert (machine["name"], machine["lcm"]) == ("app", "RUNNING")


def test_every_right_of_the_chart_was_used_and_none_was_missing(stage, endpoint):
    """What was asked for in this module, from building to deletion, by the operator's ServiceAccount."""
    stage.stop_operator()  # a watch is in the log when it ends
    told = [e for e in stage.cluster.audit() if e["user"]["username"].endswith(":sovereign-cloud-operator")]
    refused = [e for e in told if e.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"]
    assert refused == []
    used = {
        (o.get("apiGroup", ""), "/".join(filter(None, (o["resource"], o.get("subresource")))), e["verb"])
        for e in told
        if (o := e.get("objectRef"))
    }
    wanted = {(rule.group, rule.resource, verb) for rule in RBAC for verb in rule.verbs} - UNSEEN
    assert wanted - used == set(), "rights that nobody needs"


UNSEEN = {
    # Asked of the admission plugin OwnerReferencesPermissionEnforcement only, which is off here.
    ("sovereigncloud.io", "sovereignclouds/finalizers", "update"),
    # A server-side apply that makes an object is logged as patch; tests/integration/chart/test_chart_rights.py shows both.
    ("sovereigncloud.io", "baremetalservers", "create"),
    ("sovereigncloud.io", "virtualnetworks", "create"),
}
