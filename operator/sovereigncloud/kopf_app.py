"""The Kopf handlers - a few lines each - and the process around them.

Kopf is the informer: it lists, watches, re-lists and re-authenticates. Everything else is the engine's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import kopf
from aiohttp import web
from kopf._core.engines.peering import Identity
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest

from sovereigncloud.api import KINDS, SovereigntyPolicy
from sovereigncloud.api.common.base import GROUP, VERSION
from sovereigncloud.engine.cache.finalizer_inventory import Holdings
from sovereigncloud.engine.cache.store import AnyResource
from sovereigncloud.engine.cache.watch_audit import Audit
from sovereigncloud.engine.heap_trimming import few_arenas, keep_small, keep_what_is_imported, small_tls_buffers
from sovereigncloud.engine.leadership import Lease
from sovereigncloud.engine.runtime import Engine
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry import tracing
from sovereigncloud.engine.telemetry.call_instrumentation import Calls
from sovereigncloud.engine.telemetry.logs import configure
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.ports.errors import Conflict, NotFound, Retry
from sovereigncloud.providers.kubernetes.api import INSTALLATION_CONFIG_MAP, PART_OF, KubernetesApi
from sovereigncloud.providers.kubernetes.connection import Connection
from sovereigncloud.providers.latency import SshSites
from sovereigncloud.providers.opennebula.session import forget_bindings
from sovereigncloud.providers.ssh import HostKeys
from sovereigncloud.wiring import installer, open_nebula_clients, ovh_clients

logger = logging.getLogger(__name__)
_PATIENCE = 4.0
"""Seconds that calls in flight get after SIGTERM; a thread in a call cannot be stopped, so the process then ends hard."""
_LIST_ATTEMPTS = 30
_STUCK = 900.0
"""Seconds after which a reconcile counts as stuck and the process as not alive."""


def kinds_of(settings: Settings) -> tuple[type[AnyResource], ...]:
    """The kinds that are watched. What is in no namespace belongs to the operator of the whole cluster: two that watch a few
    namespaces each would both act upon it.
    """
    return tuple(kind for kind in KINDS if kind.crd.namespaced or not settings.watch_namespaces)


def registry_of(
    engine: Engine, connection: Connection, kinds: tuple[type[AnyResource], ...] = KINDS
) -> kopf.OperatorRegistry:
    """One thin handler per kind, and the credentials that the rest uses."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=connection.host,
            ca_path=connection.ca_file or None,
            insecure=not connection.verify,
            username=connection.basic[0] if connection.basic else None,
            password=connection.basic[1] if connection.basic else None,
            token=connection.bearer() or None,
            certificate_path=connection.cert_file or None,
            private_key_path=connection.key_file or None,
        )

    for kind in kinds:

        @kopf.on.event(GROUP, VERSION, kind.crd.plural, registry=registry, id="told")
        async def told(event: Any, kind_name: str = kind.crd.kind, **_: Any) -> None:
            engine.told(event["type"], {"kind": kind_name, **event["object"]})

    if SovereigntyPolicy in kinds:  # who watches some namespaces only knows no policies

        @kopf.on.event("", "v1", "namespaces", registry=registry, id="bound")
        async def bound(event: Any, **_: Any) -> None:
            engine.namespaces.told(event["type"], event["object"])

    @kopf.on.startup(registry=registry)
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.persistence.finalizer = f"{GROUP}/kopf-unused"
        settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
        settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
        settings.networking.request_timeout = 30
        settings.networking.connect_timeout = 5
        settings.posting.enabled = False
        # Kopf keeps a task per object for as long as this after each event of it.
        settings.queueing.idle_timeout = 1.0
        settings.peering.standalone = True

    return registry


async def installation_id(settings: Settings, api: KubernetesApi) -> str:
    """The id on everything made outside: from the settings, else from the ConfigMap, else made now and kept there."""
    if settings.installation_id:
        return settings.installation_id
    for _ in range(3):
        kept = await api.config_map(settings.namespace, INSTALLATION_CONFIG_MAP)
        if kept and kept.get("id"):
            return kept["id"]
        made = secrets.token_hex(6)
        try:
            await api.create_config_map(settings.namespace, INSTALLATION_CONFIG_MAP, {"id": made}, PART_OF)
        except Conflict:
            continue
        logger.warning(
            "made installation id %s in ConfigMap %s/%s: back it up", made, settings.namespace, INSTALLATION_CONFIG_MAP
        )
        return made
    raise RuntimeError(f"ConfigMap {settings.namespace}/{INSTALLATION_CONFIG_MAP} holds no id")


