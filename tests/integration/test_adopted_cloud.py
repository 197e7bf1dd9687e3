"""A cloud that somebody built by the guide, by hand: taken over as it stands, differences shown, nothing installed."""

import pyone
import pytest
from tests.integration.hosted_scenes import (
    ADOPTED,
    ADOPTED_ADDRESS,
    OTHER_VRACK,
    PASSWORD,
    account,
    adopted,
    build_by_hand,
    image,
    instance,
    server_named,
)

from sovereigncloud_sandbox.cluster import CommandError
from sovereigncloud_sandbox.stage import is_ready

CLOUD = ("SovereignCloud", "ovh-adopted")
SERVER = ("BareMetalServer", "ovh-adopted-one-adopted")
NETWORK = ("VirtualNetwork", "ovh-adopted-vm-vlan200")
BY_HAND = (
    'NAME="vm_vlan200"\nVN_MAD="802.1Q"\nPHYDEV="bond1"\nVLAN_ID="200"\nAR=[TYPE="IP4",IP="10.200.0.10",SIZE="80"]'
)
BLOCK = "57.131.168.16/28"
ASKS = ("POST", "/iam/authorization/check")
"""A question in a POST."""
TOLD = {
    (*SERVER, "spec.name"): ("one-adopted", ADOPTED),
    (*SERVER, "spec.ovh.vrack"): (OTHER_VRACK, "not attached"),
    (*NETWORK, "spec.addressRanges[10.200.0.10]"): ("10.200.0.10+100", "10.200.0.10+80"),
    (*CLOUD, "spec.hosted.networks[vm_extra].publicBlock"): (f"{BLOCK} routed to {OTHER_VRACK}", "parked"),
    (*CLOUD, "spec.hosted.ovh.servers[one-adopted]"): ("enabled", "disabled"),
    (*CLOUD, "spec.hosted.networks[vm_vlan200].PHYDEV"): ("vrack_bond", "bond1"),
}
MEANT_SO = (*CLOUD, "spec.hosted.networks[vm_vlan200].PHYDEV")
"""What no manifest declares is told and stays."""


@pytest.fixture(scope="module")
def by_hand(stage):
    """What stands: not quite as the manifest will say."""
    endpoint = build_by_hand(stage, display_name=ADOPTED)
    stage.one.call("POST", "/clouds/ovh-adopted/speeds", {"datastore_monitor": 0})
    stage.until(lambda: stage.cloud("ovh-adopted")["hosts"][0]["state"] == "MONITORED", "monitored", seconds=10)
    one = pyone.OneServer(endpoint, session=f"oneadmin:{PASSWORD}")
    network = one.vn.allocate(BY_HAND, 0)
    stage.mischief("ovh-adopted", "host-disable", host=stage.address(ADOPTED_ADDRESS))
    stage.detach_from_vrack(ADOPTED)
    stage.ovh.call("POST", "/ips", {"name": BLOCK})
    return {"endpoint": endpoint, "network": network, "one": one}


def manifests(by_hand, **spec):
    """The example, with a public block besides."""
    objects = adopted(by_hand["endpoint"], **spec)
    objects[1]["spec"]["hosted"]["networks"].append({"name": "vm_extra", "publicBlock": BLOCK})
    return objects


@pytest.fixture(scope="module")
def taken_over(stage, chronicle, by_hand):
    """The example says driftPolicy Report: look first."""
    marks = stage.ovh_mark, stage.one_mark("ovh-adopted")
    stage.apply([account(stage), *manifests(by_hand)])
    for one in (CLOUD, SERVER, NETWORK):
        chronicle.ready(*one)
    return marks


def drift(chronicle):
    """What differs now: (kind, name, path) -> (desired, observed, action)."""
    return {
        (o["kind"], o["metadata"]["name"], d["path"]): (d["desired"], d["observed"], d["action"])
        for o in chronicle.objects("platform")
        for d in o["status"].get("drift") or ()
    }


def test_it_is_ready_at_its_endpoint(taken_over, by_hand, chronicle):
    status = chronicle.get(*CLOUD)["status"]
    assert (status["endpoint"], status["version"]) == (by_hand["endpoint"], "7.0.0")
    assert status["credentialsSecret"] == "ovh-adopted-one"


def test_the_differences_are_shown(taken_over, chronicle):
    wanted = {where: (*values, "Reported") for where, values in TOLD.items()}
    assert chronicle.until("everything that differs told", lambda: len(drift(chronicle)) == len(wanted), 20)
    assert drift(chronicle) == wanted


