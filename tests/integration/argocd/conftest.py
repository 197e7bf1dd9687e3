"""One stage for all tests here: control plane, simulators, operator, a real Argo CD and a Git repository that it reads."""

import pytest
from tests.integration.argocd.gitops import Folder, GitOps, namespace
from tests.integration.conftest import QUICK

from sovereigncloud.sandbox.argocd import ArgoCD
from sovereigncloud.sandbox.controlplane import ControlPlane
from sovereigncloud.sandbox.git_repository import GitRepository
from sovereigncloud.sandbox.stage import Stage

NO_TIMER = {"ARGOCD_RECONCILIATION_TIMEOUT": "24h", "ARGOCD_RECONCILIATION_JITTER": "0s"}
"""Argo CD looks at Git when it is told to, and at an application when something in the cluster changed; never because
two minutes are over. So every refresh that nobody asked for was caused by the operator."""


def pytest_collection_modifyitems(items):
    for item in items:
        if "argocd" in item.path.parent.parts:
            item.add_marker(pytest.mark.argocd)


@pytest.fixture(scope="session")
def gitops(tmp_path_factory, argocd_programs):
    """Started once for the session: after the tests here it rests, and the last test of all judges that."""
    directory = tmp_path_factory.mktemp("argocd")
    with ControlPlane(directory / "control-plane", argocd_programs) as plane:
        # The machine is shared with other tests while it rests: a Lease of six seconds could be lost to them.
        stage = Stage(plane, directory, {**QUICK, "lease_seconds": "30"})
        argo = ArgoCD(plane, directory / "argocd", environment=NO_TIMER)
        try:
            stage.start_simulators()
            stage.install()
            stage.start_operator()
            argo.start()
            yield GitOps(stage, argo, GitRepository(directory / "git"))
        finally:
            argo.stop()
            stage.stop()


@pytest.fixture
def make_folder(gitops):
    """Makes folders of one test with the foundation of a cloud in each; Application and namespace go with the test."""
    made = []

    def make(name, **options):
        cloud = gitops.cloud(name, **options)
        folder = Folder(gitops, name)
        folder.put(namespace(name), *cloud.foundation())
        made.append((cloud, folder))
        return cloud, folder

    yield make
    for cloud, folder in made:
        gitops.stage.heal(cloud.name)
        if folder.app:
            folder.delete()
