"""The life of a release, in order: installed, tested, upgraded, rolled back, not uninstalled, uninstalled, installed again.

The operator's pod really runs throughout (sandbox kubelet), two machines of a cloud are managed, and nothing of all this
may be felt outside: every test looks at the log of the simulator.
"""

import base64
import json
import os
import subprocess
import sys
import time

import pytest
from tests.integration.chart.releases import NEW_FIELD, OPERATOR, Release, chart_before, package, properties
from tests.integration.conftest import QUICK
from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import FINALIZER, GROUP
from sovereigncloud.providers.kubernetes.api import HOLDINGS_CONFIG_MAP, INSTALLATION_CONFIG_MAP
from sovereigncloud_sandbox.stage import CHART, Stage

SYSTEM = "sovereign-system"
CRDS = [f"{kind.crd.plural}.{GROUP}" for kind in KINDS]
REPOSITORY = CHART.parents[1]
HELD = {("SovereignCloud", "paris"), ("MachineImage", "alpine"), ("VirtualNetwork", "lan"), ("HostedInstance", "web"), ("HostedInstance", "db")}  # fmt: skip

HELD_NAMES = (
    "HostedInstance platform/db, HostedInstance platform/web, MachineImage platform/alpine, SovereignCloud platform/paris,"
    " VirtualNetwork platform/lan"
)


class World:
    """The stage, the two charts, and what a person sees."""

    def __init__(self, plane, directory):
        self.plane = plane
        self.stage = Stage(plane, directory, QUICK)
        self.mark = 0

    def start(self):
        plane, directory = self.plane, self.stage.directory
        self.stage.start_simulators()
        self.release = Release(plane, "sovereign", SYSTEM, self.stage.write_values())
        self.chart = package(plane, CHART, directory)
        self.before = package(plane, chart_before(directory), directory)
        self.paris = ExistingCloud(self.stage, "paris")

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

    def holdings(self, namespace=SYSTEM):
        found = self.plane.get(
            "configmaps", f"--namespace={namespace}", f"--field-selector=metadata.name={HOLDINGS_CONFIG_MAP}"
        )
        return [one.get("data", {}) for one in found["items"]]

    def until_held(self):
        self.stage.until(lambda: all(held for *_, held in self.objects().values()), "held again", seconds=90)

    def sovereign(self, *arguments):
        """The command on a person's machine."""
        return subprocess.run(
            [sys.executable, "-m", "sovereigncloud.cli", *arguments],
            env=self.plane.environment() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True, text=True, check=False, timeout=90,
        )  # fmt: skip


@pytest.fixture(scope="module")
def world(own_node, tmp_path_factory):
    made = World(own_node, tmp_path_factory.mktemp("lifecycle"))
    try:
        made.start()
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
    # --force-conflicts: they are of another version, and `kubectl apply --server-side` owns their fields.
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
    world.paris.swept()
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


def test_a_rollback_takes_the_schema_back_too(world):
    world.release.helm("rollback", "1", "--wait", "--timeout=90s")
    assert world.release.pods()
    assert not world.has_new_field()
    world.paris.swept()


def test_without_admission_policies_a_job_refuses_and_a_rollback_frees_the_release(world):
    world.release.upgrade(world.chart, "--set=policies.enforce=false")
    assert world.has_new_field()
    assert world.plane.get("validatingadmissionpolicies")["items"] == []
    revision = world.release.revision
    refused = world.release.helm("uninstall", "--timeout=60s", check=False)
    assert refused.returncode == 1
    assert "HostedInstance platform/web (outside stays: " in refused.stdout + refused.stderr, (
        "Helm 4 prints what the Job said"
    )
    assert world.release.status == "uninstalling"
    blocked = world.release.upgrade(world.chart, check=False)
    assert "has no deployed releases" in blocked.stderr
    world.release.helm("rollback", str(revision), "--wait", "--timeout=90s")
    assert world.release.status == "deployed"
    assert world.release.pods()


def refused_by_policy(world):
    begun = time.monotonic()
    refused = world.release.helm("uninstall", check=False)
    assert refused.returncode == 1
    assert time.monotonic() - begun < 10
    return refused.stderr


def test_an_uninstallation_is_refused_with_the_names_of_what_is_held(world):
    world.release.upgrade(world.chart)
    world.stage.until(lambda: world.holdings() == [{"count": "5", "names": HELD_NAMES}], "told", seconds=30)
    (pod,) = world.release.pods()
    said = refused_by_policy(world)
    assert (
        f"the operator holds 5 objects by its finalizer, and without it nobody could delete them: {HELD_NAMES}." in said
    )
    assert "uninstall.policy=Release" in said
    assert world.release.status == "deployed", "nothing is to be repaired after it"
    assert world.release.pods() == [pod]


def test_release_is_for_where_no_operator_is(world):
    told = json.loads(world.sovereign("release", "--dry-run", "-o", "json").stdout)
    assert {(one["kind"], one["name"]) for one in told["items"]} == HELD
    assert told["secrets"] == [{"namespace": "platform", "name": "paris-one"}]
    refused = world.sovereign("release")
    assert refused.returncode == 1
    assert "an operator lives" in refused.stderr
    assert all(held for *_, held in world.objects().values())


