"""Machines and what surrounds them, through the real adapter: resized as they run, moved, grouped, with devices, recovered.

What the tables of tests/unit/kinds/hostedinstance/test_compute.py say of a plan is carried out here, against a front-end that queues, fails
without a word, and places machines itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.live_cloud import FAST, declared, gone, until_quiet, with_an_image
from tests.unit.kinds.opennebula_in_memory import World, again, resource, run

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.ports.errors import Conflict
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec, PciSpec

INSTANCES = HostedInstanceController()
PLACED = {"cloudRef": {"name": "rbx"}}
SPEC: dict[str, Any] = {
    "source": {"image": "ubuntu"},
    "vcpu": 1,
    "memory": "512Mi",
    "networks": [],
    "placement": PLACED,
}
CYCLE = {"updatePolicy": {"powerCycle": "Allow"}}
GPU = {"pciDevices": [{"name": "gpu", "vendor": "10de", "device": "2236"}]}
APART = {"group": {"name": "web", "policy": "Apart"}}


@pytest.fixture(scope="module")
def sandbox():
    gpu = PciSpec(vendor="10de", device="2236", kind="0302")
    hosts = (HostSpec("one-1", pci=(gpu,)), HostSpec("one-2", pci=(gpu,)))
    with BackgroundSandbox(CloudSpec("rbx", version="7.4.0", hosts=hosts, speeds=FAST)) as running:
        time.sleep(0.3)  # until the datastores are monitored
        yield running


@pytest.fixture
def endpoint(sandbox):
    return sandbox.endpoint("rbx")


@pytest.fixture
async def world(front):
    there = await with_an_image(front)
    yield there
    for vm in (await front.view(0)).vms.values():
        with contextlib.suppress(Conflict):  # it ends already
            await front.act(vm.id, "terminate-hard")


def instance(name: str, spec: dict[str, Any], **meta: Any) -> Any:
    return resource("HostedInstance", name, SPEC | spec, {}, **({"uid": f"uid-{name}"} | meta))


async def made(world: World, name: str, spec: dict[str, Any], **meta: Any) -> tuple[Any, int]:
    wanted = await until_quiet(INSTANCES, instance(name, spec, **meta), world)
    return wanted, int(wanted.external["vm"])


@pytest.fixture
def acts(front, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the power of machines, and how they were moved."""
    done: list[str] = []
    act, move = front.act, front.move_vm

    async def acted(vm_id: int, verb: str) -> None:
        done.append(verb)
        await act(vm_id, verb)

    async def moved(vm_id: int, host_id: int, *, live: bool) -> None:
        done.append("live move" if live else "move")
        await move(vm_id, host_id, live=live)

    monkeypatch.setattr(front, "act", acted)
    monkeypatch.setattr(front, "move_vm", moved)
    return done


async def looked_at(wanted: Any, world: World, times: int = 24) -> tuple[Any, Any, Any]:
    """So often that whatever was begun has ended."""
    for _ in range(times):
        wanted, plan, outcome = await run(INSTANCES, wanted, world)
        await asyncio.sleep(0.04)
    return wanted, plan, outcome


# --- size --------------------------------------------------------------------------------------------------------------


async def test_with_room_to_grow_it_is_resized_as_it_runs(sandbox, world, front, acts) -> None:
    room = {"hotResize": {"maxVcpu": 4, "maxMemory": "2Gi"}}
    web, number = await made(world, "hot", room)
    web = await until_quiet(INSTANCES, declared(web, vcpu=2, memory="1Gi", cpu="2"), world)
    machine = await front.vm(number)
    assert (machine.vcpu, machine.memory, float(machine.cpu)) == (2, 1024, 2)
    assert acts == []
    assert (machine.vcpu_max, machine.memory_max) == (4, 2048)
    _, plan, outcome = await run(INSTANCES, declared(web, vcpu=8, hotResize={"maxVcpu": 8}), world)
    assert (plan.steps, outcome.reason) == ((), "NoCapacityToGrow")


