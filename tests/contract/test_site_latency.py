"""The time from one site to another, measured through the sshd of a front-end as the operator does it: with real SSH."""

import asyncio
import contextlib
import logging
import random
from copy import deepcopy
from functools import partial

import asyncssh
import pytest
from tests.fakes import objects
from tests.unit.project.test_examples import DOCUMENTS

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.engine.views.latency_probes import Distances
from sovereigncloud.ports.errors import Auth, OutsideError, Retry
from sovereigncloud.ports.installer.federation import Login
from sovereigncloud.ports.installer.installation import JumpHost
from sovereigncloud.ports.latency import Address, Entry
from sovereigncloud.providers.latency import SshSites
from sovereigncloud_sandbox.front_end_sshd import FrontEnd, Ways
from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.seed import SERVERS
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.sshd import says
from sovereigncloud_sandbox.ovh.state import Effect, Install, TaskKind
from sovereigncloud_sandbox.ovh.world import World

OURS, OTHERS, HOST, ANOTHER_HOST = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(4))
PRIVATE = OURS.export_private_key("openssh").decode()
NEAR = 0.06
"""Seconds to the front-end and back: what must not be in what is measured."""
MORE = 0.05
"""Seconds that a busy machine adds at most, the quickest of several counted."""
NOBODY = 1
"""A port on which nobody listens."""


def public(key):
    return key.export_public_key("openssh").decode().strip()


@contextlib.asynccontextmanager
async def front_end(ways, *, keys=(OURS,), host_key=HOST):
    """Its port."""
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=partial(FrontEnd, keys, ways),
        server_host_keys=[host_key],
    )
    async with acceptor:
        yield acceptor.get_port()


@pytest.fixture
async def clouds():
    """The addresses of two clouds, and how many connections each got and how much was said in them."""
    seen = {}

    async def answer(reader, writer):
        seen[writer.get_extra_info("sockname")].append(await reader.read())
        writer.close()

    async with contextlib.AsyncExitStack() as running:
        for _ in range(2):
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            await running.enter_async_context(server)
            seen[server.sockets[0].getsockname()] = []
        yield seen


@contextlib.asynccontextmanager
async def long_way(port):
    """To what listens there: another port, from which it takes NEAR and back."""

    connections = []

    async def carry(reader, writer):
        with contextlib.suppress(ConnectionError):
            while said := await reader.read(65536):
                await asyncio.sleep(NEAR / 2)
                writer.write(said)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def connect(reader, writer):
        connections.append(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*connections)


def entry(port, *, host_key=HOST, key=PRIVATE, **more):
    return Entry(Login("127.0.0.1", port, "root", "key", public(host_key) if host_key else "", **more), key)


async def test_what_is_measured_is_the_way_between_the_two_sites_only(clouds):
    near, far = (Address(*where) for where in clouds)
    ways = Ways(delays={(near.host, near.port): 0.005, (far.host, far.port): 0.12})
    async with front_end(ways) as sshd, long_way(sshd) as port:
        trips = await SshSites().trips(entry(port), (near, far))
    assert 0.005 <= trips[near].seconds + 0.001 < 0.005 + MORE
    assert 0.12 <= trips[far].seconds + 0.001 < 0.12 + MORE
    assert [trips[near].why, trips[far].why] == ["", ""]
    assert all(said == [b""] * 4 for said in clouds.values()), "connections that were closed again, and nothing in them"
    assert ways.offered == {("root", True)}


async def test_where_sshd_forwards_nothing_that_is_the_answer_and_no_error(clouds):
    target = Address(*next(iter(clouds)))
    ways = Ways(forwards=False)
    async with front_end(ways) as port:
        trips = await SshSites().trips(entry(port), (target,))
    assert trips[target].seconds is None
    assert trips[target].why == f"sshd there does not forward to {target} (AllowTcpForwarding, PermitOpen)"
    assert clouds[target.host, target.port] == []
    assert len(ways.asked) == 1, "not asked again"


async def test_where_nobody_listens_the_others_are_measured_all_the_same(clouds):
    dead, alive = Address("127.0.0.1", NOBODY), Address(*next(iter(clouds)))
    async with front_end(Ways()) as port:
        trips = await SshSites().trips(entry(port), (dead, alive))
    assert trips[dead].seconds is None
    assert trips[dead].why == f"nothing answers there at {dead}"
    assert trips[alive].seconds is not None


async def test_what_does_not_answer_in_time_is_left():
    silent = Address("127.0.0.1", 9)
    async with front_end(Ways(delays={(silent.host, silent.port): 60.0})) as port:
        trips = await SshSites(near_enough=0.5).trips(entry(port), (silent,))
    assert trips[silent].seconds is None
    assert trips[silent].why == f"no answer in time there from {silent}"


async def test_who_has_another_host_key_is_offered_nothing(clouds):
    ways = Ways()
    async with front_end(ways, host_key=ANOTHER_HOST) as port:
        with pytest.raises(Auth, match="another host key than the pinned one"):
            await SshSites().trips(entry(port), tuple(Address(*where) for where in clouds))
    assert not ways.offered
    assert ways.asked == []


