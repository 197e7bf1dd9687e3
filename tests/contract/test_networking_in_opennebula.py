"""Security groups, the cards of a machine and everything that a network can be, on a front-end with the real wire format."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.contract.live_cloud import CLOUD, FAST, declared, gone, until_quiet
from tests.unit.kinds.opennebula_in_memory import World, again, resource, run

from sovereigncloud.core.plan import Disruption
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud.kinds.securitygroup.controller import SecurityGroupController
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController
from sovereigncloud.ports.opennebula.security_groups import SecurityRule
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

GROUPS, NETWORKS, INSTANCES = SecurityGroupController(), VirtualNetworkController(), HostedInstanceController()
HTTPS = {"direction": "Inbound", "protocol": "TCP", "range": "443"}
ANY_OUT = {"direction": "Outbound", "protocol": "ALL"}


@pytest.fixture(scope="module")
def endpoint():
    with BackgroundSandbox(CloudSpec("net", hosts=(HostSpec("127.0.0.2"),), speeds=FAST)) as sandbox:
        time.sleep(0.3)  # until the datastores are monitored
        yield sandbox.endpoint("net")


def lan(*, key: str = "lan", **spec: Any) -> Any:
    kind = {} if spec.keys() & {"vxlanID", "bridge", "vlanID"} else {"vlanID": 100}
    base = CLOUD | kind | {"addressRanges": [{"ip": "10.100.0.10", "size": 20}]}
    return resource("VirtualNetwork", key, base | spec)


async def group_of(front: Any, made: Any) -> Any:
    return (await front.view(0)).security_groups[int(made.external["group.team/rbx"])]


async def network_of(front: Any, made: Any) -> Any:
    return (await front.view(0)).networks[int(made.external["network"])]


async def test_a_group_is_made_kept_rule_by_rule_taken_over_and_deleted(front) -> None:
    world = World(rbx=front)
    rules = [
        HTTPS, ANY_OUT, {"direction": "Inbound", "protocol": "ICMP", "icmpType": 8},
        {"direction": "Inbound", "protocol": "UDP", "range": "53,8000:8080", "cidr": "10.0.0.0/8"},
        {"direction": "Outbound", "protocol": "ICMPv6"}, {"direction": "Outbound", "protocol": "IPsec"},
    ]  # fmt: skip
    web = await until_quiet(GROUPS, resource("SecurityGroup", "made", {"rules": rules}), world)
    found = await group_of(front, web)
    assert len(found.rules) == 6
    assert SecurityRule("UDP", "INBOUND", "53,8000:8080", "10.0.0.0", "16777216") in found.rules

    await front.security_groups.set_rules(found.id, (SecurityRule("ALL", "INBOUND"),), {})
    _, plan, _ = await run(GROUPS, web, world)
    assert len(plan.drift) == 7, "six that lack, one too many"
    web = await until_quiet(GROUPS, web, world)
    assert len((await group_of(front, web)).rules) == 6

    await front.security_groups.rename(found.id, "oops")
    web = await until_quiet(GROUPS, declared(web, rules=[HTTPS]), world)
    found = await group_of(front, web)
    assert (found.name, found.rules) == ("made", (SecurityRule("TCP", "INBOUND", "443"),))

    rebuilt = resource("SecurityGroup", "made", {"rules": [HTTPS]}, uid="uid-2")
    web = await until_quiet(GROUPS, rebuilt, world)
    taken = await group_of(front, web)
    assert (taken.id, taken.mark.uid) == (found.id, "uid-2")
    await gone(GROUPS, web, world)
    assert found.id not in (await front.view(0)).security_groups


async def test_cards_have_their_address_and_their_groups_and_each_changes_alone(front) -> None:
    world = World(rbx=front)
    image = {"cloudRefs": [{"name": "rbx"}], "source": {"url": "https://images.example/u.qcow2"}}
    await until_quiet(MachineImageController(), resource("MachineImage", "ubuntu", image), world)
    net = await until_quiet(NETWORKS, lan(name="net-a"), world)
    other = await until_quiet(NETWORKS, lan(key="dmz", name="net-b", vlanID=101), world)
    web = await until_quiet(GROUPS, resource("SecurityGroup", "web", {"rules": [HTTPS]}), world)
    ssh = await until_quiet(GROUPS, resource("SecurityGroup", "ssh", {"rules": [ANY_OUT]}), world)
    group = int(web.external["group.team/rbx"])
    card = {"name": "net-a", "address": "10.100.0.15", "securityGroups": ["web"]}
    spec = {
        "source": {"image": "ubuntu"}, "vcpu": 1, "memory": "256Mi", "placement": CLOUD,
        "networks": [card, {"name": "net-b"}],
    }  # fmt: skip
    vm = await until_quiet(INSTANCES, resource("HostedInstance", "cards", spec), world)
    number = int(vm.external["vm"])
    first, second = (await front.vm(number)).nics
    assert (first.ip, first.groups) == ("10.100.0.15", (group,)), "without the group that lets everything through"
    assert second.groups == (0,), "spec says nothing of it"
    assert (vm.status.networks[0].address, vm.status.networks[0].security_groups) == ("10.100.0.15", ["web"])

    # The other end of a rule: a change reaches the machine.
    web = await until_quiet(GROUPS, declared(web, rules=[HTTPS, ANY_OUT]), world)
    assert web.status.machines == "1/1"
    assert (await group_of(front, web)).updated == (number,)

    # Rules do not reach a machine while a card is attached to it: OpenNebula gives up, so it is asked once more.
    spare = await until_quiet(NETWORKS, lan(key="spare", name="net-c", vlanID=102), world)
    await front.attach_nic(number, {"NETWORK_ID": spare.external["network"]})
    await front.security_groups.commit(group)
    for _ in range(100):
        if (await group_of(front, web)).failed:
            break
        await asyncio.sleep(0.01)
    assert (await group_of(front, web)).failed == (number,)
    web = await until_quiet(GROUPS, web, world)
    assert ((await group_of(front, web)).updated, web.status.machines) == ((number,), "1/1")
    vm = await until_quiet(INSTANCES, vm, world)
    await gone(NETWORKS, spare, world)

    # Somebody changes groups: they come back, the card stays.
    await front.security_groups.attach(number, first.id, 0)
    vm = await until_quiet(INSTANCES, vm, world)
    both = [{**card, "securityGroups": ["web", "ssh"]}, {"name": "net-b", "securityGroups": ["ssh"]}]
    vm = await until_quiet(INSTANCES, declared(vm, networks=both), world)
    kept, second_kept = (await front.vm(number)).nics
    assert (kept.id, kept.ip, kept.mac) == (first.id, first.ip, first.mac)
    assert len(kept.groups) == 2
    assert second_kept.groups == (int(ssh.external["group.team/rbx"]),)

    # Another address: that card alone.
    moved = declared(vm, networks=[{**card, "address": "10.100.0.20"}, both[1]])
    _, plan, _ = await run(INSTANCES, moved, world)
    assert plan.steps[0].disruption is Disruption.CONNECTION
    vm = await until_quiet(INSTANCES, moved, world)
    nics = {nic.network: nic for nic in (await front.vm(number)).nics}
    assert (nics["net-a"].ip, nics["net-a"].groups) == ("10.100.0.20", (group,))
    assert (nics["net-b"].id, nics["net-b"].ip) == (second.id, second.ip)

    # One that is taken, and one that does not exist.
    hold = await until_quiet(NETWORKS, declared(net, held=["10.100.0.11"]), world)
    for address, reason in (("10.100.0.11", "AddressInUse"), ("10.9.9.9", "AddressOutsideRanges")):
        wrong = declared(vm, networks=[{**card, "address": address}, both[1]])
        _, plan, _ = await run(INSTANCES, wrong, world)
        assert (plan.steps, plan.outcome.reason) == ((), reason)

    # The end waits for whoever uses it.
    for controller, thing in ((GROUPS, web), (NETWORKS, hold)):
        _, plan, _ = await run(controller, again(thing, deleting=True), world)
        assert (plan.steps, plan.outcome.reason) == ((), "InUse")
        assert "VM" in plan.outcome.message
    await gone(INSTANCES, vm, world)
    for controller, thing in ((GROUPS, web), (GROUPS, ssh), (NETWORKS, hold), (NETWORKS, other)):
        await gone(controller, thing, world)
    view = await front.view(0)
    assert set(view.security_groups) == {0}
    assert not {"net-a", "net-b"} & {one.name for one in view.networks.values()}


@pytest.mark.parametrize(
    ("kind", "behind"),
    [
        ({"vxlanID": 4711}, {"VLAN_ID": "4712"}),
        ({"bridge": "br0"}, {"BRIDGE": "br1"}),
        (
            {"vlanID": 7, "mtu": 1500, "gateway": "10.100.0.1", "dns": ["10.0.0.2"]},
            {"MTU": "9000", "GATEWAY": "10.1.1.1"},
        ),
    ],
    ids=["vxlan", "bridge", "vlan"],
)
async def test_a_network_of_every_kind_is_kept(front, kind: dict[str, Any], behind: dict[str, str]) -> None:
    world = World(rbx=front)
    name = next(iter(kind)).lower()
    net = await until_quiet(NETWORKS, lan(key=name, **kind), world)
    before = (await network_of(front, net)).attributes
    await front.update_network(int(net.external["network"]), behind)
    _, plan, _ = await run(NETWORKS, net, world)
    assert len(plan.drift) == len(behind)
    net = await until_quiet(NETWORKS, net, world)
    assert (await network_of(front, net)).attributes == before
    await gone(NETWORKS, net, world)


async def test_addresses_on_hold_and_the_groups_of_new_cards(front) -> None:
    world = World(rbx=front)
    web = await until_quiet(GROUPS, resource("SecurityGroup", "held", {"rules": [HTTPS]}), world)
    net = await until_quiet(NETWORKS, lan(held=["10.100.0.12", "10.100.0.13"], securityGroups=["held"]), world)
    found = await network_of(front, net)
    assert found.attributes["SECURITY_GROUPS"] == web.external["group.team/rbx"], "not OpenNebula's own"
    assert [lease.index for lease in found.ranges[0].leases] == [2, 3]
    await front.addresses.release(found.id, "10.100.0.12")
    await front.addresses.hold(found.id, "10.100.0.20")
    net = await until_quiet(NETWORKS, net, world)
    assert [lease.index for lease in (await network_of(front, net)).ranges[0].leases] == [2, 3]
    await gone(NETWORKS, net, world)
    await gone(GROUPS, web, world)


async def test_a_reservation_of_several_ranges_keeps_its_clusters_and_gives_back_what_it_took(front) -> None:
    world = World(rbx=front)
    two = [{"ip": "10.100.0.10", "size": 20}, {"ip": "10.101.0.10", "size": 20}]
    big = await until_quiet(NETWORKS, lan(key="big", addressRanges=two), world)
    part = resource(
        "VirtualNetwork",
        "part",
        CLOUD | {
            "reservation": {"from": "big"},
            "addressRanges": [{"ip": "10.100.0.12", "size": 4}, {"ip": "10.101.0.10", "size": 2}],
            "gateway": "10.100.0.1",
        },
    )  # fmt: skip
    part = await until_quiet(NETWORKS, part, world)
    parent, found = await network_of(front, big), await network_of(front, part)
    assert (found.parent, found.clusters, found.attributes["VLAN_ID"]) == (parent.id, parent.clusters, "100")
    assert found.attributes["GATEWAY"] == "10.100.0.1"
    assert {lease.holder for range_ in parent.ranges for lease in range_.leases} == {"NET"}
    part = await until_quiet(NETWORKS, declared(part, addressRanges=[{"ip": "10.100.0.12", "size": 6}]), world)
    assert [len(range_.leases) for range_ in (await network_of(front, big)).ranges] == [6, 0]

    taken = declared(big, addressRanges=[{"ip": "10.101.0.10", "size": 20}])
    _, plan, _ = await run(NETWORKS, taken, world)
    assert (plan.steps, plan.outcome.reason) == ((), "InUse")
    assert f'reservation {found.id} "part"' in plan.outcome.message
    _, plan, _ = await run(NETWORKS, again(big, deleting=True), world)
    assert (plan.steps, plan.outcome.reason) == ((), "InUse")
    await gone(NETWORKS, part, world)
    big = await until_quiet(NETWORKS, taken, world)
    await gone(NETWORKS, big, world)
