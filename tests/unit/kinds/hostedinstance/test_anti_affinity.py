"""A machine is placed near the other machines of its namespace, as far as the way between the sites was measured."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.kinds.hostedinstance.test_placement import ANYWHERE, another, chosen_of, placed, told
from tests.unit.kinds.machine_scene import CONTROLLER
from tests.unit.kinds.opennebula_in_memory import mark, run, vm
from tests.unit.kinds.placement_scene import Clouds

from sovereigncloud.api.common.base import Key
from sovereigncloud.kinds.hostedinstance.steps import MoveVm

Measured = dict[tuple[str, str], float]


def cloud(name: str) -> Key:
    return Key("SovereignCloud", "team", name)


def clouds_with(others: dict[str, str], measured: Measured) -> Clouds:
    """Three of them. `others`: machines that are there, by name, and in which cloud."""
    clouds = Clouds(gra="FR", rbx="FR", sbg="FR")
    for number, (name, where) in enumerate(others.items()):
        namespace, _, short = name.rpartition("/")
        carries = mark("HostedInstance", short, namespace=namespace or "team")
        clouds.front(where).vms[80 + number] = vm(id=80 + number, mark=carries, host=f"{where}-1", memory=0, cpu=0)
    clouds.world.distances = {(cloud(one), cloud(other)): ms for (one, other), ms in measured.items()}
    return clouds


ROWS: list[tuple[str, dict[str, str], Measured, str, dict[str, str]]] = [
    (
        "as near as can be: where the others are",
        {"first": "sbg"},
        {("sbg", "gra"): 8.0, ("rbx", "sbg"): 40.0},
        "sbg",
        {
            "sbg": "others of its namespace run there",
            "gra": "within 20 ms of team/sbg",
            "rbx": "within 50 ms of team/sbg",
        },
    ),
    (
        "the farthest of those where others are counts",
        {"first": "gra", "second": "sbg"},
        {("gra", "sbg"): 90.0, ("rbx", "gra"): 18.0, ("rbx", "sbg"): 19.0},
        "rbx",
        {"rbx": "within 20 ms of team/sbg", "gra": "within 100 ms of team/sbg", "sbg": "within 100 ms of team/gra"},
    ),
    (
        "machines of another namespace are none of its own",
        {"elsewhere/first": "sbg"},
        {("sbg", "gra"): 300.0, ("sbg", "rbx"): 1.0},
        "gra",
        {},
    ),
    ("where there are no others nothing is measured between", {}, {("sbg", "gra"): 300.0}, "gra", {}),
    (
        "where others are in two clouds and nobody knows how far those are, that it is in one of them says nothing",
        {"first": "rbx", "second": "sbg"},
        {},
        "gra",
        {},
    ),
]


@pytest.mark.parametrize(("why", "others", "measured", "chosen", "words"), ROWS, ids=[row[0] for row in ROWS])
async def test_of_clouds_with_as_much_room_the_nearest_to_the_others(
    why: str, others: dict[str, str], measured: Measured, chosen: str, words: dict[str, str]
) -> None:
    wanted = await placed(clouds_with(others, measured).world)
    assert chosen_of(wanted) == chosen, why
    found = told(wanted)
    for name in ("gra", "rbx", "sbg"):
        ending = f"; {words[name]}" if words else "stays free"
        assert found[f"{name}/default"][1].endswith(ending), found


async def test_where_another_was_placed_a_moment_ago_counts() -> None:
    everywhere, small = clouds_with({}, {("sbg", "gra"): 300.0}), {**ANYWHERE, "vcpu": 1, "memory": "64Mi"}
    all_of_them = everywhere.world.fronts
    everywhere.world.fronts = {cloud("sbg"): all_of_them[cloud("sbg")]}
    first, _, _ = await run(CONTROLLER, another(1, small), everywhere.world)
    assert chosen_of(first) == "sbg"
    everywhere.front("sbg").vms.clear()  # in no view yet
    everywhere.world.fronts = {name: all_of_them[name] for name in (cloud("gra"), cloud("sbg"))}
    second, _, _ = await run(CONTROLLER, another(2, small), everywhere.world)
    assert chosen_of(second) == "sbg"
    assert told(second)["gra/default"][1].endswith("over 200 ms from team/sbg")


async def test_one_that_is_there_never_moves_for_it() -> None:
    clouds = clouds_with({"first": "gra"}, {("gra", "rbx"): 300.0, ("gra", "sbg"): 300.0})
    wanted = await placed(clouds.world)
    assert chosen_of(wanted) == "gra"
    before: Any = wanted.status.placement.considered
    clouds.front("gra").tick()
    clouds.front("gra").vms.pop(80)
    clouds.front("sbg").vms[90] = vm(id=90, mark=mark("HostedInstance", "first", namespace="team"), host="sbg-1")
    for _ in range(3):
        wanted, plan, _ = await run(CONTROLLER, wanted, clouds.world)
        assert not any(isinstance(step, MoveVm) for step in plan.steps)
    assert chosen_of(wanted) == "gra"
    assert wanted.status.placement.considered == before
