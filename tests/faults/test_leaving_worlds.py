"""A hosted cloud with deletionPolicy Delete is deleted in twelve bad worlds: it ends, or says why it does not, and ends when
that is mended. And what it gives back, it gives back in order.

Real engine, kinds and adapters, simulated OVHcloud and OpenNebula, an API server in memory, simulated time. What a real API
server adds (CRDs, namespaces, foreground deletion) is in tests/integration/test_leaving.py and test_deletion.py.
"""

import copy
import re

import pytest
from tests.faults.api_server import Client, manifest
from tests.faults.scaling import given_back, put_machine
from tests.faults.scene import Scene
from tests.faults.servers import Hosted
from tests.faults.simulated_time import run

from sovereigncloud.api.common.base import FINALIZER, PAUSED
from sovereigncloud.core.identity import OVH_INSTALLATION, OVH_OBJECT
from sovereigncloud.providers.kubernetes.api import PLURALS
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.opennebula.model import Lock
from sovereigncloud_sandbox.ovh.presets import fault
from sovereigncloud_sandbox.ovh.seed import BLOCK, SERVERS, VRACK
from sovereigncloud_sandbox.stage import condition

CLOUD = ("SovereignCloud", "ovh-rbx")
FRONT, NODE = SERVERS
HOST = "127.0.0.11"
SOON, LONG = 60.0, 1800.0


class World:
    """A cloud that was built, and what is true of it."""

    def __init__(self, scene):
        self.scene = scene
        self.api = scene.api

    @property
    def one(self):
        return self.scene.clouds["ovh-rbx"]

    def delete(self, kind=CLOUD[0], name=CLOUD[1]):
        self.api.remove(kind, name)

    def patch(self, kind, name, **spec):
        body = self.api.get(kind, name)
        self.api.apply({**body, "spec": {**body["spec"], **spec}})

    async def says(self, *words, kind=CLOUD[0], name=CLOUD[1], within=SOON):
        """Until its conditions say all of this."""

        def told():
            found = self.api.get(kind, name)
            text = str([condition(found, c) for c in ("Ready", "Reconciling", "Stalled")])
            return all(word in text for word in words)

        assert await self.scene.run(within, told), (words, self.api.get(kind, name).get("status"))

    def stays(self):
        """Nothing was given back."""
        inside = {v["vrack"] for s in SERVERS for v in self.scene.ovh.state.servers[s].vnis if v["vrack"]}
        assert inside == {VRACK}
        assert len(self.one.hosts) == 2
        assert self.scene.ovh.state.ips[BLOCK].routed_to == VRACK

    async def ends(self, within=LONG, held=()):
        """Everything is gone from Kubernetes, and nothing but these Secrets is held."""
        kinds = [k for k in PLURALS if k != "CustomResourceDefinition"]
        left = lambda: [o["metadata"]["name"] for kind in kinds for o in self.api.all(kind)]  # noqa: E731
        assert await self.scene.run(within, lambda: not left()), [
            (o["kind"], o["metadata"]["name"], o["metadata"].get("finalizers"), condition(o, "Ready"))
            for kind in kinds
            for o in self.api.all(kind)
        ]
        found = [
            s["metadata"]["name"] for s in self.api.all("Secret") if FINALIZER in s["metadata"].get("finalizers", ())
        ]
        assert found == list(held), "Secrets that nobody uses any more"

    def gave_back(self):
        assert [given_back(self.scene, server) for server in SERVERS] == [[], []]
        assert not self.one.hosts
        assert not self.one.vnets
        assert self.scene.ovh.state.ips[BLOCK].routed_to is None


@pytest.fixture
def played():
    """Plays a story in a cloud that was built with deletionPolicy Delete."""

    def play(story, **spec):
        async def whole():
            async with Scene() as scene:
                cloud = copy.deepcopy(Hosted.cloud)
                cloud["spec"] |= {"deletionPolicy": "Delete", **spec}
                scene.api.apply(scene.account_secret("ovh-account"), cloud)
                assert await scene.run(LONG, scene.settled)
                await scene.run(70)
                scene.wire.done.clear()
                await story(World(scene))

        run(whole())

    return play


def test_what_is_given_back_is_given_back_in_order(played):
    async def story(world):
        world.delete()
        await world.ends()
        world.gave_back()
        done = [f"{method} {what}" for _, method, what in world.scene.wire.done]
        order = ["one.vn.delete", "one.host.status", "one.host.delete", "/ip/", "/dedicatedServerInterface/", "/tag/"]
        places = [[n for n, what in enumerate(done) if part in what] for part in order]
        assert all(places), done
        assert [max(p) for p in places[:1]] < [min(p) for p in places[1:2]]
        assert max(places[2]) < min(places[3]) <= max(places[3]) < min(places[4])
        for server in SERVERS:
            interface = next(n for n in places[4])
            assert interface < min(n for n in places[5] if server in done[n])
        assert not any(what.endswith("/reinstall") for what in done)

    played(story)


