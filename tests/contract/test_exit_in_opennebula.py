"""Leaving a cloud, through the real adapters, on two simulated clouds: machines that are copied from where they run, and fifty that
start from what is held outside while nobody answers where they were.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.contract.live_cloud import FAST
from tests.unit.kinds.exit_scene import CONTROLLER as EXITS
from tests.unit.kinds.exit_scene import leaving
from tests.unit.kinds.opennebula_in_memory import World, resource, run

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.instancemigration.controller import InstanceMigrationController
from sovereigncloud.ports.errors import Retry
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

CONTROLLERS = {"HostedInstance": HostedInstanceController(), "InstanceMigration": InstanceMigrationController()}
ORDER = ("ExitPlan", "HostedInstance", "InstanceMigration")
RBX, PARIS = Key("SovereignCloud", "team", "rbx"), Key("SovereignCloud", "team", "paris")
SPEC: dict[str, Any] = {
    "source": {"image": "ubuntu"}, "vcpu": 1, "cpu": "0.1", "memory": "64Mi", "networks": [{"name": "lan"}],
    "placement": {"cloudRef": {"name": "rbx"}},
}  # fmt: skip
HTTP = {"NAME": "way-out", "MARKET_MAD": "http", "BASE_URL": "http://apps.example.org/", "PUBLIC_DIR": "/var/www"}
NETWORK = 'NAME="lan" VN_MAD="bridge" BRIDGE="br0" AR=[TYPE="IP4",IP="10.0.0.10",SIZE="100"]'
IMAGE = 'NAME="ubuntu" PATH="http://images.example.org/i.qcow2" SIZE="64"'
RESTIC = 'NAME={} TYPE=BACKUP_DS DS_MAD=restic TM_MAD="-" RESTIC_PASSWORD=s RESTIC_SFTP_SERVER={}'
RUNNING = (3, 3)


class Clouds(World):
    """Each cloud is read once a round. Of what is lost nothing is asked: whoever does fails the test."""

    def __init__(self, **fronts: Any) -> None:
        super().__init__(**fronts)
        self.lost: dict[Key, str] = {}
        self.views: dict[Key, Any] = {}
        self.kubernetes.apply = self._apply

    async def _apply(self, manifest: Any) -> None:
        meta = manifest["metadata"]
        key = Key("InstanceMigration", meta["namespace"], meta["name"])
        if key not in self.resources:
            body = {**manifest, "metadata": {**meta, "uid": f"uid-{meta['name']}", "generation": 1}, "status": {}}
            self.resources[key] = InstanceMigration.model_validate(body)

    def get(self, key: Key) -> Any:
        found = super().get(key)
        if key not in self.lost:
            return found
        return found.model_copy(update={"status": found.status.model_copy(update={"lost_since": self.lost[key]})})

    def users(self, key: Key, *kinds: str) -> list[Any]:
        found = super().users(key, *kinds)
        return [r for r in found if key.kind != "HostedInstance" or getattr(r.spec, "instance_ref", None) is None or r.spec.instance_ref.name == key.name]  # fmt: skip

    async def open_nebula(self, cloud: Key) -> Any:
        assert cloud not in self.lost, f"{cloud} is lost, and is called"
        return await super().open_nebula(cloud)

    async def view(self, cloud: Key) -> Any:
        if cloud in self.lost:
            raise Retry("nobody answers")
        if cloud not in self.views:
            self.views[cloud] = await super().view(cloud)
        return self.views[cloud]


class Scene:
    def __init__(self, sandbox: Any, world: Clouds, **fronts: Any) -> None:
        self.sandbox, self.world, self.fronts = sandbox, world, fronts

    async def round(self) -> None:
        """Every object once, as the engine would."""
        self.world.views.clear()
        self.world.now = max(self.world.now, datetime.now(UTC))
        for kind in ORDER:
            for key in sorted(key for key in self.world.resources if key.kind == kind):
                found = self.world.resources[key]
                if kind == "InstanceMigration" and "ended" in found.external:
                    continue
                try:
                    found, _, _ = await run(CONTROLLERS.get(kind, EXITS), found, self.world)
                except Retry:
                    continue
                self.world.resources[key] = found

    async def until(self, what: Any, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, self.exit.status
            await self.round()
            await asyncio.sleep(0.02)

    @property
    def exit(self) -> Any:
        return next(found for key, found in self.world.resources.items() if key.kind == "ExitPlan")

    def put(self, found: Any) -> None:
        self.world.resources[found.key] = found

    def machine(self, name: str) -> Any:
        return self.world.resources[Key("HostedInstance", "team", name)]

    async def running(self, cloud: str) -> dict[str, int]:
        """By the object of their mark."""
        view = await self.fronts[cloud].view(0.0)
        return {
            vm.mark.object.rpartition("/")[2]: vm.id
            for vm in view.vms.values()
            if vm.mark is not None and (vm.state, vm.lcm_state) == RUNNING
        }

    async def settled(self) -> None:
        """Networks and images are ready."""
        end = time.monotonic() + 20
        while True:
            views = [await front.view(0.0) for front in self.fronts.values()]
            states = {one.state for view in views for one in (*view.networks.values(), *view.images.values())}
            if states <= {1, 2} and all(one.state == 1 for view in views for one in view.networks.values()):
                return
            assert time.monotonic() < end, states
            await asyncio.sleep(0.1)

    async def call(self, cloud: str, method: str, *given: Any) -> Any:
        return await self.fronts[cloud]._calls.write(method, *given)


@pytest.fixture
async def scene():
    rbx = CloudSpec("rbx", version="7.4.0", hosts=(HostSpec("127.0.0.2"),), speeds=FAST)
    paris = CloudSpec("paris", version="7.4.0", hosts=(HostSpec("127.0.1.2"),), speeds=FAST)
    with BackgroundSandbox(rbx, paris) as running:
        factory = open_nebula_factory(rate=2000, burst=2000)
        fronts = {name: factory(running.endpoint(name), "oneadmin", "opennebula", "") for name in ("rbx", "paris")}
        made = Scene(running, Clouds(**fronts), **fronts)
        await asyncio.sleep(0.3)  # until the datastores are monitored
        for cloud in fronts:
            await made.call(cloud, "one.vn.allocate", NETWORK, 0)
        await made.call("rbx", "one.image.allocate", IMAGE, 1)
        await made.settled()
        yield made
        for front in fronts.values():
            front.close()


async def in_rbx(scene: Scene, *names: str) -> None:
    """Machines that were made before, each with its mark, and recorded."""
    for name in names:
        found = resource("HostedInstance", name, SPEC)
        marks = " ".join(f'{key}="{value}"' for key, value in scene.world.mark(found).for_opennebula().items())
        template = f'NAME="{name}" CPU=0.1 VCPU=1 MEMORY=64 DISK=[IMAGE_ID=0] NIC=[NETWORK_ID=0] {marks}'
        number = await scene.call("rbx", "one.vm.allocate", template, False)
        external = {"vm": str(number), "cloud": "team/rbx"}
        scene.put(resource("HostedInstance", name, SPEC, {"external": external}))
    end = time.monotonic() + 20
    while len(await scene.running("rbx")) < len(names):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


# -------------------------------------------------------------------------------------------------- while it answers


async def test_three_leave_and_nothing_ever_pulls_them_back(scene) -> None:
    names = ("a", "b", "c")
    await scene.fronts["rbx"].parts.create_marketplace({**HTTP, "BRIDGE_LIST": "files.example.org"})
    await in_rbx(scene, *names)
    scene.put(leaving({"mode": "Execute", "maxConcurrent": 2, "gracePeriod": "1s"}))
    await scene.until(lambda: scene.exit.status.phase == "Executed")
    assert {*await scene.running("paris")} == {*names}
    assert (scene.exit.status.movable, scene.exit.status.run.succeeded) == ("3/3", 3)
    assert scene.exit.status.measured.bytes == 3 * 64 << 20
    moves = [found for key, found in scene.world.resources.items() if key.kind == "InstanceMigration"]
    assert len(moves) == 3
    scene.world.now = datetime.now(UTC)
    await scene.until(lambda: all("ended" in found.external for key, found in scene.world.resources.items() if key.kind == "InstanceMigration"))  # fmt: skip
    there = await scene.running("paris")

    def stays() -> None:
        for name in names:
            found = scene.machine(name)
            assert found.spec.placement.cloud_ref.name == "rbx", "spec still names the cloud that was left"
            assert (found.external["cloud"], found.external["vm"]) == ("team/paris", str(there[name]))
            assert not found.status.drift

    for _ in range(3):
        await scene.round()
    stays()
    for key in [key for key in scene.world.resources if key.kind != "HostedInstance"]:
        del scene.world.resources[key]  # the exit and its moves are deleted
    for _ in range(3):
        await scene.round()
    stays()
    for name in names:
        scene.put(resource("HostedInstance", name, SPEC, uid=f"uid-{name}-2"))  # the cluster is made anew
    for _ in range(4):
        await scene.round()
    stays()
    controller = CONTROLLERS["HostedInstance"]
    for name in names:
        seen = await controller.observe(scene.machine(name), scene.world)
        (told,) = [
            one
            for one in controller.status(scene.machine(name), seen)["conditions"]
            if one["type"] == "PlacementOverridden"
        ]
        assert "ExitPlan team/leave brought it to team/paris" in told["message"]
        assert controller.plan(scene.machine(name), seen, scene.world.now).drift == ()
    assert (await scene.running("rbx"), await scene.running("paris")) == ({}, there)


# --------------------------------------------------------------------------------------------------- when it is lost


async def test_of_fifty_in_a_lost_cloud_all_with_a_copy_outside_run_elsewhere_and_each_other_is_named(scene) -> None:
    outside, inside, without = (
        [f"{kind}{n:02}" for n in range(number)] for kind, number in (("o", 40), ("i", 5), ("w", 5))
    )
    await in_rbx(scene, *outside, *inside, *without)
    vault = await scene.call("rbx", "one.datastore.allocate", RESTIC.format("vault", "backup.example.org"), -1)
    closet = await scene.call("rbx", "one.datastore.allocate", RESTIC.format("closet", "127.0.0.2"), -1)
    await scene.call("paris", "one.datastore.allocate", RESTIC.format("vault", "backup.example.org"), -1)
    await asyncio.sleep(0.3)
    for names, store in ((outside, vault), (inside, closet)):
        for name in names:
            await scene.call("rbx", "one.vm.backup", int(scene.machine(name).external["vm"]), store, False)
    machines = [*outside, *inside]

    async def remembered() -> bool:
        await scene.round()
        told = [scene.machine(name).status.continuity for name in machines]
        return all(one is not None and one.copies for one in told)

    end = time.monotonic() + 60
    while not await remembered():
        assert time.monotonic() < end
        await asyncio.sleep(0.1)

    scene.sandbox.do(mischief.MISCHIEF["lose"], scene.sandbox["rbx"], hosts="dead")
    scene.world.lost[RBX] = "2026-11-28T10:00:00Z"
    fencing = {"confirmedBy": "oncall@example.fr"}
    scene.put(leaving({"mode": "Execute", "sourceState": "Lost", "fencing": fencing, "maxConcurrent": 20}))
    await scene.until(lambda: scene.exit.status.run is not None and scene.exit.status.run.succeeded == 40, 120.0)
    await scene.round()
    assert {*await scene.running("paris")} == {*outside}
    told = {one.name: one.reason for one in scene.exit.status.blockers}
    assert told == {
        **{f"team/{name}": "CopyInsideCloud" for name in inside},
        **{f"team/{name}": "NoUsableCopy" for name in without},
    }
    assert scene.exit.status.movable == "40/50"
    _, plan, outcome = await run(EXITS, scene.exit, scene.world)
    assert (plan.steps, outcome.reason) == ((), "ExitIncomplete")
