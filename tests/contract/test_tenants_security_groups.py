"""A tenant's security groups, made and used by the tenant's own user of OpenNebula."""

from typing import Any

from tests.contract.test_tenants_in_opennebula import (
    INSTANCES,
    RBX,
    TENANTS,
    clients,
    endpoint,
    instance,
    platform,
    tenant,
    until_quiet,
    world,
)
from tests.unit.kinds.opennebula_in_memory import again, resource, run

from sovereigncloud.kinds.securitygroup.controller import SecurityGroupController

__all__ = ["clients", "endpoint", "world"]  # fixtures
GROUPS = SecurityGroupController()
HTTPS = {"direction": "Inbound", "protocol": "TCP", "range": "443"}
OUT = {"direction": "Outbound", "protocol": "ALL"}


def group(namespace: str, *rules: dict[str, Any], **meta: Any) -> Any:
    return resource("SecurityGroup", "web", {"rules": list(rules) or [HTTPS]}, namespace=namespace, **meta)


async def test_two_tenants_each_have_a_group_of_one_name_and_use_their_own(world) -> None:
    await platform(world)
    for name, space in (("prefecture", "town"), ("city", "city")):
        await until_quiet(TENANTS, tenant(name, (space,), uid=f"uid-{space}"), world)
    made = {space: await until_quiet(GROUPS, group(space, uid=f"uid-g-{space}"), world) for space in ("town", "city")}
    front = await world.open_nebula(RBX)
    view = await front.view(0)
    mine = view.security_groups[int(made["town"].external["group.team/rbx"])]
    theirs = view.security_groups[int(made["city"].external["group.team/rbx"])]
    assert (mine.name, theirs.name) == ("web", "web")
    assert len({0, mine.owner, theirs.owner}) == 3, "neither is the administrator's"

    card = [{"name": "vm_public", "address": "57.131.167.180", "securityGroups": ["web"]}]
    web = await until_quiet(INSTANCES, instance(networks=card), world)
    (nic,) = (await front.vm(int(web.external["vm"]))).nics
    assert (nic.ip, nic.groups) == ("57.131.167.180", (mine.id,)), "OpenNebula's own was taken off, too"
    town = await until_quiet(GROUPS, again(made["town"], {"rules": [HTTPS, OUT]}, generation=2), world)
    assert town.status.machines == "1/1"

    _, plan, _ = await run(GROUPS, again(town, deleting=True), world)
    assert (plan.steps, plan.outcome.reason) == ((), "InUse")
    await until_quiet(INSTANCES, again(web, deleting=True), world)
    del world.resources[web.key]
    for one in (town, made["city"]):
        await until_quiet(GROUPS, again(one, deleting=True), world)
    assert set((await front.view(0)).security_groups) == {0}
