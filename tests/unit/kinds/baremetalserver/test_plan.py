"""BareMetalServer: what it does in which situation, and that no crash, loss or delay makes it wipe a disk twice."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.kinds.cloud_fakes import GRACE, INSTALLATION, NOON, FakeWorld, Loop, interfaces, run

from sovereigncloud.core.plan import Action, Cause, Disruption
from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController
from sovereigncloud.kinds.baremetalserver.reinstall.plan import QUIET_TAG
from sovereigncloud.kinds.baremetalserver.reinstall.records import HISTORY_TAG, RECORD_TAG, Record, Stage, read_record
from sovereigncloud.kinds.sovereigncloud.installation.plan import INSTALLED_TAG, WIPED
from sovereigncloud.ports.errors import Auth, MissingSecret, Retry
from sovereigncloud.ports.ovh.account import Reinstallation
from sovereigncloud.ports.ovh.reinstall import InstallationTemplate, Part, TemplateInput

KEY = ("BareMetalServer", "platform", "one-1")
UNIX = int(NOON.timestamp())
UBUNTU = "ubuntu2404-server_64"


def manifest(*, reinstall=None, vrack="pn-1", name="one-1", **spec):
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "serviceName": "ns1"}
    if vrack:
        ovh["vrack"] = vrack
    wanted = {"ovh": ovh, **spec} | ({"reinstall": reinstall} if reinstall else {}) | ({"name": name} if name else {})
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "BareMetalServer",
        "metadata": {"name": "one-1", "namespace": "platform", "uid": "u1"},
        "spec": wanted,
    }


def request(token="first", system=UBUNTU, **more):
    return {"request": token, "operatingSystem": system, **more}


def marked(uid="u1", installation=INSTALLATION, name="one-1"):
    return {
        "sovereigncloud.io/installation": installation,
        "sovereigncloud.io/object": f"BareMetalServer/platform/{name}",
        "sovereigncloud.io/uid": uid,
    }


SETTLED = {
    "observedGeneration": 1,
    "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}],
    "address": "127.0.0.11",
    "operatingSystem": UBUNTU,
    "interfaces": [{"uuid": "ns1-priv", "mode": "vrack_aggregation", "vrack": "pn-1", "macs": ["bb:00"]}],
}


def world_with(*, spec=None, status=None, tasks=(), age=0.0, templates=(), **server):
    world = FakeWorld()
    world.account_.templates = dict(templates)
    values = {"display_name": "one-1", "interfaces": interfaces("ns1", vrack="pn-1"), "tags": marked(), **server}
    made = world.account_.add("ns1", **values)
    made.tasks = [list(t) for t in tasks]
    raw = world.put(spec or manifest())
    if status is not None:
        raw["status"] = {**SETTLED, **status}
    world.clock.pass_(age)
    return world


def look(world):
    return run(Loop(world, BareMetalServerController(), KEY).once())


def plan_of(world):
    """The plan alone, nothing performed."""

    async def planned():
        controller = BareMetalServerController()
        resource = controller.resource.model_validate(world.raw[KEY])
        observed = await controller.observe(resource, world)
        return controller.plan(resource, observed, world.now)

    return run(planned())


def task(number, ends, status="done", system=UBUNTU, begun=0):
    return [number, Reinstallation(system, "one-1"), UNIX + begun, UNIX + ends, status, True]


def record(stage, **values):
    return {RECORD_TAG: Record("first", stage, **{"at": UNIX, "system": UBUNTU, **values}).text}


@dataclass
class Case:
    why: str
    make: dict = field(default_factory=dict)
    steps: tuple = ()
    reason: str = ""
    drift: tuple = ()
    says: str = ""


FIRST = manifest(reinstall=request())
ROOT = {"mountPoint": "/", "fileSystem": "ext4", "size": "100Gi"}
OWN_IMAGE = InstallationTemplate(
    "own", (TemplateInput("imageURL", mandatory=True),), frozenset(), partitioning=False, only_mirroring=False
)
BARE = InstallationTemplate("bare", (), frozenset({"ext4"}), partitioning=True, only_mirroring=False)
CASES = [
    Case("nothing declared differs: nothing is done", {}),
    Case("a server without a mark is marked before anything else", {"tags": {}}, ("MarkServer",)),
    Case("the mark of a predecessor is a rebuilt cluster: taken over", {"tags": marked("u0")}, ("MarkServer",)),
    Case(
        "another installation's server is only read, its differences are shown",
        {"tags": marked(installation="other"), "display_name": "x"},
        reason="OwnedByAnotherInstallation",
        drift=("spec.name",),
        says="other",
    ),
    Case("a mark of an object of ours that is no more is replaced", {"tags": marked(name="one-9")}, ("MarkServer",)),
    Case(
        "a declared reinstallation wipes, so it says so",
        {"spec": FIRST},
        ("ReinstallServer",),
    ),
    Case(
        "marking, reinstalling, attaching and renaming are one plan, so that Observe mode shows all of it",
        {"spec": FIRST, "tags": {}, "interfaces": interfaces("ns1"), "display_name": "ns1"},
        ("MarkServer", "ReinstallServer", "AttachInterface", "RenameServer"),
        drift=("spec.ovh.vrack", "spec.name"),
    ),
    Case(
        "an unknown system is refused before anything is wiped, naming near ones",
        {"spec": manifest(reinstall=request(system="ubuntu2604-server_64"))},
        reason="UnknownOperatingSystem",
        says="ubuntu2404-server_64",
    ),
    Case(
        "several disk groups are all erased: that must be said",
        {"spec": FIRST, "disk_groups": 2},
        reason="WipeAllDisksRequired",
        says="wipeAllDisks: true",
    ),
    Case(
        "with consent several disk groups are erased",
        {"spec": manifest(reinstall=request(wipeAllDisks=True)), "disk_groups": 2},
        ("ReinstallServer",),
    ),
    Case(
        "partitions that the disks cannot hold are refused before anything is wiped",
        {"spec": manifest(reinstall=request(partitioning=[{**ROOT, "raidLevel": 5}]))},
        reason="IncompatiblePartitioning",
        says="ns1: reinstall.partitioning[0] (/): RAID 5 needs 3 disks",
    ),
    Case(
        "a size that is no whole number of MiB is told as such, should it ever come that far",
        {"spec": manifest(reinstall=request(partitioning=[{**ROOT, "size": "1000001k"}]))},
        reason="IncompatiblePartitioning",
        says="whole number of MiB",
    ),
    Case(
        "partitions that fit are part of what is asked for",
        {"spec": manifest(reinstall=request(partitioning=[ROOT]))},
        ("ReinstallServer",),
    ),
    Case(
        "a template that must be told what nobody here knows is refused by the name of the question",
        {"spec": FIRST, "templates": {UBUNTU: OWN_IMAGE}},
        reason="IncompatibleSystem",
        says="imageURL",
    ),
    Case(
        "a server in OLA cannot boot from the network",
        {"spec": FIRST, "interfaces": interfaces("ns1", ola=True, vrack="pn-1")},
        reason="NoPublicInterface",
    ),
    Case(
        "an Eco server has no interface at all: refused before it is wiped",
        {"spec": FIRST, "interfaces": ()},
        reason="VrackIncompatible",
    ),
    Case(
        "a reinstallation that someone else began is waited for",
        {"spec": FIRST, "tasks": [task(7, 600, "doing")]},
        reason="TaskRunning",
        says="7",
    ),
    Case(
        "recorded a moment ago, no task known: the request may still be under way, so nothing is sent",
        {"spec": FIRST, "tags": marked() | record(Stage.REQUESTED), "age": 20},
        reason="ConfirmingReinstall",
    ),
    Case(
        "recorded five minutes ago, no task known: a late write may have begun it, and its task may show only now",
        {"spec": FIRST, "tags": marked() | record(Stage.REQUESTED), "age": 355},
        reason="ConfirmingReinstall",
    ),
    Case(
        "recorded over six minutes ago, no task known: it never started",
        {"spec": FIRST, "tags": marked() | record(Stage.REQUESTED), "age": 365},
        ("ReinstallServer",),
    ),
    Case(
        "recorded over an hour ago, no task known: it may have run and been purged, a person decides",
        {"spec": FIRST, "tags": marked() | record(Stage.REQUESTED), "age": 4000},
        reason="ReinstallUnknown",
        says="new spec.reinstall.request",
    ),
    Case(
        "recorded, and a newer task is known: that is it",
        {"spec": FIRST, "tags": marked() | record(Stage.REQUESTED, task=4), "tasks": [task(5, 600)], "age": 20},
        ("RecordReinstall",),
    ),
    Case(
        "an older task of the same function is not the one recorded",
        {"spec": FIRST, "tags": marked() | record(Stage.REQUESTED, task=5), "tasks": [task(5, 1)], "age": 20},
        reason="ConfirmingReinstall",
    ),
    Case(
        "our task runs: the step of the installation is told",
        {"spec": FIRST, "tags": marked() | record(Stage.RUNNING, task=5), "tasks": [task(5, 600)], "age": 20},
        reason="Reinstalling",
        says="Partitioning",
    ),
    Case(
        "our task answers 404 a minute after it was made: regions replicate, it is not over",
        {"spec": FIRST, "tags": marked() | record(Stage.RUNNING, task=5), "os": UBUNTU, "age": 60},
        reason="Reinstalling",
    ),
    Case(
        "our task is purged and the server runs the system: done, as the server tells",
        {"spec": FIRST, "tags": marked() | record(Stage.RUNNING, task=5), "os": UBUNTU, "age": 900},
        ("RecordReinstall",),
    ),
    Case(
        "our task is done but the server shows another system: success is not derived from the task",
        {
            "spec": FIRST,
            "tags": marked() | record(Stage.RUNNING, task=5),
            "tasks": [task(5, 600)],
            "os": "none_64",
            "age": 700,
        },
        reason="VerifyingSystem",
    ),
    Case(
        "a task that failed needs a new word",
        {
            "spec": FIRST,
            "tags": marked() | record(Stage.RUNNING, task=5),
            "tasks": [task(5, 600, "ovhError")],
            "age": 700,
        },
        reason="ReinstallFailed",
        says="new spec.reinstall.request",
    ),
    Case(
        "a task that failed: first technicians are let back in, who were kept out for it",
        {
            "spec": FIRST,
            "tags": marked() | record(Stage.RUNNING, task=5) | {QUIET_TAG: "true"},
            "tasks": [task(5, 600, "ovhError")],
            "age": 700,
        },
        ("RecordReinstall",),
    ),
    Case(
        "after a failure a new word is a new request",
        {
            "spec": manifest(reinstall=request("second")),
            "tags": marked() | record(Stage.RUNNING, task=5),
            "tasks": [task(5, 600, "ovhError")],
            "age": 700,
        },
        ("ReinstallServer",),
    ),
    Case(
        "done once: the same word never again",
        {"spec": FIRST, "tags": marked() | record(Stage.DONE), "os": UBUNTU},
    ),
    Case(
        "a revert in Git to an earlier word wipes nothing",
        {
            "spec": FIRST,
            "tags": marked() | {RECORD_TAG: "second:done:1:x", HISTORY_TAG: "a7937b64"},
            "os": UBUNTU,
        },
    ),
    Case(
        "another system without a new word is told and nothing else",
        {
            "spec": manifest(reinstall=request(system="debian12_64")),
            "tags": marked() | record(Stage.DONE),
            "os": UBUNTU,
            "status": {"reinstalled": "first"},
        },
        drift=("spec.reinstall.operatingSystem",),
    ),
    Case(
        "someone removed the record but status knows: it is written back, nothing is wiped",
        {"spec": FIRST, "os": UBUNTU, "status": {"reinstalled": "first"}},
        ("RecordReinstall",),
    ),
    Case(
        "a record that nobody of ours wrote never leads to a reinstallation",
        {"spec": FIRST, "tags": marked() | {RECORD_TAG: "first"}, "os": UBUNTU},
    ),
    Case(
        "detached behind our back: drift, and attached again",
        {"interfaces": interfaces("ns1"), "status": {}},
        ("AttachInterface",),
        drift=("spec.ovh.vrack",),
    ),
    Case(
        "in a vRack that is not declared: a person moves it, since others may use it there",
        {"interfaces": interfaces("ns1", vrack="pn-2"), "status": {}},
        reason="InterfaceInOtherVrack",
        drift=("spec.ovh.vrack",),
        says="pn-2",
    ),
    Case("a vRack that the account has not", {"spec": manifest(vrack="pn-9")}, reason="VrackNotFound"),
    Case(
        "renamed behind our back: drift, and named again",
        {"display_name": "junk", "status": {}},
        ("RenameServer",),
        drift=("spec.name",),
    ),
    Case("without spec.name an adopted server keeps its name", {"spec": manifest(name=""), "display_name": "x"}),
    Case(
        "asked to rename a minute ago: OVHcloud takes ten, nothing is written again",
        {
            "display_name": "junk",
            "age": 60,
            "status": {"external": {"renamed": f"junk to one-1@{UNIX}"}},
        },
        reason="Renaming",
        drift=("spec.name",),
    ),
    Case(
        "renamed by somebody after our own rename was asked for: a new difference, acted upon at once",
        {"display_name": "junk", "age": 60, "status": {"external": {"renamed": f"ns1 to one-1@{UNIX}"}}},
        ("RenameServer",),
        drift=("spec.name",),
    ),
    Case(
        "asked to attach and not yet visible: waited for",
        {
            "interfaces": interfaces("ns1"),
            "age": 20,
            "status": {
                "external": {"attachAsked": f"pn-1 ns1-priv@{UNIX}"},
                "drift": [{"path": "spec.ovh.vrack", "since": NOON.isoformat()}],
            },
        },
        reason="AttachingInterface",
        drift=("spec.ovh.vrack",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_plan(case):
    plan = plan_of(world_with(**case.make))
    assert tuple(type(s).__name__ for s in plan.steps) == case.steps, case.why
    assert plan.outcome.reason == case.reason, case.why
    assert tuple(d.path for d in plan.drift) == case.drift, case.why
    assert case.says in plan.outcome.message, case.why


def test_a_reinstallation_is_declared_and_loses_data():
    step = plan_of(world_with(spec=FIRST)).steps[0]
    assert (step.action, step.disruption, step.cause) == (Action.REINSTALL, Disruption.DATA_LOSS, Cause.DECLARED)
    assert step.fields == ("spec.reinstall.request",)


@pytest.mark.parametrize(("settled", "cause"), [({}, Cause.OBSERVED), (None, Cause.DECLARED)])
def test_a_difference_is_observed_only_after_it_was_reality(settled, cause):
    plan = plan_of(world_with(interfaces=interfaces("ns1"), status=settled))
    assert plan.steps[0].cause is cause


def test_no_server_of_that_name_is_told_with_the_remedy():
    world = world_with()
    world.account_.servers.clear()
    plan = plan_of(world)
    assert plan.outcome.reason == "ServerNotFound"
    assert "ovh.serviceName" in plan.outcome.message


def test_two_objects_for_one_server_is_told():
    world = world_with(tags=marked(name="one-9"))
    other = manifest()
    other["metadata"] = {"name": "one-9", "namespace": "platform", "uid": "u9"}
    world.put(other)
    assert plan_of(world).outcome.reason == "OwnedByAnotherObject"


def test_at_rest_nothing_is_asked_per_server():
    world = world_with(spec=FIRST, status={"reinstalled": "first"}, tags=marked() | record(Stage.DONE), os=UBUNTU)
    before = dict(world.raw[KEY]["status"])
    looked = look(world)
    assert not looked.plan.steps
    assert world.account_.reads == {"view": 1}
    assert {k: world.raw[KEY]["status"][k] for k in ("address", "interfaces", "operatingSystem")} == {
        k: before[k] for k in ("address", "interfaces", "operatingSystem")
    }


def test_from_apply_to_ready():
    world = world_with(spec=FIRST, tags={}, interfaces=interfaces("ns1"), display_name="")
    loop = Loop(world, BareMetalServerController(), KEY)
    run(loop.until_quiet())
    server, status = world.account_.servers["ns1"], world.raw[KEY]["status"]
    assert server.os == UBUNTU
    assert status["reinstalled"] == "first"
    assert status["address"] == "127.0.0.11"
    assert "installStep" not in status
    assert [i["mode"] for i in status["interfaces"]] == ["public_aggregation", "vrack_aggregation"]
    assert status["interfaces"][1]["vrack"] == "pn-1"
    assert world.account_.reinstalled == {UBUNTU: 1}
    assert (server.monitoring, server.no_intervention) == (True, False), "technicians are let back in"
    assert QUIET_TAG not in server.tags


@pytest.mark.parametrize(("before", "after"), [("ab12", WIPED), ("", "")])
def test_what_was_installed_on_it_is_over_once_it_is_reinstalled(before, after):
    world = world_with(spec=FIRST, tags={**marked(), **({INSTALLED_TAG: before} if before else {})})
    look(world)
    assert sum(world.account_.reinstalled.values()) == 1
    assert world.account_.servers["ns1"].tags.get(INSTALLED_TAG, "") == after


@pytest.mark.parametrize(
    ("fact", "asked"), [("renamed", f"junk to one-1@{UNIX}"), ("attachAsked", f"pn-1 ns1-priv@{UNIX}")]
)
def test_a_request_is_forgotten_once_it_is_seen(fact, asked):
    """Else the same change by somebody else, minutes later, would pass for a request on its way."""
    world = world_with(status={"external": {fact: asked, "vrack": "pn-1"}}, age=60)
    assert plan_of(world).outcome.facts == {fact: ""}


def test_technicians_are_kept_out_while_it_is_reinstalled():
    world = world_with(spec=FIRST)
    look(world)
    assert world.account_.servers["ns1"].no_intervention


def test_what_the_template_does_not_ask_for_is_not_sent():
    world = world_with(spec=manifest(reinstall=request(partitioning=[ROOT])), templates={UBUNTU: BARE})
    (step,) = plan_of(world).steps
    assert step.payload == Reinstallation(UBUNTU, "", partitions=(Part("/", "ext4", 102400, None),))


def of_a_cloud(world):
    """The server is one of a cloud that the operator installs, which has a key of its own."""
    owner = {"apiVersion": "sovereigncloud.io/v1alpha1", "kind": "SovereignCloud", "name": "rbx", "uid": "c"}
    world.raw[KEY]["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    world.put(
        {
            "kind": "SovereignCloud",
            "metadata": {"name": "rbx", "namespace": "platform", "uid": "c"},
            "spec": {"hosted": {"openNebula": {"install": {"architecture": "Basic", "version": "7.0"}}}},
        }
    )
    world.kubernetes.secrets["platform", "rbx-oneadmin"] = {
        "sshPublicKey": "ssh-ed25519 AAAA",
        "sshPrivateKey": "a private key",
    }
    return world


def test_a_template_that_lets_no_key_in_is_refused_for_a_cloud_and_not_for_a_server_on_its_own():
    world = of_a_cloud(world_with(spec=FIRST, templates={UBUNTU: BARE}))
    assert plan_of(world).outcome.reason == "IncompatibleSystem"
    assert "SSH key" in plan_of(world).outcome.message
    assert plan_of(world_with(spec=FIRST, templates={UBUNTU: BARE})).outcome.reason == ""


def test_the_payload_carries_the_key_of_the_cloud_and_a_host_name():
    world = of_a_cloud(world_with(spec={**FIRST, "spec": {**FIRST["spec"], "name": "Front-end of Roubaix"}}))
    (step,) = plan_of(world).steps[:1]
    assert step.payload.ssh_key == "ssh-ed25519 AAAA"
    assert step.payload.hostname == "one-1"


# --- deletion


def deleting(world, **spec):
    raw = world.raw[KEY]
    raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    raw["spec"].update(spec)
    return world


def test_deleting_takes_only_the_mark_off_a_server_that_is_retained():
    world = deleting(world_with(status={}))
    server = world.account_.servers["ns1"]
    server.tags |= {"rack": "7", INSTALLED_TAG: "x", **record(Stage.DONE)}
    before = (server.interfaces, server.os, server.display_name)
    run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    assert server.tags == {"rack": "7", INSTALLED_TAG: "x", **record(Stage.DONE)}, "what was done once is remembered"
    assert (server.interfaces, server.os, server.display_name) == before
    assert all(w.startswith("untag") for w in world.account_.writes)
    assert world.account_.orders.ended == set()


@pytest.mark.parametrize("error", [MissingSecret("gone"), Auth("refused"), Retry("no answer")])
def test_a_retained_server_is_let_go_of_also_where_nobody_answers(error, monkeypatch):
    world = deleting(world_with(status={}))

    async def fail(*_):
        raise error

    monkeypatch.setattr(world, "account", fail)
    plan = plan_of(world)
    assert (plan.steps, plan.outcome.reason) == ((), "")


def test_a_mark_that_is_half_taken_off_is_taken_off_wholly():
    world = deleting(world_with(status={}))
    tags = world.account_.servers["ns1"].tags
    del tags["sovereigncloud.io/installation"], tags["sovereigncloud.io/object"]
    run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    assert tags == {}


def test_a_mark_that_cannot_be_removed_holds_up_no_retained_server(monkeypatch):
    world = deleting(world_with(status={}))

    async def refuse(*_):
        raise Auth("not granted")

    monkeypatch.setattr(world.account_, "untag", refuse)
    loop = Loop(world, BareMetalServerController(), KEY)
    run(loop.once())
    assert plan_of(world).steps == ()


def test_deleting_with_delete_detaches_then_takes_the_mark_off():
    world = deleting(world_with(status={}), deletionPolicy="Delete")
    loop = Loop(world, BareMetalServerController(), KEY)
    run(loop.until_quiet())
    server = world.account_.servers["ns1"]
    assert server.interfaces[1].vrack == ""
    assert server.tags == {}
    assert world.account_.writes[0] == "detach ns1-priv pn-1"
    assert sum(w.startswith("detach") for w in world.account_.writes) == 1
    assert world.account_.orders.ended == {"ns1"}, "it ends at its expiration, not now"


def test_the_end_of_a_server_names_its_date_and_the_engagement_that_goes_on():
    world = deleting(world_with(status={}, interfaces=interfaces("ns1")), deletionPolicy="Delete")
    ending, untag = plan_of(world).steps
    assert "ends on 2027-01-01" in ending.target
    assert "to be paid, until 2027-06-01" in ending.target
    assert type(untag).__name__ == "UntagServer"
    world.account_.orders.ended.add("ns1")
    assert [type(s).__name__ for s in plan_of(world).steps] == ["UntagServer"], "it was set to end already"


def test_deleting_with_delete_touches_no_server_of_another_installation():
    world = deleting(world_with(status={}, tags=marked(installation="other")), deletionPolicy="Delete")
    assert plan_of(world).steps == ()


def owned(world, *, listed=True, cloud_deleting=False):
    owner = {"apiVersion": "sovereigncloud.io/v1alpha1", "kind": "SovereignCloud", "name": "rbx", "uid": "c"}
    world.raw[KEY]["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    server = {"name": "1", "serviceName": "ns1" if listed else "ns9", "roles": ["Frontend", "Node"]}
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "vrack": "pn-1", "servers": [server]}
    raw = world.put(
        {
            "kind": "SovereignCloud",
            "metadata": {"name": "rbx", "namespace": "platform", "uid": "c"},
            "spec": {"hosted": {"ovh": ovh, "openNebula": {"install": {"architecture": "Basic", "version": "7.0"}}}},
        }
    )
    raw["status"]["endpoint"] = "http://127.0.0.11:2633/RPC2"
    if cloud_deleting:
        raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    return deleting(world)


def network(world):
    world.put(
        {
            "kind": "VirtualNetwork",
            "metadata": {"name": "vlan", "namespace": "platform"},
            "spec": {"cloudRef": {"name": "rbx"}, "vlanID": 100},
        }
    )


def test_a_server_that_its_cloud_lists_stays():
    outcome = plan_of(owned(world_with(status={}))).outcome
    assert outcome.reason == "InUse"
    assert "spec.hosted.ovh.servers" in outcome.message


def test_a_dropped_server_stays_while_a_host_is_registered_on_it():
    world = owned(world_with(status={}), listed=False)
    world.one.version = "7.0.1"
    world.one.host("127.0.0.11")
    outcome = plan_of(world).outcome
    assert outcome.reason == "InUse"
    assert "host 0" in outcome.message
    world.one.hosts.clear()
    assert plan_of(world).outcome.reason == ""


def test_in_a_foreground_deletion_the_server_waits_for_all_but_servers():
    world = owned(world_with(status={}), cloud_deleting=True)
    network(world)
    outcome = plan_of(world).outcome
    assert outcome.reason == "InUse"
    assert "VirtualNetwork platform/vlan" in outcome.message
    del world.raw["VirtualNetwork", "platform", "vlan"]
    assert plan_of(world).outcome.reason == "", "else the cloud would wait for the server and the server for the cloud"


# --- records


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("first:requested:10:7:sys", Record("first", Stage.REQUESTED, 10, 7, "sys")),
        ("first:8:10:sys", Record("first", Stage.RUNNING, 10, 8, "sys")),
        ("first:done:10:sys", Record("first", Stage.DONE, 10, 0, "sys")),
        ("first:requested:10", Record("first", Stage.REQUESTED, 10, 0, "")),
        ("first:8", Record("first", Stage.RUNNING, 0, 8, "")),
        ("first", Record("first", Stage.DONE)),
        ("first:what", Record("first", Stage.DONE)),
    ],
)
def test_records_are_read_as_they_were_written(text, expected):
    assert read_record({RECORD_TAG: text}) == expected
    if expected and text.count(":") > 2:
        assert expected.text == text


# --- never twice

EVENTS = ("word", "word", "revert", "rebuilt", "forgot", "detached", "renamed", "minute", "hour", "over", "over")
FAULTS = ("ok", "ok", "before", "lost", "late", "crash")
LAGS = (0.0, 120.0, 290.0)
"""Seconds until the API shows a new task."""


class Story:
    """One server, a loop over it, and what happens to both."""

    def __init__(self):
        self.world = FakeWorld()
        self.account = self.world.account_
        self.account.add("ns1")
        self.account.systems = frozenset(f"system{n}" for n in range(20))
        self.words = 0
        self.say(0)
        self.loop = Loop(self.world, BareMetalServerController(), KEY)

    def say(self, number):
        """A word in spec, each with a system of its own."""
        self.world.put(manifest(reinstall=request(f"w{number}", f"system{number}")))

    def word(self):
        self.words += 1
        self.say(self.words)

    def revert(self):
        self.say(max(self.words - 1, 0))

    def rebuilt(self):
        self.world.clock.pass_(GRACE)  # a new operator trusts nothing read within the grace after its start
        self.loop.raw["status"] = {"observedGeneration": -1}
        self.loop.raw["metadata"]["uid"] += "x"

    def forgot(self):
        self.loop.raw["status"].pop("external", None)

    def detached(self):
        self.account.move("ns1-priv", "")

    def renamed(self):
        self.account.servers["ns1"].display_name = "junk"

    def minute(self):
        self.world.clock.pass_(60)

    def hour(self):
        self.world.clock.pass_(4000)

    async def told(self, events):
        """Everything that happens, then no more faults, until it is quiet; and one more look."""
        for event in events:
            looked = await self.loop.once()
            self.world.clock.pass_(getattr(looked.outcome, "after", None) or 5.0)
            if event == "over":
                await self.loop.until_quiet()
            else:
                getattr(self, event)()
        self.account.faults.clear()
        await self.loop.until_quiet()
        self.world.clock.pass_(LAGS[-1] + 120)  # a task of a lost answer may show only now, and gets its record
        last = await self.loop.until_quiet()
        self.world.clock.pass_(120)
        written = len(self.account.writes)
        again = await self.loop.once()
        return last, again, len(self.account.writes) - written


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=25),
    events=st.lists(st.sampled_from(EVENTS), max_size=8),
    lag=st.sampled_from(LAGS),
    purged=st.sampled_from([0.0, 600.0, 7200.0]),
    final=st.sampled_from(["done", "done", "ovhError"]),
)
@example(faults=["ok"] * 8 + ["lost"], events=["word", "over", "revert"], lag=0.0, purged=0.0, final="ovhError").via(
    "an end between the two tags of a new word: the earlier word was forgotten, and a return to it wiped again"
)
@example(
    faults=["ok"] * 8 + ["before", "ok", "ok", "lost"],
    events=["word", "hour", "word", "word", "revert"],
    lag=290.0,
    purged=0.0,
    final="ovhError",
).via("a task that shows minutes after its lost answer gets its record then")
def test_whatever_happens_no_word_wipes_a_server_twice(faults, events, lag, purged, final):
    story = Story()
    account = story.account
    account.task_lag, account.purged_after, account.final, account.faults = lag, purged, final, list(faults)
    last, again, written = run(story.told(events))
    assert all(count <= 1 for count in account.reinstalled.values()), account.writes
    assert last.outcome.reason in {"", "Renaming", "ReinstallFailed", "ReinstallUnknown"}
    assert not again.performed
    assert written == 0, "a second run writes nothing"
    if last.outcome.reason in {"", "Renaming"}:
        assert account.servers["ns1"].interfaces[1].vrack == "pn-1"
    if last.outcome.reason in {"", "Renaming", "ReinstallFailed"}:
        assert QUIET_TAG not in account.servers["ns1"].tags
        assert not account.servers["ns1"].no_intervention