def test_nothing_was_installed_reinstalled_or_changed(stage, taken_over, by_hand):
    """Its things are marked, and the network that was missing is made: nothing else was written."""
    writes, calls = taken_over
    assert {(e["method"], e["route"]) for e in stage.ovh_writes(writes)} - {ASKS} == {
        ("POST", "/iam/resource/{resourceURN}/tag")
    }
    assert {e["path"] for e in stage.one_calls("ovh-adopted", since=calls)} <= {
        "one.host.update", "one.vn.update", "one.vn.allocate",
    }  # fmt: skip
    assert stage.cluster.get("jobs", "-A")["items"] == []
    assert stage.server(ADOPTED)["installs"] == []
    assert stage.private_interface(ADOPTED)["vrack"] is None
    assert stage.block(BLOCK)["document"]["routedTo"] is None
    assert by_hand["one"].vn.info(by_hand["network"]).PHYDEV == "bond1"


def test_no_credentials_are_generated(stage, taken_over):
    secrets = {s["metadata"]["name"] for s in stage.cluster.get("secrets", "-n", "platform")["items"]}
    assert secrets == {"ovh-account", "ovh-adopted-one"}


def test_a_request_to_reinstall_is_refused_at_apply(stage, taken_over, by_hand):
    objects = manifests(by_hand)
    server_named(objects[1], "one-adopted")["reinstall"] = {"request": "no", "operatingSystem": "ubuntu2404-server_64"}
    with pytest.raises(CommandError, match="never reinstalled"):
        stage.apply(objects)


def test_a_machine_runs_in_it(stage, taken_over, chronicle):
    stage.mischief("ovh-adopted", "host-enable", host=stage.address(ADOPTED_ADDRESS))
    chronicle.until("its host monitored", lambda: chronicle.get(*CLOUD)["status"]["phase"] == "Running", 20)
    stage.apply([image("ovh-adopted"), instance("batch", "ovh-adopted", "vm_vlan200")])
    chronicle.ready("HostedInstance", "batch")
    (machine,) = stage.cloud("ovh-adopted")["vms"]
    assert machine["lcm"] == "RUNNING"
    assert machine["addresses"] == ["10.200.0.10"]


def test_trusted_it_is_corrected_and_still_nothing_is_installed(stage, taken_over, by_hand, chronicle):
    """Without driftPolicy what differs is brought to what the manifest says."""
    objects = manifests(by_hand)
    objects[1]["spec"]["driftPolicy"] = {"default": "Correct"}
    stage.mischief("ovh-adopted", "host-disable", host=stage.address(ADOPTED_ADDRESS))
    stage.apply(objects)
    chronicle.until("as declared", lambda: is_ready(chronicle.get(*CLOUD)) and set(drift(chronicle)) == {MEANT_SO})
    assert stage.private_interface(ADOPTED)["vrack"] == OTHER_VRACK
    assert stage.block(BLOCK)["document"]["routedTo"] == {"serviceName": OTHER_VRACK}
    assert stage.server(ADOPTED)["resource"]["display_name"] == "one-adopted"
    (host,) = stage.cloud("ovh-adopted")["hosts"]
    assert "DISABLED" not in host["state"]
    assert stage.server(ADOPTED)["installs"] == []
    assert stage.cluster.get("jobs", "-A")["items"] == []


def test_deleted_it_stays_as_it_is(stage, taken_over, chronicle):
    """Retain is the default: what the operator made itself goes, what a person built stays; only its mark goes."""
    stage.cluster.kubectl("delete", "hinst,mimg", "--all", "-n", "platform", "--timeout=60s")
    before = stage.ovh_mark
    stage.cluster.kubectl("delete", "scloud", "ovh-adopted", "-n", "platform", "--timeout=60s")
    chronicle.gone()
    written = {(e["method"], e["route"]) for e in stage.ovh_writes(before)} - {ASKS}
    assert written == {("DELETE", "/iam/resource/{resourceURN}/tag/{key}")}
    assert stage.private_interface(ADOPTED)["vrack"] == OTHER_VRACK
    assert not any(tag.startswith("sovereigncloud.io/") for tag in stage.server(ADOPTED)["resource"]["tags"])
    cloud = stage.cloud("ovh-adopted")
    assert len(cloud["hosts"]) == 1
    assert {"vm_vlan200"} <= {v["name"] for v in cloud["vnets"]}
    secrets = stage.cluster.get("secrets", "-n", "platform")["items"]
    assert not any(s["metadata"].get("finalizers") for s in secrets), "nobody holds them any more"
