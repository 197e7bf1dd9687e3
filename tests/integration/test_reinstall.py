"""A server from a request to a system that nobody has to trust blindly: partitions, day 0, its host key, and who changes it."""

import base64
import json
import re
import subprocess
from urllib.parse import quote

import pytest
import yaml
from tests.integration.hosted_scenes import FRONT, NODE, SYSTEM, account, hosted, server_named

from sovereigncloud.kinds.baremetalserver.reinstall.day0 import is_proven

REINSTALL = "/dedicated/server/{serviceName}/reinstall"
NAME = "ovh-rbx-one-2"
ROOT = {"mountPoint": "/", "fileSystem": "ext4", "size": "100Gi"}
DATA = {"mountPoint": "/var/lib/one", "fileSystem": "xfs"}
TAG = "sovereigncloud.io/host-key"


def cloud_with(*partitions):
    cloud = hosted(networks=[])
    server_named(cloud, "one-2")["reinstall"]["partitioning"] = list(partitions)
    return cloud


def told(chronicle, reason):
    def found():
        condition = chronicle.condition("BareMetalServer", NAME, "Stalled")
        return condition if condition.get("reason") == reason else None

    return chronicle.until(f"stalled, {reason}", found, 60)["message"]


def tag(stage):
    return stage.server(NODE)["resource"]["tags"].get(TAG)


def greeting(stage, address):
    """The first line of its sshd, as anybody sees it."""
    port = stage.settings["ssh_port"]
    command = f"exec 3<>/dev/tcp/{address}/{port} && head -n 1 <&3"
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def refused(stage, chronicle):
    """Applied first with partitions that the disks cannot hold."""
    stage.apply([account(stage), cloud_with(ROOT, {**DATA, "raidLevel": 5})])
    return told(chronicle, "IncompatiblePartitioning")


@pytest.fixture(scope="module")
def built(stage, chronicle, refused):
    stage.ovh.call("PATCH", "/timing", {"reinstall": 12})  # long enough for its steps to be seen
    stage.apply(cloud_with(ROOT, {**DATA, "raidLevel": 0}))
    chronicle.until("installed", lambda: stage.server(NODE)["document"]["os"] == SYSTEM, 60)
    stage.ovh.call("PATCH", "/timing", {"reinstall": 2})
    return chronicle.ready("SovereignCloud", "ovh-rbx", 120)


def test_partitions_that_cannot_be_are_told_before_anything_is_asked_for(stage, refused):
    assert "reinstall.partitioning[1] (/var/lib/one): RAID 5 needs 3 disks, the server has 2" in refused
    assert not [e for e in stage.ovh_requests("POST", REINSTALL) if NODE in e["path"]]


