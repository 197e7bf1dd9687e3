"""Courses of events around what people made before: a machine, a network and an image are taken over, and let go again."""

import copy

from tests.faults.api_server import manifest
from tests.faults.courses import Course
from tests.faults.instances import CLOUD, ONE
from tests.faults.rivals import adopts, put_machine
from tests.faults.verdicts import made_twice, unknown

from sovereigncloud_sandbox.opennebula.methods import serve

LAN = 'NAME="alt" VN_MAD="802.1Q" PHYDEV="bond1" VLAN_ID="310" AR=[TYPE="IP4",IP="10.31.0.10",SIZE="20"]'
BASE = 'NAME="base" TYPE="DATABLOCK" SIZE="64" TEAM="blue"'
KINDS = ("HostedInstance", "VirtualNetwork", "MachineImage")
MARK = "SOVEREIGNCLOUD_"


class Adoption(Course):
    """They are named by their numbers, and become this installation's."""

    name = "adopt"

    def __init__(self):
        super().__init__()
        self.before = {}

    async def prepare(self, scene):
        cloud = scene.add_cloud("paris", "127.0.0.50")
        await scene.run(20)
        for call, text, where in (("one.vn.allocate", LAN, 0), ("one.image.allocate", BASE, 1)):
            reply, code = serve(cloud, call, ["oneadmin:one", text, where])
            assert code == 0, reply
        put_machine(cloud, "by hand", more='TEAM="blue"')
        await scene.run(60)
        self.before = attributes(cloud)

    def act(self, scene):
        cloud = scene.clouds["paris"]
        network, image, machine = max(cloud.vnets), max(cloud.images), max(cloud.vms)
        there = {"name": "paris", "adopt": {"id": str(image)}}
        self.apply(
            scene,
            copy.deepcopy(ONE),
            copy.deepcopy(CLOUD),
            adopts("machine", machine),
            manifest("MachineImage", "image", {"cloudRefs": [there]}),
            manifest(
                "VirtualNetwork",
                "network",
                {
                    "cloudRef": {"name": "paris"},
                    "adopt": {"id": str(network)},
                    "vlanID": 310,
                    "addressRanges": [{"ip": "10.31.0.10", "size": 20}],
                },
            ),
        )

    def judge(self, scene):
        cloud = scene.clouds["paris"]
        wrongs = list(self._kept(scene))
        now = attributes(cloud)
        for where, was in self.before.items():
            ours = {one for one in now[where] if MARK in one}
            if where in adopted(cloud) and len(ours) != 4:
                wrongs.append(f"{where} carries {ours}")
            if now[where] - ours != was:
                wrongs.append(f"{where} was changed: {now[where] ^ was}")
        return made_twice(scene), unknown(scene, cloud), wrongs


class LettingGo(Adoption):
    """They are deleted in Kubernetes, and are outside as they were before."""

    name = "let-go"

    async def prepare(self, scene):
        await super().prepare(scene)
        super().act(scene)
        assert await scene.run(600, scene.settled)

    def act(self, scene):
        for kind, name in zip(KINDS, ("machine", "network", "image"), strict=True):
            self.remove(scene, kind, name)

    def over(self, scene):
        return not any(scene.api.all(kind) for kind in KINDS)

    def judge(self, scene):
        now = attributes(scene.clouds["paris"])
        wrongs = [f"{where}: {now[where] ^ was}" for where, was in self.before.items() if now[where] != was]
        return made_twice(scene), [], [*self._kept(scene), *wrongs]


def adopted(cloud):
    return {("vm", max(cloud.vms)), ("network", max(cloud.vnets)), ("image", max(cloud.images))}


def attributes(cloud):
    """What can be updated, of everything there."""
    pools = {"vm": cloud.vms, "network": cloud.vnets, "image": cloud.images}
    return {
        (noun, one.oid): set(map(str, one.user_template if noun == "vm" else one.template))
        for noun, pool in pools.items()
        for one in pool.values()
    }
