"""A Tenant and its machines, through the real adapter, on a front-end with the real wire format and its rights."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
from tests.contract import live_cloud
from tests.contract.live_cloud import FAST
from tests.unit.kinds.opennebula_in_memory import World, again, resource, run

from sovereigncloud.api.common.base import Key
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud.kinds.securitygroup.controller import SecurityGroupController
from sovereigncloud.kinds.tenant.controller import TenantController
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController
from sovereigncloud.ports.errors import Auth, Conflict, Quota, Rejected
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

RBX = Key("SovereignCloud", "team", "rbx")
CLOUD = {"cloudRef": {"name": "rbx", "namespace": "team"}}
until_quiet = partial(live_cloud.until_quiet, known=True, patience=15.0)
TENANTS, INSTANCES = TenantController(), HostedInstanceController()
SIZE = {"vcpu": 1, "memory": "512Mi"}


@pytest.fixture
def endpoint():
    with BackgroundSandbox(CloudSpec("tenants", hosts=(HostSpec("127.0.0.2"),), speeds=FAST)) as sandbox:
        time.sleep(0.3)  # until the datastores are monitored
        yield sandbox.endpoint("tenants")


@pytest.fixture
async def clients(endpoint):
    made = []
    factory = open_nebula_factory(rate=500, burst=500)

    def client(name: str = "oneadmin", password: str = "opennebula") -> Any:
        made.append(factory(endpoint, name, password, ""))
        return made[-1]

    yield client
    for one in made:
        one.close()


@pytest.fixture
async def world(clients):
    """As the engine's: whoever is asked for a namespace is its user, but for machines of the administrator."""
    front = clients()
    made = World(rbx=front)

    async def as_user(tenancy: Any, vm: int | None, security_group: int | None) -> Any:
        view = await front.view(0)
        found = (view.vms.get(_id(vm)), view.security_groups.get(_id(security_group)))
        if any(thing is not None and thing.owner == 0 for thing in found):
            return front
        values = await made.kubernetes.secret("sovereign-system", tenancy.secret)
        return clients(values["username"], values["password"])

    made.as_user[RBX] = as_user
    return made


def _id(number: int | None) -> int:
    return -1 if number is None else number


def tenant(name: str = "prefecture", namespaces: tuple[str, ...] = ("town",), uid: str = "uid-1", **spec: Any) -> Any:
    quota = spec.pop("quota", None)
    cloud = {**CLOUD, **({"quota": quota} if quota else {}), **spec.pop("cloud", {})}
    return resource("Tenant", name, {"namespaces": list(namespaces), "clouds": [cloud], **spec}, namespace="", uid=uid)


async def platform(world: World) -> None:
    """A network and an image, made by the platform."""
    net = {"name": "vm_public", "publicBlock": "57.131.167.176/28", "cloudRef": {"name": "rbx"}}
    image = {"cloudRefs": [{"name": "rbx"}], "source": {"url": "https://images.example/u.qcow2"}}
    await until_quiet(VirtualNetworkController(), resource("VirtualNetwork", "public", net), world)
    await until_quiet(MachineImageController(), resource("MachineImage", "ubuntu", image), world)


def instance(name: str = "web", namespace: str = "town", **spec: Any) -> Any:
    wanted = {"source": {"image": "ubuntu"}, "networks": [{"name": "vm_public"}], **SIZE, **spec}
    return resource("HostedInstance", name, wanted, namespace=namespace, uid=f"uid-{name}")


