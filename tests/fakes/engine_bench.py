"""The engine between an API server and a cloud in memory, in virtual time."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from prometheus_client import CollectorRegistry
from tests.fakes import objects
from tests.fakes.api_server import ApiServer
from tests.fakes.objects import CLOUD, NAMESPACE, key
from tests.fakes.outside import Account, CloudController, GroupController, MachineController, Outside, ServerController
from tests.fakes.virtual_time import now, run

from sovereigncloud.engine.loop.queue import Backoff
from sovereigncloud.engine.runtime import Engine
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.engine.views.clients import Clients

WEB = key("web")


class Bench:
    """One process of the operator at a time, and the worlds around it, which outlive it."""

    def __init__(self, **settings):
        self.settings = Settings(namespace="sovereign-system", **settings)
        self.api, self.outside, self.account = ApiServer(), Outside(), Account()
        self.machines, self.clouds, self.groups = MachineController(), CloudController(), GroupController()
        self.leader, self.engine, self.installation = True, None, "installation"
        self.sites = None
        self.api.create(NAMESPACE, "one", {"username": "oneadmin", "password": "secret"})

    def make(self):
        """A process that is not started yet."""
        self.metrics = Metrics(CollectorRegistry())
        self.clients = Clients(
            self.api, lambda *credentials: self.outside.client(credentials[2]), lambda *_: self.account, clock=now
        )
        return Engine(
            self.settings,
            self.installation,
            {
                "HostedInstance": self.machines,
                "SovereignCloud": self.clouds,
                "SecurityGroup": self.groups,
                "BareMetalServer": ServerController(),
            },
            clients=self.clients,
            kubernetes=self.api,
            writer=self.api,
            installer=SimpleNamespace(),
            sites=self.sites,
            metrics=self.metrics,
            may_write=lambda: self.leader,
            clock=now,
            now=lambda: datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=now()),
            backoff=Backoff(jitter=lambda: 0.5),
        )

    async def start(self):
        self.engine = self.make()
        for body in self.api.listed():
            self.engine.told(None, body)
        self.api.listeners = [self.engine.told]
        self.engine.start()

    def kill(self):
        """The process is gone, whatever it was doing."""
        self.api.listeners = []
        self.engine.queue.stop()
        for task in [*self.engine._tasks, *(w._task for w in self.engine.watches.all() if w._task)]:
            task.cancel()
        self.engine = None

    async def restart(self):
        self.kill()
        await asyncio.sleep(0.1)
        await self.start()

    async def after(self, seconds=10.0):
        await asyncio.sleep(seconds)

    async def running(self, *names, **spec):
        """A cloud and machines in it, all of them ready."""
        self.api.apply(objects.cloud(endpoint=None))
        for name in names or ("web",):
            self.api.apply(objects.instance(name, spec=spec))
        await self.start()
        await self.after(20)
        for name in names or ("web",):
            assert self.ready(key(name)), self.api.status(key(name))
        assert self.ready(CLOUD)

    def ready(self, which=WEB):
        return self.api.condition(which)["status"] == "True"

    def reason(self, which=WEB):
        """Of what is going on, or of Ready."""
        for kind in ("Stalled", "Reconciling", "Ready"):
            if self.api.condition(which, kind)["status"]:
                return f"{kind}/{self.api.condition(which, kind)['reason']}"
        return ""

    def message(self, which=WEB):
        kind = self.reason(which).partition("/")[0]
        return self.api.condition(which, kind)["message"]

    def quiet(self):
        """Forget what was written so far."""
        self.api.writes.clear()
        self.outside.calls.clear()
        self.api.events.clear()


def scenario(test=None, **settings):
    """A test in virtual time, with a bench of its own."""

    def wrap(test):
        def wrapper():
            async def body():
                await test(Bench(**settings))

            run(body())

        wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
        return wrapper

    return wrap if test is None else wrap(test)
