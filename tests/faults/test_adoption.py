"""The life of a machine that a person made: looked at, taken over, corrected on request, known again, let go."""

from tests.faults.instances import CLOUD, ONE
from tests.faults.rivals import adopts, put_machine
from tests.faults.scene import Scene
from tests.faults.simulated_time import run

from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.methods import serve
from sovereigncloud_sandbox.stage import is_ready

NAME = "Büro (A) [1] ~ 7 %"
THEIRS = 'TEAM="net\\"zwerk" TAGS=[A="1", B="zwei, drei"] TAGS=[A="2"] SCHED_RANK="FREE_CPU"'


async def begin(scene):
    """A cloud with a machine of another user; its number."""
    cloud = scene.add_cloud("paris", "127.0.0.50")
    await scene.run(5)
    reply, code = serve(cloud, "one.user.allocate", ["oneadmin:one", "ada", "secret", "core", []])
    assert code == 0, reply
    number = put_machine(cloud, NAME, owner=max(cloud.users), more=THEIRS)
    await scene.run(30)
    scene.api.apply(ONE, CLOUD)
    assert await scene.run(60, scene.settled)
    return cloud, number


def written(scene):
    return [label for label in scene.writes.log if " one." in label]


def condition(scene, kind):
    found = scene.api.get("HostedInstance", "office")["status"].get("conditions") or ()
    return next((one["reason"] for one in found if one["type"] == kind and one["status"] == "True"), "")


def of(cloud, number):
    vm = cloud.vms[number]
    return vm.uid, vm.name, vm.memory, sorted(map(str, vm.user_template))


def status(scene):
    return scene.api.get("HostedInstance", "office")["status"]


async def life(scene):
    cloud, number = await begin(scene)
    before = of(cloud, number)
    ada = before[0]
    wish = {"memory": "2Gi", "updatePolicy": {"powerCycle": "Allow"}}

    scene.api.apply(adopts("office", number, management="Observe", **wish))
    await scene.run(200)
    assert written(scene) == [], "looked at only"
    shown = status(scene)["plan"]["hash"]
    assert [(d["path"], d["desired"], d["observed"], d["action"]) for d in status(scene)["drift"]] == [
        ("spec.memory", "2Gi", "1Gi", "Reported")
    ]
    assert (status(scene)["id"], condition(scene, "Stalled")) == (str(number), "")

    scene.api.apply(adopts("office", number, **wish))
    await scene.run(400)
    assert [label.split()[1] for label in written(scene)] == ["one.vm.update"], "marked, and nothing else"
    assert condition(scene, "Reconciling") == "ApprovalRequired"
    assert status(scene)["plan"]["hash"] == shown, "what was shown is what is to be approved"
    assert cloud.vms[number].memory == 1024

    await scene.restart()
    await scene.run(200)
    assert cloud.vms[number].memory == 1024, "nor does another process go on without approval"

    scene.api.apply(adopts("office", number, approvedPlan=shown, **wish))
    assert await scene.run(600, lambda: is_ready(scene.api.get("HostedInstance", "office")))
    assert (cloud.vms[number].memory, cloud.vms[number].uid, cloud.vms[number].name) == (2048, ada, NAME)
    await scene.run(130)

    mischief.power_off(cloud, number)
    mischief.resize(cloud, number, memory=512)
    await scene.run(300, lambda: cloud.vms[number].memory == 2048)
    assert cloud.vms[number].memory == 2048, "from now on it is kept as declared"
    assert await scene.run(300, lambda: is_ready(scene.api.get("HostedInstance", "office")))
    await scene.run(130)
    done = len(scene.writes.log)
    await scene.run(600)
    assert len(scene.writes.log) == done, "at rest nothing is written"
    return cloud, number, before, wish


def test_from_the_first_look_to_the_last():
    async def go():
        async with Scene() as scene:
            cloud, number, before, wish = await life(scene)

            await scene.lose_the_cluster()
            scene.writes.log.clear()
            scene.api.apply(ONE, CLOUD, adopts("office", number, **wish))
            assert await scene.run(600, lambda: is_ready(scene.api.get("HostedInstance", "office")))
            assert [label.split()[1] for label in written(scene)] == ["one.vm.update"], "known again by its id"
            assert len(cloud.vms) == 1

            scene.api.remove("HostedInstance", "office")
            assert await scene.run(300, lambda: not scene.api.all("HostedInstance"))
            uid, name, _, attributes = of(cloud, number)
            assert (uid, name, attributes) == (before[0], before[1], before[3]), "without a trace"
            assert is_running(cloud, number)

    run(go())


def is_running(cloud, number):
    return cloud.vms[number].lcm.name in {"RUNNING", "LCM_INIT"} and cloud.vms[number].state.name != "DONE"


def test_a_person_who_only_looked_leaves_nothing_behind():
    async def go():
        async with Scene() as scene:
            cloud, number = await begin(scene)
            before = of(cloud, number)
            scene.api.apply(adopts("office", number, management="Observe"))
            await scene.run(200)
            assert is_ready(scene.api.get("HostedInstance", "office"))
            done = len(scene.writes.log)
            await scene.run(600)
            assert len(scene.writes.log) == done, "at rest nothing is written, to Kubernetes neither"
            scene.api.remove("HostedInstance", "office")
            assert await scene.run(60, lambda: not scene.api.all("HostedInstance"))
            assert (written(scene), of(cloud, number)) == ([], before)

    run(go())