@pytest.mark.parametrize(
    ("partitions", "says"),
    [
        ([DATA], "nothing is mounted at /"),
        ([{"mountPoint": "/", "fileSystem": "ext4"}, DATA], "only one partition can have all"),
        ([ROOT, {"mountPoint": "/x", "fileSystem": "swap", "size": "8Gi"}], "swap space has both"),
        ([ROOT, {"mountPoint": "swap", "fileSystem": "swap", "size": "8Gi", "raidLevel": 0}], "always mirrored"),
        ([ROOT, {"mountPoint": "/a/", "fileSystem": "xfs", "size": "8Gi"}], "must be a path without a / at its end"),
        ([ROOT, {"mountPoint": "/a", "fileSystem": "xfs", "size": "1k"}], "whole number of MiB from 512Mi"),
        ([ROOT, {"mountPoint": "/a", "fileSystem": "ntfs", "size": "8Gi"}], "ntfs"),
        ([ROOT, {"mountPoint": "/a", "fileSystem": "xfs", "size": "8Gi", "raidLevel": 3}], "raidLevel"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_server_could_take_is_refused_at_apply(stage, refused, partitions, says):
    refusal = stage.cluster.kubectl(
        "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-",
        input=json.dumps(cloud_with(*partitions)), check=False,
    )  # fmt: skip
    assert refusal.returncode != 0
    assert says in refusal.stderr


def test_the_request_carries_partitions_and_a_script_for_the_cards_of_this_very_server(stage, built):
    server = stage.server(NODE)
    (install,) = server["installs"]
    assert install["storage"] == [
        {
            "partitioning": {
                "layout": [
                    {"mountPoint": "/", "fileSystem": "ext4", "size": 102400},
                    {"mountPoint": "/var/lib/one", "fileSystem": "xfs", "size": 0, "raidLevel": 0},
                ]
            }
        }
    ]
    script = base64.b64decode(install["customizations"]["postInstallationScript"]).decode()
    cards = {vni["mode"]: vni["networkInterfaceController"] for vni in server["vnis"]}
    text = re.search(r"50-cloud-init.yaml\" <<'SOVEREIGN_END'\n(.*?)\nSOVEREIGN_END", script, re.DOTALL)[1]
    network = yaml.safe_load(text)["network"]
    for bond, mode in (("public_bond", "public_aggregation"), ("vrack_bond", "vrack_aggregation")):
        members = network["bonds"][bond]["interfaces"]
        assert [network["ethernets"][card]["match"]["macaddress"] for card in members] == cards[mode]


def test_the_key_of_the_proof_is_nowhere_that_people_look(stage, built, chronicle):
    for server in (FRONT, NODE):
        (install,) = stage.server(server)["installs"]
        script = base64.b64decode(install["customizations"]["postInstallationScript"]).decode()
        key = re.search(r"hexkey:([0-9a-f]{64})", script)[1]
        assert key not in stage.log()
        assert key not in json.dumps(chronicle.objects())
        events = stage.cluster.request("GET", "/api/v1/namespaces/platform/events?limit=5000")
        assert key not in json.dumps(events)


def test_each_step_of_the_installation_has_the_time_it_began(built, chronicle):
    told = [o["status"] for o in chronicle.versions("BareMetalServer", NAME) if o.get("status", {}).get("installStep")]
    assert told
    assert all(re.fullmatch(r".+ \(\d+ of 21\)", s["installStep"]) and s["installStepSince"] for s in told)
    assert "installStepSince" not in chronicle.get("BareMetalServer", NAME)["status"], "it is over"


def test_its_host_key_is_proven_pinned_and_that_of_its_sshd(stage, built, chronicle):
    found = chronicle.get("BareMetalServer", NAME)["status"]
    assert found["hostKeyTrust"] == "Proven"
    assert tag(stage) == f"proven:{found['hostKey'].split()[1]}"
    (install,) = stage.server(NODE)["installs"]
    script = base64.b64decode(install["customizations"]["postInstallationScript"]).decode()
    key = re.search(r"hexkey:([0-9a-f]{64})", script)[1]
    assert is_proven(greeting(stage, found["address"]), found["hostKey"], key)
    assert "HostKeyPinned" in {e["reason"] for e in stage.events("BareMetalServer", NAME)}


def test_another_host_key_is_told_and_a_person_says_whether_it_is_right(stage, built, chronicle):
    before = chronicle.get("BareMetalServer", NAME)["status"]["hostKey"]
    stage.rekey_server(NODE)
    stage.annotate("BareMetalServer", NAME, reconcile_requested_at="rekeyed")
    message = told(chronicle, "HostKeyChanged")
    assert "awaited:first-use" in message
    assert chronicle.get("BareMetalServer", NAME)["status"]["hostKey"] == before, "the pin stays"
    urn = quote(stage.server(NODE)["resource"]["urn"], safe="")
    stage.ovh.call("PATCH", f"/resources/{urn}", {"tags": {TAG: "awaited:first-use"}})
    found = chronicle.ready("BareMetalServer", NAME, 60)["status"]
    chronicle.until("pinned anew", lambda: (tag(stage) or "").startswith("first-use:"), 30)
    found = chronicle.until(
        "pinned anew",
        lambda: (s := chronicle.get("BareMetalServer", NAME)["status"]).get("hostKey") != before and s,
        30,
    )
    assert found["hostKeyTrust"] == "FirstUse"


def test_a_reinstallation_of_ours_makes_a_new_key_and_nobody_is_alarmed(stage, built, chronicle):
    before, seen = chronicle.get("BareMetalServer", NAME)["status"]["hostKey"], chronicle.mark
    cloud = cloud_with(ROOT)
    server_named(cloud, "one-2")["reinstall"]["request"] = "second"
    stage.apply(cloud)
    chronicle.until(
        "pinned", lambda: chronicle.get("BareMetalServer", NAME)["status"].get("hostKey") not in {None, before}, 90
    )
    chronicle.ready("SovereignCloud", "ovh-rbx", 90)
    assert tag(stage).startswith("proven:")
    reasons = {
        c["reason"] for o in chronicle.versions("BareMetalServer", NAME, seen) for c in o["status"]["conditions"]
    }
    assert not reasons & {"HostKeyChanged", "HostKeyUnverified"}
