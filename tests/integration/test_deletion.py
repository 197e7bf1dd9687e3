"""Everything is deleted, in any order and in every way that Kubernetes has: all of it ends, and Retain leaves what stands."""

import random

import pyone
import pytest
from tests.integration.federation_scenes import LOGIN, ssh_to
from tests.integration.hosted_scenes import (
    BLOCK,
    FRONT,
    NODE,
    PARIS_PASSWORD,
    VRACK,
    account,
    hosted,
    image,
    instance,
    make_paris,
    paris,
)

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud.kinds.sovereigncloud.composition import CLOUD_LABEL
from sovereigncloud.providers.kubernetes.rbac import RBAC
from sovereigncloud_sandbox.stage import SYSTEM, is_ready

KINDS = "scloud,bms,onevnet,mimg,hinst,secgroup,tnt,fzone"
HTTPS = {"direction": "Inbound", "protocol": "TCP", "range": "443"}
TOWN = "town"
"""The namespace of a tenant, who has a machine and a group of its own in the cloud of the platform."""
TAG = "/iam/resource/{resourceURN}/tag/{key}"


@pytest.fixture(scope="module")
def endpoint(stage):
    return make_paris(stage)


def group(name, namespace="platform"):
    """A SecurityGroup of every cloud that its namespace may use."""
    return {
        "apiVersion": API_VERSION,
        "kind": "SecurityGroup",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"rules": [HTTPS]},
    }


def filtered(machine, name):
    """A machine whose card names a group."""
    machine["spec"]["networks"][0]["securityGroups"] = [name]
    return machine


def tenant():
    """Town may use paris, and does."""
    cloud = {"name": "paris", "namespace": "platform"}
    desk = filtered(instance("desk", "paris", "lan-apps"), "desks")
    desk["metadata"]["namespace"] = TOWN
    desk["spec"]["placement"] = {"cloudRef": cloud}
    spec = {"namespaces": [TOWN], "clouds": [{"cloudRef": cloud, "quota": {"vms": 1}}]}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TOWN}},
        {"apiVersion": API_VERSION, "kind": "Tenant", "metadata": {"name": "prefecture"}, "spec": spec},
        group("desks", TOWN),
        desk,
    ]


def federated(endpoint):
    """Paris, which lets the operator in, to be the master of a federation."""
    secret, cloud, network = paris(endpoint)
    cloud["spec"]["existing"]["ssh"] = ssh_to(endpoint)
    login = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": LOGIN, "namespace": "platform"}}
    zone = {
        "apiVersion": API_VERSION,
        "kind": "FederatedZone",
        "metadata": {"name": "paris", "namespace": "platform"},
        "spec": {"cloudRef": {"name": "paris"}, "role": "Master"},
    }
    return secret, {**login, "stringData": {"sshPrivateKey": "nobody's"}}, cloud, network, zone


def manifests(stage, endpoint):
    return [
        account(stage),
        hosted(),
        *federated(endpoint),
        image("ovh-rbx", "paris"),
        group("web"),
        filtered(instance("web", "ovh-rbx", "vm_public"), "web"),
        filtered(instance("app", "paris", "lan-apps"), "web"),
        *tenant(),
    ]


def build(stage, endpoint, chronicle):
    """Everything, Ready: from nothing the first time, by taking over what was retained the next."""
    stage.apply(manifests(stage, endpoint))
    chronicle.all_ready(15, 120)


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
    """Everything that was applied and composed, as kubectl names it, with a namespace to look for it in."""
    found = stage.cluster.kubectl("get", KINDS, "-n", "platform", "-o", "name").stdout.split()
    of_town = stage.cluster.kubectl("get", "hinst,secgroup", "-n", TOWN, "-o", "name").stdout.split()
    of_platform = [*found, "secret/ovh-account", "secret/onprem-one", f"secret/{LOGIN}"]
    return [*((name, "platform") for name in of_platform), *((name, TOWN) for name in of_town)]


def gone_but_for_orphans(stage, chronicle, cloud):
    """Whether the cloud is gone; networks that it composed, and the garbage collector took its name from, are deleted."""
    found = stage.cluster.get("onevnet", "-n", "platform", "-l", f"{CLOUD_LABEL}={cloud}")["items"]
    for one in found:
        if not one["metadata"].get("ownerReferences") and "deletionTimestamp" not in one["metadata"]:
            stage.cluster.kubectl("delete", "onevnet", one["metadata"]["name"], "-n", "platform", "--wait=false")
    return not chronicle.get("SovereignCloud", cloud)


