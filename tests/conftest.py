import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sovereigncloud_sandbox.cluster import Cluster
from sovereigncloud_sandbox.controlplane import ControlPlane
from sovereigncloud_sandbox.programs import OLDEST
from sovereigncloud_sandbox.toolchain import BuildError, Toolchain

NEED_PROGRAMS = {"control_plane", "own_control_plane"}
ON_DEMAND = {"argocd_programs": ("argocd", "kustomize"), "prometheus_programs": ("prometheus", "promtool")}
"""What only some tests need, by the fixture that they ask for: minutes of building that others are spared."""
# A busy machine is slow, which says nothing of a strategy.
settings.register_profile("suite", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

BUILD_FAILURE = pytest.StashKey[str]()


def pytest_collection_finish(session):
    """Build the programs before the first test: the minutes that it may take belong to no test's time limit."""
    fixtures = {name for item in session.items for name in item.fixturenames}
    more = [program for fixture in ON_DEMAND.keys() & fixtures for program in ON_DEMAND[fixture]]
    oldest = "oldest_kubernetes" in fixtures
    if session.config.option.collectonly or not (more or oldest or NEED_PROGRAMS & fixtures):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            Toolchain().resolve_all(*more)
            if oldest:
                Toolchain(programs=OLDEST).resolve_all()
        except BuildError as failure:
            session.config.stash[BUILD_FAILURE] = str(failure)


@pytest.fixture(scope="session")
def programs(pytestconfig):
    if failure := pytestconfig.stash.get(BUILD_FAILURE, None):
        pytest.fail(failure, pytrace=False)
    return Toolchain()


@pytest.fixture(scope="session")
def oldest_kubernetes(programs):
    """The programs with the oldest Kubernetes that the chart supports; built before the first test."""
    del programs  # it tells when one could not be built
    return Toolchain(programs=OLDEST)


@pytest.fixture(scope="session")
def argocd_programs(programs):
    """Argo CD and what it calls; asking for it has them built before the first test."""
    return programs


@pytest.fixture(scope="session")
def prometheus_programs(programs):
    """Prometheus and promtool; asking for them has them built before the first test."""
    return programs


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory, programs):
    """The cluster that all tests share: the one of SOVEREIGN_KUBECONFIG, else a control plane of our own."""
    directory = tmp_path_factory.mktemp("control-plane")
    if existing := os.environ.get("SOVEREIGN_KUBECONFIG"):
        yield Cluster(Path(existing).absolute(), directory, programs)
    else:
        with ControlPlane(directory, programs) as plane:
            yield plane


@pytest.fixture(scope="module")
def own_control_plane(tmp_path_factory, programs):
    """A control plane for the tests of one module, which may empty it, stop it and start it again."""
    with ControlPlane(tmp_path_factory.mktemp("own-control-plane"), programs, audited=True) as plane:
        yield plane


@pytest.fixture(scope="module")
def own_node(own_control_plane):
    """The module's control plane with a node: pods of the operator's image run, `helm --wait` and `helm test` work."""
    own_control_plane.start_kubelet()
    return own_control_plane
