"""A federation, from two clouds to its end, through the real adapter on front-ends with the real wire format."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any, Self

import pytest
from tests.contract import live_cloud
from tests.contract.live_cloud import FAST
from tests.unit.kinds.federation_scene import CONTROLLER, Installer, Scene, condition, master, slave
from tests.unit.kinds.opennebula_in_memory import again, resource, run

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.outcome import Phase
from sovereigncloud.engine.views import federation as reading
from sovereigncloud.kinds.tenant.controller import TenantController
from sovereigncloud.ports.installer.federation import Change
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.opennebula.zones import Mode, RaftState
from sovereigncloud.providers.call_observer import Call
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula import federation as one_federation
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.federation_mischief import heal, partition, restart, start_server, stop_server
from sovereigncloud_sandbox.opennebula.install import CloudSpec, FrontEndSpec
from sovereigncloud_sandbox.opennebula.model_federation import Mode as OnedMode

PARIS, RBX = Key("SovereignCloud", "team", "paris"), Key("SovereignCloud", "team", "rbx")
TENANTS = TenantController()
until_quiet = partial(live_cloud.until_quiet, known=True, patience=20.0)


class Counting:
    """Counts the calls that are made."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def during(self, call: Call) -> Any:
        self.calls[call.endpoint] += 1
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def retrying(self, *_: object) -> None:
        return None


class Federated(Scene):
    """The two clouds as the operator reaches them: their administrators' passwords change as a join changes them."""

    def __init__(self, sandbox: Any, make: Any) -> None:
        super().__init__()
        self.sandbox, self.make, self.passwords = sandbox, make, {"paris": "paris-secret", "rbx": "rbx-secret"}
        self.built = {name: self._spec(name) for name in self.passwords}
        self.installer = Play(self)
        self.as_user = dict.fromkeys((PARIS, RBX), self._as_user)

    async def _as_user(self, tenancy: Any, *_: int | None) -> Any:
        values = await self.kubernetes.secret("sovereign-system", tenancy.secret)
        return self.make(self.sandbox.endpoint(tenancy.cloud.name), values["username"], values["password"])

    def _spec(self, name: str) -> dict[str, Any]:
        ssh = {"host": name, "user": "root", "privateKeySecretRef": {"name": "k"}, "hostKey": "ssh-ed25519 AAAA"}
        endpoint = self.sandbox.endpoint(name)
        return {"existing": {"endpoint": endpoint, "credentialsSecretRef": {"name": f"{name}-one"}, "ssh": ssh}}

    async def _front(self, cloud: Key) -> Any:
        return self.make(self.sandbox.endpoint(cloud.name), "oneadmin", self.passwords[cloud.name])

    def become(self, name: str, change: Change, zone: int = 100) -> None:
        mode = OnedMode[str(change).upper()]
        address = self.sandbox.endpoint("paris") if change is Change.SLAVE else ""
        self.act(one_federation.change, name, mode, zone if change is Change.SLAVE else 0, address)
        if change is Change.SLAVE:
            self.passwords["rbx"] = self.passwords["paris"]

    def act(self, do: Any, cloud: str, *arguments: Any) -> Any:
        return self.sandbox.do(do, self.sandbox[cloud], *arguments)

    async def view(self, cloud: Key) -> CloudView:
        view = await super().view(cloud)
        tenants = any(key.kind == "Tenant" for key in self.resources)
        return replace(view, tenancy=await (await self._front(cloud)).tenancy.view()) if tenants else view


class Play(Installer):
    async def federate(self, change: Any) -> None:
        await super().federate(change)
        self.play()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(reading, "_PAUSES", (0.05, 0.25))


@pytest.fixture
def counting():
    return Counting()


@pytest.fixture
async def world(counting):
    made: dict[tuple[str, str], Any] = {}
    factory = open_nebula_factory(rate=500, burst=500, observer=counting)

    def make(endpoint: str, name: str, password: str) -> Any:
        if (endpoint, password) not in made:
            made[endpoint, password] = factory(endpoint, name, password, "")
        return made[endpoint, password]

    specs = (
        CloudSpec(name, oneadmin_password=f"{name}-secret", speeds=FAST | {"federation_retry": 0.2})
        for name in ("paris", "rbx")
    )
    with BackgroundSandbox(*specs) as sandbox:
        yield Federated(sandbox, make)
        for one in made.values():
            one.close()


