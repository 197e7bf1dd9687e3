"""The adapter of OpenNebula against a front-end: the simulator, or a real one.

    SOVEREIGN_TEST_ONE_ENDPOINT=http://127.0.0.1:2633/RPC2 SOVEREIGN_TEST_ONE_AUTH=oneadmin:secret pytest ...

A real one needs a monitored host and room in datastore 1; the tests remove what they make. They assert only what a real
oned was seen to do.
"""

import asyncio
import contextlib
import os
import re
import time
import uuid
from dataclasses import replace

import pytest
from tests.contract.live_cloud import FAST

from sovereigncloud.core.identity import Mark
from sovereigncloud.ports.errors import Auth, Conflict, NotFound, Quota, Rejected
from sovereigncloud.ports.opennebula.views import AddressRange
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

PENDING, ACTIVE, DONE, POWEROFF = 1, 3, 6, 8
RUNNING = 3
READY = 1
PATIENCE = 120.0  # a stock scheduler looks every 10 s


@pytest.fixture(scope="module")
def front():
    """Endpoint, user and password of the front-end that is held."""
    if endpoint := os.environ.get("SOVEREIGN_TEST_ONE_ENDPOINT"):
        user, _, password = os.environ["SOVEREIGN_TEST_ONE_AUTH"].partition(":")
        yield endpoint, user, password
        return
    spec = CloudSpec("contract", hosts=(HostSpec("127.0.0.2"), HostSpec("127.0.0.3")), speeds=FAST)
    with BackgroundSandbox(spec) as sandbox:
        time.sleep(0.3)  # until the datastores are monitored
        yield sandbox.endpoint("contract"), "oneadmin", "opennebula"


@pytest.fixture
async def one(front):
    """The adapter, and afterwards nothing left of what the test made."""
    client = open_nebula_factory(rate=200, burst=200)(*front, "")
    yield client
    await clean(client)
    client.close()


@pytest.fixture
def name():
    return f"contract-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def mark(name):
    return Mark("contract", f"HostedInstance/default/{name}", str(uuid.uuid4()))


async def clean(client):
    """Remove everything called contract-*, machines first."""
    view = await client.view(0)
    for vm in view.vms.values():
        if vm.name.startswith("contract-"):
            await terminate(client, vm.id)
    removals = {"networks": client.delete_network, "images": client.delete_image, "hosts": client.delete_host}
    for pool, remove in removals.items():
        for found in getattr(await client.view(0), pool).values():
            if found.name.startswith("contract-"):
                with contextlib.suppress(NotFound, Conflict):  # it is going already
                    await remove(found.id)


async def terminate(client, vm_id):
    """Terminate a machine, waiting for a state that allows it."""

    async def attempt():
        with contextlib.suppress(Conflict):
            await client.act(vm_id, "terminate-hard")
        return await client.vm(vm_id)

    await until(attempt, lambda found: found.state == DONE)


async def until(look, good):
    """Look again and again until it is good."""
    end = time.monotonic() + PATIENCE
    while True:
        found = await look()
        if good(found):
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)


async def ready_network(one, name, *, size=8, **more):
    template = {
        "NAME": name,
        "VN_MAD": "bridge",
        "BRIDGE": "br0",
        "AR": {"TYPE": "IP4", "IP": "10.99.0.10", "SIZE": str(size)},
        **more,
    }
    made = await one.create_network(template, 0)

    async def look():
        return (await one.view(0)).networks[made]

    return await until(look, lambda found: found.state == READY)


async def ready_image(one, name, **more):
    made = await one.create_image({"NAME": name, "TYPE": "DATABLOCK", "SIZE": "8", **more}, 1)

    async def look():
        return (await one.view(0)).images[made]

    return await until(look, lambda found: found.state == READY)


def small(name, **more):
    return {"NAME": name, "CPU": "0.1", "VCPU": "1", "MEMORY": "32", **more}


def in_state(one, vm_id, state, lcm_state=0):
    async def look():
        return await one.vm(vm_id)

    return until(look, lambda found: (found.state, found.lcm_state) == (state, lcm_state))


# ------------------------------------------------------------------------------------------------------- who, whether


async def test_a_front_end_says_who_it_is(one):
    front = await one.front()
    assert re.match(r"\d+\.\d+", front.version)
    assert front.user_id >= 0
    assert front.zone_name