async def test_a_driver_that_does_not_resize_and_does_not_say_so(sandbox, world, front, acts) -> None:
    web, number = await made(world, "deaf", {"hotResize": {"maxMemory": "2Gi"}})
    mischief_in = (sandbox["rbx"], "HOTPLUG_RESIZE", "the guest has no memory driver", 2, "deaf")
    sandbox.do(mischief.fail_next, *mischief_in)
    web = declared(web, memory="1Gi", **CYCLE)
    for minutes, resized in ((0, 512), (2, 1024)):
        world.now = datetime.now(UTC) + timedelta(minutes=minutes)
        web, plan, outcome = await looked_at(web, world, 30)
        assert (await front.vm(number)).memory == resized
        if resized == 512:
            assert (plan.steps, outcome.reason, outcome.phase) == ((), "NotResized", Phase.WAITING)
    assert acts == ["poweroff", "resume"], "one power cycle, after two tries"
    assert (plan.steps, outcome.phase, (await front.vm(number)).lcm_state) == ((), Phase.DONE, 3)


# --- processor and devices -----------------------------------------------------------------------------------------------


async def test_model_and_devices_change_in_one_power_cycle_and_nothing_else_is_lost(
    sandbox, world, front, acts
) -> None:
    web, number = await made(world, "gpu", {"sshAuthorizedKeys": ["ssh-ed25519 AAAA me"]})
    web = await until_quiet(INSTANCES, declared(web, cpuModel="host-passthrough", **GPU, **CYCLE), world)
    machine = await front.vm(number)
    assert (machine.cpu_model, [str(one) for one in machine.pci]) == ("host-passthrough", ["10de:2236:0302"])
    assert acts == ["poweroff", "resume"]
    template = sandbox["rbx"].vms[number].template
    assert template.vector("CONTEXT")["SSH_PUBLIC_KEY"] == "ssh-ed25519 AAAA me", (
        "updateconf takes away what is not named"
    )
    assert template.vector("GRAPHICS")["TYPE"] == "VNC"

    free = [one.vm for host in (await front.view(0)).hosts.values() for one in host.pci]
    assert sorted(free) == [-1, number]
    other, second = await made(world, "gpu2", GPU)
    _, plan, outcome = await run(INSTANCES, instance("gpu3", GPU), world)
    assert (plan.steps, outcome.reason) == ((), "PciDevicesInUse")
    assert f"VM {number}" in outcome.message
    assert f"VM {second}" in outcome.message
    web = await until_quiet(INSTANCES, declared(web, pciDevices=[]), world)
    assert (await front.vm(number)).pci == ()
    await gone(INSTANCES, other, world)
    await gone(INSTANCES, web, world)


# --- hosts ---------------------------------------------------------------------------------------------------------------


async def test_born_on_the_host_that_spec_names_and_moved_live_to_another(sandbox, world, front, acts) -> None:
    web, number = await made(world, "placed", {"placement": PLACED | {"hosts": ["one-2"]}})
    assert (await front.vm(number)).host == "one-2"
    web = await until_quiet(INSTANCES, declared(web, placement=PLACED | {"hosts": ["one-1"]}), world)
    machine = await front.vm(number)
    one = next(host.id for host in (await front.view(0)).hosts.values() if host.name == "one-1")
    assert (machine.host, machine.requirements) == ("one-1", f"(ID = {one})")
    assert acts == ["live move"]

    await front.move_vm(
        number, next(h.id for h in (await front.view(0)).hosts.values() if h.name == "one-2"), live=True
    )
    await asyncio.sleep(0.5)
    web = await until_quiet(INSTANCES, web, world)
    assert (await front.vm(number)).host == "one-1", "moved back: somebody had moved it"


async def test_a_move_that_fails_without_a_word_is_not_asked_for_at_once(sandbox, world, front, acts) -> None:
    web, number = await made(world, "stuck", {"placement": PLACED | {"hosts": ["one-2"]}})
    sandbox.do(mischief.fail_next, sandbox["rbx"], "MIGRATE", "no route", 1, "stuck")
    web = declared(web, placement=PLACED | {"hosts": ["one-1"]})
    web, plan, outcome = await looked_at(web, world)
    assert (plan.steps, outcome.reason, (await front.vm(number)).host) == ((), "NotMoved", "one-2")
    assert acts == ["live move"]
    world.now = datetime.now(UTC) + timedelta(minutes=2)
    web = await until_quiet(INSTANCES, web, world)
    assert (await front.vm(number)).host == "one-1"


