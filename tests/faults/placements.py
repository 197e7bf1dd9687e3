"""Courses around a machine that may be made in either of two clouds."""

import copy

from tests.faults.instances import CLOUD, IMAGE, NETWORK, ONE, Creation, instance
from tests.faults.verdicts import made_twice, several, unknown

from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State


def _of_metz(manifest, name):
    """The same for the other cloud."""
    other = copy.deepcopy(manifest)
    other["metadata"]["name"] = name
    return other


METZ = _of_metz(CLOUD, "metz")
METZ["spec"]["existing"]["endpoint"] = "http://127.0.0.51:2633/RPC2"
NETWORK_OF_METZ = _of_metz(NETWORK, "lan-metz")
NETWORK_OF_METZ["spec"] |= {"name": "lan", "cloudRef": {"name": "metz"}}
IMAGES = _of_metz(IMAGE, "ubuntu")
IMAGES["spec"]["cloudRefs"] = [{"name": "metz"}, {"name": "paris"}]


class Choosing(Creation):
    """One machine, and two clouds that it may be in: it is in one of them, whatever is lost meanwhile."""

    name = "choose"

    async def prepare(self, scene):
        for name, address in (("paris", "127.0.0.50"), ("metz", "127.0.0.51")):
            scene.add_cloud(name, address)
        await scene.run(5)
        self.apply(scene, ONE, CLOUD, METZ, NETWORK, NETWORK_OF_METZ, IMAGES)
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        self.apply(scene, instance(placement={"spread": {"by": "Cloud", "matchLabels": {"app": "web"}}}))

    def judge(self, scene):
        clouds = scene.clouds.values()
        machines = [(name, vm) for name, cloud in scene.clouds.items() for vm in cloud.vms.values()]
        duplicates = [*made_twice(scene), *(words for cloud in clouds for words in several(cloud))]
        if len(machines) > 1:
            duplicates.append(f"machines in {[name for name, _ in machines]}")
        wrongs = list(self._kept(scene))
        status = scene.api.get("HostedInstance", "web")["status"]
        if not machines or any((vm.state, vm.lcm) != (State.ACTIVE, Lcm.RUNNING) for _, vm in machines):
            wrongs.append("not running")
        elif (status["placement"]["cloud"], status.get("id")) != (
            f"platform/{machines[0][0]}",
            str(machines[0][1].oid),
        ):
            wrongs.append("status names another machine")
        return duplicates, [words for cloud in clouds for words in unknown(scene, cloud)], wrongs
