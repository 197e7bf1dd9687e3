"""Servers come and go while the cloud runs: one is added, one is taken off with machines on it, one dies and is replaced; and
the end of the cloud, in order, as Argo CD deletes it.

The twelve bad worlds of a deletion are in tests/faults/test_leaving_worlds.py, a crash at every write of a scale-in in
tests/faults/test_scaling_crashes.py.
"""

import base64
import re

import pyone
import pytest
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

from sovereigncloud_sandbox.cluster import CommandError
from sovereigncloud_sandbox.stage import is_ready

CLOUD = ("SovereignCloud", "ovh-rbx")
THIRD, FOURTH = "ns3090001.ip-57-131-167.eu", "ns3090002.ip-57-131-167.eu"
STRANGER = 'NAME="stranger"\nCPU="1"\nMEMORY="512"'


def entry(name, service):
    return {
        "name": name,
        "serviceName": service,
        "roles": ["Node"],
        "reinstall": {"request": "first", "operatingSystem": SYSTEM, "wipeAllDisks": True},
    }


def with_servers(*more, without=(), **hosted_more):
    """The hosted cloud with other servers."""
    cloud = hosted(deletionPolicy="Delete")
    servers = cloud["spec"]["hosted"]["ovh"]["servers"]
    cloud["spec"]["hosted"]["ovh"]["servers"] = [*(s for s in servers if s["name"] not in without), *more]
    for key, value in hosted_more.items():
        cloud["spec"]["hosted"][key] = value
    return cloud


@pytest.fixture(scope="module")
def built(stage, chronicle):
    """Two servers, and two more in the account that belong to nobody."""
    for number, name in ((12, THIRD), (13, FOURTH)):
        stage.ovh.call("POST", "/servers", {"name": name, "ip": stage.address(number)})
    stage.apply([account(stage), with_servers()])
    return chronicle.ready(*CLOUD, 120)


@pytest.fixture
def one(stage, built):
    found = stage.cluster.get("secret", built["status"]["credentialsSecret"], "-n", "platform")["data"]
    user, password = (base64.b64decode(found[key]).decode() for key in ("username", "password"))
    return pyone.OneServer(built["status"]["endpoint"], session=f"{user}:{password}")


def hosts(stage):
    return {h["name"]: h for h in stage.cloud("ovh-rbx")["hosts"]}


def machine(stage, name):
    return next(vm for vm in stage.cloud("ovh-rbx")["vms"] if vm["name"] == name)


def host_of(one, number):
    return one.vm.info(number).HISTORY_RECORDS.HISTORY[-1].HOSTNAME


def installs(stage):
    return {name: len(stage.server(name)["installs"]) for name in (FRONT, NODE)}


def tags(stage, server):
    return {t for t in stage.server(server)["resource"]["tags"] if t.startswith("sovereigncloud.io/")}


def waits(chronicle, *words):
    """The message of the cloud, once it holds all of this."""

    def told():
        found = str([chronicle.condition(*CLOUD, kind) for kind in ("Reconciling", "Stalled")])
        return found if all(word in found for word in words) else None

    return chronicle.until(f"told {words}", told, 40)


# --- one more --------------------------------------------------------------------------------------------------------


def test_a_server_added_to_the_list_becomes_a_host_and_the_others_are_left_alone(stage, built, chronicle):
    before = installs(stage)
    stage.apply(with_servers(entry("one-3", THIRD)))
    chronicle.until("three hosts", lambda: chronicle.get(*CLOUD)["status"].get("hostsReady") == "3/3", 120)
    chronicle.ready(*CLOUD)
    assert stage.address(12) in hosts(stage)
    assert stage.private_interface(THIRD)["vrack"] == VRACK
    assert stage.server(THIRD)["document"]["os"] == SYSTEM
    assert installs(stage) == before
    assert len(stage.cluster.get("jobs", "-n", "platform")["items"]) == 2


# --- one less --------------------------------------------------------------------------------------------------------