async def quiet(zone: Any, world: Federated) -> Any:
    return await until_quiet(CONTROLLER, zone, world)


async def both(world: Federated, **spec: Any) -> tuple[Any, Any]:
    return await quiet(master(), world), await quiet(slave(spec), world)


async def front(world: Federated, cloud: Key) -> Any:
    return (await world.view(cloud)).federation


async def test_from_two_clouds_to_one_federation_to_two_clouds(world, counting):
    paris, rbx = await both(world)
    assert (paris.status.role, paris.status.zone_id) == ("Master", "0")
    assert (rbx.status.role, rbx.status.zone_id, rbx.status.master) == ("Slave", "100", world.sandbox.endpoint("paris"))
    seen = await front(world, RBX)
    assert {zone.name: zone.endpoint for zone in seen.zones.values()} == {
        name: world.sandbox.endpoint(name) for name in ("paris", "rbx")
    }
    assert [one.raft.state for one in seen.answers] == [RaftState.SOLO]

    counting.calls.clear()
    assert (await world.look(rbx)).steps == ()
    assert counting.calls["one.zone.raftstatus"] == 3, (
        "one for each server of the two clouds, and the master before its slave"
    )
    assert not [call for call in counting.calls if not call.endswith(("info", "infoextended", "raftstatus", "config"))]

    await (await world.open_nebula(PARIS)).tenancy.add_cluster(0, 100, -10)
    await quiet(again(rbx, {"deletionPolicy": "Delete"}, deleting=True), world)
    assert (await front(world, PARIS)).zones.keys() == {0}
    assert await (await world.open_nebula(PARIS)).zones.vdc_parts(100) == ()
    assert (await front(world, RBX)).config.mode is Mode.STANDALONE


async def test_what_somebody_changed_in_the_list_of_zones_is_mended(world):
    _, rbx = await both(world, state="Enabled")
    zones, own = (await world.open_nebula(PARIS)).zones, (await world.open_nebula(RBX)).zones
    await zones.rename(100, "elsewhere")
    await zones.update(100, {"ENDPOINT": "-"})
    await own.enable(100, enabled=False)
    plan = await world.look(rbx)
    assert [d.path for d in plan.drift] == ["spec.state", "metadata.name", "spec.endpoint"]
    rbx = await quiet(rbx, world)
    zone = (await front(world, PARIS)).zones[100]
    assert (zone.name, zone.endpoint, zone.enabled) == ("rbx", world.sandbox.endpoint("rbx"), True)


async def test_cut_off_written_and_healed_it_is_in_sync_without_a_person(world):
    _, rbx = await both(world)
    world.act(partition, "rbx", "paris")
    await (await world.open_nebula(PARIS)).tenancy.create_group("meanwhile")
    fields = await world.fields(rbx)
    assert condition(fields, "InSync") == ("False", "CatchingUp")
    assert condition(fields, "Reachable") == ("True", "AllZonesReachable")
    rbx, plan, _ = await run(CONTROLLER, rbx, world)
    assert len(plan.steps) == 1
    world.act(heal, "rbx", "paris")
    rbx = await quiet(rbx, world)
    assert condition(await world.fields(rbx), "InSync") == ("True", "InSync")


async def test_a_slave_that_stays_behind_after_a_restart_of_its_master_is_mended_by_a_record(world):
    """Its master takes it to be current: nothing comes until the next federated write (observed)."""
    _, rbx = await both(world)
    world.act(partition, "rbx", "paris")
    await (await world.open_nebula(PARIS)).tenancy.create_group("meanwhile")
    world.act(restart, "paris")
    world.act(heal, "rbx", "paris")
    assert condition(await world.fields(rbx), "InSync") == ("False", "CatchingUp")
    assert (await front(world, RBX)).in_step.lag > 0, "it stays behind, however long it is watched"
    rbx = await quiet(rbx, world)
    assert condition(await world.fields(rbx), "InSync") == ("True", "InSync")


