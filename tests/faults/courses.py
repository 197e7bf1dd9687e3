"""The courses of events in which the operator is struck down at every write, and what must be true at the end of each."""

import copy
import re
import traceback
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.api_server import manifest, secret
from tests.faults.scene import Scene
from tests.faults.simulated_time import clock
from tests.integration.hosted_scenes import example

from sovereigncloud.api.base import FINALIZER
from sovereigncloud.providers.kubernetes import PLURALS
from sovereigncloud.sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud.sandbox.opennebula.model import Vm
from sovereigncloud.sandbox.ovh.seed import BLOCK, SERVERS, SPARE, VRACK

AT_REST = 130.0
"""Seconds after the end in which nothing may be written any more: two sweeps."""
_SYSTEM = "ubuntu2404-server_64"
_ONE = secret("one", username="oneadmin", password="one")

CLOUD = manifest(
    "SovereignCloud",
    "paris",
    {"existing": {"endpoint": "http://127.0.0.50:2633/RPC2", "credentialsSecretRef": {"name": "one"}}},
    labels={"team": "platform"},
)
IMAGE = manifest(
    "MachineImage", "ubuntu", {"cloudRefs": [{"name": "paris"}], "source": {"marketplaceApp": "Ubuntu 24.04"}}
)
NETWORK = manifest(
    "VirtualNetwork",
    "lan",
    {"cloudRef": {"name": "paris"}, "vlanID": 310, "addressRanges": [{"ip": "10.31.0.10", "size": 200}]},
)


def instance(name="web", **spec):
    return manifest(
        "HostedInstance",
        name,
        {
            "placement": {"cloudRef": {"name": "paris"}},
            "source": {"image": "ubuntu"},
            "vcpu": 1,
            "memory": "1Gi",
            "power": "Running",
            "updatePolicy": {"powerCycle": "Allow"},
            "networks": [{"name": "lan"}],
            **spec,
        },
        annotations={"team": "web"},
    )


class Course:
    """One course: what is there before, what a person then does, when it is over, what must be true.

    Attributes:
        within: simulated seconds in which it must be over, whatever was lost.
    """

    name = ""
    within = 1800.0

    def __init__(self):
        self.declared = {}

    async def prepare(self, scene: Scene):
        """Everything before the first write that may be struck."""

    def act(self, scene: Scene):
        """What a person does."""

    def over(self, scene: Scene):
        return scene.settled()

    def judge(self, scene: Scene):
        """(duplicates, orphans, other wrongs), each a list of words."""
        raise NotImplementedError

    def apply(self, scene, *manifests):
        scene.api.apply(*manifests)
        for one in manifests:
            self.declared[one["kind"], one["metadata"]["name"]] = copy.deepcopy(one)

    def remove(self, scene, kind, name):
        scene.api.remove(kind, name)
        self.declared.pop((kind, name), None)

    def _kept(self, scene):
        """What a user wrote is as it was written: spec, labels, annotations, Secrets."""
        for (kind, name), one in self.declared.items():
            found = scene.api.get(kind, name)
            if not found:
                yield f"{kind} {name} is gone"
                continue
            if found.get("spec") != one.get("spec"):
                yield f"spec of {kind} {name} was changed"
            for part in ("labels", "annotations"):
                if (found["metadata"].get(part) or {}) != (one["metadata"].get(part) or {}):
                    yield f"{part} of {kind} {name} were changed"


class Creation(Course):
    """An instance with its network and its image, from nothing until it runs."""

    name = "create"

    async def prepare(self, scene):
        scene.add_cloud("paris", "127.0.0.50")
        await scene.run(5)

    def act(self, scene):
        self.apply(scene, _ONE, CLOUD, NETWORK, IMAGE, instance())

    def judge(self, scene):
        cloud = scene.clouds["paris"]
        duplicates = [*made_twice(scene), *several(cloud)]
        (vm,) = cloud.vms.values() if len(cloud.vms) == 1 else (None,)
        wrongs = list(self._kept(scene))
        if vm is None or (vm.state, vm.lcm) != (State.ACTIVE, Lcm.RUNNING):
            wrongs.append(f"not running: {[(v.oid, v.state.name, v.lcm.name) for v in cloud.vms.values()]}")
        elif scene.api.get("HostedInstance", "web")["status"].get("id") != str(vm.oid):
            wrongs.append("status names another VM")
        return duplicates, unknown(scene, cloud), wrongs


