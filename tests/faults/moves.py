"""Courses of events around a machine that moves from one cloud to another."""

from collections import Counter

from tests.faults.api_server import manifest
from tests.faults.courses import Course
from tests.faults.instances import CLOUD, IMAGE, NETWORK, ONE, instance
from tests.faults.placements import METZ, NETWORK_OF_METZ
from tests.faults.verdicts import made_twice

from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.opennebula.methods import serve

WAY_OUT = (
    'NAME="way-out" MARKET_MAD="http" BASE_URL="http://apps.example.org/" PUBLIC_DIR="/var/www" BRIDGE_LIST="files"'
)
_ONCE = ("one.vm.disksaveas", "one.marketapp.allocate")
_STOPS = {Lcm.SHUTDOWN, Lcm.SHUTDOWN_POWEROFF, Lcm.EPILOG, Lcm.HOTPLUG_SAVEAS_POWEROFF}


def move(mode, **spec):
    wanted = {"instanceRef": {"name": "web"}, "to": {"cloudRef": {"name": "metz"}}, "mode": mode, **spec}
    return manifest("InstanceMigration", "go", wanted)


def running(cloud):
    return [vm for vm in cloud.vms.values() if vm.state is State.ACTIVE and vm.lcm not in _STOPS]


class Moving(Course):
    """The machine with a disk of its own goes from paris to metz, and the one that was left is deleted."""

    name = "move"
    mode, at_the_end, grace = "Execute", "metz", "1m"

    def __init__(self):
        super().__init__()
        self.twice = []

    async def prepare(self, scene):
        for name, address in (("paris", "127.0.0.50"), ("metz", "127.0.0.51")):
            scene.add_cloud(name, address)
        _, code = serve(scene.clouds["paris"], "one.market.allocate", ["oneadmin:one", WAY_OUT])
        assert code == 0
        await scene.run(5)
        web = instance(disks=[{"name": "data", "size": "1Gi"}])
        del web["spec"]["placement"]  # it names none, so that it is content wherever it is
        self.apply(scene, ONE, CLOUD, NETWORK, IMAGE, web)
        assert await scene.run(600, scene.settled)
        self.apply(scene, METZ, NETWORK_OF_METZ)
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        self.apply(scene, move(self.mode, gracePeriod=self.grace))

    def over(self, scene):
        """Looked at each second: at no time do two run that are one machine."""
        at_once = [vm for cloud in scene.clouds.values() for vm in running(cloud)]
        if self.mode == "Execute" and len(at_once) > 1 and not self.twice:
            self.twice = [f"{len(at_once)} run at once"]
        ended = scene.api.get("InstanceMigration", "go").get("status", {}).get("phase") == "Succeeded"
        return ended and scene.settled()

    def judge(self, scene):
        said = Counter(
            f"{method} {what.split('SOVEREIGN')[0][:60]}" for _, method, what in scene.wire.done if method in _ONCE
        )
        duplicates = [*made_twice(scene), *self.twice, *(f"{call}: {n} times" for call, n in said.items() if n > 1)]
        machines = {
            name: [vm for vm in cloud.vms.values() if vm.state is not State.DONE]
            for name, cloud in scene.clouds.items()
        }
        alive = [(name, vm) for name, found in machines.items() for vm in found]
        wrongs = list(self._kept(scene))
        if [(name, vm.state, vm.lcm) for name, vm in alive] != [(self.at_the_end, State.ACTIVE, Lcm.RUNNING)]:
            wrongs.append(f"machines {[(name, vm.oid, vm.state.name, vm.lcm.name) for name, vm in alive]}")
        status = scene.api.get("HostedInstance", "web")["status"]
        if alive and (status["external"]["cloud"], status["id"]) != (
            f"platform/{self.at_the_end}",
            str(alive[0][1].oid),
        ):
            wrongs.append("status names another machine")
        return duplicates, list(self._left(scene)), wrongs

    def _left(self, scene):
        for name, cloud in scene.clouds.items():
            for image in cloud.images.values():
                if image.name.startswith("exit-") and not image.template.get("SOVEREIGNCLOUD_DISK"):
                    yield f"image {image.name} in {name}"
                if name == "paris" and image.template.get("SOVEREIGNCLOUD_DISK") and not image.vms:
                    yield f"disk {image.name} of the machine that was left in {name}"
            yield from (f"app {app.name} in {name}" for app in cloud.apps.values() if app.name.startswith("exit-"))


