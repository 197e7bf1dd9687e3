"""Scale-in: whose host goes, what becomes of the machines on it, and what is refused with which words."""

from dataclasses import dataclass, field, replace

import pytest
from tests.unit.kinds.cloud_fakes import NOON, run
from tests.unit.kinds.sovereigncloud.test_plan import ADDRESSES, READY, Scene, names, server

from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Disruption
from sovereigncloud.ports.opennebula.views import Vm

FRONT = server("one-1", ["Frontend", "Node"])
SECOND = server("one-2", ["Node"])
THIRD = server("one-3", ["Node"])
ON_1, ON_2 = ADDRESSES["one-1"], ADDRESSES["one-2"]
UNIX = int(NOON.timestamp())
OURS = Mark("prod", "HostedInstance/platform/web", "u")
THEIRS = Mark("other", "HostedInstance/platform/web", "u")
RUNNING, MIGRATING, UNKNOWN, BOOT_FAILURE, TERMINATING = (3, 3), (3, 4), (3, 16), (3, 36), (3, 12)
POWERED_OFF = (8, 0)


def machine(number, *, on=ON_2, state=RUNNING, mark=OURS, cpu="1", memory=1024, owner=0):
    return Vm(number, f"web-{number}", owner, *state, cpu, 1, memory, (), (), mark, on, "", "")


def leaving(*machines, servers=(FRONT,), settled=True, **hosted_more):
    """A cloud of two of which the second was taken off the list."""
    scene = Scene("running", settled=settled)
    scene.raw["spec"]["hosted"]["ovh"]["servers"] = list(servers)
    scene.raw["spec"]["hosted"] |= hosted_more
    scene.world.one.vms = {vm.id: vm for vm in machines}
    scene.world.one.count()
    return scene


def host_of(scene, number, **change):
    scene.world.one.hosts[number] = replace(scene.world.one.hosts[number], **change)


def asked(text, ago):
    return lambda scene: scene.raw["status"].update(external={"moveAsked": f"{text}@{UNIX - ago}"})


def instance(scene, **spec):
    scene.world.put(
        {
            "apiVersion": "sovereigncloud.io/v1alpha1",
            "kind": "HostedInstance",
            "metadata": {"name": "web", "namespace": "platform"},
            "spec": {"source": {"image": "i"}, "vcpu": 1, "memory": "1Gi", **spec},
        }
    )


def front_leaves(scene):
    scene.raw["spec"]["hosted"]["ovh"]["servers"] = [server("one-2", ["Frontend", "Node"])]


def last_node_leaves(scene):
    scene.raw["spec"]["hosted"]["ovh"]["servers"] = [server("one-1", ["Frontend"])]
    host_of(scene, 0, mark=None)  # what the role left behind is another case


@dataclass
class Case:
    why: str
    machines: tuple = ()
    change: object = None
    more: dict = field(default_factory=dict)
    steps: tuple = ()
    reason: str = ""
    says: tuple = ()
    needs: str = ""
    phase: Phase = Phase.DONE


