"""Clusters, hosts and datastores of a cloud: made as declared, one host after the other, taken as they are, deleted when empty."""

from dataclasses import dataclass, replace

import pytest
from tests.unit.kinds.cloud_fakes import INSTALLATION, FakeWorld, Loop, run
from tests.unit.kinds.opennebula_in_memory import vm

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Cause
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.opennebula.views import Cluster, Datastore

KEY = ("SovereignCloud", "platform", "paris")
GPU = {"name": "gpu", "hosts": ["node-1"], "datastores": ["default", "fast"], "reserved": {"cpu": 2, "memory": "8Gi"}}
HOSTS = [{"name": "node-1", "vmm": "kvm"}, {"name": "node-2", "vmm": "qemu", "im": "kvm"}]
FAST = {"name": "fast", "type": "Image", "transfer": "ceph", "driver": "ceph", "attributes": {"POOL_NAME": "one"}}
SCRATCH = {"name": "scratch", "type": "System", "transfer": "ssh", "clusters": ["default", "gpu"]}
WHOLE = {"clusters": [GPU], "hosts": HOSTS, "datastores": [FAST, SCRATCH]}
EXISTING = {"endpoint": "https://one.example.fr/RPC2", "credentialsSecretRef": {"name": "one"}}


class Scene:
    """An OpenNebula elsewhere. A new host is in INIT until somebody looks at it."""

    def __init__(self, **spec):
        self.world = FakeWorld()
        self.one, self.parts = self.world.one, self.world.one.parts
        self.one.version = "7.4.0"
        self.lost, self.registered = set(), []
        self.one.create_host = self._create_host
        self.declare(**spec)
        self.loop = Loop(self.world, SovereignCloudController(), KEY)

    async def _create_host(self, name, im_mad, vm_mad, cluster_id):
        assert all(h.state == 2 for h in self.one.hosts.values()), "the one before it is not monitored yet"
        made = self.one.host(name, state=0)
        self.one.hosts[made] = replace(self.one.hosts[made], im_mad=im_mad, vm_mad=vm_mad)
        self.parts.join(cluster_id, "host", made)
        self.registered.append(name)
        if "create_host" in self.lost:
            self.lost.discard("create_host")
            raise Retry("timed out")
        return made

    def declare(self, **spec):
        metadata = {"name": "paris", "namespace": "platform", "uid": "c1"}
        spec = {"existing": EXISTING, **spec}
        self.raw = self.world.put({"kind": "SovereignCloud", "metadata": metadata, "spec": spec})

    def settle(self, looks=60):
        """Until nothing is to be done; time makes new hosts monitored."""
        looked = None
        for _ in range(looks):
            looked = run(self.loop.once())
            if looked.plan is not None and not looked.performed and looked.outcome.phase in {
                Phase.DONE, Phase.STALLED, Phase.BLOCKED,
            }:  # fmt: skip
                return looked
            if not looked.performed:
                self.one.hosts = {
                    n: replace(h, state=2 if h.state == 0 else h.state) for n, h in self.one.hosts.items()
                }
        raise AssertionError(looked)

    def look(self):
        async def planned():
            controller = SovereignCloudController()
            resource = controller.resource.model_validate(self.raw)
            observed = await controller.observe(resource, self.world)
            return controller.plan(resource, observed, self.world.now)

        return run(planned())

    def host(self, name):
        return next(h for h in self.one.hosts.values() if h.name == name)

    def cluster(self, name):
        return next(c for c in self.parts.clusters.values() if c.name == name)

    def datastore(self, name):
        return next(d for d in self.parts.datastores.values() if d.name == name)

    def whole(self):
        return (dict(self.parts.clusters), dict(self.parts.datastores), dict(self.one.hosts))


def test_everything_is_made_as_declared_and_then_nothing_more_is_done():
    scene = Scene(**WHOLE)
    looked = scene.settle()
    assert looked.outcome.phase is Phase.DONE
    gpu, fast = scene.cluster("gpu"), scene.datastore("fast")
    assert {k: v for k, v in gpu.attributes.items() if "SOVEREIGN" not in k} == {
        "RESERVED_CPU": "200",
        "RESERVED_MEM": "8388608",
    }
    assert gpu.hosts == {scene.host("node-1").id}
    assert gpu.datastores == {1, fast.id, scene.datastore("scratch").id}
    assert (fast.transfer, fast.driver, fast.attributes["POOL_NAME"]) == ("ceph", "ceph", "one")
    assert scene.datastore("scratch").attributes["TYPE"] == "SYSTEM_DS"
    assert "DS_MAD" not in scene.datastore("scratch").attributes
    node = scene.host("node-2")
    assert (node.vm_mad, node.im_mad) == ("qemu", "kvm")
    assert scene.registered == ["node-1", "node-2"]
    assert "making" not in scene.raw["status"]["external"]
    before = scene.whole()
    assert scene.look().steps == ()
    scene.settle()
    assert scene.whole() == before


