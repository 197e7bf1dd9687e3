"""A machine whose cloud is lost starts elsewhere from its backup, through the real adapter, on two simulated clouds.

Nothing is asked of the lost one meanwhile, at no time do two copies run, and when it is back the old machine is fenced first.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.live_cloud import FAST
from tests.contract.migration_scene import (
    HTTP,
    IMAGE,
    MACHINES,
    MOVES,
    NETWORK,
    SPEC,
    CrashError,
    Crashing,
    Scene,
    in_phase,
    is_ready,
)
from tests.unit.kinds.opennebula_in_memory import World, again, resource

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.outcome import Phase
from sovereigncloud.ports.errors import Retry
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.faults import parse_rule
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

HOST, VAULT = "127.0.0.2", "backup.example.org"
RESTIC = 'NAME=vault TYPE=BACKUP_DS DS_MAD=restic TM_MAD="-" RESTIC_PASSWORD=s RESTIC_SFTP_SERVER={}'
RSYNC = 'NAME=vault TYPE=BACKUP_DS DS_MAD=rsync TM_MAD="-" RSYNC_HOST={} RSYNC_USER=one'
MOVE: dict[str, Any] = {
    "instanceRef": {"name": "web"},
    "to": {"cloudRef": {"name": "paris"}},
    "mode": "Execute",
    "sourceState": "Lost",
    "fencing": {"confirmedBy": "oncall@example.fr"},
    "networkMap": [{"from": "lan", "to": "dmz"}],
}
LABELS = ("SOVEREIGNCLOUD_LABELS", "app=web")


class Silence:
    """A client of a cloud that does not answer, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        raise Retry(f"{name}: no route to host")