LOST = {"lostHosts": [{"name": ON_2, "machines": [7]}]}
CASES = [
    Case("nobody is on it: disabled, then deleted", steps=("DisableHost", "DeleteHost")),
    Case(
        "a machine runs on it: moved live, then the host is deleted",
        (machine(7),),
        steps=("DisableHost", "MoveMachine", "DeleteHost"),
    ),
    Case(
        "it is disabled already and noted: not once more",
        (machine(7),),
        lambda scene: host_of(scene, 1, state=4, notes={"SOVEREIGNCLOUD_LEAVING": "one-2"}),
        steps=("MoveMachine", "DeleteHost"),
    ),
    Case(
        "somebody else had disabled it: it is noted that it leaves, for a cluster that is rebuilt meanwhile",
        change=lambda scene: host_of(scene, 1, state=4),
        steps=("DisableHost", "DeleteHost"),
    ),
    Case(
        "a machine that does not run is moved as it lies",
        (machine(7, state=POWERED_OFF),),
        steps=("DisableHost", "MoveMachine", "DeleteHost"),
    ),
    Case(
        "a machine is being migrated: waited for, and the host is not deleted meanwhile",
        (machine(7, state=MIGRATING),),
        steps=("DisableHost",),
        reason="Draining",
        phase=Phase.WAITING,
        says=("VM 7 (web-7)",),
    ),
    Case(
        "a machine that is being terminated ends by itself",
        (machine(7, state=TERMINATING),),
        steps=("DisableHost",),
        reason="Draining",
        phase=Phase.WAITING,
    ),
    Case(
        "a machine that is on its way to another host counts here until it arrived",
        (machine(7, on=ON_1, state=MIGRATING),),
        lambda scene: host_of(scene, 1, running_vms=1),
        steps=("DisableHost",),
        reason="Draining",
        phase=Phase.WAITING,
        says=("1 machines",),
    ),
    Case(
        "asked a moment ago and not to be seen yet: not asked twice, and no other meanwhile",
        (machine(7), machine(8)),
        asked("7 live", 5),
        steps=("DisableHost",),
        reason="Draining",
        phase=Phase.WAITING,
        says=("VM 7",),
    ),
    Case(
        "asked, and it is where it was: told, since OpenNebula says nothing of a move that failed; others go on",
        (machine(7), machine(8)),
        asked("7 live", 60),
        steps=("DisableHost", "MoveMachine"),
        reason="DrainBlocked",
        phase=Phase.BLOCKED,
        says=("VM 7 (web-7) did not move", "updatePolicy.powerCycle"),
    ),
    Case(
        "and asked again after a while",
        (machine(7),),
        asked("7 live", 400),
        steps=("DisableHost", "MoveMachine", "DeleteHost"),
    ),
    Case(
        "a machine that needs recovery first is named",
        (machine(7, state=BOOT_FAILURE),),
        steps=("DisableHost",),
        reason="DrainBlocked",
        phase=Phase.BLOCKED,
        says=("VM 7 (web-7)", "recover"),
    ),
    Case(
        "no other host has the processors",
        (machine(7, cpu="33"),),
        steps=("DisableHost",),
        reason="NoCapacity",
        phase=Phase.BLOCKED,
        says=("VM 7 (web-7)", "cluster 0", "add a server"),
    ),
    Case(
        "no other host has the memory, since the machines on it have it",
        (machine(7, memory=65536), machine(8, on=ON_1, memory=98304)),
        steps=("DisableHost",),
        reason="NoCapacity",
        phase=Phase.BLOCKED,
    ),
    Case(
        "room on a host of another cluster is no room",
        (machine(7),),
        lambda scene: host_of(scene, 0, cluster_id=100),
        steps=("DisableHost",),
        reason="NoCapacity",
        phase=Phase.BLOCKED,
    ),
    Case(
        "the only other host does not work",
        (machine(7),),
        lambda scene: host_of(scene, 0, state=3),
        steps=("DisableHost",),
        reason="NoCapacity",
        phase=Phase.BLOCKED,
    ),
    Case(
        "a machine of nobody's is not moved unasked: all of them are named, with the field",
        (machine(7, mark=None), machine(8, mark=THEIRS), machine(9)),
        steps=("DisableHost", "MoveMachine", "MoveMachine", "MoveMachine", "DeleteHost"),
        reason="ApprovalRequired",
        phase=Phase.APPROVAL,
        says=("VM 7 (web-7), VM 8 (web-8)", "spec.hosted.updatePolicy.moveForeign: Allow"),
        needs="spec.hosted.updatePolicy.moveForeign: Allow",
    ),
    Case(
        "our mark under another user is not ours: tenants can write it",
        (machine(7, owner=5),),
        lambda scene: setattr(scene.world.one, "owner", 0),
        steps=("DisableHost", "MoveMachine", "DeleteHost"),
        reason="ApprovalRequired",
        phase=Phase.APPROVAL,
        needs="spec.hosted.updatePolicy.moveForeign: Allow",
    ),
    Case(
        "with consent they are moved like the others",
        (machine(7, mark=None),),
        more={"updatePolicy": {"moveForeign": "Allow"}},
        steps=("DisableHost", "MoveMachine", "DeleteHost"),
    ),
    Case(
        "the server is dead: what is on it cannot be moved, and is given up only where a person names it",
        (machine(7, state=UNKNOWN), machine(8, state=UNKNOWN)),
        lambda scene: host_of(scene, 1, state=3),
        steps=("GiveUpMachine", "GiveUpMachine", "DeleteHost"),
        reason="ApprovalRequired",
        phase=Phase.APPROVAL,
        says=("VM 7 (web-7), VM 8 (web-8)", "loses their disks"),
        needs=f"spec.hosted.lostHosts: [{{name: {ON_2}, machines: [7, 8]}}]",
    ),
    Case(
        "a consent that names one of two does not hold for the other",
        (machine(7, state=UNKNOWN), machine(8, state=UNKNOWN)),
        lambda scene: host_of(scene, 1, state=3),
        more=LOST,
        steps=("GiveUpMachine", "GiveUpMachine", "DeleteHost"),
        reason="ApprovalRequired",
        phase=Phase.APPROVAL,
        needs=f"spec.hosted.lostHosts: [{{name: {ON_2}, machines: [7, 8]}}]",
    ),
    Case(
        "a consent is for what is lost: a machine on a host that works is moved",
        (machine(7),),
        more=LOST,
        steps=("DisableHost", "MoveMachine", "DeleteHost"),
    ),
    Case(
        "a dead server with nobody on it needs nobody's word",
        change=lambda scene: host_of(scene, 1, state=3),
        steps=("DeleteHost",),
    ),
    Case(
        "the front-end cannot be taken off",
        change=front_leaves,
        steps=("ApplyChild",),
        reason="FrontEndNeeded",
        phase=Phase.STALLED,
        says=("one-1", "put it back"),
    ),
    Case(
        "the last host cannot be taken off",
        change=last_node_leaves,
        steps=("ApplyChild",),
        reason="LastHost",
        phase=Phase.STALLED,
        says=("127.0.0.12", "add another server"),
    ),
    Case(
        "a host of another installation is left to it",
        change=lambda scene: host_of(scene, 1, mark=THEIRS),
        reason="OwnedByAnotherInstallation",
        phase=Phase.STALLED,
    ),
    Case(
        "of two hosts of one name a person chooses",
        change=lambda scene: scene.world.one.host(ON_2, mark=None),
        reason="MultipleMatches",
        phase=Phase.STALLED,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_scale_in(case):
    scene = leaving(*case.machines, **case.more)
    if case.change:
        case.change(scene)
    plan = scene.plan()
    assert names(plan) == case.steps, case.why
    assert (plan.outcome.reason, plan.outcome.phase) == (case.reason, case.phase), case.why
    for words in case.says:
        assert words in plan.outcome.message, case.why
    assert (plan.steps[-2].needs if case.needs else "") == case.needs


def test_until_its_host_is_gone_the_server_stays():
    scene = leaving(machine(7))
    assert not any("Child" in n for n in names(scene.plan()))
    del scene.world.one.hosts[1]
    assert "DeleteChild" not in names(scene.plan()), "a machine is there still, whatever the list of hosts says"
    scene.world.one.vms.clear()
    assert "DeleteChild" in names(scene.plan())


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("the front-end does not answer", lambda scene: setattr(scene.world.one, "version", None)),
        ("a list of hosts that is empty is none to believe", lambda scene: scene.world.one.hosts.clear()),
    ],
)
def test_nothing_goes_unseen(why, change):
    scene = leaving()
    change(scene)
    assert "DeleteChild" not in names(scene.plan()), why


