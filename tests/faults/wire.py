"""What lies between the operator's adapters and the simulators: no socket and no thread, but a place where things get lost.

The adapters are the real ones down to the HTTP request; a `requests` adapter hands that to the simulator in the same
thread. Every write - to Kubernetes too - goes through `Writes`, which knows its number and what is to happen to it.
"""

import asyncio
import contextlib
import functools
import io
import time
from dataclasses import dataclass, field
from enum import StrEnum
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import anyio
import requests
from multidict import CIMultiDict, MultiDict
from requests.adapters import BaseAdapter
from urllib3.exceptions import MaxRetryError, NewConnectionError

from sovereigncloud.providers.opennebula import session as one_session
from sovereigncloud.providers.opennebula import transport as one_transport
from sovereigncloud.providers.opennebula.client import FrontEnd
from sovereigncloud.providers.ovh import transport as ovh_transport
from sovereigncloud.providers.ovh.account import Account, credentials
from sovereigncloud.providers.ovh.client import ClientPool, Endpoint
from sovereigncloud.providers.rate_limits import Budget, CircuitBreaker, TokenBucket
from sovereigncloud_sandbox.faults import Canned, Kind
from sovereigncloud_sandbox.opennebula.methods import METHODS, serve
from sovereigncloud_sandbox.opennebula.sandbox import CALL
from sovereigncloud_sandbox.opennebula.wire import decode_call
from sovereigncloud_sandbox.ovh.auth import Request
from sovereigncloud_sandbox.ovh.server import TOKEN_PATH, _Exchange, _logical

OVH = "ovh.test"
_LATENCY = 0.003
"""Seconds to and from an API: others get their turn meanwhile."""
_MANY = 1_000_000


class Crashed(BaseException):
    """The process that asked is dead: nothing of it goes on."""


class Fate(StrEnum):
    """What happens to a write."""

    BEFORE = "crash before it is sent"
    AFTER = "crash after it was done, before its answer is read"
    LOST = "done, its answer is lost"
    UNSENT = "lost on its way, not done"
    LATE = "crash when it was sent, done later"
    LOST_LATE = "its answer is lost, done later"

    @property
    def crashes(self):
        return self in {Fate.BEFORE, Fate.AFTER, Fate.LATE}

    @property
    def late(self):
        """Something between takes its time: nothing of that kind lies before Kubernetes."""
        return self in {Fate.LATE, Fate.LOST_LATE}


@dataclass
class Life:
    """One process."""

    dead: bool = False
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def check(self):
        if self.dead:
            raise Crashed

    def end(self):
        self.dead = True
        self.died.set()


_INSIDE = (Fate.BEFORE, Fate.AFTER, Fate.LOST, Fate.UNSENT)
_NEWS = "/events"
"""Kubernetes events are posted by the way: at one of them a crash is a crash at any moment."""


class Writes:
    """Every write, in order.

    Attributes:
        choose: the fate of a write or None: (its number from 1, what it is, the fates that it can have).
        struck: what met a fate, and when.
        told: called whenever something did, before anything else can happen.
        late_by: seconds until a late one is done.
    """

    def __init__(self, late_by=30.0):
        self.log = []
        self.choose = lambda *_: None
        self.struck = []
        self.told = lambda: None
        self.late_by = late_by

    def through(self, life, label, perform, *, late=True):
        """Do a write, or what its fate makes of it. Raises Crashed, ConnectionError."""
        life.check()
        self.log.append(label)
        fates = tuple(Fate) if late else _INSIDE[:1] if label.endswith(_NEWS) else _INSIDE
        fate = self.choose(len(self.log), label, fates)
        if fate is None:
            return perform()
        self.struck.append((label, asyncio.get_running_loop().time()))
        if fate.late:
            asyncio.get_running_loop().call_later(self.late_by, perform)
        elif fate not in {Fate.BEFORE, Fate.UNSENT}:
            perform()
        asyncio.get_running_loop().call_soon(self.told)
        if fate.crashes:
            life.end()
            raise Crashed
        raise ConnectionError("the answer was lost")