class Staying(Moving):
    """The machine that was left stays, powered off, for longer than anybody looks."""

    name = "move, and stay"
    grace = "240h"

    def over(self, scene):
        super().over(scene)
        return scene.api.get("InstanceMigration", "go").get("status", {}).get("phase") == "Grace" and scene.settled()

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        left = [vm.state for vm in scene.clouds["paris"].vms.values()]
        return (
            duplicates,
            orphans,
            [words for words in wrongs if left != [State.POWEROFF] or not words.startswith("machines")],
        )


class BothDeleted(Staying):
    """The instance is deleted, and then its move, which holds it up, while the machine that was left is still there."""

    name = "delete an instance and its move"

    async def prepare(self, scene):
        await super().prepare(scene)
        self.apply(scene, move(self.mode, gracePeriod=self.grace, deletionPolicy="Delete"))
        assert await scene.run(600, lambda: super(BothDeleted, self).over(scene))
        scene.wire.done.clear()

    def act(self, scene):
        self.remove(scene, "HostedInstance", "web")
        self.remove(scene, "InstanceMigration", "go")

    def over(self, scene):
        return not scene.api.get("InstanceMigration", "go") and not scene.api.get("HostedInstance", "web")

    def judge(self, scene):
        alive = [vm.oid for cloud in scene.clouds.values() for vm in cloud.vms.values() if vm.state is not State.DONE]
        wrongs = [*self._kept(scene), *(f"VM {number} is there" for number in alive)]
        return made_twice(scene), list(self._left(scene)), wrongs


class Rehearsing(Moving):
    """A copy runs in metz for a moment, and the machine stays where it is."""

    name = "rehearse"
    mode, at_the_end = "Rehearse", "paris"


class Rebuilt(Moving):
    """The cluster is lost at the very moment at which something of the move is; what is declared is applied to a new one."""

    name = "move in a cluster that is lost"

    async def prepare(self, scene):
        await super().prepare(scene)
        scene.writes.told = lambda: self._lost(scene)

    def _lost(self, scene):
        scene.process.life.end()
        scene.api.objects.clear()
        scene.api.apply(*self.declared.values())


class CalledOff(Moving):
    """A person deletes the move at the very moment at which something of it is lost."""

    name = "call off a move"

    async def prepare(self, scene):
        await super().prepare(scene)
        scene.writes.told = lambda: self.remove(scene, "InstanceMigration", "go")

    def over(self, scene):
        """Gone, and whichever machine is the one: it runs."""
        if not scene.writes.struck:
            return super().over(scene)
        super().over(scene)
        return not scene.api.get("InstanceMigration", "go") and scene.settled()

    def judge(self, scene):
        if scene.writes.struck:
            external = scene.api.get("HostedInstance", "web")["status"]["external"]
            self.at_the_end = external["cloud"].partition("/")[2]
        duplicates, orphans, wrongs = super().judge(scene)
        if scene.writes.struck and self.at_the_end == "metz":
            # What was left stays, powered off: deleting the object is no word that its data may go.
            left = [vm for vm in scene.clouds["paris"].vms.values() if vm.state is not State.DONE]
            wrongs = [words for words in wrongs if not words.startswith("machines")]
            if any(vm.state is not State.POWEROFF for vm in left) or len(running(scene.clouds["metz"])) != 1:
                wrongs.append("not one of them runs")
        return duplicates, orphans, wrongs