async def test_a_wrong_password_is_told_apart(front):
    endpoint, user, password = front
    stranger = open_nebula_factory()(endpoint, user, password + "x", "")
    with pytest.raises(Auth, match="couldn't be authenticated"):
        await stranger.front()
    stranger.close()


async def test_an_id_that_is_none_is_not_found(one):
    with pytest.raises(NotFound, match=r"Error getting virtual machine \[999999\]"):
        await one.vm(999999)


# ----------------------------------------------------------------------------------------------------------- networks


async def test_a_network_is_read_back_as_it_was_made(one, name, mark):
    made = await ready_network(one, name, DNS="1.1.1.1", MTU="1500", **mark.for_opennebula())
    assert made.name == name
    assert made.mark == mark
    assert made.attributes["DNS"] == "1.1.1.1"
    assert made.attributes["VN_MAD"] == "bridge"
    assert not any(key.startswith("SOVEREIGNCLOUD") for key in made.attributes)
    assert made.ranges == (AddressRange("10.99.0.10", 8, id=0, used=0),)
    assert made.clusters == (0,)
    assert made.used_leases == 0
    assert made.owner == (await one.front()).user_id


async def test_the_name_of_a_network_is_taken_once(one, name):
    await ready_network(one, name)
    with pytest.raises(Conflict, match=r"NAME is already taken by NET \d+"):
        await one.create_network({"NAME": name, "VN_MAD": "bridge"}, 0)


async def test_an_update_of_a_network_merges(one, name):
    made = await ready_network(one, name, DNS="1.1.1.1", MTU="1500")
    await one.update_network(made.id, {"DNS": "9.9.9.9"})
    changed = (await one.view(0)).networks[made.id]
    assert changed.attributes["DNS"] == "9.9.9.9"
    assert changed.attributes["MTU"] == "1500"
    assert changed.ranges == made.ranges


async def test_ranges_come_grow_and_go(one, name):
    made = await ready_network(one, name)
    await one.add_range(made.id, AddressRange("10.99.1.10", 4))
    ranges = (await one.view(0)).networks[made.id].ranges
    assert [(one_range.ip, one_range.size) for one_range in ranges] == [("10.99.0.10", 8), ("10.99.1.10", 4)]
    await one.resize_range(made.id, replace(ranges[1], size=6))
    assert (await one.view(0)).networks[made.id].ranges[1].size == 6
    await one.remove_range(made.id, ranges[1].id)
    assert len((await one.view(0)).networks[made.id].ranges) == 1


async def test_growing_a_range_keeps_what_it_was_given(one, name):
    given = {"TYPE": "IP4", "IP": "10.99.0.10", "SIZE": "2", "GATEWAY": "10.99.0.1"}
    made = await ready_network(one, name, AR=given)
    image = await ready_image(one, f"{name}-image")
    await one.resize_range(made.id, AddressRange("10.99.0.10", 5, id=0))
    vm = await one.create_vm(small(name, NIC={"NETWORK_ID": str(made.id)}, DISK={"IMAGE_ID": str(image.id)}))
    assert (await one.vm(vm)).nics[0].ip == "10.99.0.10"
    assert (await one.view(0)).networks[made.id].ranges[0].size == 5


# ------------------------------------------------------------------------------------------------------------- images


async def test_an_image_is_copied_then_ready(one, name, mark):
    made = await ready_image(one, name, **mark.for_opennebula())
    assert (made.name, made.size, made.datastore_id) == (name, 8, 1)
    assert made.mark == mark
    assert made.running_vms == 0
    await one.update_image(made.id, {"DESCRIPTION": "changed"})
    assert (await one.view(0)).images[made.id].mark == mark


async def test_the_name_of_an_image_is_taken_once(one, name):
    await ready_image(one, name)
    with pytest.raises(Conflict, match=r"NAME is already taken by IMAGE \d+"):
        await one.create_image({"NAME": name, "TYPE": "DATABLOCK", "SIZE": "8"}, 1)


# ----------------------------------------------------------------------------------------------------------- machines