def test_a_server_with_a_strangers_machine_stays_and_names_it(stage, built, one, chronicle):
    """Ours moves, live; that of a stranger does not without a word."""
    third = hosts(stage)[stage.address(12)]["id"]
    stage.apply([image("ovh-rbx"), instance("web", "ovh-rbx", "vm_vlan100")])
    chronicle.ready("HostedInstance", "web")
    web = machine(stage, "web")["id"]
    if host_of(one, web) != stage.address(12):
        one.vm.migrate(web, third, True)
        stage.until(lambda: host_of(one, web) == stage.address(12), "moved by a person", seconds=10)
        stage.until(lambda: machine(stage, "web")["lcm"] == "RUNNING", "running", seconds=10)
    stranger = one.vm.allocate(STRANGER, True)
    one.vm.deploy(stranger, third)
    stage.until(lambda: machine(stage, "stranger")["lcm"] == "RUNNING", "running", seconds=10)
    stage.apply(with_servers())
    message = waits(chronicle, "ApprovalRequired", f"VM {stranger} (stranger)", "moveForeign: Allow")
    assert "web" not in message.partition("stranger")[0]
    stage.until(lambda: host_of(one, web) != stage.address(12), "ours moved", seconds=20)
    assert one.host.info(third).STATE in {4, 7}, "nothing new is placed there"

    def planned():
        found = (chronicle.get(*CLOUD)["status"].get("plan") or {}).get("steps") or ()
        return found if [s["action"] for s in found][-2:] == ["Move", "Delete"] else None

    steps = chronicle.until("what is left, in order", planned, 20)
    assert steps[-2]["needs"] == "spec.hosted.updatePolicy.moveForeign: Allow"
    assert host_of(one, stranger) == stage.address(12)
    assert chronicle.get("BareMetalServer", "ovh-rbx-one-3"), "its server waits for it"
    assert stage.private_interface(THIRD)["vrack"] == VRACK


def test_a_server_taken_off_the_list_goes_when_its_machines_are_elsewhere(stage, built, one, chronicle):
    """With the word of a person, and across a restart of the operator."""
    before, web, stranger = installs(stage), machine(stage, "web")["id"], machine(stage, "stranger")["id"]
    stage.kill_operator()
    stage.apply(with_servers(updatePolicy={"moveForeign": "Allow"}))
    stage.start_operator()
    chronicle.until("its server gone", lambda: not chronicle.get("BareMetalServer", "ovh-rbx-one-3"), 60)
    chronicle.ready(*CLOUD)
    assert stage.address(12) not in hosts(stage)
    for number in (web, stranger):
        assert host_of(one, number) in {stage.address(10), stage.address(11)}
        assert one.vm.info(number).LCM_STATE == 3
    assert stage.private_interface(THIRD)["vrack"] is None
    assert (
        tags(stage, THIRD) & {f"sovereigncloud.io/{t}" for t in ("installation", "object", "uid", "installed")} == set()
    )
    assert installs(stage) == before
    assert chronicle.get(*CLOUD)["status"]["hostsReady"] == "2/2"
    moves = stage.one_calls("ovh-rbx", "one.vm.migrate")
    assert len(moves) <= 3, "one by a person, and each of the two once"


def test_an_entry_put_back_keeps_its_server(stage, built, one, chronicle):
    """A machine is locked so that it cannot move; meanwhile the entry comes back."""
    stranger = machine(stage, "stranger")["id"]
    second = hosts(stage)[stage.address(11)]["id"]
    if host_of(one, stranger) != stage.address(11):
        one.vm.migrate(stranger, second, True)
        stage.until(lambda: host_of(one, stranger) == stage.address(11), "moved by a person", seconds=10)
    stage.apply(with_servers(without=("one-2",)))
    waits(chronicle, "ApprovalRequired", "stranger")
    stage.apply(with_servers())
    chronicle.until("enabled again", lambda: "DISABLED" not in hosts(stage)[stage.address(11)]["state"], 20)
    chronicle.ready(*CLOUD)
    assert "SOVEREIGNCLOUD_LEAVING" not in {k for k, v in one.host.info(second).TEMPLATE.items() if v}
    assert is_ready(chronicle.get("BareMetalServer", "ovh-rbx-one-2"))