class LostScene(Scene):
    silence = Silence()

    async def once(self, name: str, controller: Any) -> tuple[Any, Any]:
        """A move asks a lost cloud nothing, nor does the machine that it has; before that the machine does, in vain."""
        move = self.world.resources.get(self.go)
        follows = name == "go" or (move is not None and move.spec.mode == "Execute" and "began" in move.external)
        before = self.silence.asked
        try:
            return await super().once(name, controller)
        except Retry as error:
            return name, error
        finally:
            assert not follows or self.silence.asked == before

    def lose(self, **how: Any) -> None:
        self.do("lose", "rbx", **how)
        self.world.lost["rbx"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.silence = self.world.fronts[self.rbx] = Silence()
        self.asked, self.fronts = self.fronts, {"paris": self.fronts["paris"]}

    def come_back(self) -> None:
        self.do("come-back", "rbx")
        self.world.lost.clear()
        self.fronts = self.asked
        self.world.fronts[self.rbx] = self.fronts["rbx"]

    @property
    def go(self) -> Any:
        return Key("InstanceMigration", "team", "go")

    @property
    def rbx(self) -> Any:
        return next(key for key in self.world.fronts if key.name == "rbx")

    def power(self, address: str, *, on: bool) -> None:
        self.sandbox.do(self.sandbox.sandbox.power, address, on=on)

    def copies(self) -> tuple[list[str], int]:
        """Where the machine really runs, and how many of it did at once, at worst."""
        found = self.sandbox.do(self.sandbox.sandbox.copies, *LABELS)
        return sorted(one["cloud"] for one in found["running"]), found["most"]

    async def running_ones(self) -> None:
        """Told by `copies`, since oned does not know of guests that it lost; no two in one cloud carry the same mark."""
        for cloud in self.fronts:
            marks = [vm.mark.object for vm in (await self.view(cloud)).vms.values() if vm.mark is not None]
            assert len(marks) == len(set(marks))

    async def back_up(self, request: str) -> None:
        web = self.get("web")
        wanted = {"backup": {"store": "vault", "request": request}}
        self.put(again(web, wanted, labels={"app": "web"}))
        await self.until(
            lambda scene: (
                (told := scene.get("web").status.requests) is not None
                and told.backup is not None
                and (told.backup.request, told.backup.state) == (request, "Done")
                and is_ready(scene)
            )
        )


@pytest.fixture(params=[RESTIC], ids=["restic"])
def store(request):
    return request.param


@pytest.fixture
def server():
    return VAULT


@pytest.fixture
async def scene(store, server):
    """Machine "web" runs in rbx, was backed up to a server elsewhere, and wrote more afterwards."""
    rbx = CloudSpec("rbx", version="7.4.0", hosts=(HostSpec(HOST),), speeds=FAST)
    paris = CloudSpec("paris", version="7.4.0", hosts=(HostSpec("127.0.1.2"),), speeds=FAST)
    factory = open_nebula_factory(rate=500, burst=500)
    with BackgroundSandbox(rbx, paris) as sandbox:
        fronts = {name: factory(sandbox.endpoint(name), "oneadmin", "opennebula", "") for name in ("rbx", "paris")}
        for front, name in zip(fronts.values(), ("lan", "dmz"), strict=True):
            await front._calls.write("one.vn.allocate", NETWORK.format(name), 0)
            await front._calls.write("one.datastore.allocate", store.format(server), -1)
        await asyncio.sleep(0.3)  # until the datastores are monitored
        await fronts["rbx"]._calls.write("one.image.allocate", IMAGE, 1)
        await fronts["rbx"].parts.create_marketplace({**HTTP, "BRIDGE_LIST": "files.example.org"})
        scene = LostScene(sandbox, World(**fronts), **fronts)
        spec = {**SPEC, "placement": {"cloudRef": {"name": "rbx"}}}
        scene.put(resource("HostedInstance", "web", spec, labels={"app": "web"}))
        await scene.until(is_ready)
        scene.number = int(scene.get("web").external["vm"])
        scene.do("vm-write", "rbx", vm=scene.number, data="orders of yesterday")
        await scene.back_up("first")
        scene.saved = list(scene.digests("rbx", scene.number).values())
        scene.do("vm-write", "rbx", vm=scene.number, data="orders of today")
        yield scene
        for front in fronts.values():
            front.close()


async def test_it_starts_from_the_backup_and_its_instance_follows_while_nothing_is_asked_of_the_lost_cloud(
    scene,
) -> None:
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    web, move = scene.get("web"), scene.get("go")
    moved = int(web.external["vm"])
    assert web.external["cloud"] == "team/paris"
    assert list(scene.digests("paris", moved).values()) == scene.saved, "as it was when it was saved, both disks"
    vm = (await scene.view("paris")).vms[moved]
    assert ((vm.state, vm.lcm_state), [nic.network for nic in vm.nics], vm.vcpu, vm.memory) == ((3, 3), ["dmz"], 1, 512)
    assert scene.copies() == (["paris"], 1)
    assert await scene.left_over() == []
    status = move.status
    assert (status.copy_.kind, status.copy_.server, status.source.cloud) == ("Backup", VAULT, "team/rbx")
    assert status.copy_.time == web.status.continuity.copies[0].time
    assert status.outage == scene.world.lost["rbx"]
    assert status.rpo_seconds >= 0
    assert status.downtime_seconds >= 0
    assert "confirmed by oncall@example.fr" in move.external["proof"]
    assert web.external["left"].startswith(f"team/rbx {scene.number} InstanceMigration/team/go uid-go ")
    await scene.until(is_ready)
    assert {disk.name: disk.state for disk in web.status.disks} == {"data": "Attached", "root": "Attached"}
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.reason, outcome.phase) == ((), "GracePeriod", Phase.DONE)


@pytest.mark.parametrize("store", [RSYNC], ids=["rsync"])
async def test_a_backup_by_rsync_is_read_as_well(scene) -> None:
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    assert list(scene.digests("paris", int(scene.get("web").external["vm"])).values()) == scene.saved


