"""The HTTP server: every request goes through the fault plan, then through route, signature, rights and handler."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from aiohttp import web
from multidict import MultiMapping

from sovereigncloud_sandbox.faults import Canned, Dropped, FaultPlan
from sovereigncloud_sandbox.journal import Journal
from sovereigncloud_sandbox.ovh import account, ips, orders, orders_cart, power, servers, vracks, zones
from sovereigncloud_sandbox.ovh.admin import add_admin_routes
from sovereigncloud_sandbox.ovh.auth import Request, authenticate, grant_token
from sovereigncloud_sandbox.ovh.boots import Power
from sovereigncloud_sandbox.ovh.calls import Call, Caller, Found, Route, find_route
from sovereigncloud_sandbox.ovh.sshd import Sshd
from sovereigncloud_sandbox.ovh.wire import Json, Refusal, Reply, query_id, refuse
from sovereigncloud_sandbox.ovh.world import World

ROUTES: Final[tuple[Route, ...]] = (
    *servers.ROUTES,
    *power.ROUTES,
    *vracks.ROUTES,
    *ips.ROUTES,
    *zones.ROUTES,
    *account.ROUTES,
    *orders_cart.ROUTES,
    *orders.ROUTES,
)
ENDPOINT: Final = "sandbox"
TOKEN_PATH: Final = "/auth/oauth2/token"
_ANYBODY: Final = Caller("", "", "")
_SHORTEST_WAIT: Final = 0.005  # seconds between two looks at the clock, so that rounding makes no busy loop


class Outage(StrEnum):
    """How the whole API is lost: connections are closed, or nothing ever answers. Nothing is done either way."""

    NONE = ""
    REFUSE = "refuse"
    HANG = "hang"


class Simulator:
    """One simulated OVHcloud on loopback.

    async with Simulator() as ovh:
        ovh.world.state.servers[...]
        ovh.faults.add(fault({"preset": "bad-gateway", "count": 3}))
        print(ovh.connection())
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        faults: FaultPlan | None = None,
        journal: Journal | None = None,
        state_file: Path | None = None,
        ssh_port: int = 0,
    ) -> None:
        """`ssh_port`: where the servers' sshd answers, on those of their addresses that are loopback's; 0: nowhere."""
        self.sshd = Sshd(ssh_port)
        self.world = World() if world is None else world
        self.faults = FaultPlan() if faults is None else faults
        self.journal = Journal() if journal is None else journal
        self.url = ""
        self.outage = Outage.NONE
        self._answers = asyncio.Event()
        self.wire = power.Wire()
        self._state_file = state_file
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._tell: Callable[[Power], None] = self.wire.tell

    # -- life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. :attr:`url` is the address afterwards."""
        app = web.Application()
        add_admin_routes(app, self.world, self.faults, self.journal, self.connection)
        app.router.add_get("/_admin/outage", self._show_outage)
        app.router.add_put("/_admin/outage", self._set_outage)
        app.router.add_put("/_admin/power-door", self._set_power_door)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        _, bound = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{bound}"
        await self.sshd.follow(self.world)
        self._ticker = asyncio.create_task(self._tick(), name="ovh-clock")
        loop = asyncio.get_running_loop()

        def tell(event: Power) -> None:
            loop.call_soon_threadsafe(self.wire.tell, event)

        self._tell = tell
        self.world.on_power.append(self._tell)
        self._telling = asyncio.create_task(self.wire.run(), name="ovh-power")

    async def stop(self) -> None:
        """Stop listening; writes that were to take effect later are lost."""
        if self._tell in self.world.on_power:
            self.world.on_power.remove(self._tell)
        for task in filter(None, (self._ticker, self._telling)):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.faults.close()
        await self.sshd.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        self._save()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def connection(self) -> Json:
        """Where it is and how to get in: for the ``ovh`` client, for people, for the sandbox."""
        state = self.world.state
        return {
            "url": self.url,
            "endpoint": f"{self.url}/1.0",
            "tokenURL": f"{self.url}{TOKEN_PATH}",
            "admin": f"{self.url}/_admin",
            "accounts": [
                {
                    "nichandle": one.nichandle,
                    "applicationKeys": [
                        {
                            "applicationKey": key.application_key,
                            "applicationSecret": key.application_secret,
                            "consumerKey": key.consumer_key,
                        }
                        for key in state.application_keys
                        if key.account == one.nichandle
                    ],
                    "serviceAccounts": [
                        {"clientId": client.client_id, "clientSecret": client.client_secret}
                        for client in state.service_accounts
                        if client.account == one.nichandle
                    ],
                }
                for one in state.accounts
            ],
        }

    def _save(self) -> None:
        if self._state_file is not None:
            self.world.save(self._state_file)

    # -- time

    async def _tick(self) -> None:
        wake, loop = asyncio.Event(), asyncio.get_running_loop()

        def changed() -> None:
            loop.call_soon_threadsafe(wake.set)

        self.world.on_change.append(changed)
        try:
            while True:
                wake.clear()
                due = self.world.due()
                wait = None if due is None else max(_SHORTEST_WAIT, due - self.world.clock())
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with its timeout.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await wake.wait()
                self.world.advance()
                await self.sshd.follow(self.world)
                self._save()
        finally:
            self.world.on_change.remove(changed)

    # -- requests

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        sent = Request(
            method=request.method,
            url=f"{request.scheme}://{request.host}{request.raw_path}",
            path=_logical(request.raw_path),
            headers=request.headers,
            body=await request.read(),
        )
        if self.outage:
            return await self._lost(request, sent, started)
        exchange = _Exchange(self, sent, request.query, request.raw_path.partition("?")[0])
        struck = self.faults.strike(sent.method, sent.path)
        outcome = await self.faults.inflict(struck, exchange.perform)
        response = _response(request, outcome)
        self.journal.record(
            method=sent.method,
            path=sent.path,
            route=exchange.label,
            status=0 if isinstance(outcome, Dropped) else outcome.status,
            started=started,
            account=exchange.account,
            faults=tuple(rule.name for rule in struck),
        )
        return response

    async def _lost(self, request: web.Request, sent: Request, started: float) -> web.StreamResponse:
        if self.outage is Outage.HANG:
            await self._answers.wait()
        self.journal.record(
            method=sent.method,
            path=sent.path,
            route=sent.path,
            status=0,
            started=started,
            account="",
            faults=("outage",),
        )
        return _response(request, Dropped())

    async def _show_outage(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"mode": self.outage})

    async def _set_outage(self, request: web.Request) -> web.StreamResponse:
        try:
            self.outage = Outage((await request.json()).get("mode", ""))
        except ValueError as error:
            return web.json_response({"message": str(error)}, status=400)
        if self.outage is Outage.HANG:
            self._answers.clear()
        else:
            self._answers.set()
        return web.json_response(None)

    async def _set_power_door(self, request: web.Request) -> web.StreamResponse:
        self.wire.door = str((await request.json()).get("url", ""))
        return web.json_response(None)