async def test_a_tenant_makes_a_machine_from_what_the_platform_made(world) -> None:
    await platform(world)
    quota = {"vms": 1, "cpu": "4", "memory": "4Gi", "networks": [{"name": "vm_public", "leases": 4}]}
    prefecture = await until_quiet(TENANTS, tenant(quota=quota), world)
    front = await world.open_nebula(RBX)
    people = await front.tenancy.view()
    (told,) = prefecture.status.clouds
    group, user = int(told.group), people.users[int(told.users[0].id)]
    assert (prefecture.status.clouds_ready, people.groups[group].name) == ("1/1", "prefecture")
    assert (user.group, user.driver, user.mark.object) == (group, "core", "Tenant//prefecture")
    assert group not in people.vdcs[0].groups, "out of the default VDC"
    assert (people.vdcs[int(told.vdc)].groups, people.vdcs[int(told.vdc)].clusters) == ({group}, {(0, -10)})
    limits = {key: str(one.limit) for key, one in people.groups[group].quota.items() if one.limit >= 0}
    assert limits == {
        ("VM", "", "VMS"): "1", ("VM", "", "CPU"): "4", ("VM", "", "MEMORY"): "4096", ("NETWORK", "0", "LEASES"): "4",
    }  # fmt: skip

    web = await until_quiet(INSTANCES, instance(), world)
    machine = await front.vm(int(web.external["vm"]))
    assert (machine.owner, web.status.state, web.status.placement.cloud) == (user.id, "Running", "team/rbx")

    web = await until_quiet(
        INSTANCES, again(web, {"memory": "768Mi", "updatePolicy": {"powerCycle": "Allow"}}, generation=2), world
    )
    assert (await front.vm(machine.id)).memory == 768, "as the tenant's user, too"

    _, plan, _ = await run(INSTANCES, instance("second"), world)
    assert plan.outcome.reason == "QuotaExceeded", "told before anything is asked for"
    assert "machines 1 of 1 used, 1 more asked for, 1 too many" in plan.outcome.message
    assert [type(step).__name__ for step in plan.steps] == ["BindInstance"]

    _, _, outcome = await run(TENANTS, again(prefecture, deleting=True), world)
    assert (outcome.reason, "VM 0" in outcome.message) == ("InUse", True)

    await until_quiet(INSTANCES, again(web, deleting=True), world)
    del world.resources[web.key]
    await until_quiet(TENANTS, again(prefecture, deleting=True), world)
    people = await front.tenancy.view()
    assert "prefecture" not in {one.name for one in (*people.groups.values(), *people.vdcs.values())}
    assert {one.name for one in people.users.values()} == {"oneadmin", "serveradmin"}
    assert not people.images
    assert world.secrets == {}, "the password went with the user"


async def test_all_that_a_machine_may_have_is_made_by_the_namespaces_own_user(world) -> None:
    """Security group, data disk, VM group, snapshot: what is the tenant's; backup: what is the administrator's."""
    await platform(world)
    front = await world.open_nebula(RBX)
    prefecture = await until_quiet(TENANTS, tenant(), world)
    user = int(prefecture.status.clouds[0].users[0].id)
    rules = [
        {"direction": "Inbound", "protocol": "TCP", "range": "22,443"},
        {"direction": "Outbound", "protocol": "ALL"},
    ]
    group = resource("SecurityGroup", "web", {"rules": rules}, namespace="town", uid="uid-group")
    group = await until_quiet(SecurityGroupController(), group, world)
    web = await until_quiet(
        INSTANCES,
        instance(
            networks=[{"name": "vm_public", "securityGroups": ["web"]}],
            disks=[{"name": "root", "size": "3Gi"}, {"name": "data", "size": "1Gi", "deletionPolicy": "Delete"}],
            group={"name": "web", "policy": "Apart"},
            sshAuthorizedKeys=["ssh-ed25519 AAAA me@prefecture"],
            power="Running",
        ),
        world,
    )
    view = await front.view(0)
    machine = view.vms[int(web.external["vm"])]
    (data,) = (
        image for image in view.images.values() if image.mark is not None and "HostedInstance" in image.mark.object
    )
    (filters,) = (one for one in view.security_groups.values() if one.name == "web")
    (together,) = view.vm_groups.values()
    assert {machine.owner, data.owner, filters.owner, together.owner} == {user}
    assert len(machine.disks) == 2

    ours = [{"name": "root", "size": "4Gi"}, {"name": "data", "size": "2Gi", "deletionPolicy": "Delete"}]
    web = await until_quiet(INSTANCES, again(web, {"disks": ours, "name": "www"}, generation=2), world)
    machine = (await front.view(0)).vms[machine.id]
    assert (machine.name, [disk.size for disk in machine.disks]) == ("www", [4096, 2048])

    await until_quiet(INSTANCES, again(web, deleting=True), world)
    del world.resources[web.key]
    await until_quiet(SecurityGroupController(), again(group, deleting=True), world)
    await until_quiet(TENANTS, again(prefecture, deleting=True), world)
    assert user not in (await front.tenancy.view()).users


async def test_what_stood_before_the_tenant_came_stays_the_administrators(world) -> None:
    await platform(world)
    rules = [{"direction": "Outbound", "protocol": "ALL"}]
    group = resource("SecurityGroup", "web", {"rules": rules}, uid="uid-group")
    group = await until_quiet(SecurityGroupController(), group, world)
    web = await until_quiet(INSTANCES, instance(namespace="team"), world)
    await until_quiet(TENANTS, tenant(namespaces=("team",)), world)
    policy = {"memory": "768Mi", "updatePolicy": {"powerCycle": "Allow"}}
    web = await until_quiet(INSTANCES, again(web, policy, generation=2), world)
    more = [*rules, {"direction": "Inbound", "protocol": "TCP", "range": "22"}]
    await until_quiet(SecurityGroupController(), again(group, {"rules": more}, generation=2), world)
    machine = await (await world.open_nebula(RBX)).vm(int(web.external["vm"]))
    assert (machine.owner, machine.memory) == (0, 768), "kept, and by whom it was made"
    await until_quiet(INSTANCES, again(web, deleting=True), world)