class Deletion(Creation):
    """All of it is deleted at once, in an order that nobody wants."""

    name = "delete"

    async def prepare(self, scene):
        await super().prepare(scene)
        super().act(scene)
        assert await scene.run(600, scene.settled)

    def act(self, scene):
        for kind, name in (("SovereignCloud", "paris"), ("MachineImage", "ubuntu"), ("VirtualNetwork", "lan")):
            self.remove(scene, kind, name)
        self.remove(scene, "HostedInstance", "web")

    def over(self, scene):
        return not any(scene.api.all(kind) for kind in PLURALS)

    def judge(self, scene):
        held = FINALIZER in (scene.api.get("Secret", "one")["metadata"].get("finalizers") or ())
        wrongs = [*self._kept(scene), *(["the Secret is still held"] if held else [])]
        return made_twice(scene), left(scene.clouds["paris"]), wrongs


class Resize(Creation):
    """More memory and another vcpu: it is powered off, resized, and started again."""

    name = "resize"

    async def prepare(self, scene):
        await super().prepare(scene)
        super().act(scene)
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        self.apply(scene, instance(vcpu=2, memory="2Gi"))

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        done = Counter(f"{method} {said.split(' ', maxsplit=1)[0]}" for _, method, said in scene.wire.done)
        for call in ("one.vm.action poweroff", "one.vm.action resume"):
            if done[call] != 1:
                duplicates.append(f"{call} took effect {done[call]} times")
        (vm,) = scene.clouds["paris"].vms.values()
        if (vm.template.get("VCPU"), vm.memory) != ("2", 2048):
            wrongs.append(f"size is {vm.template.get('VCPU')} vcpu, {vm.memory} MiB")
        return duplicates, orphans, wrongs


class Reinstallation(Course):
    """A server is reinstalled on request."""

    name = "reinstall"
    within = 3 * 3600.0

    def act(self, scene):
        account = scene.ovh.state.service_accounts[0]
        self.apply(
            scene,
            secret("ovh", clientId=account.client_id, clientSecret=account.client_secret),
            manifest(
                "BareMetalServer",
                "one-3",
                {
                    "ovh": {
                        "endpoint": "ovh-eu",
                        "credentialsSecretRef": {"name": "ovh"},
                        "serviceName": SPARE,
                        "vrack": "pn-654321",
                    },
                    "reinstall": {"request": "first", "operatingSystem": _SYSTEM, "wipeAllDisks": True},
                },
            ),
        )

    def judge(self, scene):
        wrongs = [*self._kept(scene), *server_wrongs(scene, SPARE, "pn-654321")]
        if scene.api.get("BareMetalServer", "one-3")["status"].get("reinstalled") != "first":
            wrongs.append("status does not say that it was reinstalled")
        return reinstalled_twice(scene, (SPARE,)), [], wrongs


