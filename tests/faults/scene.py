"""The operator's real engine, kinds and adapters between an API server in memory and the simulators, in simulated time.

A crash drops the whole process: its engine and everything it remembers. The next one starts from the API server's state.
"""

import asyncio
import base64
import contextlib
import contextvars
import random
import weakref

from prometheus_client import CollectorRegistry
from tests.faults.api_server import KINDS, ApiServer, Client, secret
from tests.faults.simulated_time import clock, now, wall
from tests.faults.wire import Life, Wire, Writes, without_threads

from sovereigncloud.engine.loop.queue import Backoff
from sovereigncloud.engine.runtime import Engine
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.ssh import Greeting
from sovereigncloud.providers.installer.installation import JobInstaller
from sovereigncloud.providers.kubernetes.api import PLURALS
from sovereigncloud_sandbox.installer_player import FEDERATION, cloud_of, federation_of, succeeded
from sovereigncloud_sandbox.opennebula import federation
from sovereigncloud_sandbox.opennebula.install import CloudSpec, install, parse_spec, set_endpoint
from sovereigncloud_sandbox.opennebula.model_federation import Mode
from sovereigncloud_sandbox.opennebula.network import Network
from sovereigncloud_sandbox.ovh.seed import SERVERS, SPARE
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.sshd import says
from sovereigncloud_sandbox.ovh.world import World
from sovereigncloud_sandbox.stage import is_ready

INSTALLATION = "test-1"
INSTALL_TAKES = 6.0
RESTART_TAKES = 0.5
"""Seconds from the end of a process until the next one has listed everything: about the least there can be."""


_PROCESS = contextvars.ContextVar("process", default=None)
_TASKS = weakref.WeakKeyDictionary()
"""Which process a task is of: there may be several, of several installations."""


def _task(loop, coroutine, **how):
    task = asyncio.Task(coroutine, loop=loop, **how)
    _TASKS[task] = _PROCESS.get()
    return task


class Sshd:
    """The servers, to who asks them over SSH."""

    def __init__(self, world):
        self._world = world

    async def greeting(self, address):
        self._world.advance()
        servers = (s for s in self._world.state.servers.values() if s.document["ip"] == address)
        said = next((says(server) for server in servers), None)
        if said is None:
            raise Retry("no answer in time", where=f"SSH {address}", maybe_done=False)
        return Greeting(*said)


