"""A HostedInstance made from a backup: a new one, and one that somebody terminated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds import machine_scene
from tests.unit.kinds.machine_scene import CONTROLLER, OURS, until_quiet
from tests.unit.kinds.opennebula_in_memory import (
    DONE_STATE,
    US,
    OpenNebula,
    World,
    again,
    image,
    look,
    mark,
    resource,
    run,
    vm,
)

from sovereigncloud.core.outcome import Phase
from sovereigncloud.ports.opennebula.storage import TemplateDisk, VmBackups
from sovereigncloud.ports.opennebula.views import Template

SPEC: dict[str, Any] = {"source": {"backup": "saved"}, "placement": {"cloudRef": {"name": "rbx"}}}
NAME = "restore.uid-1.60.new"
ROOT_NOTES = {"SOVEREIGNCLOUD_DISK": "root", "SOVEREIGNCLOUD_DELETION_POLICY": "Delete"}


def backup(**fields: Any) -> Any:
    """Image 60, a backup of db, machine 3, which is gone."""
    return image(
        **{"id": 60, "name": "saved", "type": 6, "owner": US, "mark": mark("HostedInstance", "db"), "backup_of": 3}
        | fields
    )


def restored(number: int = 0, **fields: Any) -> Any:
    """Image 70 and on: a disk of what was restored."""
    return image(**{"id": 70 + number, "name": f"{NAME}-disk-{number}", "owner": US} | fields)


def template(*labels: str, **fields: Any) -> Template:
    disks = tuple(TemplateDisk(70 + number, label) for number, label in enumerate(labels))
    return replace(Template(80, NAME, US, disks=disks, notes=frozenset({"SOVEREIGNCLOUD_RESUME"})), **fields)


def cloud(*things: Any) -> OpenNebula:
    one = machine_scene.cloud(*(thing for thing in things if not isinstance(thing, Template)))
    one.templates |= {thing.id: thing for thing in things if isinstance(thing, Template)}
    return one


@dataclass(frozen=True)
class Row:
    why: str
    things: tuple[Any, ...]
    steps: tuple[str, ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)
    reason: str = "Restoring"
    says: str = ""
    phase: Phase = Phase.WAITING


DATA = {"disks": [{"name": "data", "size": "10Gi"}]}
MARKED = restored(mark=OURS, notes=ROOT_NOTES)
ROWS = [
    Row("it is restored first", (backup(),), ("RestoreElsewhere",)),
    Row("an attempt that came to nothing left an image: it goes", (backup(), restored()), ("DeleteDisk",)),
    Row("restored: its root disk is marked", (backup(), restored(state=4), template("")), ("MarkRestored root",)),
    Row("marked, and still being copied", (backup(), restored(state=4, mark=OURS, notes=ROOT_NOTES), template(""))),
    Row("copied: the machine is made", (backup(), MARKED, template("")), ("CreateVm 80 70",), reason="Creating"),
    Row("a copy that failed", (backup(), restored(state=5, mark=OURS, notes=ROOT_NOTES), template("")), reason="ImageError",
        phase=Phase.STALLED),
    Row("what was a data disk is one again, where spec names it", (backup(), MARKED, restored(1), template("", "data")),
        ("MarkRestored data",), DATA),
    Row("a data disk that is there stays as it is: the restored one is one too many",
        (backup(), MARKED, restored(1), template("", "data"),
         image(id=40, owner=US, mark=OURS, persistent=True, notes={"SOVEREIGNCLOUD_DISK": "data"})), ("DeleteDisk",), DATA),
    Row("a data disk that spec does not name is one too many", (backup(), MARKED, restored(1), template("", "data")),
        ("DeleteDisk",), {"disks": []}),
    Row("and when it is deleted the machine is made", (backup(), MARKED, template("", "data")), ("CreateVm 80 70",),
        {"disks": []}, "Creating"),
    Row("without spec.disks it is part of the machine", (backup(), MARKED, restored(1), template("", "data")),
        ("MarkRestored root.1",)),
    Row("a second disk that was never a data disk is part of the machine",
        (backup(), MARKED, restored(1, mark=OURS, notes=ROOT_NOTES | {"SOVEREIGNCLOUD_DISK": "root.1"}), template("", "")),
        ("CreateVm 80 70,71",), reason="Creating"),
    Row("a root disk that is too small for it", (backup(), MARKED, template("")), (),
        {"disks": [{"name": "root", "size": "1Gi"}]}, "CannotShrink", "10Gi", Phase.STALLED),
    Row("a restored image is gone", (backup(), template("")), (), {}, "ImageError", "template 80", Phase.STALLED),
    Row("a template of that name of another user means nothing", (backup(), template("", owner=9)), ("RestoreElsewhere",)),
    Row("no such backup", (), (), {}, "BackupNotFound", "there are: none", Phase.STALLED),
    Row("a backup of another namespace is not for this one",
        (backup(mark=mark("HostedInstance", "db", namespace="other")),), (), {}, "BackupNotFound", "namespace team", Phase.STALLED),
    Row("nor one that is not marked yet, of a machine of another namespace",
        (backup(mark=None), vm(id=3, name="db", mark=mark("HostedInstance", "db", namespace="other"))), (), {},
        "BackupNotFound", "namespace team", Phase.STALLED),
    Row("nor one of another installation", (backup(mark=mark("HostedInstance", "db", installation="x")),), (), {},
        "BackupNotFound", "", Phase.STALLED),
    Row("a backup of nobody's machine, in the namespace's own cloud", (backup(mark=None),), ("RestoreElsewhere",)),
    Row("two of that name", (backup(), backup(id=61)), (), {}, "MultipleMatches", "60, 61", Phase.STALLED),
]  # fmt: skip


def told(step: Any) -> str:
    name = type(step).__name__
    if name == "CreateVm":
        return f"{name} {step.template} {','.join(map(str, step.restored))}"
    return f"{name} {step.name}" if name == "MarkRestored" else name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_a_new_machine_from_a_backup(row: Row) -> None:
    wanted = resource("HostedInstance", "web", SPEC | row.spec)
    plan = await look(CONTROLLER, wanted, World(rbx=cloud(*row.things)))
    assert tuple(told(step) for step in plan.steps) == row.steps, row.why
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason), (row.why, plan.outcome.message)
    assert row.says in plan.outcome.message, row.why


def verbs(front: OpenNebula, *names: str) -> list[str]:
    return [entry[0] for entry in front.journal if entry[0] in names]


@pytest.mark.parametrize(
    "lost", ["", "restore_elsewhere", "instantiate", "make_persistent", "delete_template", "update_image"]
)
async def test_a_life_from_a_backup_whatever_is_lost(lost: str) -> None:
    front = cloud(backup())
    front.backed_up_disks = ("", "data")
    front.lost = {lost}
    world = World(rbx=front)
    web = await until_quiet(resource("HostedInstance", "web", SPEC | DATA), world, front)
    assert verbs(front, "restore_elsewhere", "instantiate", "create_image") == ["restore_elsewhere", "instantiate"]
    (made,) = [entry for entry in front.journal if entry[0] == "instantiate"]
    assert len(made[3]["DISK"]) == 1, "the root disk alone; the data disk is attached as one"
    assert {one.name for one in front.templates.values()} == {"small"}, "the template goes when the machine is there"
    data = next(one for one in front.images.values() if one.notes.get("SOVEREIGNCLOUD_DISK") == "data")
    assert (data.persistent, data.vms) == (True, (int(web.external["vm"]),))

    await until_quiet(again(web, deleting=True), world, front)
    left = {one.notes.get("SOVEREIGNCLOUD_DISK") for one in front.images.values() if one.owner == US and one.type != 6}
    assert left == {"data"}, "the root disk went with its machine, the data disk is kept"


async def test_an_attempt_that_breaks_off_is_cleared_away_and_made_again() -> None:
    front = cloud(backup())
    front.storage.fails = {"restore_elsewhere"}
    world = World(rbx=front)
    wanted = resource("HostedInstance", "web", SPEC)
    for _ in range(4):
        wanted, _, _ = await run(CONTROLLER, wanted, world)
        front.tick()
    front.storage.fails = set()
    await until_quiet(wanted, world, front)
    assert len(verbs(front, "instantiate")) == 1
    assert len([one for one in front.images.values() if one.name.startswith("restore.")]) == 1


GONE = {"external": {"vm": "12", "cloud": "team/rbx"}}
BY_IMAGE = {"source": {"image": "ubuntu"}, "vcpu": 2, "memory": "4Gi", "placement": {"cloudRef": {"name": "rbx"}}}
REPLACE = {"updatePolicy": {"replace": "Allow"}}


async def terminated(spec: dict[str, Any], *things: Any) -> tuple[World, OpenNebula, Any]:
    front = cloud(vm(at=DONE_STATE, backups=VmBackups(images=(60,))), *things)
    world = World(rbx=front)
    world.admitted = True
    return world, front, resource("HostedInstance", "web", spec, GONE)


async def test_a_machine_that_somebody_terminated_comes_back_from_its_last_backup_and_only_with_consent() -> None:
    saved = [backup(id=60 + n, name=f"12 {n}", mark=OURS, backup_of=12, time=n) for n in (1, 2)]
    world, _, wanted = await terminated(BY_IMAGE, *saved)
    plan = await look(CONTROLLER, wanted, world)
    assert (plan.steps, plan.outcome.reason) == ((), "ExternallyDeleted")
    assert 'from its last backup "12 2"' in plan.outcome.message

    world, front, wanted = await terminated(BY_IMAGE | REPLACE, *saved)
    web = await until_quiet(wanted, world, front)
    (call,) = [entry for entry in front.journal if entry[0] == "restore_elsewhere"]
    assert (call[1], call[4]) == (62, True), "the last one, and with the addresses that it had"
    assert web.external["vm"] != "12"
    assert verbs(front, "create_vm", "instantiate") == ["instantiate"]
    assert await look(CONTROLLER, web, world) == await look(CONTROLLER, web, world)


async def test_without_a_backup_it_is_made_anew_as_before() -> None:
    theirs = backup(mark=mark("HostedInstance", "db"), backup_of=12)
    world, front, wanted = await terminated(BY_IMAGE | REPLACE, theirs)
    await until_quiet(wanted, world, front)
    assert verbs(front, "create_vm", "instantiate", "restore_elsewhere") == ["create_vm"], (
        "another one's backup is not its"
    )


async def test_what_was_asked_of_the_lost_machine_is_not_done_again_to_the_next() -> None:
    spec = BY_IMAGE | REPLACE | {"snapshot": {"request": "a"}, "restore": {"request": "b"}}
    status = {
        "requests": {"snapshot": {"request": "a", "state": "Done"}, "restore": {"request": "b", "state": "Failed"}}
    }
    front = cloud(vm(at=DONE_STATE))
    world = World(rbx=front)
    await until_quiet(resource("HostedInstance", "web", spec, GONE | status), world, front)
    assert verbs(front, "take_snapshot", "restore") == []


async def test_of_a_machine_that_is_gone_status_still_names_what_outlives_it() -> None:
    saved = {
        "backups": [{"name": "12 2", "id": "62"}],
        "disks": [{"name": "data", "image": "web-data", "state": "Attached"}],
    }
    front = cloud(vm(at=DONE_STATE))
    world = World(rbx=front)
    world.admitted = True
    wanted = resource("HostedInstance", "web", BY_IMAGE, GONE | saved)
    told = CONTROLLER.status(wanted, await CONTROLLER.observe(wanted, world))
    assert (told["state"], told["snapshots"]) == ("Terminated", None)
    assert {key: told[key] for key in saved} == saved


@pytest.mark.parametrize("how", ["terminated", "replaced"])
async def test_what_was_asked_for_once_is_done_once_also_when_the_machine_is_made_anew(how: str) -> None:
    front = cloud(image(id=8, name="debian"))
    world = World(rbx=front)
    spec = BY_IMAGE | REPLACE | {"snapshot": {"request": "a"}}
    web = await until_quiet(resource("HostedInstance", "web", spec), world, front)
    before = web.external["vm"]
    if how == "terminated":
        await front.act(int(before), "terminate-hard")
        front.tick()
        front.tick()
    else:
        web = again(web, {"source": {"image": "debian"}})
    web = await until_quiet(web, world, front)
    assert web.external["vm"] != before
    assert verbs(front, "take_snapshot") == ["take_snapshot"]
