"""What belongs to what, and how it is shown."""

import io
import json
from datetime import UTC, datetime

import pytest
import yaml
from rich.console import Console
from tests.unit.commands.cli_fakes import CLOUD_SPEC, CLOUD_STATUS, INSTANCE_SPEC, INSTANCE_STATUS, Outside, body, ready
from tests.unit.commands.cli_scene import hosted, progressing, scene, stalled
from typer.testing import CliRunner

from sovereigncloud.api.common.base import Key
from sovereigncloud.cli import app
from sovereigncloud.commands.shared.condition_summary import Health, state_of
from sovereigncloud.commands.shared.resource_graph import ResourceGraph
from sovereigncloud.commands.tree.cluster_watch import apply
from sovereigncloud.commands.tree.ownership_tree import forest, tree
from sovereigncloud.commands.tree.view import shown
from sovereigncloud.kinds import CONTROLLERS

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
CLOUD = body("SovereignCloud", "paris", CLOUD_SPEC, CLOUD_STATUS)
LAN = body("VirtualNetwork", "lan", {"cloudRef": {"name": "paris"}, "vlanID": 100}, ready(addresses="200"))
UBUNTU = body("MachineImage", "ubuntu", {"cloudRefs": [{"name": "paris"}], "source": {"marketplaceApp": "U"}}, ready())
WEB = body("HostedInstance", "web", INSTANCE_SPEC, INSTANCE_STATUS)


GROUP = body(
    "SecurityGroup", "https", {"rules": [{"direction": "Inbound", "protocol": "TCP"}]},
    ready(external={"group.team/paris": "20"}),
)  # fmt: skip
FILTERED = body(
    "HostedInstance", "filtered", INSTANCE_SPEC | {"networks": [{"name": "lan", "securityGroups": ["https", "gone"]}]},
    INSTANCE_STATUS,
)  # fmt: skip


def resource_graph(*bodies):
    return ResourceGraph(bodies, CONTROLLERS)


def lines(node, depth=0):
    yield f"{'  ' * depth}{node.relation} {node.key.kind} {node.key.name}"
    for child in node.children:
        yield from lines(child, depth + 1)


def run(*arguments, outside):
    return CliRunner().invoke(app, arguments, obj=outside.connections)


def test_a_cloud_shows_all_that_is_in_it_in_the_order_in_which_it_stands_on_each_other():
    (root,) = forest(resource_graph(WEB, UBUNTU, LAN, CLOUD), {("team", "one"): True})
    assert list(lines(root)) == [
        "root SovereignCloud paris",
        "  member VirtualNetwork lan",
        "  member MachineImage ubuntu",
        "  member HostedInstance web",
        "  uses Secret one",
    ]


def test_what_a_cloud_composed_is_told_apart_from_what_somebody_put_into_it():
    owner = {
        "apiVersion": "sovereigncloud.io/v1alpha1", "kind": "SovereignCloud", "name": "rbx", "uid": "uid-rbx",
        "controller": True,
    }  # fmt: skip
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "serviceName": "ns1.example"}
    server = body("BareMetalServer", "rbx-one-1", {"ovh": ovh}, ready(), ownerReferences=[owner])
    cloud = body("SovereignCloud", "rbx", hosted("rbx", 1), ready())
    lan = body("VirtualNetwork", "lan", {"cloudRef": {"name": "rbx"}, "vlanID": 100}, ready())
    (root,) = forest(resource_graph(cloud, server, lan), {})
    assert [str(child.relation) for child in root.children[:2]] == ["composed", "member"]
    assert "Secret ovh" in "\n".join(lines(root)), "of the cloud"
    assert root.children[0].children == (), "the Secret that the cloud shows is not shown again"


@pytest.mark.parametrize(
    ("key", "below", "why"),
    [
        (Key("HostedInstance", "team", "web"), ["uses SovereignCloud paris", "uses VirtualNetwork lan", "uses MachineImage ubuntu"],
         "an instance: what it uses, found by the names in OpenNebula"),
        (Key("VirtualNetwork", "team", "lan"), ["uses SovereignCloud paris", "usedBy HostedInstance web"], "a network: who is on it"),
        (Key("MachineImage", "team", "ubuntu"), ["uses SovereignCloud paris", "usedBy HostedInstance web"], "an image: who is made from it"),
    ],
)  # fmt: skip
def test_any_other_object_shows_what_it_uses_and_who_uses_it(key, below, why):
    root = tree(key, resource_graph(CLOUD, LAN, UBUNTU, WEB), {})
    assert [line.strip() for line in lines(root)][1:] == below, why


def test_a_security_group_and_the_machines_that_it_filters():
    everything = resource_graph(CLOUD, GROUP, FILTERED, WEB)
    (cloud,) = forest(everything, {})
    assert list(lines(cloud))[1:4] == [
        "  member SecurityGroup https", "  member HostedInstance filtered", "  member HostedInstance web",
    ]  # fmt: skip
    group = tree(Key("SecurityGroup", "team", "https"), everything, {})
    assert list(lines(group))[1:] == ["  uses SovereignCloud paris", "  usedBy HostedInstance filtered"]
    machine = tree(Key("HostedInstance", "team", "filtered"), everything, {})
    assert "  uses SecurityGroup https" in list(lines(machine))


