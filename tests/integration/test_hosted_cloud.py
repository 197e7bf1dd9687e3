"""A hosted cloud from nothing to Ready, as OVHcloud's guide builds it by hand, and what it never does twice."""

import base64
import ipaddress
import json

import pyone
import pytest
from tests.integration.existing_cloud import ExistingCloud
from tests.integration.hosted_scenes import (
    BLOCK,
    FRONT,
    NODE,
    SYSTEM,
    VRACK,
    account,
    hosted,
    image,
    instance,
    server_named,
)

from sovereigncloud_sandbox.stage import condition, is_ready

REINSTALL = "/dedicated/server/{serviceName}/reinstall"
NAMES = {"one-1": FRONT, "one-2": NODE}


@pytest.fixture(scope="module")
def built(stage, chronicle):
    """The example, applied once to an account in which nothing was done yet, until it is Ready."""
    assert stage.server(FRONT)["document"]["os"] == "none_64.en"
    stage.apply([account(stage), hosted()])
    return chronicle.ready("SovereignCloud", "ovh-rbx", 120)


@pytest.fixture
def one(stage, built):
    """The cloud as its administrator sees it, with the generated password."""
    found = stage.cluster.get("secret", built["status"]["credentialsSecret"], "-n", "platform")["data"]
    user, password = (base64.b64decode(found[key]).decode() for key in ("username", "password"))
    return pyone.OneServer(built["status"]["endpoint"], session=f"{user}:{password}")


def reinstalls(stage, server=None):
    return [e for e in stage.ovh_requests("POST", REINSTALL) if server is None or server in e["path"]]


def vnet(one, name):
    return next(v for v in one.vnpool.info(-2, -1, -1).VNET if name == v.NAME)


def node(chronicle):
    return chronicle.get("BareMetalServer", "ovh-rbx-one-2")


def handled(chronicle, kind):
    """The requests to look anew that objects of this kind acknowledged."""
    return {o["status"].get("lastHandledReconcileAt") for o in chronicle.objects() if o["kind"] == kind}


def jobs(stage):
    return stage.cluster.get("jobs", "-n", "platform")["items"]


def test_each_server_is_reinstalled_once_on_the_request(stage, built):
    for server in NAMES.values():
        assert len(reinstalls(stage, server)) == 1
        assert stage.server(server)["document"]["os"] == SYSTEM
        assert stage.server(server)["technician_visits"] == 0, "monitoring must not call a technician meanwhile"
        assert stage.server(server)["document"]["monitoring"] is True
        assert stage.server(server)["document"]["noIntervention"] is False, "put back as it was"


def test_a_reinstalled_server_lets_in_the_key_of_the_installer(stage, built):
    public = base64.b64decode(stage.cluster.get("secret", "ovh-rbx-oneadmin", "-n", "platform")["data"]["sshPublicKey"])
    for install in stage.ovh.call("GET", "/installed"):
        assert install["install"]["customizations"]["sshKey"] == public.decode()


def test_the_private_interface_is_attached_to_the_vrack_and_no_other(stage, built):
    for server in NAMES.values():
        vracks = {vni["mode"]: vni["vrack"] for vni in stage.server(server)["vnis"]}
        assert vracks == {"public_aggregation": None, "vrack_aggregation": VRACK}
    attached = stage.ovh_requests("POST", "/vrack/{serviceName}/dedicatedServerInterface")
    assert len(attached) == 2


def test_the_block_is_routed_to_the_vrack(stage, built):
    assert stage.block(BLOCK)["document"]["routedTo"] == {"serviceName": VRACK}
    assert len(stage.ovh_requests("POST", "/vrack/{serviceName}/ip")) == 1


def test_the_installer_runs_in_one_job_that_holds_no_secret(stage, built):
    (job,) = jobs(stage)
    assert job["status"]["succeeded"] == 1
    password = stage.cluster.get("secret", "ovh-rbx-oneadmin", "-n", "platform")["data"]["password"]
    assert base64.b64decode(password).decode() not in json.dumps(job)


