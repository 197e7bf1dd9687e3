"""`sovereign export`: what stands becomes manifests that the API server and the models take, without any password."""

import json
from dataclasses import replace

import pytest
import yaml
from tests.unit.cli_fakes import Outside
from typer.testing import CliRunner

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.cli import app
from sovereigncloud.commands.exporting import Names, exported
from sovereigncloud.commands.found import Found
from sovereigncloud.kinds.ports import (
    AccountView,
    AddressRange,
    CloudView,
    Host,
    Network,
    Server,
    ServerSummary,
    VrackView,
)

URL = "http://192.0.2.10:2633/RPC2"
BLOCK = "57.131.167.176/28"


def summary(service, shown=""):
    return ServerSummary(service, f"urn:v1:eu:resource:dedicatedServer:{service}", shown or service, {})


def detail(service, ip):
    return Server(
        service_name=service, urn="", display_name=service, tags={}, ip=ip, region="eu-west-rbx",
        availability_zone="eu-west-rbx-a", datacenter="rbx8", os="ubuntu2404-server_64", state="ok", power_state="poweron",
        monitoring=True, no_intervention=False, commercial_range="scale",
    )  # fmt: skip


def host(number, name):
    return Host(number, name, 2, 0, "kvm", "kvm", 0, 800, 1 << 20, None)


def network(number, name, ranges=(), **attributes):
    return Network(number, name, 0, 1, (0,), attributes, tuple(ranges), 0, None)


SERVERS = {
    one.service_name: one for one in (summary("ns1.example"), summary("ns2.example", "one-2"), summary("ns9.example"))
}
VRACK = VrackView("pn-1", "urn:pn-1", {}, {"u-1": "ns1.example", "u-2": "ns2.example"}, frozenset({BLOCK}))
FOUND = Found(
    AccountView(0.0, SERVERS, {"pn-1": VRACK}),
    {"ns1.example": detail("ns1.example", "192.0.2.10"), "ns2.example": detail("ns2.example", "192.0.2.20")},
    URL,
    frozenset({"192.0.2.10"}),
    CloudView(
        began=0.0, vms={}, images={}, datastores={},
        hosts={0: host(0, "192.0.2.10"), 1: host(1, "192.0.2.20")},
        networks={
            0: network(0, "public", [AddressRange("57.131.167.177", 13, 0)], VN_MAD="bridge"),
            1: network(1, "vm_vlan200", [AddressRange("10.200.0.10", 80, 0)], VN_MAD="802.1Q", VLAN_ID="200"),
            2: network(2, "mgmt", VN_MAD="bridge"),
        },
    ),
)  # fmt: skip
NAMES = Names("platform")


def documents(found=FOUND, **names):
    return {
        (one["kind"], one["metadata"]["name"]): one["spec"]
        for one in exported(found, replace(NAMES, **names)).documents
    }


def hosted(found=FOUND, **names):
    return documents(found, **names)["SovereignCloud", "pn-1"]["hosted"]


