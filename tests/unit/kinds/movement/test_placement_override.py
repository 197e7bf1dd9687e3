"""An exit overrides a wish, never a border: what it brought elsewhere stays there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds.exit_scene import leaving
from tests.unit.kinds.machine_scene import EXTERNAL, instance
from tests.unit.kinds.opennebula_in_memory import OpenNebula, World, image, look, network, resource, run, vm
from tests.unit.kinds.placement_scene import Clouds, policy

from sovereigncloud.api.sovereigntypolicy import OnViolation
from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.instancemigration.observation import as_it_will_be, target_of
from sovereigncloud.kinds.movement.placement_override import EXITED, exit_note, not_its_exit, overridden_by
from sovereigncloud.kinds.movement.requests import MakeMove
from sovereigncloud.ports.errors import Retry

MACHINES = HostedInstanceController()
MOVE: dict[str, Any] = {
    "instanceRef": {"name": "web"}, "to": {"cloudRef": {"name": "paris"}}, "mode": "Execute", "exitPlanRef": {"name": "leave"},
}  # fmt: skip
THERE = {"external": EXTERNAL | {"cloud": "team/paris"}}


def move(spec: dict[str, Any] | None = None) -> Any:
    return resource("InstanceMigration", "go", MOVE | (spec or {}), {"external": {"from": "team/rbx", "began": "1"}})


def brought(spec: dict[str, Any], now: dict[str, Any] | None = None, **status: Any) -> tuple[Any, Any]:
    """Declared in rbx, brought to paris by an exit; then spec may have become another."""
    notes = exit_note(move(), instance(spec))
    return instance(spec | (now or {}), status=THERE | status), vm(notes=notes)


@dataclass(frozen=True)
class Row:
    why: str
    spec: dict[str, Any]
    now: dict[str, Any] = field(default_factory=dict)
    stays: bool = True
    says: str = ""


ROWS = [
    Row("spec names the cloud that was left", {"placement": {"cloudRef": {"name": "rbx"}}}, says="spec.placement.cloudRef says team/rbx"),
    Row("spec names countries", {"placement": {"countries": ["DE"]}}, says="spec.placement.countries says DE"),
    Row("spec names labels", {"placement": {"labels": {"tier": "gold"}}}, says="labels"),
    Row("it names the cloud that was left, in other words", {"placement": {"cloudRef": {"name": "rbx"}}}, {"placement": {"cloudRef": {"name": "rbx"}, "hosts": ["one-1"]}}, says="team/rbx"),
    Row("spec was put right", {"placement": {"cloudRef": {"name": "rbx"}}}, {"placement": {"cloudRef": {"name": "paris"}}}),
    Row("spec asks for a third cloud since", {"placement": {"cloudRef": {"name": "rbx"}}}, {"placement": {"cloudRef": {"name": "rome"}}}, stays=False),
    Row("spec asks for another country since", {"placement": {"countries": ["DE"]}}, {"placement": {"countries": ["PL"]}}, stays=False),
    Row("nothing was asked for", {"placement": {}}),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_what_an_exit_brought_stays_until_a_person_wishes_for_something_else(row: Row) -> None:
    clouds = Clouds(rbx="FR", paris="FR", rome="IT")
    web, machine = brought(row.spec, row.now)
    clouds.front("paris").vms[12] = replace(machine, host="paris-1")
    seen = await MACHINES.observe(web, clouds.world)
    plan = MACHINES.plan(web, seen, clouds.world.now)
    moves = [step for step in plan.steps if type(step).__name__ in {"MoveVm", "MakeMove"}]
    drift = [one.path for one in plan.drift if one.path.startswith("spec.placement")]
    assert (not moves and not drift) == row.stays, (moves, drift)
    told = {one["type"]: one["message"] for one in MACHINES.status(web, seen)["conditions"]}  # type: ignore[attr-defined]
    assert ("PlacementOverridden" in told) == bool(row.says)
    assert row.says in told.get("PlacementOverridden", "")


async def test_a_policy_is_never_overridden() -> None:
    clouds = Clouds(rbx="FR", paris="US")
    clouds.world.rules = [policy("fr", "FR", on_violation=OnViolation.RELOCATE)]
    web, machine = brought({"placement": {"cloudRef": {"name": "rbx"}}})
    clouds.front("paris").vms[12] = replace(machine, host="paris-1")
    plan = await look(MACHINES, web, clouds.world)
    (step,) = [step for step in plan.steps if isinstance(step, MakeMove)]
    assert step.manifest["spec"]["to"] == {"cloudRef": {"name": "rbx", "namespace": "team"}}, step.manifest


async def test_after_a_rebuilt_cluster_it_is_found_where_it_is_though_the_old_cloud_is_dead() -> None:
    paris = OpenNebula(network(), image(), vm(notes=exit_note(move(), instance())))
    for dead in (Retry("timed out"), OpenNebula(network(), image())):
        world = World(rbx=dead, paris=paris)
        web = instance(status={"external": {}})
        seen = await MACHINES.observe(web, world)
        assert (seen.cloud.name, seen.found.thing.id) == ("paris", 12)  # type: ignore[union-attr]
        plan = MACHINES.plan(web, seen, world.now)
        assert [type(step).__name__ for step in plan.steps if type(step).__name__ in {"CreateVm", "MoveVm"}] == []


async def test_where_it_is_nowhere_the_cloud_that_does_not_answer_is_waited_for() -> None:
    world = World(rbx=Retry("timed out"), paris=OpenNebula(network(), image()))
    with pytest.raises(Retry):
        await MACHINES.observe(instance(status={"external": {}}), world)


def test_what_is_no_part_of_an_exit_writes_nothing() -> None:
    assert exit_note(move({"exitPlanRef": None}), instance()) == {}
    assert [overridden_by(instance(), vm(notes={EXITED: note})) for note in ("", "x", "a b c d")] == [""] * 3
    assert overridden_by(instance(), vm(notes=exit_note(move(), instance()))) == "team/leave"


def test_a_move_of_an_exit_asks_for_none_of_what_its_machine_wishes() -> None:
    web = instance({"placement": {"countries": ["DE"], "hosts": ["one-1"]}})
    assert as_it_will_be(move(), web).spec.placement is None
    assert as_it_will_be(move({"exitPlanRef": None}), web).spec.placement is not None


NOT_ITS_EXIT = [
    ("there is none", None, {}, "there is no ExitPlan team/leave"),
    ("it is being deleted", leaving({"mode": "Execute"}, deleting=True), {}, "there is no ExitPlan"),
    ("it only plans", leaving(), {}, "not in mode Execute"),
    ("it leads elsewhere", leaving({"mode": "Execute", "to": [{"cloudRef": {"name": "rome"}}]}), {}, "does not lead to team/paris"),
    ("it is of somebody else", leaving({"mode": "Execute"}, namespace="other"), {"exitPlanRef": {"name": "leave", "namespace": "other"}}, "lead to team/paris"),
    ("it is its own", leaving({"mode": "Execute"}), {}, ""),
    ("it is no part of one", None, {"exitPlanRef": None}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("why", "found", "spec", "says"), NOT_ITS_EXIT, ids=[row[0] for row in NOT_ITS_EXIT])
def test_only_the_exit_itself_overrides(why: str, found: Any, spec: dict[str, Any], says: str) -> None:
    told = not_its_exit(move(spec), target_of(move()), found)
    assert (says in told.message, told.phase is Phase.DONE) == (True, not says), why


async def test_a_machine_that_is_made_anew_where_the_exit_brought_it_stays_there_too() -> None:
    note = exit_note(move(), instance())
    paris = OpenNebula(network(), image(), vm(notes=note))
    world = World(rbx=OpenNebula(network(), image()), paris=paris)
    web, _, _ = await run(MACHINES, instance({"updatePolicy": {"replace": "Allow"}}, status={"external": {}}), world)
    assert web.external["exited"] == note[EXITED]
    paris._set(12, (6, 0))
    for _ in range(3):
        web, _, _ = await run(MACHINES, web, world)
    (made,) = [one for one in (await paris.view(0.0)).vms.values() if one.state != 6]
    assert made.id != 12
    assert overridden_by(web, made) == "team/leave"