VALUES = [
    ("a double quote ends nothing", 'a"b'),
    ("nor does a bracket", "x]y,z=[1"),
    ("lines stay lines", "first\nsecond"),
    ("an XML tag is text", "<NIC><NETWORK_ID>0</NETWORK_ID></NIC> & more"),
    ("any language", "préfecture — 県"),
    ("a backslash before a quote", 'back\\"slash'),
    ("an attribute in a value stays in it", 'x"\nMEMORY="99999'),
]


@pytest.mark.parametrize(("why", "value"), VALUES, ids=[row[0] for row in VALUES])
async def test_a_value_comes_back_as_it_went(one, name, mark, why, value):
    vm = await one.create_vm(small(name, SOVEREIGNCLOUD_REQUEST=value, **mark.for_opennebula()))
    found = await one.vm(vm)
    assert found.notes == {"SOVEREIGNCLOUD_REQUEST": value}, why
    assert found.mark == mark
    assert found.memory == 32


async def test_what_cannot_be_stored_is_never_sent(one, name):
    with pytest.raises(Rejected, match="NOTE holds") as refused:
        await one.create_vm(small(name, NOTE="secret ]]> secret"))
    assert "secret" not in str(refused.value)
    assert not [vm for vm in (await one.view(0)).vms.values() if vm.name == name]


async def test_a_machine_from_creation_to_its_end(one, name, mark):
    network = await ready_network(one, name)
    image = await ready_image(one, f"{name}-image")
    nic, disk = {"NETWORK_ID": str(network.id)}, {"IMAGE_ID": str(image.id)}
    vm = await one.create_vm(small(name, NIC=nic, DISK=disk, **mark.for_opennebula()))
    running = await in_state(one, vm, ACTIVE, RUNNING)
    assert (running.name, running.cpu, running.vcpu, running.memory) == (name, "0.1", 1, 32)
    assert running.mark == mark
    assert running.host in {host.name for host in (await one.view(0)).hosts.values()}
    assert [(one_nic.network, one_nic.ip, one_nic.mac) for one_nic in running.nics] == [
        (name, "10.99.0.10", "02:00:0a:63:00:0a")
    ]
    assert [(one_disk.image_id, one_disk.size) for one_disk in running.disks] == [(image.id, 8)]
    view = await one.view(12.5)
    assert view.began == 12.5
    assert view.vms[vm] == running
    assert view.networks[network.id].used_leases == 1
    assert view.networks[network.id].vms == (vm,)
    assert view.images[image.id].vms == (vm,)

    with pytest.raises(Conflict, match="leases in use"):
        await one.delete_network(network.id)
    with pytest.raises(Conflict, match="VMs using it"):
        await one.delete_image(image.id)
    with pytest.raises(Conflict, match="running VMs"):
        await one.delete_host(next(host.id for host in view.hosts.values() if host.name == running.host))

    await terminate(one, vm)
    assert vm not in (await one.view(0)).vms
    assert (await one.view(0)).networks[network.id].used_leases == 0


async def test_power_and_size(one, name):
    vm = await one.create_vm(small(name))
    await in_state(one, vm, ACTIVE, RUNNING)
    await one.act(vm, "poweroff-hard")
    await in_state(one, vm, POWEROFF)
    with pytest.raises(Conflict, match="not available for state POWEROFF"):
        await one.act(vm, "poweroff")
    await one.resize(vm, cpu="0.2", vcpu=2, memory=64)
    resized = await one.vm(vm)
    assert (resized.cpu, resized.vcpu, resized.memory) == ("0.2", 2, 64)
    with pytest.raises(Quota, match=r"Not enough CPU: \d+/\d+"):
        await one.resize(vm, cpu="90000", vcpu=2, memory=64)
    await one.act(vm, "resume")
    await in_state(one, vm, ACTIVE, RUNNING)
    with pytest.raises(Rejected, match="not supported"):
        await one.act(vm, "explode")


async def test_nics_come_and_go(one, name):
    network = await ready_network(one, name)
    vm = await one.create_vm(small(name, NIC={"NETWORK_ID": str(network.id)}))
    await in_state(one, vm, ACTIVE, RUNNING)
    await one.attach_nic(vm, {"NETWORK_ID": str(network.id)})
    attached = await in_state(one, vm, ACTIVE, RUNNING)
    assert [nic.id for nic in attached.nics] == [0, 1]
    await one.detach_nic(vm, 0)
    detached = await in_state(one, vm, ACTIVE, RUNNING)
    assert [nic.id for nic in detached.nics] == [1]


