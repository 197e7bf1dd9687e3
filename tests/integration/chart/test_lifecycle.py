"""The life of a release, in order: installed, tested, upgraded, rolled back, not uninstalled, uninstalled, installed again.

The operator's pod really runs throughout (sandbox kubelet), two machines of a cloud are managed, and nothing of all this
may be felt outside: every test looks at the log of the simulator.
"""

import base64
import json
import time

import pytest
from tests.integration.chart.releases import BEFORE, NEW_FIELD, Release, chart_before, package, properties
from tests.integration.conftest import QUICK
from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud.api import KINDS
from sovereigncloud.api.base import FINALIZER, GROUP
from sovereigncloud.providers.kubernetes import HOLDINGS_CONFIG_MAP, INSTALLATION_CONFIG_MAP
from sovereigncloud.sandbox.stage import CHART, Stage

SYSTEM = "sovereign-system"
CRDS = [f"{kind.crd.plural}.{GROUP}" for kind in KINDS]
REPOSITORY = CHART.parents[1]
HELD = {("SovereignCloud", "paris"), ("MachineImage", "alpine"), ("VirtualNetwork", "lan"), ("HostedInstance", "web"), ("HostedInstance", "db")}  # fmt: skip


class World:
    """The stage, the two charts, and what a person sees."""

    def __init__(self, plane, directory):
        self.plane = plane
        self.stage = Stage(plane, directory, QUICK)
        self.stage.start_simulators()
        self.release = Release(plane, "sovereign", SYSTEM, self.stage.write_values())
        self.chart = package(plane, CHART, directory)
        self.before = package(plane, chart_before(directory), directory)
        self.paris = ExistingCloud(self.stage, "paris")
        self.mark = 0

    def build(self):
        """A cloud with an image, a network and two machines that the operator made."""
        paris = self.paris
        self.stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}})
        self.stage.apply([*paris.foundation(), paris.image("alpine"), paris.network("lan")])
        self.stage.apply([paris.instance("web"), paris.instance("db")])
        for name in ("web", "db"):
            paris.ready("hostedinstance", name)
        self.mark = self.stage.one_mark("paris")

    def written_outside(self):
        """Calls since the machines were built that are no reads."""
        return self.stage.one_calls("paris", since=self.mark)

    def objects(self):
        """uid and generation, and whether they are held, of everything of ours."""
        found = self.plane.get("sovereign", "--namespace=platform")["items"]
        return {
            (one["kind"], one["metadata"]["name"]): (
                one["metadata"]["uid"], one["metadata"]["generation"], FINALIZER in one["metadata"].get("finalizers", ()),
            )
            for one in found
        }  # fmt: skip

    def crds(self):
        return {crd["metadata"]["name"]: crd for crd in self.plane.get("crd", *CRDS)["items"]}

    def has_new_field(self):
        crd = self.crds()[f"hostedinstances.{GROUP}"]
        return NEW_FIELD[-1] in properties(crd, NEW_FIELD[:-1])

    def holdings(self):
        found = self.plane.get(
            "configmaps", f"--namespace={SYSTEM}", f"--field-selector=metadata.name={HOLDINGS_CONFIG_MAP}"
        )
        return [one.get("data", {}) for one in found["items"]]

    def until_swept(self):
        self.paris.swept()


@pytest.fixture(scope="module")
def world(own_node, tmp_path_factory):
    made = World(own_node, tmp_path_factory.mktemp("lifecycle"))
    try:
        yield made
    finally:
        print(made.plane.pod_log(SYSTEM, "sovereign*", "operator")[-6000:])
        made.stage.stop()


@pytest.fixture(autouse=True)
def untouched(world):
    """Whatever is done to the release: the same objects are there, and nothing was written outside."""
    before = world.objects() if world.mark else None
    yield
    if before is not None:
        assert {key: seen[:2] for key, seen in world.objects().items()} == {
            key: seen[:2] for key, seen in before.items()
        }
        assert world.written_outside() == []
        assert {machine.name for machine in world.paris.onlooker.machines()} == {"web", "db"}


def test_crds_applied_by_hand_are_taken_over_once(world):
    world.plane.kubectl("apply", "--server-side", f"--kustomize={REPOSITORY / 'crds'}")
    uids = {name: crd["metadata"]["uid"] for name, crd in world.crds().items()}
    refused = world.release.install(world.before, "--create-namespace", check=False)
    assert "invalid ownership metadata" in refused.stderr
    world.release.install(world.before, "--create-namespace", "--take-ownership", "--force-conflicts")
    assert {name: crd["metadata"]["uid"] for name, crd in world.crds().items()} == uids
    assert not world.has_new_field()
    assert len(world.release.pods()) == 1
    world.build()


def test_helm_test_asks_the_running_operator(world):
    done = world.release.helm("test", "--timeout=60s")
    assert "Phase:          Succeeded" in done.stdout


def test_an_upgrade_from_the_chart_before_is_not_felt(world):
    uids = {name: crd["metadata"]["uid"] for name, crd in world.crds().items()}
    (pod,) = world.release.pods()
    world.release.upgrade(world.chart)
    assert world.release.pods() != [pod]
    assert world.has_new_field(), "CRDs are upgraded with the chart"
    crds = world.crds()
    assert {name: crd["metadata"]["uid"] for name, crd in crds.items()} == uids, "and never made anew"
    world.until_swept()
    assert set(world.objects()) == HELD
    assert all(held for *_, held in world.objects().values())