def test_the_cloud_and_what_is_not_in_it():
    found = documents()
    assert set(found) == {("SovereignCloud", "pn-1"), ("BareMetalServer", "ns9")}
    assert {spec["management"] for spec in found.values()} == {"Observe"}
    assert found["BareMetalServer", "ns9"] == {
        "management": "Observe",
        "name": "ns9.example",
        "ovh": {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh-account"}, "serviceName": "ns9.example"},
    }


def test_roles_by_address_and_names_as_they_are_shown():
    assert hosted()["ovh"] == {
        "endpoint": "ovh-eu",
        "credentialsSecretRef": {"name": "ovh-account"},
        "vrack": "pn-1",
        "servers": [
            {"name": "ns1", "serviceName": "ns1.example", "displayName": "ns1.example", "roles": ["Frontend", "Node"]},
            {"name": "one-2", "serviceName": "ns2.example", "roles": ["Node"]},
        ],
    }


def test_the_opennebula_is_adopted_never_installed():
    assert hosted()["openNebula"] == {"adopt": {"endpoint": URL, "credentialsSecretRef": {"name": "opennebula"}}}


def test_networks_of_the_vrack_and_of_vlans():
    assert hosted()["networks"] == [
        {"name": "public", "publicBlock": BLOCK, "addressRanges": [{"ip": "57.131.167.177", "size": 13}]},
        {"name": "vm_vlan200", "vlanID": 200, "addressRanges": [{"ip": "10.200.0.10", "size": 80}]},
    ]


def test_what_cannot_be_said_is_told():
    (note,) = exported(FOUND, NAMES).notes
    assert note == (
        'network 2 "mgmt" is left out: it is neither in a block that is routed to pn-1 nor an 802.1Q VLAN with a VLAN_ID'
    )


def test_every_document_is_what_the_models_read():
    models = {"SovereignCloud": SovereignCloud, "BareMetalServer": BareMetalServer}
    for one in exported(FOUND, NAMES).documents:
        models[one["kind"]].model_validate({**one, "status": {"observedGeneration": -1}})


def changed(**fields):
    return replace(FOUND, **fields)


WITHOUT = [
    (
        "no front-end among the servers",
        changed(front=frozenset({"203.0.113.9"})),
        "no server in a vRack has the address of the front-end (203.0.113.9): name its service with --front-end",
    ),
    (
        "a host that is no server of the account",
        changed(cloud=replace(FOUND.cloud, hosts={7: host(7, "203.0.113.7"), 0: host(0, "192.0.2.10")})),
        "host 7 (203.0.113.7) of the OpenNebula is none of the account's servers in pn-1",
    ),
    (
        "a host in another vRack",
        changed(
            account=replace(
                FOUND.account,
                vracks={
                    "pn-1": replace(VRACK, interfaces={"u-1": "ns1.example"}),
                    "pn-2": replace(VRACK, name="pn-2", interfaces={"u-2": "ns2.example"}, blocks=frozenset()),
                },
            )
        ),
        "server ns2.example is a host of the OpenNebula but in another vRack than the front-end",
    ),
    (
        "two networks that would become one object",
        changed(
            cloud=replace(
                FOUND.cloud,
                networks={n: network(n, name, VLAN_ID="200") for n, name in enumerate(("vm_lan", "vm-lan"))},
            )
        ),
        'network 1 "vm-lan" is left out: its name cannot be that of an entry',
    ),
]


@pytest.mark.parametrize(("why", "found", "note"), WITHOUT, ids=[row[0] for row in WITHOUT])
def test_what_is_told_beside(why, found, note):
    result = exported(found, NAMES)
    assert any(one.startswith(note) for one in result.notes), (why, result.notes)
    seen = {(one["kind"], one["metadata"]["name"]) for one in result.documents}
    assert len(seen) == len(result.documents)


def test_a_front_end_that_is_named_needs_no_address():
    assert hosted(changed(front=frozenset()), front_end="ns2.example")["ovh"]["servers"][1]["roles"] == [
        "Frontend",
        "Node",
    ]


def test_without_an_opennebula_every_server_is_one_of_its_own():
    found = documents(changed(cloud=None, details={}, url="", front=frozenset()))
    assert set(found) == {("BareMetalServer", name) for name in ("ns1", "one-2", "ns9")}
    assert found["BareMetalServer", "ns1"]["ovh"]["vrack"] == "pn-1"
    assert "name" not in found["BareMetalServer", "one-2"]


# --- the command -----------------------------------------------------------------------------------------------------------

SECRETS = {
    ("team", "ovh"): {"clientId": "EU.0f0f", "clientSecret": "s3cret-ovh"},
    ("team", "one"): {"username": "oneadmin", "password": "s3cret-one"},
}


@pytest.fixture
def outside(monkeypatch):
    for name in ("OVH_CLIENT_ID", "OVH_CLIENT_SECRET", "ONE_XMLRPC", "ONE_AUTH"):
        monkeypatch.delenv(name, raising=False)
    outside = Outside().with_cluster(secrets=SECRETS)
    summaries = {"ns1.example": summary("ns1.example")}
    members = replace(VRACK, interfaces={"u-2": "ns1.example"})
    outside.ovh.view_of = AccountView(0.0, summaries, {"pn-1": members})
    outside.open_nebula.hosts = {0: host(0, "192.0.2.10")}
    return outside


def run(outside, *words):
    found = CliRunner().invoke(app, ["export", *words], obj=outside.doors)
    assert not outside.writes
    assert "s3cret" not in found.output
    return found


def test_yaml_for_kubectl_under_comments_that_say_what_to_do_first(outside):
    found = run(outside, "--ovh", "--secret", "ovh", "--opennebula", URL, "--opennebula-secret", "one")
    assert found.exit_code == 0, found.output
    (cloud,) = yaml.safe_load_all(found.stdout)
    assert cloud["metadata"] == {"name": "pn-1", "namespace": "team"}
    assert cloud["spec"]["hosted"]["ovh"]["credentialsSecretRef"] == {"name": "ovh"}
    assert cloud["spec"]["hosted"]["openNebula"]["adopt"]["credentialsSecretRef"] == {"name": "one"}
    assert "#   kubectl create secret generic ovh --namespace team" in found.stdout
    assert "password=..." in found.stdout


def test_json_is_a_list_that_kubectl_takes(outside):
    found = run(outside, "--ovh", "--secret", "ovh", "-o", "json")
    assert [one["kind"] for one in json.loads(found.stdout)["items"]] == ["BareMetalServer"]


def test_the_environment_needs_no_cluster(outside, monkeypatch):
    outside.cluster = None
    monkeypatch.setenv("OVH_CLIENT_ID", "EU.0f0f")
    monkeypatch.setenv("OVH_CLIENT_SECRET", "s3cret-ovh")
    found = run(outside, "--ovh", "-n", "platform")
    assert found.exit_code == 0, found.output
    assert "namespace: platform" in found.stdout


MISTAKES = [
    ("nothing to read", ["--secret", "ovh"], "say what to read: --ovh"),
    ("no credential at all", ["--ovh"], "the environment has no credential of OVHcloud"),
    ("a Secret of something else", ["--ovh", "--secret", "one"], "Secret team/one has no credential of OVHcloud"),
    ("a Secret that is not there", ["--ovh", "--secret", "no"], "Secret team/no does not exist"),
    ("an endpoint that does not exist", ["--ovh", "--secret", "ovh", "--endpoint", "ovh-moon"], "choose one of ovh-eu"),
    (
        "an OpenNebula without a password",
        ["--ovh", "--secret", "ovh", "--opennebula", URL],
        "ONE_AUTH must name a file that holds user:password",
    ),
]


@pytest.mark.parametrize(("why", "words", "said"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_mistakes_are_told_in_a_line(outside, monkeypatch, tmp_path, why, words, said):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = run(outside, *words)
    assert found.exit_code == 1, why
    assert said in found.stderr
