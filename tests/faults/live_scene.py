"""The same, in real time: the simulators behind their sockets, the adapters in their threads with their timeouts."""

import asyncio
import time
from datetime import UTC, datetime

from tests.faults.scene import Process, Scene

from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud.providers.opennebula.session import Timeout
from sovereigncloud.providers.ovh import Endpoint, Limits, ovh_factory
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec
from sovereigncloud_sandbox.opennebula.sandbox import OneSandbox

READ_TIMEOUT = 0.4
"""Seconds of silence after which the adapters give up."""
_MANY = 10_000


class LiveScene(Scene):
    """A whole installation in real time. Use `async with`."""

    wall = staticmethod(time.time)

    def __init__(self, **settings):
        super().__init__(**{"settle_interval": 0.15, "sweep_interval": 1.0, "late_write_grace": 2.0, **settings})
        timing = self.ovh.state.timing
        timing.reinstall, timing.vrack_task, timing.ip_task = 0.5, 0.2, 0.2
        self.sandbox = OneSandbox()

    @staticmethod
    def now():
        return datetime.now(UTC)

    async def __aenter__(self):
        await self.wire.ovh.start()
        self.process = Process(self)
        self.process.start()
        return self

    async def __aexit__(self, *_):
        self.process.life.end()
        await self.process.engine.stop(1.0)
        await self.sandbox.close()
        await self.wire.ovh.stop()

    async def open_cloud(self, name, **speeds):
        """A cloud at an address of its own; its endpoint."""
        hosts = (HostSpec("10.0.0.1"), HostSpec("10.0.0.2"))
        endpoint = await self.sandbox.create(CloudSpec(name, oneadmin_password="one", hosts=hosts, speeds=speeds))
        self.clouds[name] = self.sandbox[name]
        return endpoint

    def open_nebula(self, life):
        del life
        return open_nebula_factory(rate=_MANY, burst=_MANY, timeout=Timeout(1.0, READ_TIMEOUT))

    def account(self, life):
        del life
        door = self.wire.ovh.connection()
        limits = Limits(rate=_MANY, burst=_MANY, timeout=(1.0, READ_TIMEOUT))
        return ovh_factory(limits, {"ovh-eu": Endpoint(door["endpoint"], door["tokenURL"])})

    async def until(self, done, seconds):
        """Whether that came in time."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True