# --- the twelve ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["ovh-account", "ovh-rbx-oneadmin"])
def test_1_the_credentials_are_gone(played, lost):
    """Somebody took the finalizer off the Secret and deleted it. The message names it; with it back, it ends."""

    async def story(world):
        kept = world.api.objects.pop(("secrets", "platform", lost))
        world.delete()
        child = ("BareMetalServer", "ovh-rbx-one-2")
        where = CLOUD if "oneadmin" in lost else None
        if where:
            await world.says("administrator is not there", "deletionPolicy: Retain")
            world.stays()
        else:
            await world.says("ovh-account", within=300)
            assert world.api.get(*child), "a server is not let go of as long as it is in the vRack"
        await world.scene.run(200)
        assert world.api.get(*CLOUD)
        world.api.objects["secrets", "platform", lost] = kept
        await world.ends()
        world.gave_back()

    played(story)


def test_1_the_credentials_are_gone_for_good(played):
    """Nobody has the password any more: with Retain the cloud is let go of, and stands."""

    async def story(world):
        world.api.objects.pop(("secrets", "platform", "ovh-rbx-oneadmin"))
        world.delete()
        await world.says("deletionPolicy: Retain")
        world.patch(*CLOUD, deletionPolicy="Retain")
        await world.ends()
        assert len(world.one.hosts) == 2
        assert {v["vrack"] for s in SERVERS for v in world.scene.ovh.state.servers[s].vnis if v["vrack"]} == {VRACK}

    played(story)


def test_2_the_parent_is_gone(played):
    """The cloud's finalizer was taken off by hand: its servers and networks end by themselves."""

    async def story(world):
        where = ("sovereignclouds", "platform", "ovh-rbx")
        body = world.api.get(*CLOUD)
        body["metadata"]["finalizers"] = []
        body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        world.api._store(where, body)
        assert await world.scene.run(LONG, lambda: not world.api.all("BareMetalServer"))
        assert [given_back(world.scene, server) for server in SERVERS] == [[], []]
        # Without its cloud a network cannot be reached: it says so, and with Retain it goes.
        for network in ("ovh-rbx-vm-public", "ovh-rbx-vm-vlan100"):
            await world.says("deletionPolicy: Retain", kind="VirtualNetwork", name=network)
            world.patch("VirtualNetwork", network, deletionPolicy="Retain")
        await world.ends(held=["ovh-rbx-oneadmin"])  # nobody said that the cloud ends, and this is its password

    played(story)


def test_3_a_right_is_taken_away_half_way(played):
    """The block left the vRack, and then the credential may not remove its tags: 403 after success."""

    async def story(world):
        account = world.scene.ovh.state.service_accounts[0]
        grants = account.grants
        account.grants = [*grants, type(grants[0])(allow=[], deny=["*/tag/*", "*tag*"])]
        world.delete()
        await world.says("MissingRights", "tag/remove", within=300)
        assert world.scene.ovh.state.ips[BLOCK].routed_to is None
        assert len(world.api.all("BareMetalServer")) == 2, "its servers wait for it"
        account.grants = grants
        await world.ends()
        world.gave_back()

    played(story)


def test_4_it_is_gone_already(played):
    """Somebody deleted a host, a network and a server's service outside: there is nothing to give back, and it ends."""

    async def story(world):
        mischief.delete_host(world.one, HOST)
        mischief.delete_vnet(world.one, "vm_vlan100")
        world.scene.ovh.state.servers.pop(NODE)
        await world.scene.run(130)
        world.delete()
        await world.ends()
        assert given_back(world.scene, FRONT) == []
        assert not world.one.hosts

    played(story)


@pytest.mark.parametrize("api", ["OVHcloud", "OpenNebula"])
def test_5_the_api_is_down(played, api):
    async def story(world):
        if api == "OVHcloud":
            world.scene.wire.ovh.faults.add(fault({"preset": "server-error"}))
        else:
            mischief.set_down(world.one)
        world.delete()
        await world.scene.run(600)
        assert world.api.get(*CLOUD)
        text = str(
            [
                o.get("status", {}).get("conditions")
                for kind in ("SovereignCloud", "BareMetalServer")
                for o in world.api.all(kind)
            ]
        )
        assert "RetryingAfterError" in text
        assert api in text or "ovh" in text.lower()
        world.scene.wire.ovh.faults.clear()
        mischief.set_down(world.one, down=False)
        await world.ends(2 * LONG)
        world.gave_back()

    played(story)