class Process:
    """One process of the operator."""

    def __init__(self, scene):
        self.life = Life()
        self._scene = scene
        self._context = contextvars.copy_context()
        self._context.run(_PROCESS.set, self)
        api = Client(scene.api, scene.writes, self.life)
        settings = scene.settings
        self.engine = Engine(
            settings,
            settings.installation_id,
            CONTROLLERS,
            clients=Clients(
                api,
                scene.open_nebula(self.life),
                scene.account(self.life),
                clock=asyncio.get_running_loop().time,
            ),
            kubernetes=api,
            writer=api,
            installer=JobInstaller(api, image="installer"),
            ssh=Sshd(scene.ovh),
            metrics=Metrics(CollectorRegistry()),
            may_write=lambda: not self.life.dead,
            clock=asyncio.get_running_loop().time,
            now=scene.now,
            backoff=Backoff(jitter=random.Random(7).random),
        )

    def start(self):
        for kind in KINDS.values():
            for body in self._scene.api.all(kind):
                self._context.run(self.engine.told, None, body)
        self.engine.synced = True
        self._context.run(self.engine.start)
        self._scene.api.watchers.append(self._told)

    def _told(self, event, body):
        if not self.life.dead:
            self._context.run(self.engine.told, event, body)

    async def end(self):
        """Whatever it was about to do, it does not."""
        self.life.end()
        self._scene.api.watchers.remove(self._told)
        others = (asyncio.current_task(),)
        tasks = [task for task in asyncio.all_tasks() if task not in others and _TASKS.get(task) in (self, None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Scene:
    """A whole installation in simulated time. Use `async with`.

    Attributes:
        way_in: "OAuth2" or "keys": how the OVHcloud account is entered.
    """

    now = staticmethod(now)
    wall = staticmethod(wall)

    def __init__(self, *, way_in="OAuth2", **settings):
        self.way_in = way_in
        self.settings = Settings(**{"installation_id": INSTALLATION, **settings})
        self.writes = Writes()
        self.api = ApiServer()
        world = World(clock=self.wall)
        timing = world.state.timing
        timing.reinstall, timing.vrack_task, timing.ip_task, timing.token = 15.0, 4.0, 4.0, 1e9
        for number, name in enumerate((*SERVERS, SPARE)):
            world.state.servers[name].document["ip"] = f"127.0.0.{10 + number}"
        self.ovh = world
        self.wire = Wire(Simulator(world), self.writes)
        self.ovh_journal = self.wire.ovh.journal
        self.clouds = {}
        self.network = Network()
        self.restarts = 0
        self.installs = []
        self.process = None
        self._open = contextlib.ExitStack()
        self.api.on_job.append(self._play)

    async def __aenter__(self):
        self._open.enter_context(without_threads())
        asyncio.get_running_loop().set_task_factory(_task)
        self.process = Process(self)
        self.process.start()
        return self

    async def __aexit__(self, *_):
        await self.process.end()
        self._open.close()

    def open_nebula(self, life):
        return self.wire.open_nebula(life)

    def account(self, life):
        return self.wire.account(life)

    # --- what is outside ---------------------------------------------------------------------------------------------

    def add_cloud(self, name, address, *, password="one", hosts=("10.0.0.1", "10.0.0.2")):
        spec = parse_spec(
            {
                "name": name,
                "listen": f"{address}:2633",
                "oneadmin_password": password,
                "hosts": [{"name": h} for h in hosts],
            }
        )
        return self._install(spec)

    def _install(self, spec: CloudSpec):
        cloud = install(spec, self.wall)
        set_endpoint(cloud, f"http://{spec.listen}/RPC2")
        self.network.join(spec.listen, cloud)
        self.clouds[spec.name] = self.wire.clouds[spec.listen] = cloud
        return cloud

    def account_secret(self, name):
        """The Secret with the credentials of the OVHcloud account."""
        state = self.ovh.state
        if self.way_in == "OAuth2":
            client = state.service_accounts[0]
            return secret(name, clientId=client.client_id, clientSecret=client.client_secret)
        key = state.application_keys[0]
        return secret(
            name,
            applicationKey=key.application_key,
            applicationSecret=key.application_secret,
            consumerKey=key.consumer_key,
        )

    def _play(self, where):
        """The pod of the installer."""
        self.installs.append(where)
        asyncio.get_running_loop().call_later(INSTALL_TAKES, self._installed, where)

    def _installed(self, where):
        job = self.api.objects.get(where)
        if job is None:
            return
        if FEDERATION in job["metadata"]["labels"]:
            address, conf = federation_of(job)
            federation.change(self.wire.clouds[address], Mode(conf.pop("mode")), **conf)
            self.api.status(where, succeeded())
            return
        volumes = job["spec"]["template"]["spec"]["volumes"]
        name = next(v["secret"]["secretName"] for v in volumes if "secret" in v)
        password = self.api.get("Secret", name, where[1])["data"]["password"]
        wanted = parse_spec(cloud_of(job, base64.b64decode(password).decode()))
        if wanted.name not in self.clouds:
            self._install(wanted)
        self.api.status(where, succeeded())

    # --- time --------------------------------------------------------------------------------------------------------

    async def restart(self):
        """The process ends at once, wherever it is; the next one starts."""
        await self.process.end()
        await asyncio.sleep(RESTART_TAKES)
        self.restarts += 1
        self.process = Process(self)
        self.process.start()

    async def lose_the_cluster(self, keep=()):
        """Everything in the API server is gone, but for one object of which there is a backup; another process starts."""
        kept = self.api.get(*keep) if keep else None
        self.api.objects.clear()
        if kept:
            kept["metadata"].pop("finalizers", None)
            self.api.objects[PLURALS.get(keep[0], "secrets"), "platform", keep[1]] = kept
        await self.restart()

    async def run(self, seconds, done=None, every=1.0):
        """Let time pass, starting a new process whenever one ended; until `done()`. Whether that came."""
        deadline = clock() + seconds
        while clock() < deadline:
            if done is not None and done():
                return True
            try:
                async with asyncio.timeout(min(every, deadline - clock())):
                    await self.process.life.died.wait()
            except TimeoutError:
                continue
            await self.restart()
        return done is not None and done()

    def settled(self):
        """Everything that is there is ready, nothing is on its way to be deleted, and the watch has told it all."""
        return all(
            is_ready(body) and not body["metadata"].get("deletionTimestamp")
            for kind in KINDS.values()
            for body in self.api.all(kind)
        )
