"""A machine in one simulated cloud, another cloud beside it, and both controllers in turn: for tests of what moves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.contract.live_cloud import FAST
from tests.unit.kinds.opennebula_in_memory import World, resource, run

from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.instancemigration.controller import InstanceMigrationController
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula import content_mischief, mischief
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

HTTP = {"NAME": "way-out", "MARKET_MAD": "http", "BASE_URL": "http://apps.example.org/", "PUBLIC_DIR": "/var/www"}
MACHINES, MOVES = HostedInstanceController(), InstanceMigrationController()
SPEC: dict[str, Any] = {
    "source": {"image": "ubuntu"},
    "vcpu": 1,
    "memory": "512Mi",
    "networks": [{"name": "lan"}],
    "disks": [{"name": "data", "size": "64Mi"}],
    "power": "Running",
}
MOVE: dict[str, Any] = {
    "instanceRef": {"name": "web"},
    "to": {"cloudRef": {"name": "paris"}},
    "mode": "Execute",
    "networkMap": [{"from": "lan", "to": "dmz"}],
    "gracePeriod": "1h",
}
NETWORK = 'NAME="{}" VN_MAD="bridge" BRIDGE="br0" AR=[TYPE="IP4",IP="10.0.0.10",SIZE="20"]'
IMAGE = 'NAME="ubuntu" PATH="http://images.example.org/i.qcow2" SIZE="1024"'
LEFTOVERS = ("exit-",)
ENDING = {11, 12}


def two_clouds() -> BackgroundSandbox:
    """They know nothing of one another."""
    rbx = CloudSpec("rbx", version="7.4.0", hosts=(HostSpec("127.0.0.2"),), speeds=FAST)
    paris = CloudSpec("paris", version="7.4.0", hosts=(HostSpec("127.0.1.2"),), speeds=FAST)
    return BackgroundSandbox(rbx, paris)


class Scene:
    """Both controllers in turn, as the engine would run them."""

    def __init__(self, sandbox: Any, world: World, **fronts: Any) -> None:
        self.sandbox, self.world, self.fronts = sandbox, world, fronts
        self.told: list[str] = []

    async def once(self, name: str, controller: Any) -> tuple[Any, Any]:
        key = next(key for key in self.world.resources if key.name == name)
        found, plan, outcome = await run(controller, self.world.resources[key], self.world)
        self.told += [str(reason) for reason, _ in outcome.events]
        self.world.resources[key] = found
        return plan, outcome

    async def until(self, what: Any, seconds: float = 30.0) -> None:
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        seen = None
        while True:
            self.world.now = max(self.world.now, datetime.now(UTC))
            machine = await self.once("web", MACHINES)
            seen = machine
            for name in [key.name for key in self.world.resources if key.kind == "InstanceMigration"]:
                seen = (machine, await self.once(name, MOVES))
            await self.running_ones()
            if what(self):
                return
            assert datetime.now(UTC) < end, seen
            await asyncio.sleep(0.1)

    def close(self) -> None:
        for front in self.fronts.values():
            front.close()

    def get(self, name: str) -> Any:
        return next(found for key, found in self.world.resources.items() if key.name == name)

    def put(self, found: Any) -> None:
        self.world.resources[found.key] = found

    async def view(self, cloud: str) -> Any:
        return await self.fronts[cloud].view(0.0)

    async def machines(self, cloud: str) -> dict[int, tuple[int, int]]:
        return {vm.id: (vm.state, vm.lcm_state) for vm in (await self.view(cloud)).vms.values()}

    async def running_ones(self) -> None:
        """At no time do two run that are the same machine, nor do two carry the mark of its instance."""
        machines = [vm for cloud in self.fronts for vm in (await self.view(cloud)).vms.values()]
        running = [vm for vm in machines if vm.state == 3 and vm.lcm_state not in ENDING]
        if all("rehearsal" not in vm.name for vm in running):
            assert len(running) <= 1, running
        marked = [vm for vm in machines if vm.mark is not None and vm.mark.object == "HostedInstance/team/web"]
        assert len(marked) <= 1, marked

    async def left_over(self) -> list[str]:
        found = [
            f"{cloud}: image {image.name}"
            for cloud in self.fronts
            for image in (await self.view(cloud)).images.values()
            if image.name.startswith(LEFTOVERS) and "SOVEREIGNCLOUD_DISK" not in image.notes
        ]
        for cloud in self.fronts:  # a disk of a machine that is not there any more
            found += [
                f"{cloud}: disk {image.name}"
                for image in (await self.view(cloud)).images.values()
                if "SOVEREIGNCLOUD_DISK" in image.notes and not image.vms
            ]
        for cloud, front in self.fronts.items():
            found += [f"{cloud}: app {app.name}" for app in await front.moves.apps() if app.mark is not None]
        return found

    def digests(self, cloud: str, vm: int) -> Any:
        return self.sandbox.do(content_mischief.digests, self.sandbox[cloud])["vms"][str(vm)]

    def do(self, what: str, cloud: str, **given: Any) -> Any:
        return self.sandbox.do(mischief.MISCHIEF[what], self.sandbox[cloud], **given)


async def machine_in_rbx(sandbox: Any, market: dict[str, str] | None = None, **spec: Any) -> Scene:
    """It is called web and runs, with data on both of its disks; `market` is the way out."""
    factory = open_nebula_factory(rate=500, burst=500)
    fronts = {name: factory(sandbox.endpoint(name), "oneadmin", "opennebula", "") for name in ("rbx", "paris")}
    scene = Scene(sandbox, World(**fronts), **fronts)
    await asyncio.sleep(0.3)  # until the datastores are monitored
    for front, name in zip(fronts.values(), ("lan", "dmz"), strict=True):
        await front._calls.write("one.vn.allocate", NETWORK.format(name), 0)
    await fronts["rbx"]._calls.write("one.image.allocate", IMAGE, 1)
    await fronts["rbx"].parts.create_marketplace(market or {**HTTP, "BRIDGE_LIST": "files.example.org"})
    scene.put(resource("HostedInstance", "web", {**SPEC, "placement": {"cloudRef": {"name": "rbx"}}, **spec}))
    await scene.until(is_ready)
    scene.do("vm-write", "rbx", vm=int(scene.get("web").external["vm"]), data="orders of today")
    return scene


def is_ready(scene: Scene) -> bool:
    return scene.get("web").status.is_true("Ready")


def in_phase(*phases: str) -> Any:
    return lambda scene: scene.get("go").status.phase in phases


class Crashing(InstanceMigrationController):
    """Each step is begun three times: it dies before the call, then after it with all that it knew, then it goes on."""

    def __init__(self) -> None:
        self.tried: dict[str, int] = {}

    async def perform(self, step: Any, resource: Any, world: Any) -> Any:
        times = self.tried[step.target] = self.tried.get(step.target, 0) + 1
        if times == 1:
            raise CrashError(step.target)
        outcome = await super().perform(step, resource, world)
        if times == 2:
            raise CrashError(step.target)
        return outcome


class CrashError(Exception):
    pass