def in_use(chronicle, kind, name, namespace="platform"):
    """What it says of its users while it waits for them."""

    def waits():
        found = chronicle.condition(kind, name, "Reconciling", namespace)
        return found if found.get("reason") == "InUse" else None

    return chronicle.until(f"{name} waiting for its users", waits, 30)["message"]


def gone(chronicle, kind, name, namespace="platform"):
    chronicle.until(f"{kind} {name} gone", lambda: not chronicle.get(kind, name, namespace))


def secrets(stage):
    """Names and finalizers of the Secrets that are there."""
    found = stage.cluster.get("secrets", "-n", "platform")["items"]
    return {s["metadata"]["name"]: s["metadata"].get("finalizers", []) for s in found}


def tenancy(stage, endpoint):
    """What is there only for the tenants and their cards: groups of rules, users, groups and VDCs of a cloud, logins."""
    one = pyone.OneServer(endpoint, session=f"oneadmin:{PARIS_PASSWORD}")
    logins = stage.cluster.get("secrets", f"--namespace={SYSTEM}")["items"]
    return {
        "rules": {group.NAME for group in one.secgrouppool.info(-2, -1, -1).SECURITY_GROUP} - {"default"},
        "users": {user.NAME for user in one.userpool.info().USER} - {"oneadmin", "serveradmin"},
        "groups": {group.NAME for group in one.grouppool.info().GROUP} - {"oneadmin", "users"},
        "VDCs": {vdc.NAME for vdc in one.vdcpool.info().VDC} - {"default"},
        "logins": {s["metadata"]["name"] for s in logins if s["metadata"]["name"].startswith("tenant-")},
    }


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
    user = f"prefecture-{TOWN}-platform-paris"
    assert tenancy(stage, endpoint) | {"logins": None} == {
        "rules": {"web", "desks"}, "users": {user}, "groups": {"prefecture"}, "VDCs": {"prefecture"}, "logins": None
    }  # fmt: skip
    before, writes = standing(stage), stage.ovh_mark
    chance = random.Random(seed)
    order = names(stage)
    chance.shuffle(order)
    for name, namespace in order:
        way = chance.choice(["background", "foreground", "orphan"]) if cascade == "mixed" else cascade
        stage.cluster.kubectl("delete", name, "-n", namespace, "--wait=false", f"--cascade={way}", "--ignore-not-found")
    if cascade in {"orphan", "mixed"}:
        # What was composed anew, or released, between its own deletion and that of its cloud is nobody's. A network among
        # that is a user of its cloud as any other is, so the cloud waits until a person deletes it, too.
        for cloud in ("ovh-rbx", "paris"):
            chronicle.until(f"{cloud} gone", lambda cloud=cloud: gone_but_for_orphans(stage, chronicle, cloud))
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
    assert not any(tenancy(stage, endpoint).values()), "of the tenants nothing is left, nor of their rules"


def test_what_is_used_waits_and_names_its_users(stage, endpoint, chronicle):
    build(stage, endpoint, chronicle)
    for name in ("scloud/paris", "onevnet/lan-apps", "secret/onprem-one", "secgroup/web", "tnt/prefecture"):
        stage.cluster.kubectl("delete", name, "-n", "platform", "--wait=false")
    stage.cluster.kubectl("delete", "secgroup/desks", "-n", TOWN, "--wait=false")
    for kind, name in (("SovereignCloud", "paris"), ("VirtualNetwork", "lan-apps"), ("SecurityGroup", "web")):
        assert "HostedInstance platform/app" in in_use(chronicle, kind, name)
    for kind, name, namespace in (("Tenant", "prefecture", ""), ("SecurityGroup", "desks", TOWN)):
        assert f"HostedInstance {TOWN}/desk" in in_use(chronicle, kind, name, namespace)
    assert [vm["lcm"] for vm in stage.cloud("paris")["vms"] if vm["state"] != "DONE"] == ["RUNNING"] * 2

    stage.cluster.kubectl("delete", "hinst/desk", "-n", TOWN, "--wait=false")
    for kind, name, namespace in (("SecurityGroup", "desks", TOWN), ("Tenant", "prefecture", "")):
        gone(chronicle, kind, name, namespace)
    stage.cluster.kubectl("delete", "hinst/app", "mimg/ubuntu-24.04", "-n", "platform", "--wait=false")
    stage.cluster.kubectl("delete", "hinst/web", "fzone/paris", f"secret/{LOGIN}", "-n", "platform", "--wait=false")
    last = (("VirtualNetwork", "lan-apps"), ("SovereignCloud", "paris"), ("MachineImage", "ubuntu-24.04"))
    for kind, name in (("SecurityGroup", "web"), *last):
        gone(chronicle, kind, name)
    assert not any(tenancy(stage, endpoint).values())


