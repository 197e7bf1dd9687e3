"""The app-of-apps as it is shipped: the chart, whose pod a kubelet runs, then an Application per folder of clouds/."""

import pytest
from tests.integration.argocd.gitops import Folder, GitOps, namespace
from tests.integration.argocd.started import ENVIRONMENT
from tests.integration.conftest import QUICK

from sovereigncloud_sandbox.argocd import MANIFESTS, ArgoCD, health, is_settled
from sovereigncloud_sandbox.argocd_repository import OPERATOR, ROOT, root
from sovereigncloud_sandbox.controlplane import ControlPlane
from sovereigncloud_sandbox.git_repository import GitRepository
from sovereigncloud_sandbox.stage import SYSTEM, Stage

APPLICATION_SET = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/clouds"


class Everything(GitOps):
    """With zones, which are folders of clouds/."""

    def zone(self, name):
        """A folder of clouds/ with a cloud, an image, a network and a machine."""
        cloud, folder = self.cloud(name), Folder(self, name, "clouds")
        folder.put(namespace(name), *cloud.foundation())
        folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web"))
        folder.commit(f"Zone {name}")
        return cloud, folder

    def look_for_folders(self):
        """As a webhook of the Git server would make it; else within three minutes."""
        change = {"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}
        self.stage.cluster.request("PATCH", APPLICATION_SET, change, "application/merge-patch+json")


@pytest.fixture(scope="module")
def everything(tmp_path_factory, argocd_programs):
    directory = tmp_path_factory.mktemp("everything")
    with ControlPlane(directory / "control-plane", argocd_programs) as plane:
        stage = Stage(plane, directory, QUICK)
        # Argo CD itself may miss that a CRD became Healthy, and relies on its next look, which is due after minutes.
        argo = ArgoCD(plane, directory / "argocd", environment={**ENVIRONMENT, "ARGOCD_RECONCILIATION_TIMEOUT": "5s"})
        try:
            plane.start_kubelet()
            stage.start_simulators()
            argo.start(application_sets=True)
            argo.configure(MANIFESTS / "argocd-cm-app-of-apps.yaml")
            yield Everything(stage, argo, GitRepository(directory / "git"))
        finally:
            argo.stop()
            stage.stop()


@pytest.fixture(scope="module")
def zones(everything):
    """Two zones, everything Synced and Healthy."""
    made = {name: everything.zone(name) for name in ("paris", "lyon")}
    everything.argo.apply(root(everything.repository))
    everything.argo.wait(OPERATOR, "Synced and Healthy", is_settled, seconds=120)
    everything.stage.cluster.settle_garbage_collector()
    everything.argo.wait(ROOT, "Synced and Healthy", is_settled, seconds=120)
    for name in made:
        everything.argo.wait(name, "Synced and Healthy", is_settled, seconds=120)
    return made


def test_the_clouds_come_when_the_operator_is_ready(everything, zones):
    deployment = everything.stage.cluster.get("deployment", OPERATOR, "-n", SYSTEM)
    available = next(c for c in deployment["status"]["conditions"] if c["type"] == "Available")
    assert available["status"] == "True"
    made = everything.stage.cluster.request("GET", APPLICATION_SET)["metadata"]["creationTimestamp"]
    assert made >= available["lastTransitionTime"]
    operator = everything.argo.get(OPERATOR)
    judged = [entry for entry in operator["status"]["resources"] if not entry.get("hook")]
    assert [entry for entry in judged if entry["status"] != "Synced"] == []
    assert len(operator["status"]["resources"]) > 10
    for cloud, _ in zones.values():
        assert cloud.vm("web")


def test_a_new_folder_becomes_a_cloud_and_a_broken_zone_holds_up_no_other(everything, zones):
    cloud, folder = everything.zone("brest")
    folder.change("HostedInstance", "web", networks=[{"name": "lam"}])
    folder.commit("A mistake")
    everything.look_for_folders()
    folder.wait("Degraded", lambda app: health(app) == "Degraded")
    assert cloud.get("virtualnetwork", "lan")
    assert is_settled(everything.argo.get("paris"))
    assert is_settled(everything.argo.get(ROOT))
    folder.settled(folder.revert())


def test_deleting_the_whole_ends_with_the_operator_last_and_leaves_nothing(everything, zones):
    cluster = everything.stage.cluster
    applications = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
    since = cluster.request("GET", applications)["metadata"]["resourceVersion"]
    everything.argo.delete(ROOT)
    everything.argo.wait_gone(ROOT, seconds=180)
    told = cluster.request("GET", f"{applications}?watch=1&resourceVersion={since}&timeoutSeconds=1")
    ended = [event["object"]["metadata"]["name"] for event in told if event["type"] == "DELETED"]
    assert ended[-2:] == [OPERATOR, ROOT]
    assert {"paris", "lyon"} <= set(ended[:-2])
    begun = [e["object"]["metadata"]["name"] for e in told if e["object"]["metadata"].get("deletionTimestamp")]
    assert begun.index(OPERATOR) > begun.index("paris")
    assert not cluster.get("deployments", "-n", SYSTEM)["items"]
    assert "sovereignclouds.sovereigncloud.io" in str(cluster.get("crd")), "kept: what others made goes with them"
    for name, (cloud, _) in zones.items():
        assert not everything.stage.get("namespaces", name)
        assert not [*cloud.onlooker.machines(), *cloud.onlooker.networks(), *cloud.onlooker.images()]
