"""The plan of a machine, row by row: its size as it runs, its processor and devices, its group, its hosts, its labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.kinds.machine_scene import CONTROLLER, SPEC, Row, cloud, differences, instance, new_instance
from tests.unit.kinds.machine_scene import POWER_CYCLE as CYCLE
from tests.unit.kinds.opennebula_in_memory import (
    HOLD,
    NOW,
    PENDING,
    POWEROFF,
    SETTLED,
    SUSPENDED,
    UNDEPLOYED,
    World,
    group,
    host,
    image,
    look,
    resource,
    run,
    vm,
)

from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Disruption, Step
from sovereigncloud.kinds.hostedinstance.compute.hosts import requirements
from sovereigncloud.kinds.hostedinstance.compute.recovery import FAILURES
from sovereigncloud.kinds.hostedinstance.compute.steps import (
    AttachPci,
    CreateGroup,
    DeleteGroup,
    DetachPci,
    JoinGroup,
    LeaveGroup,
    MoveToHost,
    ResizeVm,
    RetryVm,
    SetCpuModel,
)
from sovereigncloud.kinds.hostedinstance.machine.labels import SetLabels, labels_digest
from sovereigncloud.kinds.hostedinstance.machine.retries import Tries
from sovereigncloud.kinds.hostedinstance.steps import ActOnVm, CreateVm, MoveVm, NoteOnVm
from sovereigncloud.ports.errors import Quota, Rejected
from sovereigncloud.ports.opennebula.views import Membership, Pci
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

ROOM = {"vcpu_max": 8, "memory_max": 16384}
GPU = Pci("10de", "2236", "0302", 0)
WANTS_GPU = {"pciDevices": [{"name": "gpu", "vendor": "10de", "class": "0302"}]}
SECONDS = int(NOW.timestamp())


def world(*things: Any, **told: Any) -> World:
    made = World(rbx=cloud(*things))
    made.told = {"version": "7.4.0"} | told
    return made


def on(*names: str) -> dict[str, Any]:
    return {"placement": {"cloudRef": {"name": "rbx"}, "hosts": list(names)}}


WORDS = {
    ActOnVm: lambda step: step.verb,
    NoteOnVm: lambda step: "note " + ",".join(f"{k.removeprefix('SOVEREIGNCLOUD_')}={v}" for k, v in step.notes),
    ResizeVm: lambda step: f"resize {step.cpu}/{step.vcpu}/{step.memory}",
    SetCpuModel: lambda step: f"model {step.model}",
    AttachPci: lambda step: f"attach {step.vendor}:{step.device}:{step.class_}",
    DetachPci: lambda step: f"detach {step.pci}",
    MoveToHost: lambda step: f"{'live ' if step.live else ''}move {step.host}",
    RetryVm: lambda _: "retry",
    JoinGroup: lambda step: f"join {step.group} {step.role}",
    LeaveGroup: lambda _: "leave",
    CreateGroup: lambda step: f"make {step.name}",
    DeleteGroup: lambda step: f"delete group {step.group}",
    SetLabels: lambda step: f"label {step.labels}",
    MoveVm: lambda step: f"shown {step.action}",
    CreateVm: lambda _: "create",
}


def told(step: Step) -> str:
    return WORDS[type(step)](step)


def tried(count: int, ago: int, what: str) -> str:
    return f"{count} {SECONDS - ago} {what}"


MEMORY = {"spec.memory": ("8Gi", "4Gi")}
HOT = (f"note RESIZE_TRIED=1 {SECONDS} 2/2/8192/", "resize 2/2/8192")
COLD = ("note RESUME=spec.memory", "poweroff", "resize 2/2/8192", "resume", "note RESUME=NO")
TRIED = "SOVEREIGNCLOUD_RESIZE_TRIED"
CONSENT = "spec.updatePolicy.powerCycle: Allow"
MODEL = {"spec.cpuModel": ("host-passthrough", "none")}
MODEL_CYCLE = ("note RESUME=spec.cpuModel", "poweroff", "model host-passthrough", "resume", "note RESUME=NO")
GPU_MISSING = {"spec.pciDevices[gpu]": ("10de:*:0302", "absent")}
HOSTS = (host(1, pci=(GPU,)), host(2, pci=(GPU,)), host(3))
ONE = "(ID = 1)"
TWO = "(ID = 2)"
MOVE = "SOVEREIGNCLOUD_MOVE_TRIED"
APART = {"group": {"name": "web", "policy": "Apart"}}
NOT_IN = {"spec.group": ("web (Apart)", "none")}

KEEPING = [
    # -- size
    Row("room to grow: it is resized as it runs, without consent", {"memory": "8Gi"}, ROOM, MEMORY, HOT),
    Row(
        "more processors and memory, both as it runs",
        {"memory": "8Gi", "vcpu": 4}, ROOM, MEMORY | {"spec.vcpu": ("4", "2")},
        (f"note RESIZE_TRIED=1 {SECONDS} 2/4/8192/", "resize 2/4/8192"),
    ),
    Row(
        "the share of the host is a number in OpenNebula's books: it needs no room",
        {"cpu": "1"}, {}, {"spec.cpu": ("1", "2")}, (f"note RESIZE_TRIED=1 {SECONDS} 1/2/4096/", "resize 1/2/4096"),
    ),
    Row("no room: a power cycle, which waits for consent", {"memory": "8Gi"}, {}, MEMORY, COLD, CONSENT),
    Row(
        "room for processors is none for memory",
        {"memory": "8Gi", **CYCLE}, {"vcpu_max": 8}, MEMORY, COLD,
    ),
    Row(
        "less is given back by a guest when it wants to: a power cycle",
        {"memory": "2Gi", **CYCLE}, ROOM, {"spec.memory": ("2Gi", "4Gi")},
        ("note RESUME=spec.memory", "poweroff", "resize 2/2/2048", "resume", "note RESUME=NO"),
    ),
    Row(
        "the driver did nothing and said nothing: it is not asked again at once",
        {"memory": "8Gi", **CYCLE}, {**ROOM, "notes": {TRIED: tried(1, 30, "2/2/8192/")}}, MEMORY,
        phase=Phase.WAITING, reason="NotResized", says="asked once more at 00:00:30 UTC", available=True,
    ),
    Row(
        "asked once more after a minute",
        {"memory": "8Gi"}, {**ROOM, "notes": {TRIED: tried(1, 60, "2/2/8192/")}}, MEMORY,
        (f"note RESIZE_TRIED=2 {SECONDS} 2/2/8192/", "resize 2/2/8192"),
    ),
    Row(
        "in vain twice: what is left is a power cycle",
        {"memory": "8Gi"}, {**ROOM, "notes": {TRIED: tried(2, 60, "2/2/8192/")}}, MEMORY, COLD, CONSENT,
    ),
    Row(
        "another size was tried in vain: this one is tried live",
        {"memory": "8Gi"}, {**ROOM, "notes": {TRIED: tried(2, 60, "2/2/9999/")}}, MEMORY, HOT,
    ),
    Row(
        "as declared: what was tried is forgotten, or it would count against the next change",
        {}, {**ROOM, "notes": {TRIED: tried(1, 60, "2/2/4096/")}}, steps=("note RESIZE_TRIED=NO",),
    ),
    Row(
        "beyond the room it was made with: it could not be started like that",
        {"memory": "32Gi", **CYCLE}, ROOM, {"spec.memory": ("32Gi", "4Gi")},
        phase=Phase.STALLED, reason="NoCapacityToGrow", says="memory 32Gi is more than 16Gi",
    ),
    Row(
        "room is neither added nor taken away: shown, and no step",
        {"hotResize": {"maxVcpu": 8, "maxMemory": "16Gi"}}, {},
        {"spec.hotResize.maxVcpu": ("8", "none"), "spec.hotResize.maxMemory": ("16Gi", "none")},
    ),
    Row("room as declared", {"hotResize": {"maxVcpu": 8, "maxMemory": "16Gi"}}, ROOM),
    Row("room that spec does not speak of is left alone", {}, ROOM),
    Row(
        "to be off: it is powered off for that alone, and resized when it is",
        {"memory": "8Gi", "power": "Stopped"}, ROOM, MEMORY | {"spec.power": ("Stopped", "Running")}, ("poweroff",),
    ),
    # -- model of the processor
    Row("another model needs a power cycle", {"cpuModel": "host-passthrough"}, {}, MODEL, MODEL_CYCLE, CONSENT),
    Row("another model, with consent", {"cpuModel": "host-passthrough", **CYCLE}, {}, MODEL, MODEL_CYCLE),
    Row("the model as declared", {"cpuModel": "host-passthrough"}, {"cpu_model": "host-passthrough"}),
    Row("a model that spec does not speak of is left alone", {}, {"cpu_model": "Haswell"}),
    Row("off: at once", {"cpuModel": "host-passthrough"}, {"at": POWEROFF}, MODEL, ("model host-passthrough",)),
    Row("undeployed: at once", {"cpuModel": "host-passthrough"}, {"at": UNDEPLOYED}, MODEL, ("model host-passthrough",)),
    Row("held: at once", {"cpuModel": "host-passthrough", "power": "Stopped"}, {"at": HOLD}, MODEL, ("model host-passthrough",)),
    Row(
        "suspended: not before it was started",
        {"cpuModel": "host-passthrough"}, {"at": SUSPENDED}, MODEL, ("model host-passthrough",), "spec.power: Running",
    ),
    Row(
        "size and model share one power cycle",
        {"memory": "8Gi", "cpuModel": "host-passthrough", **CYCLE}, {}, MEMORY | MODEL,
        (
            "note RESUME=spec.memory,spec.cpuModel", "poweroff", "resize 2/2/8192", "model host-passthrough", "resume",
            "note RESUME=NO",
        ),
    ),
    Row(
        "the model was refused once: a person is told, and it runs",
        {"cpuModel": "host-passthrough", **CYCLE},
        {
            "notes": {
                "SOVEREIGNCLOUD_CPU_MODEL_REFUSED": "host-passthrough/",
                "SOVEREIGNCLOUD_CPU_MODEL_REFUSED_BECAUSE": "restricted",
            }
        },
        MODEL, phase=Phase.STALLED, reason="ChangeRefused", says="restricted",
    ),
    # -- devices
    Row(
        "a device more, in a power cycle",
        {**WANTS_GPU, **CYCLE}, {}, GPU_MISSING,
        ("note RESUME=spec.pciDevices[gpu]", "poweroff", "attach 10de::0302", "resume", "note RESUME=NO"),
        others=HOSTS,
    ),
    Row("the device as declared", WANTS_GPU, {"pci": (GPU,)}, others=HOSTS),
    Row("devices that spec does not speak of are left alone", {}, {"pci": (GPU,)}, others=HOSTS),
    Row(
        "a device too many",
        {"pciDevices": [], **CYCLE}, {"pci": (GPU,)}, {"spec.pciDevices[10de:2236:0302]": ("absent", "device 0")},
        ("note RESUME=spec.pciDevices[10de:2236:0302]", "poweroff", "detach 0", "resume", "note RESUME=NO"),
        others=HOSTS,
    ),
    Row(
        "undeployed: devices are attached to a machine that is powered off, which is on a host",
        WANTS_GPU, {"at": UNDEPLOYED, "host": ""}, GPU_MISSING, ("attach 10de::0302",), "spec.power: Running",
        others=HOSTS,
    ),
    Row(
        "its host has none: it is not powered off in vain",
        {**WANTS_GPU, **CYCLE}, {"host": "one-2"}, GPU_MISSING, others=(host(1, pci=(GPU,)), host(2, pci=(Pci("1af4", "1", "2"),))),
        phase=Phase.STALLED, reason="PciDeviceNotFound", says="host one-2 has no PCI device 10de:*:0302",
    ),
    Row(
        "somebody else has it: it waits, and says who",
        {**WANTS_GPU, **CYCLE}, {}, GPU_MISSING, others=(host(1, pci=(Pci("10de", "2236", "0302", vm=40),)),),
        phase=Phase.WAITING, reason="PciDevicesInUse", says="VM 40 on one-1", available=True,
    ),
    Row(
        "the one that says most chooses first, or two would need three devices",
        {"pciDevices": [{"name": "any", "vendor": "10de"}, {"name": "big", "vendor": "10de", "device": "2236"}]},
        {"pci": (GPU, Pci("10de", "1111", "0302", 1))}, others=HOSTS,
    ),
    # -- group
    Row(
        "there is no such group yet: made first",
        APART, {}, NOT_IN, ("make team.web",),
    ),
    Row("there is one: it joins", APART, {}, NOT_IN, ("join 7 apart",), others=(group(7, "web"),)),
    Row("in its group", APART, {"groups": (Membership(7, "apart"),)}, others=(group(7, "web", apart={12}),)),
    Row(
        "the other policy is the other role: out of the one before it is in the other",
        APART, {"groups": (Membership(7, "together"),)}, {"spec.group": ("web (Apart)", "team.web (together)")},
        ("leave", "join 7 apart"), others=(group(7, "web", together={12}),),
    ),
    Row(
        "joining may be refused as long as the others stay where they are: it is done last, and holds nothing up",
        APART | {"power": "Stopped"}, {}, NOT_IN | {"spec.power": ("Stopped", "Running")},
        ("poweroff", "join 7 apart"), others=(group(7, "web"),),
    ),
    Row(
        "a group of somebody's: nothing is said of it, nothing is done",
        {}, {"groups": (Membership(99, "any"),)},
    ),
    Row(
        "nobody is in it and nobody names it: deleted",
        {}, {}, steps=("delete group 7",), others=(group(7, "old"),),
    ),
    Row(
        "while it is attached to something nothing else is begun",
        APART, {"at": (3, 25)}, NOT_IN, phase=Phase.WAITING, reason="AttachingNetwork", others=(group(7, "web"),),
    ),
    # -- hosts
    Row(
        "where it may run: the scheduler is told, and it stays where it is",
        on("one-1", "one-2"), {}, {"spec.placement.hosts": ("one-1, one-2", "the scheduler is told nothing")},
        ("note SCHED_REQUIREMENTS=(ID = 1 | ID = 2)",), others=HOSTS,
    ),
    Row("told and on one of them", on("one-1"), {"requirements": ONE}, others=HOSTS),
    Row(
        "on another one: moved live",
        on("one-2"), {"requirements": TWO}, {"spec.placement.hosts": ("one-2", "on one-1")},
        (f"note MOVE_TRIED=1 {SECONDS} one-2/", "live move 2"), others=HOSTS,
    ),
    Row(
        "told first, then moved",
        on("one-2"), {}, {"spec.placement.hosts": ("one-2", "the scheduler is told nothing; on one-1")},
        ("note SCHED_REQUIREMENTS=(ID = 2)", f"note MOVE_TRIED=1 {SECONDS} one-2/", "live move 2"), others=HOSTS,
    ),
    Row(
        "off: moved as it lies",
        on("one-2"), {"requirements": TWO, "at": POWEROFF}, {"spec.placement.hosts": ("one-2", "on one-1")},
        (f"note MOVE_TRIED=1 {SECONDS} one-2/", "move 2"), others=HOSTS,
    ),
    Row(
        "off its host: the scheduler chooses a listed one when it starts",
        on("one-2"), {"requirements": TWO, "at": UNDEPLOYED, "host": ""}, others=HOSTS,
    ),
    Row(
        "with a device of its host it is moved in a power cycle",
        {**on("one-2"), **CYCLE}, {"requirements": TWO, "pci": (GPU,)}, {"spec.placement.hosts": ("one-2", "on one-1")},
        ("note RESUME=spec.placement.hosts", "poweroff", "move 2", "resume", "note RESUME=NO"), others=HOSTS,
    ),
    Row(
        "with a device of its host, without consent",
        on("one-2"), {"requirements": TWO, "pci": (GPU,)}, {"spec.placement.hosts": ("one-2", "on one-1")},
        ("note RESUME=spec.placement.hosts", "poweroff", "move 2", "resume", "note RESUME=NO"), CONSENT, others=HOSTS,
    ),
    Row(
        "it was asked for and nothing came of it: not again at once",
        on("one-2"), {"requirements": TWO, "notes": {MOVE: tried(1, 20, "one-2/")}},
        {"spec.placement.hosts": ("one-2", "on one-1")}, others=HOSTS,
        phase=Phase.WAITING, reason="NotMoved", says="asked again at 00:00:40 UTC", available=True,
    ),
    Row(
        "asked for so often that a person is told",
        on("one-2"), {"requirements": TWO, "notes": {MOVE: tried(4, 9999, "one-2/")}},
        {"spec.placement.hosts": ("one-2", "on one-1")}, others=HOSTS,
        phase=Phase.STALLED, reason="NotMoved", says="after 4 times",
    ),
    Row(
        "moved: forgotten how often it was asked for",
        on("one-1"), {"requirements": ONE, "notes": {MOVE: tried(1, 20, "one-1/")}},
        steps=("note MOVE_TRIED=NO",), others=HOSTS,
    ),
    Row(
        "a host that does not work is none to move to",
        on("one-2"), {"requirements": TWO}, {"spec.placement.hosts": ("one-2", "on one-1")},
        others=(host(1), host(2, state=3)), phase=Phase.WAITING, reason="NoCapacity", says="one-2 (error)", available=True,
    ),
    Row(
        "a host without room is none to move to",
        on("one-2"), {"requirements": TWO}, {"spec.placement.hosts": ("one-2", "on one-1")},
        others=(host(1), host(2, max_memory=1024)), phase=Phase.WAITING, reason="NoCapacity",
    ),
    Row(
        "a host where one is that it is to be apart from is none to move to",
        {**on("one-2", "one-3"), **APART}, {"requirements": "(ID = 2 | ID = 3)", "groups": (Membership(7, "apart"),)},
        {"spec.placement.hosts": ("one-2, one-3", "on one-1")},
        (f"note MOVE_TRIED=1 {SECONDS} one-3/", "live move 3"),
        others=(*HOSTS, group(7, "web", apart={12, 13}), vm(id=13, name="db", host="one-2", mark=None)),
    ),
    Row(
        "a host without such a device is none to move to",
        {**on("one-3"), **CYCLE}, {"requirements": "(ID = 3)", "pci": (GPU,)},
        {"spec.placement.hosts": ("one-3", "on one-1")}, others=HOSTS, phase=Phase.WAITING, reason="NoCapacity",
    ),
    Row(
        "a host that is not there: which there are",
        on("one-9"), {}, others=HOSTS, phase=Phase.STALLED, reason="HostNotFound",
        says="no host called one-9, which spec.placement.hosts names; there are: one-1, one-2, one-3",
    ),
    # -- pending
    Row(
        "the scheduler has not said a word for long: it may hang",
        {}, {"at": PENDING, "since": SECONDS - 301}, phase=Phase.WAITING, reason="NotScheduled", says="scheduler",
    ),
    Row("the scheduler has some time", {}, {"at": PENDING, "since": SECONDS - 299}, phase=Phase.WAITING, reason="Pending"),
    Row(
        "it said why: that is what counts",
        {}, {"at": PENDING, "since": SECONDS - 9999, "scheduler_message": "Not enough CPU"},
        phase=Phase.WAITING, reason="NoCapacity",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", KEEPING, ids=lambda row: row.why)
async def test_a_machine_that_is_there(row: Row) -> None:
    plan = await look(CONTROLLER, instance(row.spec), world(vm(**row.vm), *row.others))

    assert differences(plan) == row.drift
    assert tuple(told(step) for step in plan.steps) == row.steps
    needing = [step.needs for step in plan.steps]
    assert set(needing) - {""} == ({row.needs} if row.needs else set())
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason)
    assert row.says in plan.outcome.message
    if row.available is not None:
        assert plan.outcome.available is row.available
    restarts = any(step.disruption is Disruption.RESTART for step in plan.steps)
    assert restarts is ("poweroff" in row.steps), "what restarts it says so"


async def test_before_7_4_a_machine_keeps_its_group_and_the_plan_says_so() -> None:
    there = world(vm(), group(7, "web"), version="7.2.1")
    plan = await look(CONTROLLER, instance(APART | {"updatePolicy": {"replace": "Allow"}}), there)
    (step,) = plan.steps
    assert (told(step), step.disruption) == ("shown Replace", Disruption.DATA_LOSS)
    assert "OpenNebula 7.2.1 keeps a machine in its group" in step.needs, "and no consent in spec would do it"


@pytest.mark.parametrize(
    ("whose", "reason", "says"),
    [
        (None, "NameTaken", "was not made for this namespace"),
        (Mark("inst-1", "VmGroup/other/web", "web"), "NameTaken", "was not made for this namespace"),
        (Mark("inst-9", "VmGroup/team/web", "web"), "OwnedByAnotherInstallation", "of installation inst-9"),
    ],
)
async def test_a_group_of_that_name_that_is_not_ours_is_left_alone(whose: Mark | None, reason: str, says: str) -> None:
    there = world(vm(), replace(group(7, "web"), mark=whose))
    plan = await look(CONTROLLER, instance(APART), there)
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.STALLED, reason)
    assert says in plan.outcome.message
    assert (await look(CONTROLLER, instance(), there)).steps == (), "nor deleted"


async def test_an_empty_group_that_another_object_names_is_not_deleted() -> None:
    other = resource("HostedInstance", "db", SPEC | {"group": {"name": "old", "policy": "Together"}}, {})
    there = world(vm(), group(7, "old"))
    there.resources[other.key] = other
    assert (await look(CONTROLLER, instance(), there)).steps == ()
    gone = resource("HostedInstance", "db", SPEC | {"group": {"name": "old", "policy": "Together"}}, {}, deleting=True)
    there.resources[other.key] = gone
    assert [told(step) for step in (await look(CONTROLLER, instance(), there)).steps] == ["delete group 7"]


# --- courses -------------------------------------------------------------------------------------------------------------


async def course(wanted: Any, there: World, times: int = 16) -> tuple[Any, list[str], Any]:
    """What was done until it is quiet, and what is said then. Each look is a minute after the one before."""
    front = next(iter(there.fronts.values()))
    for _ in range(times):
        wanted, plan, outcome = await run(CONTROLLER, wanted, there)
        front.tick()
        there.now += timedelta(minutes=1)
    return wanted, [entry[0] if entry[0] != "act" else entry[2] for entry in front.journal], (plan, outcome)


async def test_born_with_everything_that_spec_says_of_it() -> None:
    there = world(host(1, pci=(Pci("10de", "2236", "0302"),)), host(2))
    spec = {
        "hotResize": {"maxVcpu": 8, "maxMemory": "16Gi"}, "cpuModel": "host-passthrough", **WANTS_GPU, **APART,
        **on("one-1"),
    }  # fmt: skip
    wanted = new_instance(spec, labels={"tier": "db", "app": "web"})
    wanted, done, (plan, outcome) = await course(wanted, there)
    assert (plan.steps, plan.drift, outcome.phase) == ((), (), Phase.DONE)
    assert done == ["create_group", "create_vm"]
    made = next(entry[1] for entry in there.fronts[plan_cloud(there)].journal if entry[0] == "create_vm")
    assert {key: made[key] for key in made if key in MADE} == MADE


MADE = {
    "VCPU_MAX": "8",
    "MEMORY_MAX": "16384",
    "HOT_RESIZE": {"CPU_HOT_ADD_ENABLED": "YES", "MEMORY_HOT_ADD_ENABLED": "YES"},
    "CPU_MODEL": {"MODEL": "host-passthrough"},
    "PCI": [{"VENDOR": "10de", "CLASS": "0302"}],
    "VMGROUP": {"VMGROUP_ID": "101", "ROLE": "apart"},
    "SCHED_REQUIREMENTS": "(ID = 1)",
    "SOVEREIGNCLOUD_LABELS": "app=web,tier=db",
}


def plan_cloud(there: World) -> Any:
    return next(iter(there.fronts))


@pytest.mark.parametrize(
    ("spec", "others", "phase", "reason", "says"),
    [
        (WANTS_GPU, (host(1),), Phase.STALLED, "PciDeviceNotFound", "they have none"),
        (
            WANTS_GPU,
            (host(1, pci=(Pci("1af4", "1050", "0300"),)),),
            Phase.STALLED,
            "PciDeviceNotFound",
            "1af4:1050:0300",
        ),
        (
            WANTS_GPU,
            (host(1, pci=(Pci("10de", "2236", "0302", vm=4),)),),
            Phase.WAITING,
            "PciDevicesInUse",
            "VM 4 on one-1",
        ),
        (WANTS_GPU, (host(1, state=4, pci=(GPU,)),), Phase.STALLED, "PciDeviceNotFound", "they have none"),
        (on("one-7"), (host(1),), Phase.STALLED, "HostNotFound", "there are: one-1"),
    ],
)
async def test_what_stands_in_the_way_of_a_new_one(
    spec: Any, others: Any, phase: Phase, reason: str, says: str
) -> None:
    plan = await look(CONTROLLER, new_instance(spec), world(*others))
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), phase, reason)
    assert says in plan.outcome.message


async def test_a_scheduler_that_is_silent_about_several_is_given_no_more() -> None:
    waits = [vm(id=number, at=PENDING, since=SECONDS - 301, mark=None) for number in (1, 2, 3)]
    wanted = new_instance()
    assert [told(step) for step in (await look(CONTROLLER, wanted, world(*waits[:2]))).steps] == ["create"]
    plan = await look(CONTROLLER, wanted, world(*waits))
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.WAITING, "NotScheduled")


@pytest.mark.parametrize("lost", ["", "create_group", "create_vm"])
async def test_one_group_for_all_members_and_gone_with_the_last(lost: str) -> None:
    there = world()
    front = there.fronts[plan_cloud(there)]
    front.lost = {lost} - {""}
    web = new_instance(APART)
    db = resource("HostedInstance", "db", SPEC | APART | {"networks": []}, {}, uid="uid-2")
    for _ in range(14):
        for name, one in (("web", web), ("db", db)):
            there.resources[one.key] = one
            after, plan, _ = await run(CONTROLLER, one, there)
            web, db = (after, db) if name == "web" else (web, after)
        front.tick()
    assert plan.steps == ()
    (only,) = front.vm_group_pool.values()
    assert sorted(only.roles["apart"]) == sorted(int(one.external["vm"]) for one in (web, db))
    assert [entry[0] for entry in front.journal].count("create_vm") == 2
    for name, one in (("web", web), ("db", db)):
        assert front.vm_group_pool, f"kept for {name}"
        spec = one.spec.model_dump(by_alias=True, exclude_none=True)
        status = one.status.model_dump(by_alias=True, exclude_none=True)
        going = resource("HostedInstance", name, spec, status, uid=one.metadata.uid, deleting=True)
        there.resources[going.key] = going
        for _ in range(8):
            going, plan, outcome = await run(CONTROLLER, going, there)
            front.tick()
        assert (plan.steps, outcome.phase) == ((), Phase.DONE)
    assert front.vm_group_pool == {}


async def test_a_hot_resize_that_the_driver_ignores_ends_in_a_power_cycle_and_not_in_a_loop() -> None:
    there = world(vm(**ROOM))
    front = there.fronts[plan_cloud(there)]
    front.silent_failures = {"resize"}
    wanted = instance({"memory": "8Gi", **CYCLE})
    seen: list[str] = []
    for _ in range(30):
        observed = await CONTROLLER.observe(wanted, there)
        plan = CONTROLLER.plan(wanted, observed, there.now)
        for step in plan.steps:
            outcome = await CONTROLLER.perform(step, wanted, there)
            seen.append(told(step).partition(" ")[0])
            if outcome.phase is not Phase.DONE:
                break
        front.tick()
        there.now += timedelta(seconds=20)
    assert seen.count("resize") == 3, "twice as it ran, once while it was off"
    assert [word for word in seen if word in {"poweroff", "resume"}] == ["poweroff", "resume"]
    assert (front.vms[12].memory, plan.steps, plan.drift) == (8192, (), ())
    assert front.vms[12].notes[TRIED] == "NO"


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (Rejected("Live resize not supported by the driver"), "a power cycle does it"),
        (Quota("Not enough memory: 8192/1"), "a power cycle would be refused, too"),
    ],
)
async def test_a_refused_hot_resize(refusal: Exception, says: str) -> None:
    there = world(vm(**ROOM))
    front = there.fronts[plan_cloud(there)]
    front.refuse_resize = refusal
    wanted = instance({"memory": "8Gi"})
    wanted, _, _ = await run(CONTROLLER, wanted, there)
    plan = await look(CONTROLLER, wanted, there)
    if isinstance(refusal, Quota):
        assert (plan.steps, plan.outcome.reason) == ((), "ResizeRefused"), says
    else:
        assert [told(step) for step in plan.steps] == list(COLD), says


async def test_a_device_that_is_refused_does_not_keep_the_machine_down() -> None:
    there = world(vm(), host(1))
    front = there.fronts[plan_cloud(there)]
    front.silent_failures = {"attach_pci"}
    wanted = instance({**WANTS_GPU, **CYCLE})
    wanted, done, (plan, outcome) = await course(wanted, there)
    assert done.count("poweroff") == done.count("resume") == 1
    assert (front.vms[12].state, plan.steps, outcome.reason) == (3, (), "ChangeRefused")
    assert "Cannot assign PCI device" in outcome.message


async def test_a_machine_with_a_device_is_moved_while_it_is_off_and_started_there() -> None:
    there = world(vm(requirements=TWO, pci=(GPU,)), *HOSTS)
    front = there.fronts[plan_cloud(there)]
    _, done, (plan, outcome) = await course(instance({**on("one-2"), **CYCLE}), there)
    assert [verb for verb in done if verb != "update_vm"] == ["poweroff", "move_vm", "resume"]
    assert (front.vms[12].host, front.vms[12].state, plan.steps, outcome.phase) == ("one-2", 3, (), Phase.DONE)


# --- labels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "labels", "found", "written", "steps", "drift"),
    [
        ("as they are", {"app": "web"}, "app=web", "app=web", (), {}),
        ("changed here: work, no drift", {"app": "www"}, "app=web", "app=web", ("label app=www",), {}),
        ("changed there: drift", {"app": "web"}, "app=x", "app=web", ("label app=web",), {"metadata.labels": ("app=web", "app=x")}),
        ("taken away there", {"app": "web"}, "", "app=web", ("label app=web",), {"metadata.labels": ("app=web", "none")}),
        ("taken away here", {}, "app=web", "app=web", ("label ",), {}),
        ("none", {}, "", "", (), {}),
        ("none here and some there", {}, "app=x", "", ("label ",), {"metadata.labels": ("none", "app=x")}),
        ("sorted; the operator's own are none of theirs", {"b": "2", "a/x": "1", "sovereigncloud.io/x": "y"}, "a/x=1,b=2", "", (), {}),
    ],
)  # fmt: skip
async def test_labels(why: str, labels: Any, found: str, written: str, steps: Any, drift: Any) -> None:
    external = {"vm": "12", "cloud": "team/rbx"} | ({"labels": labels_digest(written)} if written else {})
    wanted = instance(status={**SETTLED, "external": external}, labels=labels)
    notes = {"SOVEREIGNCLOUD_LABELS": found} if found else {}
    there = world(vm(notes=notes))
    plan = await look(CONTROLLER, wanted, there)
    assert tuple(told(step) for step in plan.steps) == steps, why
    assert differences(plan) == drift, why
    settled, _, _ = await run(CONTROLLER, wanted, there)
    assert (await look(CONTROLLER, settled, there)).steps == (), "written once"


# --- hosts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("", "(ID = 1 | ID = 2)"),
        ("(ID = 7)", "(ID = 1 | ID = 2)"),
        ("(ID = 7 | ID = 8)", "(ID = 1 | ID = 2)"),
        ('CLUSTER = "fast"', '(ID = 1 | ID = 2) & (CLUSTER = "fast")'),
        ('(ID = 7) & (CLUSTER = "fast")', '(ID = 1 | ID = 2) & (CLUSTER = "fast")'),
        ("(ID = 7) | RACK = 3", "(ID = 1 | ID = 2) & ((ID = 7) | RACK = 3)"),
    ],
)
def test_what_else_is_demanded_of_a_host_is_kept(found: str, wanted: str) -> None:
    assert requirements(found, (host(2), host(1))) == wanted
    assert requirements(wanted, (host(1), host(2))) == wanted, "and once is enough"


async def test_made_from_a_template_the_hosts_are_demanded_beside_what_it_demands() -> None:
    there = world(host(1))
    front = there.fronts[plan_cloud(there)]
    front.templates = {5: replace(front.templates[5], requirements="RACK = 3")}
    wanted = resource("HostedInstance", "web", {"source": {"template": "small"}, **on("one-1")}, {})
    _, done, _ = await course(wanted, there, 6)
    assert done == ["instantiate"]
    assert front.journal[0][3]["SCHED_REQUIREMENTS"] == "(ID = 1) & (RACK = 3)"


# --- failures ------------------------------------------------------------------------------------------------------------

FAILED = "SOVEREIGNCLOUD_RECOVERY_TRIED"
STAMPED = "Tue Nov 24 17:21:37 2026: DEPLOY: host0:bf:dummy"


@dataclass(frozen=True)
class Failing:
    why: str
    at: tuple[int, int]
    spec: dict[str, Any] = field(default_factory=dict)
    vm: dict[str, Any] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    phase: Phase = Phase.STALLED
    says: str = ""
    says_not: str = "\0"


FAILING = [
    Failing(
        "starting failed: tried again", (3, 36), steps=(f"note RECOVERY_TRIED=1 {SECONDS} BootFailure/", "retry"),
        phase=Phase.RETRY, says="it is tried again, since its disks are as they were",
    ),
    Failing(
        "once in vain: not again at once", (3, 36), vm={"notes": {FAILED: tried(1, 10, "BootFailure/")}},
        phase=Phase.RETRY, says="tried again at 00:00:50 UTC",
    ),
    Failing(
        "the pauses grow", (3, 36), vm={"notes": {FAILED: tried(2, 100, "BootFailure/")}},
        phase=Phase.RETRY, says="tried again at 00:03:20 UTC",
    ),
    Failing(
        "three times in vain: a person", (3, 36), vm={"notes": {FAILED: tried(3, 9999, "BootFailure/")}},
        says="tried again 3 times in vain: mend the cause and recover it there (onevm recover --retry 12)",
    ),
    Failing("as spec says: a person", (3, 36), {"recovery": "Manual"}, says="spec.recovery is Manual"),
    Failing(
        "the message of its driver, with its time", (3, 36), {"recovery": "Manual"}, {"error": STAMPED},
        says="(Tue Nov 24 17:21:37 2026: DEPLOY: host0:bf:dummy)",
    ),
    Failing(
        "an old message of something else means nothing now", (3, 39), {"recovery": "Manual"}, {"error": STAMPED},
        says="see its log (onevm log 12)", says_not="DEPLOY",
    ),
    Failing(
        "its disks could not be copied: copied anew", (3, 39),
        steps=(f"note RECOVERY_TRIED=1 {SECONDS} PreparingDisksFailure/", "retry"), phase=Phase.RETRY,
        says="copied anew from images that stay",
    ),
    Failing(
        "in another state it failed before: that counts by itself", (3, 39),
        vm={"notes": {FAILED: tried(3, 10, "BootFailure/")}},
        steps=(f"note RECOVERY_TRIED=1 {SECONDS} PreparingDisksFailure/", "retry"), phase=Phase.RETRY,
    ),
    Failing("half way back to the datastore: never", (3, 40), says="not tried again, since what is to be kept"),
    Failing("half way to another host: never", (3, 38), says="a copy that is repeated may take half of one"),
    Failing("an image of it is in error", (11, 0), says="it goes on by itself when that is mended"),
]  # fmt: skip


@pytest.mark.parametrize("row", FAILING, ids=lambda row: row.why)
async def test_a_machine_of_which_something_failed(row: Failing) -> None:
    plan = await look(CONTROLLER, instance(row.spec), world(vm(at=row.at, **row.vm)))
    assert tuple(told(step) for step in plan.steps) == row.steps
    assert (plan.outcome.phase, plan.outcome.available) == (row.phase, False)
    assert row.says in plan.outcome.message
    assert row.says_not not in plan.outcome.message


def test_each_failure_is_either_retried_or_not_for_a_reason() -> None:
    words = {
        state_of(vm(at=(3, number))).words
        for number in range(80)
        if state_of(vm(at=(3, number))).situation is Situation.FAILED
    }
    assert words | {state_of(vm(at=(11, 0))).words} == set(FAILURES)


async def test_forgotten_once_it_runs() -> None:
    there = world(vm(notes={FAILED: tried(1, 10, "BootFailure/")}))
    assert [told(step) for step in (await look(CONTROLLER, instance(), there)).steps] == ["note RECOVERY_TRIED=NO"]


async def test_a_person_who_asks_anew_has_it_tried_again() -> None:
    there = world(vm(at=(3, 36), notes={FAILED: tried(3, 9999, "BootFailure/")}))
    asked = {"annotations": {"sovereigncloud.io/reconcile-requested-at": "noon"}}
    plan = await look(CONTROLLER, instance(**asked), there)
    assert [told(step) for step in plan.steps] == [f"note RECOVERY_TRIED=1 {SECONDS} BootFailure/noon", "retry"]


async def test_it_starts_at_the_second_try() -> None:
    there = world(vm(at=(3, 36)))
    front = there.fronts[plan_cloud(there)]
    front.silent_failures = {"retry_vm"}
    retried = 0
    for turn in range(40):
        wanted = instance()
        plan = CONTROLLER.plan(wanted, await CONTROLLER.observe(wanted, there), there.now)
        for step in plan.steps:
            await CONTROLLER.perform(step, wanted, there)
            retried += isinstance(step, RetryVm)
        if retried == 1:
            front.silent_failures = set()
        front.tick()
        there.now += timedelta(seconds=10)
        if turn < 6:
            assert retried == 1, "a minute lies between two tries"
    assert (retried, front.vms[12].lcm_state, front.vms[12].notes[FAILED]) == (2, 3, "NO")


# --- tries, status -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("note", ["", "NO", "x 1 a", "1 x a", "1", "1 2", "1 2 b", "-1 2 a"])
def test_a_note_that_says_nothing_of_it_is_no_try(note: str) -> None:
    assert Tries.read(note, "a") == Tries("a")


def test_a_try_is_read_as_it_was_noted() -> None:
    once = Tries.read(Tries("a b/c").once_more(NOW), "a b/c")
    assert (once.count, once.last, once.over((60,))) == (1, SECONDS, False)
    twice = Tries.read(once.once_more(NOW), "a b/c")
    assert twice.over((60,))
    assert once.due((60,)) == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("told_of_it", "zone", "country", "console"),
    [
        ({}, None, None, "on host one-1: virsh vncdisplay one-12"),
        (
            {"zone": "OpenNebula", "countries": ["FR"], "sunstone": "https://one.example.fr/"},
            "OpenNebula", "FR", "https://one.example.fr/fireedge/sunstone/vm/12",
        ),
        ({"countries": ["DE", "FR"]}, None, None, "on host one-1: virsh vncdisplay one-12"),
        ({"countries": ["unknown"]}, None, None, "on host one-1: virsh vncdisplay one-12"),
    ],
)  # fmt: skip
async def test_where_it_is_and_how_to_reach_its_screen(told_of_it: Any, zone: Any, country: Any, console: str) -> None:
    there = world(vm(), **told_of_it)
    wanted = instance()
    status = CONTROLLER.status(wanted, await CONTROLLER.observe(wanted, there))
    placement = status["placement"]
    assert (placement["zone"], placement["country"], status["console"]) == (zone, country, console)


# --- the pages say the same ----------------------------------------------------------------------------------------------

DOCS = Path(__file__).parents[4] / "docs"
_LABELLED = {"labels": {"app": "web"}}
IN_THE_PAGE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "`metadata.labels`": ({}, {}, _LABELLED),
    "more `vcpu` within `hotResize.maxVcpu`": ({"vcpu": 4}, ROOM, {}),
    "more `memory` within `hotResize.maxMemory`": ({"memory": "8Gi"}, ROOM, {}),
    "`cpu`: counts in OpenNebula at once, on the host from the next start on": ({"cpu": "1"}, {}, {}),
    "other changes of `vcpu` and `memory`": ({"vcpu": 1, "memory": "8Gi"}, ROOM, {}),
    "`cpuModel`": ({"cpuModel": "host-passthrough"}, {}, {}),
    "`pciDevices`": (WANTS_GPU, {}, {}),
    "`group`, from OpenNebula 7.4 on": (APART, {}, {}),
    "`group`, before": (APART, {}, {}),
    "`placement.hosts`": (on("one-2"), {}, {}),
    "`placement.hosts`, with `pciDevices`": (on("one-2"), {"pci": (GPU,), "requirements": TWO}, {}),
    "`source.image`": ({"source": {"image": "debian"}}, {}, {}),
}


def rows(page: str, heading: str) -> list[list[str]]:
    """The table below a line of a page."""
    below = (DOCS / page).read_text().partition(heading)[2]
    table = re.search(r"\n(\|.+\n)+", below)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.group().strip().splitlines()][2:]


async def test_the_page_says_what_each_change_does_to_a_machine_that_runs() -> None:
    table = rows("reference/hostedinstance.md", "as `status.plan` says it:")
    assert [row[0] for row in table] == list(IN_THE_PAGE)
    for change, disruption, needs in table:
        spec, machine, meta = IN_THE_PAGE[change]
        groups = (group(7, "web"),) if "group" in spec else ()
        there = world(vm(**machine), *groups, image(id=8, name="debian"), *HOSTS)
        there.told["version"] = "7.2.0" if change.endswith(", before") else "7.4.0"
        plan = await look(CONTROLLER, instance(spec, **meta), there)
        worst = [step.disruption.value for step in plan.steps if step.disruption is not Disruption.NONE]
        assert (worst or ["None"]) == [disruption], change
        asked = {step.needs.partition(" (")[0] for step in plan.steps}
        assert asked == {needs.strip("`")} or (disruption == "None" and asked == {""} and not needs), change


def test_the_page_says_which_failure_is_tried_again_and_why() -> None:
    table = rows("troubleshooting.md", "### A machine after an operation that failed")
    assert {row[0].strip("`"): (row[1], row[2]) for row in table} == {
        state: ("yes" if failure.retried else "no", failure.why) for state, failure in FAILURES.items()
    }
