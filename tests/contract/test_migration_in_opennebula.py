"""A machine goes to another cloud, through the real adapter, on two simulated clouds that know nothing of one another."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.migration_scene import (
    HTTP,
    MACHINES,
    MOVE,
    MOVES,
    CrashError,
    Crashing,
    Scene,
    in_phase,
    is_ready,
    machine_in_rbx,
    two_clouds,
)
from tests.unit.kinds.opennebula_in_memory import again, resource

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS
from sovereigncloud.sovereignty.rules import Rules
from sovereigncloud_sandbox.faults import parse_rule


@pytest.fixture
def sandbox():
    with two_clouds() as running:
        yield running


@pytest.fixture
async def scene(sandbox):
    """Machine "web" runs in rbx."""
    made = await machine_in_rbx(sandbox)
    yield made
    made.close()


async def test_a_machine_moves_with_all_its_disks_and_its_instance_follows(scene) -> None:
    number = int(scene.get("web").external["vm"])
    before = scene.digests("rbx", number)
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    web, move = scene.get("web"), scene.get("go")
    assert web.external["cloud"] == "team/paris"
    moved = int(web.external["vm"])
    assert list(scene.digests("paris", moved).values()) == list(before.values()), "to the last byte"
    assert await scene.machines("rbx") == {number: (8, 0)}, "the one that was left stays, powered off"
    assert await scene.machines("paris") == {moved: (3, 3)}
    assert await scene.left_over() == []
    assert [disk.name for disk in move.status.disks] == ["0", "2"], "disk 1 is the context"
    assert all(disk.image and disk.app and disk.copy_ and disk.digest for disk in move.status.disks)
    assert move.status.bytes == (1024 + 64) << 20
    assert move.status.downtime_seconds is not None

    scene.world.sweeping = True  # in the grace period a sweep compares it with nothing but the views
    plan = MOVES.plan(move, await MOVES.observe(move, scene.world), scene.world.now)
    assert (plan.steps, plan.outcome.reason) == ((), "GracePeriod")
    scene.world.sweeping = False
    await scene.until(is_ready)
    assert [nic.network for nic in (await scene.view("paris")).vms[moved].nics] == ["dmz"]
    assert [card.name for card in scene.get("web").status.networks] == ["dmz"]
    scene.world.now = datetime.now(UTC) + timedelta(hours=2)
    await scene.until(in_phase("Succeeded"))
    assert await scene.machines("rbx") == {}
    assert await scene.machines("paris") == {moved: (3, 3)}
    assert await scene.left_over() == []
    assert [one.name for one in (await scene.view("rbx")).images.values()] == ["ubuntu"], "the disk of its own is gone"
    await scene.until(is_ready)
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.phase) == ((), Phase.DONE)


async def test_a_rehearsal_lets_the_machine_run_and_leaves_nothing_but_its_proof(scene) -> None:
    number = int(scene.get("web").external["vm"])
    scene.put(resource("InstanceMigration", "go", MOVE | {"mode": "Rehearse"}, uid="uid-go"))
    seen: list[Any] = []

    async def copies(scene: Scene) -> None:
        seen.extend(vm for vm in (await scene.view("paris")).vms.values())
        assert (await scene.machines("rbx"))[number][0] == 3, "it runs all the time"

    while scene.get("go").status.phase != "Succeeded":
        await scene.until(lambda _: True)
        await copies(scene)
    assert {vm.name for vm in seen} == {"web (rehearsal)"}
    assert {vm.nics for vm in seen} == {()}, "without its networks"
    assert (3, 3) in {(vm.state, vm.lcm_state) for vm in seen}
    assert await scene.machines("paris") == {}
    assert await scene.left_over() == []
    move = scene.get("go")
    assert move.status.downtime_seconds is not None
    assert "Rehearsed" in scene.told
    vm = (await scene.view("rbx")).vms[number]
    assert vm.notes["SOVEREIGNCLOUD_MOVING"] == "NO"
    assert vm.notes["SOVEREIGNCLOUD_REHEARSED"].endswith(f" {move.status.downtime_seconds} team/paris go")
    assert scene.get("web").external["cloud"] == "team/rbx"
    asked = Rules("proven", datetime.now(UTC).date(), enforced=True, rehearsal_max_age=timedelta(days=365))
    for rules, reason in ((asked, "PoliciesMet"), (replace(asked, exit_max_duration=-1.0), "ExitTooSlow")):
        scene.world.rules = [rules]
        told = MACHINES.status(scene.get("web"), await MACHINES.observe(scene.get("web"), scene.world))[OWN_CONDITIONS]
        assert [one["reason"] for one in told if one["type"] == "Compliant"] == [reason]
    scene.world.rules = []
    await scene.until(is_ready)


FAILURES = [
    ("saving", "HOTPLUG_SAVEAS_POWEROFF", "rbx", "disk 0 could not be saved"),
    ("publishing", "APP", "rbx", "disk 0 could not be published"),
    ("importing", "IMAGE", "paris", "disk 0 could not be imported"),
    ("starting", "BOOT", "paris", "did not start"),
]


@pytest.mark.parametrize(("what", "step", "cloud", "says"), FAILURES, ids=[row[0] for row in FAILURES])
async def test_what_fails_on_the_way_is_taken_back_and_the_machine_runs_where_it_was(
    scene, what, step, cloud, says
) -> None:
    number = int(scene.get("web").external["vm"])
    before = scene.digests("rbx", number)
    scene.do("fail-next", cloud, step=step, message="No space left on device")
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Failed"))
    assert says in scene.get("go").external["failed"]
    assert await scene.machines("rbx") == {number: (3, 3)}
    assert await scene.machines("paris") == {}
    assert await scene.left_over() == []
    assert scene.digests("rbx", number) == before
    await scene.until(is_ready)
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.phase, outcome.reason) == ((), Phase.STALLED, "MoveFailed")
    assert says in outcome.message


@pytest.mark.parametrize("mode", ["Execute", "Rehearse"])
async def test_dying_before_and_after_each_step_makes_no_second_of_anything(scene, mode) -> None:
    number = int(scene.get("web").external["vm"])
    before, moves = scene.digests("rbx", number), Crashing()
    scene.put(resource("InstanceMigration", "go", MOVE | {"mode": mode, "gracePeriod": "1s"}, uid="uid-go"))
    apps: set[int] = set()
    while scene.get("go").status.phase != "Succeeded":
        scene.world.now = max(scene.world.now, datetime.now(UTC))
        for name, controller in (("web", MACHINES), ("go", moves)):
            with contextlib.suppress(CrashError):
                await scene.once(name, controller)
        await scene.running_ones()
        apps |= {app.id for app in await scene.fronts["rbx"].moves.apps() if app.mark is not None}
        assert len(await scene.machines("paris")) <= 1
        await asyncio.sleep(0.05)
    assert len(apps) == 2, "one for each disk"
    assert len(moves.tried) > 15, "each of the steps was tried"
    assert await scene.left_over() == []
    await scene.until(is_ready)
    moved = scene.get("web").external
    if mode == "Rehearse":
        assert (await scene.machines("rbx"), await scene.machines("paris")) == ({number: (3, 3)}, {})
    else:
        assert (await scene.machines("rbx"), await scene.machines("paris")) == ({}, {int(moved["vm"]): (3, 3)})
        assert list(scene.digests("paris", int(moved["vm"])).values()) == list(before.values())


async def test_answers_that_are_lost_are_no_second_copy(scene) -> None:
    calls = {
        "rbx": ("vm.update", "vm.action", "vm.disksaveas", "marketapp.allocate"),
        "paris": ("image.allocate", "vm.allocate", "vm.update"),
    }
    for cloud, methods in calls.items():
        for method in methods:
            rule = {"kind": "lost-response", "path": f"^one.{method}$", "count": 1}
            scene.sandbox[cloud].faults.add(parse_rule(rule))
    before = scene.digests("rbx", int(scene.get("web").external["vm"]))
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase("Grace"))
    moved = int(scene.get("web").external["vm"])
    assert await scene.machines("paris") == {moved: (3, 3)}
    assert list(scene.digests("paris", moved).values()) == list(before.values())
    assert await scene.left_over() == []
    assert all(rule["struck"] == 1 for name in scene.fronts for rule in scene.sandbox[name].faults.report()), (
        "each was lost"
    )


@pytest.mark.parametrize("phase", ["Copying", "Starting", "CuttingOver"])
async def test_a_cluster_that_is_rebuilt_in_the_middle_goes_on_where_it_was(scene, phase) -> None:
    before = scene.digests("rbx", int(scene.get("web").external["vm"]))
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase(phase))
    web = scene.get("web").spec.model_dump(by_alias=True, exclude_none=True)
    scene.put(resource("HostedInstance", "web", web, uid="uid-web-2"))
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go-2"))
    await scene.until(lambda scene: scene.get("web").external.get("cloud") == "team/paris")
    await scene.until(in_phase("Grace", "Succeeded"))
    moved = int(scene.get("web").external["vm"])
    assert await scene.machines("paris") == {moved: (3, 3)}
    assert list(scene.digests("paris", moved).values()) == list(before.values())
    assert await scene.left_over() == []


async def test_in_a_rebuilt_cluster_no_move_is_made_a_second_time(scene) -> None:
    """There and back again, rehearsed before: all three are in Git, and none of them is over as far as a new cluster knows."""
    await scene.fronts["paris"].parts.create_marketplace({**HTTP, "BRIDGE_LIST": "files.example.org"})
    back = MOVE | {
        "to": {"cloudRef": {"name": "rbx"}},
        "networkMap": [{"from": "dmz", "to": "lan"}],
        "gracePeriod": "0s",
    }
    asked = {"go": MOVE | {"gracePeriod": "0s"}, "return": back, "try": MOVE | {"mode": "Rehearse"}}
    for name, spec in asked.items():
        scene.put(resource("InstanceMigration", name, spec, uid=f"uid-{name}"))
        await scene.until(lambda scene, name=name: scene.get(name).status.phase == "Succeeded")
        await scene.until(is_ready)
    proven, machines = scene.get("try").status, (await scene.machines("rbx"), await scene.machines("paris"))
    ((number, state),) = machines[0].items()
    assert (state, machines[1]) == ((3, 3), {})
    assert (await scene.view("rbx")).vms[number].notes["SOVEREIGNCLOUD_MOVES"] == "go return"
    assert scene.get("web").external["moves"] == "go return"

    web = scene.get("web").spec.model_dump(by_alias=True, exclude_none=True)
    scene.put(resource("HostedInstance", "web", web, uid="uid-web-2"))
    for name, spec in asked.items():
        scene.put(resource("InstanceMigration", name, spec, uid=f"uid-{name}-2"))
    scene.told.clear()
    await scene.until(lambda scene: all(scene.get(name).status.phase == "Succeeded" for name in asked))
    await scene.until(is_ready)
    assert (await scene.machines("rbx"), await scene.machines("paris")) == machines
    assert not {"MigrationStarted", "DiskSaved", "CopyCreated"} & set(scene.told)
    for name in asked:
        plan, outcome = await scene.once(name, MOVES)
        assert (plan.steps, outcome.phase) == ((), Phase.DONE)
        assert f'it was done before, as VM {number} "' in outcome.message
    await scene.until(lambda scene: scene.get("try").status.is_true("ExitProven"))
    assert scene.get("try").status.downtime_seconds == proven.downtime_seconds
    scene.put(resource("InstanceMigration", "go-again", asked["go"], uid="uid-go-again"))
    await scene.until(lambda scene: scene.get("go-again").status.phase == "Copying")


@pytest.mark.parametrize("phase", ["Checking", "Copying", "Starting"])
async def test_a_move_that_is_deleted_before_its_end_is_called_off(scene, phase) -> None:
    number = int(scene.get("web").external["vm"])
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(in_phase(phase))
    scene.put(again(scene.get("go"), deleting=True))
    quiet: list[Any] = []

    async def finished() -> bool:
        plan, outcome = await scene.once("go", MOVES)
        quiet.append(not plan.steps and outcome.phase is Phase.DONE)
        return quiet[-1]

    while not await finished():
        await scene.until(lambda _: True)
    del scene.world.resources[scene.get("go").key]
    assert await scene.machines("rbx") == {number: (3, 3)}
    assert await scene.machines("paris") == {}
    assert await scene.left_over() == []
    await scene.until(is_ready)