def test_the_generated_secret_does_not_go_before_its_cloud(stage, built):
    metadata = stage.cluster.get("secret", "ovh-rbx-oneadmin", "-n", "platform")["metadata"]
    assert metadata["finalizers"] == ["sovereigncloud.io/finalizer"]
    assert "ownerReferences" not in metadata, "else the cluster's garbage collector would take the only password"


def test_the_front_end_answers_where_status_says(stage, built, one):
    status = built["status"]
    assert status["endpoint"] == f"http://{stage.address(10)}:2633/RPC2"
    assert status["version"] == one.system.version() == "7.0.0"
    assert status["phase"] == "Running"


def test_hosts_are_registered_once_each_and_monitored(stage, built):
    hosts = stage.cloud("ovh-rbx")["hosts"]
    assert sorted(h["name"] for h in hosts) == sorted([stage.address(10), stage.address(11)])
    assert {h["state"] for h in hosts} <= {"MONITORED", "MONITORING_MONITORED"}
    assert built["status"]["hostsReady"] == "2/2"


def test_the_public_network_follows_from_its_block(stage, built, one):
    """Of 57.131.167.176/28 the guide gives 13 addresses from .177, and .190 is the gateway."""
    found = vnet(one, "vm_public")
    (ranged,) = found.AR_POOL.AR
    assert (ranged.IP, int(ranged.SIZE)) == ("57.131.167.177", 13)
    told = {key: found.TEMPLATE[key] for key in ("NETWORK_ADDRESS", "NETWORK_MASK", "GATEWAY")}
    assert told == {
        "NETWORK_ADDRESS": "57.131.167.176",
        "NETWORK_MASK": "255.255.255.240",
        "GATEWAY": "57.131.167.190",
    }
    assert (found.VN_MAD, found.PHYDEV) == ("bridge", "vrack_bond")


def test_the_private_network_is_an_8021q_vlan(stage, built, one):
    found = vnet(one, "vm_vlan100")
    (ranged,) = found.AR_POOL.AR
    assert (found.VN_MAD, str(found.VLAN_ID), found.PHYDEV) == ("802.1Q", "100", "vrack_bond")
    assert (ranged.IP, int(ranged.SIZE)) == ("10.100.0.10", 200)


def test_the_building_says_where_it_is_and_is_ready_only_at_its_end(built, chronicle):
    told = chronicle.versions("SovereignCloud", "ovh-rbx")
    phases = [o["status"].get("phase") for o in told if o.get("status", {}).get("phase")]
    order = ["Servers", "vRack", "Installing", "Hosts", "Networks", "Running"]
    first = [phases.index(p) for p in order if p in phases]
    assert first == sorted(first)
    assert {"Servers", "Installing", "Running"} <= set(phases)
    ready = [o for o in told if condition(o, "Ready").get("status") == "True"]
    assert {o["status"]["phase"] for o in ready} == {"Running"}
    assert not any(condition(o, "Stalled") for o in told), "nothing needed a person"


def test_each_server_and_network_has_a_status_of_its_own(built, chronicle):
    for name in NAMES:
        child = chronicle.get("BareMetalServer", f"ovh-rbx-{name}")
        assert is_ready(child)
        assert child["status"]["reinstalled"] == "first"
        assert child["metadata"]["ownerReferences"][0]["uid"] == built["metadata"]["uid"]
    assert chronicle.get("VirtualNetwork", "ovh-rbx-vm-public")["status"]["addresses"] == "13"


def test_an_instance_runs_with_an_address_of_the_block(stage, built, chronicle, one):
    stage.apply([image("ovh-rbx"), instance("web", "ovh-rbx", "vm_public")])
    status = chronicle.ready("HostedInstance", "web")["status"]
    (machine,) = stage.cloud("ovh-rbx")["vms"]
    assert (machine["state"], machine["lcm"]) == ("ACTIVE", "RUNNING")
    assert machine["addresses"] == [status["primaryAddress"]]
    usable = list(ipaddress.ip_network(BLOCK).hosts())[:-1]
    assert ipaddress.ip_address(status["primaryAddress"]) in usable
    context = one.vm.info(machine["id"]).TEMPLATE["CONTEXT"]
    assert "you@example" in context["SSH_PUBLIC_KEY"]