async def test_the_last_of_several_increments_is_what_counts(scene) -> None:
    scene.put(again(scene.get("web"), {"backup": {"store": "vault", "mode": "Incremental"}}, labels={"app": "web"}))
    await scene.until(is_ready)
    await scene.back_up("second")
    scene.do("vm-write", "rbx", vm=scene.number, data="orders of tonight")
    before = scene.get("web").status.continuity.copies[0]
    await asyncio.sleep(1.1)  # times are told in seconds
    await scene.back_up("third")
    saved = list(scene.digests("rbx", scene.number).values())
    after = scene.get("web").status.continuity.copies[0]
    assert after.time > before.time
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    assert list(scene.digests("paris", int(scene.get("web").external["vm"])).values()) == saved


# ------------------------------------------------------------------------------------------------------ what keeps it


async def test_a_cloud_that_answers_is_not_left_for_a_copy(scene) -> None:
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.phase, outcome.reason) == ((), Phase.STALLED, "SourceReachable")


async def test_without_proof_nothing_is_begun_and_with_it_that_goes_on(scene) -> None:
    scene.lose(hosts="alive")
    bare = {key: value for key, value in MOVE.items() if key != "fencing"}
    other = {"confirmedBy": "oncall@example.fr", "outage": "2020-01-01T00:00:00Z"}
    for fencing in ({}, {"fencing": other}):
        scene.put(resource("InstanceMigration", "go", bare | fencing, uid="uid-go"))
        plan, outcome = await scene.once("go", MOVES)
        assert (plan.steps, outcome.reason) == ((), "NoFencing"), "its machines may run"
    scene.power(HOST, on=False)
    scene.put(again(scene.get("go"), {"fencing": {**other, "outage": scene.world.lost["rbx"]}}, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    assert scene.copies() == (["paris"], 1)


@pytest.mark.parametrize("server", [HOST], ids=["on its own host"])
async def test_a_backup_that_is_lost_with_the_cloud_is_told_before_anything_is_done(scene) -> None:
    (copy,) = scene.get("web").status.continuity.copies
    assert copy.place == "Inside"
    scene.lose(hosts="dead")
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.phase, outcome.reason) == ((), Phase.STALLED, "CopyInsideCloud")


async def test_a_cloud_that_answers_again_before_the_change_over_keeps_its_machine(scene) -> None:
    scene.lose(hosts="alive")
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Copying"))
    scene.come_back()
    await scene.until(in_phase("Failed"))
    assert "answers again" in scene.get("go").external["failed"]
    await scene.until(is_ready)
    assert scene.get("web").external["cloud"] == "team/rbx"
    assert (scene.copies(), await scene.machines("paris"), await scene.left_over()) == ((["rbx"], 1), {}, [])


async def test_while_the_server_of_the_backup_is_silent_it_is_tried_again(scene) -> None:
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    scene.power(VAULT, on=False)
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(lambda scene: scene.get("go").external.get("passedOver"))
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.reason) == ((), "CopyUnreadable")
    scene.power(VAULT, on=True)
    scene.world.now = datetime.now(UTC) + timedelta(seconds=61)
    await scene.until(in_phase("Grace"))


async def test_an_older_backup_is_taken_where_the_last_one_cannot_be_read(scene) -> None:
    await asyncio.sleep(1.1)
    await scene.back_up("second")
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    scene.do("fail-next", "paris", step="IMAGE", message="wrong checksum")
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    newest, older = scene.get("web").status.continuity.copies
    assert "CopyUnreadable" in scene.told
    assert (scene.get("go").status.copy_.name, newest.time > older.time) == (older.name, True)
    assert list(scene.digests("paris", int(scene.get("web").external["vm"])).values()) == scene.saved
    assert await scene.left_over() == []


