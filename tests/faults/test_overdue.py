"""A backup that does not come is told when it is overdue, although nothing else changes that a sweep would look at."""

from datetime import datetime, timedelta

from tests.faults.instances import CLOUD, IMAGE, NETWORK, ONE, instance
from tests.faults.scene import Scene
from tests.faults.simulated_time import run

from sovereigncloud.engine.loop import sweep
from sovereigncloud_sandbox.opennebula.methods import serve

VAULT = 'NAME="vault" TYPE="BACKUP_DS" DS_MAD="rsync" TM_MAD="-" RSYNC_HOST="backup.example.org" RSYNC_USER="oneadmin"'
DAY = 86400
GRACE = timedelta(hours=6)
WEB = instance(backup={"store": "vault", "schedule": "0 3 * * *"})


def backed_up(scene):
    conditions = scene.api.get("HostedInstance", "web")["status"]["conditions"]
    return next(one for one in conditions if one["type"] == "BackedUp")


def test_it_is_told_at_the_next_sweep_after_it_is_overdue(monkeypatch):
    compared = []
    evaluate = sweep.evaluate
    monkeypatch.setattr(sweep, "evaluate", lambda *a, **k: compared.append(a[1].metadata.name) or evaluate(*a, **k))

    async def go():
        async with Scene() as scene:
            cloud = scene.add_cloud("paris", "127.0.0.50")
            _, code = serve(cloud, "one.datastore.allocate", ["oneadmin:one", VAULT, -1])
            assert code == 0
            await scene.run(5)
            scene.api.apply(ONE, CLOUD, NETWORK, IMAGE, WEB)
            assert await scene.run(900, scene.settled)
            (vm,) = cloud.vms.values()
            # OpenNebula's scheduler never comes to it.
            vm.sched_actions[0]["TIME"] = str(int(vm.sched_actions[0]["TIME"]) + 3650 * DAY)
            await scene.run(600)
            assert backed_up(scene)["status"] == "True"
            compared.clear()
            assert await scene.run(2 * DAY, lambda: backed_up(scene)["status"] == "False", every=60.0)
            told = backed_up(scene)
            assert told["reason"] == "BackupOverdue"
            assert compared.count("web") <= 2, "nothing of it was another until then"
            when = datetime.fromisoformat(told["lastTransitionTime"])
            due = when.replace(hour=3, minute=0, second=0)
            assert timedelta(0) < when - (due + GRACE) < timedelta(seconds=130)

    run(go())
