"""Everything is deleted, in any order and in every way that Kubernetes has: all of it ends, and Retain leaves what stands."""

import random

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

KINDS = "scloud,bms,onevnet,mimg,hinst"
TAG = "/iam/resource/{resourceURN}/tag/{key}"


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
    chronicle.all_ready(10, 120)


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


def in_use(chronicle, kind, name):
    """What it says of its users while it waits for them."""

    def waits():
        found = chronicle.condition(kind, name, "Reconciling")
        return found if found.get("reason") == "InUse" else None

    return chronicle.until(f"{name} waiting for its users", waits, 30)["message"]


def secrets(stage):
    """Names and finalizers of the Secrets that are there."""
    found = stage.cluster.get("secrets", "-n", "platform")["items"]
    return {s["metadata"]["name"]: s["metadata"].get("finalizers", []) for s in found}


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
        for cloud in ("ovh-rbx", "paris"):
            chronicle.until(f"{cloud} gone", lambda cloud=cloud: not chronicle.get("SovereignCloud", cloud))
        stage.cluster.kubectl("delete", KINDS, "--all", "-n", "platform", "--wait=false")
    chronicle.gone()
    left = {"ovh-rbx-oneadmin": []}
    stage.until(lambda: secrets(stage) == left, "only the generated Secret, held by nobody", seconds=20)
    assert standing(stage) == before
    done = {(e["method"], e["route"]) for e in stage.ovh_writes(writes)}
    assert done <= {("DELETE", TAG), ("POST", "/iam/authorization/check")}, "nothing but the mark is taken off"
    assert machines(stage) == [], "what can be made again was deleted"
    assert [v["name"] for v in stage.cloud("paris")["vnets"]] == []
    assert stage.cloud("paris")["images"] == []


def test_what_is_used_waits_and_names_its_users(stage, endpoint, chronicle):
    build(stage, endpoint, chronicle)
    for name in ("scloud/paris", "onevnet/lan-apps", "secret/onprem-one"):
        stage.cluster.kubectl("delete", name, "-n", "platform", "--wait=false")
    for kind, name in (("SovereignCloud", "paris"), ("VirtualNetwork", "lan-apps")):
        assert "HostedInstance platform/app" in in_use(chronicle, kind, name)
    assert [vm["lcm"] for vm in stage.cloud("paris")["vms"] if vm["state"] != "DONE"] == ["RUNNING"]
    stage.cluster.kubectl("delete", "hinst/app", "mimg/ubuntu-24.04", "-n", "platform", "--wait=false")
    stage.cluster.kubectl("delete", "hinst/web", "-n", "platform", "--wait=false")
    for kind, name in (("VirtualNetwork", "lan-apps"), ("SovereignCloud", "paris"), ("MachineImage", "ubuntu-24.04")):
        chronicle.until(f"{name} gone", lambda kind=kind, name=name: not chronicle.get(kind, name))


def test_a_cloud_with_machines_is_not_deleted(stage, endpoint, chronicle):
    """deletionPolicy Delete: servers leave the vRack and the password goes, but not while anybody's machine is in it."""
    kept = image("ovh-rbx")
    kept["spec"]["deletionPolicy"] = "Retain"  # it has a copy in the machine's disk, which holds it
    stage.apply([account(stage), hosted(deletionPolicy="Delete"), kept])
    stage.apply(instance("kept", "ovh-rbx", "vm_vlan100", deletionPolicy="Retain"))
    chronicle.ready("HostedInstance", "kept")
    child = chronicle.ready("BareMetalServer", "ovh-rbx-one-2")
    assert child["spec"]["deletionPolicy"] == "Delete", "what a cloud composed goes as it goes"
    stage.cluster.kubectl("delete", "hinst/kept", "mimg/ubuntu-24.04", "-n", "platform", "--timeout=30s")
    (machine,) = [vm for vm in stage.cloud("ovh-rbx")["vms"] if vm["state"] != "DONE"]
    stage.cluster.kubectl("delete", "scloud/ovh-rbx", "-n", "platform", "--wait=false")
    assert f"VM {machine['id']} (kept)" in in_use(chronicle, "SovereignCloud", "ovh-rbx")
    assert stage.private_interface(NODE)["vrack"] == VRACK
    stage.mischief("ovh-rbx", "vm-terminate", vm="kept")
    chronicle.gone()
    assert [stage.private_interface(name)["vrack"] for name in (FRONT, NODE)] == [None, None]
    ours = [t for name in (FRONT, NODE) for t in stage.server(name)["resource"]["tags"] if t.endswith("/object")]
    assert ours == [], "another object may have the servers now"
    assert secrets(stage) == {"ovh-account": []}


def test_a_namespace_deleted_ends_with_everything_in_it(stage, endpoint, chronicle):
    objects = [*paris(endpoint), image("paris"), instance("app", "paris", "lan-apps")]
    stage.apply(objects)
    chronicle.ready("HostedInstance", "app")
    stage.cluster.kubectl("delete", "namespace", "platform", "--wait=false")
    chronicle.gone()
    stage.cluster.kubectl("wait", "--for=delete", "namespace/platform", "--timeout=60s")
    assert machines(stage) == []


def test_a_kind_deleted_takes_nothing_outside_with_it(stage, endpoint, chronicle):
    """Nobody meant each of the machines who deletes their CRD: everything counts as Retain."""
    stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}})
    stage.apply([*paris(endpoint), image("paris"), instance("app", "paris", "lan-apps")])
    chronicle.ready("HostedInstance", "app")
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
    wanted = {(rule.group, rule.resource, verb) for rule in RBAC if not rule.narrowed for verb in rule.verbs} - UNSEEN
    assert wanted - used == set(), "rights that nobody needs"


UNSEEN = {
    # Of an installation or a validation that failed, its pod is asked which task it was.
    ("", "pods", "list"),
    # Asked of the admission plugin OwnerReferencesPermissionEnforcement only, which is off here.
    ("sovereigncloud.io", "sovereignclouds/finalizers", "update"),
    # A server-side apply that makes an object is logged as patch; tests/integration/chart/test_chart_rights.py shows both.
    ("sovereigncloud.io", "baremetalservers", "create"),
    ("sovereigncloud.io", "virtualnetworks", "create"),
}