async def test_a_rehearsal_proves_it_while_the_cloud_answers_and_leaves_nothing(scene) -> None:
    bare = {key: value for key, value in MOVE.items() if key != "fencing"}
    scene.put(resource("InstanceMigration", "go", bare | {"mode": "Rehearse"}, uid="uid-go"))
    real = scene.world.fronts[scene.rbx]
    scene.silence = scene.world.fronts[scene.rbx] = Silence()
    web = scene.get("web")
    while scene.get("go").status.phase != "Succeeded":
        await scene.once("go", MOVES)
        for vm in (await scene.view("paris")).vms.values():
            assert (vm.name, vm.nics) == ("web (rehearsal)", ())
        await asyncio.sleep(0.05)
    scene.world.fronts[scene.rbx] = real
    assert (scene.get("web"), await scene.machines("paris"), await scene.left_over()) == (web, {}, [])
    observed = await MOVES.observe(scene.get("go"), scene.world)
    (proof,) = MOVES.status(scene.get("go"), observed)["conditions"]
    assert (proof["type"], proof["status"]) == ("FailoverReady", "True")
    await scene.until(is_ready)


# ---------------------------------------------------------------------------------------------------- it comes back


async def failed_over(scene: LostScene, **how: Any) -> int:
    scene.lose(**(how or {"hosts": "alive"}))
    if not how:
        scene.power(HOST, on=False)
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    await scene.until(is_ready)
    return int(scene.get("web").external["vm"])


@pytest.mark.parametrize("with_move", [True, False], ids=["by the move", "by its instance"])
async def test_the_old_machine_is_powered_off_before_anything_else_is_done_there(scene, with_move) -> None:
    moved = await failed_over(scene, hosts="dead")
    if not with_move:
        del scene.world.resources[scene.get("go").key]
    done: list[tuple[str, Any]] = []
    front = scene.asked["rbx"]
    write = front._calls.write

    async def noted(method: str, *given: Any) -> Any:
        done.append((method, given))
        return await write(method, *given)

    front._calls.write = noted
    scene.come_back()
    await scene.until(lambda scene: scene.copies()[0] == ["paris"])
    vms = (await scene.view("rbx")).vms
    await scene.until(lambda _: any(method == "one.vm.update" for method, _ in done))
    assert done[0] == ("one.vm.action", ("poweroff-hard", scene.number)), done
    vms = (await scene.view("rbx")).vms
    old = vms[scene.number]
    assert ((old.state, old.lcm_state), old.mark.object) == ((8, 0), "InstanceMigration/team/go")
    assert old.notes["SOVEREIGNCLOUD_MOVED"] == "HostedInstance/team/web"
    assert await scene.machines("paris") == {moved: (3, 3)}
    count = len(done)
    await scene.until(is_ready)
    for _ in range(3):
        await scene.until(lambda _: True)
    assert len(done) == count, "and then nothing more is done there"
    if with_move:
        await scene.until(in_phase("Grace"))
        plan, outcome = await scene.once("go", MOVES)
        assert (plan.steps, outcome.reason, "delete it there" in outcome.message) == ((), "GracePeriod", True)
        await front.act(scene.number, "resume")  # somebody starts it
        await scene.until(lambda scene: scene.copies()[0] == ["paris", "rbx"])
        await scene.until(lambda scene: scene.copies()[0] == ["paris"])
        await front.act(scene.number, "terminate-hard")  # a person is done with it
        await scene.until(in_phase("Succeeded"))
    else:
        assert "left" not in scene.get("web").external


async def test_a_server_that_stays_off_keeps_it_off_and_it_is_marked_when_it_is_on_again(scene) -> None:
    await failed_over(scene)
    scene.come_back()
    for _ in range(5):
        await scene.until(lambda _: True)
    assert scene.copies() == (["paris"], 1)
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.reason) == ((), "Fencing"), "its host does not report"
    scene.power(HOST, on=True)
    await scene.until(lambda scene: "returned" in scene.get("go").external)
    assert scene.copies()[0] == ["paris"]
    assert await scene.machines("rbx") == {scene.number: (8, 0)}


