"""An image that was there before, named by its id in a cloud: which one it is, what is written on it, and how it is let go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.kinds.adoption_scene import NOTED, THEIRS, Row, adopt_and_let_go
from tests.unit.kinds.opennebula_in_memory import NOW, OpenNebula, World, image, look, mark, resource

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud.kinds.machineimage.steps import (
    AdoptImage,
    CreateImage,
    DeleteImage,
    MarkImage,
    RecordImage,
    ReleaseImage,
    RenameImage,
)

CONTROLLER = MachineImageController()
ADOPT: dict[str, Any] = {"cloudRefs": [{"name": "rbx", "adopt": {"id": "7"}}]}
KNOWN = {"external": {"image.rbx": "7", "adopted.rbx": str(THEIRS)}}
MINE = mark("MachineImage", "base")
BY_HAND: dict[str, Any] = {"name": "Debian (alt)", "owner": THEIRS}


def base(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    return resource("MachineImage", "base", ADOPT | (spec or {}), status or {}, **meta)


def found(**fields: Any) -> Any:
    return image(**(BY_HAND | fields))


def taken(**fields: Any) -> Any:
    return found(**({"mark": MINE, "notes": NOTED} | fields))


ROWS = [
    Row("nobody's: it is marked, and keeps its name", (found(),), (AdoptImage,)),
    Row("a name that is declared comes after the mark", (found(),), (AdoptImage, RenameImage), spec={"name": "debian"}),
    Row("there is none of that number: none is made", (found(id=9),), reason="NothingToAdopt"),
    Row("another object's", (found(mark=mark("MachineImage", "x")),), reason="CannotAdopt"),
    Row(
        "another installation's", (found(mark=mark("MachineImage", "base", installation="b")),),
        reason="OwnedByAnotherInstallation",
    ),
    Row("the answer to its marking was lost", (taken(),), (RecordImage,)),
    Row("after the cluster was rebuilt", (taken(mark=mark("MachineImage", "base", uid="u-0")),), (MarkImage,)),
    Row("adopted, and as declared", (taken(),), status=KNOWN),
    Row("its owner gave it away", (taken(owner=8),), reason="OwnerChanged", status=KNOWN),
    Row("it is in error: it is not deleted to be made again", (taken(state=5),), reason="ImageError", status=KNOWN),
    Row("under another name it is no version before, to be deleted", (taken(owner=2),), status={"external": {"image.rbx": "7", "adopted.rbx": "2"}}),
    Row(
        "it is gone, and nothing says what to make it from", (),
        reason="InvalidSpec", status=KNOWN | {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]},
    ),
    Row("it is gone, and a source is there", (), (CreateImage,), status=KNOWN, spec={"source": {"url": "https://x.example/i"}}),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_which_image_it_is(row: Row) -> None:
    world = World(rbx=OpenNebula(*row.found))
    world.admitted = True
    plan = await look(CONTROLLER, base(row.spec, row.status), world)
    assert tuple(type(step) for step in plan.steps) == row.steps
    stalled = plan.outcome.phase is Phase.STALLED
    assert (stalled, plan.outcome.reason if stalled else "") == (bool(row.reason), row.reason), plan.outcome
    assert row.says in plan.outcome.message


async def test_adopted_and_let_go_it_is_as_it_was() -> None:
    front = OpenNebula(found())
    world, before = World(rbx=front), front.images[7]
    life = await adopt_and_let_go(CONTROLLER, base, world)
    assert life.recorded == KNOWN["external"]
    assert (life.at_rest.steps, life.at_rest.drift, life.said.phase) == ((), (), Phase.DONE)
    assert [type(step) for step in life.going] == [ReleaseImage]
    assert front.images[7] == before
    assert front.journal == [
        ("update_image", 7, {**MINE.for_opennebula(), **NOTED}),
        ("unmark", "image", 7),
    ], "it is marked and unmarked, and nothing else"
    assert (life.gone.steps, life.gone.outcome.phase) == ((), Phase.DONE)


GOING = [
    ("nothing is said: released", {}, {"deleting": True}, [ReleaseImage]),
    ("Retain: released", {"deletionPolicy": "Retain"}, {"deleting": True}, [ReleaseImage]),
    ("Delete: deleted", {"deletionPolicy": "Delete"}, {"deleting": True}, [DeleteImage]),
    ("its cloud was taken off the list: released", {"cloudRefs": [{"name": "gra", "adopt": {"id": "7"}}]}, {}, [ReleaseImage]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "meta", "steps"), GOING, ids=[row[0] for row in GOING])
async def test_letting_go(why: str, spec: dict[str, Any], meta: dict[str, Any], steps: list[type]) -> None:
    world = World(rbx=OpenNebula(taken()), gra=OpenNebula(taken(mark=mark("MachineImage", "x"))))
    plan = await look(CONTROLLER, base(spec, KNOWN, **meta), world)
    assert [type(step) for step in plan.steps] == steps, why


async def test_a_cloud_that_does_not_answer_holds_it_for_ten_minutes_only() -> None:
    world = World(rbx=None)
    plan = await look(CONTROLLER, base(status=KNOWN, deleting=True), world)
    assert plan.outcome.phase is not Phase.DONE
    late = CONTROLLER.plan(
        base(status=KNOWN, deleting=True),
        await CONTROLLER.observe(base(status=KNOWN, deleting=True), world),
        NOW + timedelta(minutes=11),
    )
    assert (late.steps, late.outcome.phase) == ((), Phase.DONE)
