"""Every field of networks, security groups and cards that somebody can change in OpenNebula: each is changed there, told with its
path and both values, put right, and nothing is told where nothing was changed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.contract.live_cloud import CLOUD, FAST, until_quiet
from tests.unit.kinds.opennebula_in_memory import World, look, resource

from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud.kinds.securitygroup.controller import SecurityGroupController
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController
from sovereigncloud.ports.opennebula.security_groups import SecurityRule
from sovereigncloud.ports.opennebula.views import AddressRange
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

GROUPS, NETWORKS, INSTANCES = SecurityGroupController(), VirtualNetworkController(), HostedInstanceController()
RANGES = [{"ip": "10.100.0.10", "size": 20}, {"ip": "10.101.0.10", "size": 5}]
WANTED = {
    "web": (GROUPS, resource("SecurityGroup", "web", {"rules": [{"direction": "Inbound", "protocol": "TCP", "range": "443"}]})),
    "ubuntu": (
        MachineImageController(),
        resource("MachineImage", "ubuntu", {"cloudRefs": [{"name": "rbx"}], "source": {"url": "https://images.example/u.qcow2"}}),
    ),
    "public": (
        NETWORKS,
        resource("VirtualNetwork", "public", CLOUD | {"publicBlock": "57.131.167.176/28", "mtu": 1500, "securityGroups": ["web"]}),
    ),
    "lan": (
        NETWORKS,
        resource(
            "VirtualNetwork", "lan",
            CLOUD | {"vlanID": 100, "physicalDevice": "bond1", "addressRanges": RANGES, "held": ["10.100.0.29"],
                     "gateway": "10.100.0.1", "dns": ["10.0.0.2", "10.0.0.3"]},
        ),
    ),
    "vxlan": (NETWORKS, resource("VirtualNetwork", "vxlan", CLOUD | {"vxlanID": 9, "addressRanges": RANGES})),
    "bridge": (NETWORKS, resource("VirtualNetwork", "bridge", CLOUD | {"bridge": "br0", "addressRanges": RANGES})),
    "vm": (
        INSTANCES,
        resource("HostedInstance", "vm", {
            "source": {"image": "ubuntu"}, "vcpu": 1, "memory": "256Mi", "placement": CLOUD,
            "networks": [{"name": "lan", "address": "10.100.0.12", "securityGroups": ["web"]}, {"name": "bridge"}],
        }),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def endpoint():
    with BackgroundSandbox(CloudSpec("drift", hosts=(HostSpec("127.0.0.2"),), speeds=FAST)) as sandbox:
        time.sleep(0.3)  # until the datastores are monitored
        yield sandbox.endpoint("drift")


KNOWN: dict[str, Any] = {}
"""The objects as they are once all was made, for all rows."""


@pytest.fixture
async def scene(front):
    world = World(rbx=front)
    for name, (controller, wanted) in WANTED.items():
        if name not in KNOWN:
            KNOWN[name] = await until_quiet(controller, wanted, world)
    return Scene(front, world)


class Scene:
    def __init__(self, front: Any, world: World) -> None:
        self.front, self.world = front, world

    def id(self, name: str) -> int:
        external = KNOWN[name].external
        return int(external.get("network") or external.get("vm") or external.get("group.team/rbx"))

    def network(self, name: str, **attributes: str) -> Awaitable[None]:
        return self.front.update_network(self.id(name), attributes)

    async def card(self, network: str) -> Any:
        return next(nic for nic in (await self.front.vm(self.id("vm"))).nics if nic.network == network)

    async def settle(self) -> None:
        for _ in range(500):
            if (await self.front.vm(self.id("vm"))).lcm_state == 3:
                return
            await asyncio.sleep(0.02)


async def another_address(s: Scene) -> None:
    await s.front.detach_nic(s.id("vm"), (await s.card("lan")).id)
    await s.settle()
    await s.front.attach_nic(s.id("vm"), {"NETWORK_ID": str(s.id("lan")), "SECURITY_GROUPS": str(s.id("web"))})
    await s.settle()
    await s.front.security_groups.detach(s.id("vm"), (await s.card("lan")).id, 0)
    await s.settle()


async def card_off(s: Scene) -> None:
    await s.front.detach_nic(s.id("vm"), (await s.card("bridge")).id)
    await s.settle()


async def card_on(s: Scene) -> None:
    await s.front.attach_nic(s.id("vm"), {"NETWORK_ID": str(s.id("vxlan"))})
    await s.settle()


async def group_off(s: Scene) -> None:
    card = (await s.card("lan")).id
    await s.front.security_groups.attach(s.id("vm"), card, 0)
    await s.settle()
    await s.front.security_groups.detach(s.id("vm"), card, s.id("web"))
    await s.settle()


NAMING = {"web": ("vm", "public")}
"""Who finds a thing by its name notices that it has another."""
Change = Callable[[Scene], Awaitable[None]]
RULES = (SecurityRule("TCP", "INBOUND", "443"), SecurityRule("TCP", "INBOUND", "22"))
ROWS: list[tuple[str, Change, dict[str, tuple[str, str]]]] = [
    ("public", lambda s: s.network("public", NETWORK_MASK="255.255.255.0"),
     {"spec.publicBlock": ("NETWORK_MASK=255.255.255.240", "NETWORK_MASK=255.255.255.0")}),
    ("public", lambda s: s.network("public", FILTER_IP_SPOOFING="YES"),
     {"spec.publicBlock": ("FILTER_IP_SPOOFING=NO", "FILTER_IP_SPOOFING=YES")}),
    ("public", lambda s: s.network("public", GATEWAY="57.131.167.177"), {"spec.gateway": ("57.131.167.190", "57.131.167.177")}),
    ("public", lambda s: s.network("public", DNS="9.9.9.9"), {"spec.dns": ("213.186.33.99", "9.9.9.9")}),
    ("public", lambda s: s.network("public", PHYDEV="bond9"), {"spec.physicalDevice": ("vrack_bond", "bond9")}),
    ("public", lambda s: s.network("public", MTU="9000"), {"spec.mtu": ("1500", "9000")}),
    ("public", lambda s: s.network("public", SECURITY_GROUPS="0"), {"spec.securityGroups": ("web", "default")}),
    ("lan", lambda s: s.network("lan", VLAN_ID="101"), {"spec.vlanID": ("VLAN_ID=100", "VLAN_ID=101")}),
    ("lan", lambda s: s.network("lan", PHYDEV="bond9"), {"spec.physicalDevice": ("bond1", "bond9")}),
    ("lan", lambda s: s.network("lan", GATEWAY="10.100.0.9"), {"spec.gateway": ("10.100.0.1", "10.100.0.9")}),
    ("lan", lambda s: s.network("lan", DNS="10.0.0.3"), {"spec.dns": ("10.0.0.2 10.0.0.3", "10.0.0.3")}),
    ("lan", lambda s: s.front.addresses.release(s.id("lan"), "10.100.0.29"), {"spec.held[10.100.0.29]": ("on hold", "free")}),
    ("lan", lambda s: s.front.addresses.hold(s.id("lan"), "10.101.0.11"), {"spec.held[10.101.0.11]": ("free", "on hold")}),
    ("lan", lambda s: s.front.remove_range(s.id("lan"), 1), {"spec.addressRanges[10.101.0.10]": ("10.101.0.10+5", "absent")}),
    ("lan", lambda s: s.front.add_range(s.id("lan"), AddressRange("10.102.0.10", 7)),
     {"spec.addressRanges[10.102.0.10]": ("absent", "10.102.0.10+7")}),
    ("lan", lambda s: s.front.resize_range(s.id("lan"), AddressRange("10.100.0.10", 25, 0)),
     {"spec.addressRanges[10.100.0.10]": ("10.100.0.10+20", "10.100.0.10+25")}),
    ("vxlan", lambda s: s.network("vxlan", VLAN_ID="10"), {"spec.vxlanID": ("VLAN_ID=9", "VLAN_ID=10")}),
    ("bridge", lambda s: s.network("bridge", BRIDGE="br9"), {"spec.bridge": ("BRIDGE=br0", "BRIDGE=br9")}),
    ("web", lambda s: s.front.security_groups.set_rules(s.id("web"), RULES, {}),
     {"spec.rules[Inbound TCP 22]": ("absent", "present in team/rbx")}),
    ("web", lambda s: s.front.security_groups.set_rules(s.id("web"), RULES[1:], {}),
     {"spec.rules[Inbound TCP 443]": ("present", "absent in team/rbx"), "spec.rules[Inbound TCP 22]": ("absent", "present in team/rbx")}),
    ("web", lambda s: s.front.security_groups.rename(s.id("web"), "oops"), {"spec.name": ("web", "oops in team/rbx")}),
    ("vm", group_off, {"spec.networks[lan].securityGroups": ("web", "default")}),
    ("vm", another_address, {"spec.networks[lan].address": ("10.100.0.12", "10.100.0.13")}),
    ("vm", card_off, {"spec.networks[bridge]": ("attached", "absent")}),
    ("vm", card_on, {"spec.networks[vxlan]": ("absent", "card N, 10.100.0.10")}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "drift"), ROWS, ids=[f"{row[0]} {' '.join(row[2])}" for row in ROWS])
async def test_what_somebody_changes_is_told_and_put_right(
    scene, name: str, change: Change, drift: dict[str, tuple[str, str]]
) -> None:
    controller = WANTED[name][0]
    await change(scene)
    plan = await look(controller, KNOWN[name], scene.world)
    assert {d.path: (d.desired, re.sub(r"card \d+", "card N", d.observed)) for d in plan.drift} == drift
    for other, (its, _) in WANTED.items():
        if other != name and other not in NAMING.get(name, ()):
            told = (await look(its, KNOWN[other], scene.world)).drift
            assert told == (), f"nothing was changed of {other}"
    KNOWN[name] = await until_quiet(controller, KNOWN[name], scene.world)
