"""A rehearsal leaves its copy in the other cloud, and the machine starts from that when its own cloud is lost."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

from tests.contract.migration_scene import MACHINES, MOVE, MOVES, CrashError, Crashing, in_phase, is_ready
from tests.contract.test_lost_in_opennebula import HOST, LostScene, scene, server, store
from tests.contract.test_lost_in_opennebula import MOVE as FAILOVER
from tests.unit.kinds.opennebula_in_memory import again, resource

from sovereigncloud.core.outcome import Phase

__all__ = ["scene", "server", "store"]  # fixtures

REHEARSE = {key: value for key, value in MOVE.items() if key != "gracePeriod"} | {"mode": "Rehearse", "keepCopy": True}


async def kept(scene: LostScene) -> list[Any]:
    images = (await scene.view("paris")).images.values()
    return [one for one in images if one.notes.get("SOVEREIGNCLOUD_COPY", "NO") != "NO"]


async def rehearse(scene: LostScene, name: str, moves: Any = MOVES) -> None:
    scene.put(resource("InstanceMigration", name, REHEARSE, uid=f"uid-{name}"))
    while scene.get(name).status.phase != "Succeeded":
        scene.world.now = max(scene.world.now, datetime.now(UTC))
        for which, controller in (("web", MACHINES), (name, moves)):
            with contextlib.suppress(CrashError):
                await scene.once(which, controller)
        await asyncio.sleep(0.05)


async def test_the_machine_starts_from_the_last_copy_that_a_rehearsal_kept(scene) -> None:
    await rehearse(scene, "first")
    before = {one.id for one in await kept(scene)}
    scene.do("vm-write", "rbx", vm=scene.number, data="orders of tonight")
    saved = list(scene.digests("rbx", scene.number).values())
    await rehearse(scene, "second")
    copies = await kept(scene)
    assert len(copies) == 2, "one copy, of two disks"
    assert before.isdisjoint(one.id for one in copies), "the one before is gone"
    assert {one.mark.object for one in copies} == {"HostedInstance/team/web"}
    assert await scene.machines("paris") == {}
    assert len(await scene.left_over()) == 2, "nothing but these"
    await scene.until(is_ready)
    assert not [one.id for one in copies if one.persistent], "no machine writes to what is kept"

    scene.do("vm-write", "rbx", vm=scene.number, data="orders that are lost")
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    scene.put(resource("InstanceMigration", "go", FAILOVER, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    web, move = scene.get("web"), scene.get("go")
    moved = int(web.external["vm"])
    assert list(scene.digests("paris", moved).values()) == saved, "newer than the backup, and as it was saved"
    assert (move.status.copy_.kind, move.status.copy_.server) == ("Image", None)
    assert move.status.copy_.name == f"team/paris/{min(one.id for one in copies)}"
    assert move.status.rpo_seconds >= 0
    assert scene.copies()[0] == ["paris"]
    assert {one.id for one in await kept(scene)} == {one.id for one in copies}, "it stays for another attempt"
    assert len(await scene.left_over()) == 2
    await scene.until(is_ready)
    view = await scene.view("paris")
    disks = [view.images[disk.image_id] for disk in view.vms[moved].disks if disk.image_id >= 0]
    assert {one.notes["SOVEREIGNCLOUD_DISK"]: one.persistent for one in disks} == {"root": False, "data": True}
    assert {disk.name: disk.state for disk in web.status.disks} == {"data": "Attached", "root": "Attached"}

    scene.put(again(scene.get("web"), {"disks": None}, deleting=True, labels={"app": "web"}))
    del scene.world.resources[scene.go]
    while (await scene.once("web", MACHINES))[1].phase is not Phase.DONE:
        scene.world.now = max(scene.world.now, datetime.now(UTC))
        await asyncio.sleep(0.05)
    assert await kept(scene) == [], "they go with the instance"


async def test_dying_before_and_after_each_step_keeps_one_copy_and_starts_one_machine(scene) -> None:
    saved = list(scene.digests("rbx", scene.number).values())
    keeping, starting = Crashing(), Crashing()
    await rehearse(scene, "first", keeping)
    copies = {one.id for one in await kept(scene)}
    assert (len(copies), len(await scene.left_over())) == (2, 2)
    assert sum("kept as a copy" in target for target in keeping.tried) == 2
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    scene.put(resource("InstanceMigration", "go", FAILOVER, uid="uid-go"))
    while scene.get("go").status.phase != "Grace":
        scene.world.now = max(scene.world.now, datetime.now(UTC))
        for name, controller in (("web", MACHINES), ("go", starting)):
            with contextlib.suppress(CrashError):
                await scene.once(name, controller)
        await scene.running_ones()
        assert len(await scene.machines("paris")) <= 1
        await asyncio.sleep(0.05)
    assert sum("persistent" in target for target in starting.tried) == 1
    assert list(scene.digests("paris", int(scene.get("web").external["vm"])).values()) == saved
    assert {one.id for one in await kept(scene)} == copies
    assert (scene.copies()[0], len(await scene.left_over())) == (["paris"], 2)
