"""The three kinds that live in OpenNebula, through the real adapter, on a front-end with the real wire format.

What the tables of tests/unit/test_plan_*.py say of a plan is here carried out to the end: whatever oned queues, refuses
meanwhile or stores in another form must not keep it from becoming quiet.
"""

from __future__ import annotations

import time

import pytest
from tests.contract.live_cloud import CLOUD, FAST, declared, gone, until_quiet
from tests.unit.kinds.opennebula_in_memory import World, again, resource, run

from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec


@pytest.fixture(scope="module")
def endpoint():
    with BackgroundSandbox(CloudSpec("kinds", hosts=(HostSpec("127.0.0.2"),), speeds=FAST)) as sandbox:
        time.sleep(0.3)  # until the datastores are monitored
        yield sandbox.endpoint("kinds")


async def test_from_nothing_to_a_machine_changed_in_every_way_and_back_to_nothing(front) -> None:
    world = World(rbx=front)
    instances, networks, images = HostedInstanceController(), VirtualNetworkController(), MachineImageController()
    block = resource("VirtualNetwork", "public", {"name": "vm_public", "publicBlock": "57.131.167.176/28"} | CLOUD)
    vlan = resource(
        "VirtualNetwork", "lan", CLOUD | {"vlanID": 100, "addressRanges": [{"ip": "10.100.0.10", "size": 20}]}
    )
    ubuntu = resource(
        "MachineImage", "ubuntu", {"cloudRefs": [{"name": "rbx"}], "source": {"url": "https://images.example/u.qcow2"}}
    )
    block = await until_quiet(networks, block, world)
    vlan = await until_quiet(networks, vlan, world)
    ubuntu = await until_quiet(images, ubuntu, world)
    assert (block.status.addresses, block.status.gateway) == ("13", "57.131.167.190")
    assert ubuntu.status.clouds_ready == "1/1"

    web = resource(
        "HostedInstance",
        "web",
        {
            "source": {"image": "ubuntu"},
            "vcpu": 1,
            "memory": "512Mi",
            "networks": [{"name": "vm_public"}],
            "sshAuthorizedKeys": ['ssh-ed25519 AAAA "quoted" <me>'],
            "placement": CLOUD,
            "updatePolicy": {"powerCycle": "Allow"},
        },
    )
    web = await until_quiet(instances, web, world)
    number = int(web.external["vm"])
    assert (web.status.state, web.status.primary_address) == ("Running", "57.131.167.177")

    web = await until_quiet(instances, declared(web, memory="768Mi", vcpu=2, cpu="500m"), world)
    machine = await front.vm(number)
    assert (machine.memory, machine.vcpu, float(machine.cpu), web.status.state) == (768, 2, 0.5, "Running")
    assert machine.notes["SOVEREIGNCLOUD_RESUME"] == "NO"

    root = machine.disks[0].size
    networks_now = [{"name": "vm_public"}, {"name": "lan"}]
    larger = [{"name": "root", "size": f"{root + 64}Mi"}]
    web = await until_quiet(instances, declared(web, networks=networks_now, disks=larger, name="www"), world)
    machine = await front.vm(number)
    assert (machine.name, machine.disks[0].size) == ("www", root + 64)
    assert web.status.addresses == ["57.131.167.177", "10.100.0.10"], "the first card was not touched"

    for power, state in (("Stopped", "PoweredOff"), ("Suspended", "Suspended"), ("Running", "Running")):
        web = await until_quiet(instances, declared(web, power=power), world)
        assert web.status.state == state

    await front.act(number, "poweroff")
    await front.rename_vm(number, "oops")
    web = await until_quiet(instances, web, world)
    assert (web.status.state, (await front.vm(number)).name) == ("Running", "www")

    rebuilt = resource("HostedInstance", "web", web.spec.model_dump(by_alias=True, exclude_none=True), uid="uid-2")
    web = await until_quiet(instances, rebuilt, world)
    assert web.external["vm"] == str(number), "taken over, not made again"
    rebuilt_mark = (await front.vm(number)).mark
    assert rebuilt_mark is not None
    assert rebuilt_mark.uid == "uid-2"

    await front.update_network(int(block.external["network"]), {"GATEWAY": "57.131.167.177", "DNS": "8.8.8.8"})
    block = await until_quiet(networks, block, world)
    kept = (await front.view(0)).networks[int(block.external["network"])]
    assert (kept.attributes["GATEWAY"], kept.attributes["DNS"]) == ("57.131.167.190", "213.186.33.99")

    more = [{"ip": "10.100.0.10", "size": 30}, {"ip": "10.101.0.10", "size": 5}]
    vlan = await until_quiet(networks, declared(vlan, addressRanges=more), world)
    assert vlan.status.addresses == "35"
    vlan = await until_quiet(networks, declared(vlan, addressRanges=more[:1]), world)
    assert vlan.status.addresses == "30"

    _, plan, outcome = await run(networks, again(vlan, deleting=True), world)
    assert (plan.steps, outcome.reason) == ((), "InUse")

    await gone(instances, web, world)
    await gone(networks, vlan, world)
    await gone(networks, block, world)
    await gone(images, ubuntu, world)
    view = await front.view(0)
    assert not [v for v in view.vms.values() if v.mark is not None]
    assert not {"vm_public", "lan"} & {n.name for n in view.networks.values()}
    assert "ubuntu" not in {i.name for i in view.images.values()}
