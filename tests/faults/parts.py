"""Courses of events around what a cloud consists of, and around versions of an image."""

from collections import Counter

from tests.faults.api_server import manifest, secret
from tests.faults.courses import Course
from tests.faults.instances import CLOUD, ONE
from tests.faults.verdicts import made_twice

KEYS = (
    secret("s3", accessKeyId="AKIA-of-the-exchange", secretAccessKey="s3cr3t/of+the=exchange"),
    secret("restic", password="p4ssw0rd of the backups"),
)
PARTS = {
    "stores": [
        {
            "name": "exchange",
            "type": "Marketplace",
            "s3": {"endpoint": "https://s3.example.fr", "bucket": "one", "credentialsSecretRef": {"name": "s3"}},
        },
        {"name": "backups", "type": "Backup", "restic": {"sftpServer": "b", "passwordSecretRef": {"name": "restic"}}},
    ],
    "clusters": [{"name": "gpu", "hosts": ["10.0.0.9"], "datastores": ["fast"], "reserved": {"cpu": 1}}],
    "hosts": [{"name": "10.0.0.8"}, {"name": "10.0.0.9"}],
    "datastores": [{"name": "fast", "type": "Image", "transfer": "ssh"}],
}
NAMES = {"exchange", "backups", "gpu", "10.0.0.8", "10.0.0.9", "fast"}


def cloud(**spec):
    return manifest("SovereignCloud", "paris", {**CLOUD["spec"], **spec}, labels={"team": "platform"})


def there(scene):
    """Everything that could be a part, by name."""
    found = scene.clouds["paris"]
    pools = (found.marketplaces, found.datastores, found.clusters, found.hosts)
    return [one for pool in pools for one in pool.values()]


class Parts(Course):
    """Stores, clusters, hosts and a datastore, from nothing."""

    name = "parts of a cloud"

    async def prepare(self, scene):
        scene.add_cloud("paris", "127.0.0.50")
        await scene.run(5)

    def act(self, scene):
        self.apply(scene, ONE, *KEYS, cloud(**PARTS))

    def judge(self, scene):
        count = Counter(one.name for one in there(scene) if one.name in NAMES)
        duplicates = [*made_twice(scene), *(f"{n} {name}" for name, n in count.items() if n > 1)]
        unmarked = [o.name for o in there(scene) if o.name in NAMES and not o.template.get("SOVEREIGNCLOUD_PART")]
        wrongs = [*self._kept(scene), *(f"no {name}" for name in NAMES - set(count))]
        if {h.state.name for h in scene.clouds["paris"].hosts.values()} != {"MONITORED"}:
            wrongs.append("a host is not monitored")
        return duplicates, unmarked, wrongs


class PartsGone(Parts):
    """All of them are taken off the list: hosts, then what they were in."""

    name = "parts taken off the list"

    async def prepare(self, scene):
        await super().prepare(scene)
        super().act(scene)
        assert await scene.run(600, scene.settled)

    def act(self, scene):
        self.apply(scene, cloud())

    def over(self, scene):
        return scene.settled() and not NAMES & {one.name for one in there(scene)}

    def judge(self, scene):
        left = sorted(NAMES & {one.name for one in there(scene)})
        return made_twice(scene), left, list(self._kept(scene))


def image(name, app):
    spec = {"name": name, "cloudRefs": [{"name": "paris"}], "source": {"marketplaceApp": app}}
    return manifest("MachineImage", "base", {**spec, "description": "ours"})


class NextVersion(Course):
    """An image's next version: made beside the one before, which goes when the new one is ready."""

    name = "next version of an image"

    async def prepare(self, scene):
        scene.add_cloud("paris", "127.0.0.50")
        await scene.run(5)
        self.apply(scene, ONE, CLOUD, image("base-1", "Ubuntu 24.04"))
        assert await scene.run(600, scene.settled)

    def act(self, scene):
        self.apply(scene, image("base-2", "Alpine Linux 3.21"))

    def over(self, scene):
        return scene.settled() and {i.name for i in scene.clouds["paris"].images.values()} == {"base-2"}

    def judge(self, scene):
        names = Counter(i.name for i in scene.clouds["paris"].images.values())
        duplicates = [*made_twice(scene), *(f"{n} {name}" for name, n in names.items() if n > 1)]
        return duplicates, [name for name in names if name != "base-2"], list(self._kept(scene))
