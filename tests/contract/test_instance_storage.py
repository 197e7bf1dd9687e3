"""Disks, backups, snapshots and restore of a machine, through the real adapter, on a front-end with the real wire format."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.contract.live_cloud import FAST, declared, until_quiet
from tests.unit.kinds.opennebula_in_memory import DONE_STATE, World, again, resource

from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

RESTIC = 'NAME="backups"\nTYPE="BACKUP_DS"\nDS_MAD="restic"\nTM_MAD="-"\nRESTIC_PASSWORD="p"\nRESTIC_SFTP_SERVER="backup.example"\n'
CONTROLLER = HostedInstanceController()
SPEC: dict[str, Any] = {
    "source": {"image": "ubuntu"},
    "vcpu": 1,
    "memory": "512Mi",
    "networks": [],
    "placement": {"cloudRef": {"name": "rbx"}},
    "updatePolicy": {"powerCycle": "Allow"},
}


@pytest.fixture(scope="module")
def endpoint():
    speeds = FAST | {"backup": 0.1}
    with BackgroundSandbox(CloudSpec("storage", hosts=(HostSpec("127.0.0.2"),), speeds=speeds)) as sandbox:
        time.sleep(0.3)  # until the datastores are monitored
        yield sandbox.endpoint("storage")


async def terminated(front: Any, machine: int) -> None:
    """By somebody."""
    await front.act(machine, "terminate-hard")
    for _ in range(200):
        if (await front.vm(machine)).state == DONE_STATE[0]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not end")


async def test_a_machine_with_data_is_kept_backed_up_and_brought_back(front) -> None:
    world = World(rbx=front)
    world.now = datetime.now(UTC)  # what is scheduled in the past is made at once
    await front._calls.write("one.datastore.allocate", RESTIC, 0)
    ubuntu = resource(
        "MachineImage", "ubuntu", {"cloudRefs": [{"name": "rbx"}], "source": {"url": "https://images.example/u.qcow2"}}
    )
    await until_quiet(MachineImageController(), ubuntu, world)

    disks = [{"name": "data", "size": "1Gi"}, {"name": "scratch", "size": "64Mi", "deletionPolicy": "Delete"}]
    web = await until_quiet(CONTROLLER, resource("HostedInstance", "web", SPEC | {"disks": disks}), world)
    number = int(web.external["vm"])
    machine = await front.vm(number)
    assert [disk.label for disk in machine.disks] == ["", "data", "scratch"]
    assert [disk.size for disk in machine.disks[1:]] == [1024, 64]

    grown = [{"name": "data", "size": "2Gi"}]
    web = await until_quiet(CONTROLLER, declared(web, disks=grown), world)
    view = await front.view(0)
    assert [disk.size for disk in (await front.vm(number)).disks if disk.label] == [2048]
    assert "web-scratch" not in {image.name for image in view.images.values()}, "it was declared to go"

    data = next(disk for disk in (await front.vm(number)).disks if disk.label == "data")
    await front.storage.detach_disk(number, data.id)
    web = await until_quiet(CONTROLLER, web, world)
    assert [disk.image_id for disk in (await front.vm(number)).disks if disk.label] == [data.image_id], "attached again"

    backup = {"store": "backups", "schedule": "0 2 * * *", "keepLast": 2, "mode": "Full"}
    web = await until_quiet(CONTROLLER, declared(web, backup=backup), world)
    machine = await front.vm(number)
    (planned,) = await front.storage.scheduled(number)
    assert (planned.action, planned.repeat, planned.days) == ("backup", 3, "24")
    assert (machine.backups.keep_last, machine.backups.mode, machine.schedules) == (2, "FULL", {planned.id})

    for word in ("one", "two", "three"):
        await asyncio.sleep(1.0)  # a backup is called after the second that it was made in
        web = await until_quiet(CONTROLLER, declared(web, backup=backup | {"request": word}), world)
    machine, view = await front.vm(number), await front.view(0)
    assert len(machine.backups.images) == 2
    for image in (view.images[image] for image in machine.backups.images):
        assert image.mark is not None, "a backup tells whose it is when the machine is gone"
        assert (image.backup_of, image.mark.object) == (number, "HostedInstance/team/web")
    assert web.status.requests.backup.state == "Done"

    web = await until_quiet(CONTROLLER, declared(web, snapshot={"request": "a", "keepLast": 1}), world)
    web = await until_quiet(CONTROLLER, declared(web, snapshot={"request": "b", "keepLast": 1}), world)
    assert [one.name for one in (await front.vm(number)).snapshots] == ["sovereigncloud-b"]

    web = await until_quiet(CONTROLLER, declared(web, restore={"request": "back"}), world)
    assert (web.status.state, web.status.requests.restore.state) == ("Running", "Done")

    await front.storage.unschedule(number, planned.id)
    web = await until_quiet(CONTROLLER, web, world)
    (planned,) = await front.storage.scheduled(number)
    web = await until_quiet(CONTROLLER, declared(web, backup=backup | {"schedule": "0 4 * * 0"}), world)
    (later,) = await front.storage.scheduled(number)
    assert (later.id, later.repeat, later.days) == (planned.id, 0, "0")

    rebuilt = resource("HostedInstance", "web", web.spec.model_dump(by_alias=True, exclude_none=True), uid="uid-2")
    web = await until_quiet(CONTROLLER, rebuilt, world)
    assert web.external["vm"] == str(number)
    assert [disk.state for disk in web.status.disks] == ["Attached"]

    saved = web.status.backups[0].name
    await until_quiet(CONTROLLER, again(web, deleting=True), world)
    view = await front.view(0)
    kept = next(image for image in view.images.values() if image.name == "web-data")
    assert (kept.state, kept.size, kept.vms) == (1, 2048, ())
    db = resource("HostedInstance", "db", SPEC | {"disks": [{"name": "old", "image": "web-data"}]}, uid="uid-db")
    db = await until_quiet(CONTROLLER, db, world)
    assert [disk.image_id for disk in (await front.vm(int(db.external["vm"]))).disks if disk.label] == [kept.id]
    assert again(db).status.disks[0].image == "web-data"

    restored = SPEC | {"source": {"backup": saved}, "disks": [{"name": "data", "size": "2Gi"}]}
    copy = await until_quiet(CONTROLLER, resource("HostedInstance", "copy", restored, uid="uid-copy"), world)
    machine, view = await front.vm(int(copy.external["vm"])), await front.view(0)
    root, data = (view.images[disk.image_id] for disk in machine.disks)
    assert [image.notes["SOVEREIGNCLOUD_DISK"] for image in (root, data)] == ["root", "data"]
    assert (data.persistent, data.mark is not None and data.mark.object) == (True, "HostedInstance/team/copy")
    assert (machine.cpu, machine.vcpu, machine.memory) == ("1", 1, 512), "as large as the machine that was backed up"
    assert not [one for one in view.templates.values() if one.name.startswith("restore.")]

    await terminated(front, machine.id)
    backup = {"store": "backups", "request": "x"}
    lost = await until_quiet(CONTROLLER, declared(copy, updatePolicy={"replace": "Allow"}), world)
    assert lost.external["vm"] != copy.external["vm"]
    lost = await until_quiet(CONTROLLER, declared(lost, backup=backup), world)
    await terminated(front, int(lost.external["vm"]))
    back = await until_quiet(CONTROLLER, lost, world)
    view = await front.view(0)
    machine = view.vms[int(back.external["vm"])]
    assert [view.images[disk.image_id].notes["SOVEREIGNCLOUD_DISK"] for disk in machine.disks] == ["root", "data"]
    assert machine.disks[1].image_id == data.id, "its data disk is the one that it had"
    await until_quiet(CONTROLLER, again(back, deleting=True), world)
    left = {image.name for image in (await front.view(0)).images.values() if image.type != 6}
    assert left == {"ubuntu", "web-data", data.name}
