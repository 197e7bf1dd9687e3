"""A machine whose cloud is lost: what is in the way of a copy, what comes next, and what becomes of the old one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds.hostedinstance.test_copies import VAULT
from tests.unit.kinds.opennebula_in_memory import (
    NOW,
    POWEROFF,
    RUNNING,
    US,
    OpenNebula,
    World,
    image,
    look,
    mark,
    network,
    resource,
    run,
    vm,
)

from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.hostedinstance.continuity.fencing import fencing_of
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.instancemigration.controller import InstanceMigrationController
from sovereigncloud.kinds.movement.records import CameFrom, read_came_from
from sovereigncloud.ports.errors import Retry

LOST = "2027-03-01T04:05:06Z"
MOVES, MACHINES = InstanceMigrationController(), HostedInstanceController()
MOVE, INSTANCE = mark("InstanceMigration", "go", "uid-go"), mark("HostedInstance", "web")
FROM = CameFrom("team/rbx", 12, MOVE.object, "uid-go", "100")
COPY = {
    "name": "team/rbx/50", "kind": "Backup", "time": "2027-03-01T02:00:00Z", "place": "Outside", "server": "backup.example.org",
    "driver": "restic", "store": "100", "vm": "12", "system": "0", "chain": "0:aa",
    "disks": [{"name": "0", "size": "20Gi"}, {"name": "2", "label": "data", "size": "1Gi"}],
}  # fmt: skip
OLDER = COPY | {"name": "team/rbx/49", "time": "2027-03-01T01:00:00Z"}
SHAPE = {"id": "12", "cpu": "2", "vcpu": 2, "memory": "4Gi", "networks": ["lan"]}
BOUND = {"vm": "12", "cloud": "team/rbx"}
MOVING = [{"type": "Reconciling", "status": "True", "reason": "Moving"}]
BEGUN = {"from": "team/rbx", "began": "90", "stopped": "100", "copy": "team/rbx/50", "copyTime": "50"}
SPEC: dict[str, Any] = {
    "instanceRef": {"name": "web"},
    "to": {"cloudRef": {"name": "paris"}},
    "mode": "Execute",
    "sourceState": "Lost",
}
WORD = {"fencing": {"confirmedBy": "oncall@example.fr"}}


def web(
    copies: list[Any] | None = None, external: dict[str, str] | None = None, conditions: Any = (), **spec: Any
) -> Any:
    wanted = {"source": {"image": "ubuntu"}, "vcpu": 2, "memory": "4Gi", "networks": [{"name": "lan"}]} | spec
    told = {"copies": [COPY] if copies is None else copies, "machine": SHAPE}
    status = {"external": BOUND if external is None else external, "continuity": told, "conditions": list(conditions)}
    return resource("HostedInstance", "web", wanted, status)


def move(external: dict[str, str] | None = None, spec: dict[str, Any] | None = None, **meta: Any) -> Any:
    wanted = SPEC | WORD | (spec or {})
    wanted = {key: value for key, value in wanted.items() if value is not None}
    return resource("InstanceMigration", "go", wanted, {"external": external or {}}, uid="uid-go", **meta)


def paris(*things: Any, **store: Any) -> OpenNebula:
    there = OpenNebula(network(), *things)
    there.datastores = {**there.datastores, 100: replace(VAULT, **store)}
    return there


def world(*, instance: Any = None, there: OpenNebula | None = None, here: Any = None, lost: bool = True) -> World:
    """Without `here` nothing may be asked of rbx: whoever does gets nothing but an error."""
    source = here if here is not None else AssertionError("rbx was asked")
    made = World((instance or web(),), rbx=source, paris=there or paris())
    made.lost = {"rbx": LOST} if lost else {}
    made.sweeping = True  # whoever only looks has nothing but the views
    return made


def steps(made: Plan) -> list[str]:
    return [type(step).__name__ for step in made.steps]


# -------------------------------------------------------------------------------------------------- before it begins


@dataclass(frozen=True)
class Row:
    why: str
    reason: str
    says: str
    spec: dict[str, Any] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)


BARE = OpenNebula()
BARE.datastores = {**BARE.datastores, 100: VAULT}
FULL = paris()
FULL.datastores = {1: replace(FULL.datastores[1], free=10), 100: VAULT}
IN_THE_WAY = [
    Row("its cloud answers", "SourceReachable", "sourceState: Reachable", world={"lost": False}),
    Row("nobody proves its machines dead", "NoFencing", "on no servers that the operator knows", {"fencing": None}),
    Row("somebody spoke of another outage", "NoFencing", LOST, {"fencing": {"confirmedBy": "me", "outage": "2026-01-01T00:00:00Z"}}),
    Row("its only copy is inside", "CopyInsideCloud", "inside the cloud", world={"instance": web([COPY | {"place": "Inside"}])}),
    Row("there is no copy", "NoUsableCopy", "there is no copy", world={"instance": web([])}),
    Row("the other cloud cannot read it", "NoUsableCopy", "no datastore for backups", world={"there": OpenNebula(network())}),
    Row("a disk is not in it", "NoUsableCopy", "disk more", world={"instance": web(disks=[{"name": "more", "size": "1Gi"}])}),
    Row("a network that is not there", "NetworkNotFound", "spec.networkMap", world={"there": BARE}),
    Row("no room for it", "NoCapacity", "free", world={"there": FULL}),
    Row("the instance is only observed", "WaitingForDependency", "paused or only observed", world={"instance": web(management="Observe")}),
    Row("nobody knows where it was", "WaitingForDependency", "nobody knows in which cloud", world={"instance": web(external={})}),
]  # fmt: skip


@pytest.mark.parametrize("row", IN_THE_WAY, ids=lambda row: row.why)
async def test_what_is_in_the_way_is_told_before_anything_is_done(row: Row) -> None:
    made = await look(MOVES, move(spec=row.spec), world(**row.world))
    assert (steps(made), str(made.outcome.reason), row.says in made.outcome.message) == ([], row.reason, True), (
        made.outcome
    )


async def test_it_begins_with_what_it_knows_and_without_a_call() -> None:
    made = await look(MOVES, move(), world())
    (step,) = made.steps
    told = dict(step.facts)  # type: ignore[attr-defined]
    assert (told["from"], told["copy"], step.disruption) == ("team/rbx", "team/rbx/50", "DataLoss")
    assert told["proof"] == f"confirmed by oncall@example.fr for the outage since {LOST}"
    assert int(told["stopped"]) - int(told["copyTime"]) == 7506
    made = await look(MOVES, move(spec={"mode": "Rehearse", "fencing": None}), world(lost=False))
    (step,) = made.steps
    assert ("stopped" in dict(step.facts), step.disruption) == (False, "None"), "a rehearsal needs no proof"  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------------------------------- under way

FOLLOWS = {"instance": web(conditions=MOVING)}
IMAGES = (
    image(id=60, name="exit-uid-go-0", owner=US, mark=MOVE),
    image(id=61, name="exit-uid-go-2", owner=US, mark=MOVE, persistent=True),
)
NEW = vm(id=40, mark=MOVE, at=(2, 0), notes={"SOVEREIGNCLOUD_CAME_FROM": str(FROM)}, disks=())
RUNS = replace(NEW, state=3, lcm_state=3)
TAKEN = replace(RUNS, mark=INSTANCE)
BAD = replace(IMAGES[0], state=5, error="wrong checksum")
NEXT: list[tuple[str, dict[str, str], dict[str, Any], dict[str, Any], list[str]]] = [
    ("its instance does not follow yet", BEGUN, {}, {}, []),
    ("nothing is there", BEGUN, {}, FOLLOWS, ["ImportDisk", "ImportDisk"]),
    ("one disk is being fetched", BEGUN, {}, FOLLOWS | {"there": paris(replace(IMAGES[0], state=4))}, ["ImportDisk"]),
    ("both are there", BEGUN, {}, FOLLOWS | {"there": paris(*IMAGES)}, ["CreateCopy"]),
    ("one could not be read", BEGUN, {}, FOLLOWS | {"there": paris(BAD)}, ["PassOver"]),
    ("an older copy is to be taken", BEGUN | {"passedOver": "team/rbx/50", "passedOverAt": "0"}, {}, {"instance": web([COPY, OLDER], conditions=MOVING), "there": paris(BAD)}, ["DeleteImage"]),
    ("and the first one is gone", BEGUN | {"passedOver": "team/rbx/50", "passedOverAt": "0"}, {}, {"instance": web([COPY, OLDER], conditions=MOVING)}, ["Remember"]),
    ("none is left, and it is long ago", BEGUN | {"passedOver": "team/rbx/50", "passedOverAt": "0"}, {}, FOLLOWS, ["Remember"]),
    ("the copy is held, and the proof is there", BEGUN, {}, FOLLOWS | {"there": paris(*IMAGES, NEW)}, ["Act"]),
    ("the copy is held, and somebody took his word back", BEGUN, {"fencing": None}, FOLLOWS | {"there": paris(*IMAGES, NEW)}, []),
    ("the copy runs", BEGUN, {}, FOLLOWS | {"there": paris(*IMAGES, RUNS)}, ["HandOverMachine"]),
    ("the copy has the mark of the instance", BEGUN, {}, FOLLOWS | {"there": paris(*IMAGES, TAKEN)}, []),
    ("that is recorded", BEGUN, {}, {"instance": web(external={"vm": "40", "cloud": "team/paris"}), "there": paris(TAKEN)}, ["Remember"]),
    ("the cloud answers again before it", BEGUN, {}, FOLLOWS | {"there": paris(*IMAGES, NEW), "lost": False}, ["Remember"]),
    ("so it goes back", BEGUN | {"failed": "it answers"}, {}, FOLLOWS | {"there": paris(*IMAGES, RUNS), "lost": False}, ["Act"]),
    ("the status was lost, and the copy is there", {}, {}, {"instance": web(external={}), "there": paris(RUNS)}, ["Remember"]),
    ("the status was lost after the change-over", {}, {}, {"instance": web(external={}), "there": paris(TAKEN)}, ["Remember"]),
    ("it is in that cloud already", {}, {}, {"instance": web(external={"vm": "40", "cloud": "team/paris"}), "there": paris(replace(TAKEN, notes={}))}, ["Remember"]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "external", "spec", "around", "wanted"), NEXT, ids=[row[0] for row in NEXT])
async def test_what_comes_next_follows_from_what_is_found_and_nothing_is_asked_there(
    why, external, spec, around, wanted
) -> None:
    made = await look(MOVES, move(external, spec), world(**around))
    assert steps(made) == wanted, (why, made.outcome)


async def test_the_copy_tells_where_it_came_from_and_is_made_as_the_machine_was() -> None:
    scene = world(instance=web(conditions=MOVING), there=paris(*IMAGES))
    (step,) = (await look(MOVES, move(BEGUN), scene)).steps
    assert read_came_from(step.came_from) == FROM  # type: ignore[attr-defined]
    assert step.disks == ((60, ""), (61, "data"))  # type: ignore[attr-defined]
    assert (step.of.cpu, step.of.vcpu, step.of.memory) == ("2", 2, 4096)  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------------------------- it comes back

HERE = {"instance": web(external={"vm": "40", "cloud": "team/paris"}), "there": paris(TAKEN), "lost": False}
OVER = BEGUN | {"cutOver": "200", "cleaned": "200"}
LEFT = replace(vm(at=POWEROFF), mark=MOVE)
BACK: list[tuple[str, Any, dict[str, Any], list[str], str]] = [
    ("it runs", vm(at=RUNNING), {}, ["Act"], "Fencing"),
    ("it waits for a host", vm(at=(1, 0)), {}, ["Act"], "Fencing"),
    ("its host does not report", vm(at=(3, 16)), {}, [], "Fencing"),
    ("it is being started", vm(at=(3, 2)), {}, [], "Fencing"),
    ("it is off", vm(at=POWEROFF), {}, ["LeaveMachine"], "Fencing"),
    ("it is left", LEFT, {}, ["Remember"], "GracePeriod"),
    ("it is left, and somebody started it", replace(LEFT, state=3, lcm_state=3), {}, ["Act"], "Fencing"),
    ("it is left, and is to be deleted", LEFT, {"deletionPolicy": "Delete"}, ["Remember"], "GracePeriod"),
    ("a person deleted it", None, {}, ["Remember"], ""),
]  # fmt: skip


@pytest.mark.parametrize(("why", "old", "spec", "wanted", "reason"), BACK, ids=[row[0] for row in BACK])
async def test_when_its_cloud_answers_the_old_machine_is_fenced_first_and_stays(why, old, spec, wanted, reason) -> None:
    made = await look(MOVES, move(OVER, spec), world(here=OpenNebula(*([old] if old else [])), **HERE))
    assert (steps(made), str(made.outcome.reason)) == (wanted, reason), made
    assert all(getattr(step, "verb", "") != "terminate-hard" for step in made.steps)


async def test_it_is_deleted_only_where_that_is_said_and_its_time_is_over() -> None:
    now = int(NOW.timestamp())
    for returned, policy, verb in (
        (now, "Delete", None),
        (now - 90_000, "Delete", "terminate-hard"),
        (now - 90_000, "Retain", None),
    ):
        wanted = move(OVER | {"returned": str(returned)}, {"deletionPolicy": policy})
        made = await look(MOVES, wanted, world(here=OpenNebula(LEFT), **HERE))
        assert [step.verb for step in made.steps] == ([verb] if verb else [])  # type: ignore[attr-defined]


async def test_a_move_that_is_deleted_fences_what_it_can_reach_and_leaves_the_rest_to_the_instance() -> None:
    made = await look(MOVES, move(OVER, deleting=True), world(here=OpenNebula(vm(at=RUNNING)), **HERE))
    assert steps(made) == ["Act"]
    made = await look(MOVES, move(OVER, deleting=True), world(**{**HERE, "lost": True}))
    assert made == Plan()


def test_what_must_not_run_is_kept_from_it_whatever_it_does() -> None:
    active = [(3, lcm) for lcm in range(72)]
    for state, lcm in [*active, *((number, 0) for number in range(12) if number != 3)]:
        told = fencing_of(vm(at=(state, lcm)))
        quiet = (state, lcm) in {(2, 0), (4, 0), (5, 0), (6, 0), (8, 0), (9, 0), (11, 0)}
        failed = state == 3 and lcm in {36, 37, 38, 39, 40, 41, 42, 44, 46, 47, 48, 49, 50, 61}
        assert (told is None) == (quiet or failed), (state, lcm, told)
        assert told is None or told.verb in {"", "poweroff-hard", "hold"}


# -------------------------------------------------------------------------------------------- by its instance alone

RECORDED = {"vm": "40", "cloud": "team/paris", "left": str(FROM)}
ALONE: list[tuple[str, Any, dict[str, Any], list[str]]] = [
    ("it runs", vm(at=RUNNING), {}, ["LeftBehindStep poweroff-hard"]),
    ("it is off", vm(at=POWEROFF), {}, ["LeftBehindStep"]),
    ("its host does not report", vm(at=(3, 16)), {}, []),
    ("it is not its own any more", LEFT, {}, ["LeftBehindStep"]),
    ("its cloud is still lost", AssertionError("rbx was asked"), {"lost": True}, []),
    ("its cloud fails once more", Retry("no route"), {}, []),
    ("the move is there and sees to it", AssertionError("rbx was asked"), {"move": OVER}, []),
    (
        "the move is only observed",
        vm(at=RUNNING),
        {"move": OVER, "spec": {"management": "Observe"}},
        ["LeftBehindStep poweroff-hard"],
    ),
    ("the move is over", vm(at=RUNNING), {"move": OVER | {"ended": "300"}}, ["LeftBehindStep poweroff-hard"]),
]


@pytest.mark.parametrize(("why", "old", "around", "wanted"), ALONE, ids=[row[0] for row in ALONE])
async def test_without_the_move_the_instance_fences_it_before_anything_else(why, old, around, wanted) -> None:
    here = old if isinstance(old, Exception) else OpenNebula(old)
    scene = world(instance=web(external=RECORDED), there=paris(TAKEN), here=here, lost=around.get("lost", False))
    if "move" in around:
        scene.resources |= {one.key: one for one in (move(around["move"], around.get("spec")),)}
    made = await look(MACHINES, web(external=RECORDED), scene)
    told = [f"{type(step).__name__} {getattr(step, 'verb', '')}".strip() for step in made.steps]
    assert told[: len(wanted)] == wanted
    assert "LeftBehindStep" not in " ".join(told[len(wanted) :])


async def test_the_instance_gives_the_old_machine_the_mark_of_the_move_and_forgets_it() -> None:
    rbx = OpenNebula(vm(at=RUNNING))
    scene = world(instance=web(external=RECORDED), there=paris(TAKEN), here=rbx, lost=False)
    scene.sweeping, found = False, web(external=RECORDED)
    for _ in range(6):
        found, _, _ = await run(MACHINES, found, scene)
        rbx.tick()
    assert (rbx.vms[12].mark, rbx.vms[12].notes["SOVEREIGNCLOUD_MOVED"]) == (MOVE, INSTANCE.object)
    assert "left" not in found.external
    assert found.external["cloud"] == "team/paris", "it is bound to where it is"


async def test_a_rebuilt_cluster_takes_the_machine_that_came_from_the_other() -> None:
    scene = world(instance=web(external={}), there=paris(TAKEN), here=OpenNebula(vm(at=RUNNING)), lost=False)
    fresh = web(external={})
    made = await look(MACHINES, fresh, scene)
    (step,) = [step for step in made.steps if type(step).__name__ == "RecordVm"]
    assert (step.cloud.name, step.vm, dict(step.facts)) == ("paris", 40, {"left": str(FROM)})  # type: ignore[attr-defined]


async def test_an_instance_that_is_deleted_fences_what_it_left_before_it_goes() -> None:
    spec = web().spec.model_dump(by_alias=True, exclude_none=True)
    going = resource("HostedInstance", "web", spec, {"external": RECORDED}, deleting=True)
    for old, wanted in ((vm(at=RUNNING), ["LeftBehindStep"]), (LEFT, ["ActOnVm"])):
        scene = world(instance=going, there=paris(TAKEN), here=OpenNebula(old), lost=False)
        assert steps(await look(MACHINES, going, scene)) == wanted
    lost = world(instance=going, there=paris(TAKEN))
    assert steps(await look(MACHINES, going, lost)) == ["ActOnVm"], "a cloud that does not answer holds nothing up"