def _logical(raw_path: str) -> str:
    """The path as rights and faults name it: without query and version."""
    path = raw_path.partition("?")[0]
    version, _, rest = path.lstrip("/").partition("/")
    return f"/{rest}" if version in {"1.0", "v1", "v2"} else path


class _Exchange:
    """One request on its way through the API itself."""

    def __init__(self, simulator: Simulator, sent: Request, query: MultiMapping[str], raw_path: str) -> None:
        self._simulator = simulator
        self._sent = sent
        self._query = query
        self.account = ""
        self._found: Found | Refusal
        try:
            self._found = find_route(ROUTES, sent.method, raw_path)
        except Refusal as refusal:
            self._found = refusal

    @property
    def label(self) -> str:
        return self._sent.path if isinstance(self._found, Refusal) else self._found.route.path

    async def perform(self) -> Reply:
        world = self._simulator.world
        with world.lock:
            world.advance()
            try:
                reply = self._answer(world)
            except Refusal as refusal:
                reply = Reply(refusal.body, refusal.status)
        if self._sent.method != "GET":
            self._simulator._save()  # noqa: SLF001 - the two classes are one, split by lifetime
        return reply

    def _answer(self, world: World) -> Reply:
        sent, now = self._sent, world.clock() + self._simulator.faults.skew
        if sent.path == TOKEN_PATH:
            if sent.method != "POST":
                raise refuse(405, "Client::MethodNotAllowed", "POST only")
            return grant_token(world.state, sent.headers, sent.body, now)
        if isinstance(self._found, Refusal):
            raise self._found
        route = self._found.route
        caller = _ANYBODY if route.public else authenticate(world.state, sent, now)
        self.account = caller.account
        call = Call(
            world=world,
            route=route,
            caller=caller,
            given=self._found.given,
            query=self._query,
            headers=sent.headers,
            raw=sent.body,
            now=now,
        )
        answer = route.handle(call)
        return answer if isinstance(answer, Reply) else Reply(answer)


def _response(request: web.Request, outcome: Reply | Canned | Dropped) -> web.StreamResponse:
    match outcome:
        case Dropped():
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        case Canned():
            headers = dict(outcome.headers)
            if outcome.content_type == "application/json":
                # What a proxy answers in HTML carries no query id.
                headers["X-OVH-QueryID"] = query_id()
            return web.Response(
                status=outcome.status, text=outcome.body, content_type=outcome.content_type, headers=headers
            )
        case Reply():
            return web.Response(
                status=outcome.status,
                text=outcome.text(),
                content_type="application/json",
                headers={**outcome.headers, "X-OVH-QueryID": query_id()},
            )


@contextlib.contextmanager
def serving(simulator: Simulator) -> Iterator[Simulator]:
    """Run a simulator in a thread of its own, for callers that are not asynchronous themselves."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="ovh-simulator", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(simulator.start(), loop).result(10)
        yield simulator
        asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