def test_6_it_is_paused(played):
    async def story(world):
        world.api.annotate(*CLOUD, **{PAUSED: "true"})
        for child in ("ovh-rbx-one-1", "ovh-rbx-one-2"):
            world.api.annotate("BareMetalServer", child, **{PAUSED: "true"})
        for child in ("ovh-rbx-vm-public", "ovh-rbx-vm-vlan100"):
            world.api.annotate("VirtualNetwork", child, **{PAUSED: "true"})
        world.delete()
        await world.scene.run(300)
        await world.says("Paused", kind="VirtualNetwork", name="ovh-rbx-vm-public")
        world.stays()
        assert len(world.one.vnets) == 2
        for kind in ("SovereignCloud", "BareMetalServer", "VirtualNetwork"):
            for one in world.api.all(kind):
                world.api.annotate(kind, one["metadata"]["name"], **{PAUSED: None})
        await world.ends()
        world.gave_back()

    played(story)


def test_7_it_is_protected(played):
    """A network is locked in OpenNebula, against its administrator, too."""

    async def story(world):
        net = next(n for n in world.one.vnets.values() if n.name == "vm_vlan100")
        net.lock = Lock(level=1, owner=0, since=0)
        world.delete()
        await world.says("locked", kind="VirtualNetwork", name="ovh-rbx-vm-vlan100", within=120)
        await world.says("ovh-rbx-vm-vlan100")
        world.stays()
        net.lock = None
        await world.ends()
        world.gave_back()

    played(story)


def test_8_somebody_depends_on_it(played):
    """An object of ours, then a machine of a stranger: named, and nothing is given back before both are gone."""

    async def story(world):
        mine = manifest(
            "VirtualNetwork",
            "mine",
            {"cloudRef": {"name": "ovh-rbx"}, "vlanID": 7, "addressRanges": [{"ip": "10.7.0.10", "size": 5}]},
        )
        world.api.apply(mine)
        assert await world.scene.run(SOON, world.scene.settled)
        put_machine(world.scene, "stranger", HOST, marked=False)
        world.delete()
        await world.says("InUse", "VirtualNetwork platform/mine")
        world.delete("VirtualNetwork", "mine")
        await world.says("InUse", "VM 0 (stranger)", "deletionPolicy: Retain", within=120)
        world.stays()
        assert world.one.vms[0].state is State.ACTIVE
        mischief.terminate(world.one, 0)
        await world.ends()
        world.gave_back()

    played(story)


def test_9_the_crd_is_being_deleted(played, monkeypatch):
    """Nobody meant each of the objects: everything counts as Retain, and the cloud stands."""

    async def going(_self, _kind):
        return True

    async def story(world):
        put_machine(world.scene, "stranger", HOST, marked=False)
        monkeypatch.setattr(Client, "kind_is_going", going)
        for kind in ("SovereignCloud", "BareMetalServer", "VirtualNetwork"):
            for one in world.api.all(kind):
                world.delete(kind, one["metadata"]["name"])
        await world.ends()
        world.stays()
        assert len(world.one.vnets) == 2
        assert world.one.vms[0].state is State.ACTIVE

    played(story)


def test_10_the_namespace_is_being_deleted(played):
    """Everything in it at once, the Secrets first: they are held until nobody needs them."""

    async def story(world):
        for secret in ("ovh-account", "ovh-rbx-oneadmin"):
            world.delete("Secret", secret)
        for kind in ("BareMetalServer", "VirtualNetwork", "SovereignCloud"):
            for one in world.api.all(kind):
                world.delete(kind, one["metadata"]["name"])
        await world.ends()
        world.gave_back()
        assert world.api.all("Secret") == []

    played(story)


@pytest.mark.parametrize("after", [3.0, 8.0, 14.0, 20.0])
def test_11_the_operator_is_restarted(played, after):
    """At every single write of it: tests/faults/test_crash_points.py, course hosted-delete."""

    async def story(world):
        world.delete()
        await world.scene.run(after)
        await world.scene.restart()
        await world.ends()
        world.gave_back()

    played(story)


def test_12_it_has_two_owners(played):
    """Another installation has marked a server and a host as its own: what is its own stays, the rest is given back."""

    async def story(world):
        theirs = world.scene.ovh.state.servers[NODE].resource.tags
        theirs |= {OVH_INSTALLATION: "prod-2", OVH_OBJECT: "BareMetalServer/a/b"}
        host = next(h for h in world.one.hosts.values() if h.name == HOST)
        host.template.put("SOVEREIGNCLOUD_INSTALLATION", "prod-2")
        await world.scene.run(130)
        world.delete()
        await world.ends()
        assert theirs[OVH_INSTALLATION] == "prod-2"
        assert [v["vrack"] for v in world.scene.ovh.state.servers[NODE].vnis if v["vrack"]] == [VRACK]
        assert [h.name for h in world.one.hosts.values()] == [HOST]
        assert given_back(world.scene, FRONT) == []

    played(story)


def test_every_world_of_the_list_is_here():
    """Credentials gone, parent gone, 403 after success, 404, API down, paused, protected, dependants, CRD deleting, namespace
    deleting, operator restart, two owners."""
    numbers = {int(m.group(1)) for name in globals() if (m := re.match(r"test_(\d+)_", name))}
    assert numbers == set(range(1, 13))