class Hosted(Course):
    """The hosted cloud of the guide, from nothing until it is ready."""

    name = "hosted"
    within = 4 * 3600.0
    cloud = example("11-hosted-cloud.yaml", "SovereignCloud", "ovh-rbx")

    def act(self, scene):
        account = scene.ovh.state.service_accounts[0]
        self.apply(
            scene,
            secret("ovh-account", clientId=account.client_id, clientSecret=account.client_secret),
            self.cloud,
        )

    def judge(self, scene):
        wrongs = list(self._kept(scene))
        for server in SERVERS:
            wrongs += server_wrongs(scene, server, VRACK)
        if scene.ovh.state.ips[BLOCK].routed_to != VRACK:
            wrongs.append("the block is not routed to the vRack")
        duplicates = [*reinstalled_twice(scene, SERVERS), *made_twice(scene)]
        if len(scene.installs) != 1:
            duplicates.append(f"{len(scene.installs)} installer runs")
        one = scene.clouds.get("ovh-rbx")
        if one is None:
            return duplicates, [], [*wrongs, "nothing was installed"]
        duplicates += several(one)
        names = sorted(host.name for host in one.hosts.values())
        if names != ["127.0.0.10", "127.0.0.11"]:
            wrongs.append(f"hosts {names}")
        if sorted(net.name for net in one.vnets.values()) != ["vm_public", "vm_vlan100"]:
            wrongs.append(f"networks {[net.name for net in one.vnets.values()]}")
        return duplicates, unknown(scene, one), wrongs


