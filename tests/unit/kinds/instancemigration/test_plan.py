"""What is in the way of a move, and what comes next from whatever is found: between any two writes, from the marks alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from tests.unit.kinds.opennebula_in_memory import (
    NOW,
    POWEROFF,
    RUNNING,
    US,
    OpenNebula,
    World,
    image,
    mark,
    network,
    resource,
    vm,
)

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Phase, blocked, stalled
from sovereigncloud.core.placement import Decision
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.hostedinstance.placement.placement import Chosen
from sovereigncloud.kinds.instancemigration.controller import InstanceMigrationController, phase_of
from sovereigncloud.kinds.instancemigration.observation import CopyOfDisk, MigrationObservation, Side
from sovereigncloud.kinds.instancemigration.plan import plan
from sovereigncloud.kinds.movement.records import MOVING, Note, Rehearsal, read_rehearsal, read_told, shortened, told
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.migration import App, AppState
from sovereigncloud.ports.opennebula.views import Disk, Pci

RBX, PARIS = Key("SovereignCloud", "team", "rbx"), Key("SovereignCloud", "team", "paris")
MOVE = mark("InstanceMigration", "go", "uid-go")
INSTANCE = mark("HostedInstance", "web")
HTTP = Marketplace(3, "way-out", 0, 0, "http")
SPEC: dict[str, Any] = {
    "source": {"image": "ubuntu"},
    "vcpu": 2,
    "memory": "4Gi",
    "networks": [{"name": "lan"}],
    "placement": {"cloudRef": {"name": "rbx"}},
}
JUST_BEGUN = {"from": "team/rbx", "began": "100", "marketplace": "3"}
FOLLOWS = {"conditions": [{"type": "Reconciling", "status": "True", "reason": "Moving"}]}
BEGUN = JUST_BEGUN | {"stopped": "110"}
NOTE = Note("uid-go", "100", ran=True)


def move(spec: dict[str, Any] | None = None, external: dict[str, str] | None = None, **meta: Any) -> Any:
    wanted = {"instanceRef": {"name": "web"}, "to": {"cloudRef": {"name": "paris"}}, "mode": "Execute"} | (spec or {})
    return resource("InstanceMigration", "go", wanted, {"external": external or {}}, uid="uid-go", **meta)


def web(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    return resource("HostedInstance", "web", SPEC | (spec or {}), status, **meta)


async def sides(here: OpenNebula | None = None, there: OpenNebula | None = None) -> dict[str, Side]:
    source, target = here or OpenNebula(network(), image()), there or OpenNebula(network())
    both = (("source", RBX, source), ("target", PARIS, target))
    return {name: Side(key, await one.view(0.0), US, frozenset({US})) for name, key, one in both}


async def found(**fields: Any) -> MigrationObservation:
    """VM 12 in rbx, which is to move to paris: it runs, has one disk, and there is a way out."""
    old = fields.pop("old", vm())
    disks = tuple(CopyOfDisk(disk, "") for disk in (old.disks if old is not None else ()))
    base = MigrationObservation(
        mark=MOVE, instance=web(), instance_mark=INSTANCE, old=old, disks=disks, marketplaces=(HTTP,), uid="uid-go",
        **await sides(fields.pop("here", None), fields.pop("there", None)),
    )  # fmt: skip
    return replace(base, **fields)


def steps(made: Plan) -> list[str]:
    return [type(step).__name__ for step in made.steps]


# -------------------------------------------------------------------------------------------------- before it begins


@dataclass(frozen=True)
class Row:
    why: str
    reason: str
    says: str
    spec: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)


FULL = OpenNebula(network())
FULL.datastores = {1: replace(FULL.datastores[1], free=10)}
IN_THE_WAY = [
    Row("a volatile disk", "NotMovable", "disk 1 is volatile", seen={"old": vm(disks=(Disk(0, 7, "u", 10), Disk(1, -1, "", 10)))}),
    Row("a device of the host", "NotMovable", "10de:2236:0302", seen={"old": vm(pci=(Pci("10de", "2236", "0302"),))}),
    Row("no disk at all", "NotMovable", "no disk", seen={"old": vm(disks=())}),
    Row("a suspended machine", "NotMovable", "Suspended", seen={"old": vm(at=(5, 0))}),
    Row("a machine that is busy", "Booting", "moves when that is over", seen={"old": vm(at=(3, 2))}),
    Row("a network that is not there", "NetworkNotFound", "spec.networkMap", seen={"there": OpenNebula()}),
    Row("a network mapped to none", "NetworkNotFound", "dmz", spec={"networkMap": [{"from": "lan", "to": "dmz"}]}),
    Row("no marketplace", "NoMarketplace", "has no enabled marketplace", seen={"marketplaces": ()}),
    Row("two of them", "NoMarketplace", "name one in spec.marketplace", seen={"marketplaces": (HTTP, replace(HTTP, id=4, name="b"))}),
    Row("another one is named", "NoMarketplace", 'called "other"', spec={"marketplace": "other"}),
    Row("it is disabled", "NoMarketplace", "no enabled", seen={"marketplaces": (replace(HTTP, state=1),)}),
    Row("object storage, and no federation", "NoMarketplace", "no keys", seen={"marketplaces": (replace(HTTP, driver="s3"),)}),
    Row("no room in the marketplace", "NoCapacity", 'marketplace "way-out" has', seen={"marketplaces": (replace(HTTP, free=1),)}),
    Row("a marketplace abroad", "NoCompliantPlace", "is in CA", seen={"abroad": {"way-out": "marketplace way-out is in CA"}}),
    Row("no room for the copy", "NoCapacity", "free", seen={"there": FULL}),
    Row("it is no part of the exit that it names", "WaitingForDependency", "no ExitPlan", seen={"exits": blocked("there is no ExitPlan team/leave")}),
    Row("another move of it", "WaitingForDependency", "InstanceMigration first", seen={"other": "first"}),
    Row("its spec would take it back", "NotMovable", "would move back by itself", seen={"instance": web({"updatePolicy": {"move": "Allow"}})}),
    Row("the instance goes", "NotMovable", "being deleted", seen={"instance": web(deleting=True)}),
    Row("the instance is only observed", "WaitingForDependency", "paused or only observed", seen={"instance": web({"management": "Observe"})}),
]  # fmt: skip


@pytest.mark.parametrize("row", IN_THE_WAY, ids=lambda row: row.why)
async def test_what_is_in_the_way_is_told_before_anything_is_done(row: Row) -> None:
    made = plan(move(row.spec), await found(**row.seen), NOW)
    assert steps(made) == []
    assert (str(made.outcome.reason), row.says in made.outcome.message) == (row.reason, True), made.outcome


async def test_where_the_policies_let_it_be_nowhere_it_does_not_begin() -> None:
    refused = Chosen(Decision(None, ()), outcome=stalled(Reason.NO_COMPLIANT_PLACE, "paris is in an unknown country"))
    made = plan(move(), await found(chosen=refused), NOW)
    assert (steps(made), made.outcome.reason) == ([], "NoCompliantPlace")


async def test_it_begins_with_a_note_that_says_whether_it_ran() -> None:
    for at, ran in ((RUNNING, True), (POWEROFF, False)):
        (step,) = plan(move(), await found(old=vm(at=at)), NOW).steps
        assert (type(step).__name__, step.runs, step.disruption) == ("Begin", ran, "Restart")
    (step,) = plan(move({"mode": "Rehearse"}), await found(), NOW).steps
    assert step.disruption == "None", "a rehearsal stops nothing"


def test_a_note_of_another_move_is_none_of_this_one() -> None:
    assert read_told(told(MOVE, "100", ran=True), MOVE) == NOTE
    assert read_told(told(MOVE, "100", ran=True), replace(MOVE, uid="uid-2")) == NOTE, "a rebuilt cluster goes on"
    assert read_told(told(replace(MOVE, object="InstanceMigration/team/b"), "100", ran=True), MOVE) is None
    assert [read_told(note, MOVE) for note in ("", "NO", "a b c d", f"{MOVE.object} u x ran")] == [None] * 4
    assert len(shortened("x" * 1000)) == 500


# ---------------------------------------------------------------------------------------------------------- under way

OFF, NEW = vm(at=POWEROFF, notes={MOVING: told(MOVE, "100", ran=True)}), vm(id=40, mark=MOVE, at=(2, 0))
COPIED = CopyOfDisk(OFF.disks[0], "", copy=image(id=50, name="exit-uid-go-0", owner=US, mark=MOVE))
APP = App(60, "exit-uid-go-0", US, AppState.READY, 10, "http://a/f", "d1", "way-out", 0, MOVE)
SAVED = image(id=70, name="exit-uid-go-0", owner=US)


def copied(**fields: Any) -> dict[str, Any]:
    return {"old": OFF, "note": NOTE, "instance": web(status=FOLLOWS), "disks": (replace(COPIED, **fields),)}


NEXT = [
    ("the note is there and the status lost", {}, {"old": OFF, "note": NOTE}, ["Remember"]),
    ("its instance does not follow yet", BEGUN, copied() | {"instance": web()}, []),
    ("it runs", JUST_BEGUN, copied(copy=None) | {"old": replace(OFF, state=3, lcm_state=3)}, ["Act"]),
    ("it was started while it was copied", BEGUN, copied(copy=None, saved=SAVED) | {"old": replace(OFF, state=3, lcm_state=3)}, ["Remember"]),
    ("it is off, and the answer was lost", JUST_BEGUN, copied(copy=None), ["Remember"]),
    ("it is off", BEGUN, copied(copy=None), ["SaveDisk"]),
    ("a disk is being saved", BEGUN, copied(copy=None, saved=replace(SAVED, state=4)), []),
    ("a disk is saved", BEGUN, copied(copy=None, saved=SAVED), ["PublishDisk"]),
    ("it is being published", BEGUN, copied(copy=None, saved=SAVED, app=replace(APP, state=2)), []),
    ("it is published", BEGUN, copied(copy=None, saved=SAVED, app=APP), ["ImportDisk"]),
    ("it is being imported", BEGUN, copied(copy=replace(COPIED.copy, state=4)), []),  # type: ignore[type-var]
    ("it is there", BEGUN, copied(), ["CreateCopy"]),
    ("the copy is held", BEGUN, copied() | {"new": NEW}, ["Act"]),
    ("the copy boots", BEGUN, copied() | {"new": replace(NEW, state=3, lcm_state=2)}, []),
    ("the copy failed", BEGUN, copied() | {"new": replace(NEW, state=3, lcm_state=36)}, ["Remember"]),
    ("the copy runs", BEGUN, copied() | {"new": replace(NEW, state=3, lcm_state=3)}, ["LeaveMachine", "HandOverMachine"]),
    ("the first mark is written", BEGUN, copied() | {"left": True, "new": replace(NEW, state=3, lcm_state=3)}, ["HandOverMachine"]),
    ("both are, and not recorded", BEGUN, copied() | {"left": True, "taken_over": True, "new": replace(NEW, state=3, lcm_state=3)}, []),
    ("it failed", BEGUN | {"failed": "no room"}, copied() | {"new": NEW}, ["Act"]),
    ("it failed, and the copy is gone", BEGUN | {"failed": "no room"}, copied(copy=None), ["Act"]),
    ("it failed after the change-over", BEGUN | {"failed": "no room"}, copied() | {"left": True, "new": replace(NEW, state=3, lcm_state=3)}, ["HandOverMachine"]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "external", "seen", "wanted"), NEXT, ids=[row[0] for row in NEXT])
async def test_what_comes_next_follows_from_what_is_found(why, external, seen, wanted) -> None:
    wanted_move, observed = move(external=external), await found(**seen)
    assert steps(plan(wanted_move, observed, NOW)) == wanted
    assert str(phase_of(wanted_move, observed))


async def test_the_copy_of_a_move_is_taken_back_only_once_no_change_over_can_show_any_more() -> None:
    """A rehearsal has none."""
    for mode, waits in (("Execute", True), ("Rehearse", False)):
        seen = await found(**(copied() | {"new": NEW}))
        (step,) = plan(move({"mode": mode}, external=BEGUN, deleting=True), seen, NOW).steps
        assert (step.verb, step.takes_back) == ("terminate-hard", waits)  # type: ignore[attr-defined]


async def test_a_guest_that_does_not_listen_is_asked_for_two_minutes_and_then_its_power_is_cut() -> None:
    begun, runs = int(NOW.timestamp()), replace(OFF, state=3, lcm_state=3)
    for since, verb in ((None, "poweroff"), (119, "poweroff"), (120, "poweroff-hard")):
        external = JUST_BEGUN | ({} if since is None else {"stopped": str(begun - since)})
        (step,) = plan(move(external=external), await found(**(copied(copy=None) | {"old": runs})), NOW).steps
        assert (step.verb, step.disruption) == (verb, "Restart")  # type: ignore[attr-defined]
    assert "its guest was asked to shut down and did not" in step.target
    made = plan(
        move({"mode": "Rehearse"}, external=JUST_BEGUN), await found(**(copied(copy=None) | {"old": runs})), NOW
    )
    assert steps(made) == ["SaveDisk"], "a rehearsal stops nothing"


async def test_a_copy_that_finds_no_place_for_ten_minutes_is_given_up() -> None:
    now = int(NOW.timestamp())
    for since, wanted in ((now - 601, ["Remember"]), (now - 599, [])):
        new = replace(NEW, state=1, lcm_state=0, scheduler_message="no host has room", since=since)
        made = plan(move(external=BEGUN), await found(**(copied() | {"new": new})), NOW)
        assert steps(made) == wanted, "it could run where it was"


async def test_a_rehearsal_leaves_its_proof_on_the_machine_and_a_failed_one_none() -> None:
    ran = vm(notes={MOVING: told(MOVE, "100", ran=True)})
    for external, proof in (
        (JUST_BEGUN | {"ran": "160"}, "1970-01-01T00:02:40Z 60 team/paris go"),
        (JUST_BEGUN | {"failed": "x"}, ""),
    ):
        (step,) = plan(
            move({"mode": "Rehearse"}, external=external), await found(old=ran, note=NOTE, disks=()), NOW
        ).steps
        assert (type(step).__name__, step.proof) == ("ForgetMove", proof)  # type: ignore[attr-defined]
    assert read_rehearsal("1970-01-01T00:02:40Z 60 team/paris") == Rehearsal("1970-01-01T00:02:40Z", 60, "team/paris")
    assert [read_rehearsal(note) for note in ("", "NO", "a b c", "yesterday 60 team/paris go")] == [None] * 4


async def test_nothing_is_started_while_the_other_one_may_run() -> None:
    for at in (RUNNING, (3, 18), (3, 16)):
        seen = await found(**(copied() | {"old": replace(OFF, state=at[0], lcm_state=at[1]), "new": NEW}))
        made = plan(move(external=BEGUN), seen, NOW)
        assert not [step for step in made.steps if getattr(step, "verb", "") in {"release", "resume"}]


async def test_the_one_that_was_left_is_deleted_when_its_time_is_over_and_stopped_until_then() -> None:
    recorded = web(status={"external": {"vm": "40", "cloud": "team/paris"}})
    fields = {
        "left": True, "taken_over": True, "instance": recorded, "new": replace(NEW, state=3, lcm_state=3, mark=INSTANCE),
        "disks": (),
    }  # fmt: skip
    now = int(NOW.timestamp())
    for since, at, verb in (
        (now, POWEROFF, None),
        (now, RUNNING, "poweroff"),
        (now - 90_000, POWEROFF, "terminate-hard"),
    ):
        seen = await found(**fields, old=vm(at=at, mark=MOVE))
        made = plan(move(external=BEGUN | {"cutOver": str(since), "cleaned": "1"}), seen, NOW)
        assert [step.verb for step in made.steps] == ([verb] if verb else [])  # type: ignore[attr-defined]
        assert made.outcome.phase is (Phase.WAITING if verb else Phase.DONE), "whoever waits for the move goes on"
    made = plan(
        move(external=BEGUN | {"cutOver": str(now), "cleaned": "1"}, deleting=True),
        await found(**fields, old=vm(at=POWEROFF)),
        NOW,
    )
    assert (made.steps, made.outcome.phase) == ((), Phase.DONE), "it stays unless spec.deletionPolicy says otherwise"


async def test_a_copy_that_somebody_deleted_after_the_change_over_is_for_a_person() -> None:
    made = plan(move(external=BEGUN), await found(**(copied() | {"left": True})), NOW)
    assert (made.steps, made.outcome.reason) == ((), "CopyLost")


async def test_when_it_is_over_nothing_is_looked_at() -> None:
    nothing = MigrationObservation(mark=MOVE)
    ended = move(external=BEGUN | {"ended": "200"})
    assert (plan(ended, nothing, NOW), str(phase_of(ended, nothing))) == (Plan(), "Succeeded")
    failed = move(external=BEGUN | {"ended": "200", "failed": "no room"})
    made = plan(failed, nothing, NOW)
    assert (made.outcome.phase, made.outcome.reason, str(phase_of(failed, nothing))) == (
        Phase.STALLED,
        "MoveFailed",
        "Failed",
    )


async def test_an_instance_whose_machine_was_left_by_a_move_that_is_lost_makes_no_third() -> None:
    """Between the first write and the second, in a cluster in which nobody applied the move again."""
    left = vm(at=POWEROFF, mark=MOVE, notes={"SOVEREIGNCLOUD_MOVED": INSTANCE.object})
    for others, waits in (((left,), True), ((left, vm(id=40, at=RUNNING)), False), ((), False)):
        rbx = OpenNebula(network(), image(), *(one for one in others if one.id == 12))
        paris = OpenNebula(network(), image(), *(one for one in others if one.id == 40))
        world, controller = World(rbx=rbx, paris=paris), HostedInstanceController()
        made = controller.plan(web(), await controller.observe(web(), world), NOW)
        assert ("was left by InstanceMigration team/go" in made.outcome.message) is waits
        assert ("CreateVm" in steps(made)) is (not others)


@pytest.mark.parametrize(
    ("policy", "left", "wanted"),
    [
        ("Retain", vm(at=POWEROFF, mark=MOVE), []),
        ("Delete", vm(at=POWEROFF, mark=MOVE), ["Act"]),
        ("Delete", vm(at=(3, 12), mark=MOVE), []),
        ("Delete", vm(id=99, mark=None), []),
    ],
)
async def test_a_move_whose_instance_was_torn_away_can_be_deleted_all_the_same(policy, left, wanted) -> None:
    """Somebody took the finalizer off the instance; nobody knows its mark any more."""
    rbx, paris = (
        OpenNebula(network(), image(), left),
        OpenNebula(network(), image(id=50, name="exit-uid-go-0", owner=US, mark=MOVE)),
    )
    rbx.moves = SimpleNamespace(apps=AsyncMock(return_value=()))  # type: ignore[attr-defined]
    gone = move({"deletionPolicy": policy}, external=BEGUN, deleting=True)
    world, controller = World(rbx=rbx, paris=paris), InstanceMigrationController()
    made = controller.plan(gone, await controller.observe(gone, world), NOW)
    assert steps(made) == ["DeleteImage"], "what is on the way goes first"
    del paris.images[50]
    made = controller.plan(gone, await controller.observe(gone, world), NOW)
    assert steps(made) == wanted
    assert (made.outcome.phase is Phase.DONE) is (not wanted and left.lcm_state != 12)


async def test_while_its_machine_moves_the_instance_only_follows() -> None:
    rbx, paris = OpenNebula(network(), image(), vm(at=POWEROFF)), OpenNebula(network())
    recorded = {"external": {"vm": "12", "cloud": "team/rbx", "disk.data": "9"}}
    world, controller = World((move(external=BEGUN),), rbx=rbx, paris=paris), HostedInstanceController()
    wanted = web({"power": "Running"}, recorded)
    made = controller.plan(wanted, await controller.observe(wanted, world), NOW)
    assert (steps(made), made.outcome.reason) == ([], "Moving"), "it starts nothing"
    rbx.vms[12] = replace(rbx.vms[12], mark=MOVE)
    made = controller.plan(wanted, await controller.observe(wanted, world), NOW)
    assert (steps(made), made.outcome.reason) == ([], "Moving"), "nor does it miss it"
    paris.vms[12] = vm(at=RUNNING)
    made = controller.plan(wanted, await controller.observe(wanted, world), NOW)
    assert steps(made) == ["RecordVm"]
    outcome = await controller.perform(made.steps[0], wanted, world)
    assert outcome.facts == {"vm": "12", "cloud": "team/paris", "cluster": "", "disk.data": ""}
    for over in ({"cutOver": "1"}, {"ended": "1"}):
        world.resources = {one.key: one for one in (move(external=BEGUN | over),)}
        made = controller.plan(wanted, await controller.observe(wanted, world), NOW)
        assert made.outcome.reason != "Moving"