def test_the_way_from_its_site_to_another_is_measured_and_stands_in_metrics_only(stage, built, chronicle):
    """The operator logs in at the front-end with the key of the installation, whose host key was proven."""
    other = ExistingCloud(stage, "neighbour", hosts=1)
    stage.apply([other.credentials(), other.cloud()])
    other.ready("sovereigncloud", "neighbour")
    chronicle.until(
        "that its machine could go there",
        lambda: chronicle.get("SovereignCloud", "ovh-rbx")["status"].get("exit") == "1/1",
    )
    seen = chronicle.mark
    way = 'sovereign_site_latency_seconds{from="platform/ovh-rbx",to="platform/neighbour"} '

    def measured():
        return [line for line in stage.probe("/metrics").text.splitlines() if line.startswith(way)]

    (line,) = stage.until(measured, "measured", seconds=60)
    assert 0.0 <= float(line.removeprefix(way)) < 1.0
    assert 'from="platform/neighbour"' not in stage.probe("/metrics").text, "nobody may log in there"
    assert chronicle.versions("SovereignCloud", "ovh-rbx", seen) == []
    stage.cluster.kubectl("delete", "scloud", "neighbour", "-n", "platform", "--timeout=60s")


# --- once, and never again -------------------------------------------------------------------------------------------


def test_a_second_apply_asks_for_nothing(stage, built, chronicle):
    writes, calls, versions = stage.ovh_mark, stage.one_mark("ovh-rbx"), chronicle.mark
    stage.apply([account(stage), hosted()])
    stage.cluster.kubectl(
        "annotate", "scloud", "ovh-rbx", "-n", "platform", "sovereigncloud.io/reconcile-requested-at=1"
    )
    chronicle.until("asked to look", lambda: handled(chronicle, "SovereignCloud") == {"1"}, 20)
    assert stage.ovh_writes(writes) == []
    assert stage.one_calls("ovh-rbx", since=calls) == []
    assert len(jobs(stage)) == 1
    ready = [condition(o, "Ready")["status"] for o in chronicle.versions("SovereignCloud", "ovh-rbx", versions)]
    assert set(ready) == {"True"}, "Ready does not flap"


def test_a_restart_of_the_operator_asks_for_nothing(stage, built, chronicle):
    writes, calls = stage.ovh_mark, stage.one_mark("ovh-rbx")
    stage.stop_operator()
    stage.start_operator()
    stage.cluster.kubectl(
        "annotate", "--overwrite", "scloud,bms", "--all", "-n", "platform", "sovereigncloud.io/reconcile-requested-at=2"
    )
    for kind in ("SovereignCloud", "BareMetalServer"):
        chronicle.until("asked to look", lambda kind=kind: handled(chronicle, kind) == {"2"}, 40)
    assert stage.ovh_writes(writes) == []
    assert stage.one_calls("ovh-rbx", since=calls) == []
    assert len(jobs(stage)) == 1


def test_drift_of_a_server_never_reinstalls_it(stage, built, chronicle):
    """Another system, and the tags that remember the reinstallation are gone: told and given back, never carried out."""
    before, seen = len(reinstalls(stage)), chronicle.mark
    stage.ovh.call("PATCH", f"/servers/{NODE}", {"os": "debian12_64"})
    urn = stage.server(NODE)["resource"]["urn"].replace(":", "%3A")
    tags = {key: None for key in stage.server(NODE)["resource"]["tags"] if "reinstall" in key}
    assert tags
    stage.ovh.call("PATCH", f"/resources/{urn}", {"tags": tags})
    where = ("BareMetalServer", "ovh-rbx-one-2", "spec.reinstall.operatingSystem")
    drift = chronicle.until("told", lambda: chronicle.drifts(seen).get(where), 30)
    assert (drift["desired"], drift["observed"], drift["action"]) == (SYSTEM, "debian12_64", "Reported")
    remembered = "sovereigncloud.io/reinstall"
    stage.until(lambda: remembered in stage.server(NODE)["resource"]["tags"], "given back", seconds=30)
    stage.ovh.call("PATCH", f"/servers/{NODE}", {"os": SYSTEM})
    assert len(reinstalls(stage)) == before