def test_a_tenant_waits_for_a_group_of_rules_that_no_machine_uses(stage, endpoint, chronicle):
    """It belongs to the user, who would leave it behind as nobody's. It names the cloud, so it is wanted there still."""
    town, prefecture, desks, _ = tenant()
    desks["spec"]["cloudRefs"] = [{"name": "paris", "namespace": "platform"}]
    stage.apply([*paris(endpoint), town, prefecture, desks])
    chronicle.until("ready", lambda: is_ready(chronicle.get("SecurityGroup", "desks", TOWN)))
    stage.cluster.kubectl("delete", "tnt/prefecture", "--wait=false")
    assert f"SecurityGroup {TOWN}/desks" in in_use(chronicle, "Tenant", "prefecture", "")
    stage.cluster.kubectl("delete", "secgroup/desks", "-n", TOWN, "--wait=false")
    gone(chronicle, "SecurityGroup", "desks", TOWN)
    gone(chronicle, "Tenant", "prefecture", "")
    assert not any(tenancy(stage, endpoint).values())
    everything = ("scloud/paris", "onevnet/lan-apps", "secret/onprem-one")
    stage.cluster.kubectl("delete", *everything, "-n", "platform", "--wait=false")
    gone(chronicle, "SovereignCloud", "paris")


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
    app = filtered(instance("app", "paris", "lan-apps"), "web")
    stage.apply([*paris(endpoint), image("paris"), group("web"), app, *tenant()])
    chronicle.all_ready(8)
    stage.cluster.kubectl("delete", "namespace", TOWN, "--wait=false")
    stage.cluster.kubectl("wait", "--for=delete", f"namespace/{TOWN}", "--timeout=60s")
    (machine,) = machines(stage)
    assert (machine["name"], tenancy(stage, endpoint)["rules"]) == ("app", {"web"})
    stage.cluster.kubectl("delete", "namespace", "platform", "--wait=false")
    assert "Tenant prefecture" in in_use(chronicle, "SovereignCloud", "paris"), "it is in no namespace that goes"
    stage.cluster.kubectl("delete", "tnt/prefecture", "--wait=false")
    chronicle.gone()
    stage.cluster.kubectl("wait", "--for=delete", "namespace/platform", "--timeout=60s")
    assert machines(stage) == []
    assert not any(tenancy(stage, endpoint).values())


def test_a_kind_deleted_takes_nothing_outside_with_it(stage, endpoint, chronicle):
    """Nobody meant each of the machines who deletes their CRD: everything counts as Retain."""
    stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}})
    app = filtered(instance("app", "paris", "lan-apps"), "web")
    stage.apply([*paris(endpoint), image("paris"), group("web"), app, *tenant()])
    chronicle.all_ready(8)
    before = tenancy(stage, endpoint)
    for plural in ("hostedinstances", "securitygroups", "tenants"):
        stage.cluster.kubectl("delete", "crd", f"{plural}.sovereigncloud.io", "--timeout=60s")
    assert sorted((m["name"], m["lcm"]) for m in machines(stage)) == [("app", "RUNNING"), ("desk", "RUNNING")]
    assert tenancy(stage, endpoint) == before
    assert all(before.values())


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
    # Of policies, which no story here has: tests/integration/test_policies.py uses them, and who binds to one must be able to get it.
    *(
        ("sovereigncloud.io", f"{plural}{part}", "patch")
        for plural in ("sovereigntypolicies", "providerprofiles")
        for part in ("", "/status")
    ),
    # Of moves and exits likewise: tests/integration/test_migration.py and test_exit.py use them.
    *(
        ("sovereigncloud.io", f"{plural}{part}", "patch")
        for plural in ("instancemigrations", "exitplans")
        for part in ("", "/status")
    ),
    ("sovereigncloud.io", "sovereigntypolicies", "get"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", "get"),
    *(
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", verb)
        for verb in ("get", "create", "update", "delete")
    ),
    # Of an installation or a validation that failed, its pod is asked which task it was.
    ("", "pods", "list"),
    # Asked of the admission plugin OwnerReferencesPermissionEnforcement only, which is off here.
    ("sovereigncloud.io", "sovereignclouds/finalizers", "update"),
    # A server-side apply that makes an object is logged as patch; tests/integration/chart/test_chart_rights.py shows both.
    ("sovereigncloud.io", "baremetalservers", "create"),
    ("sovereigncloud.io", "virtualnetworks", "create"),
    ("sovereigncloud.io", "instancemigrations", "create"),
    ("sovereigncloud.io", "instancemigrations", "delete"),
}