@pytest.mark.parametrize("lost", ["create_cluster", "create_datastore", "update_cluster", "create_host"])
def test_a_lost_answer_leaves_one_of_each_and_it_is_ours(lost):
    scene = Scene(**WHOLE)
    scene.parts.lost = scene.lost = {lost}
    scene.settle()
    assert [c.name for c in scene.parts.clusters.values()] == ["default", "gpu"]
    assert scene.registered == ["node-1", "node-2"]
    marked = {c.name for c in scene.parts.clusters.values() if c.mark} | {
        d.name for d in scene.parts.datastores.values() if d.mark
    }
    assert marked == {"gpu", "fast", "scratch"}
    assert {h.name for h in scene.one.hosts.values() if h.mark} == {"node-1", "node-2"}


def test_what_an_attempt_left_unmarked_is_marked_before_another_is_begun():
    scene = Scene(hosts=HOSTS[:1])
    scene.settle()
    host = scene.host("node-1")
    scene.one.hosts[host.id] = replace(host, mark=None, notes={})
    scene.raw["status"]["external"] = {"making": "hosts/node-1"}
    scene.declare(hosts=HOSTS[:1], clusters=[{"name": "east"}])
    assert [type(step).__name__ for step in scene.look().steps] == ["MarkPart", "AttemptPart"]
    scene.settle()
    assert scene.host("node-1").mark == scene.cluster("east").mark == scene.world.mark(scene.world.get(Key(*KEY)))


@dataclass(frozen=True)
class Drifted:
    why: str
    change: object
    path: str
    desired: str
    observed: str
    mendable: bool = True


def cluster(**fields):
    def change(scene):
        found = scene.cluster("gpu")
        attributes = {**found.attributes, **fields.pop("attributes", {})}
        scene.parts.clusters[found.id] = replace(found, attributes=attributes, **fields)

    return change


def datastore(**fields):
    def change(scene):
        found = scene.datastore("fast")
        attributes = {**found.attributes, **fields.pop("attributes", {})}
        scene.parts.datastores[found.id] = replace(found, attributes=attributes, **fields)

    return change


def host(**fields):
    def change(scene):
        found = scene.host("node-2")
        scene.one.hosts[found.id] = replace(found, **fields)

    return change


CHANGED = [
    Drifted("fewer processors kept", cluster(attributes={"RESERVED_CPU": "0"}), "spec.clusters[gpu].reserved.cpu", "200 hundredths of a processor", "0 hundredths of a processor"),
    Drifted("no memory kept", cluster(attributes={"RESERVED_MEM": ""}), "spec.clusters[gpu].reserved.memory", "8388608 KiB", "none"),
    Drifted("a cluster renamed", cluster(name="old"), "spec.clusters[gpu].name", "gpu", "old"),
    Drifted("a host in another cluster", lambda s: s.parts.join(0, "host", s.host("node-1").id), "spec.clusters[gpu].hosts", "in cluster gpu", "in cluster default"),
    Drifted("a datastore taken out", cluster(datastores=frozenset({1})), "spec.clusters[gpu].datastores", "in cluster gpu", "in cluster default"),
    Drifted("an attribute of a datastore", datastore(attributes={"POOL_NAME": "two"}), "spec.datastores[fast].attributes.POOL_NAME", "one", "two"),
    Drifted("a datastore renamed", datastore(name="slow"), "spec.datastores[fast].name", "fast", "slow"),
    Drifted("another transfer driver", datastore(transfer="ssh"), "spec.datastores[fast].transfer", "ceph", "ssh", mendable=False),
    Drifted("another driver", datastore(driver="fs"), "spec.datastores[fast].driver", "ceph", "fs", mendable=False),
    Drifted("a host of another driver", host(vm_mad="lxc"), "spec.hosts[node-2].vmm", "qemu", "lxc", mendable=False),
    Drifted("a host monitored by another driver", host(im_mad="lxc"), "spec.hosts[node-2].im", "kvm", "lxc", mendable=False),
]  # fmt: skip


@pytest.mark.parametrize("row", CHANGED, ids=lambda row: row.why)
def test_every_field_that_somebody_changed_is_told(row):
    spec = {"clusters": [GPU], "hosts": HOSTS, "datastores": [FAST]}
    scene = Scene(**spec)
    scene.settle()
    before = scene.whole()
    row.change(scene)
    plan = scene.look()
    assert [d for d in plan.drift if d.path == row.path] == list(plan.drift)[:1], row.why
    first = plan.drift[0]
    assert (first.path, first.desired, first.observed, first.mendable) == (
        row.path,
        row.desired,
        row.observed,
        row.mendable,
    )
    assert bool(plan.steps) is row.mendable
    assert all(step.cause is Cause.OBSERVED for step in plan.steps)
    if row.mendable:
        scene.settle()
        assert scene.whole() == before