async def run(settings: Settings, context: str | None = None) -> int:
    """Run the operator until SIGTERM or SIGINT; returns the exit code."""
    configure(settings)
    few_arenas()
    small_tls_buffers()
    forget_bindings()
    keep_what_is_imported()
    stop = asyncio.Event()
    _stop_on_signals(stop)
    metrics = Metrics(CollectorRegistry())
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=metrics.registry)
    connection = Connection.load(context)
    tracer = await asyncio.to_thread(tracing.tracer, settings.tracing_endpoint)
    calls = Calls(metrics, tracer)
    async with KubernetesApi(connection, observer=calls, namespaces=settings.watch_namespaces) as api:
        installation = await installation_id(settings, api)
        lease = Lease(
            api,
            namespace=settings.namespace,
            name=f"sovereign-{installation}",
            identity=f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(3)}",
            seconds=settings.lease_seconds,
            lost=lambda: leave(1),
        )
        engine = Engine(
            settings,
            installation,
            CONTROLLERS,
            clients=Clients(api, open_nebula_clients(settings, calls), ovh_clients(settings, calls)),
            kubernetes=api,
            writer=api,
            installer=installer(settings, api),
            ssh=HostKeys(settings.ssh_port) if settings.ssh_port else None,
            sites=SshSites(),
            metrics=metrics,
            tracer=tracer,
            may_write=lambda: lease.held,
        )
        server = await serve(settings, engine, lease, metrics)
        waiting = asyncio.create_task(lease.acquire())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await waiting
            await _reconcile_until(stop, engine, api, connection, settings)
        ended = await engine.stop(_PATIENCE)
        last = {asyncio.create_task(lease.release()), asyncio.create_task(asyncio.to_thread(tracer.shutdown))}
        await asyncio.wait(last, timeout=0.5)
        await server.cleanup()
        logger.info(
            "stopped%s", "" if ended else " with calls in flight: the next start finds their results by their marks"
        )
    leave(0)
    return 0


async def _reconcile_until(
    stop: asyncio.Event, engine: Engine, api: KubernetesApi, connection: Connection, settings: Settings
) -> None:
    """List everything, start the workers, then watch."""
    watched = kinds_of(settings)
    kinds = tuple(kind.crd.kind for kind in watched)
    binds = SovereigntyPolicy in watched
    if binds:
        await _patiently("namespaces", lambda: _list_namespaces(engine, api))
    for kind in kinds:
        await _patiently(kind, partial(_list, kind, engine, api))
    engine.synced = True
    engine.start()
    audit = Audit(api, engine.store, engine.told, kinds, dead=lambda: leave(1))
    beside = [asyncio.create_task(audit.run(), name="audit"), asyncio.create_task(keep_small(), name="memory")]
    if binds:
        beside.append(asyncio.create_task(engine.namespaces.audit(api), name="namespaces"))
    if settings.holdings:
        beside.append(asyncio.create_task(Holdings(api, engine.store, settings.namespace).run(), name="holdings"))
    ready = asyncio.Event()
    registry = registry_of(engine, connection, watched)
    watching = asyncio.create_task(
        kopf.operator(
            registry=registry,
            namespaces=settings.watch_namespaces,
            clusterwide=not settings.watch_namespaces,
            standalone=True,
            # Kopf would name itself after the user, and in the pod the user has no name (peering.py, 1.45).
            identity=Identity(socket.gethostname()),
            stop_flag=stop,
            ready_flag=ready,
        )
    )
    stopping, watches = asyncio.create_task(stop.wait()), asyncio.create_task(ready.wait())
    await asyncio.wait({watching, stopping, watches}, return_when=asyncio.FIRST_COMPLETED)
    if watches.done():
        logger.info("watching")
    # Kopf takes SIGTERM for itself, and then waits 5 s for tasks that are not its own (running.py, 1.45): back again.
    _stop_on_signals(stop)
    done, _ = await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in beside:
        task.cancel()
    if watching in done:
        watching.result()
        raise RuntimeError("the watch ended by itself")


async def _patiently(what: str, list_all: Callable[[], Awaitable[None]]) -> None:
    """List it. Just after a CRD was made the API server answers 429 for a while."""
    for attempt in range(_LIST_ATTEMPTS):
        try:
            await list_all()
        except NotFound:
            logger.warning("the API server does not know %s: install the CRDs", what)
        except Retry as error:
            if attempt == _LIST_ATTEMPTS - 1:
                raise
            logger.warning("listing %s: %s", what, error)
            await asyncio.sleep(error.after or 1.0)
            continue
        return


async def _list(kind: str, engine: Engine, api: KubernetesApi) -> None:
    async for body in api.objects(kind):
        engine.told(None, body)


async def _list_namespaces(engine: Engine, api: KubernetesApi) -> None:
    engine.namespaces.listed(await api.namespace_labels())


def _stop_on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def serve(settings: Settings, engine: Engine, lease: Lease, metrics: Metrics) -> web.AppRunner:
    """/healthz, /readyz and /metrics. A process that waits for the Lease is ready: it is there to take over."""

    async def healthz(_: web.Request) -> web.Response:
        stuck = engine.oldest_in_flight > _STUCK
        return web.Response(status=500 if stuck else 200, text="stuck\n" if stuck else "ok\n")

    async def readyz(_: web.Request) -> web.Response:
        ready = engine.synced or not lease.held
        return web.Response(status=200 if ready else 503, text="ok\n" if ready else "listing\n")

    async def exposed(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), content_type="text/plain")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposed)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, settings.http_host or None, settings.http_port).start()
    logger.info("serving probes and metrics on %s", ", ".join(str(a) for a in runner.addresses))
    return runner


def leave(code: int) -> None:
    """End the process now: threads in calls outside cannot be stopped, and would keep it for as long as they take."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
