"""An adopted cloud: what differs from one that is built anew is told, and nothing is ever done about it."""

from dataclasses import dataclass, replace

import pytest
from tests.unit.kinds.sovereigncloud.test_plan import ADDRESSES, Scene, hosted, names

from sovereigncloud.ports.opennebula.views import Network

AGGREGATED = ("public_aggregation", "vrack_aggregation")
FRESH = {
    "VN_MAD": "802.1Q", "PHYDEV": "vrack_bond", "VLAN_ID": "100",
}  # fmt: skip
BLOCK = {
    "VN_MAD": "bridge", "PHYDEV": "vrack_bond", "FILTER_IP_SPOOFING": "NO", "FILTER_MAC_SPOOFING": "NO",
    "NETWORK_ADDRESS": "57.131.167.176", "NETWORK_MASK": "255.255.255.240", "GATEWAY": "57.131.167.190",
    "DNS": "213.186.33.99",
}  # fmt: skip


class Adopted(Scene):
    """A cloud exactly as it would be built anew, which somebody built by hand."""

    def __init__(self):
        super().__init__(spec=hosted(adopt=True), settled=True)
        for name in ADDRESSES:
            status = self.child(f"rbx-{name}")["status"]
            status |= {
                "monitoring": True,
                "serviceName": f"ns-{name}",
                "interfaces": [{"uuid": mode, "mode": mode} for mode in AGGREGATED],
            }
        self.networks = {}
        for number, (name, attributes) in enumerate({"rbx-vm-public": BLOCK, "rbx-vm-vlan100": FRESH}.items(), 1):
            self.child(name, "VirtualNetwork")["status"]["external"] = {"network": str(number)}
            self.networks[number] = Network(number, name, 0, 1, (0,), dict(attributes), (), 0, None)
        whole = self.world.view

        async def view(cloud):
            return replace(await whole(cloud), networks=self.networks)

        self.world.view = view

    def host(self, number, **change):
        self.world.one.hosts[number] = replace(self.world.one.hosts[number], **change)

    def attribute(self, number, key, value):
        self.networks[number].attributes[key] = value

    def modes(self, *modes):
        self.child("rbx-one-2")["status"]["interfaces"] = [{"uuid": mode, "mode": mode} for mode in modes]


@dataclass
class Case:
    why: str
    change: object
    path: str
    desired: str
    observed: str


SERVER = "spec.hosted.ovh.servers[one-2]"
CASES = [
    Case(
        "an OpenNebula before that of the guide",
        lambda scene: setattr(scene.world.one, "version", "6.10.2"),
        "spec.hosted.openNebula.adopt", "OpenNebula 7.0 or later", "6.10.2",
    ),
    Case(
        "a host in a cluster of its own",
        lambda scene: scene.host(1, cluster_id=100),
        f"{SERVER}.cluster", "cluster 0", "cluster 100",
    ),
    Case(
        "a host of another hypervisor",
        lambda scene: scene.host(1, im_mad="lxc", vm_mad="lxc"),
        f"{SERVER}.driver", "kvm", "lxc and lxc",
    ),
    Case(
        "a host that is named as its server and not by its address: the same host, told",
        lambda scene: scene.host(1, name="one-2"),
        f"{SERVER}.host", "named 127.0.0.12", "named one-2",
    ),
    Case(
        "a host that is named by the service",
        lambda scene: scene.host(1, name="ns-one-2"),
        f"{SERVER}.host", "named 127.0.0.12", "named ns-one-2",
    ),
    Case(
        "single cards where there would be two bonds",
        lambda scene: scene.modes("public", "vrack"),
        f"{SERVER}.interfaces", "public_aggregation and vrack_aggregation", "public, vrack",
    ),
    Case(
        "OVHcloud does not watch the server",
        lambda scene: scene.child("rbx-one-2")["status"].update(monitoring=False),
        f"{SERVER}.monitoring", "monitored by OVHcloud", "not monitored",
    ),
    Case(
        "a VLAN on a device of another name",
        lambda scene: scene.attribute(2, "PHYDEV", "bond1"),
        "spec.hosted.networks[vm_vlan100].PHYDEV", "vrack_bond", "bond1",
    ),
    Case(
        "a VLAN made with another driver",
        lambda scene: scene.attribute(2, "VN_MAD", "bridge"),
        "spec.hosted.networks[vm_vlan100].VN_MAD", "802.1Q", "bridge",
    ),
    Case(
        "a public network that filters addresses",
        lambda scene: scene.networks[1].attributes.pop("FILTER_IP_SPOOFING"),
        "spec.hosted.networks[vm_public].FILTER_IP_SPOOFING", "NO", "absent",
    ),
    Case(
        "a public network without OVHcloud's resolver",
        lambda scene: scene.attribute(1, "DNS", "9.9.9.9"),
        "spec.hosted.networks[vm_public].DNS", "213.186.33.99", "9.9.9.9",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_a_difference_is_told_and_nothing_is_done(case):
    scene = Adopted()
    case.change(scene)
    plan = scene.plan()
    assert names(plan) == ()
    assert [(d.path, d.desired, d.observed, d.mendable) for d in plan.drift] == [
        (case.path, case.desired, case.observed, False)
    ]


def test_one_that_is_as_built_anew_differs_in_nothing():
    plan = Adopted().plan()
    assert (plan.drift, plan.steps, plan.outcome.reason) == ((), (), "")


def test_a_host_that_nobody_registered_is_told_and_may_be_mended():
    scene = Adopted()
    del scene.world.one.hosts[1]
    (drift,) = scene.plan().drift
    assert (drift.path, drift.observed, drift.mendable) == (SERVER, "not registered", True)


def test_a_host_under_the_name_of_its_server_is_not_registered_a_second_time():
    scene = Adopted()
    scene.host(1, name="one-2", mark=None)
    assert names(scene.plan()) == ("MarkHost",)


def test_two_names_that_would_do_are_none():
    scene = Adopted()
    scene.host(1, name="one-2")
    scene.world.one.host("ns-one-2", mark=None)
    assert names(scene.plan()) == ("CreateHost",), "which of them it is nobody can tell: driftPolicy and brakes decide"


def test_a_cloud_that_the_operator_installed_is_not_told_so():
    scene = Scene(settled=True)
    scene.world.one.version = "7.0.1"
    scene.world.one.hosts[1] = replace(scene.world.one.hosts[1], cluster_id=100)
    assert scene.plan().drift == ()
