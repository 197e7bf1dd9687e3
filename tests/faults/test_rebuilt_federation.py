"""A cluster is rebuilt while one of two clouds is silent: of a machine that may be there no second one is made in the other."""

import copy

import pytest
from tests.faults.instances import CLOUD, ONE, instance
from tests.faults.placements import IMAGES, METZ, NETWORK, NETWORK_OF_METZ
from tests.faults.scene import Scene
from tests.faults.servers import Hosted
from tests.faults.simulated_time import run

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud_sandbox.opennebula import loss
from sovereigncloud_sandbox.stage import is_ready

HOUR = 3600.0
WEB = instance(placement={})
GIT = (ONE, CLOUD, METZ, NETWORK, NETWORK_OF_METZ, IMAGES, WEB)


def machines(scene):
    return [(name, vm.oid) for name, cloud in scene.clouds.items() for vm in cloud.vms.values()]


def said_of(scene, name="web"):
    body = scene.api.get("HostedInstance", name)
    return {one["type"]: one for one in (body.get("status") or {}).get("conditions") or ()}["Ready"]


async def two_clouds(scene):
    for name, address in (("paris", "127.0.0.50"), ("metz", "127.0.0.51")):
        scene.add_cloud(name, address)
    await scene.run(5)
    scene.api.apply(*copy.deepcopy(GIT))
    assert await scene.run(900, scene.settled)
    ((home, number),) = machines(scene)
    loss.lose(scene.clouds[home])
    await scene.lose_the_cluster()
    return home, number


def test_no_second_machine_is_made_and_the_first_is_taken_when_its_cloud_answers():
    async def go():
        async with Scene() as scene:
            home, number = await two_clouds(scene)
            scene.api.apply(*copy.deepcopy(GIT))
            await scene.run(2 * HOUR, every=60.0)
            assert machines(scene) == [(home, number)]
            ready = said_of(scene)
            assert ready["reason"] == "WaitingForDependency"
            assert f"SovereignCloud platform/{home} has not answered since it was declared here" in ready["message"]
            assert "spec.placement.cloudRef" in ready["message"]
            loss.come_back(scene.clouds[home])
            assert await scene.run(HOUR, scene.settled)
            assert machines(scene) == [(home, number)]
            assert scene.api.get("HostedInstance", "web")["status"]["id"] == str(number)

    run(go())


def test_one_that_the_operator_held_and_that_is_deleted_meanwhile_waits_for_the_cloud_that_has_its_machine():
    """As from a backup of the objects, which has their metadata and not their status."""

    async def go():
        async with Scene() as scene:
            home, number = await two_clouds(scene)
            held = copy.deepcopy(WEB)
            held["metadata"]["finalizers"] = [FINALIZER]
            scene.api.apply(*copy.deepcopy(GIT[:-1]), held)
            await scene.run(300)
            scene.api.remove("HostedInstance", "web")
            await scene.run(HOUR, every=60.0)
            assert machines(scene) == [(home, number)]
            assert "spec.deletionPolicy: Retain lets this object go without it" in said_of(scene)["message"]
            loss.come_back(scene.clouds[home])
            assert await scene.run(HOUR, lambda: not scene.api.all("HostedInstance"))
            assert [vm.state.name for vm in scene.clouds[home].vms.values()] == ["DONE"]

    run(go())


@pytest.mark.parametrize(
    ("named", "where"),
    [({"cloudRef": {"name": "paris"}}, "paris"), ({"cloudRef": {"name": "metz"}}, "metz")],
)
def test_whose_place_is_named_waits_for_no_other(named, where):
    async def go():
        async with Scene() as scene:
            scene.add_cloud("paris", "127.0.0.50")
            scene.add_cloud("metz", "127.0.0.51")
            other = {"paris": "metz", "metz": "paris"}[where]
            await scene.run(5)
            loss.lose(scene.clouds[other])
            scene.api.apply(*copy.deepcopy(GIT[:-1]), instance(placement=named))
            assert await scene.run(900, lambda: is_ready(scene.api.get("HostedInstance", "web")))
            assert [name for name, _ in machines(scene)] == [where]

    run(go())


def test_a_hosted_cloud_that_was_built_before_and_is_silent_holds_it_up():
    async def go():
        async with Scene() as scene:
            hosted, images = copy.deepcopy(Hosted.cloud), copy.deepcopy(IMAGES)
            images["spec"]["cloudRefs"] = [{"name": "ovh-rbx"}]
            web = instance(placement={}, networks=[{"name": "vm_vlan100"}])
            scene.api.apply(scene.account_secret("ovh-account"), hosted, images, web)
            assert await scene.run(4 * HOUR, scene.settled, every=5.0)
            ((_, number),) = machines(scene)
            loss.lose(scene.clouds["ovh-rbx"])
            await scene.lose_the_cluster(keep=("Secret", "ovh-rbx-oneadmin"))
            scene.add_cloud("paris", "127.0.0.50")
            await scene.run(5)
            images["spec"]["cloudRefs"].append({"name": "paris"})
            there = copy.deepcopy(NETWORK)
            there["spec"]["name"] = "vm_vlan100"
            again = (ONE, CLOUD, there, images, Hosted.cloud, web)
            scene.api.apply(scene.account_secret("ovh-account"), *copy.deepcopy(again))
            await scene.run(2 * HOUR, every=60.0)
            assert machines(scene) == [("ovh-rbx", number)]
            assert scene.api.get("SovereignCloud", "ovh-rbx")["status"]["phase"] == "Unreachable"
            assert "SovereignCloud platform/ovh-rbx has not answered" in said_of(scene)["message"]
            loss.come_back(scene.clouds["ovh-rbx"])
            assert await scene.run(HOUR, lambda: is_ready(scene.api.get("HostedInstance", "web")))
            assert machines(scene) == [("ovh-rbx", number)]

    run(go())


def test_a_cloud_that_is_being_built_holds_up_nobody():
    async def go():
        async with Scene() as scene:
            scene.add_cloud("paris", "127.0.0.50")
            await scene.run(5)
            image = copy.deepcopy(IMAGES)
            image["spec"]["cloudRefs"] = [{"name": "paris"}]
            scene.ovh.state.timing.reinstall = HOUR
            hosted = copy.deepcopy(Hosted.cloud)
            scene.api.apply(
                scene.account_secret("ovh-account"), hosted, *copy.deepcopy((ONE, CLOUD, NETWORK, image, WEB))
            )
            assert await scene.run(900, lambda: is_ready(scene.api.get("HostedInstance", "web")))
            assert scene.api.get("SovereignCloud", "ovh-rbx")["status"]["phase"] == "Servers"

    run(go())
