"""What `sovereign export --ovh` writes of a cloud that stands is applied as it is: nothing is to be done, and nothing was done.

`sovereign doctor` is asked about it as well, also as a user of OpenNebula who is not oneadmin.
"""

import json
import os
import subprocess
import sys
from urllib.parse import quote

import pyone
import pytest
import yaml
from tests.integration.hosted_scenes import (
    ADOPTED,
    BLOCK,
    PASSWORD,
    VRACK,
    account,
    build_by_hand,
)

VLAN = (
    'NAME="vm_vlan200"\nVN_MAD="802.1Q"\nPHYDEV="vrack_bond"\nVLAN_ID="200"\nAR=[TYPE="IP4",IP="10.200.0.10",SIZE="80"]'
)
PUBLIC = """NAME="vm_public"
VN_MAD="bridge"
BRIDGE="vmbr0"
NETWORK_ADDRESS="57.131.167.176"
NETWORK_MASK="255.255.255.240"
GATEWAY="57.131.167.190"
AR=[TYPE="IP4",IP="57.131.167.177",SIZE="13"]"""
OTHER = 'NAME="management"\nVN_MAD="bridge"\nBRIDGE="br0"\nAR=[TYPE="IP4",IP="192.0.2.1",SIZE="9"]'


@pytest.fixture(scope="module")
def by_hand(stage):
    """A cloud as the guide leaves it: the server under its service name, in the vRack with a block."""
    endpoint = build_by_hand(stage, display_name=ADOPTED)
    stage.one.call("POST", "/clouds/ovh-adopted/speeds", {"datastore_monitor": 0})
    stage.until(lambda: stage.cloud("ovh-adopted")["hosts"][0]["state"] == "MONITORED", "monitored", seconds=20)
    stage.ovh.call("PATCH", f"/vnis/{stage.private_interface(ADOPTED)['uuid']}", {"vrack": VRACK})
    stage.ovh.call("PATCH", f"/ips/{quote(BLOCK, safe='')}", {"routedTo": {"serviceName": VRACK}})
    one = pyone.OneServer(endpoint, session=f"oneadmin:{PASSWORD}")
    for template in (VLAN, PUBLIC, OTHER):
        one.vn.allocate(template, 0)
    one.image.allocate('NAME="alt"\nTYPE="DATABLOCK"\nSIZE="64"', 1)
    one.vm.allocate('NAME="Büro (1)"\nCPU="0.5"\nVCPU="2"\nMEMORY="256"', False)
    one.user.allocate("tenant", "tenant-password", "core", [1])
    stage.apply(
        [account(stage), secret("opennebula", "oneadmin", PASSWORD), secret("tenant", "tenant", "tenant-password")]
    )
    return endpoint


def secret(name, username, password):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "platform"},
        "stringData": {"username": username, "password": password},
    }