def test_a_new_word_reinstalls_that_server_once(stage, built, chronicle):
    before = len(reinstalls(stage, NODE)), len(reinstalls(stage, FRONT))
    cloud = hosted()
    server_named(cloud, "one-2")["reinstall"]["request"] = "second"
    # There is a machine in it: the installer, which has to make the server a node again, waits for a word of its own.
    cloud["spec"]["hosted"]["openNebula"]["install"]["rerun"] = {"request": "second"}
    stage.apply(cloud)
    chronicle.until("reinstalled", lambda: node(chronicle)["status"].get("reinstalled") == "second")
    chronicle.ready("SovereignCloud", "ovh-rbx")
    assert (len(reinstalls(stage, NODE)), len(reinstalls(stage, FRONT))) == (before[0] + 1, before[1])
    first, again = sorted(jobs(stage), key=lambda job: job["metadata"]["creationTimestamp"])
    assert again["status"]["succeeded"] == 1, "what was wiped is a node again"
    assert again["metadata"]["name"] != first["metadata"]["name"]
    told = {stage.server(name)["resource"]["tags"]["sovereigncloud.io/installed"] for name in (FRONT, NODE)}
    assert len(told) == 1
    assert "wiped" not in told


def test_an_earlier_word_in_spec_again_wipes_nothing(stage, built, chronicle):
    """A revert in Git."""
    before = len(reinstalls(stage))
    stage.apply(hosted())
    chronicle.until("in spec again", lambda: node(chronicle)["spec"]["reinstall"]["request"] == "first")
    chronicle.ready("BareMetalServer", "ovh-rbx-one-2")
    chronicle.ready("SovereignCloud", "ovh-rbx")
    assert len(reinstalls(stage)) == before
    assert len(jobs(stage)) == 2, "nothing was wiped, so nothing is installed"


def test_a_lost_answer_to_the_request_leads_to_no_second(stage, built, chronicle):
    """The task is there, its number is not: it is found among the server's tasks."""
    before = len(reinstalls(stage, NODE))
    stage.ovh.call("POST", "/faults", {"preset": "lost-after-write", "path": "/reinstall$", "count": 1})
    cloud = hosted()
    server_named(cloud, "one-2")["reinstall"]["request"] = "third"
    cloud["spec"]["hosted"]["openNebula"]["install"]["rerun"] = {"request": "third"}
    stage.apply(cloud)
    chronicle.until("reinstalled", lambda: node(chronicle)["status"].get("reinstalled") == "third")
    stage.ovh.call("DELETE", "/faults")
    installed = [i for i in stage.ovh.call("GET", "/installed") if i["server"] == NODE]
    assert len(installed) == before + 1


# --- what speaks against it is told before anything is wiped ------------------------------------------------------------


BIG, FAR = "ns3090001.ip-57-131-167.eu", "ns3090002.ip-57-131-167.eu"


@pytest.fixture(scope="module")
def refused(stage, built):
    """A second cloud: a front-end of several disk groups, a system that nobody has, a server that does not exist."""
    stage.ovh.call("POST", "/servers", {"name": BIG, "ip": stage.address(50), "disk_groups": 2})
    cloud = hosted("refused", networks=[])
    for server, service in zip(cloud["spec"]["hosted"]["ovh"]["servers"], (BIG, "ns1.nowhere.example"), strict=True):
        server["serviceName"] = service
        server["reinstall"] = {"request": "first", "operatingSystem": "ubuntu2404-srv_64"}
    stage.apply(cloud)
    return cloud


def stalled(chronicle, kind, name, reason):
    """What it says of it."""

    def told():
        found = chronicle.condition(kind, name, "Stalled")
        return found if found.get("reason") == reason else None

    return chronicle.until(f"{name} stalled, {reason}", told, 40)["message"]


