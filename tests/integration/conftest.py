"""The whole system, once per module: a control plane of its own, both simulators, the chart, the operator."""

import pytest
from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud_sandbox.chronicle import Chronicle
from sovereigncloud_sandbox.stage import Stage

QUICK = {
    "sweep_interval": "3",
    "settle_interval": "0.5",
    "late_write_grace": "4",
    "ovh_requests_per_minute": "6000",
    "ovh_burst": "200",
    "opennebula_rate": "200",
    "opennebula_burst": "200",
    "lease_seconds": "6",
    "log_level": "DEBUG",
}
"""The simulators have no limit worth keeping, and a test must not wait a minute for a sweep."""


@pytest.fixture(scope="module")
def bare_stage(request, own_control_plane, tmp_path_factory):
    """Control plane, simulators and chart; no operator yet. A module's SETTINGS go before QUICK."""
    settings = {**QUICK, **getattr(request.module, "SETTINGS", {})}
    stage = Stage(own_control_plane, tmp_path_factory.mktemp("stage"), settings)
    try:
        stage.start_simulators()
        stage.install()
        stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}})
        yield stage
    finally:
        stage.stop()


@pytest.fixture(scope="module")
def stage(bare_stage):
    """With the operator running; what it said is shown when a test fails."""
    bare_stage.start_operator()
    yield bare_stage
    print(bare_stage.log()[-8000:])


@pytest.fixture(scope="module")
def chronicle(own_control_plane, bare_stage):
    """Every version of every object of ours, from before the operator starts."""
    told = Chronicle(own_control_plane.kubeconfig).start()
    yield told
    told.stop()


@pytest.fixture(scope="module")
def paris(stage):
    """An OpenNebula that somebody else runs, with an image and a network, shared by the tests of a module."""
    cloud = ExistingCloud(stage, "paris")
    stage.apply([*cloud.foundation(), cloud.image("alpine"), cloud.network("lan")])
    stage.wait_ready("machineimage", "alpine")
    stage.wait_ready("virtualnetwork", "lan")
    return cloud


@pytest.fixture
def make_cloud(stage):
    """Makes clouds of one test, each in a namespace of its name, which goes with the test."""
    made = []

    def make(name, **options):
        cloud = ExistingCloud(stage, name, name, **options)
        made.append(cloud)
        stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return cloud

    yield make
    for cloud in made:
        stage.heal(cloud.name)
        stage.delete("namespace", cloud.namespace)
