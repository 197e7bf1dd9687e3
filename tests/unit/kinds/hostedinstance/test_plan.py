"""The plan of a HostedInstance, row by row: what is declared, what is there, what is said and done about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds import machine_scene
from tests.unit.kinds.machine_scene import CONTROLLER, POWER_CYCLE, Row, differences, instance, new_instance
from tests.unit.kinds.opennebula_in_memory import (
    DONE_STATE,
    HOLD,
    PENDING,
    POWEROFF,
    RUNNING,
    SETTLED,
    STOPPED,
    SUSPENDED,
    UNDEPLOYED,
    OpenNebula,
    World,
    image,
    look,
    mark,
    network,
    resource,
    run,
    vm,
)

from sovereigncloud.api.common.base import Condition, Key
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action, Cause, Disruption, Step
from sovereigncloud.kinds.hostedinstance.compute.steps import ResizeVm
from sovereigncloud.kinds.hostedinstance.network.steps import AttachNic, DetachNic
from sovereigncloud.kinds.hostedinstance.steps import (
    ActOnVm,
    BindInstance,
    CreateVm,
    GrowDisk,
    MarkVm,
    MoveVm,
    NoteOnVm,
    RecordVm,
    RenameVm,
)
from sovereigncloud.ports.errors import Auth, Quota, Rejected
from sovereigncloud.ports.opennebula.views import Disk, Nic, Vm

NOTHING_STORED = dict.fromkeys(("disks", "backups", "snapshots", "requests", "continuity"))
REPLACE = {"updatePolicy": {"replace": "Allow"}}
DMZ = network(id=4, name="dmz")
LAN_CARD = vm().nics[0]
DMZ_CARD = Nic(1, 4, "dmz", "10.0.4.9", "02:02")


def cloud(*things: Any) -> OpenNebula:
    return machine_scene.cloud(DMZ, *things)


def _note(step: NoteOnVm) -> str:
    return "note " + ",".join(f"{key.removeprefix('SOVEREIGNCLOUD_')}={value}" for key, value in step.notes)


WORDS = {
    ActOnVm: lambda step: step.verb,
    NoteOnVm: _note,
    ResizeVm: lambda step: f"resize {step.cpu}/{step.vcpu}/{step.memory}",
    GrowDisk: lambda step: f"grow {step.size}",
    AttachNic: lambda step: f"attach {step.name}",
    DetachNic: lambda step: f"detach {step.name} {step.nic}",
    RenameVm: lambda step: f"rename {step.name}",
    BindInstance: lambda _: "bind",
    RecordVm: lambda _: "record",
    CreateVm: lambda _: "create",
    MarkVm: lambda _: "mark",
    MoveVm: lambda _: "move",
}


def told(step: Step) -> str:
    """A step in a word, for the tables."""
    return WORDS[type(step)](step)


CYCLE = ("note RESUME=spec.memory", "poweroff", "resize 2/2/8192", "resume", "note RESUME=NO")
NOTED = {"SOVEREIGNCLOUD_RESUME": "spec.memory"}
MEMORY = {"spec.memory": ("8Gi", "4Gi")}

KEEPING = [
    Row("a machine as declared: nothing to do"),
    # -- power
    Row("absent power: a guest that shut itself down is its own business", vm={"at": POWEROFF}),
    Row("absent power: a suspended machine is left alone", vm={"at": SUSPENDED}),
    Row(
        "somebody powered it off, and it is to run",
        {"power": "Running"}, {"at": POWEROFF},
        {"spec.power": ("Running", "PoweredOff")}, ("resume",),
    ),
    Row(
        "somebody suspended it, and it is to run",
        {"power": "Running"}, {"at": SUSPENDED}, {"spec.power": ("Running", "Suspended")}, ("resume",),
    ),
    Row(
        "saved to the datastore: it is scheduled again",
        {"power": "Running"}, {"at": STOPPED}, {"spec.power": ("Running", "Stopped")}, ("resume",),
    ),
    Row(
        "undeployed: it is scheduled again",
        {"power": "Running"}, {"at": UNDEPLOYED}, {"spec.power": ("Running", "Undeployed")}, ("resume",),
    ),
    Row(
        "held back by somebody, and it is to run",
        {"power": "Running"}, {"at": HOLD}, {"spec.power": ("Running", "OnHold")}, ("release",),
    ),
    Row(
        "held back by somebody, and nothing is said of power: it never started, so a person must say",
        vm={"at": HOLD}, phase=Phase.STALLED, reason="OnHold", says="onevm release 12",
    ),
    Row(
        "it runs, and it is to be off", {"power": "Stopped"}, {},
        {"spec.power": ("Stopped", "Running")}, ("poweroff",),
    ),
    Row("undeployed is off as well", {"power": "Stopped"}, {"at": UNDEPLOYED}),
    Row("saved to the datastore is off as well", {"power": "Stopped"}, {"at": STOPPED}),
    Row("held is off as well", {"power": "Stopped"}, {"at": HOLD}),
    Row(
        "a suspended machine cannot be powered off: it is started first",
        {"power": "Stopped"}, {"at": SUSPENDED}, {"spec.power": ("Stopped", "Suspended")}, ("resume", "poweroff"),
    ),
    Row(
        "suspended from RUNNING", {"power": "Suspended"}, {},
        {"spec.power": ("Suspended", "Running")}, ("suspend",),
    ),
    Row(
        "a machine that is off cannot be suspended: it is started first",
        {"power": "Suspended"}, {"at": POWEROFF}, {"spec.power": ("Suspended", "PoweredOff")}, ("resume", "suspend"),
    ),
    Row("suspended as declared", {"power": "Suspended"}, {"at": SUSPENDED}),
    # -- capacity
    Row("cpu is a number, not a text", {"cpu": "2"}, {"cpu": "2.00"}),
    Row("cpu in thousandths is the same number", {"cpu": "500m"}, {"cpu": "0.5"}),
    Row("memory in bytes is the same number", {"memory": 4294967296}),
    Row("cpu that is not declared is left as it is", {}, {"cpu": "0.1"}),
    Row(
        "a running machine is resized in a power cycle, noted to be started again before it is powered off",
        {"memory": "8Gi", **POWER_CYCLE}, {}, MEMORY, CYCLE,
    ),
    Row(
        "without consent the same steps are shown, with the field to set",
        {"memory": "8Gi"}, {}, MEMORY, CYCLE, needs="spec.updatePolicy.powerCycle: Allow",
    ),
    Row(
        "what waits for consent comes last, so that it does not hold up what needs none",
        {"memory": "8Gi", "power": "Suspended"}, {}, MEMORY | {"spec.power": ("Suspended", "Running")},
        ("suspend", *CYCLE), needs="spec.updatePolicy.powerCycle: Allow",
    ),
    Row(
        "several differences share one power cycle",
        {"memory": "8Gi", "vcpu": 4, "cpu": "1500m", **POWER_CYCLE}, {},
        MEMORY | {"spec.vcpu": ("4", "2"), "spec.cpu": ("1.5", "2")},
        (
            "note RESUME=spec.memory,spec.vcpu,spec.cpu", "poweroff", "resize 1.5/4/8192", "resume", "note RESUME=NO",
        ),
    ),
    Row(
        "it was noted already before a crash: not twice",
        {"memory": "8Gi", **POWER_CYCLE}, {"notes": NOTED}, MEMORY, CYCLE[1:],
    ),
    Row(
        "in the middle of a power cycle it is resized and started, which is no drift of power",
        {"memory": "8Gi", "power": "Running", **POWER_CYCLE},
        {"at": POWEROFF, "notes": NOTED}, MEMORY, CYCLE[2:],
    ),
    Row(
        "consent was taken back in the middle: it is off anyway, and is not left off",
        {"memory": "8Gi"}, {"at": POWEROFF, "notes": NOTED},
        MEMORY, CYCLE[2:],
    ),
    Row(
        "resized, and the operator died: it is started again although spec does not speak of power",
        {}, {"at": POWEROFF, "notes": NOTED}, steps=CYCLE[3:],
    ),
    Row(
        "it runs again: the note is cleared, or the guest's own shutdown would be undone one day",
        {}, {"notes": NOTED}, steps=("note RESUME=NO",),
    ),
    Row(
        "declared off in the middle of a power cycle: it stays off",
        {"power": "Stopped"}, {"at": POWEROFF, "notes": NOTED}, steps=("note RESUME=NO",),
    ),
    Row(
        "consent was taken back before it was powered off: it is not to be started again later",
        {"memory": "8Gi"}, {"notes": NOTED},
        MEMORY, ("note RESUME=NO", *CYCLE), needs="spec.updatePolicy.powerCycle: Allow",
    ),
    Row(
        "off and to be off: resized without consent",
        {"memory": "8Gi", "power": "Stopped"}, {"at": POWEROFF}, MEMORY, ("resize 2/2/8192",),
    ),
    Row(
        "off by the guest's own doing: resized, not started",
        {"memory": "8Gi"}, {"at": POWEROFF}, MEMORY, ("resize 2/2/8192",),
    ),
    Row(
        "off, resized and started, since it is to run",
        {"memory": "8Gi", "power": "Running"}, {"at": POWEROFF},
        MEMORY | {"spec.power": ("Running", "PoweredOff")}, ("resize 2/2/8192", "resume"),
    ),
    Row(
        "to be off: it is powered off for that reason alone; resized when it is",
        {"memory": "8Gi", "power": "Stopped"}, {},
        MEMORY | {"spec.power": ("Stopped", "Running")}, ("poweroff",),
    ),
    Row(
        "undeployed can be resized [DispatchManager::resize]",
        {"memory": "8Gi", "power": "Stopped"}, {"at": UNDEPLOYED}, MEMORY, ("resize 2/2/8192",),
    ),
    Row(
        "not placed yet: less memory is what lets it start",
        {"memory": "8Gi"}, {"at": PENDING, "scheduler_message": "no host with enough memory"},
        MEMORY, ("resize 2/2/8192",), phase=Phase.WAITING, reason="NoCapacity",
    ),
    Row(
        "a suspended machine cannot be resized; the field that would let it is named",
        {"memory": "8Gi", "power": "Suspended"}, {"at": SUSPENDED},
        MEMORY, ("resize 2/2/8192",), needs="spec.power: Running",
    ),
    Row(
        "the size was refused once: the machine runs, is not powered off for it again, and a person is told",
        {"memory": "8Gi", **POWER_CYCLE},
        {
            "notes": {
                "SOVEREIGNCLOUD_RESIZE_REFUSED": "2/2/8192/",
                "SOVEREIGNCLOUD_RESIZE_REFUSED_BECAUSE": "Not enough memory",
            }
        },
        MEMORY, phase=Phase.STALLED, reason="ResizeRefused", says="Not enough memory",
    ),
    Row(
        "refused in the middle of a power cycle: started again at once with its old size",
        {"memory": "8Gi", **POWER_CYCLE},
        {
            "at": POWEROFF,
            "notes": {"SOVEREIGNCLOUD_RESIZE_REFUSED": "2/2/8192/", **NOTED},
        },
        MEMORY, CYCLE[3:], phase=Phase.STALLED, reason="ResizeRefused",
    ),
    Row(
        "another size was refused: this one is tried",
        {"memory": "8Gi", **POWER_CYCLE},
        {"notes": {"SOVEREIGNCLOUD_RESIZE_REFUSED": "2/2/65536/"}}, MEMORY, CYCLE,
    ),
    Row(
        "as declared again: an old refusal is forgotten, or that size could never be asked for again",
        {}, {"notes": {"SOVEREIGNCLOUD_RESIZE_REFUSED": "2/2/8192/"}}, steps=("note RESIZE_REFUSED=NO",),
    ),
    Row(
        "memory that is not a whole number of MiB", {"memory": "1500k"}, {},
        phase=Phase.STALLED, reason="InvalidSpec", says="spec.memory: 1500k is not a whole number of MiB",
    ),
    # -- disks
    Row(
        "the disk grows while the machine runs",
        {"disks": [{"name": "root", "size": "30Gi"}]}, {},
        {"spec.disks[root].size": ("30Gi", "20Gi")}, ("grow 30720",),
    ),
    Row("the disk has the declared size", {"disks": [{"name": "root", "size": "20Gi"}]}),
    Row(
        "a disk never shrinks",
        {"disks": [{"name": "root", "size": "10Gi"}]}, {}, {"spec.disks[root].size": ("10Gi", "20Gi")},
        phase=Phase.STALLED, reason="CannotShrink", says="set spec.disks[root].size to 20Gi",
    ),
    Row(
        "the root disk is the first, not the largest",
        {"disks": [{"name": "root", "size": "20Gi"}]},
        {"disks": (Disk(1, -1, "", 99999), Disk(0, 7, "ubuntu", 20480))},
        {"spec.disks[disk-1]": ("absent", "disk 1, which somebody attached: it is only reported")},
    ),
    Row(
        "a suspended machine's disk cannot grow",
        {"disks": [{"name": "root", "size": "30Gi"}]}, {"at": SUSPENDED},
        {"spec.disks[root].size": ("30Gi", "20Gi")}, ("grow 30720",), needs="spec.power: Running",
    ),
    # -- networks
    Row(
        "a card is missing",
        {"networks": [{"name": "lan"}, {"name": "dmz"}]}, {},
        {"spec.networks[dmz]": ("attached", "absent")}, ("attach dmz",),
    ),
    Row(
        "a card too many; the other one is not touched",
        {}, {"nics": (LAN_CARD, DMZ_CARD)},
        {"spec.networks[dmz]": ("absent", "card 1, 10.0.4.9")}, ("detach dmz 1",),
    ),
    Row(
        "one network for another: two steps, one after the other",
        {"networks": [{"name": "dmz"}]}, {},
        {"spec.networks[dmz]": ("attached", "absent"), "spec.networks[lan]": ("absent", "card 0, 10.0.0.5")},
        ("attach dmz", "detach lan 0"),
    ),
    Row(
        "two cards on one network are one too many: the later one goes",
        {}, {"nics": (replace(LAN_CARD, id=5), LAN_CARD)},
        {"spec.networks[lan]": ("absent", "card 5, 10.0.0.5")}, ("detach lan 5",),
    ),
    Row(
        "two cards too many on one network are one entry of drift, which is a map by path",
        {"networks": []}, {"nics": (DMZ_CARD, replace(DMZ_CARD, id=2, ip="10.0.4.10"))},
        {"spec.networks[dmz]": ("absent", "card 1, 10.0.4.9; card 2, 10.0.4.10")}, ("detach dmz 1", "detach dmz 2"),
    ),
    Row("networks that spec does not speak of are left alone", {"networks": None}, {"nics": (DMZ_CARD,)}),
    Row(
        "the network of the card was renamed: found by id, nothing is detached",
        {}, {"nics": (replace(LAN_CARD, network="old-name"),)},
    ),
    Row(
        "cards of a suspended machine cannot be changed; the field that would let them is named",
        {"networks": []}, {"at": SUSPENDED}, {"spec.networks[lan]": ("absent", "card 0, 10.0.0.5")},
        ("detach lan 0",), needs="spec.power: Running",
    ),
    Row(
        "a network that is not there, while the machine runs on",
        {"networks": [{"name": "lan"}, {"name": "backnet"}]}, {},
        {"spec.networks[backnet]": ("attached", "absent")},
        phase=Phase.STALLED, reason="NetworkNotFound", says="there are: dmz, lan",
    ),
    Row(
        "another network that is not there: the one that works is not taken away before",
        {"networks": [{"name": "backnet"}]}, {},
        {"spec.networks[backnet]": ("attached", "absent"), "spec.networks[lan]": ("absent", "card 0, 10.0.0.5")},
        phase=Phase.STALLED, reason="NetworkNotFound", says="there are: dmz, lan",
    ),
    # -- name, source, placement
    Row("renamed by a person", {}, {"name": "oops"}, {"spec.name": ("web", "oops")}, ("rename web",)),
    Row("renamed in spec", {"name": "www"}, {}, {"spec.name": ("www", "web")}, ("rename www",)),
    Row(
        "another image is another machine: shown, with the field to set",
        {"source": {"image": "debian"}}, {}, {"spec.source.image": ("debian", "ubuntu")},
        ("terminate-hard",), needs="spec.updatePolicy.replace: Allow",
    ),
    Row(
        "another image, with consent",
        {"source": {"image": "debian"}, **REPLACE}, {}, {"spec.source.image": ("debian", "ubuntu")},
        ("terminate-hard",),
    ),
    Row(
        "the image was renamed in OpenNebula: the machine is made from it all the same",
        {}, {"disks": (Disk(0, 7, "ubuntu-old-name", 20480),)},
    ),
    # -- states under way
    Row(
        "a card is being attached: the guest runs, nothing else is begun",
        {"memory": "8Gi", "networks": [], **POWER_CYCLE}, {"at": (3, 25), "name": "oops"},
        MEMORY | {"spec.networks[lan]": ("absent", "card 0, 10.0.0.5"), "spec.name": ("web", "oops")},
        phase=Phase.WAITING, reason="AttachingNetwork", available=True,
    ),
    Row("it boots", {}, {"at": (3, 2)}, phase=Phase.WAITING, reason="Booting", available=False),
    Row("its disks are being copied", {}, {"at": (10, 0)}, phase=Phase.WAITING, reason="CloningDisks"),
    Row(
        "no host has room: the scheduler's own words",
        {}, {"at": PENDING, "scheduler_message": "Cannot dispatch VM: no host meets CPU"},
        phase=Phase.WAITING, reason="NoCapacity", says="no host meets CPU", available=False,
    ),
    Row("not scheduled yet", {}, {"at": PENDING}, phase=Phase.WAITING, reason="Pending"),
    Row(
        "a machine that is to be off is backed up: it does what it should",
        {"power": "Stopped"}, {"at": (3, 70)}, phase=Phase.WAITING, reason="BackingUp", available=True,
    ),
    Row(
        "booting failed: the error and what to do",
        {"recovery": "Manual"}, {"at": (3, 36), "error": "Tue Nov 24 17:21:37 2026: DEPLOY: qemu: no such device"},
        phase=Phase.STALLED, reason="BootFailure", says="Tue Nov 24 17:21:37 2026: DEPLOY: qemu: no such device",
    ),
    Row(
        "an old error stays on the machine after recovery and means nothing",
        {}, {"error": "qemu: no such device"},
    ),
    Row(
        "its host does not report: seen again when it does",
        {"power": "Running", "memory": "8Gi"}, {"at": (3, 16)}, MEMORY,
        phase=Phase.WAITING, reason="HostNotReporting", says="one-1", available=False,
    ),
    Row(
        "somebody is terminating it: nothing is done to it meanwhile",
        {"memory": "8Gi"}, {"at": (3, 11)}, phase=Phase.WAITING, reason="Terminating",
    ),
    Row(
        "a state that this version does not know is waited for",
        {"memory": "8Gi"}, {"at": (3, 99)}, MEMORY, phase=Phase.WAITING, reason="UnknownState",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", KEEPING, ids=lambda row: row.why)
async def test_a_machine_that_is_there(row: Row) -> None:
    plan = await look(CONTROLLER, instance(row.spec), World(rbx=cloud(vm(**row.vm))))

    assert differences(plan) == row.drift, row.why
    assert tuple(told(step) for step in plan.steps) == row.steps, row.why
    needing = [step.needs for step in plan.steps]
    assert set(needing) - {""} == ({row.needs} if row.needs else set()), row.why
    assert needing == sorted(needing, key=bool), "nothing is done beyond the first step that waits for consent"
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason), row.why
    assert row.says in plan.outcome.message, row.why
    if row.available is not None:
        assert plan.outcome.available is row.available, row.why
    differing = {d.path for d in plan.drift} | ({"spec.memory"} if "notes" in row.vm else set())
    assert all(set(step.fields) <= differing for step in plan.steps), "a step names fields that differ, or differed"


async def test_what_differs_after_it_was_reality_once_was_observed_not_declared() -> None:
    spec = {"power": "Running", "memory": "8Gi", **POWER_CYCLE}
    for status, cause in ((SETTLED, Cause.OBSERVED), ({}, Cause.DECLARED)):
        plan = await look(CONTROLLER, instance(spec, status=status), World(rbx=cloud(vm())))
        assert {step.cause for step in plan.steps if not isinstance(step, NoteOnVm)} == {cause}
        assert [step.disruption for step in plan.steps if step.dangerous] == [
            Disruption.RESTART for _ in range(cause is Cause.OBSERVED)
        ]


# --- creation ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Making:
    why: str
    spec: dict[str, Any] = field(default_factory=dict)
    things: tuple[Any, ...] = (network(), DMZ, image())
    others: tuple[Any, ...] = ()
    phase: Phase = Phase.STALLED
    reason: str = ""
    says: str = ""


def on_its_way(kind: str, name: str, spec: dict[str, Any], says: str = "Downloading") -> Any:
    status = {"conditions": [{"type": "Ready", "status": "False", "reason": says}]}
    return resource(kind, name, spec, status)


MACHINE_IMAGE = on_its_way(
    "MachineImage",
    "debian-image",
    {"name": "debian", "cloudRefs": [{"name": "rbx"}], "source": {"url": "http://x/debian"}},
)
VNET = on_its_way("VirtualNetwork", "backnet", {"cloudRef": {"name": "rbx"}, "vlanID": 7}, "NetworkNotReady")

NOT_YET = [
    Making(
        "no such image: what there is", {"source": {"image": "debian"}},
        reason="ImageNotFound", says='no image called "debian"; there are: ubuntu',
    ),
    Making(
        "a MachineImage is to bring it: wait", {"source": {"image": "debian"}}, others=(MACHINE_IMAGE,),
        phase=Phase.BLOCKED, reason="WaitingForDependency", says="MachineImage team/debian-image says Downloading",
    ),
    Making(
        "a VirtualNetwork is to bring it: wait", {"networks": [{"name": "backnet"}]}, others=(VNET,),
        phase=Phase.BLOCKED, reason="WaitingForDependency", says="VirtualNetwork team/backnet",
    ),
    Making(
        "the VirtualNetwork that would bring it is being deleted itself", {"networks": [{"name": "backnet"}]},
        others=(resource("VirtualNetwork", "backnet", {"cloudRef": {"name": "rbx"}, "vlanID": 7}, deleting=True),),
        reason="NetworkNotFound",
    ),
    Making(
        "two images of that name, of two owners", things=(network(), image(), image(id=9, owner=5)),
        reason="MultipleMatches", says="7, 9",
    ),
    Making(
        "two networks of that name", things=(network(), network(id=8, owner=5), image()),
        reason="MultipleMatches", says="3, 8",
    ),
    Making(
        "a backup has the image's name: it is no image to boot from", things=(network(), image(type=6)),
        reason="ImageNotFound", says="none that this credential may see",
    ),
    Making(
        "the image is being downloaded", things=(network(), image(state=4)),
        phase=Phase.WAITING, reason="ImageNotReady",
    ),
    Making(
        "a persistent image serves one machine", things=(network(), image(state=8)),
        phase=Phase.WAITING, reason="ImageBusy",
    ),
    Making(
        "the image is broken", things=(network(), image(state=5, error="404 Not Found")),
        reason="ImageError", says="404 Not Found",
    ),
    Making("the image is disabled", things=(network(), image(state=3)), reason="ImageDisabled", says="oneimage enable 7"),
    Making(
        "the network is being made", things=(network(state=2), image()),
        phase=Phase.WAITING, reason="NetworkNotReady",
    ),
    Making("the network is broken", things=(network(state=5), image()), reason="NetworkError"),
    Making(
        "a root disk smaller than the image", {"disks": [{"name": "root", "size": "5Gi"}]},
        reason="CannotShrink", says="10Gi",
    ),
    Making("an image says nothing of memory", {"memory": None}, reason="InvalidSpec", says="spec.memory is needed"),
    Making(
        "a key with what OpenNebula would fill in", {"sshAuthorizedKeys": ["ssh-ed25519 AAAA a", "ssh-ed25519 AAAA $USER[EMAIL]"]},
        reason="InvalidSpec", says="spec.sshAuthorizedKeys[1] has a $",
    ),
    Making(
        "no such template", {"source": {"template": "tiny"}},
        reason="TemplateNotFound", says="there are: small",
    ),
    Making(
        "the worst trouble names the reason, all of the same weight are told",
        {"source": {"image": "debian"}, "networks": [{"name": "backnet"}]},
        reason="ImageNotFound", says='no network called "backnet"',
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", NOT_YET, ids=lambda row: row.why)
async def test_why_a_machine_is_not_made_yet(row: Making) -> None:
    plan = await look(CONTROLLER, new_instance(row.spec), World(row.others, rbx=OpenNebula(*row.things)))
    assert plan.steps == (), row.why
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason), row.why
    assert row.says in plan.outcome.message, row.why


async def test_made_from_an_image_with_everything_in_the_create_call() -> None:
    front = cloud()
    world = World(rbx=front)
    world.secrets["data"] = {"userData": "#cloud-config\n"}
    spec = {
        "cpu": "1500m",
        "networks": [{"name": "dmz"}, {"name": "lan"}],
        "disks": [{"name": "root", "size": "30Gi"}],
        "sshAuthorizedKeys": ["ssh-ed25519 A", "ssh-ed25519 B"],
        "cloudInit": {"userDataSecretRef": {"name": "data"}},
    }
    wanted = new_instance(spec)
    settled, plan, outcome = await run(CONTROLLER, wanted, world)

    assert front.journal == [
        (
            "create_vm",
            {
                "NAME": "web",
                "CPU": "1.5",
                "VCPU": "2",
                "MEMORY": "4096",
                "DISK": [{"IMAGE_ID": "7", "SIZE": "30720"}],
                "NIC": [{"NETWORK_ID": "4"}, {"NETWORK_ID": "3"}],
                "CONTEXT": {
                    "NETWORK": "YES",
                    "SSH_PUBLIC_KEY": "ssh-ed25519 A\nssh-ed25519 B",
                    "USER_DATA": "I2Nsb3VkLWNvbmZpZwo=",
                    "USERDATA_ENCODING": "base64",
                },
                "GRAPHICS": {"TYPE": "VNC"},
                "SOVEREIGNCLOUD_INSTALLATION": "inst-1",
                "SOVEREIGNCLOUD_OBJECT": "HostedInstance/team/web",
                "SOVEREIGNCLOUD_UID": "uid-1",
            },
        )
    ]
    assert settled.external == {"vm": "101", "cloud": "team/rbx"}
    assert (outcome.phase, outcome.reason) == (Phase.WAITING, "Created")
    assert "cloud-config" not in repr(plan) + repr(outcome), "user data is a secret"


async def test_without_cpu_a_machine_gets_as_much_as_it_has_vcpus() -> None:
    front = cloud()
    await run(CONTROLLER, new_instance(), World(rbx=front))
    assert front.journal[0][1]["CPU"] == "2"
    assert "SIZE" not in front.journal[0][1]["DISK"][0]


@pytest.mark.parametrize(
    ("spec", "given", "why"),
    [
        ({}, {"VCPU": "2", "CPU": "2", "MEMORY": "4096", "NIC": [{"NETWORK_ID": "3"}]}, "what spec declares"),
        (
            {"vcpu": None, "memory": None, "networks": None},
            {},
            "what spec leaves out is the template's: a key given beside it would replace it",
        ),
        (
            {"vcpu": None, "memory": None, "networks": None, "sshAuthorizedKeys": ["ssh-ed25519 A"]},
            {"CONTEXT": {"NETWORK": "YES", "SSH_PUBLIC_KEY": "ssh-ed25519 A"}},
            "a key to log in with needs a context of its own",
        ),
    ],
)
async def test_made_from_a_template(spec: dict[str, Any], given: dict[str, Any], why: str) -> None:
    front = cloud()
    await run(CONTROLLER, new_instance({"source": {"template": "small"}, **spec}), World(rbx=front))
    verb, template_id, name, extra = front.journal[0]
    assert (verb, template_id, name) == ("instantiate", 5, "web")
    assert {k: v for k, v in extra.items() if not k.startswith("SOVEREIGNCLOUD_")} == given, why
    assert extra["SOVEREIGNCLOUD_OBJECT"] == "HostedInstance/team/web"


# --- where, and which one ------------------------------------------------------------------------------------------------


async def test_without_a_cloud_ref_the_only_cloud_of_the_namespace_is_taken() -> None:
    plan = await look(CONTROLLER, new_instance({"placement": None}), World(rbx=cloud()))
    assert [told(step) for step in plan.steps] == ["bind", "create"]
    assert [step.inside for step in plan.steps] == [True, False]


async def test_the_chosen_cloud_is_recorded_before_anything_can_be_made_in_it() -> None:
    world = World(rbx=OpenNebula(network()))
    wanted, plan, _ = await run(CONTROLLER, new_instance({"placement": None}), world)
    assert [told(step) for step in plan.steps] == ["bind"]
    assert wanted.external == {"cloud": "team/rbx"}
    assert CONTROLLER.uses(wanted).cloud == Key("SovereignCloud", "team", "rbx"), "the cloud is watched for it"
    world.fronts |= World(sbg=cloud()).fronts
    plan = await look(CONTROLLER, wanted, world)
    assert plan.outcome.reason == "ImageNotFound", "what was chosen once is not chosen anew because another cloud came"


@pytest.mark.parametrize(
    ("placement", "clouds", "phase", "reason", "says"),
    [
        (None, {"rbx": cloud(), "sbg": cloud()}, Phase.WAITING, "NoCapacity", "team/rbx: no host works"),
        (None, {}, Phase.BLOCKED, "WaitingForDependency", "no SovereignCloud in namespace team"),
        (None, {"rbx": None}, Phase.BLOCKED, "WaitingForDependency", "no endpoint"),
        (
            {"name": "gra"},
            {"rbx": cloud()},
            Phase.BLOCKED,
            "WaitingForDependency",
            "SovereignCloud team/gra does not exist",
        ),
        (
            {"name": "rbx", "namespace": "platform"},
            {"rbx": cloud()},
            Phase.STALLED,
            "NamespaceNotAllowed",
            "needs a Tenant",
        ),
    ],
)
async def test_where_it_cannot_be_made(
    placement: dict[str, str] | None, clouds: dict[str, Any], phase: Phase, reason: str, says: str
) -> None:
    spec = {"placement": {"cloudRef": placement} if placement else None}
    plan = await look(CONTROLLER, new_instance(spec), World(**clouds))
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), phase, reason)
    assert says in plan.outcome.message


async def test_a_bound_machine_stays_where_it_is_when_a_second_cloud_appears() -> None:
    bound = instance({"placement": None})
    plan = await look(CONTROLLER, bound, World(rbx=cloud(vm()), sbg=cloud()))
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)


async def test_another_cloud_in_spec_moves_nothing_and_never_makes_a_second_machine() -> None:
    elsewhere = instance({"placement": {"cloudRef": {"name": "sbg"}}, "power": "Running"})
    plan = await look(CONTROLLER, elsewhere, World(rbx=cloud(vm(at=POWEROFF)), sbg=cloud()))
    assert [told(step) for step in plan.steps] == ["resume", "move"], "the machine is kept as declared meanwhile"
    assert "spec.placement.cloudRef.name: rbx" in plan.steps[1].needs
    assert "InstanceMigration" in plan.steps[1].needs
    assert ("spec.placement.cloudRef", "team/sbg", "team/rbx") in {(d.path, d.desired, d.observed) for d in plan.drift}


async def test_a_lost_record_and_another_cloud_in_spec_still_find_the_machine() -> None:
    forgotten = new_instance({"placement": {"cloudRef": {"name": "sbg"}}})
    plan = await look(CONTROLLER, forgotten, World(rbx=cloud(vm()), sbg=cloud()))
    assert [told(step) for step in plan.steps] == ["record", "move"]


async def test_a_cloud_that_is_down_and_not_meant_does_not_hold_up_a_creation() -> None:
    plan = await look(CONTROLLER, new_instance(), World(rbx=cloud(), sbg=Auth("User couldn't be authenticated")))
    assert [told(step) for step in plan.steps] == ["create"]


async def test_a_cloud_that_is_down_and_meant_does() -> None:
    with pytest.raises(Auth):
        await look(CONTROLLER, new_instance(), World(rbx=Auth("User couldn't be authenticated"), sbg=cloud()))


@pytest.mark.parametrize(
    ("machines", "reason", "says", "why"),
    [
        ((vm(id=12), vm(id=13)), "MultipleMatches", "VMs 12, 13", "a person must choose"),
        ((vm(mark=None),), "", "", "a machine of that name without our mark is a stranger's"),
        ((vm(owner=9),), "", "", "tenants can write the mark: only what our own user owns counts"),
        (
            (vm(mark=mark("HostedInstance", "web", installation="other")),),
            "OwnedByAnotherInstallation",
            "of installation other",
            "the same object of another installation, or of this one whose id was lost: a second one is never made",
        ),
        ((vm(mark=mark("HostedInstance", "db")),), "", "", "another object's machine"),
    ],
)
async def test_which_machine_is_ours_when_none_is_recorded(
    machines: tuple[Vm, ...], reason: str, says: str, why: str
) -> None:
    plan = await look(CONTROLLER, new_instance(), World(rbx=cloud(*machines)))
    if reason:
        assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.STALLED, reason), why
        assert says in plan.outcome.message, why
    else:
        assert [told(step) for step in plan.steps] == ["create"], why


@pytest.mark.parametrize(
    ("machine", "reason", "why"),
    [
        (vm(mark=None), "MarkLost", "ids begin anew in another oned: an id alone proves nothing"),
        (vm(mark=mark("HostedInstance", "db")), "ForeignOpenNebula", "the id belongs to another object of ours"),
        (
            vm(mark=mark("HostedInstance", "web", installation="other")),
            "OwnedByAnotherInstallation",
            "the id belongs to another installation",
        ),
        (vm(owner=9), "OwnerChanged", "given away by chown"),
    ],
)
@pytest.mark.parametrize("deleting", [False, True])
async def test_a_recorded_id_that_is_not_ours_any_more(machine: Vm, reason: str, why: str, *, deleting: bool) -> None:
    plan = await look(CONTROLLER, instance(deleting=deleting), World(rbx=cloud(machine)))
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.STALLED, reason), why


async def test_after_a_rebuilt_cluster_the_machine_is_marked_anew_and_nothing_else_happens_to_it() -> None:
    front = cloud(vm(mark=mark("HostedInstance", "web", uid="uid-before")))
    world = World(rbx=front)
    settled, _, _ = await run(CONTROLLER, new_instance(), world)
    assert [entry[0] for entry in front.journal] == ["update_vm"]
    assert front.vms[12].mark == mark("HostedInstance", "web")
    settled, plan, outcome = await run(CONTROLLER, settled, world)
    assert (plan.steps, outcome.phase, settled.external["vm"]) == ((), Phase.DONE, "12")


async def test_a_predecessor_that_is_being_terminated_is_not_taken_over() -> None:
    front = cloud(vm(at=(3, 11), mark=mark("HostedInstance", "web", uid="uid-before")))
    wanted, plan, _ = await run(CONTROLLER, new_instance(), World(rbx=front))
    assert (plan.steps, plan.outcome.reason) == ((), "Terminating")
    front.tick()
    _, plan, _ = await run(CONTROLLER, wanted, World(rbx=front))
    assert [told(step) for step in plan.steps] == ["create"]


# --- absence -------------------------------------------------------------------------------------------------------------


async def test_absence_in_a_view_is_a_hint_and_no_proof() -> None:
    front = cloud(vm())
    front.hidden = True
    world = World(rbx=front)
    plan = await look(CONTROLLER, instance(), world)
    assert (plan.absent, plan.steps, plan.outcome.reason) == (True, (), "ConfirmingAbsence")
    assert front.reads.count("vm 12") == 0, "not asked before the brakes admit it"
    world.admitted = True
    plan = await look(CONTROLLER, instance(), world)
    assert (plan.absent, plan.steps, plan.outcome.phase) == (False, (), Phase.DONE), "it is there after all"


@pytest.mark.parametrize(
    ("policy", "steps", "phase", "reason"),
    [({}, (), Phase.STALLED, "ExternallyDeleted"), (REPLACE, ("create",), Phase.WAITING, "Creating")],
)
async def test_a_machine_that_somebody_terminated(
    policy: dict[str, Any], steps: tuple[str, ...], phase: Phase, reason: str
) -> None:
    world = World(rbx=cloud(vm(at=DONE_STATE)))
    world.admitted = True
    wanted = instance(policy)
    observed = await CONTROLLER.observe(wanted, world)
    plan = CONTROLLER.plan(wanted, observed, world.now)
    assert tuple(told(step) for step in plan.steps) == steps
    assert (plan.outcome.phase, plan.outcome.reason) == (phase, reason)
    assert [(d.path, d.observed) for d in plan.drift] == [("spec", "VM 12 was terminated")]
    assert all(step.dangerous for step in plan.steps), "the brakes count what is made again because it was lost"
    status = CONTROLLER.status(wanted, observed)
    assert {k: v for k, v in status.items() if v and k != "placement"} == {"id": "12", "state": "Terminated"}


@pytest.mark.parametrize(
    ("machines", "reason"), [((vm(at=DONE_STATE),), "ExternallyDeleted"), ((), "ForeignOpenNebula")]
)
async def test_what_became_of_a_lost_machine_is_asked_once_and_then_known(
    machines: tuple[Vm, ...], reason: str
) -> None:
    front = cloud(*machines)
    world = World(rbx=front)
    wanted, _, first = await run(CONTROLLER, instance(), world)
    assert (front.reads.count("vm 12"), first.reason) == (1, reason)
    said = [Condition(type="Stalled", status="True", reason=first.reason, message=first.message)]
    wanted = wanted.model_copy(update={"status": wanted.status.model_copy(update={"conditions": said})})
    world.admitted, world.sweeping = False, True
    again = await look(CONTROLLER, wanted, world)
    assert (again.absent, again.outcome, front.reads.count("vm 12")) == (False, first, 1)


async def test_an_answer_about_one_machine_says_nothing_of_the_next() -> None:
    """Made again, its id recorded, its status still that of the one before: no third one may be made of that."""
    front = cloud()
    status = {"id": "12", "state": "Terminated", "external": {"vm": "101", "cloud": "team/rbx"}}
    plan = await look(CONTROLLER, instance(REPLACE, status=status), World(rbx=front))
    assert (plan.absent, plan.steps) == (True, ())


async def test_an_id_that_the_cloud_does_not_know_is_another_opennebula() -> None:
    world = World(rbx=cloud())
    world.admitted = True
    plan = await look(CONTROLLER, instance(REPLACE), world)
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.STALLED, "ForeignOpenNebula")
    assert "Error getting virtual machine [12]" in plan.outcome.message


async def test_replaced_by_our_own_doing_is_no_loss() -> None:
    front = cloud(image(id=8, name="debian"), vm())
    world = World(rbx=front)
    wanted = instance({"source": {"image": "debian"}, **REPLACE})
    seen: list[tuple[str, ...]] = []
    for _ in range(12):
        wanted, plan, outcome = await run(CONTROLLER, wanted, world)
        seen.append(tuple(told(step) for step in plan.steps))
        assert outcome.reason != "ConfirmingAbsence"
        assert not any(step.dangerous for step in plan.steps)
        front.tick()
    assert [steps for steps in seen if steps] == [("terminate-hard",), ("create",)]
    assert front.vms[12].state == DONE_STATE[0]
    assert front.vms[int(wanted.external["vm"])].disks[0].image == "debian"


# --- deletion ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "steps", "phase", "reason", "why"),
    [
        (vm(), ("terminate-hard",), Phase.WAITING, "Terminating", "once"),
        (vm(at=POWEROFF), ("terminate-hard",), Phase.WAITING, "Terminating", "also when it is off"),
        (vm(at=PENDING), ("terminate-hard",), Phase.WAITING, "Terminating", "also when it never started"),
        (vm(at=(3, 36)), ("terminate-hard",), Phase.WAITING, "Terminating", "also out of a failure"),
        (vm(at=(3, 16)), ("terminate-hard",), Phase.WAITING, "Terminating", "also where its host is silent"),
        (vm(at=(3, 12)), (), Phase.WAITING, "Terminating", "asked already: not twice"),
        (vm(at=(3, 11)), (), Phase.WAITING, "Terminating", "its disks are being removed"),
        (vm(at=(3, 23)), (), Phase.WAITING, "Terminating", "being cleaned up"),
        (vm(at=(3, 1)), (), Phase.WAITING, "PreparingDisks", "OpenNebula refuses it before this has ended"),
        (vm(at=DONE_STATE), (), Phase.DONE, "", "gone: the finalizer may go"),
    ],
)
async def test_deletion(machine: Vm, steps: tuple[str, ...], phase: Phase, reason: str, why: str) -> None:
    plan = await look(CONTROLLER, instance(deleting=True), World(rbx=cloud(machine)))
    assert tuple(told(step) for step in plan.steps) == steps, why
    assert (plan.outcome.phase, plan.outcome.reason) == (phase, reason), why
    assert not plan.absent
    assert all(step.action is Action.DELETE for step in plan.steps)


@pytest.mark.parametrize(
    ("wanted", "world", "why"),
    [
        (instance({"deletionPolicy": "Retain"}, deleting=True), World(rbx=cloud(vm())), "it is to stay"),
        (instance({"deletionPolicy": "Retain"}, deleting=True), World(rbx=Auth("no")), "no cloud needs to answer then"),
        (new_instance(deleting=True), World(rbx=cloud(vm(mark=None))), "never made: the stranger's stays"),
        (new_instance({"placement": None}, deleting=True), World(), "never placed"),
        (
            new_instance({"placement": None}, deleting=True),
            World(rbx=cloud(), sbg=cloud()),
            "never placed, of two clouds",
        ),
        (new_instance(deleting=True), World(), "its cloud never was"),
    ],
)
async def test_nothing_to_delete(wanted: Any, world: World, why: str) -> None:
    plan = await look(CONTROLLER, wanted, world)
    assert (plan.steps, plan.outcome.phase, plan.absent) == ((), Phase.DONE, False), why


async def test_a_machine_made_but_never_recorded_is_deleted() -> None:
    plan = await look(CONTROLLER, new_instance(deleting=True), World(rbx=cloud(vm())))
    assert [told(step) for step in plan.steps] == ["terminate-hard"]


async def test_deletion_does_not_end_on_an_id_that_the_cloud_denies() -> None:
    plan = await look(CONTROLLER, instance(deleting=True), World(rbx=cloud()))
    assert (plan.outcome.phase, plan.outcome.reason) == (Phase.STALLED, "ForeignOpenNebula")
    assert "spec.deletionPolicy: Retain" in plan.outcome.message


# --- a refused resize ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [Quota("Not enough memory: 8192/4096"), Rejected("restricted attribute")])
async def test_a_refused_resize_does_not_keep_the_machine_down(refusal: Exception) -> None:
    front = cloud(vm())
    world = World(rbx=front)
    front.refuse_resize = refusal
    wanted = instance({"memory": "8Gi", **POWER_CYCLE})
    for _ in range(10):
        wanted, plan, outcome = await run(CONTROLLER, wanted, world)
        front.tick()
    assert (front.vms[12].state, front.vms[12].lcm_state) == RUNNING
    assert [told(step) for step in plan.steps] == []
    assert (outcome.phase, outcome.reason) == (Phase.STALLED, "ResizeRefused")
    assert refusal.message in outcome.message
    assert [entry[2] for entry in front.journal if entry[0] == "act"] == ["poweroff", "resume"], "powered off once"

    front.refuse_resize = None
    asked = wanted.metadata.model_copy(update={"annotations": {"sovereigncloud.io/reconcile-requested-at": "now"}})
    wanted = wanted.model_copy(update={"metadata": asked})
    for _ in range(10):
        wanted, plan, outcome = await run(CONTROLLER, wanted, world)
        front.tick()
    assert (front.vms[12].memory, plan.steps, outcome.phase) == (8192, (), Phase.DONE)


async def test_a_refused_resize_of_a_machine_that_stays_off_is_the_engines_business() -> None:
    front = cloud(vm(at=POWEROFF))
    front.refuse_resize = Quota("Not enough memory")
    wanted = instance({"memory": "8Gi", "power": "Stopped"})
    plan = await look(CONTROLLER, wanted, World(rbx=front))
    with pytest.raises(Quota):
        await CONTROLLER.perform(plan.steps[0], wanted, World(rbx=front))
    assert front.journal == []


# --- uses and status -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "cloud_name", "secrets", "why"),
    [
        (new_instance(), "team/rbx", (), "named in spec"),
        (new_instance({"placement": None}), None, (), "found while observing"),
        (
            instance({"placement": {"cloudRef": {"name": "sbg"}}}),
            "team/rbx",
            (),
            "bound: where it is, not where it should be",
        ),
        (
            new_instance({"placement": {"cloudRef": {"name": "a", "namespace": "b"}}}),
            None,
            (),
            "refused while observing",
        ),
        (
            new_instance({"cloudInit": {"userDataSecretRef": {"name": "data"}}}),
            "team/rbx",
            ("data",),
            "the Secret that it is made with",
        ),
        (instance({"deletionPolicy": "Retain"}, deleting=True), None, (), "it goes without anything being asked"),
    ],
)
def test_uses(wanted: Any, cloud_name: str | None, secrets: tuple[str, ...], why: str) -> None:
    uses = CONTROLLER.uses(wanted)
    assert (f"{uses.cloud.namespace}/{uses.cloud.name}" if uses.cloud else None) == cloud_name, why
    assert tuple(secret.name for secret in uses.secrets) == secrets, why


async def test_status_says_where_it_is_and_how_to_reach_it() -> None:
    machine = vm(nics=(DMZ_CARD, LAN_CARD, Nic(2, 9, "extra", "10.9.9.9", ""), Nic(3, 9, "extra", "", "")))
    wanted = instance({"networks": [{"name": "lan"}, {"name": "dmz"}]})
    observed = await CONTROLLER.observe(wanted, World(rbx=cloud(machine)))
    assert CONTROLLER.status(wanted, observed) == {
        "id": "12",
        "state": "Running",
        "addresses": ["10.0.0.5", "10.0.4.9", "10.9.9.9"],
        "primaryAddress": "10.0.0.5",
        "placement": {
            "cloud": "team/rbx",
            "cluster": None,
            "host": "one-1",
            "zone": None,
            "country": None,
            "datacenter": None,
            "considered": None,
        },
        "console": "on host one-1: virsh vncdisplay one-12",
        "networks": [
            {"name": "lan", "address": "10.0.0.5", "mac": "02:00"},
            {"name": "dmz", "address": "10.0.4.9", "mac": "02:02"},
            {"name": "extra", "address": "10.9.9.9"},
            {"name": "extra"},
        ],
        "conditions": (),
        **NOTHING_STORED,
    }


async def test_status_keeps_what_was_known_while_the_absence_is_unconfirmed() -> None:
    known = {"id": "12", "state": "Running", "addresses": ["10.0.0.5"], "primaryAddress": "10.0.0.5"}
    known |= {"networks": [{"name": "lan", "address": "10.0.0.5", "mac": "02:00"}], "console": "on host one-1"}
    placement = {"cloud": "team/rbx", "host": "one-1"}
    wanted = instance(status=known | {"placement": placement})
    front = cloud(vm())
    front.hidden = True
    observed = await CONTROLLER.observe(wanted, World(rbx=front))
    assert CONTROLLER.status(wanted, observed) == known | {"placement": placement, "conditions": (), **NOTHING_STORED}


async def test_a_sweep_needs_the_view_and_nothing_else() -> None:
    front = cloud(vm())
    world = World(rbx=front)
    world.sweeping = True
    plan = await look(CONTROLLER, instance(), world)
    assert (plan.steps, plan.outcome.phase, front.reads) == ((), Phase.DONE, [])


async def test_where_the_view_does_not_tell_its_owner_the_front_end_is_asked() -> None:
    front = cloud(vm())
    front.tells_owner = False
    await look(CONTROLLER, instance(), World(rbx=front))
    assert front.reads == ["front"]