def sovereign(stage, *words, environment=()):
    """As a person runs it: with a kubeconfig, and the simulated account at its address."""
    connection = stage.ovh_connection
    settings = {
        "SOVEREIGN_OVH_ENDPOINTS": json.dumps(
            {"ovh-eu": {"api": connection["endpoint"], "token": connection["tokenURL"]}}
        ),
        "SOVEREIGN_OVH_REQUESTS_PER_MINUTE": "6000",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    command = [sys.executable, "-m", "sovereigncloud.cli", *words]
    env = stage.cluster.environment() | settings | dict(environment)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    for value in (
        PASSWORD,
        "tenant-password",
        stage.ovh_connection["accounts"][0]["serviceAccounts"][0]["clientSecret"],
    ):
        assert value not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def exported(stage, by_hand):
    marks = stage.ovh_mark, stage.one_mark("ovh-adopted")
    words = ["export", "--ovh", "--secret", "ovh-account", "--opennebula", by_hand, "--opennebula-secret", "opennebula"]
    done = sovereign(stage, *words, "-n", "platform")
    assert done.returncode == 0, done.stderr
    assert stage.ovh_writes(marks[0]) == []
    return done.stdout


def test_it_names_what_stands(exported, by_hand):
    documents = list(yaml.safe_load_all(exported))
    (cloud,) = (d for d in documents if d["kind"] == "SovereignCloud")
    assert cloud["metadata"] == {"name": VRACK, "namespace": "platform"}
    assert cloud["spec"]["management"] == "Observe"
    hosted = cloud["spec"]["hosted"]
    assert hosted["ovh"]["servers"] == [
        {"name": "ns3012347", "serviceName": ADOPTED, "displayName": ADOPTED, "roles": ["Frontend", "Node"]}
    ]
    assert hosted["openNebula"]["adopt"]["endpoint"] == by_hand
    assert [(n["name"], n.get("publicBlock"), n.get("vlanID")) for n in hosted["networks"]] == [
        ("vm_vlan200", None, 200),
        ("vm_public", BLOCK, None),
    ]
    assert '"management" is left out' in exported


def test_applied_as_it_is_nothing_is_to_be_done_and_nothing_is_done(stage, exported, chronicle):
    marks = stage.ovh_mark, stage.one_mark("ovh-adopted")
    stage.apply([d for d in yaml.safe_load_all(exported) if d])
    chronicle.ready("SovereignCloud", VRACK)
    chronicle.until(
        "everything compared",
        lambda: all(
            any(c["type"] == "Drifted" and c["status"] != "Unknown" for c in o["status"].get("conditions") or ())
            for o in chronicle.objects("platform")
        ),
        30,
    )
    found = {o["kind"] for o in chronicle.objects("platform")}
    assert found == {"SovereignCloud", "BareMetalServer", "VirtualNetwork", "MachineImage", "HostedInstance"}
    office = stage.get("HostedInstance", "buro-1", "platform")
    assert (office["spec"]["name"], office["status"]["id"]) == ("Büro (1)", "0")
    assert {c["type"]: c["status"] for c in office["status"]["conditions"]}["Ready"] == "True"
    for one in chronicle.objects("platform"):
        where = f"{one['kind']} {one['metadata']['name']}"
        assert not one["status"].get("plan"), (where, one["status"].get("plan"))
        assert not one["status"].get("drift"), (where, one["status"]["drift"])
    assert stage.ovh_writes(marks[0]) == []
    writes = {e["path"] for e in stage.one_calls("ovh-adopted", since=marks[1])}
    assert not {call for call in writes if call.endswith(("update", "allocate", "action", "delete"))}


def test_the_doctor_says_that_all_will_work(stage, exported, by_hand):
    done = sovereign(stage, "doctor", f"scloud/{VRACK}", "-n", "platform", "-o", "json")
    report = json.loads(done.stdout)
    verdicts = {(i["api"], i["feature"]): i["verdict"] for i in report["items"] if i["needed"]}
    assert (done.returncode, set(verdicts.values())) == (0, {"Works"}), verdicts
    assert {"Vrack", "Blocks", "Hosts"} <= {feature for _, feature in verdicts}


def test_as_a_user_who_is_not_oneadmin_it_says_what_is_missing(stage, by_hand):
    words = ["doctor", "--opennebula", by_hand, "--opennebula-secret", "tenant", "-n", "platform"]
    done = sovereign(stage, *words, "-o", "json")
    found = {i["feature"]: (i["verdict"], i["message"]) for i in json.loads(done.stdout)["items"]}
    assert "as user tenant of group users, which is not oneadmin" in found["Reach"][1]
    assert found["Observe"][0] == "Works"
    assert found["Hosts"][0] == "Fails"
    assert sovereign(stage, *words, "--feature", "Hosts").returncode == 2


def test_a_wrong_password_does_not_reach(stage, by_hand):
    stage.apply(secret("wrong", "tenant", "wrong-password"))
    words = ["doctor", "--opennebula", by_hand, "--opennebula-secret", "wrong", "-n", "platform", "-o", "json"]
    (reach,) = json.loads(sovereign(stage, *words).stdout)["items"]
    assert (reach["feature"], reach["verdict"]) == ("Reach", "Fails")
