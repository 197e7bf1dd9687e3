"""Courses of events around a federation: two clouds join, and part again."""

from collections import Counter

from tests.faults.api_server import manifest, secret
from tests.faults.courses import Course
from tests.faults.verdicts import made_twice

from sovereigncloud_sandbox.installer_player import FEDERATION
from sovereigncloud_sandbox.opennebula.model_federation import Mode

PASSWORDS = {"paris": "one", "rbx": "two"}
ADDRESSES = {"paris": "127.0.0.50", "rbx": "127.0.0.51"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOshSFOnTEAaOhM5ct5FYU+EI6q3+0OrkpRHpFrN5MMX"


def cloud(name):
    address = ADDRESSES[name]
    ssh = {"host": address, "user": "root", "privateKeySecretRef": {"name": "front-ends"}, "hostKey": KEY}
    endpoint = f"http://{address}:2633/RPC2"
    existing = {"endpoint": endpoint, "credentialsSecretRef": {"name": f"{name}-one"}, "ssh": ssh}
    return manifest("SovereignCloud", name, {"existing": existing})


SECRETS = (
    *(secret(f"{name}-one", username="oneadmin", password=password) for name, password in PASSWORDS.items()),
    secret("front-ends", sshPrivateKey="nobody's"),
)
MASTER = manifest("FederatedZone", "paris", {"cloudRef": {"name": "paris"}, "role": "Master"})


def slave(**spec):
    join = {"request": "join-1", "replaceUsersGroupsVDCs": "Accept"}
    wanted = {"cloudRef": {"name": "rbx"}, "role": "Slave", "masterRef": {"name": "paris"}, "join": join}
    return manifest("FederatedZone", "rbx", wanted | spec)


class Federating(Course):
    """Two clouds with passwords of their own become one federation."""

    name = "federation"

    async def prepare(self, scene):
        for name, password in PASSWORDS.items():
            scene.add_cloud(name, ADDRESSES[name], password=password)
        self.apply(scene, *SECRETS, cloud("paris"), cloud("rbx"))
        assert await scene.run(120, scene.settled)

    def act(self, scene):
        self.apply(scene, MASTER, slave())

    def judge(self, scene):
        zones = Counter(zone.name for zone in scene.clouds["paris"].zones.values())
        changes = Counter(labels(scene, where)[FEDERATION] for where in scene.installs)
        twice = [f"{n} {name}" for name, n in (zones | changes).items() if n > 1]
        modes = {name: one.federation.conf.mode for name, one in scene.clouds.items()}
        wrongs = list(self._kept(scene))
        if modes != {"paris": Mode.MASTER, "rbx": Mode.SLAVE}:
            wrongs.append(f"they are {modes}")
        if scene.api.get("SovereignCloud", "rbx")["status"].get("federationSecret") != "paris-one":
            wrongs.append("the slave is not entered as the master's")
        return [*made_twice(scene), *twice], [], wrongs


class Parting(Federating):
    """The slave leaves for good: out of the VDCs, a cloud of its own, and off the list."""

    name = "leaving a federation"

    async def prepare(self, scene):
        await super().prepare(scene)
        self.apply(scene, MASTER, slave(deletionPolicy="Delete"))
        assert await scene.run(300, scene.settled)
        scene.installs.clear()

    def act(self, scene):
        self.remove(scene, "FederatedZone", "rbx")

    def over(self, scene):
        return scene.settled() and not scene.api.get("FederatedZone", "rbx")

    def judge(self, scene):
        left = [zone.name for zone in scene.clouds["paris"].zones.values() if zone.name != "paris"]
        changes = Counter(labels(scene, where)[FEDERATION] for where in scene.installs)
        wrongs = list(self._kept(scene))
        if scene.clouds["rbx"].federation.conf.mode is not Mode.STANDALONE:
            wrongs.append("it is a member still")
        twice = [f"{n} {name}" for name, n in changes.items() if n > 1]
        return [*made_twice(scene), *twice], left, wrongs


def labels(scene, where):
    return scene.api.objects[where]["metadata"]["labels"]