def test_what_is_there_is_taken_as_it_is_and_never_deleted():
    scene = Scene()
    scene.parts.clusters[9] = Cluster(9, "gpu", frozenset({1}), frozenset(), attributes={"COLOR": "red"})
    scene.parts.datastores[8] = Datastore(
        8, "fast", 0, 0, 9, 9, 0, "ceph", "ceph", frozenset({0}), attributes={"POOL_NAME": "theirs", "X": "y"}
    )
    scene.one.host("node-1")
    scene.declare(clusters=[{**GPU, "hosts": []}], hosts=HOSTS[:1], datastores=[FAST])
    scene.settle()
    assert scene.cluster("gpu").attributes == {"COLOR": "red", "RESERVED_CPU": "200", "RESERVED_MEM": "8388608"}
    assert scene.datastore("fast").attributes == {"POOL_NAME": "one", "X": "y"}
    assert (scene.registered, scene.host("node-1").mark, scene.cluster("gpu").mark) == ([], None, None)
    scene.declare()
    scene.settle()
    assert {9} <= set(scene.parts.clusters)
    assert {8} <= set(scene.parts.datastores)
    assert scene.host("node-1").state == 2


@pytest.mark.parametrize("policy", [{}, {"deletionPolicy": "Retain"}], ids=["default", "retained"])
def test_what_is_no_longer_declared_goes_when_it_is_empty(policy):
    scene = Scene(**WHOLE, **policy)
    scene.settle()
    scene.declare(**policy)
    looked = scene.settle()
    if policy:
        assert scene.cluster("gpu").mark is not None
        return
    # The cluster waits for its host, which is in it until it is unregistered.
    assert looked.outcome.phase is Phase.DONE
    assert [c.name for c in scene.parts.clusters.values()] == ["default"]
    assert set(scene.parts.datastores) == {0, 1, 2}
    assert scene.one.hosts == {}


def test_what_is_in_use_stays_and_says_by_what():
    scene = Scene(**WHOLE)
    scene.settle()
    scene.one.vms[12] = vm(id=12, name="web", host="node-1")
    found = scene.datastore("fast")
    scene.parts.datastores[found.id] = replace(found, images=(7,))
    scene.declare()
    looked = scene.settle()
    assert (looked.outcome.phase, looked.outcome.reason, looked.outcome.available) == (Phase.BLOCKED, "InUse", True)
    for said in ("VM 12 (web)", "image 7", "host 0 (node-1)", "disks of these may lie in it: VM 12 (web)"):
        assert said in looked.outcome.message
    assert scene.host("node-1").state == 4, "nothing new is placed there"
    scene.declare(**WHOLE)
    scene.settle()
    assert scene.host("node-1").state == 2, "listed again, it is enabled again"
    assert scene.host("node-1").notes == {"SOVEREIGNCLOUD_PART": "hosts/node-1"}


@dataclass(frozen=True)
class Refused:
    why: str
    spec: dict
    phase: Phase
    reason: str
    says: str
    prepare: object = lambda _: None


OTHER = Mark("other", "SovereignCloud/a/b", "u")
SIBLING = Mark(INSTALLATION, "SovereignCloud/platform/other", "c9")
REFUSED = [
    Refused("a host in two clusters", {"hosts": [{"name": "n", "cluster": "default"}], "clusters": [{"name": "a", "hosts": ["n"]}]}, Phase.STALLED, "InvalidSpec", "a host is in one cluster", lambda s: (s.one.host("n"), s.parts.clusters.update({9: Cluster(9, "a", frozenset(), frozenset())}))),
    Refused("a cluster that nobody declares", {"hosts": [{"name": "n", "cluster": "x"}]}, Phase.BLOCKED, "WaitingForDependency", "OpenNebula has no cluster x; declare it", lambda s: s.one.host("n")),
    Refused("a host that is not there", {"clusters": [{"name": "default", "hosts": ["x"]}]}, Phase.BLOCKED, "WaitingForDependency", "OpenNebula has no host x"),
    Refused("a datastore of another type", {"datastores": [{"name": "system", "type": "Image", "transfer": "ssh"}]}, Phase.STALLED, "NameTaken", "datastore 0 (system) is of another type"),
    Refused("an attribute that another field says", {"datastores": [{**FAST, "attributes": {"TM_MAD": "x"}}]}, Phase.STALLED, "InvalidSpec", "TM_MAD is said by another field"),
    Refused("another installation's cluster", {"clusters": [{"name": "a"}]}, Phase.STALLED, "OwnedByAnotherInstallation", "installation other (SovereignCloud/a/b)", lambda s: s.parts.clusters.update({9: Cluster(9, "a", frozenset(), frozenset(), mark=OTHER)})),
    Refused("a cluster of another SovereignCloud", {"clusters": [{"name": "a"}]}, Phase.STALLED, "NameTaken", "belongs to SovereignCloud platform/other", lambda s: s.parts.clusters.update({9: Cluster(9, "a", frozenset(), frozenset(), mark=SIBLING)})),
    Refused("a host of another SovereignCloud", {"hosts": [{"name": "n"}]}, Phase.STALLED, "NameTaken", "belongs to SovereignCloud platform/other", lambda s: s.one.host("n", mark=SIBLING)),
    Refused("another installation's host", {"hosts": [{"name": "n"}]}, Phase.STALLED, "OwnedByAnotherInstallation", "installation other", lambda s: s.one.host("n", mark=OTHER)),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.why)
