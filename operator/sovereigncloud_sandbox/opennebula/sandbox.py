"""The HTTP servers of all simulated clouds, and access to the clouds within the process."""

import asyncio
import contextlib
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from sovereigncloud_sandbox.faults import Canned, Dropped
from sovereigncloud_sandbox.opennebula import federation, loss, raft, running
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import RpcFault
from sovereigncloud_sandbox.opennebula.install import CloudSpec, FrontEndSpec, TlsSpec, install, set_endpoint
from sovereigncloud_sandbox.opennebula.methods import METHODS, serve
from sovereigncloud_sandbox.opennebula.network import Network
from sovereigncloud_sandbox.opennebula.wire import Argument, decode_call, encode_fault

CALL = "CALL"  # the method of a fault rule that means XML-RPC calls; its path is the name of the XML-RPC method
_LARGEST_CALL = 8 * 1024 * 1024
_PATIENCE = 0.05  # seconds between looks whether a call that waits can be answered


@dataclass(slots=True)
class _Running:
    cloud: Cloud
    spec: CloudSpec
    runner: web.AppRunner
    site: web.TCPSite
    host: str
    port: int
    front_ends: list[tuple[web.AppRunner, str]] = field(default_factory=list)  # of a zone that has several

    @property
    def endpoint(self) -> str:
        scheme = "https" if self.spec.tls else "http"
        return f"{scheme}://{self.host}:{self.port}/RPC2"


