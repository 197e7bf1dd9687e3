"""Courses of events around one machine in a cloud that somebody else runs."""

from collections import Counter

from tests.faults.api_server import manifest, secret
from tests.faults.courses import Course
from tests.faults.verdicts import left, made_twice, several, unknown

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.providers.kubernetes.api import PLURALS
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State

ONE = secret("one", username="oneadmin", password="one")

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


class Creation(Course):
    """An instance with its network and its image, from nothing until it runs."""

    name = "create"

    async def prepare(self, scene):
        scene.add_cloud("paris", "127.0.0.50")
        await scene.run(5)

    def act(self, scene):
        self.apply(scene, ONE, CLOUD, NETWORK, IMAGE, instance())

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


SURROUNDED = {
    "hotResize": {"maxVcpu": 4, "maxMemory": "4Gi"},
    "group": {"name": "web", "policy": "Apart"},
    "placement": {"cloudRef": {"name": "paris"}, "hosts": ["10.0.0.2"]},
}


class Surroundings(Creation):
    """An instance with room to grow, in a group, on a host of its own choice."""

    name = "surroundings"

    async def prepare(self, scene):
        await super().prepare(scene)
        self.apply(scene, ONE, CLOUD, NETWORK, IMAGE)
        assert await scene.run(600, scene.settled)

    def act(self, scene):
        self.apply(scene, instance(**SURROUNDED))

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        cloud = scene.clouds["paris"]
        (vm,) = cloud.vms.values()
        groups = [(group.name, group.vms) for group in cloud.vm_groups.values()]
        if groups != [("platform.web", [vm.oid])]:
            wrongs.append(f"groups {groups}")
        if vm.last.hostname != "10.0.0.2":
            wrongs.append(f"on {vm.last.hostname}")
        return duplicates, orphans, wrongs


class Change(Surroundings):
    """It grows and moves to the other host, both as it runs."""

    name = "change"

    async def prepare(self, scene):
        await super().prepare(scene)
        super().act(scene)
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        elsewhere = {"placement": {"cloudRef": {"name": "paris"}, "hosts": ["10.0.0.1"]}}
        self.apply(scene, instance(**SURROUNDED | elsewhere, memory="2Gi"))

    def judge(self, scene):
        duplicates, orphans, wrongs = Creation.judge(self, scene)
        done = Counter(f"{method} {said.split(' ', maxsplit=1)[0]}" for _, method, said in scene.wire.done)
        wrongs += [f"{call} took effect" for call in ("one.vm.action poweroff", "one.vm.action resume") if done[call]]
        (vm,) = scene.clouds["paris"].vms.values()
        if (vm.memory, vm.last.hostname) != (2048, "10.0.0.1"):
            wrongs.append(f"it has {vm.memory} MiB on {vm.last.hostname}")
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


class Recreation(Creation):
    """Somebody terminates the machine; spec allows that another one takes its place."""

    name = "recreate"

    async def prepare(self, scene):
        await super().prepare(scene)
        self.apply(scene, ONE, CLOUD, NETWORK, IMAGE, instance(updatePolicy={"replace": "Allow"}))
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        mischief.terminate(scene.clouds["paris"], "web")

    def over(self, scene):
        machines = scene.clouds["paris"].vms.values()
        return scene.settled() and any(vm.state is State.ACTIVE for vm in machines)

    def judge(self, scene):
        cloud = scene.clouds["paris"]
        alive = [vm for vm in cloud.vms.values() if vm.state is not State.DONE]
        wrongs = list(self._kept(scene))
        if len(alive) == 1 and scene.api.get("HostedInstance", "web")["status"].get("id") != str(alive[0].oid):
            wrongs.append("status names another VM")
        duplicates = [*made_twice(scene), *([f"{len(alive)} machines"] if len(alive) != 1 else [])]
        return duplicates, unknown(scene, cloud), wrongs


class TakeOver(Creation):
    """The cluster is lost; the same manifests are applied to a new one: nothing is made or deleted outside."""

    name = "take-over"

    async def prepare(self, scene):
        await super().prepare(scene)
        super().act(scene)
        assert await scene.run(600, scene.settled)
        await scene.lose_the_cluster()
        scene.wire.done.clear()

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        harmless = {"one.vm.update", "one.vn.update", "one.image.update"}
        duplicates += [f"{method} {what}" for _, method, what in scene.wire.done if method not in harmless]
        return duplicates, orphans, wrongs


class Plugging(Creation):
    """A second network is declared and the first one is taken out, while the machine runs."""

    name = "networks"

    async def prepare(self, scene):
        await super().prepare(scene)
        other = manifest(
            "VirtualNetwork",
            "dmz",
            {"cloudRef": {"name": "paris"}, "vlanID": 311, "addressRanges": [{"ip": "10.32.0.10", "size": 20}]},
        )
        super().act(scene)
        self.apply(scene, other)
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        self.apply(scene, instance(networks=[{"name": "dmz"}]))

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        (vm,) = scene.clouds["paris"].vms.values()
        cards = [card.get("NETWORK") for card in vm.nics]
        if cards != ["dmz"]:
            (duplicates if len(cards) > 1 else wrongs).append(f"cards on {cards}")
        return duplicates, orphans, wrongs