async def test_a_disk_only_grows(one, name):
    image = await ready_image(one, f"{name}-image")
    vm = await one.create_vm(small(name, DISK={"IMAGE_ID": str(image.id)}))
    await in_state(one, vm, ACTIVE, RUNNING)
    with pytest.raises(Rejected, match="greater than current"):
        await one.resize_disk(vm, 0, 4)
    await one.resize_disk(vm, 0, 16)
    grown = await in_state(one, vm, ACTIVE, RUNNING)
    assert grown.disks[0].size == 16


async def test_the_user_template_of_a_machine_merges_and_its_keys_are_upper_case(one, name):
    vm = await one.create_vm(small(name, SOVEREIGNCLOUD_A="1", SOVEREIGNCLOUD_B="1"))
    await one.update_vm(vm, {"sovereigncloud_b": "2"})
    assert (await one.vm(vm)).notes == {"SOVEREIGNCLOUD_A": "1", "SOVEREIGNCLOUD_B": "2"}
    await one.update_vm(vm, {"CPU": "7"})
    assert (await one.vm(vm)).cpu == "0.1"  # an update never changes capacity
    await one.rename_vm(vm, f"{name}-renamed")
    assert (await one.vm(vm)).name == f"{name}-renamed"


async def test_names_of_machines_are_not_unique(one, name):
    first, second = await one.create_vm(small(name)), await one.create_vm(small(name))
    assert first != second


async def test_an_unplaceable_machine_is_made_and_told_why(one, name):
    vm = await one.create_vm(small(name, SCHED_REQUIREMENTS="ID=12345"))
    assert (await one.vm(vm)).state == PENDING
    told = await until(lambda: one.vm(vm), lambda found: found.scheduler_message)
    assert told.state == PENDING
    assert told.host == ""


REFUSED = [
    ("there is no such network by name", {"NIC": {"NETWORK": "contract-none"}}, Rejected, "does not own a network"),
    ("there is no such network by id", {"NIC": {"NETWORK_ID": "999999"}}, Rejected, "does not exist"),
    ("there is no such image by name", {"DISK": {"IMAGE": "contract-none"}}, Rejected, "does not own an image"),
    ("there is no memory", {"MEMORY": "0"}, Rejected, "MEMORY"),
    ("there is no CPU", {"CPU": ""}, Rejected, "CPU"),
]


@pytest.mark.parametrize(("why", "more", "error", "words"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_what_makes_no_machine_is_refused(one, name, why, more, error, words):
    with pytest.raises(error, match=words):
        await one.create_vm(small(name, **more))
    assert not [vm for vm in (await one.view(0)).vms.values() if vm.name == name], why


async def test_a_network_runs_out_of_addresses(one, name):
    network = await ready_network(one, name, size=1)
    nic = {"NETWORK_ID": str(network.id)}
    await one.create_vm(small(name, NIC=nic))
    with pytest.raises(Quota, match="Cannot get IP/MAC lease"):
        await one.create_vm(small(name, NIC=nic))


# -------------------------------------------------------------------------------------------------------------- hosts


async def test_a_host_is_registered_marked_disabled_and_removed(one, name, mark):
    made = await one.create_host(name, "no-such-driver", "no-such-driver", 0)
    await one.update_host(made, mark.for_opennebula())
    host = (await one.view(0)).hosts[made]
    assert (host.name, host.im_mad, host.cluster_id, host.mark) == (name, "no-such-driver", 0, mark)
    assert host.state == 0  # with an unknown driver a host stays INIT
    with pytest.raises(Conflict, match=r"NAME is already taken by HOST \d+"):
        await one.create_host(name, "no-such-driver", "no-such-driver", 0)
    await one.disable_host(made)
    assert (await one.view(0)).hosts[made].state == 4
    await one.delete_host(made)
    assert made not in (await one.view(0)).hosts


async def test_datastores_and_hosts_are_in_the_view(one):
    view = await one.view(0)
    assert {store.id: store.type for store in view.datastores.values()}.items() >= {0: 1, 1: 0, 2: 2}.items()
    assert all(store.free > 0 for store in view.datastores.values() if store.id < 2)
    assert [host for host in view.hosts.values() if host.state == 2 and host.max_cpu > 0 and host.max_memory > 0]
