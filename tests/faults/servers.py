"""Courses of events around dedicated servers, and the cloud that is built on them."""

import copy

from tests.faults.api_server import manifest
from tests.faults.courses import Course
from tests.faults.verdicts import (
    SYSTEM,
    host_key_wrongs,
    made_twice,
    reinstalled_twice,
    server_wrongs,
    several,
    unknown,
    untagged,
)
from tests.integration.hosted_scenes import example, image, instance

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.providers.kubernetes.api import PLURALS
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.ovh.seed import BLOCK, OTHER_VRACK, SERVERS, SPARE, VRACK


class Reinstallation(Course):
    """A server is reinstalled on request."""

    name = "reinstall"
    within = 3 * 3600.0

    def act(self, scene):
        self.apply(
            scene,
            scene.account_secret("ovh"),
            manifest(
                "BareMetalServer",
                "one-3",
                {
                    "ovh": {
                        "endpoint": "ovh-eu",
                        "credentialsSecretRef": {"name": "ovh"},
                        "serviceName": SPARE,
                        "vrack": OTHER_VRACK,
                    },
                    "reinstall": {"request": "first", "operatingSystem": SYSTEM, "wipeAllDisks": True},
                },
            ),
        )

    def judge(self, scene):
        wrongs = [*self._kept(scene), *server_wrongs(scene, SPARE, OTHER_VRACK)]
        if scene.api.get("BareMetalServer", "one-3")["status"].get("reinstalled") != "first":
            wrongs.append("status does not say that it was reinstalled")
        return reinstalled_twice(scene, (SPARE,)), list(untagged(scene)), wrongs


class Hosted(Course):
    """The hosted cloud of the guide, from nothing until it is ready."""

    name = "hosted-empty"
    within = 4 * 3600.0
    cloud = example("11-hosted-cloud.yaml", "SovereignCloud", "ovh-rbx")

    def act(self, scene):
        self.apply(
            scene,
            scene.account_secret("ovh-account"),
            self.cloud,
        )

    def services(self, scene):
        """The names of the cloud's servers at OVHcloud."""
        del scene
        return SERVERS

    def judge(self, scene):
        wrongs = list(self._kept(scene))
        servers = self.services(scene)
        if unknown_ones := set(servers) - scene.ovh.state.servers.keys():
            return [], [], [*wrongs, f"no such servers: {unknown_ones}"]
        for server in servers:
            wrongs += server_wrongs(scene, server, VRACK)
            wrongs += host_key_wrongs(scene, server)
        if scene.ovh.state.ips[BLOCK].routed_to != VRACK:
            wrongs.append("the block is not routed to the vRack")
        duplicates = [*reinstalled_twice(scene, servers), *made_twice(scene)]
        if len(scene.installs) != 1:
            duplicates.append(f"{len(scene.installs)} installer runs")
        one = scene.clouds.get("ovh-rbx")
        if one is None:
            return duplicates, [], [*wrongs, "nothing was installed"]
        duplicates += several(one)
        names = sorted(host.name for host in one.hosts.values())
        if names != sorted(scene.ovh.state.servers[server].document["ip"] for server in servers):
            wrongs.append(f"hosts {names}")
        if sorted(net.name for net in one.vnets.values()) != ["vm_public", "vm_vlan100"]:
            wrongs.append(f"networks {[net.name for net in one.vnets.values()]}")
        return duplicates, [*untagged(scene), *unknown(scene, one)], wrongs


class HostedWithMachine(Hosted):
    """The whole of it: servers, vRack, block, OpenNebula, hosts, networks, an image, and a machine that runs."""

    name = "hosted"

    def act(self, scene):
        super().act(scene)
        self.apply(scene, image("ovh-rbx"), instance("web", "ovh-rbx", "vm_public"))

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        machines = scene.clouds["ovh-rbx"].vms.values() if "ovh-rbx" in scene.clouds else ()
        if [(vm.name, vm.state, vm.lcm) for vm in machines] != [("web", State.ACTIVE, Lcm.RUNNING)]:
            wrongs.append(f"machines {[(vm.name, vm.state.name, vm.lcm.name) for vm in machines]}")
        return duplicates, orphans, wrongs


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
        wrongs += [f"{name} is renewed for ever" for name in SERVERS if not scene.ovh.state.servers[name].ends]
        return duplicates, orphans, wrongs


class HostLost(Hosted):
    """Somebody deletes a host from OpenNebula: it is registered again, once."""

    name = "host-lost"

    async def prepare(self, scene):
        super().act(scene)
        assert await scene.run(1800, scene.settled)
        await scene.run(120)

    def act(self, scene):
        mischief.delete_host(scene.clouds["ovh-rbx"], "127.0.0.11")

    def over(self, scene):
        marked = [host for host in scene.clouds["ovh-rbx"].hosts.values() if "SOVEREIGNCLOUD_OBJECT" in host.template]
        return scene.settled() and len(marked) == 2


class HostedTakeOver(Hosted):
    """The cluster is lost with everything in it but the backup of the generated Secret; the same manifests again."""

    name = "hosted-take-over"

    async def prepare(self, scene):
        super().act(scene)
        assert await scene.run(1800, scene.settled)
        await scene.lose_the_cluster(keep=("Secret", "ovh-rbx-oneadmin"))
        self.before = len(scene.wire.done)

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        done = scene.wire.done[self.before :]
        duplicates += [f"{method} {path}" for _, method, path in done if "/tag" not in path and "update" not in method]
        return duplicates, orphans, wrongs
