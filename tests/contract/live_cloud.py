"""Objects brought to rest in a simulated OpenNebula, through the real adapter."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from tests.unit.kinds.machine_scene import under_way
from tests.unit.kinds.opennebula_in_memory import World, again, resource, run

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.machineimage.controller import MachineImageController

FAST = {"host_monitor": 0.05, "datastore_monitor": 0.05, "vnet": 0.05, "image": 0.1, "scheduler": 0.1, "prolog": 0.1}
PATIENCE = 30.0
CLOUD = {"cloudRef": {"name": "rbx"}}


async def until_quiet(
    controller: Any, wanted: Any, world: World, *, known: bool = False, patience: float = PATIENCE
) -> Any:
    """The resource once there is nothing left to do, twice in a row. `known`: the others in the world see it as it is.

    After a write it is looked at only when oned shows it, as the engine does.
    """
    end, quiet = time.monotonic() + patience, 0
    while quiet < 2:
        wanted, plan, outcome = await run(controller, wanted, world)
        if known:
            world.resources[wanted.key] = wanted
        done = not plan.steps and outcome.phase is Phase.DONE and not plan.drift and not under_way(wanted)
        quiet = quiet + 1 if done else 0
        assert time.monotonic() < end, (plan, outcome)
        await asyncio.sleep(0.1 if plan.steps else 0.05)
    return wanted


def declared(before: Any, **spec: Any) -> Any:
    return again(before, spec, generation=before.metadata.generation + 1)


async def gone(controller: Any, before: Any, world: World) -> None:
    await until_quiet(controller, again(before, deleting=True), world)


async def with_an_image(front: Any) -> World:
    """A world of one cloud, which has the image that machines are made from."""
    there = World(rbx=front)
    there.told = {"version": "7.4.0"}
    there.now = datetime.now(UTC)
    image = {"cloudRefs": [{"name": "rbx"}], "source": {"url": "https://images.example/u.qcow2"}}
    await until_quiet(MachineImageController(), resource("MachineImage", "ubuntu", image), there)
    return there
