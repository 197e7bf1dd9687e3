"""The port `Ssh` against real SSH servers, and the sandbox's sshd against it and against OpenSSH's own ssh-keyscan."""

import asyncio
import base64
import contextlib
import random
import shutil

import asyncssh
import pytest

from sovereigncloud.core.identity import Mark
from sovereigncloud.engine.views.host_key_cache import Greetings
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import Day0, is_proven, proof_key, script
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.ssh import Greeting
from sovereigncloud.providers.ssh import HostKeys
from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.seed import SERVERS
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.state import Effect, Install, TaskKind
from sovereigncloud_sandbox.ovh.world import World

UBUNTU = "ubuntu2404-server_64"
KEY = proof_key("a private key", "urn", "first")
SCRIPT = script(Day0("ns1", "first", Mark("prod", "BareMetalServer/platform/one-1", "u"), proof_key=KEY))


async def listening(**options):
    acceptor = await asyncssh.listen("127.0.0.1", 0, **options)
    return acceptor, acceptor.get_port()


async def test_the_first_line_and_the_host_key_of_a_server():
    rsa, ed25519 = (asyncssh.generate_private_key(kind) for kind in ("ssh-rsa", "ssh-ed25519"))
    acceptor, port = await listening(server_host_keys=[rsa, ed25519], server_version="OpenSSH_9.6p1 extra")
    async with acceptor:
        greeting = await HostKeys(port).greeting("127.0.0.1")
    assert greeting.version == "SSH-2.0-OpenSSH_9.6p1 extra"
    assert greeting.host_key == ed25519.export_public_key("openssh").decode().strip(), "always the one of one type"


async def test_a_user_who_has_no_line_in_passwd_asks_as_well(monkeypatch):
    """As in a pod, whose user is a number."""
    acceptor, port = await listening(server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")])
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    async with acceptor:
        assert (await HostKeys(port).greeting("127.0.0.1")).host_key.startswith("ssh-ed25519 ")


async def talk(port, line):
    async def answer(_reader, writer):
        writer.write(line)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port)


SILENT = [
    ("a web server", b"HTTP/1.1 400 Bad Request\r\n\r\n", "no answer, or none of an SSH server"),
    ("an endless line", b"x" * 4096, "no answer, or none of an SSH server"),
    ("one that says who it is and nothing more", b"SSH-2.0-x\r\n", "no answer"),
    ("nothing at all", b"", "no answer"),
]


@pytest.mark.parametrize(("why", "line", "told"), SILENT, ids=[row[0] for row in SILENT])
async def test_what_is_no_ssh_server_passes_and_is_told_in_fixed_words(why, line, told):
    async with await talk(0, line) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Retry, match=told) as caught:
            await HostKeys(port, within=2.0).greeting("127.0.0.1")
    assert caught.value.where == f"SSH 127.0.0.1:{port}", why
    assert not caught.value.maybe_done


async def test_where_nobody_listens_that_is_told():
    with pytest.raises(Retry, match="no answer"):
        await HostKeys(1, within=2.0).greeting("127.0.0.1")


async def test_a_server_without_a_key_of_the_type_is_told():
    acceptor, port = await listening(server_host_keys=[asyncssh.generate_private_key("ssh-rsa")])
    async with acceptor:
        with pytest.raises(Retry, match="no host key of type ssh-ed25519"):
            await HostKeys(port).greeting("127.0.0.1")


# --- the sandbox's


@pytest.fixture
def address():
    """A loopback address of its own, since the port is the same for all servers."""
    return f"127.{random.randint(1, 63)}.{random.randint(1, 250)}.10"


@pytest.fixture
async def simulator(address):
    world = World()
    tamper.patch_server(world, SERVERS[0], {"ip": address})
    async with Simulator(world, ssh_port=22022) as running:
        yield running


async def install(simulator, content=SCRIPT):
    """Its installation ended."""
    world = simulator.world
    given = {"postInstallationScript": base64.b64encode(content.encode()).decode()} if content else {}
    with world.lock:
        task = world.order(TaskKind.SERVER, SERVERS[0], "reinstallServer", Effect.INSTALLED, UBUNTU)
        world.state.servers[SERVERS[0]].installs.append(Install(task.id, UBUNTU, given, [], task.created))
    await simulator.sshd.follow(world)
    world.finish(task)
    await simulator.sshd.follow(world)


async def test_an_installed_server_proves_its_key_as_its_script_asked(simulator, address):
    keys = HostKeys(22022)
    with pytest.raises(Retry):
        await keys.greeting(address)
    await install(simulator)
    first = await keys.greeting(address)
    assert is_proven(first.version, first.host_key, KEY)
    await install(simulator, content="")
    second = await keys.greeting(address)
    assert second.host_key != first.host_key, "an installation makes a new one"
    assert "sovereigncloud-" not in second.version, "nobody asked for a proof"
    tamper.rekey(simulator.world, SERVERS[0])
    await simulator.sshd.follow(simulator.world)
    assert (await keys.greeting(address)).host_key not in {first.host_key, second.host_key}


@pytest.mark.skipif(not shutil.which("ssh-keyscan"), reason="no ssh-keyscan here")
async def test_openssh_sees_the_same_key(simulator, address):
    await install(simulator)
    scan = await asyncio.create_subprocess_exec(
        "ssh-keyscan", "-t", "ed25519", "-p", "22022", address, stdout=asyncio.subprocess.PIPE, stderr=-3
    )
    told, _ = await scan.communicate()
    seen = await HostKeys(22022).greeting(address)
    assert seen.host_key in told.decode()


# --- what is remembered


class Counting:
    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    async def greeting(self, _address):
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_one_reading_serves_for_as_long_as_each_look_allows_and_a_sweep_never_reads():
    now = 0.0
    one, two = Greeting("a", "k 1"), Greeting("b", "k 2")
    ssh = Counting(one, two)
    greetings = Greetings(ssh, lambda: now)
    assert greetings.known("x", 3600) is None
    assert await greetings.get("x", 3600) == one
    now = 3599.0
    assert greetings.known("x", 3600) == await greetings.get("x", 3600) == one
    assert await greetings.get("x", 0) == two
    assert ssh.asked == 2


async def test_who_does_not_answer_is_asked_again_sooner():
    now = 0.0
    ssh = Counting(Retry("no answer"), Greeting("a", "k 1"))
    greetings = Greetings(ssh, lambda: now)
    with pytest.raises(Retry):
        await greetings.get("x", 3600)
    now = 299.0
    with pytest.raises(Retry):
        await greetings.get("x", 3600)
    assert ssh.asked == 1
    now = 301.0
    assert (await greetings.get("x", 3600)).host_key == "k 1"


async def test_where_nobody_is_asked_nothing_is_heard():
    greetings = Greetings(None)
    assert not greetings.asks
    assert await greetings.get("x", 0) is None
