"""The kubelet's HTTPS server for container logs; only clients of the cluster's authority may ask."""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from sovereigncloud_sandbox.kubelet.config import HOST, Config
from sovereigncloud_sandbox.kubelet.container import Runner
from sovereigncloud_sandbox.kubelet.log_file import Wanted
from sovereigncloud_sandbox.kubelet.status import Running, Waiting

_LOOK = 0.1  # seconds between two looks for more
Find = Callable[[str, str, str], Runner | None]


async def serve(config: Config, find: Find) -> tuple[web.AppRunner, int]:
    """Serve until the runner is cleaned up; the port. `find` gives the container of a namespace, pod and name."""

    async def container_logs(request: web.Request) -> web.StreamResponse:
        names = request.match_info
        runner = find(names["namespace"], names["pod"], names["container"])
        if runner is None:
            return web.Response(status=404, text=f"container {names['container']} of pod {names['pod']} not found\n")
        return await _logs(request, runner)

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=501, text=f"the kubelet of the sandbox has no {request.path.split('/')[1]}\n")

    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", container_logs)
    app.router.add_route("*", "/{anything:.*}", elsewhere)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(config.authority))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(config.certificate, config.key)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
    await site.start()
    return runner, int(runner.addresses[0][1])


async def _logs(request: web.Request, runner: Runner) -> web.StreamResponse:
    asked, name = request.query, runner.spec["name"]
    previous = asked.get("previous") == "true"
    log = runner.logs[1 if previous else 0]
    if previous and not log.exists():
        return web.Response(status=400, text=f'previous terminated container "{name}" in pod not found\n')
    if not log.exists() and isinstance(runner.now.state, Waiting):
        waits = f'container "{name}" in pod is waiting to start: {runner.now.state.reason}\n'
        return web.Response(status=400, text=waits)
    try:
        wanted = Wanted.of(asked, datetime.now(UTC))
        limit = int(asked["limitBytes"]) if "limitBytes" in asked else sys.maxsize
    except ValueError as error:
        return web.Response(status=400, text=f"{error}\n")
    reply = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await reply.prepare(request)
    with contextlib.suppress(ConnectionError), log.open("rb") as opened:
        entries = wanted.start(list(opened))
        while limit > 0:
            over = asked.get("follow") != "true" or previous or not isinstance(runner.now.state, Running)
            text = b"".join(wanted.shown(entry) for entry in entries)[:limit]
            if text:
                limit -= len(text)
                await reply.write(text)
            entries = list(opened)
            if not entries and over:
                break
            if not entries:
                await asyncio.sleep(_LOOK)
        await reply.write_eof()
    return reply