def test_the_front_end_cannot_be_taken_off(stage, built):
    with pytest.raises(CommandError, match="holds its database"):
        stage.apply(with_servers(entry("one-3", THIRD), without=("one-1",)))
    cloud = with_servers()
    server_named(cloud, "one-1")["roles"] = ["Node"]
    server_named(cloud, "one-2")["roles"] = ["Frontend", "Node"]
    with pytest.raises(CommandError, match="holds its database"):
        stage.apply(cloud)


# --- one dies --------------------------------------------------------------------------------------------------------


def test_a_dead_server_is_replaced_and_what_is_lost_is_named_first(stage, built, one, chronicle):
    """In one apply the dead one goes and another takes its role; its machine is lost only where a person says so."""
    stranger, web = machine(stage, "stranger")["id"], machine(stage, "web")["id"]
    first, second = (hosts(stage)[stage.address(n)]["id"] for n in (10, 11))
    if host_of(one, web) != stage.address(10):
        one.vm.migrate(web, first, True)
        stage.until(lambda: host_of(one, web) == stage.address(10), "out of harm's way", seconds=10)
    assert host_of(one, stranger) == stage.address(11)
    stage.mischief("ovh-rbx", "host-break", host=second)
    waits(chronicle, "HostNotMonitored", f"VM {stranger} (stranger)", "take it off")
    install = {**with_servers()["spec"]["hosted"]["openNebula"]["install"], "rerun": {"request": "one-4"}}
    more = {"without": ("one-2",), "openNebula": {"install": install}}
    stage.apply(with_servers(entry("one-4", FOURTH), **more))
    waits(chronicle, f"VM {stranger} (stranger)", "lostHosts")
    assert one.vm.info(stranger).STATE == 3
    assert chronicle.get("BareMetalServer", "ovh-rbx-one-2")
    consent = [{"name": stage.address(11), "machines": [stranger]}]
    stage.apply(with_servers(entry("one-4", FOURTH), lostHosts=consent, **more))
    chronicle.until("the dead one gone", lambda: not chronicle.get("BareMetalServer", "ovh-rbx-one-2"), 60)
    chronicle.until("two hosts", lambda: chronicle.get(*CLOUD)["status"].get("hostsReady") == "2/2", 120)
    chronicle.ready(*CLOUD)
    assert set(hosts(stage)) == {stage.address(10), stage.address(13)}
    assert one.vm.info(stranger).STATE == 6
    assert one.vm.info(web).LCM_STATE == 3
    assert installs(stage)[FRONT] == 1


# --- the end ---------------------------------------------------------------------------------------------------------


def test_the_cloud_ends_in_order_though_all_of_it_is_deleted_at_once(stage, built, one, chronicle):
    """Foreground, as Argo CD does it: its children have their deletionTimestamp from the first second on."""
    stranger = one.vm.allocate(STRANGER, True)
    stage.cluster.kubectl("delete", "hinst,mimg", "--all", "-n", "platform", "--timeout=60s")
    since = stage.ovh_mark
    stage.cluster.kubectl("delete", "scloud/ovh-rbx", "-n", "platform", "--wait=false", "--cascade=foreground")
    waits(chronicle, "InUse", f"VM {stranger} (stranger)", "deletionPolicy: Retain")
    assert len(hosts(stage)) == 2
    assert stage.private_interface(FRONT)["vrack"] == VRACK
    assert stage.ovh_writes(since) == []
    one.vm.action("terminate", stranger)
    chronicle.gone()
    done = [f"{e['method']} {e['path']}" for e in stage.ovh_writes(since)]
    order = (r"/ip/", r"dedicatedServerInterface", r"dedicatedServer.*/tag/")
    places = [[n for n, what in enumerate(done) if re.search(part, what)] for part in order]
    assert all(places)
    assert max(places[0]) < min(places[1]) < min(places[2])
    assert hosts(stage) == {}
    assert stage.block(BLOCK)["document"]["routedTo"] is None
    assert [stage.private_interface(name)["vrack"] for name in (FRONT, FOURTH)] == [None, None]
    assert "finalizers" not in stage.cluster.get("secret", "ovh-account", "-n", "platform")["metadata"]
