"""What a cloud consists of, through the real adapter, on a front-end with the real wire format: what the tables of
tests/unit/kinds/sovereigncloud/test_stores.py and test_plan_parts.py say is carried out to the end, and a second pass writes nothing.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.contract.live_cloud import FAST
from tests.unit.kinds.cloud_fakes import FakeWorld, Loop

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

KEY = ("SovereignCloud", "platform", "paris")
STORES = [
    {
        "name": "exchange",
        "type": "Marketplace",
        "s3": {"endpoint": "https://s3.example.fr", "bucket": "one", "credentialsSecretRef": {"name": "s3"}},
    },
    {"name": "mirror", "type": "Marketplace", "http": {"baseURL": "https://m.example.fr", "publicDir": "/srv/m"}},
    {"name": "backups", "type": "Backup", "restic": {"sftpServer": "b", "passwordSecretRef": {"name": "restic"}}},
    {"name": "copies", "type": "Backup", "rsync": {"host": "c", "user": "copy"}},
]
PARTS = {
    "clusters": [{"name": "gpu", "hosts": ["127.0.0.9"], "datastores": ["fast"], "reserved": {"cpu": 1}}],
    "hosts": [{"name": "127.0.0.8"}, {"name": "127.0.0.9"}],
    "datastores": [
        {"name": "fast", "type": "Image", "transfer": "ssh", "driver": "fs", "attributes": {"COMMENT": 'a "b" <c> ]]'}},
        {"name": "scratch", "type": "System", "transfer": "ssh"},
    ],
}


@pytest.fixture
def sandbox():
    with BackgroundSandbox(CloudSpec("parts", hosts=(HostSpec("127.0.0.2"),), speeds=FAST)) as running:
        time.sleep(0.3)
        yield running


@pytest.fixture
def endpoint(sandbox):
    return sandbox.endpoint("parts")


class Here(FakeWorld):
    """The store of a test, and a front-end that is really asked."""

    def __init__(self, front, endpoint):
        super().__init__()
        self.front, self.endpoint = front, endpoint
        self.kubernetes.secrets = {
            ("platform", "one"): {"username": "oneadmin", "password": "opennebula"},
            ("platform", "s3"): {"accessKeyId": "AKIA", "secretAccessKey": 's3 "cr3t" <&>'},
            ("platform", "restic"): {"password": 'p4ss "w0rd" <&>'},
        }

    async def open_nebula(self, cloud):
        return self.front

    async def view(self, cloud):
        return await self.front.view(0.0)

    def declare(self, **spec):
        existing = {"endpoint": self.endpoint, "credentialsSecretRef": {"name": "one"}}
        metadata = {"name": "paris", "namespace": "platform", "uid": "c1"}
        return self.put({"kind": "SovereignCloud", "metadata": metadata, "spec": {"existing": existing, **spec}})

    async def until_quiet(self):
        loop = Loop(self, SovereignCloudController(), KEY)
        end, quiet = time.monotonic() + 30, 0
        while quiet < 2:
            looked = await loop.once()
            at_rest = looked.plan is not None and not looked.plan.steps and not looked.plan.drift
            quiet = quiet + 1 if at_rest and looked.outcome.phase in {Phase.DONE, Phase.BLOCKED} else 0
            assert time.monotonic() < end, looked
            await asyncio.sleep(0.05)
        return looked


async def test_stores_and_parts_from_nothing_to_nothing(front, sandbox):
    world = Here(front, sandbox.endpoint("parts"))
    world.declare(stores=STORES, **PARTS)
    await world.until_quiet()
    view, markets = await front.view(0.0), {m.name: m for m in await front.parts.marketplaces()}
    by_name = {d.name: d for d in view.datastores.values()}
    assert {"exchange", "mirror"} <= set(markets)
    assert {"backups", "copies", "fast", "scratch"} <= set(by_name)
    assert markets["exchange"].attributes["SECRET_ACCESS_KEY"] == 's3 "cr3t" <&>'
    assert by_name["backups"].attributes["RESTIC_PASSWORD"] != 'p4ss "w0rd" <&>', "oned keeps it encrypted"
    assert by_name["fast"].attributes["COMMENT"] == 'a "b" <c> ]]'
    gpu = next(c for c in view.clusters.values() if c.name == "gpu")
    hosts = {h.name: h for h in view.hosts.values()}
    assert (gpu.hosts, gpu.datastores) == ({hosts["127.0.0.9"].id}, {by_name["fast"].id})
    assert gpu.attributes["RESERVED_CPU"] == "100"

    writes = sandbox["parts"].journal.writes()
    await world.until_quiet()
    assert sandbox["parts"].journal.writes() == writes, "a second pass writes nothing"

    # Somebody behind the operator's back, the password that cannot be read among it.
    await front.parts.update_datastore(by_name["backups"].id, {"RESTIC_PASSWORD": "guess", "RESTIC_SFTP_SERVER": "x"})
    await front.parts.update_marketplace(markets["mirror"].id, {"BASE_URL": "https://x"})
    await front.parts.rename_marketplace(markets["exchange"].id, "market")
    await front.parts.update_cluster(gpu.id, {"RESERVED_CPU": "0"})
    await front.join_cluster(0, "host", hosts["127.0.0.9"].id)
    await world.until_quiet()
    again = await front.view(0.0)
    assert again.datastores[by_name["backups"].id].attributes == by_name["backups"].attributes
    assert {m.name: m for m in await front.parts.marketplaces()} == markets
    assert again.clusters[gpu.id] == gpu

    # A rotated password: written, and how it is shown is noted anew.
    world.kubernetes.secrets["platform", "restic"]["password"] = "rotated"
    await world.until_quiet()
    rotated = (await front.view(0.0)).datastores[by_name["backups"].id].attributes["RESTIC_PASSWORD"]
    assert rotated not in {by_name["backups"].attributes["RESTIC_PASSWORD"], "rotated"}

    world.declare()
    await world.until_quiet()
    left = await front.view(0.0)
    assert {d.name for d in left.datastores.values()} == {"system", "default", "files"}
    assert {h.name for h in left.hosts.values()} == {"127.0.0.2"}
    assert [c.name for c in left.clusters.values()] == ["default"]
    assert not {"exchange", "mirror"} & {m.name for m in await front.parts.marketplaces()}


async def test_a_marketplace_with_an_appliance_stays_and_names_it(front, sandbox):
    world = Here(front, sandbox.endpoint("parts"))
    world.declare(stores=STORES[1:2])
    await world.until_quiet()
    market = next(m for m in await front.parts.marketplaces() if m.name == "mirror")
    cloud = sandbox["parts"]
    app = await asyncio.to_thread(_shared_image, sandbox.endpoint("parts"), market.id)
    world.declare()
    looked = await world.until_quiet()
    assert (looked.outcome.reason, looked.outcome.available) == ("InUse", True)
    assert f'appliance {app} "golden"' in looked.outcome.message
    assert market.id in cloud.marketplaces


def _shared_image(endpoint, market):
    import pyone  # noqa: PLC0415 - another client, as people have it

    one = pyone.OneServer(endpoint, session="oneadmin:opennebula")
    image = one.image.allocate("NAME=golden PATH=http://images.example.org/i.qcow2 SIZE=16", 1)
    for _ in range(100):
        if one.image.info(image).STATE == 1:
            break
        time.sleep(0.05)
    return one.marketapp.allocate(f"NAME=golden ORIGIN_ID={image} TYPE=IMAGE", market)