class Wire:
    """The simulators, at the addresses under which the adapters look for them.

    Attributes:
        ovh: the simulated OVHcloud.
        clouds: simulated front-ends by address, "127.0.0.10:2633".
        asked: how many requests were sent, also to where nobody answers.
        sent: when each to OVHcloud was.
        ovh_limits: rate and burst that the next process keeps at OVHcloud.
        heard: told each request to OVHcloud that was answered: (prepared, exchange, body, reply).
        done: writes that took effect, however much was lost of their answers: (where, method, arguments or path).
    """

    def __init__(self, ovh, writes):
        self.ovh, self.writes = ovh, writes
        self.clouds = {}
        self.asked = 0
        self.sent = []
        self.ovh_limits = _MANY, _MANY
        self.done = []
        self.heard = lambda *_: None

    # --- one request -------------------------------------------------------------------------------------------------

    def one(self, life, prepared):
        """XML-RPC. Raises requests.ConnectionError."""
        self.asked += 1
        cloud = self.clouds.get(urlsplit(prepared.url).netloc)
        if cloud is None or cloud.down:
            raise _refused()
        name, arguments = decode_call(prepared.body)
        call = METHODS[name]

        def perform():
            reply, code = serve(cloud, name, arguments)
            if code == 0 and not call.reads:
                self.done.append((cloud.name, name, _shown(arguments)))
            return 200, {"Content-Type": "text/xml"}, reply

        acting = functools.partial(self._inflict, cloud.faults, CALL, name, perform)
        if call.reads:
            life.check()
            return acting()
        return self.writes.through(life, f"{cloud.name} {name} {_shown(arguments)}", acting)

    def rest(self, life, prepared):
        """Signed REST. Raises requests.ConnectionError."""
        self.asked += 1
        parts = urlsplit(prepared.url)
        path = _logical(parts.path)
        if path != TOKEN_PATH:  # another host, with limits of its own
            self.sent.append(asyncio.get_running_loop().time())
        body = prepared.body or b""
        body = body.encode() if isinstance(body, str) else body
        sent = Request(prepared.method, prepared.url, path, CIMultiDict(prepared.headers), body)
        exchange = _Exchange(self.ovh, sent, MultiDict(parse_qsl(parts.query)), parts.path)

        def perform():
            reply = _at_once(exchange.perform())
            self.ovh.journal.record(
                method=prepared.method,
                path=path,
                route=exchange.label,
                status=reply.status,
                started=time.monotonic(),
                account=exchange.account,
            )
            self.heard(prepared, exchange, body, reply)
            if not _reads(prepared.method, path) and reply.status < 300:
                self.done.append(("ovh", prepared.method, path))
            return reply.status, {"Content-Type": "application/json", **reply.headers}, reply.text().encode()

        acting = functools.partial(self._inflict, self.ovh.faults, prepared.method, path, perform)
        if _reads(prepared.method, path):
            life.check()
            return acting()
        return self.writes.through(life, f"ovh {prepared.method} {path} {body.decode()[:100]}", acting)

    def _inflict(self, faults, method, path, perform):
        """The simulator's own plan of faults, without waiting."""
        for rule in faults.strike(method, path):
            match rule.kind:
                case Kind.REPLY:
                    canned = Canned(rule.status, rule.headers, rule.content_type, rule.body)
                    headers = {"Content-Type": canned.content_type, **canned.headers}
                    return canned.status, headers, canned.body.encode()
                case Kind.LOST_REQUEST:
                    raise ConnectionError("closed")
                case Kind.LOST_RESPONSE:
                    perform()
                    raise ConnectionError("closed")
                case Kind.FALSE_REPLY:
                    perform()
                    return rule.status, {"Content-Type": rule.content_type, **rule.headers}, rule.body.encode()
                case Kind.LATE_EFFECT:
                    asyncio.get_running_loop().call_later(rule.seconds, perform)
                    raise ConnectionError("closed")
                case _:
                    continue
        return perform()

    # --- adapters of one process ---------------------------------------------------------------------------------------

    def open_nebula(self, life):
        """As `open_nebula_factory`."""
        door = _Door(functools.partial(self.one, life))
        hosts = {}

        def make(endpoint, username, password, authority):
            login = one_session.Login(endpoint, username, password, authority)
            connections = _Connections(door, login, one_session.Timeout())
            transport = one_transport.Transport(connections, **_limits())
            return FrontEnd(transport, hosts.setdefault(endpoint, asyncio.Lock()), lambda _: transport)

        return make

    def account(self, life):
        """As `ovh_factory`."""
        door, limits = _Door(functools.partial(self.rest, life)), {}

        def make(endpoint, secret):
            del endpoint
            where, way_in = Endpoint(f"http://{OVH}/1.0", f"http://{OVH}{TOKEN_PATH}"), credentials(secret)
            kept = limits.setdefault(way_in.name, _limits(*self.ovh_limits))
            return Account(ovh_transport.Transport(_Pool(door, where, way_in), **kept))

        return make


def _reads(method, path):
    return method == "GET" or path == TOKEN_PATH or path.endswith("/iam/authorization/check")


def _limits(rate=_MANY, burst=_MANY):
    clock = asyncio.get_running_loop().time
    return {
        "budget": Budget(TokenBucket(rate, burst, places=4, clock=clock), CircuitBreaker(clock=clock)),
        "deadline": 120.0,
    }


class _Door(BaseAdapter):
    """Hands a prepared request on."""

    def __init__(self, hand):
        super().__init__()
        self._hand = hand

    def send(self, request, **_):
        try:
            status, headers, body = self._hand(request)
        except ConnectionError as error:
            raise requests.ConnectionError(str(error)) from error
        response = requests.Response()
        response.status_code, response.url, response.request = status, request.url, request
        response.headers.update(headers)
        response.raw = io.BytesIO(body)
        return response

    def close(self):
        pass


class _Connections(one_session.Connections):
    def __init__(self, door, login, timeout):
        super().__init__(login, timeout)
        self._door = door

    @contextlib.contextmanager
    def lend(self):
        with super().lend() as connection:
            connection._session.mount("http://", self._door)
            yield connection


class _Pool(ClientPool):
    def __init__(self, door, endpoint, way_in):
        super().__init__(endpoint, way_in)
        self._door = door

    @contextlib.contextmanager
    def lend(self):
        with super().lend() as client:
            client._session.mount("http://", self._door)
            yield client


async def _in_the_loop(func, *args, **_):
    """Instead of a thread: the same function, with time passing before and after it."""
    await asyncio.sleep(_LATENCY)
    result = func(*args)
    await asyncio.sleep(_LATENCY)
    return result


def without_threads():
    """While this stands, what the adapters do in threads is done in the loop."""
    return mock.patch.object(anyio.to_thread, "run_sync", _in_the_loop)


def _at_once(coroutine):
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the simulator waits")


def _refused():
    """As `requests` tells that nobody listens."""
    return requests.ConnectionError(MaxRetryError(None, "", NewConnectionError(None, "connection refused")))


def _shown(arguments):
    return " ".join(str(a)[:60].replace("\n", " ") for a in arguments[1:])