def test_what_is_not_there_is_a_line_too():
    (root,) = forest(resource_graph(WEB), {})
    assert (root.key.name, root.state.health) == ("paris", Health.MISSING)
    (secret,) = [
        n for n in tree(CLOUD_KEY, resource_graph(CLOUD), {("team", "one"): False}).walk() if n.key.kind == "Secret"
    ]
    assert secret.state.health is Health.MISSING
    (unknown,) = [n for n in tree(CLOUD_KEY, resource_graph(CLOUD), {}).walk() if n.key.kind == "Secret"]
    assert unknown.state.reason == "MayNotBeRead"


CLOUD_KEY = Key("SovereignCloud", "team", "paris")


def test_what_is_in_no_cloud_and_what_this_version_cannot_read_stand_alone():
    alone = body("HostedInstance", "alone", {"source": {"image": "x"}})
    newer = body("HostedInstance", "newer", {"source": 5})
    roots = forest(resource_graph(alone, newer), {})
    assert [(r.key.name, r.state.reason) for r in roots] == [("alone", "NotLookedAt"), ("newer", "NotUnderstood")]


@pytest.mark.parametrize(
    ("status", "generation", "health", "word", "why"),
    [
        (ready(), 1, Health.READY, "AsDeclared", "as declared"),
        (ready(), 2, Health.PROGRESSING, "AsDeclared", "of the spec before"),
        (stalled("NetworkNotFound", "none"), 1, Health.STALLED, "NetworkNotFound", "a person must act"),
        (progressing("Booting", "boots"), 1, Health.PROGRESSING, "Booting", "under way"),
        ({"observedGeneration": -1}, 1, Health.UNKNOWN, "NotLookedAt", "just made"),
    ],
)
def test_the_state_of_an_object_is_one_word(status, generation, health, word, why):
    found = resource_graph(body("HostedInstance", "web", INSTANCE_SPEC, status, generation=generation))
    state = state_of(found.get(Key("HostedInstance", "team", "web")))
    assert (state.health, state.reason) == (health, word), why


def test_a_watch_keeps_what_it_is_told():
    known = {}
    apply(known, "HostedInstance", "LISTED", [WEB])
    changed = {**WEB, "status": {"observedGeneration": 2}}
    apply(known, "HostedInstance", "MODIFIED", [changed])
    assert list(known["HostedInstance"].values()) == [changed]
    apply(known, "HostedInstance", "ADDED", [body("HostedInstance", "db", INSTANCE_SPEC)])
    apply(known, "HostedInstance", "DELETED", [WEB])
    assert [key.name for key in known["HostedInstance"]] == ["db"]
    apply(known, "HostedInstance", "LISTED", [])
    assert known["HostedInstance"] == {}, "a new list forgets what went while nobody watched"


def test_the_lines_say_ready_reason_drift_and_what_matters():
    out = Console(file=io.StringIO(), width=180, no_color=True)
    out.print(shown(forest(resource_graph(*scene()), {}), NOON, namespaces=False))
    said = out.file.getvalue()
    by_name = {
        line.split("/", 1)[1].split()[0]: line
        for line in said.splitlines()
        if "/" in line.split(" ")[0] or "─ " in line
    }
    assert "True" in by_name["rbx"]
    assert "OpenNebula 7.0.1, 4/4 hosts" in by_name["rbx"]
    assert " AsDeclared " in by_name["rbx-queue-04"]
    assert " 1 " in by_name["rbx-queue-04"].split("AsDeclared")[1]
    assert "ExternallyDeleted" in by_name["rbx-cache-09"]
    assert "[paused]" in by_name["rbx-api-19"]
    assert "122 objects" in said
    assert "6 stalled" in said
    assert "6 drifted" in said


def test_the_tree_for_people_and_for_programs():
    outside = Outside().with_cluster(WEB, CLOUD, LAN, UBUNTU, secrets={("team", "one"): {"password": "hunter2"}})
    result = run("tree", outside=outside)
    assert result.exit_code == 0, result.stderr
    assert "└─ secret/one" in result.stdout
    assert "hunter2" not in result.output
    assert outside.writes == []
    assert "Kubernetes secret team/one there" in outside.log, "its values are not read"
    told = json.loads(run("tree", "-o", "json", outside=outside).stdout)
    assert told == yaml.safe_load(run("tree", "-o", "yaml", outside=outside).stdout)
    (root,) = told["items"]
    assert set(root) == {
        "kind", "namespace", "name", "relation", "health", "ready", "reason", "message", "since", "driftCount", "paused",
        "deleting", "detail", "children",
    }  # fmt: skip
    assert [(c["kind"], c["name"], c["health"]) for c in root["children"]][-1] == ("Secret", "one", "Ready")


@pytest.mark.parametrize(
    ("arguments", "said", "why"),
    [
        (["--watch", "-o", "json"], "--watch is for people", "a program watches the API server"),
        (["--watch"], "--watch needs a terminal", "a pipe"),
        (["-A", "-n", "team"], "-n and -A exclude each other", "both"),
        (["hinst/wbe"], "did you mean web?", "not there"),
    ],
)
def test_what_tree_cannot_do_is_one_line(arguments, said, why):
    result = run("tree", *arguments, outside=Outside().with_cluster(WEB, CLOUD))
    assert result.exit_code == 1, why
    assert said in result.stderr, why
    assert result.stderr.count("\n") == 1


def test_an_empty_namespace_says_where_to_look():
    result = run("tree", outside=Outside().with_cluster())
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No objects in namespace team: look with -A" in result.stderr
