"""A simulated OpenNebula: one cloud, two hosts, a clock that the tests move."""

import pyone
import pytest
from tests.contract.one_world import HOSTS, Clock

from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture
def beside():
    """Further clouds, where a module wants some."""
    return ()


@pytest.fixture
def sandbox(clock, beside):
    with BackgroundSandbox(CloudSpec("zone", version="7.4.0", hosts=HOSTS), *beside, clock=clock) as running:
        clock.pass_()
        yield running


@pytest.fixture
def cloud(sandbox):
    return sandbox["zone"]


@pytest.fixture
def one(sandbox):
    return pyone.OneServer(sandbox.endpoint("zone"), session="oneadmin:opennebula")


@pytest.fixture
def there(sandbox):
    """The administrator of OTHER, where that is beside it."""
    return pyone.OneServer(sandbox.endpoint("other"), session="oneadmin:opennebula")


@pytest.fixture
async def front(endpoint):
    """The port of the kinds, over the real adapter, to the endpoint of the test's own cloud."""
    client = open_nebula_factory(rate=500, burst=500)(endpoint, "oneadmin", "opennebula", "")
    yield client
    client.close()


@pytest.fixture
def world(one, clock):
    """A network, an image, a template; returned as their ids."""
    ids = {
        "net": one.vn.allocate("NAME=net VN_MAD=bridge BRIDGE=br0 AR=[TYPE=IP4,IP=10.0.0.10,SIZE=20] DNS=1.1.1.1", 0),
        "image": one.image.allocate("NAME=img PATH=http://images.example.org/i.qcow2 SIZE=1024", 1),
    }
    clock.pass_()
    ids["template"] = one.template.allocate(
        f"NAME=tpl CPU=0.1 VCPU=1 MEMORY=128 NIC=[NETWORK_ID={ids['net']}] DISK=[IMAGE_ID={ids['image']}] CONTEXT=[NETWORK=YES] LABELS=a"
    )
    return ids


@pytest.fixture
def tenant(sandbox, one):
    uid = one.user.allocate("tenant", "secret", "", [])
    client = pyone.OneServer(sandbox.endpoint("zone"), session="tenant:secret")
    client.uid = uid
    return client
