"""Courses of events around the verification of a cloud that somebody else runs."""

import copy

from tests.faults.courses import Course
from tests.faults.instances import CLOUD, ONE
from tests.faults.verdicts import left, made_twice

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.providers.kubernetes.api import PLURALS
from sovereigncloud_sandbox.opennebula.lifecycle import State


def cloud(**spec):
    wanted = copy.deepcopy(CLOUD)
    wanted["spec"] |= spec
    return wanted


class Verification(Course):
    """A cloud is verified on request: a machine on each host, each of them ended."""

    name = "verify"

    async def prepare(self, scene):
        scene.add_cloud("paris", "127.0.0.50")
        await scene.run(5)
        self.apply(scene, ONE, cloud())
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        self.apply(scene, cloud(verification={"request": "first"}))

    def over(self, scene):
        return scene.settled() and self.verified(scene).get("status") == "True"

    @staticmethod
    def verified(scene):
        status = scene.api.get("SovereignCloud", "paris").get("status") or {}
        return next((c for c in status.get("conditions") or () if c["type"] == "Verified"), {})

    def judge(self, scene):
        wrongs = list(self._kept(scene))
        checks = scene.api.get("SovereignCloud", "paris")["status"]["verification"]["checks"]
        wrongs += [f"{c['name']} is {c['result']}" for c in checks if c["result"] not in {"Passed", "Skipped"}]
        runs = {said for _, method, said in scene.wire.done if method == "one.zone.update" and "ended=0" in said}
        duplicates = [*made_twice(scene), *(["begun more than once"] if len(runs) > 1 else [])]
        return duplicates, left(scene.clouds["paris"]), wrongs


class VerifiedDeletion(Verification):
    """The cloud is deleted while machines of a verification are in it; what is in OpenNebula is retained."""

    name = "verify-delete"

    async def prepare(self, scene):
        await super().prepare(scene)
        super().act(scene)
        one = scene.clouds["paris"]
        assert await scene.run(60, lambda: len(one.vms) == 2, every=0.1)
        assert all(vm.state is not State.DONE for vm in one.vms.values())

    def act(self, scene):
        self.remove(scene, "SovereignCloud", "paris")

    def over(self, scene):
        return not any(scene.api.all(kind) for kind in PLURALS)

    def judge(self, scene):
        held = FINALIZER in (scene.api.get("Secret", "one")["metadata"].get("finalizers") or ())
        wrongs = [*self._kept(scene), *(["the Secret is still held"] if held else [])]
        return made_twice(scene), left(scene.clouds["paris"]), wrongs
