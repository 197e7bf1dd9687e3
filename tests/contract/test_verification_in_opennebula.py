"""A verification through the real adapter, on a front-end with the real wire format, carried out to its end."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import mark

from sovereigncloud.api import SovereignCloud
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud.kinds.sovereigncloud.verification.records import NOTE
from sovereigncloud.ports.errors import Retry
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

FAST = {
    "host_monitor": 0.05, "datastore_monitor": 0.05, "vnet": 0.05, "image": 0.1, "scheduler": 0.1, "prolog": 0.1,
    "boot": 0.1, "shutdown": 0.1,
}  # fmt: skip
HOSTS = (HostSpec("127.0.0.2"), HostSpec("127.0.0.3"))
PATIENCE = 60.0
READY = {"observedGeneration": 1, "endpoint": "http://127.0.0.1/RPC2"}


@pytest.fixture(scope="module")
def endpoint():
    with BackgroundSandbox(CloudSpec("verified", hosts=HOSTS, speeds=FAST)) as sandbox:
        time.sleep(0.3)  # until the datastores are monitored
        yield sandbox.endpoint("verified")


class World:
    """What the controller of an existing cloud needs."""

    def __init__(self, front: Any) -> None:
        self.front = front
        self.admitted = True

    def inhabitants(self, cloud: Any) -> tuple[()]:
        return ()

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def mark(self, resource: Any) -> Any:
        return mark("SovereignCloud", resource.metadata.name, resource.metadata.uid, resource.metadata.namespace)

    def policies(self, *_: Any) -> tuple[()]:
        return ()

    def get(self, _: Any) -> None:
        return None

    def users(self, *_: Any) -> tuple[()]:
        return ()

    def allows_plain_http(self, _: str) -> bool:
        return True

    async def open_nebula(self, _: Any) -> Any:
        return self.front

    async def view(self, _: Any) -> Any:
        return await self.front.view(0.0)


def declared(request: str, status: dict[str, Any], **verification: Any) -> SovereignCloud:
    spec = {
        "existing": {"endpoint": "http://127.0.0.1/RPC2", "credentialsSecretRef": {"name": "one"}},
        "verification": {"request": request, **verification},
    }
    meta = {"name": "rbx", "namespace": "team", "uid": "uid-1", "generation": 1}
    return SovereignCloud.model_validate({"metadata": meta, "spec": spec, "status": status})


async def verified(
    front: Any, request: str, status: dict[str, Any] | None = None, **verification: Any
) -> dict[str, Any]:
    """Status once the condition Verified has its verdict."""
    world, controller, end = World(front), SovereignCloudController(), time.monotonic() + PATIENCE
    told: dict[str, Any] = {**READY, **(status or {})}
    while time.monotonic() < end:
        cloud = declared(request, told, **verification)
        observed = await controller.observe(cloud, world)  # type: ignore[arg-type]
        plan = controller.plan(cloud, observed, world.now)
        fields = dict(controller.status(cloud, observed))
        facts = dict(plan.outcome.facts)
        for step in plan.steps:
            try:
                outcome = await controller.perform(step, cloud, world)  # type: ignore[arg-type]
            except Retry:
                break
            facts |= outcome.facts
            if outcome.after is not None:
                break
        external = {**(told.get("external") or {}), **facts}
        told = {**READY, **{k: v for k, v in fields.items() if v is not None}}
        told["external"] = {k: v for k, v in external.items() if v}
        (condition,) = told["conditions"]
        if condition["status"] != "Unknown" and not plan.steps and observed.verification is not None:
            assert observed.verification.probes == ()
            return told
        await asyncio.sleep(0.05)
    raise AssertionError(told)


async def test_every_host_and_network_gets_a_machine_and_loses_it_again(front) -> None:
    lan = await front.create_network(
        {"NAME": "lan", "VN_MAD": "bridge", "BRIDGE": "br0", "AR": {"TYPE": "IP4", "IP": "10.0.0.10", "SIZE": "5"}}, 0
    )
    told = await verified(front, "bare")
    assert told["conditions"][0]["reason"] == "VerificationPassed", (
        "without any image an empty disk will do",
        told["conditions"],
    )
    await front.create_image({"NAME": "img", "PATH": "http://images.example.org/i.qcow2", "SIZE": "64"}, 1)
    pet = await front.create_image(
        {"NAME": "pet", "PATH": "http://images.example.org/i.qcow2", "SIZE": "10", "PERSISTENT": "YES"}, 1
    )
    await asyncio.sleep(0.5)
    view = await front.view(0.0)
    assert view.images[pet].persistent

    told = await verified(front, "first")
    assert {c["name"]: c["result"] for c in told["verification"]["checks"]} == {
        "CoreVersion": "Passed",
        "HostsMonitored": "Passed",
        "DatastoresHaveSpace": "Passed",
        "NetworksHaveLeases": "Passed",
        "VMOnHost/127.0.0.2": "Passed",
        "VMOnHost/127.0.0.3": "Passed",
        "VMOnNetwork/lan": "Passed",
    }
    messages = {c["name"]: c["message"] for c in told["verification"]["checks"]}
    assert "on host 127.0.0.2" in messages["VMOnHost/127.0.0.2"]
    assert "on host 127.0.0.3" in messages["VMOnHost/127.0.0.3"]
    assert "10.0.0.1" in messages["VMOnNetwork/lan"]
    view = await front.view(0.0)
    assert (dict(view.vms), view.networks[lan].used_leases) == ({}, 0)
    machines = [await front.vm(number) for number in range(6)]
    assert all(NOTE in one.notes and one.mark is not None for one in machines)
    assert all(one.state == 6 for one in machines)
    notes = (await front.front()).notes
    assert [name for name in notes if name.startswith(NOTE)], "remembered in the zone's template"

    before = await front.front()
    rebuilt = await verified(front, "first")
    assert rebuilt["conditions"][0]["reason"] == "VerificationPassed"
    assert (await front.front()).notes == before.notes, "a rebuilt cluster does not ask again"


async def test_what_a_user_without_the_rights_is_told(endpoint, front) -> None:
    await front._calls.write("one.user.allocate", "plain", "secret", "", [])
    plain = open_nebula_factory(rate=500, burst=500)(endpoint, "plain", "secret", "")
    try:
        controller, world = SovereignCloudController(), World(plain)
        cloud = declared("second", READY)
        observed = await controller.observe(cloud, world)  # type: ignore[arg-type]
        (step,) = controller.plan(cloud, observed, world.now).steps
        with pytest.raises(Exception, match=r"(MANAGE|ADMIN) ZONE"):
            await controller.perform(step, cloud, world)  # type: ignore[arg-type]
    finally:
        plain.close()


async def test_a_machine_that_cannot_be_ended_is_taken_off_the_list(front) -> None:
    made = await front.create_vm({"NAME": "stuck", "CPU": "0.1", "MEMORY": "64", "DISK": [{"TYPE": "fs", "SIZE": "8"}]})
    await front.give_up_vm(made)
    await asyncio.sleep(0.3)
    assert made not in (await front.view(0.0)).vms
