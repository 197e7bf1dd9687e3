"""`sovereign export`: what stands becomes manifests that the API server and the models take, without any password."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from tests.unit.commands.cli_fakes import INSTALLATION, Outside
from tests.unit.kinds.opennebula_in_memory import NOW, OpenNebula, image, vm
from typer.testing import CliRunner

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.cli import app
from sovereigncloud.commands.export.cloud import declared, with_zone
from sovereigncloud.commands.export.live_inventory import Found
from sovereigncloud.commands.export.manifests import Names, as_yaml, exported
from sovereigncloud.commands.export.names import object_name
from sovereigncloud.commands.export.selection import Wanted
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.ports.opennebula.views import AddressRange, CloudView, Disk, Host, Network, Nic
from sovereigncloud.ports.ovh.account import AccountView, Server, ServerSummary, VrackView

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
    found = CliRunner().invoke(app, ["export", *words], obj=outside.connections)
    assert not outside.writes
    assert "s3cret" not in found.output
    return found


def test_yaml_for_kubectl_under_comments_that_say_what_to_do_first(outside):
    found = run(outside, "--ovh", "--secret", "ovh", "--opennebula", URL, "--opennebula-secret", "one")
    assert found.exit_code == 0, found.output
    cloud, *_ = yaml.safe_load_all(found.stdout)
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


# --- a zone by itself --------------------------------------------------------------------------------------------------------

MACHINES = (vm(id=12, name="web", mark=None), vm(id=13, name="db"), vm(id=14, name="x\ny: z", mark=None))
CLOUD = {
    "apiVersion": "sovereigncloud.io/v1alpha1",
    "kind": "SovereignCloud",
    "metadata": {"name": "rbx", "namespace": "team", "uid": "u", "generation": 1},
    "spec": {"existing": {"endpoint": URL, "credentialsSecretRef": {"name": "one"}}},
    "status": {"endpoint": URL},
}


@pytest.fixture
def zone(outside):
    outside.open_nebula.machines = MACHINES
    outside.with_cluster(CLOUD, secrets=SECRETS)
    return outside


def test_an_opennebula_by_itself_becomes_a_cloud_with_what_runs_in_it(zone):
    found = run(zone, "--opennebula", URL, "--opennebula-secret", "one", "--cloud", "paris")
    assert found.exit_code == 0, found.output
    cloud, *rest = yaml.safe_load_all(found.stdout)
    assert cloud["metadata"]["name"] == "paris"
    assert cloud["spec"]["existing"] == {"endpoint": URL, "credentialsSecretRef": {"name": "one"}}
    assert [(one["kind"], one["spec"]["adopt"]["id"]) for one in rest if one["kind"] == "HostedInstance"] == [
        ("HostedInstance", "12"),
        ("HostedInstance", "14"),
    ]
    assert "#   kubectl create secret generic one --namespace team" in found.stdout
    assert "# - where that OpenNebula is: no API tells, so say it in spec.existing.location" in found.stdout
    assert set(cloud["spec"]) == {"management", "existing"}, "nobody invents where it is, and who provides it"
    assert f"what installation {INSTALLATION} looks after is left out: vm 13" in found.stdout


def test_what_runs_in_a_cloud_that_is_declared_already(zone):
    found = run(zone, "--cloud", "rbx", "--kind", "HostedInstance", "--name", "w*")
    (web,) = yaml.safe_load_all(found.stdout)
    assert web["spec"]["placement"] == {"cloudRef": {"name": "rbx"}}
    assert web["spec"]["adopt"] == {"id": "12"}
    assert zone.credentials[-1][:2] == (URL, "oneadmin")
    assert "kubectl create secret" not in found.stdout, "its Secret is there"


def test_a_name_of_two_lines_ends_no_comment_and_no_field(zone):
    found = run(zone, "--cloud", "rbx", "--id", "14", "-o", "json")
    (one,) = json.loads(found.stdout)["items"]
    assert (one["metadata"]["name"], one["spec"]["name"]) == ("x-y-z", "x\ny: z")
    text = run(zone, "--cloud", "rbx", "--id", "14").stdout
    assert [document["spec"]["name"] for document in yaml.safe_load_all(text)] == ["x\ny: z"]


WRONG = [
    (
        (),
        "say what to read: --ovh for an account of OVHcloud, --opennebula for an OpenNebula, --cloud for a SovereignCloud",
    ),
    (("--cloud", "rbx", "--ovh"), "--ovh and --cloud exclude each other"),
    (("--cloud", "gra"), "there is no SovereignCloud gra in namespace team: rbx"),
    (("--cloud", "rbx", "--kind", "Vm"), "there is no kind Vm to write: choose of"),
]


@pytest.mark.parametrize(("words", "says"), WRONG, ids=[row[1] for row in WRONG])
def test_what_is_asked_wrongly_is_said(zone, words, says):
    found = run(zone, *words)
    assert found.exit_code != 0
    assert says in found.output.replace("\n", " ")


HOSTILE = [
    'quotes "a" \'b\'', "# no comment", "- no list", "{{ no: template }}", "tab\tand\nline", "'", "null", "1e3", "é\u2028x", "*",
]  # fmt: skip


async def test_what_people_call_their_machines_comes_back_as_it_was_and_under_names_of_its_own():
    front = OpenNebula(
        network_of_a_zone(), image_of_a_zone(), *(vm(id=n, name=name, mark=None) for n, name in enumerate(HOSTILE))
    )
    documents = list(yaml.safe_load_all(as_yaml(await zone_of(front))))
    found = {int(one["spec"]["adopt"]["id"]): one for one in documents if one["kind"] == "HostedInstance"}
    assert [found[n]["spec"].get("name", found[n]["metadata"]["name"]) for n in range(len(HOSTILE))] == HOSTILE
    assert len({one["metadata"]["name"] for one in found.values()}) == len(HOSTILE)


@pytest.mark.parametrize("name", ["y", "N", "1e3", "12e4", "0x1f", "0o17", "1_000", ".5", "+1", "12", "true", "null"])
async def test_a_name_that_kubectl_would_take_for_something_else_is_quoted(name):
    front = OpenNebula(network_of_a_zone(), image_of_a_zone(), vm(id=1, name=name, mark=None))
    lines = [line.strip() for line in as_yaml(await zone_of(front)).splitlines()]
    assert f"name: {name}" not in lines
    assert f"name: '{name}'" in lines


NAMED = [
    ("as it is", "web-1", "web-1"),
    ("umlauts, and what no name may hold", "Büro Straße (7)", "buro-strasse-7"),
    ("nothing that may stay", "---", "vm-5"),
    ("another writing", "日本", "vm-5"),
    ("too long", "a" * 200, "a" * 63),
    ("ends where it is cut", "a" * 62 + " b", "a" * 62),
]


@pytest.mark.parametrize(("why", "name", "wanted"), NAMED, ids=[row[0] for row in NAMED])
def test_what_a_thing_is_called_in_kubernetes(why, name, wanted):
    taken = set()
    assert object_name(name, 5, "vm", taken) == wanted, why
    again = object_name(name, 5, "vm", taken)
    assert again != wanted
    assert len(again) <= 63
    assert taken == {wanted, again}


ODD = [
    ("a volatile disk only", {"disks": (Disk(0, -1, "", 1024),)}, {"source", "disks"}),
    ("no disk", {"disks": ()}, {"source", "disks"}),
    (
        "two cards in one network",
        {"nics": (Nic(0, 3, "lan", "", "02:00"), Nic(1, 3, "lan", "", "02:01"))},
        {"networks"},
    ),
    ("a card in no network", {"nics": (Nic(0, -1, "", "", "02:00"),)}, {"networks"}),
    ("an address of version 6", {"nics": (Nic(0, 3, "lan", "fd00::5", "02:00"),)}, set()),
    ("no number of processors", {"cpu": ""}, {"cpu"}),
    ("a thousandth of a processor", {"cpu": "0.001"}, {"cpu"}),
    ("a thousand processors", {"cpu": "1000", "vcpu": 1000}, {"cpu", "vcpu"}),
    ("no memory", {"memory": 0}, {"memory"}),
    ("a name that no manifest can hold", {"name": "x" * 129}, {"name"}),
    ("an image whose name no manifest can hold", {"disks": (Disk(0, 7, "i" * 129, 1024),)}, {"source"}),
]


@pytest.mark.parametrize(("why", "fields", "without"), ODD, ids=[row[0] for row in ODD])
async def test_what_a_manifest_cannot_say_of_a_machine_is_left_out_and_told(why, fields, without):
    front = OpenNebula(network_of_a_zone(), image_of_a_zone(), vm(mark=None, **({"name": "Nr. 1"} | fields)))
    result = await zone_of(front)
    (one,) = [document for document in result.documents if document["kind"] == "HostedInstance"]
    told = " ".join(result.comments.get(("HostedInstance", one["metadata"]["name"]), ()))
    whole = {"name", "source", "cpu", "vcpu", "memory", "networks", "disks"}
    assert whole - set(one["spec"]) == without, (why, told)
    assert {field for field in without if f"spec.{field} is left out" not in told} <= {"disks"}, told


async def test_in_whatever_state_a_machine_is_its_manifest_has_an_empty_plan():
    states = [(state, 0) for state in range(12) if state not in {3, 6}] + [(3, lcm) for lcm in range(80)]
    machines = [vm(id=number, name=f"m-{number}", mark=None, at=at) for number, at in enumerate(states)]
    ending = {number for number, at in enumerate(states) if at in {(3, 11), (3, 12), (3, 23)}}
    result = await zone_of(OpenNebula(network_of_a_zone(), image_of_a_zone(), *machines))
    found = {int(one["spec"]["adopt"]["id"]): one for one in result.documents if one["kind"] == "HostedInstance"}
    assert set(found) == set(range(len(states))) - ending
    for one in found.values():
        assert {"source", "cpu", "vcpu", "memory", "networks", "disks"} <= set(one["spec"]), one


async def zone_of(front):
    connections = SimpleNamespace(controllers=CONTROLLERS, now=lambda: NOW)
    start = declared(URL, "rbx", Names("team"), Wanted())
    return await with_zone(start, front, Wanted(kinds=("HostedInstance",)), connections)


def network_of_a_zone():
    return network(3, "lan", [AddressRange("10.0.0.5", 50, 0)], VN_MAD="802.1Q", VLAN_ID="100")


def image_of_a_zone():
    return image()
