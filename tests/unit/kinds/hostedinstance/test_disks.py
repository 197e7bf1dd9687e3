"""Data disks of a HostedInstance, row by row, and their lives from beginning to end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.kinds import machine_scene
from tests.unit.kinds.machine_scene import CONTROLLER, EXTERNAL, OURS, SPEC, cloud, new_instance, until_quiet
from tests.unit.kinds.opennebula_in_memory import (
    DONE_STATE,
    POWEROFF,
    SETTLED,
    SUSPENDED,
    US,
    World,
    again,
    image,
    look,
    mark,
    resource,
    vm,
)

from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Disruption
from sovereigncloud.ports.opennebula.views import Disk

NOTES = {"SOVEREIGNCLOUD_DISK": "data", "SOVEREIGNCLOUD_DELETION_POLICY": "Retain"}
ROOT = Disk(0, 7, "ubuntu", 20480)
DATA = Disk(2, 40, "web-data", 10240, "data")
NEW = {"name": "data", "size": "10Gi"}


def data(**fields: Any) -> Any:
    """Image 40, the data disk of web, free."""
    base = {"id": 40, "name": "web-data", "owner": US, "type": 2, "persistent": True, "mark": OURS, "notes": NOTES}
    return image(**(base | fields))


ATTACHED = data(state=8, vms=(12,))


def instance(disks: list[dict[str, Any]] | None, external: dict[str, str] | None = None, **meta: Any) -> Any:
    status = {"external": EXTERNAL | (external or {}), **meta.pop("status", {})}
    return machine_scene.instance({} if disks is None else {"disks": disks}, status=status, **meta)


@dataclass(frozen=True)
class Row:
    why: str
    disks: list[dict[str, Any]] | None
    vm: dict[str, Any] = field(default_factory=dict)
    images: tuple[Any, ...] = ()
    external: dict[str, str] = field(default_factory=dict)
    drift: dict[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    phase: Phase = Phase.DONE
    reason: str = ""
    says: str = ""
    needs: str = ""
    others: tuple[Any, ...] = ()


def other(name: str, namespace: str = "team", disks: list[dict[str, Any]] | None = None) -> Any:
    return resource("HostedInstance", name, SPEC | {"disks": disks or []}, namespace=namespace)


BOTH = {"disks": (ROOT, DATA)}
KNOWN = {"disk.data": "40"}
TAKEN = {"name": "mine", "image": "old"}

ROWS = [
    Row("a disk that is not there is made: its image first", [NEW], drift={"spec.disks[data]": "absent"},
        steps=("CreateDisk",), phase=Phase.WAITING, reason="Creating"),
    Row("its image is being made", [NEW], images=(data(state=4),), drift={"spec.disks[data]": 'image 40 "web-data" is not attached'},
        phase=Phase.WAITING, reason="ImageNotReady"),
    Row("its image is ready", [NEW], images=(data(),), drift={"spec.disks[data]": 'image 40 "web-data" is not attached'},
        steps=("AttachDisk",)),
    Row("attached and recorded: nothing to do", [NEW], BOTH, (ATTACHED,), KNOWN),
    Row("attached, and the record was lost with the status", [NEW], BOTH, (ATTACHED,), steps=("RecordDisk",)),
    Row("attached, of a predecessor in a cluster before this one", [NEW], BOTH,
        (data(state=8, vms=(12,), mark=mark("HostedInstance", "web", uid="uid-0")),), KNOWN, steps=("MarkDisk",)),
    Row("left behind by an instance of this name: found again by its mark", [NEW],
        images=(data(mark=mark("HostedInstance", "web", uid="uid-0")),),
        drift={"spec.disks[data]": 'image 40 "web-data" is not attached'}, steps=("MarkDisk", "AttachDisk")),
    Row("somebody detached it", [NEW], {}, (data(),), KNOWN, {"spec.disks[data]": 'image 40 "web-data" is not attached'},
        ("AttachDisk",)),
    Row("somebody detached it, and the machine is suspended", [NEW], {"at": SUSPENDED}, (data(),), KNOWN,
        {"spec.disks[data]": 'image 40 "web-data" is not attached'}, ("AttachDisk",), needs="spec.power: Running"),
    Row("it is attached to a machine that is off as well", [NEW], {"at": POWEROFF}, (data(),), KNOWN,
        {"spec.disks[data]": 'image 40 "web-data" is not attached'}, ("AttachDisk",)),
    Row("somebody attached it to another machine", [NEW], {}, (data(state=8, vms=(13,)),), KNOWN,
        {"spec.disks[data]": 'image 40 "web-data" is not attached'}, phase=Phase.WAITING, reason="ImageBusy"),
    Row("its image is gone: never made anew in silence", [NEW], external=KNOWN, drift={"spec.disks[data]": "gone"},
        phase=Phase.STALLED, reason="ExternallyDeleted", says="then add it again"),
    Row("a larger disk grows in place", [NEW | {"size": "20Gi"}], BOTH, (ATTACHED,), KNOWN,
        {"spec.disks[data].size": "10Gi"}, ("GrowDisk",)),
    Row("a smaller disk is impossible", [NEW | {"size": "5Gi"}], BOTH, (ATTACHED,), KNOWN,
        {"spec.disks[data].size": "10Gi"}, phase=Phase.STALLED, reason="CannotShrink", says="set spec.disks[data].size to 10Gi"),
    Row("another policy is written on the image", [NEW | {"deletionPolicy": "Delete"}], BOTH, (ATTACHED,), KNOWN,
        {"spec.disks[data].deletionPolicy": "Retain"}, ("MarkDisk",)),
    Row("two images with the same marks: a person must choose", [NEW], images=(data(), data(id=41)),
        phase=Phase.STALLED, reason="MultipleMatches", says="40, 41"),
    Row("marks on an image of another user mean nothing", [NEW], images=(data(owner=9, name="x"),),
        drift={"spec.disks[data]": "absent"}, steps=("CreateDisk",), phase=Phase.WAITING, reason="Creating"),
    Row("an image of that name is there, and nobody's", [NEW], images=(data(mark=None, notes={}),),
        phase=Phase.STALLED, reason="NameTaken", says="spec.disks[data].image"),
    Row("taken out of spec: detached, and kept", [], BOTH, (ATTACHED,), KNOWN,
        {"spec.disks[data]": 'disk 2, image 40 "web-data"'}, ("DetachDisk",)),
    Row("taken out of spec while it is suspended: it waits", [], BOTH | {"at": SUSPENDED}, (ATTACHED,), KNOWN,
        {"spec.disks[data]": 'disk 2, image 40 "web-data"'}, ("DetachDisk",), needs="spec.power: Running"),
    Row("taken out of spec, declared to be deleted: said at once", [], BOTH,
        (data(state=8, vms=(12,), notes=NOTES | {"SOVEREIGNCLOUD_DELETION_POLICY": "Delete"}),), KNOWN,
        {"spec.disks[data]": 'disk 2, image 40 "web-data"'}, ("DetachDisk", "DeleteDisk")),
    Row("detached, to be deleted", [], {}, (data(notes=NOTES | {"SOVEREIGNCLOUD_DELETION_POLICY": "Delete"}),), KNOWN,
        steps=("DeleteDisk",)),
    Row("detached, to be deleted, but another machine uses it", [], {},
        (data(state=8, vms=(13,), notes=NOTES | {"SOVEREIGNCLOUD_DELETION_POLICY": "Delete"}),), KNOWN),
    Row("detached and kept: nothing to do", [], {}, (data(),), KNOWN),
    Row("kept, and somebody deleted the image: forgotten", [], {}, (), KNOWN, steps=("RecordDisk",)),
    Row("without spec.disks nothing is touched", None, BOTH, (ATTACHED,), KNOWN),
    Row("a disk that somebody attached is reported, never detached", [], {"disks": (ROOT, Disk(3, 50, "theirs", 10))},
        (image(id=50, name="theirs", persistent=True),),
        drift={"spec.disks[theirs]": "disk 3, which somebody attached: it is only reported"}),
    Row("somebody took the root disk away: the data disk is not taken for it", [{"name": "root", "size": "20Gi"}, NEW],
        {"disks": (DATA,)}, (ATTACHED,), KNOWN, phase=Phase.STALLED, reason="NoRootDisk"),
    Row("an image of somebody is attached as it is, and nothing is written on it", [TAKEN],
        images=(image(id=50, name="old", persistent=True),), drift={"spec.disks[mine]": 'image 50 "old" is not attached'},
        steps=("AttachDisk",)),
    Row("attached before this object was there", [TAKEN], {"disks": (ROOT, Disk(3, 50, "old", 10))},
        (image(id=50, name="old", persistent=True, state=8, vms=(12,)),), steps=("RecordDisk",)),
    Row("one that another instance left behind becomes this one's", [TAKEN],
        images=(data(id=50, name="old", mark=mark("HostedInstance", "db")),),
        drift={"spec.disks[mine]": 'image 50 "old" is not attached'}, steps=("MarkDisk", "AttachDisk")),
    Row("one that another instance still asks for is its own", [TAKEN],
        images=(data(id=50, name="old", mark=mark("HostedInstance", "db")),), drift={"spec.disks[mine]": "absent"},
        phase=Phase.STALLED, reason="OwnedByAnotherObject", says="HostedInstance team/db", others=(other("db", disks=[NEW]),)),
    Row("one that another instance took out of its spec is free", [TAKEN],
        images=(data(id=50, name="old", mark=mark("HostedInstance", "db")),),
        drift={"spec.disks[mine]": 'image 50 "old" is not attached'}, steps=("MarkDisk", "AttachDisk"), others=(other("db"),)),
    Row("a disk of another namespace is not for this one", [TAKEN],
        images=(data(id=50, name="old", mark=mark("HostedInstance", "db", namespace="other")),),
        drift={"spec.disks[mine]": "absent"}, phase=Phase.STALLED, reason="NamespaceNotAllowed"),
    Row("nor is one of another installation", [TAKEN],
        images=(data(id=50, name="old", mark=mark("HostedInstance", "db", installation="inst-2")),),
        drift={"spec.disks[mine]": "absent"}, phase=Phase.STALLED, reason="OwnedByAnotherInstallation"),
    Row("a name that nobody knows", [TAKEN], drift={"spec.disks[mine]": "absent"}, phase=Phase.STALLED, reason="ImageNotFound",
        says='no image called "old"'),
    Row("a restored image is made persistent before it is used", [NEW], images=(data(persistent=False),),
        drift={"spec.disks[data]": 'image 40 "web-data" is not attached'}, steps=("MakePersistent",)),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_the_disks_of_a_machine_that_is_there(row: Row) -> None:
    world = World(row.others, rbx=cloud(vm(**row.vm), *row.images))
    plan = await look(CONTROLLER, instance(row.disks, row.external, status=SETTLED), world)

    assert {d.path: d.observed for d in plan.drift} == row.drift, row.why
    assert tuple(type(step).__name__ for step in plan.steps) == row.steps, row.why
    assert {step.needs for step in plan.steps} - {""} == ({row.needs} if row.needs else set()), row.why
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason), (row.why, plan.outcome.message)
    assert row.says in plan.outcome.message, row.why


async def test_what_is_only_reported_says_so_and_what_loses_data_says_so() -> None:
    strange = (ROOT, Disk(3, 50, "theirs", 10))
    plan = await look(CONTROLLER, instance([]), World(rbx=cloud(vm(disks=strange))))
    assert [drift.mendable for drift in plan.drift] == [False]
    goes = data(state=8, vms=(12,), notes=NOTES | {"SOVEREIGNCLOUD_DELETION_POLICY": "Delete"})
    plan = await look(CONTROLLER, instance([], KNOWN), World(rbx=cloud(vm(**BOTH), goes)))
    assert [step.disruption for step in plan.steps] == [Disruption.NONE, Disruption.DATA_LOSS]


@pytest.mark.parametrize("lost", [(), ("create_image",), ("attach_disk", "detach_disk", "delete_image")])
async def test_a_life_with_a_data_disk(lost: tuple[str, ...]) -> None:
    """Made once whatever is lost, kept when the machine goes, found by the next of that name, taken by one of another."""
    front = cloud()
    front.lost = set(lost)
    world = World(rbx=front)
    web = await until_quiet(new_instance({"disks": [NEW]}), world, front)
    (made,) = [entry for entry in front.journal if entry[0] == "create_image"]
    assert (made[1]["PERSISTENT"], made[1]["SIZE"], made[1]["NAME"]) == ("YES", "10240", "web-data")
    assert web.status.disks[0].state == "Attached"

    web = await until_quiet(again(web, {"disks": []}), world, front)
    assert (web.status.disks[0].state, web.status.disks[0].image) == ("Retained", "web-data")
    web = await until_quiet(again(web, {"disks": [NEW]}), world, front)
    assert len([entry for entry in front.journal if entry[0] == "create_image"]) == 1, "the same disk came back"

    await until_quiet(again(web, deleting=True), world, front)
    kept = [one for one in front.images.values() if one.name == "web-data"]
    assert [(one.state, one.vms) for one in kept] == [(1, ())], "the data outlives the machine"

    db = resource("HostedInstance", "db", SPEC | {"disks": [{"name": "old", "image": "web-data"}]}, uid="uid-db")
    db = await until_quiet(db, world, front)
    found = front.images[kept[0].id]
    assert found.mark is not None
    assert (found.mark.object, found.notes["SOVEREIGNCLOUD_DISK"]) == ("HostedInstance/team/db", "old")
    assert found.vms == (int(db.external["vm"]),)


@pytest.mark.parametrize("lost", [(), ("delete_image",)])
async def test_a_disk_that_is_to_go_goes_with_the_machine_and_not_before(lost: tuple[str, ...]) -> None:
    front = cloud()
    front.lost = set(lost)
    world = World(rbx=front)
    disks = [NEW | {"deletionPolicy": "Delete"}, {"name": "log", "size": "1Gi"}]
    web = await until_quiet(new_instance({"disks": disks}), world, front)
    machine = int(web.external["vm"])
    await until_quiet(again(web, deleting=True), world, front)
    assert (front.vms[machine].state, front.vms[machine].lcm_state) == DONE_STATE
    assert {one.name for one in front.images.values()} == {"ubuntu", "web-log"}
    order = [entry[0] for entry in front.journal if entry[0] in {"act", "delete_image"}]
    assert order == ["act", "delete_image"]


async def test_nobody_makes_a_machine_from_a_disk_of_another_namespace() -> None:
    theirs = data(name="secrets", mark=mark("HostedInstance", "db", namespace="other"), persistent=False)
    wanted = new_instance({"source": {"image": "secrets"}})
    plan = await look(CONTROLLER, wanted, World(rbx=cloud(theirs)))
    assert (plan.steps, plan.outcome.reason) == ((), "ImageNotFound")
    assert "secrets" not in plan.outcome.message.partition("there are")[2]