async def test_a_tenant_of_both_is_one_group_with_a_user_for_each(world):
    """Groups, users and VDCs are the same in all zones: what is made once is seen everywhere and must not be made twice."""
    await both(world)
    clouds = [{"cloudRef": {"name": name, "namespace": "team"}} for name in ("paris", "rbx")]
    wanted = resource("Tenant", "prefecture", {"namespaces": ["town"], "clouds": clouds}, namespace="")
    wanted = await until_quiet(TENANTS, wanted, world)
    people = (await world.view(PARIS)).tenancy
    group = next(one for one in people.groups.values() if one.name == "prefecture")
    assert sorted(user.name for user in people.users.values() if user.group == group.id) == [
        "prefecture-town-team-paris",
        "prefecture-town-team-rbx",
    ]
    (vdc,) = [one for one in people.vdcs.values() if one.name == "prefecture"]
    assert vdc.clusters == {(0, -10), (100, -10)}
    told = {one.name: (one.group, one.vdc, [user.id for user in one.users]) for one in wanted.status.clouds}
    assert told["paris"][:2] == told["rbx"][:2]
    assert told["paris"][2] != told["rbx"][2]

    wanted = await until_quiet(TENANTS, again(wanted, {"clouds": clouds[:1]}), world)
    people = (await world.view(PARIS)).tenancy
    assert [user.name for user in people.users.values() if user.group == group.id] == ["prefecture-town-team-paris"]
    assert people.vdcs[vdc.id].clusters == {(0, -10)}, "only the zone that was left"
    assert wanted.status.clouds_ready == "1/1"


async def test_what_cannot_be_reached_is_said_and_nothing_is_done(world):
    _, rbx = await both(world)
    world.act(one_federation.kill, "paris")
    plan = await world.look(rbx)
    assert (plan.steps, plan.outcome.phase, str(plan.outcome.reason)) == ((), Phase.RETRY, "ZoneUnreachable")
    assert "does not reach the master team/paris" in plan.outcome.message


async def test_a_slave_of_several_front_ends_says_how_each_is(world):
    """Listed as declared, each asked at its own address; the address of the cloud follows the leader."""
    names = [f"server-{number}" for number in range(3)]
    wanted = [FrontEndSpec(name) for name in names]
    endpoints = world.sandbox.wait(world.sandbox.sandbox.gather("rbx", wanted))
    await quiet(master(), world)
    rbx = slave({"servers": [{"name": n, "endpoint": e} for n, e in zip(names, endpoints, strict=True)]})
    rbx, _, _ = await world.once(rbx)
    assert str((await world.look(rbx)).outcome.reason) == "ManualStepRequired", "it is joined by a person"
    world.become("rbx", Change.SLAVE)
    rbx = await quiet(rbx, world)
    fields = await world.fields(rbx)
    assert [(one["name"], one["id"], one["state"]) for one in fields["servers"]] == [
        ("server-0", "0", "Leader"),
        ("server-1", "1", "Follower"),
        ("server-2", "2", "Follower"),
    ]
    assert condition(fields, "InSync") == ("True", "InSync")
    world.act(stop_server, "rbx", 1)
    fields = await world.fields(rbx)
    assert [one["state"] for one in fields["servers"]] == ["Leader", "Unreachable", "Follower"]
    assert condition(fields, "Reachable") == ("False", "ZoneUnreachable")
    assert condition(fields, "InSync") == ("True", "InSync"), "two of three are a majority"
    world.act(stop_server, "rbx", 2)
    assert condition(await world.fields(rbx), "InSync") == ("False", "NoQuorum"), (
        "it says that it leads, and nothing is written"
    )
    for server in (1, 2):
        world.act(start_server, "rbx", server)
    await quiet(rbx, world)


async def test_a_tenant_of_a_cloud_that_joins_is_made_again_in_the_federation(world):
    """The group that it had is gone, and its number is somebody else's at the master."""
    theirs = await (await world.open_nebula(PARIS)).tenancy.create_group("somebody")
    clouds = [{"cloudRef": {"name": "rbx", "namespace": "team"}}]
    wanted = resource("Tenant", "prefecture", {"namespaces": ["town"], "clouds": clouds}, namespace="")
    wanted = await until_quiet(TENANTS, wanted, world)
    assert wanted.status.clouds[0].group == str(theirs)
    await both(world)
    wanted = await until_quiet(TENANTS, wanted, world)
    people = (await world.view(RBX)).tenancy
    (group,) = [one for one in people.groups.values() if one.name == "prefecture"]
    assert (wanted.status.clouds[0].group, people.groups[theirs].name) == (str(group.id), "somebody")
    (user,) = [one for one in people.users.values() if one.group == group.id]
    assert user.name == "prefecture-town-team-rbx"
