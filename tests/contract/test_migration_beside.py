"""What else a move meets: zones of one federation, object storage, the users of a tenant, a guest that does not listen, a machine that
makes its move itself.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.live_cloud import until_quiet
from tests.contract.migration_scene import MACHINES, MOVE, MOVES, SPEC, in_phase, is_ready, machine_in_rbx, two_clouds
from tests.unit.kinds.opennebula_in_memory import World, again, resource

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.tenant.controller import TenantController
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula import federation
from sovereigncloud_sandbox.opennebula.model_federation import Mode

S3 = {
    "NAME": "bucket", "MARKET_MAD": "s3", "BUCKET": "apps", "REGION": "default", "ACCESS_KEY_ID": "a",
    "SECRET_ACCESS_KEY": "s", "ENDPOINT": "https://s3.example.org", "FORCE_PATH_STYLE": "YES", "AWS": "no",
}  # fmt: skip


@pytest.fixture
def sandbox():
    with two_clouds() as running:
        yield running


@pytest.fixture
async def scene(sandbox):
    made = await machine_in_rbx(sandbox)
    yield made
    made.close()


class Zones(World):
    """As the engine reads clouds that FederatedZones name."""

    async def view(self, cloud: Key) -> Any:
        view = await super().view(cloud)
        return replace(view, federation=await (await self._front(cloud)).zones.federation())


@pytest.mark.parametrize("market", [S3, None], ids=["object storage", "files"])
async def test_between_zones_of_a_federation_it_goes_over_object_storage_as_well(sandbox, market) -> None:
    """The app is in both, so that the other zone imports it by its number, keys and all."""
    paris, rbx = sandbox["paris"], sandbox["rbx"]
    sandbox.do(federation.change, paris, Mode.MASTER)
    front = open_nebula_factory(rate=500, burst=500)(sandbox.endpoint("paris"), "oneadmin", "opennebula", "")
    zone = await front._calls.write("one.zone.allocate", f'NAME="rbx" ENDPOINT="{sandbox.endpoint("rbx")}"')
    front.close()
    sandbox.do(federation.change, rbx, Mode.SLAVE, int(zone), sandbox.endpoint("paris"))
    scene = await machine_in_rbx(sandbox, market)
    try:
        scene.world.__class__ = Zones
        # One of another zone takes nothing of this one, and is listed all the same.
        await scene.fronts["paris"].parts.create_marketplace({**S3, "NAME": "elsewhere"})
        number = int(scene.get("web").external["vm"])
        before = scene.digests("rbx", number)
        scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
        await scene.until(in_phase("Grace"))
        moved = int(scene.get("web").external["vm"])
        assert await scene.machines("paris") == {moved: (3, 3)}
        assert list(scene.digests("paris", moved).values()) == list(before.values())
        assert await scene.left_over() == []
    finally:
        scene.close()


async def test_between_clouds_that_know_nothing_of_one_another_object_storage_is_no_way(sandbox) -> None:
    scene = await machine_in_rbx(sandbox, S3)
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.reason) == ((), "NoMarketplace")
    scene.close()


async def test_a_guest_that_does_not_listen_is_cut_off_after_two_minutes(scene) -> None:
    number = int(scene.get("web").external["vm"])
    scene.do("fail-next", "rbx", step="SHUTDOWN_POWEROFF", message="the guest does not listen")
    scene.put(resource("InstanceMigration", "go", MOVE, uid="uid-go"))
    await scene.until(lambda scene: "stopped" in scene.get("go").external)
    scene.world.now += timedelta(seconds=121)
    await scene.until(in_phase("Grace"))
    assert scene.told.count("PowerCut") == 1
    assert await scene.machines("rbx") == {number: (8, 0)}
    assert scene.get("go").status.downtime_seconds >= 121, "from when it was first told to shut down"


async def test_a_machine_that_may_moves_itself_where_its_spec_says(scene) -> None:
    """The networks of the two have one name: a move that nobody wrote has no map."""
    made: list[Any] = []

    async def apply(manifest: Any) -> None:
        made.append(manifest)
        meta = {"namespace": manifest["metadata"]["namespace"], "uid": "uid-made"}
        scene.put(resource("InstanceMigration", manifest["metadata"]["name"], manifest["spec"], **meta))

    scene.world.kubernetes.apply = apply
    await scene.fronts["paris"]._calls.write("one.vn.rename", 0, "lan")
    number = int(scene.get("web").external["vm"])
    before = scene.digests("rbx", number)
    placed = {"placement": {"cloudRef": {"name": "paris"}}, "updatePolicy": {"move": "Allow"}}
    scene.put(again(scene.get("web"), placed, generation=2))
    await scene.until(lambda scene: scene.get("web").external["cloud"] == "team/paris")
    await scene.until(is_ready)
    (manifest,) = made
    assert manifest["metadata"]["ownerReferences"][0]["name"] == "web"
    moved = int(scene.get("web").external["vm"])
    assert list(scene.digests("paris", moved).values()) == list(before.values())
    plan, outcome = await scene.once("web", MACHINES)
    assert (plan.steps, outcome.phase) == ((), Phase.DONE), "it is where it should be"


async def test_a_move_that_the_machine_made_and_that_failed_is_not_made_again(scene) -> None:
    made: list[str] = []

    async def apply(manifest: Any) -> None:
        made.append(manifest["metadata"]["name"])
        scene.put(resource("InstanceMigration", manifest["metadata"]["name"], manifest["spec"], uid="uid-made"))

    scene.world.kubernetes.apply = apply
    await scene.fronts["paris"]._calls.write("one.vn.rename", 0, "lan")
    scene.do("fail-next", "paris", step="IMAGE", message="No space left on device")
    placed = {"placement": {"cloudRef": {"name": "paris"}}, "updatePolicy": {"move": "Allow"}}
    scene.put(again(scene.get("web"), placed, generation=2))
    await scene.until(lambda scene: made and scene.get(made[0]).status.phase == "Failed")
    for _ in range(3):
        plan, outcome = await scene.once("web", MACHINES)
    assert (plan.steps, outcome.reason, len(made)) == ((), "MoveFailed", 1)
    assert list((await scene.machines("rbx")).values()) == [(3, 3)], "it runs where it was"
    del scene.world.resources[scene.get(made[0]).key]
    await scene.until(lambda scene: scene.get("web").external["cloud"] == "team/paris")


# ------------------------------------------------------------------------------------------------- of a tenant


def tenant(**quota: Any) -> Any:
    there = {"cloudRef": {"name": "paris", "namespace": "team"}, **({"quota": quota} if quota else {})}
    clouds = [{"cloudRef": {"name": "rbx", "namespace": "team"}}, there]
    return resource("Tenant", "prefecture", {"namespaces": ["town"], "clouds": clouds}, namespace="", uid="uid-tenant")


async def as_users(scene: Any) -> None:
    """Whoever is asked for a namespace is its user, but for what is the administrator's."""
    factory, made = open_nebula_factory(rate=500, burst=500), {}
    for name in ("rbx", "paris"):

        async def user(tenancy: Any, vm: int | None, _: int | None, name: str = name) -> Any:
            found = (await scene.view(name)).vms.get(-1 if vm is None else vm)
            if found is not None and found.owner == 0:
                return scene.fronts[name]
            values = await scene.world.kubernetes.secret("sovereign-system", tenancy.secret)
            login = (values["username"], values["password"])
            if (name, *login) not in made:
                made[name, *login] = factory(scene.sandbox.endpoint(name), *login, "")
            return made[name, *login]

        scene.world.as_user[Key("SovereignCloud", "team", name)] = user
    await scene.fronts["paris"]._calls.write("one.vn.rename", 0, "lan")
    for front in scene.fronts.values():
        await front._calls.write("one.vn.chmod", 0, -1, -1, -1, -1, -1, -1, 1, 0, 0)
    await scene.fronts["rbx"]._calls.write("one.image.chmod", 0, -1, -1, -1, -1, -1, -1, 1, 0, 0)