REFUSED = [
    ("the key is not let in", {"keys": (OTHERS,)}, {}, Auth, "does not let this key in"),
    ("no key", {}, {"key": "nonsense"}, Auth, "none that can be read"),
    (
        "a key with a password",
        {},
        {"key": OURS.export_private_key("pkcs8-pem", passphrase="secret").decode()},
        Auth,
        "without a password",
    ),
    ("no host key is known: nobody is believed at first sight", {}, {"host_key": None}, Auth, "none that can be read"),
    ("nobody listens", {}, {"port": NOBODY}, Retry, "no answer"),
]


@pytest.mark.parametrize(("why", "there", "here", "error", "words"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_where_it_is_not_let_in_that_is_told_in_fixed_words(why, there, here, error, words, caplog):
    caplog.set_level(logging.DEBUG)
    async with front_end(Ways(), **there) as port:
        with pytest.raises(error, match=words) as caught:
            await SshSites().trips(entry(**{"port": port} | here), (Address("127.0.0.1", NOBODY),))
    assert isinstance(caught.value, OutsideError), why
    secret = here.get("key", PRIVATE).splitlines()[len(here.get("key", PRIVATE).splitlines()) // 2]
    assert secret not in f"{caught.value!r} {caplog.text}"


def test_no_key_is_in_what_is_printed_of_an_entry():
    assert "OPENSSH" not in repr(Entry(entry(22).login, PRIVATE, PRIVATE))


async def test_through_a_bastion_the_way_to_it_is_no_part_of_what_is_measured(clouds):
    target = Address(*next(iter(clouds)))
    there = Ways(delays={(target.host, target.port): 0.06})
    bastion = Ways()
    async with (
        front_end(there) as port,
        front_end(bastion, keys=(OTHERS,), host_key=ANOTHER_HOST) as sshd,
        long_way(sshd) as jump,
    ):
        host = JumpHost("127.0.0.1", jump, "jump", public(ANOTHER_HOST), "bastion-key")
        with_key = Entry(entry(port, jump_host=host).login, PRIVATE, OTHERS.export_private_key("openssh").decode())
        trips = await SshSites().trips(with_key, (target,))
    assert 0.06 <= trips[target].seconds + 0.001 < 0.06 + MORE
    assert bastion.asked == [("127.0.0.1", port)]
    assert bastion.offered == {("jump", True)}
    assert there.offered == {("root", True)}


# --- all of it ------------------------------------------------------------------------------------------------------------


class Secrets:
    """What the operator reads of Kubernetes here."""

    async def secret(self, _namespace, name):
        return {"ovh-rbx-oneadmin": {"sshPrivateKey": PRIVATE}}[name]


async def installed(simulator, address):
    """A server that was installed and lets in whoever has our key; its host key."""
    world = simulator.world
    tamper.patch_server(world, SERVERS[0], {"ip": address})
    with world.lock:
        task = world.order(TaskKind.SERVER, SERVERS[0], "reinstallServer", Effect.INSTALLED, "ubuntu2404-server_64")
        made = Install(task.id, "ubuntu2404-server_64", {"sshKey": public(OURS)}, [], task.created)
        world.state.servers[SERVERS[0]].installs.append(made)
    world.finish(task)
    await simulator.sshd.follow(world)
    return says(world.state.servers[SERVERS[0]])[1]


def hosted_cloud(address, host_key):
    """The example's cloud on servers, and its servers."""
    body = next(
        d
        for d in DOCUMENTS
        if d["kind"] == "SovereignCloud" and "hosted" in d["spec"] and d["metadata"]["name"] == "ovh-rbx"
    )
    body = deepcopy(body) | {"status": {}}
    body["metadata"] |= {"uid": "u", "resourceVersion": "1", "generation": 1}
    yield body
    for server in SovereignCloud.model_validate(body).spec.hosted.ovh.servers:
        name = f"ovh-rbx-{server.name}"
        status = {"address": address, "hostKey": host_key}
        yield objects.server(name, namespace=body["metadata"]["namespace"], status=status)


async def test_from_a_cloud_on_servers_with_the_key_of_its_installation(clouds):
    address = f"127.{random.randint(1, 63)}.{random.randint(1, 250)}.10"
    host, port = next(iter(clouds))
    store = Store()
    async with Simulator(World(), ssh_port=22023) as simulator:
        simulator.sshd.ways.delays[host, port] = 0.04
        for body in hosted_cloud(address, await installed(simulator, address)):
            store.put(body)
        namespace = body["metadata"]["namespace"]
        paris = {"endpoint": f"http://{host}:{port}/RPC2", "credentialsSecretRef": {"name": "one"}}
        store.put(objects.cloud("onprem-paris", spec={"existing": paris}, namespace=namespace))
        settings = Settings(ssh_port=22023)
        distances = Distances(SshSites(), settings, store, Clients(Secrets(), None, None), lambda _: True)
        await distances.look()
        here, there = (Key("SovereignCloud", namespace, name) for name in ("ovh-rbx", "onprem-paris"))
        assert 39.0 <= distances.between(here, there) < 40.0 + 1000 * MORE
        assert simulator.sshd.ways.offered == {("ubuntu", True)}
        await distances.look()
        assert simulator.sshd.ways.asked == [(host, port)] * 4, "not before its time"
        for told in (repr(distances.__dict__), str(distances.seconds())):
            assert PRIVATE.splitlines()[3] not in told