def test_a_server_that_was_never_a_host_goes_at_once():
    scene = leaving()
    scene.raw["status"] = {"observedGeneration": -1}
    scene.world.one.version = None
    assert "DeleteChild" in names(scene.plan())


def test_a_server_listed_again_stays_and_its_host_is_enabled():
    scene = leaving(machine(7), servers=(FRONT, SECOND))
    host_of(scene, 1, state=4, notes={"SOVEREIGNCLOUD_LEAVING": "one-2"})
    (step,) = scene.plan().steps
    assert (type(step).__name__, step.was_leaving) == ("EnableHost", True)
    run(scene.loop().once())
    assert scene.world.one.hosts[1].notes == {}
    assert scene.plan().steps == ()


def test_a_server_that_is_no_node_any_more_loses_its_host():
    scene = leaving(machine(7, on=ON_1), servers=(server("one-1", ["Frontend"]), SECOND))
    scene.world.one.count()
    plan = scene.plan()
    assert [n for n in names(plan) if "Child" not in n] == ["DisableHost", "MoveMachine", "DeleteHost"]
    assert plan.steps[-1].host_id == 0
    assert plan.outcome.phase is not Phase.STALLED, "the front-end itself stays"


def test_a_rebuilt_cluster_goes_on_where_the_host_says_that_it_leaves():
    """The object of the server is lost with the cluster; the host carries the note."""
    scene = leaving(machine(7))
    del scene.world.raw["BareMetalServer", "platform", "rbx-one-2"]
    plan = scene.plan()
    assert names(plan) == ()
    assert [(d.path, d.mendable) for d in plan.drift] == [(f"spec.hosted.lostHosts[{ON_2}]", False)]
    host_of(scene, 1, state=4, notes={"SOVEREIGNCLOUD_LEAVING": "one-2"})
    assert names(scene.plan()) == ("MoveMachine", "DeleteHost")
    scene.child("rbx-one-1")["status"].pop("address")
    assert names(scene.plan()) == (), "before every address is known nobody can tell whose a host is"