def test_an_unknown_system_is_told_with_those_that_resemble_it(stage, refused, chronicle):
    message = stalled(chronicle, "BareMetalServer", "refused-one-1", "UnknownOperatingSystem")
    assert "ubuntu2404-server_64" in message
    assert reinstalls(stage, BIG) == []


def test_several_disk_groups_are_wiped_only_where_spec_says_so(stage, refused, chronicle):
    server_named(refused, "one-1")["reinstall"]["operatingSystem"] = SYSTEM
    stage.apply(refused)
    message = stalled(chronicle, "BareMetalServer", "refused-one-1", "WipeAllDisksRequired")
    assert "2 disk groups" in message
    assert reinstalls(stage, BIG) == []


def test_an_unknown_server_is_told_on_the_server_and_on_its_cloud(refused, chronicle):
    message = stalled(chronicle, "BareMetalServer", "refused-one-2", "ServerNotFound")
    assert "ns1.nowhere.example" in message

    def told():
        found = chronicle.condition("SovereignCloud", "refused", "Ready")
        # The first of the two is told, once it says what this spec lacks and no more what the one before did.
        return found["reason"] == "WaitingForDependency" and "WipeAllDisksRequired" in found["message"]

    chronicle.until("told on the cloud", told, 20)


def test_a_change_of_spec_heals_them(stage, refused, chronicle):
    stage.ovh.call("POST", "/servers", {"name": FAR, "ip": stage.address(51)})
    servers = refused["spec"]["hosted"]["ovh"]["servers"]
    servers[0]["reinstall"]["wipeAllDisks"] = True
    servers[1] |= {"name": "one-3", "serviceName": FAR, "reinstall": dict(servers[0]["reinstall"])}
    stage.apply(refused)
    chronicle.ready("SovereignCloud", "refused", 90)
    assert (len(reinstalls(stage, BIG)), len(reinstalls(stage, FAR))) == (1, 1)
    assert not chronicle.get("BareMetalServer", "refused-one-2"), "what spec no longer lists is gone"


# --- passwords do not travel in clear ----------------------------------------------------------------------------------


def test_a_front_end_with_a_public_address_is_not_installed_for_plain_http(stage, built, chronicle):
    """Everything is as in the guide, only that the front-end's address is not private."""
    public = "ns3090003.ip-57-131-167.eu"
    stage.ovh.call("POST", "/servers", {"name": public, "ip": "57.131.167.200"})
    cloud = hosted("public", networks=[])
    servers = cloud["spec"]["hosted"]["ovh"]["servers"]
    del servers[1]
    servers[0] |= {"serviceName": public}
    del servers[0]["reinstall"]
    before = len(jobs(stage))
    stage.apply(cloud)
    message = stalled(chronicle, "SovereignCloud", "public", "InsecureEndpoint")
    assert "57.131.167.200" in message
    assert len(jobs(stage)) == before, "nothing is installed that could not be spoken to"
    assert not chronicle.get("SovereignCloud", "public")["status"].get("endpoint")


def test_plain_http_to_a_name_is_not_spoken_unless_it_is_allowed(stage, built, chronicle):
    """127.1 is loopback for the resolver and a name for everybody else: what it counts is what was sent there."""
    named = "127.1"
    endpoint = stage.make_cloud("named", "127.0.0.1", password="named").replace("127.0.0.1", named)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "named", "namespace": "platform"},
        "stringData": {"username": "oneadmin", "password": "named"},
    }
    cloud = {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "SovereignCloud",
        "metadata": {"name": "named", "namespace": "platform"},
        "spec": {"existing": {"endpoint": endpoint, "credentialsSecretRef": {"name": "named"}}},
    }
    stage.apply([secret, cloud])
    assert named in stalled(chronicle, "SovereignCloud", "named", "InsecureEndpoint")
    assert stage.one_mark("named") == 0, "not one request reached it"
    stage.stop_operator()
    stage.start_operator(plain_http_hosts=named)
    chronicle.ready("SovereignCloud", "named")
    assert stage.one_mark("named") > 0
