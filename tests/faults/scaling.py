"""Courses of events around the servers of a cloud: one taken off the list with machines on it, one that is dead."""

import base64
import copy
from collections import Counter

from tests.faults.scene import INSTALLATION
from tests.faults.servers import Hosted
from tests.faults.verdicts import several

from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.opennebula.methods import serve
from sovereigncloud_sandbox.ovh.seed import BLOCK, SERVERS, VRACK

FRONT, NODE = SERVERS
STAYS, GOES = "127.0.0.10", "127.0.0.11"
MARKED = f'SOVEREIGNCLOUD_INSTALLATION="{INSTALLATION}" SOVEREIGNCLOUD_OBJECT="HostedInstance/platform/{{0}}" SOVEREIGNCLOUD_UID="u"'


def put_machine(scene, name, host, *, marked=True):
    """A machine that runs on a host; by its mark one of this installation's."""
    cloud = scene.clouds["ovh-rbx"]
    password = base64.b64decode(scene.api.get("Secret", "ovh-rbx-oneadmin")["data"]["password"]).decode()
    session = f"oneadmin:{password}"
    text = f"NAME={name} CPU=1 MEMORY=1024 {MARKED.format(name) if marked else ''}"
    _, code = serve(cloud, "one.vm.allocate", [session, text, True])
    assert code == 0
    vm = max(cloud.vms)
    host_id = next(h.oid for h in cloud.hosts.values() if h.name == host)
    _, code = serve(cloud, "one.vm.deploy", [session, vm, host_id, True, -1, ""])
    assert code == 0
    return vm


def given_back(scene, server):
    """What of ours is left on a server that is gone from the cloud."""
    found = scene.ovh.state.servers[server]
    inside = [vni["vrack"] for vni in found.vnis if vni["vrack"]]
    tags = [t for t in found.resource.tags if t.endswith(("/installation", "/object", "/uid", "/installed"))]
    return [*(f"{server} is in {vrack}" for vrack in inside), *(f"tag {tag} on {server}" for tag in tags)]


class ScaleIn(Hosted):
    """A server is taken off the list while machines run on it."""

    name = "scale-in"
    within = 1800.0
    cloud = copy.deepcopy(Hosted.cloud)
    cloud["spec"]["deletionPolicy"] = "Delete"
    machines = (("web", GOES), ("db", GOES), ("other", STAYS))

    async def prepare(self, scene):
        super().act(scene)
        assert await scene.run(1800, scene.settled)
        await scene.run(120)
        self.vms = [put_machine(scene, *machine) for machine in self.machines]
        await scene.run(60)
        scene.wire.done.clear()

    def act(self, scene):
        cloud = copy.deepcopy(self.cloud)
        servers = cloud["spec"]["hosted"]["ovh"]["servers"]
        cloud["spec"]["hosted"]["ovh"]["servers"] = [s for s in servers if s["serviceName"] != NODE]
        self.apply(scene, cloud)

    def over(self, scene):
        return scene.settled() and not scene.api.get("BareMetalServer", "ovh-rbx-one-2")

    def judge(self, scene):
        cloud = scene.clouds["ovh-rbx"]
        wrongs = list(self._kept(scene))
        hosts = [h.name for h in cloud.hosts.values()]
        if hosts != [STAYS]:
            wrongs.append(f"hosts {hosts}")
        for number in self.vms:
            vm = cloud.vms[number]
            if vm.where != (State.ACTIVE, Lcm.RUNNING) or vm.last.hostname != STAYS:
                wrongs.append(f"VM {number} is {vm.where} on {vm.last.hostname}")
        if scene.ovh.state.ips[BLOCK].routed_to != VRACK:
            wrongs.append("the block of the cloud left its vRack")
        moves = Counter(what.split()[0] for _, method, what in scene.wire.done if method == "one.vm.migrate")
        duplicates = [f"VM {vm} was moved {times} times" for vm, times in moves.items() if times > 1]
        duplicates += [f"{m} {p}" for _, m, p in scene.wire.done if p.endswith("/reinstall") or "allocate" in m]
        return [*duplicates, *several(cloud)], given_back(scene, NODE), wrongs


class DeadServer(ScaleIn):
    """The server is dead; it is taken off the list, and a person says which machines are lost with it."""

    name = "dead-server"
    machines = (("web", GOES), ("other", STAYS))

    async def prepare(self, scene):
        await super().prepare(scene)
        mischief.break_host(scene.clouds["ovh-rbx"], GOES)
        await scene.run(60)

    def act(self, scene):
        cloud = copy.deepcopy(self.cloud)
        hosted = cloud["spec"]["hosted"]
        hosted["ovh"]["servers"] = [s for s in hosted["ovh"]["servers"] if s["serviceName"] != NODE]
        hosted["lostHosts"] = [{"name": GOES, "machines": self.vms[:1]}]
        self.apply(scene, cloud)

    def judge(self, scene):
        lost, *kept = self.vms
        cloud = scene.clouds["ovh-rbx"]
        ended = cloud.vms[lost].state is State.DONE
        self.vms = kept
        duplicates, orphans, wrongs = super().judge(scene)
        return duplicates, orphans, wrongs if ended else [*wrongs, "what was given up is there"]
