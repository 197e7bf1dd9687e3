"""Courses of events around the disks, backups and snapshots of one machine."""

from collections import Counter

from tests.faults.instances import CLOUD, IMAGE, NETWORK, ONE, Creation, instance
from tests.faults.verdicts import made_twice, unknown

from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.opennebula.model_storage import BACKUP, Datastore
from sovereigncloud_sandbox.opennebula.template import Template

DISKS = [{"name": "data", "size": "1Gi"}]
KEPT = {"store": "backups", "schedule": "0 2 * * *", "keepLast": 3, "request": "one"}


class Storage(Creation):
    """A machine gets a data disk, backups, one at once, and a snapshot."""

    name = "storage"
    calls = ("one.vm.backup", "one.vm.snapshotcreate", "one.vm.schedadd", "one.vm.attach")
    spec = {"disks": DISKS, "backup": KEPT, "snapshot": {"request": "one"}}  # noqa: RUF012 - never written to

    async def prepare(self, scene):
        await super().prepare(scene)
        cloud = scene.clouds["paris"]
        template = Template({"TYPE": ["BACKUP_DS"], "DS_MAD": ["restic"], "TM_MAD": ["-"]})
        cloud.datastores[100] = Datastore(
            100, "backups", template=template, ds_mad="restic", tm_mad="-", type=BACKUP, total_mb=10**6, clusters={0}
        )
        self.apply(scene, ONE, CLOUD, NETWORK, IMAGE, instance())
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        self.apply(scene, instance(**self.spec))

    def over(self, scene):
        told = scene.api.get("HostedInstance", "web")["status"].get("requests") or {}
        wanted = {name for name in ("backup", "snapshot", "restore") if "request" in self.spec.get(name, {})}
        return scene.settled() and {name for name, one in told.items() if one["state"] == "Done"} >= wanted

    def judge(self, scene):
        cloud = scene.clouds["paris"]
        done = Counter(method for _, method, _ in scene.wire.done)
        duplicates = [*made_twice(scene), *(f"{call} {done[call]} times" for call in self.calls if done[call] != 1)]
        wrongs = list(self._kept(scene))
        (vm,) = (one for one in cloud.vms.values() if one.state is not State.DONE)
        if (vm.state, vm.lcm) != (State.ACTIVE, Lcm.RUNNING):
            wrongs.append(f"not running: {vm.state.name} {vm.lcm.name}")
        labels = [disk.get("SOVEREIGNCLOUD_DISK", "") for disk in vm.disks]
        if labels != ["", "data"]:
            wrongs.append(f"its disks are {labels}")
        return duplicates, unknown(scene, cloud), wrongs


class Restoring(Storage):
    """It goes back to its backup: powered off, restored, started again."""

    name = "restore"
    calls = ("one.image.allocate",)

    async def prepare(self, scene):
        await super().prepare(scene)
        super().act(scene)
        assert await scene.run(900, lambda: Storage.over(self, scene))
        scene.wire.done.clear()
        self.spec = Storage.spec | {"restore": {"request": "back"}}

    def judge(self, scene):
        self.calls = ()
        duplicates, orphans, wrongs = super().judge(scene)
        done = Counter(f"{method} {said.split(' ', maxsplit=1)[0]}" for _, method, said in scene.wire.done)
        for call in ("one.vm.action poweroff", "one.vm.action resume"):
            if done[call] != 1:
                duplicates.append(f"{call} took effect {done[call]} times")
        return duplicates, orphans, wrongs


class BackAgain(Storage):
    """Somebody terminates it; it comes back from its backup, with the data disk that it had."""

    name = "from-backup"
    calls = ("one.image.restore",)

    async def prepare(self, scene):
        await super().prepare(scene)
        self.spec = Storage.spec | {"updatePolicy": {"replace": "Allow"}}
        super().act(scene)
        assert await scene.run(900, lambda: Storage.over(self, scene))
        scene.wire.done.clear()

    def act(self, scene):
        mischief.terminate(scene.clouds["paris"], "web")

    def over(self, scene):
        machines = scene.clouds["paris"].vms.values()
        return scene.settled() and any(vm.state is State.ACTIVE and len(vm.disks) == 2 for vm in machines)