def test_what_waits_for_a_new_server_does_not_hold_up_the_one_that_leaves():
    """Host replacement: one was taken off, another one is ordered or reinstalled, which may take days."""
    scene = leaving(machine(7), servers=(FRONT, THIRD))
    scene.world.put(scene.plan().steps[0].manifest)
    plan = scene.plan()
    assert names(plan) == ("DisableHost", "MoveMachine", "DeleteHost")
    assert plan.outcome.reason == "WaitingForServers"


def test_a_failed_host_names_its_machines_and_the_way_out():
    scene = leaving(machine(7, state=UNKNOWN), servers=(FRONT, SECOND))
    host_of(scene, 1, state=3)
    plan = scene.plan()
    assert plan.steps == ()
    for words in ("host 1 (127.0.0.12)", "VM 7 (web-7)", "take it off spec.hosted.ovh.servers"):
        assert words in plan.outcome.message


def test_a_move_that_failed_live_is_done_with_an_interruption_where_the_instance_lets_it():
    scene = leaving(machine(7))
    instance(scene, updatePolicy={"powerCycle": "Allow"})
    asked("7 live", 60)(scene)
    _, step, _ = scene.plan().steps
    assert (step.live, step.disruption) == (False, Disruption.RESTART)
    instance(scene)
    assert "MoveMachine" not in names(scene.plan())


def test_each_machine_has_a_place_in_the_plan_that_the_others_leave_it():
    scene = leaving(
        machine(7, memory=65536),
        machine(8, memory=65536),
        servers=(FRONT, THIRD),
        updatePolicy={"moveForeign": "Allow"},
    )
    scene.world.one.host("127.0.0.13", mark=scene.world.mark(scene.cloud))
    scene.world.put(scene.plan().steps[0].manifest)
    scene.child("rbx-one-3")["status"] = {"observedGeneration": 1, "conditions": READY, "address": "127.0.0.13"}
    moves = [s for s in scene.plan().steps if type(s).__name__ == "MoveMachine"]
    assert sorted(s.host_id for s in moves) == [0, 2]


def test_from_four_machines_to_an_empty_host_one_at_a_time():
    machines = (machine(7), machine(8, state=POWERED_OFF), machine(9), machine(10, on=ON_1))
    scene = leaving(*machines)
    loop = scene.loop()

    async def go():
        for _ in range(60):
            looked = await loop.once()
            assert sum(type(s).__name__ == "MoveMachine" for s in looked.performed) <= 1
            scene.world.clock.pass_(40)
            if any(type(s).__name__ == "DeleteChild" for s in looked.performed):
                return
        raise AssertionError(looked)

    run(go())
    assert scene.world.one.writes == [
        "update host 1", "disable host 1", "move vm 7 to host 0 live", "move vm 8 to host 0", "move vm 9 to host 0 live",
        "delete host 1",
    ]  # fmt: skip
    assert scene.world.kubernetes.deleted == ["rbx-one-2"]
    assert "moveAsked" not in scene.raw["status"].get("external", {})


def test_given_up_is_what_was_named_and_nothing_else():
    scene = leaving(machine(7, state=UNKNOWN), machine(8, on=ON_1), **LOST)
    host_of(scene, 1, state=3)
    loop = scene.loop()
    run(loop.once())
    run(loop.once())
    assert scene.world.one.writes == ["give up vm 7", "delete host 1"]
    assert set(scene.world.one.vms) == {8}


def test_nothing_moves_by_itself_in_a_cloud_as_declared():
    scene = Scene(settled=True)
    scene.world.one.vms = {7: machine(7)}
    scene.world.one.count()
    assert scene.plan().steps == ()
