"""What the API server asks a kubelet for: logs of containers. Over TLS, and for clients of the cluster's authority only."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web

from sovereigncloud.sandbox.kubelet.config import HOST, Config
from sovereigncloud.sandbox.kubelet.container import Runner
from sovereigncloud.sandbox.kubelet.status import Running, Waiting

_CHUNK = 1 << 16
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
    reply = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await reply.prepare(request)
    limit = int(asked["limitBytes"]) if "limitBytes" in asked else None
    with contextlib.suppress(ConnectionError), log.open("rb") as opened:
        opened.seek(_start(log, asked))
        while limit is None or limit > 0:
            over = asked.get("follow") != "true" or previous or not isinstance(runner.now.state, Running)
            chunk = opened.read(_CHUNK if limit is None else min(_CHUNK, limit))
            if chunk:
                limit = None if limit is None else limit - len(chunk)
                await reply.write(chunk)
            elif over:
                break
            else:
                await asyncio.sleep(_LOOK)
        await reply.write_eof()
    return reply


def _start(log: Path, asked: Mapping[str, str]) -> int:
    """Where the last lines begin that were asked for."""
    if "tailLines" not in asked:
        return 0
    lines = int(asked["tailLines"])
    content = log.read_bytes()
    end = len(content.removesuffix(b"\n"))
    for _ in range(lines):
        end = content.rfind(b"\n", 0, end)
        if end < 0:
            return 0
    return end + 1 if lines else len(content)