class HostedDeletion(Hosted):
    """The hosted cloud is deleted, and with it what is in it."""

    name = "hosted-delete"
    cloud = copy.deepcopy(Hosted.cloud)
    cloud["spec"]["deletionPolicy"] = "Delete"

    async def prepare(self, scene):
        super().act(scene)
        assert await scene.run(1800, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        self.remove(scene, "SovereignCloud", "ovh-rbx")

    def over(self, scene):
        return not any(scene.api.all(kind) for kind in PLURALS)

    def judge(self, scene):
        wrongs = list(self._kept(scene))
        held = FINALIZER in (scene.api.get("Secret", "ovh-account")["metadata"].get("finalizers") or ())
        wrongs += ["the Secret of the account is still held"] if held else []
        orphans = [net.name for net in scene.clouds["ovh-rbx"].vnets.values()]
        if scene.api.get("Secret", "ovh-rbx-oneadmin"):
            orphans.append("the generated Secret")
        duplicates = [f"{method} {path}" for where, method, path in scene.wire.done if path.endswith("/reinstall")]
        return duplicates, orphans, wrongs


class Regret(Creation):
    """A person creates everything, and deletes it all at the very moment at which something is lost."""

    name = "regret"

    async def prepare(self, scene):
        await super().prepare(scene)
        scene.writes.told = lambda: Deletion.act(self, scene)

    def over(self, scene):
        return super().over(scene) and not (scene.writes.struck and any(scene.api.all(kind) for kind in PLURALS))

    def judge(self, scene):
        return (Deletion if scene.writes.struck else Creation).judge(self, scene)


# --- what is wrong -------------------------------------------------------------------------------------------------------

_NAME = re.compile(r".*<NAME>(.*?)</NAME>.*")
_MAKES = re.compile(r"one\.(vm|vn|image|host)\.allocate|one\.template\.instantiate")


def made_twice(scene):
    """Every allocation that took effect, by what it names, must be the only one, also where the second went again."""
    said = Counter((method, _NAME.sub(r"\1", what)) for _, method, what in scene.wire.done if _MAKES.match(method))
    return [f"{' '.join(call)}: {times} times" for call, times in said.items() if times > 1]


def several(cloud):
    """Things with one mark, or one name."""
    for pool in (cloud.vms, cloud.vnets, cloud.images, cloud.hosts):
        names = Counter(one.name for one in pool.values())
        yield from (f"{count} of {name}" for name, count in names.items() if count > 1)


def unknown(scene, cloud):
    """What is marked as ours and belongs to no object that is there."""
    return [
        f"{kind} {one.oid} {one.name}"
        for kind, pool in (("VM", cloud.vms), ("network", cloud.vnets), ("image", cloud.images))
        for one in pool.values()
        if one.state.name != "DONE" and not _object_of(scene, one)
    ]


def left(cloud):
    """What is there after everything was deleted."""
    return [
        *(f"VM {vm.oid} {vm.state.name}" for vm in cloud.vms.values() if vm.state is not State.DONE),
        *(f"network {net.oid}" for net in cloud.vnets.values()),
        *(f"image {image.oid}" for image in cloud.images.values()),
    ]


def reinstalled_twice(scene, servers):
    times = Counter(path for _, method, path in scene.wire.done if method == "POST" and path.endswith("/reinstall"))
    return [
        f"{server} was reinstalled {times[f'/dedicated/server/{server}/reinstall']} times"
        for server in servers
        if times[f"/dedicated/server/{server}/reinstall"] != 1
    ]


def server_wrongs(scene, server, vrack):
    """How a server must be when it was reinstalled."""
    found = scene.ovh.state.servers[server]
    if found.document["os"] != _SYSTEM:
        yield f"{server} runs {found.document['os']}"
    if not found.document["monitoring"] or found.document["noIntervention"]:
        yield f"monitoring of {server} was not put back"
    if {vni["mode"]: vni["vrack"] for vni in found.vnis} != {"public_aggregation": None, "vrack_aggregation": vrack}:
        yield f"interfaces of {server}: {[(vni['mode'], vni['vrack']) for vni in found.vnis]}"


def _object_of(scene, one):
    holder = one.user_template if isinstance(one, Vm) else one.template
    marked = holder.get("SOVEREIGNCLOUD_OBJECT").split("/")
    return len(marked) == 3 and scene.api.get(marked[0], marked[2], marked[1])


COURSES = (Creation, Deletion, Resize, Reinstallation, Hosted, HostedDeletion, Regret)


async def travel(course, choose=None, *, ended=lambda _: None):
    """One course, and what is true at its end.

    Args:
        course: of events.
        choose: the fate of each write (`wire.Writes`), or {number: fate}.
        ended: told the report, still inside.
    """
    if isinstance(choose, dict):
        fates = choose
        choose = lambda number, *_: fates.get(number)  # noqa: E731
    scene = Scene()
    async with scene:
        await course.prepare(scene)
        scene.writes.log.clear()
        if choose is not None:
            scene.writes.choose = choose
        try:
            report = await _go(course, scene)
        except Exception:  # noqa: BLE001 - it is the finding
            report = Report(wrongs=[traceback.format_exc()])
        ended(report)
    return report


async def _go(course, scene):
    began, reads = clock(), scene.wire.reads
    course.act(scene)
    over, wrongs = await _to_the_end(course, scene)
    if scene.writes.struck and scene.writes.struck[-1][1] > over:
        over, wrongs = await _to_the_end(course, scene)  # one of the last writes was struck, when all seemed over
    duplicates, orphans, more = course.judge(scene)
    return Report(
        duplicates=list(duplicates),
        orphans=list(orphans),
        wrongs=[*wrongs, *more],
        writes=len(scene.writes.log),
        reads=scene.wire.reads - reads,
        took=over - began,
        log=tuple(scene.writes.log),
    )


async def _to_the_end(course, scene):
    """When it came, and what is wrong with the end itself: it does not come, or it is none."""
    if not await scene.run(course.within, lambda: course.over(scene)):
        return clock(), [f"not over after {course.within:.0f} s"]
    over = clock()
    await scene.run(_until_rest(scene))
    writes = len(scene.writes.log)
    await scene.run(AT_REST)
    wrongs = [f"writes at rest: {scene.writes.log[writes:][:3]}"] if scene.writes.log[writes:] else []
    return over, wrongs if course.over(scene) else [*wrongs, "it did not stay"]


def _until_rest(scene):
    """Events are still to be posted; what is late is still to come, and to be seen by a sweep."""
    late = max((at + scene.writes.late_by for _, at in scene.writes.struck), default=0.0)
    return max(65.0, late + 70.0 - clock())


@dataclass
class Report:
    """What came of one run."""

    duplicates: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)
    writes: int = 0
    reads: int = 0
    took: float = 0.0
    log: tuple[str, ...] = ()

    @property
    def well(self):
        return not (self.duplicates or self.orphans or self.wrongs)

    def __str__(self):
        parts = {"duplicates": self.duplicates, "orphans": self.orphans, "wrong": self.wrongs}
        return "; ".join(f"{name}: {', '.join(found)}" for name, found in parts.items() if found) or "well"