# --- groups --------------------------------------------------------------------------------------------------------------


async def test_apart_means_on_another_host_and_the_group_goes_with_its_last_member(world, front) -> None:
    web, first = await made(world, "web", APART)
    db, second = await made(world, "db", APART)
    assert {(await front.vm(number)).host for number in (first, second)} == {"one-1", "one-2"}
    (group,) = (await front.view(0)).vm_groups.values()
    assert (group.name, group.roles["apart"]) == ("team.web", frozenset({first, second}))

    third, _, outcome = await looked_at(instance("third", APART), world)
    assert outcome.reason == "NoCapacity", "two hosts, three machines apart"
    third = await until_quiet(INSTANCES, declared(third, group={"name": "web", "policy": "Together"}), world)
    (group,) = (await front.view(0)).vm_groups.values()
    assert group.roles["together"] == frozenset({int(third.external["vm"])})

    for member in (web, db, third):
        assert (await front.view(0)).vm_groups
        await gone(INSTANCES, member, world)
    assert not (await front.view(0)).vm_groups


# --- labels, failures ------------------------------------------------------------------------------------------------------


async def test_labels_follow_and_what_somebody_wrote_there_is_drift(sandbox, world, front) -> None:
    web, number = await made(world, "labelled", {}, labels={"app": "web"})
    assert (await front.vm(number)).notes["SOVEREIGNCLOUD_LABELS"] == "app=web"
    web = await until_quiet(INSTANCES, again(web, labels={"app": "www", "tier": "front"}), world)
    assert (await front.vm(number)).notes["SOVEREIGNCLOUD_LABELS"] == "app=www,tier=front"
    sandbox.do(mischief.edit_user_template, sandbox["rbx"], number, {"SOVEREIGNCLOUD_LABELS": "app=evil", "MINE": "1"})
    _, plan, _ = await run(INSTANCES, again(web, labels={"app": "www", "tier": "front"}), world)
    assert [(d.path, d.observed) for d in plan.drift] == [("metadata.labels", "app=evil")]
    assert (await front.vm(number)).notes["SOVEREIGNCLOUD_LABELS"] == "app=www,tier=front"
    assert sandbox["rbx"].vms[number].user_template.get("MINE") == "1"


@pytest.mark.parametrize(
    ("step", "state", "times"), [("BOOT", "BootFailure", 2), ("PROLOG", "PreparingDisksFailure", 1)]
)
async def test_what_fails_at_the_start_is_tried_again(sandbox, world, front, step, state, times) -> None:
    name = f"fails-{step.lower()}"
    sandbox.do(mischief.fail_next, sandbox["rbx"], step, "qemu: no such device", times, name)
    web, said = instance(name, {}), set()
    for turn in range(times):
        now = datetime.now(UTC) + timedelta(minutes=2 * turn)
        world.now = now
        for _ in range(24):
            web, _, outcome = await run(INSTANCES, web, world)
            said.add((outcome.reason, "no such device" in outcome.message))
            await asyncio.sleep(0.03)
    assert times == 1 or (state, True) in said
    machine = await front.vm(int(web.external["vm"]))
    assert (machine.lcm_state, machine.notes["SOVEREIGNCLOUD_RECOVERY_TRIED"], outcome.phase) == (3, "NO", Phase.DONE)


async def test_a_scheduler_that_says_nothing_is_told_of(sandbox, world) -> None:
    sandbox.do(mischief.stall_scheduler, sandbox["rbx"])
    world.now = datetime.now(UTC) + timedelta(minutes=6)
    try:
        waiting, _, outcome = await run(INSTANCES, instance("waits", {}), world)
        waiting, _, outcome = await run(INSTANCES, waiting, world)
        assert outcome.reason == "NotScheduled", "made six minutes ago by the clock of this test"
    finally:
        sandbox.do(mischief.stall_scheduler, sandbox["rbx"], stalled=False)
