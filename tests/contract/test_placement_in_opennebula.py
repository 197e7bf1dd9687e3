"""A machine is placed in the cluster that was chosen, through the real adapter: the scheduler itself goes by what it was told."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.contract.live_cloud import FAST, until_quiet, with_an_image
from tests.unit.kinds.opennebula_in_memory import resource
from tests.unit.kinds.placement_scene import FRONT_END, location

from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

INSTANCES = HostedInstanceController()
SPEC: dict[str, Any] = {"source": {"image": "ubuntu"}, "vcpu": 1, "memory": "512Mi", "networks": []}


@pytest.fixture(scope="module")
def sandbox():
    hosts = (HostSpec("one-1"), HostSpec("one-2"))
    with BackgroundSandbox(CloudSpec("rbx", version="7.4.0", hosts=hosts, speeds=FAST)) as running:
        time.sleep(0.3)  # until the datastores are monitored
        yield running


@pytest.fixture
def endpoint(sandbox):
    return sandbox.endpoint("rbx")


@pytest.fixture
async def world(front):
    """Two clusters of one host each: one-1 in Canada, one-2 in France."""
    there = await with_an_image(front)
    cluster = await front.create_cluster("french")
    for datastore in (await front.view(0.0)).datastores:
        await front.join_cluster(cluster, "datastore", datastore)
    host = next(h.id for h in (await front.view(0.0)).hosts.values() if h.name == "one-2")
    await front.join_cluster(cluster, "host", host)
    there.located["rbx"] = {
        "locations": [location("default", "CA", "one-1"), location("french", "FR", "one-2"), FRONT_END]
    }
    return there


async def test_the_scheduler_goes_by_the_cluster_that_was_chosen(front, world):
    view = await front.view(0.0)
    assert view.host_clusters == {"one-1": "default", "one-2": "french"}
    assert view.latency is not None
    assert 0.0 < view.latency < 1000.0, "milliseconds"
    wanted = resource("HostedInstance", "web", SPEC | {"placement": {"countries": ["FR"]}}, {})
    wanted = await until_quiet(INSTANCES, wanted, world)
    placed = wanted.status.placement
    assert (placed.cluster, placed.host, placed.country) == ("french", "one-2", "FR")
    (made,) = (await front.view(0.0)).vms.values()
    number = int(wanted.external["cluster"])
    assert made.requirements == f"(CLUSTER_ID = {number})"

    await front.update_vm(made.id, {"SCHED_REQUIREMENTS": 'HYPERVISOR = "kvm"'})
    await until_quiet(INSTANCES, wanted, world)
    (made,) = (await front.view(0.0)).vms.values()
    assert made.requirements == f'(CLUSTER_ID = {number}) & (HYPERVISOR = "kvm")', "what somebody adds is kept"