async def test_every_verb_may_be_done_again(clients) -> None:
    """An answer may have been lost."""
    calls = clients().tenancy
    group, vdc = await calls.create_group("g"), await calls.create_vdc({"NAME": "v", "SOVEREIGNCLOUD_UID": "u"})
    user = await calls.create_user("p", "-", "ldap", 1)
    for _ in range(2):
        await calls.join_vdc(vdc, group)
        await calls.leave_vdc(0, group)
        await calls.add_cluster(vdc, 0, 0)
        await calls.join_group(user, group)
        await calls.set_quota(
            group, {"VM": [{"VMS": "2", "CPU": "1.5"}], "DATASTORE": [{"ID": "1", "IMAGES": "3", "SIZE": "100"}]}
        )
        await calls.allow_image(group, 7, 0)
    seen = await calls.view()
    assert (seen.vdcs[vdc].groups, seen.vdcs[vdc].clusters, seen.zone) == ({group}, {(0, 0)}, 0)
    assert (seen.users[user].groups, seen.users[user].driver) == ({1, group}, "ldap")
    limits = {key: float(one.limit) for key, one in seen.groups[group].quota.items() if one.limit >= 0}
    assert limits == {
        ("VM", "", "VMS"): 2, ("VM", "", "CPU"): 1.5, ("DATASTORE", "1", "IMAGES"): 3, ("DATASTORE", "1", "SIZE"): 100,
    }  # fmt: skip
    assert list(seen.images) == [(group, 7)]
    with pytest.raises(Conflict):
        await calls.create_group("g")
    with pytest.raises(Conflict):
        await calls.create_user("p", "-", "ldap", 1)
    with pytest.raises(Conflict):
        await calls.create_vdc({"NAME": "v"})
    await calls.remove_rule(seen.images[group, 7])
    for _ in range(2):
        await calls.leave_group(user, group)
        await calls.remove_cluster(vdc, 0, 0)
    await calls.rename_vdc(vdc, "w")
    seen = await calls.view()
    assert (seen.vdcs[vdc].name, seen.vdcs[vdc].clusters, seen.users[user].groups, seen.images) == ("w", set(), {1}, {})
    await calls.delete_user(user)
    await calls.delete_vdc(vdc)
    await calls.delete_group(group)
    seen = await calls.view()
    assert group not in seen.groups


async def test_people_from_elsewhere_get_in_and_out(world) -> None:
    front = await world.open_nebula(RBX)
    carol = await front.tenancy.create_user("carol", "-", "ldap", 1)
    people = [{"name": "alice", "driver": "saml"}, {"name": "carol", "driver": "ldap"}]
    prefecture = await until_quiet(TENANTS, tenant(externalUsers=people), world)
    group = int(prefecture.status.clouds[0].group)
    seen = await front.tenancy.view()
    alice = next(one for one in seen.users.values() if one.name == "alice")
    assert (alice.driver, alice.group, seen.users[carol].groups) == ("saml", group, {1, group})
    await until_quiet(TENANTS, again(prefecture, {"externalUsers": []}, generation=2), world)
    seen = await front.tenancy.view()
    assert (alice.id in seen.users, seen.users[carol].groups) == (False, {1})


async def test_what_opennebula_itself_refuses_and_hides(world) -> None:
    await platform(world)
    await until_quiet(TENANTS, tenant(quota={"vms": 1}), world)
    await until_quiet(TENANTS, tenant("city", ("city",), uid="uid-2"), world)
    web = await until_quiet(INSTANCES, instance(), world)
    mine = await world.open_nebula_for(RBX, "town")
    other = await world.open_nebula_for(RBX, "city")
    template = {"NAME": "more", "CPU": "1", "VCPU": "1", "MEMORY": "64"}
    with pytest.raises(Quota, match="limit of 1 reached for VMS quota"):
        await mine.create_vm(template)
    assert await other.create_vm(template), "each tenant has a quota of its own"
    with pytest.raises(Auth, match="USE VM"):
        await other.vm(int(web.external["vm"]))
    with pytest.raises(Auth):
        await other.act(int(web.external["vm"]), "terminate-hard")
    assert {one.name for one in (await other.view(0)).vms.values()} == {"more"}
    with pytest.raises(Auth):
        await mine.tenancy.create_group("mine")
    with pytest.raises(Rejected, match="restricted attribute"):
        await mine.create_network({"NAME": "own", "VN_MAD": "dummy", "AR": []}, 0)