class OneSandbox:
    """The clouds of one process. Everything happens in the event loop in which it was started."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._running: dict[str, _Running] = {}
        self.network = Network()

    async def create(self, spec: CloudSpec) -> str:
        """Make a cloud and let it listen; gives its endpoint.

        Raises:
            ValueError: the name is in use, or the specification is wrong.
            OSError: the address is in use.
        """
        if spec.name in self._running:
            raise ValueError(f"there is a cloud {spec.name!r} already")
        cloud = install(spec, self._clock)
        runner, site = await _listening(cloud, None, spec.listen, spec.tls)
        running = _Running(cloud, spec, runner, site, spec.listen.rpartition(":")[0], runner.addresses[0][1])
        self._running[spec.name] = running
        set_endpoint(cloud, running.endpoint)
        self.network.join(running.endpoint, cloud)
        if spec.front_ends:
            try:
                await self.gather(spec.name, spec.front_ends)
            except OSError:
                await self.destroy(spec.name)
                raise
        return running.endpoint

    async def gather(self, name: str, front_ends: Sequence[FrontEndSpec]) -> list[str]:
        """Give a cloud several front-ends, each at an address of its own, the first of which leads; its address so far
        follows the leader. What an installer makes of several servers. Gives their endpoints.

        Raises:
            KeyError: there is no such cloud.
            OSError: an address is in use.
        """
        running = self._running[name]
        for number, one in enumerate(front_ends):
            runner, _ = await _listening(running.cloud, number, one.listen, None)
            endpoint = f"http://{one.listen.rpartition(':')[0]}:{runner.addresses[0][1]}/RPC2"
            running.front_ends.append((runner, endpoint))
            self.network.join(endpoint, running.cloud, number)
        endpoints = [endpoint for _, endpoint in running.front_ends]
        raft.gather(running.cloud, [(one.name, at) for one, at in zip(front_ends, endpoints, strict=True)])
        federation.note(running.cloud)
        return endpoints

    def find(self, which: str) -> Cloud:
        """A cloud by its name, or by an endpoint of it.

        Raises:
            LookupError: there is none.
        """
        place = None if which in self._running else self.network.find(which)
        if place is None and which not in self._running:
            raise LookupError(f"no cloud {which!r}; there are {', '.join(self.names()) or 'none'}")
        return place.cloud if place is not None else self._running[which].cloud

    def __getitem__(self, name: str) -> Cloud:
        return self._running[name].cloud

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def power(self, address: str, *, on: bool) -> list[str]:
        """Switch a server on or off, as its provider does; gives the clouds of which it is a host."""
        clouds = list(self.network.clouds())
        here = [one for one in clouds if any(host.name == address for host in one.hosts.values())]
        for cloud in here:
            loss.switch(cloud, address, on=on)
        (self.network.dead_servers.discard if on else self.network.dead_servers.add)(address)
        return [one.name for one in here]

    def copies(self, attribute: str, value: str) -> Mapping[str, Any]:
        """Where machines with this mark in USER_TEMPLATE really run, and how many did at the same time, at worst."""
        found = running.copies(self.network.clouds(), attribute, value)
        now = [(cloud, one) for cloud, one in found if one.end is None]
        return {
            "running": [{"cloud": cloud.name, "vm": one.vm.oid, "host": one.host} for cloud, one in now],
            "most": running.most(found),
        }

    def names(self) -> list[str]:
        return sorted(self._running)

    def endpoint(self, name: str) -> str:
        """Where a cloud listens: "http://127.57.131.160:2633/RPC2"."""
        return self._running[name].endpoint

    async def listen(self, name: str, listen: str, tls: TlsSpec | None) -> str:
        """Let a cloud listen elsewhere, or with another certificate; gives its endpoint.

        Raises:
            KeyError: there is no such cloud.
            OSError: the address is in use; then it listens nowhere, as a web server with a wrong configuration.
        """
        running = self._running[name]
        host, _, port = listen.rpartition(":")
        await running.site.stop()
        self.network.leave(running.endpoint)
        running.site = web.TCPSite(running.runner, host, int(port), ssl_context=_tls(tls))
        await running.site.start()
        running.spec, running.host, running.port = replace(running.spec, tls=tls, listen=listen), host, int(port)
        set_endpoint(running.cloud, running.endpoint)
        self.network.join(running.endpoint, running.cloud)
        return running.endpoint

    async def destroy(self, name: str) -> None:
        """A cloud and all that was in it is gone; its address is free.

        Raises:
            KeyError: there is no such cloud.
        """
        running = self._running.pop(name)
        await running.cloud.faults.close()
        for runner, endpoint in (*running.front_ends, (running.runner, running.endpoint)):
            self.network.leave(endpoint)
            await runner.cleanup()

    async def close(self) -> None:
        """Stop everything."""
        for name in self.names():
            await self.destroy(name)


@contextlib.asynccontextmanager
async def open_sandbox(*specs: CloudSpec, clock: Callable[[], float] = time.time) -> AsyncIterator[OneSandbox]:
    """A sandbox with these clouds, stopped at the end."""
    sandbox = OneSandbox(clock)
    try:
        for spec in specs:
            await sandbox.create(spec)
        yield sandbox
    finally:
        await sandbox.close()


def _tls(spec: TlsSpec | None) -> ssl.SSLContext | None:
    if spec is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # the ssl module reads certificates from files only
        certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        certificate.write_text(spec.certificate)
        key.touch(mode=0o600)
        key.write_text(spec.key)
        context.load_cert_chain(certificate, key)
    return context


# --------------------------------------------------------------------------------------------------------- one server


async def _listening(
    cloud: Cloud, server: int | None, listen: str, tls: TlsSpec | None
) -> tuple[web.AppRunner, web.TCPSite]:
    """A front-end at its address. Raises OSError."""
    application = web.Application(client_max_size=_LARGEST_CALL)

    async def rpc(request: web.Request) -> web.StreamResponse:
        return await _serve(cloud, server, request)

    application.router.add_post("/RPC2", rpc)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    host, _, port = listen.rpartition(":")
    site = web.TCPSite(runner, host, int(port), ssl_context=_tls(tls))
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, site


async def _answered(cloud: Cloud, server: int | None, name: str, arguments: list[Argument]) -> tuple[bytes, int] | None:
    """What a call is answered, however long that takes: None where the front-end dies meanwhile."""
    waits = False
    while True:
        try:
            return serve(cloud, name, arguments, server)
        except raft.Unanswered as unanswered:
            if not waits:
                raft.hangs(unanswered.cloud)
            waits = True
        await asyncio.sleep(_PATIENCE)
        if not raft.answers(cloud, server):
            return None


async def _serve(cloud: Cloud, server: int | None, request: web.Request) -> web.StreamResponse:
    started = time.monotonic()
    body = await request.read()
    if not raft.answers(cloud, server):
        return await _drop(request)
    try:
        name, arguments = decode_call(body)
    except RpcFault as fault:
        return _xml(encode_fault(fault))
    rules = cloud.faults.strike(CALL, name)
    code = 0

    async def perform() -> bytes | Dropped:
        nonlocal code
        answer = await _answered(cloud, server, name, arguments)
        if answer is None:
            return Dropped()
        reply, code = answer
        return reply

    outcome = await cloud.faults.inflict(rules, perform)
    status = code if isinstance(outcome, bytes) else outcome.status if isinstance(outcome, Canned) else 0
    call = METHODS.get(name)
    cloud.journal.record(
        method="GET" if call is not None and call.reads else CALL,  # so that the journal knows reads from writes
        path=name,
        route=name,
        status=status,
        started=started,
        account=_user(arguments),
        faults=tuple(rule.name for rule in rules),
    )
    match outcome:
        case Canned():
            return web.Response(
                status=outcome.status,
                headers=dict(outcome.headers),
                content_type=outcome.content_type,
                text=outcome.body,
            )
        case Dropped():
            return await _drop(request)
        case _:
            return _xml(outcome)


def _user(arguments: list[Any]) -> str:
    session = arguments[0] if arguments else ""
    return session.partition(":")[0] if isinstance(session, str) and ":" in session else ""


def _xml(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="text/xml", charset="utf-8")


async def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    await asyncio.sleep(0)
    return web.Response(status=500)


def _federation(cloud: Cloud) -> Mapping[str, Any]:
    state = cloud.federation
    return {
        "mode": state.conf.mode.value,
        "zone_id": state.zone_id,
        "master_oned": state.conf.master_oned,
        "log": state.log.last,
        "zones": {zone.name: oid for oid, zone in cloud.zones.items()},
        "servers": {
            oid: {"endpoint": one.endpoint, "alive": one.alive, "state": raft.state_of(cloud, oid).name}
            for oid, one in cloud.raft.servers.items()
        },
    }


def describe(sandbox: OneSandbox, name: str) -> Mapping[str, Any]:
    """The state of a cloud as JSON, without secrets."""
    cloud = sandbox[name]
    cloud.advance()
    zone = cloud.zones.get(cloud.federation.zone_id)
    return {
        "name": name,
        "endpoint": sandbox.endpoint(name),
        "zone": zone.name if zone is not None else None,
        "federation": _federation(cloud),
        "version": cloud.version,
        "down": cloud.down,
        "hosts": [
            {
                "id": one.oid,
                "name": one.name,
                "state": one.state.name,
                "cluster": cloud.clusters[one.cluster_id].name,
                "vms": sorted(one.vms),
            }
            for one in cloud.hosts.values()
        ],
        "clusters": [
            {
                "id": one.oid,
                "name": one.name,
                "hosts": sorted(one.hosts),
                "datastores": sorted(one.datastores),
                "vnets": sorted(one.vnets),
            }
            for one in cloud.clusters.values()
        ],
        "vms": [
            {
                "id": one.oid,
                "name": one.name,
                "state": one.state.name,
                "lcm": one.lcm.name,
                "cpu": one.cpu,
                "memory": one.memory,
                "host": one.last.hostname if one.last else None,
                "addresses": [nic.get("IP", "") for nic in one.nics],
            }
            for one in cloud.vms.values()
        ],
        "vnets": [
            {
                "id": one.oid,
                "name": one.name,
                "state": one.state.name,
                "leases": one.used_leases,
                "attributes": {name: value for name, value in one.template if isinstance(value, str)},
            }
            for one in cloud.vnets.values()
        ],
        "images": [
            {"id": one.oid, "name": one.name, "state": one.state.name, "size": one.size}
            for one in cloud.images.values()
        ],
        "users": [{"id": one.oid, "name": one.name, "enabled": one.enabled} for one in cloud.users.values()],
    }