def test_what_cannot_be_done_says_why(row):
    scene = Scene(**row.spec)
    scene.raw["status"]["endpoint"] = EXISTING["endpoint"]
    row.prepare(scene)
    plan = scene.look()
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), row.phase, row.reason)
    assert row.says in plan.outcome.message


@pytest.mark.parametrize(
    ("why", "policy", "answers", "left"),
    [
        ("by default it lets everything stay", {}, True, True),
        ("what it made goes with it", {"deletionPolicy": "Delete"}, True, False),
        ("an unreachable one that is retained holds nothing up", {"deletionPolicy": "Retain"}, False, True),
    ],
)
def test_a_cloud_that_is_deleted(why, policy, answers, left):
    scene = Scene(**WHOLE, **policy)
    scene.settle()
    scene.raw["metadata"]["deletionTimestamp"] = scene.world.now.isoformat()
    scene.one.version = "7.4.0" if answers else None
    looked = scene.settle()
    assert (looked.plan.steps, looked.plan.outcome.phase) == ((), Phase.DONE), why
    assert ("gpu" in {c.name for c in scene.parts.clusters.values()}) is left, why


def test_a_cloud_that_is_deleted_waits_for_who_uses_what_it_made():
    scene = Scene(**WHOLE, deletionPolicy="Delete")
    scene.settle()
    found = scene.datastore("fast")
    scene.parts.datastores[found.id] = replace(found, images=(7,))
    scene.raw["metadata"]["deletionTimestamp"] = scene.world.now.isoformat()
    assert "datastore 102 (fast) is no longer" in scene.settle().outcome.message
    scene.one.version = None
    plan = scene.look()
    assert plan.outcome.phase is Phase.RETRY
    assert "set spec.deletionPolicy: Retain" in plan.outcome.message


def test_a_rebuilt_cluster_takes_everything_over_and_deletes_nothing():
    scene = Scene(**WHOLE)
    scene.settle()
    before = scene.whole()
    del scene.world.raw[KEY]
    scene.declare(hosts=HOSTS, datastores=[FAST])
    scene.raw["metadata"]["uid"] = "c2"
    scene.settle()
    assert [set(pool) for pool in scene.whole()] == [set(pool) for pool in before]
    assert scene.datastore("fast").mark.uid == scene.host("node-1").mark.uid == "c2"
    assert scene.cluster("gpu").mark.uid == "c1", "not declared any more: it stays as it is"


def test_a_host_that_is_missing_in_one_view_is_not_registered_again_at_once():
    scene = Scene(hosts=HOSTS[:1])
    scene.settle()
    scene.one.hosts = {}
    scene.world.admitted = False
    plan = scene.look()
    assert (plan.steps, plan.absent, plan.outcome.reason) == ((), True, "ConfirmingAbsence")


def test_a_hosted_cloud_names_its_hosts_by_their_servers():
    from tests.unit.kinds.sovereigncloud.test_plan import Scene as Hosted  # noqa: PLC0415 - one scene of another page
    from tests.unit.kinds.sovereigncloud.test_plan import hosted  # noqa: PLC0415

    scene = Hosted("running", hosted(clusters=[{"name": "east", "hosts": ["one-2"]}]))
    scene.world.one.parts.clusters[9] = Cluster(9, "east", frozenset(), frozenset())
    plan = scene.plan()
    put = [step.target for step in plan.steps if "cluster east" in step.target]
    assert put == ["host 1, in cluster east"]
    assert Key(*KEY) not in [step.target for step in plan.steps]
