"""The other reference architectures from nothing to Ready: three front-ends behind an address, and hosts at another site."""

import copy

import pytest
from tests.integration.hosted_scenes import FRONT, NODE, account, administrator, hosted

THIRD, FOURTH, FAR = (f"ns302000{number}.ip-57-131-167.eu" for number in (1, 2, 3))
VIP = 60


@pytest.fixture(scope="module")
def servers(stage):
    """Three more servers of the account, which nobody installed."""
    for number, name in enumerate((THIRD, FOURTH, FAR)):
        stage.ovh.call("POST", "/servers", {"name": name, "ip": stage.address(70 + number)})
    stage.apply(account(stage))


def cloud_of(name, *servers, **install):
    """A cloud on servers that have an operating system already: (name, service name, roles, more)."""
    cloud = hosted(
        name, networks=[{"name": "vm_lan", "vlanID": 200, "addressRanges": [{"ip": "10.2.0.10", "size": 20}]}]
    )
    built = cloud["spec"]["hosted"]
    built["ovh"]["servers"] = [
        {"name": server, "serviceName": service, "roles": roles, **more} for server, service, roles, more in servers
    ]
    built["openNebula"]["install"] |= install
    return cloud


def jobs(stage, cloud):
    return stage.cluster.get("jobs", "-n", "platform", f"--selector=sovereigncloud.io/cloud={cloud}")["items"]


@pytest.fixture(scope="module")
def available(stage, servers, chronicle):
    """Three front-ends, two of which are nodes as well."""
    both = ["Frontend", "Node"]
    address = {"address": stage.address(VIP), "cidr": 24, "interface": "vrack_bond.200"}
    cloud = cloud_of(
        "available",
        ("one-1", FRONT, both, {}),
        ("one-2", NODE, both, {}),
        ("one-3", THIRD, ["Frontend"], {}),
        architecture="HighlyAvailable",
        virtualIP=address,
    )
    stage.apply(cloud)
    return cloud, chronicle.ready("SovereignCloud", "available", 120)


def test_it_answers_at_the_address_of_whoever_leads(stage, available):
    _, ready = available
    assert ready["status"]["endpoint"] == f"http://{stage.address(VIP)}:2633/RPC2"
    assert ready["status"]["sunstone"] == f"http://{stage.address(VIP)}:2616"
    assert ready["status"]["adminSecret"] == "available-oneadmin"
    assert ready["status"]["hostsReady"] == "2/2"


def test_one_run_covered_all_three(stage, available):
    assert len(jobs(stage, "available")) == 1
    told = {stage.server(name)["resource"]["tags"]["sovereigncloud.io/installed"] for name in (FRONT, NODE, THIRD)}
    assert len(told) == 1


@pytest.mark.parametrize(
    ("why", "change", "says"),
    [
        ("two front-ends", lambda s: s["ovh"]["servers"][2].update(roles=["Node"]), "exactly three front-ends"),
        ("no address", lambda s: s["openNebula"]["install"].pop("virtualIP"), "virtualIP"),
        (
            "another address",
            lambda s: s["openNebula"]["install"]["virtualIP"].update(cidr=25),
            "virtualIP cannot be changed",
        ),
        (
            "another architecture",
            lambda s: s["openNebula"]["install"].update(architecture="Basic"),
            "architecture cannot be",
        ),
        ("another version", lambda s: s["openNebula"]["install"].update(version="7.2"), "upgrading"),
        ("a site", lambda s: s["ovh"]["servers"][1].update(site="lyon"), "architecture Edge"),
    ],
)
def test_what_does_not_fit_is_refused_at_apply(stage, available, why, change, says):
    cloud = copy.deepcopy(available[0])
    change(cloud["spec"]["hosted"])
    with pytest.raises(Exception, match=says):
        stage.apply(cloud)


def test_a_lost_front_end_is_no_reason_to_install_anew(stage, available, chronicle):
    """Somebody took the record off the first of three; the others have it."""
    urn = stage.server(FRONT)["resource"]["urn"].replace(":", "%3A")
    stage.ovh.call("PATCH", f"/resources/{urn}", {"tags": {"sovereigncloud.io/installed": None}})
    stage.annotate("SovereignCloud", "available", reconcile_requested_at="1")
    stage.until(
        lambda: "sovereigncloud.io/installed" in stage.server(FRONT)["resource"]["tags"], "given back", seconds=30
    )
    assert len(jobs(stage, "available")) == 1


# --- hosts at another site


@pytest.fixture(scope="module")
def edge(stage, servers, chronicle):
    stage.apply(
        cloud_of(
            "edge",
            ("one-1", FOURTH, ["Frontend", "Node"], {}),
            ("one-2", FAR, ["Node"], {"site": "lyon"}),
            architecture="Edge",
        )
    )
    return chronicle.ready("SovereignCloud", "edge", 120)


def test_the_hosts_of_a_site_are_a_cluster_of_its_name(stage, edge):
    found = stage.cloud("edge")
    assert {h["name"]: h["cluster"] for h in found["hosts"]} == {
        stage.address(71): "default",
        stage.address(72): "lyon",
    }
    (lyon,) = [c for c in found["clusters"] if c["name"] == "lyon"]
    assert lyon["datastores"] == [0, 1, 2], "a host runs nothing without"
    assert [v["name"] for v in found["vnets"] if v["id"] in lyon["vnets"]] == ["vm_lan"]


def test_a_host_that_somebody_moved_away_is_moved_back_as_drift(stage, edge, chronicle):
    seen = chronicle.mark
    host = next(h for h in stage.cloud("edge")["hosts"] if h["cluster"] == "lyon")
    administrator(stage, edge).cluster.addhost(0, host["id"])
    where = ("SovereignCloud", "edge", "spec.hosted.ovh.servers[one-2].site")
    drift = chronicle.until("told", lambda: chronicle.drifts(seen).get(where), 30)
    assert (drift["desired"], drift["observed"]) == ("lyon", f"host {host['id']} is in cluster default")
    stage.until(
        lambda: {h["id"]: h["cluster"] for h in stage.cloud("edge")["hosts"]}[host["id"]] == "lyon", "back", seconds=30
    )
