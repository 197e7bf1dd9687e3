"""Courses of events around a machine whose cloud is lost."""

from tests.faults.instances import CLOUD, IMAGE, NETWORK, ONE, instance
from tests.faults.moves import Moving, move
from tests.faults.placements import METZ, NETWORK_OF_METZ
from tests.faults.verdicts import made_twice

from sovereigncloud_sandbox.opennebula import loss
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.opennebula.methods import serve

VAULT = 'NAME="vault" TYPE="BACKUP_DS" DS_MAD="restic" TM_MAD="-" RESTIC_PASSWORD="s" RESTIC_SFTP_SERVER="backup.example.org"'


class FromACopy(Moving):
    """The cloud of the machine is dead, and it is started in metz from its backup. Then the cloud is back, and the old one is
    powered off and left.
    """

    name = "start from a copy"

    async def prepare(self, scene):
        for name, address in (("paris", "127.0.0.50"), ("metz", "127.0.0.51")):
            scene.add_cloud(name, address)
            _, code = serve(scene.clouds[name], "one.datastore.allocate", ["oneadmin:one", VAULT, -1])
            assert code == 0
        await scene.run(5)
        web = instance(disks=[{"name": "data", "size": "1Gi"}], backup={"store": "vault", "request": "first"})
        del web["spec"]["placement"]
        self.apply(scene, ONE, CLOUD, NETWORK, IMAGE, web)
        assert await scene.run(900, lambda: scene.settled() and self._copies(scene))
        self.apply(scene, METZ, NETWORK_OF_METZ)
        assert await scene.run(600, scene.settled)
        loss.lose(scene.clouds["paris"], "dead")
        assert await scene.run(900, lambda: scene.api.get("SovereignCloud", "paris")["status"].get("lostSince"))
        scene.wire.done.clear()

    @staticmethod
    def _copies(scene):
        return (scene.api.get("HostedInstance", "web").get("status", {}).get("continuity") or {}).get("copies")

    def act(self, scene):
        self.apply(scene, move("Execute", sourceState="Lost", fencing={"confirmedBy": "oncall@example.fr"}))

    def over(self, scene):
        status = scene.api.get("InstanceMigration", "go").get("status", {})
        if status.get("phase") == "Grace" and scene.clouds["paris"].down:
            loss.come_back(scene.clouds["paris"])
        return "returned" in status.get("external", {}) and scene.settled()

    def judge(self, scene):
        (old,), new = scene.clouds["paris"].vms.values(), list(scene.clouds["metz"].vms.values())
        wrongs = [f"metz {[(vm.oid, vm.state.name, vm.lcm.name) for vm in new]}"] if len(new) != 1 else []
        wrongs += [] if old.state is State.POWEROFF else [f"the old one is {old.state.name}"]
        if old.user_template.get("SOVEREIGNCLOUD_OBJECT") != "InstanceMigration/platform/go":
            wrongs.append("the old one has not got the mark of the move")
        status = scene.api.get("HostedInstance", "web")["status"]
        for vm in new:
            if (vm.state, vm.lcm) != (State.ACTIVE, Lcm.RUNNING):
                wrongs.append(f"the new one is {vm.state.name}, {vm.lcm.name}")
            if (status["external"]["cloud"], status["id"]) != ("platform/metz", str(vm.oid)):
                wrongs.append("status names another machine")
        return made_twice(scene), list(self._left(scene)), [*wrongs, *self._kept(scene)]
