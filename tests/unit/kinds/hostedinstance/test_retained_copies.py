"""What a rehearsal keeps as a copy: how it is told, found, replaced and taken away, and whether a machine can be made from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.kinds.exit_scene import RBX, ExitScene, leaving
from tests.unit.kinds.hostedinstance.test_continuity import clouds, protected, seen
from tests.unit.kinds.hostedinstance.test_copies import PARIS, SPEC, target
from tests.unit.kinds.hostedinstance.test_copies import web as instance_of
from tests.unit.kinds.instancemigration.test_plan import INSTANCE, JUST_BEGUN, MOVE, NOTE, OFF, found, move, steps
from tests.unit.kinds.machine_scene import OURS
from tests.unit.kinds.opennebula_in_memory import NOW, US, OpenNebula, World, image, look, mark, network, resource

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.hostedinstance.continuity.copies import Copy, Held, remembered_machine, usable
from sovereigncloud.kinds.hostedinstance.continuity.retained_copies import kept_copies, kept_there
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KEPT, Kept, read_kept
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.instancemigration.observation import CopyOfDisk, copies_on_the_way
from sovereigncloud.kinds.instancemigration.plan import plan
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.opennebula.views import Disk

TOLD = Kept(57, "uid-go", 2, "2027-03-01T02:00:00Z", 0, "", "0.5", 2, 4096, ("lan", "a b,c"))
FOREIGN = replace(INSTANCE, installation="other")


def kept(number: int = 57, run: str = "uid-go", told: dict[str, Any] | None = None, **fields: Any) -> Any:
    """One of the two images of a copy."""
    disk = {57: 0, 58: 2, 67: 0, 68: 2}[number]
    one = replace(TOLD, image=number, run=run, disk=disk, label="data" if disk else "", **(told or {}))
    base = image(id=number, name=f"exit-{run}-{disk}", owner=US, mark=INSTANCE, size=1024)
    return replace(base, **{"notes": {KEPT: str(one)}, **fields})


def test_an_image_tells_what_it_is_and_a_clone_of_it_does_not() -> None:
    for one in (TOLD, replace(TOLD, cpu="", networks=(), label="data", disk=2)):
        assert read_kept(image(id=57, notes={KEPT: str(one)})) == one
    assert read_kept(image(id=99, notes={KEPT: str(TOLD)})) is None, "a clone says the same, and has another number"
    for told in ("NO", "", "57 a b", str(TOLD).replace(" 2 ", " two ", 1)):
        assert read_kept(image(id=57, notes={KEPT: told})) is None


FOUND: list[tuple[str, dict[str, Any], int]] = [
    ("both disks are there", {}, 1),
    ("of a cluster before this one", {"mark": replace(INSTANCE, uid="before")}, 1),
    ("it is being cloned", {"state": 6}, 1),
    ("it could not be written", {"state": 5}, 0),
    ("one disk is not kept yet", {"notes": {}}, 0),
    ("of another installation", {"mark": FOREIGN}, 0),
    ("somebody else says so", {"owner": 999}, 0),
]


@pytest.mark.parametrize(("why", "fields", "wanted"), FOUND, ids=[row[0] for row in FOUND])
async def test_a_copy_is_found_by_what_its_images_say(why, fields, wanted) -> None:
    there = OpenNebula(network(), kept(57), kept(58, **fields))
    copies = kept_copies((await there.view(0.0)).images.values(), PARIS, INSTANCE, frozenset({US}))
    assert len(copies) == wanted, why
    of_all = await kept_there(await there.view(0.0), PARIS, "team", World(paris=there))
    assert of_all.of(INSTANCE) == copies, "the same, where all are gone through at once"


async def test_the_newest_of_any_kind_is_used_and_tells_what_the_machine_was_like() -> None:
    told = {"disks": [{"name": "data", "size": "1Gi"}]}
    there = OpenNebula(network(), kept(57), kept(58))
    (copy,) = kept_copies((await there.view(0.0)).images.values(), PARIS, INSTANCE, frozenset({US}))
    backup = Copy(
        "Backup",
        "team/rbx/5",
        "2027-03-01T01:00:00Z",
        True,
        "backup.example.org",
        copy.disks,
        Held("restic", 100, 12, 0, "", "0:a"),
    )
    for time, wanted in (("2027-03-01T01:00:00Z", copy), ("2027-03-01T03:00:00Z", backup)):
        chosen = usable([replace(backup, time=time), copy], instance_of(**told), PARIS, await target())
        assert isinstance(chosen, Copy)
        assert chosen.name == wanted.name
    assert [disk.source for disk in copy.disks] == [{"IMAGE_ID": "57"}, {"IMAGE_ID": "58"}]
    more = {"disks": [{"name": "more", "size": "1Gi"}]}
    assert "does not hold disk more" in str(usable([copy], instance_of(**more), PARIS, await target()))
    bare = instance_of()
    bare = bare.model_copy(update={"spec": bare.spec.model_copy(update={"memory": None, "vcpu": None})})
    machine = remembered_machine(bare, copy)
    assert machine is not None
    assert (machine.memory, machine.vcpu, machine.cpu) == (4096, 2, "0.5")
    assert [nic.network for nic in machine.nics] == ["lan", "a b,c"]


# ------------------------------------------------------------------------------------------------------------ keeping

DISKS = (Disk(0, 7, "ubuntu", 20480), Disk(2, 9, "data", 1024, "data"))
RUNS = replace(OFF, state=3, lcm_state=3, disks=DISKS)
SAVED = image(id=70, name="exit-uid-go-0", owner=US, time=1_700_000_000)
DONE = JUST_BEGUN | {"ran": "160"}


def imported(number: int) -> Any:
    return replace(kept(number), mark=MOVE, notes={})


KEEPING: list[tuple[str, tuple[int, ...], tuple[Any, ...], list[str]]] = [
    ("nothing is kept yet", (57, 58), (), ["KeepDisk", "KeepDisk"]),
    ("one is", (58,), (kept(57),), ["KeepDisk"]),
    ("both are", (), (kept(57), kept(58)), ["ForgetMove"]),
    ("there is an older one", (), (kept(57), kept(58), kept(67, "uid-0"), kept(68, "uid-0")), ["DeleteImage", "DeleteImage"]),
    ("which is being cloned", (), (kept(57), kept(58), kept(67, "uid-0", state=6)), []),
    ("somebody deleted one of these: the older one stays", (), (kept(57), kept(67, "uid-0"), kept(68, "uid-0")), ["ForgetMove"]),
    ("an older one while one is not kept", (58,), (kept(57), kept(67, "uid-0")), ["KeepDisk"]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "copies", "there", "wanted"), KEEPING, ids=[row[0] for row in KEEPING])
async def test_the_one_before_goes_when_all_disks_of_this_one_are_kept(why, copies, there, wanted) -> None:
    numbers = {0: 57, 2: 58}
    disks = tuple(
        CopyOfDisk(disk, disk.label, copy=imported(numbers[disk.id]) if numbers[disk.id] in copies else None)
        for disk in DISKS
    )
    observed = await found(old=RUNS, note=NOTE, disks=disks, there=OpenNebula(network(), *there))
    keeps = {"mode": "Rehearse", "keepCopy": True}
    made = plan(move(keeps, external=DONE), observed, NOW)
    assert steps(made) == wanted
    assert observed.target is not None
    assert copies_on_the_way(observed, observed.target, "exit-uid-go-") == (), "what is kept is not cleaned up"
    failed = plan(move(keeps, external=JUST_BEGUN | {"failed": "x"}), observed, NOW)
    assert "KeepDisk" not in steps(failed), "of a copy that did not run nothing is kept"


async def test_its_time_is_that_of_the_disk_that_was_saved_first() -> None:
    for saved, time in ((SAVED, "2023-11-14T22:13:20Z"), (None, "1970-01-01T00:01:40Z")):
        disks = (CopyOfDisk(DISKS[0], "", saved=saved, copy=imported(57)),)
        observed = await found(old=replace(RUNS, disks=DISKS[:1]), note=NOTE, disks=disks)
        (step,) = plan(move({"mode": "Rehearse", "keepCopy": True}, external=DONE), observed, NOW).steps
        assert step.kept.time == time  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ beforehand, and afterwards


async def test_an_instance_could_be_started_from_what_is_kept_and_says_so() -> None:
    scene = clouds(store=False)
    _, told = await seen(scene, protected(copies=()))
    assert "NoCopy" in str(told)
    scene.front("sbg").images[57] = kept(57, told={"disks": 1}, mark=OURS)
    _, told = await seen(scene, protected(copies=()))
    assert "NoCopy" not in str(told)
    assert told["continuity"] == {"lastCopy": TOLD.time}


GOING = [
    ("it is deleted with all that it had", {}, {}, ["DeleteDisk", "DeleteDisk"]),
    ("one is being cloned", {}, {"state": 6}, ["DeleteDisk"]),
    ("it is let go", {"deletionPolicy": "Retain"}, {}, []),
]


@pytest.mark.parametrize(("why", "spec", "fields", "wanted"), GOING, ids=[row[0] for row in GOING])
async def test_copies_go_with_the_instance(why, spec, fields, wanted) -> None:
    paris = OpenNebula(network(), kept(57), kept(58, **fields))
    world = World(rbx=OpenNebula(network()), paris=paris)
    gone = resource("HostedInstance", "web", SPEC | {"placement": {"cloudRef": {"name": "rbx"}}, **spec}, deleting=True)
    made = await look(HostedInstanceController(), gone, world)
    assert steps(made) == wanted
    assert (made.outcome.phase is Phase.DONE) is (not wanted)


async def test_a_cloud_that_does_not_answer_keeps_them_and_holds_up_nothing() -> None:
    world = World(rbx=OpenNebula(network()), paris=Retry("no route to host"))
    recorded = {"external": {"cloud": "team/rbx"}}
    gone = resource(
        "HostedInstance", "web", SPEC | {"placement": {"cloudRef": {"name": "rbx"}}}, recorded, deleting=True
    )
    world.lost["paris"] = "2027-03-01T04:05:06Z"
    made = await look(HostedInstanceController(), gone, world)
    assert (steps(made), made.outcome.phase) == ([], Phase.DONE)


# ----------------------------------------------------------------------------------------------------------- an exit


async def test_each_rehearsal_of_an_exit_renews_them() -> None:
    for keeps in (True, None):
        scene = ExitScene(machines=1)
        found = leaving({"mode": "Rehearse", "keepCopy": keeps})
        for _ in range(3):
            found, _, _ = await scene.once(found)
        (one,) = scene.moves.values()
        assert one.spec.keep_copy is keeps


async def test_an_exit_from_what_is_lost_counts_those_that_are_kept_and_names_the_others() -> None:
    scene = ExitScene(machines=2)
    scene.paris.images[57] = kept(57, told={"disks": 1}, mark=mark("HostedInstance", "m1"))
    scene.world.fronts[RBX] = AssertionError("rbx was asked")
    lost = leaving({"mode": "Plan", "sourceState": "Lost", "fencing": {"confirmedBy": "oncall@example.fr"}})
    found, _, _ = await scene.once(lost)
    assert found.status.movable == "1/2"
    (blocker,) = found.status.blockers
    assert (blocker.name, blocker.reason) == ("team/m2", "NoUsableCopy")
