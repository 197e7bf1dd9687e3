"""What becomes of the images of a machine that was left: they go after it, and nobody else's do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.kinds.instancemigration.test_plan import (
    BEGUN,
    FOLLOWS,
    INSTANCE,
    MOVE,
    NEW,
    NOTE,
    OFF,
    found,
    move,
    steps,
    web,
)
from tests.unit.kinds.opennebula_in_memory import NOW, POWEROFF, US, OpenNebula, image, network, vm

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.instancemigration.observation import copies_on_the_way
from sovereigncloud.kinds.instancemigration.plan import plan
from sovereigncloud.kinds.movement.records import MOVES
from sovereigncloud.ports.opennebula.views import Disk

OURS = {"SOVEREIGNCLOUD_DISK": "data"}
LEFT = OURS | {"SOVEREIGNCLOUD_MOVED": INSTANCE.object}
RUNS = replace(NEW, state=3, lcm_state=3)
OLD = replace(OFF, disks=(*OFF.disks, Disk(2, 71, "web-data", 64)))
NOW_S = int(NOW.timestamp())


def disk(**fields: Any) -> Any:
    made = image(id=71, name="web-data", owner=US, mark=fields.pop("mark", INSTANCE))
    return replace(made, persistent=True, **{"notes": OURS, "vms": (12,), **fields})


LEAVING = [
    ("a disk of its own goes with it", {}, {}, True),
    ("one of a cluster before this one, too", {"mark": replace(INSTANCE, uid="before")}, {}, True),
    ("an image that a person brought has no mark", {"mark": None, "notes": {}}, {}, False),
    ("one that spec names as an image was there before", {}, {"disks": [{"name": "data", "image": "web-data"}]}, False),
    ("one of another instance is none of its", {"mark": replace(INSTANCE, object="HostedInstance/team/db")}, {}, False),
    ("it is left already", {"mark": MOVE, "notes": LEFT}, {}, False),
]


@pytest.mark.parametrize(("why", "fields", "spec", "leaves"), LEAVING, ids=[row[0] for row in LEAVING])
async def test_with_the_machine_its_own_disks_get_the_mark_of_the_move(why, fields, spec, leaves) -> None:
    for left, first in ((False, ["LeaveMachine"]), (True, [])):
        seen = await found(
            old=OLD, note=NOTE, new=RUNS, left=left, disks=(), instance=web(spec, FOLLOWS),
            here=OpenNebula(network(), image(), disk(**fields)),
        )  # fmt: skip
        made = plan(move(external=BEGUN), seen, NOW)
        assert steps(made) == [*first, *(["LeaveDisk"] if leaves else []), "HandOverMachine"], "also after a crash"


AFTERWARDS = [
    ("its time is over", 90_000, {}, {}, ["DeleteImage"], Phase.WAITING),
    ("a person deleted the machine before", 10, {}, {}, [], Phase.DONE),
    ("it is being given back", 90_000, {}, {"state": 8, "vms": (12,)}, [], Phase.WAITING),
    ("it is being deleted", 90_000, {}, {"state": 7}, [], Phase.WAITING),
    ("another machine uses it", 90_000, {}, {"state": 8, "vms": (13,)}, ["Remember"], Phase.DONE),
    ("it carries the mark of the instance", 90_000, {}, {"mark": INSTANCE, "notes": OURS}, ["Remember"], Phase.DONE),
    ("of nobody who makes things here", 90_000, {}, {"owner": 999}, ["Remember"], Phase.DONE),
    ("the move is deleted before, and keeps", 10, {"deleting": True}, {}, [], Phase.DONE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "since", "meta", "fields", "wanted", "phase"), AFTERWARDS, ids=[row[0] for row in AFTERWARDS]
)
async def test_when_the_machine_is_gone_so_are_its_disks(why, since, meta, fields, wanted, phase) -> None:
    one = disk(**{"mark": MOVE, "notes": LEFT, "vms": (), "state": 1, **fields})
    seen = await found(
        old=None, taken_over=True, new=replace(RUNS, mark=INSTANCE), disks=(),
        instance=web(status={"external": {"vm": "40", "cloud": "team/paris"}}),
        here=OpenNebula(network(), image(), vm(id=13, at=POWEROFF, mark=None), one),
    )  # fmt: skip
    external = BEGUN | {"cutOver": str(NOW_S - since), "cleaned": "1"}
    made = plan(move(external=external, **meta), seen, NOW)
    assert (steps(made), made.outcome.phase) == (wanted, phase)


REBUILT = [
    ("they go on after their time, which begins anew", {}, ["Remember"], "cutOver"),
    (
        "another machine uses them: the move is over when that is known",
        {"state": 8, "vms": (13,)},
        ["Remember"],
        "cutOver",
    ),
    ("they carry the mark of the instance", {"mark": INSTANCE, "notes": OURS}, ["Remember"], "doneBefore"),
    ("there are none", {"mark": None, "notes": {}}, ["Remember"], "doneBefore"),
]


@pytest.mark.parametrize(("why", "fields", "wanted", "fact"), REBUILT, ids=[row[0] for row in REBUILT])
async def test_a_rebuilt_cluster_that_finds_disks_of_a_machine_that_is_gone_ends_them(
    why, fields, wanted, fact
) -> None:
    """The machine tells that the move is done, and nothing is recorded of it."""
    one = disk(**{"mark": replace(MOVE, uid="before"), "notes": LEFT, "vms": (), "state": 1, **fields})
    seen = await found(
        old=None, taken_over=True, new=replace(RUNS, mark=INSTANCE, notes={MOVES: "go"}), disks=(),
        instance=web(status={"external": {"vm": "40", "cloud": "team/paris"}}),
        here=OpenNebula(network(), image(), vm(id=13, at=POWEROFF, mark=None), one),
    )  # fmt: skip
    made = plan(move(), seen, NOW)
    assert steps(made) == wanted
    (step,) = made.steps
    known = {key for key, _ in step.facts} | {step.now_as}  # type: ignore[attr-defined]
    assert fact in known
    if fact == "cutOver":
        external = {"cutOver": str(NOW_S - 90_000), "cleaned": "1"}
        after = plan(move(external=external), seen, NOW)
        assert steps(after) == (["Remember"] if fields else ["DeleteImage"])


async def test_what_an_earlier_move_of_the_same_name_left_is_not_on_its_way() -> None:
    seen = await found(there=OpenNebula(network(), disk(mark=MOVE, notes=LEFT), image(id=72, owner=US, mark=MOVE)))
    assert seen.target is not None
    assert [one.id for one in copies_on_the_way(seen, seen.target, "exit-uid-go-")] == [72]