async def of_the_town(scene: Any) -> Any:
    """A machine of its namespace, made by its user."""
    await scene.fronts["rbx"].act(int(scene.get("web").external["vm"]), "terminate-hard")
    del scene.world.resources[scene.get("web").key]
    wanted = {**SPEC, "placement": {"cloudRef": {"name": "rbx", "namespace": "team"}}}
    scene.put(resource("HostedInstance", "web", wanted, namespace="town", uid="uid-web"))
    await scene.until(is_ready)
    return resource(
        "InstanceMigration", "go", {**MOVE, "to": {"cloudRef": {"name": "paris", "namespace": "team"}}, "networkMap": None},
        namespace="town", uid="uid-go",
    )  # fmt: skip


async def test_a_tenants_machine_moves_as_its_own_user_s_from_the_first_to_the_last(scene) -> None:
    await as_users(scene)
    await until_quiet(TenantController(), tenant(vms=1, memory="1Gi"), scene.world, known=True, patience=15.0)
    move = await of_the_town(scene)
    user = (await scene.view("rbx")).vms[int(scene.get("web").external["vm"])].owner
    assert user > 1
    kept = await scene.left_over()  # of the machine that was there before the namespace had a user
    scene.put(move)
    await scene.until(in_phase("Grace"))
    view = await scene.view("paris")
    (machine,) = view.vms.values()
    owners = {view.images[disk.image_id].owner for disk in machine.disks if disk.image_id >= 0}
    assert machine.owner > 1
    assert owners == {machine.owner}, "the disks are its own as well"
    await scene.until(is_ready)
    scene.world.now += timedelta(hours=2)
    await scene.until(in_phase("Succeeded"))
    assert await scene.machines("rbx") == {}
    assert await scene.left_over() == kept


async def test_a_quota_of_the_other_cloud_is_told_before_anything_is_done(scene) -> None:
    await as_users(scene)
    await until_quiet(TenantController(), tenant(vms=1, memory="256Mi"), scene.world, known=True, patience=15.0)
    scene.put(await of_the_town(scene))
    plan, outcome = await scene.once("go", MOVES)
    assert (plan.steps, outcome.reason) == ((), "QuotaExceeded")
    assert "memory" in outcome.message.lower()