async def test_it_goes_with_its_disks_after_the_grace_period_where_that_is_said(scene) -> None:
    moved = await failed_over(scene, hosts="dead")
    scene.put(again(scene.get("go"), {"deletionPolicy": "Delete", "gracePeriod": "1h"}, uid="uid-go"))
    scene.come_back()
    await scene.until(lambda scene: "returned" in scene.get("go").external)
    assert await scene.machines("rbx") == {scene.number: (8, 0)}
    scene.world.now = datetime.now(UTC) + timedelta(hours=2)
    await scene.until(in_phase("Succeeded"))
    assert (await scene.machines("rbx"), await scene.machines("paris")) == ({}, {moved: (3, 3)})
    assert await scene.left_over() == []


async def test_a_rebuilt_cluster_finds_the_new_machine_and_fences_the_old_one(scene) -> None:
    moved = await failed_over(scene, hosts="dead")
    del scene.world.resources[scene.get("go").key]
    spec = scene.get("web").spec.model_dump(by_alias=True, exclude_none=True) | {"networks": [{"name": "dmz"}]}
    scene.put(resource("HostedInstance", "web", spec, uid="uid-web-2", labels={"app": "web"}))
    scene.come_back()
    await scene.until(lambda scene: scene.copies()[0] == ["paris"])
    await scene.until(is_ready)
    web = scene.get("web")
    assert (web.external["cloud"], web.external["vm"]) == ("team/paris", str(moved))
    old = (await scene.view("rbx")).vms[scene.number]
    assert ((old.state, old.lcm_state), old.mark.object) == ((8, 0), "InstanceMigration/team/go")


# --------------------------------------------------------------------------------------------------------- crashes


async def test_dying_before_and_after_each_step_makes_no_second_of_anything(scene) -> None:
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    moves = Crashing()
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    images: set[int] = set()
    while scene.get("go").status.phase != "Grace":
        scene.world.now = max(scene.world.now, datetime.now(UTC))
        for name, controller in (("web", MACHINES), ("go", moves)):
            with contextlib.suppress(CrashError):
                await scene.once(name, controller)
        await scene.running_ones()
        images |= {one.id for one in (await scene.view("paris")).images.values() if one.name.startswith("exit-")}
        assert len(await scene.machines("paris")) <= 1
        await asyncio.sleep(0.05)
    assert len(images) == 2, "one for each disk"
    assert await scene.left_over() == []
    assert scene.copies() == (["paris"], 1)
    assert list(scene.digests("paris", int(scene.get("web").external["vm"])).values()) == scene.saved


async def test_answers_that_are_lost_are_no_second_copy(scene) -> None:
    for method in ("image.allocate", "vm.allocate", "vm.action", "vm.update", "image.update"):
        rule = {"kind": "lost-response", "path": f"^one.{method}$", "count": 1}
        scene.sandbox["paris"].faults.add(parse_rule(rule))
    moved = await failed_over(scene)
    assert await scene.machines("paris") == {moved: (3, 3)}
    assert list(scene.digests("paris", moved).values()) == scene.saved
    assert await scene.left_over() == []
    assert all(rule["struck"] == 1 for rule in scene.sandbox["paris"].faults.report()), "each was lost"


@pytest.mark.parametrize("phase", ["Starting", "CuttingOver"])
async def test_a_status_that_is_lost_in_the_middle_is_told_by_the_copy(scene, phase) -> None:
    """Of the move alone: without the instance's nobody knows where its copies are."""
    scene.lose(hosts="alive")
    scene.power(HOST, on=False)
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase(phase))
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go-2"))
    await scene.until(in_phase("Grace"))
    assert await scene.machines("paris") == {int(scene.get("web").external["vm"]): (3, 3)}
    assert (scene.copies(), await scene.left_over()) == ((["paris"], 1), [])