def test_sizes_are_far_from_the_limits(world):
    """A release is one Secret of at most 1 MiB; what `kubectl apply` keeps in an annotation is at most 256 KiB."""
    secrets = world.plane.get("secrets", "--selector=owner=helm", f"--namespace={SYSTEM}")["items"]
    assert max(len(base64.b64decode(secret["data"]["release"])) for secret in secrets) < 300_000
    for source in (REPOSITORY / "crds").glob(f"{GROUP}_*.yaml"):
        assert len(json.dumps(source.read_text())) < 128 * 1024, source.name
    for crd in world.crds().values():
        assert len(json.dumps(crd["metadata"].get("annotations", {}))) < 1024, (
            "Helm keeps nothing of it in an annotation"
        )


def test_a_rollback_and_the_way_forward_again(world):
    world.release.helm("rollback", "1", "--wait", "--timeout=90s")
    assert world.release.pods()
    assert not world.has_new_field(), "the schema goes back with the chart"
    chart = world.release.helm("list", check=False)
    del chart
    world.until_swept()
    world.release.upgrade(world.chart)
    assert world.has_new_field()
    world.until_swept()
    assert BEFORE


def refused_by_policy(world):
    begun = time.monotonic()
    refused = world.release.helm("uninstall", check=False)
    assert refused.returncode == 1
    assert time.monotonic() - begun < 10
    return refused.stderr


def test_an_uninstallation_is_refused_with_the_names_of_what_is_held(world):
    world.stage.until(lambda: world.holdings() == [{"count": "5", "names": HELD_NAMES}], "told", seconds=30)
    (pod,) = world.release.pods()
    said = refused_by_policy(world)
    assert (
        f"the operator holds 5 objects by its finalizer, and without it nobody could delete them: {HELD_NAMES}." in said
    )
    assert "uninstall.policy=Release" in said
    assert world.release.status == "deployed", "nothing is to be repaired after it"
    assert world.release.pods() == [pod]


HELD_NAMES = (
    "HostedInstance platform/db, HostedInstance platform/web, MachineImage platform/alpine, SovereignCloud platform/paris,"
    " VirtualNetwork platform/lan"
)


def test_it_is_refused_while_the_operator_is_down(world):
    deployment = f"deployment/sovereign-{'sovereign-cloud-operator'}"
    world.plane.kubectl("scale", deployment, "--replicas=0", f"--namespace={SYSTEM}")
    world.stage.until(lambda: world.release.pods() == [], "down", seconds=30)
    assert HELD_NAMES in refused_by_policy(world)
    world.plane.kubectl("scale", deployment, "--replicas=1", f"--namespace={SYSTEM}")
    world.stage.until(world.release.pods, "up again", seconds=60)


def test_release_is_for_where_no_operator_is(world, sovereign):
    told = sovereign("release", "--operator-namespace", SYSTEM, "--dry-run", "-o", "json")
    shown = json.loads(told.stdout)
    assert {(one["kind"], one["name"]) for one in shown["items"]} == HELD
    assert shown["secrets"] == [{"namespace": "platform", "name": "paris-one"}]
    refused = sovereign("release", "--operator-namespace", SYSTEM, check=False)
    assert refused.returncode == 1
    assert "an operator lives" in refused.stderr
    assert all(held for *_, held in world.objects().values())


def test_without_admission_policies_a_job_refuses_and_a_rollback_frees_the_release(world):
    world.release.upgrade(world.chart, "--set=policies.enforce=false")
    assert world.plane.get("validatingadmissionpolicies")["items"] == []
    revision = world.release.revision
    refused = world.release.helm("uninstall", "--timeout=60s", check=False)
    assert refused.returncode == 1
    assert world.release.status == "uninstalling"
    blocked = world.release.upgrade(world.chart, check=False)
    assert "has no deployed releases" in blocked.stderr
    world.release.helm("rollback", str(revision), "--wait", "--timeout=90s")
    assert world.release.status == "deployed"
    assert world.release.pods()
    world.release.upgrade(world.chart)
    print(refused.stdout, refused.stderr)


def test_with_consent_the_operator_lets_go_and_everything_outside_stays(world):
    world.release.upgrade(world.chart, "--set=uninstall.policy=Release")
    uids = {name: crd["metadata"]["uid"] for name, crd in world.crds().items()}
    done = world.release.helm("uninstall", "--wait", "--timeout=120s")
    assert "uninstalled" in done.stdout
    assert not any(held for *_, held in world.objects().values())
    secret = world.plane.get("secret", "paris-one", "--namespace=platform")
    assert FINALIZER not in secret["metadata"].get("finalizers", ())
    assert world.release.leftovers() == []
    assert {name: crd["metadata"]["uid"] for name, crd in world.crds().items()} == uids
    kept = {one["metadata"]["name"] for one in world.plane.get("configmaps", f"--namespace={SYSTEM}")["items"]}
    assert kept == {"kube-root-ca.crt", INSTALLATION_CONFIG_MAP}, "the id of what it made outlives it"


def test_installed_again_it_takes_up_what_it_left(world):
    world.release.install(world.chart)
    world.stage.until(
        lambda: all(held for kind, *_, held in [(k, *v) for k, v in world.objects().items()]), "held again", seconds=60
    )
    world.until_swept()