def test_while_the_operator_is_down_it_is_refused_until_a_person_lets_go(world):
    deployment = f"deployment/{world.release.name}-{OPERATOR}"
    world.plane.kubectl("scale", deployment, "--replicas=0", f"--namespace={SYSTEM}")
    world.stage.until(lambda: world.release.pods() == [], "down", seconds=30)
    assert HELD_NAMES in refused_by_policy(world)
    (web,) = world.paris.onlooker.machines("web")
    done = world.sovereign("release")
    stays = f"outside stays: cloud platform/paris, cluster 0, vm {web.id}"
    assert f"released: HostedInstance platform/web ({stays})" in done.stdout
    assert not any(held for *_, held in world.objects().values())
    assert world.holdings()[0]["count"] == "0"
    world.plane.kubectl("scale", deployment, "--replicas=1", f"--namespace={SYSTEM}")
    world.until_held()


def test_with_consent_the_operator_lets_go_and_everything_outside_stays(world):
    world.release.upgrade(world.chart, "--set=uninstall.policy=Release")
    uids = {name: crd["metadata"]["uid"] for name, crd in world.crds().items()}
    done = world.release.helm("uninstall", "--wait", "--timeout=120s")
    assert "uninstalled" in done.stdout
    assert not any(held for *_, held in world.objects().values())
    secret = world.plane.get("secret", "paris-one", "--namespace=platform")
    assert FINALIZER not in secret["metadata"].get("finalizers", ())
    world.release.until_gone(world.stage)
    assert {name: crd["metadata"]["uid"] for name, crd in world.crds().items()} == uids
    kept = {one["metadata"]["name"] for one in world.plane.get("configmaps", f"--namespace={SYSTEM}")["items"]}
    assert kept == {"kube-root-ca.crt", INSTALLATION_CONFIG_MAP}, "the id of what it made outlives it"


def test_it_is_installed_again(world):
    """For one namespace this time. It waits for the Lease as long as the uninstallation keeps that, and does not go on yet."""
    world.release.install(world.chart, "--set=scope=Namespaced,watchNamespaces={platform},policies.enforce=false")
    assert world.release.pods()


class Team:
    """A release of its own for one namespace, with a cloud and a network in it."""

    def __init__(self, world, name, *values):
        self.world, self.namespace, self.values = world, f"team-{name}", values
        world.stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.release = Release(world.plane, name, self.namespace, world.stage.write_values())
        self.cloud = ExistingCloud(world.stage, name, self.namespace)
        self.account = f"system:serviceaccount:{self.namespace}:{name}-{OPERATOR}"

    def build(self):
        self.release.install(self.world.chart, "--set=scope=Namespaced,crds.install=false", *self.values)
        self.world.stage.apply([*self.cloud.foundation(), self.cloud.network("lan")])

    def asked(self):
        """(verb, resource, namespace) of all that its operator asked the API server for."""
        told = [entry for entry in self.world.plane.audit() if entry["user"]["username"] == self.account]
        return {
            (entry["verb"], about["resource"], about.get("namespace", ""))
            for entry in told
            if (about := entry.get("objectRef"))
        }


def test_two_namespaced_releases_do_not_touch_each_others_objects(world):
    anna, bert = Team(world, "anna"), Team(world, "bert", "--set=policies.enforce=false")
    for team in (anna, bert):
        team.build()
    for team in (anna, bert):
        team.cloud.ready("virtualnetwork", "lan")
    policies = world.plane.get("validatingadmissionpolicies")["items"]
    assert [one["metadata"]["name"] for one in policies] == [
        f"sovereign-team-anna-anna-{OPERATOR}-{what}" for what in ("public-cards", "uninstall")
    ]
    ids = [
        world.plane.get("configmap", INSTALLATION_CONFIG_MAP, f"--namespace={team.namespace}")["data"]["id"]
        for team in (anna, bert)
    ]
    assert len(set(ids)) == 2

    mark = world.stage.one_mark("bert")
    world.plane.kubectl("delete", "sovereign", "--all", f"--namespace={anna.namespace}", "--timeout=60s")
    world.stage.until(lambda: world.holdings(anna.namespace)[0]["count"] == "0", "told", seconds=30)
    anna.release.helm("uninstall", "--wait", "--timeout=60s")
    anna.release.until_gone(world.stage)

    world.stage.annotate("virtualnetwork", "lan", bert.namespace, reconcile_requested_at="after")
    bert.cloud.wait(
        "virtualnetwork", "lan", "looked at", lambda found: found["status"].get("lastHandledReconcileAt") == "after"
    )
    assert FINALIZER in bert.cloud.get("virtualnetwork", "lan")["metadata"]["finalizers"]
    assert world.stage.one_calls("bert", since=mark) == []
    assert bert.release.pods()
    for team in (anna, bert):
        assert {namespace for *_, namespace in team.asked()} == {"", team.namespace}
        everywhere = {(verb, resource) for verb, resource, namespace in team.asked() if not namespace}
        assert {resource for _, resource in everywhere} == {"namespaces", "customresourcedefinitions"}
        assert {("list", "namespaces"), ("watch", "namespaces")} <= everywhere


def test_it_takes_up_again_what_it_left(world):
    world.until_held()
    world.paris.swept()
