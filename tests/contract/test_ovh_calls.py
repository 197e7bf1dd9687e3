"""Every call that the operator makes to OVHcloud while it builds: known to the simulator, to the metrics, and to OVHcloud's schema.

The real engine and adapters in simulated time (tests/faults); what they send and are answered is looked at on its way.
"""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.contract.ovh_schema import ABSENT, NATIVE, Schema
from tests.faults import purchases, servers
from tests.faults.courses import travel
from tests.faults.scene import Scene
from tests.faults.simulated_time import run

from sovereigncloud.providers.ovh.endpoints import ENDPOINTS, OTHER, endpoint_class
from sovereigncloud_sandbox.ovh.server import ROUTES, TOKEN_PATH

COURSES = (servers.Reinstallation, servers.HostedWithMachine, servers.HostedDeletion, purchases.Purchase)
SIMULATED = {(route.version, route.method, route.path) for route in ROUTES}


class Listening(Scene):
    """A scene that keeps each call: (method, path as sent, query, body, route, version, reply)."""

    def __init__(self, calls):
        super().__init__()
        self._calls = calls
        self.wire.heard = self._heard

    def _heard(self, prepared, exchange, body, reply):
        parts = urlsplit(prepared.url)
        if parts.path == TOKEN_PATH:
            return
        version = "v2" if parts.path.startswith("/v2/") else "v1"
        query = dict(parse_qsl(parts.query))
        said = json.loads(body) if body else None
        path = parts.path.replace("/1.0/", "/v1/")
        self._calls.append((prepared.method, path, query, said, version, exchange.label, reply))


@pytest.fixture(scope="module")
def calls():
    """All calls of some courses of events, the three ways in which servers and clouds come and go."""
    found = []
    for course in COURSES:
        report = run(travel(course(), scene=lambda: Listening(found)))
        assert report.well, str(report)
    assert len(found) > 100
    return found


def test_every_call_is_one_that_the_simulator_has(calls):
    strange = {
        (method, path) for method, path, _, _, version, route, _ in calls if (version, method, route) not in SIMULATED
    }
    assert strange == set()


def test_every_call_is_counted_under_an_endpoint_of_its_own(calls):
    others = {path for method, path, *_ in calls if endpoint_class(method, path).endswith(OTHER)} - {"/v1/auth/time"}
    assert others == set()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_of_the_operator_is_in_the_simulator(endpoint):
    shape = endpoint.strip("/").split("/")
    assert any(_fits(shape, [version, *path.strip("/").split("/")]) for version, _, path in SIMULATED)


def _fits(shape, path):
    return len(shape) == len(path) and all(
        there.startswith("{") if here == "{}" else here == there for here, there in zip(shape, path, strict=True)
    )


@pytest.fixture(scope="module")
def schema():
    if not NATIVE.is_dir():
        pytest.skip(ABSENT)
    return Schema(NATIVE)


def test_every_request_is_what_the_schema_asks_for(schema, calls):
    wrong = {
        f"{method} {route}: {error}"
        for method, _, query, body, version, route, _ in calls
        for error in schema.request_errors(version, method, route, query, body)
    }
    assert wrong == set()


def test_every_reply_is_what_the_schema_promises(schema, calls):
    wrong = {
        f"{method} {route}: {error}"
        for method, _, _, _, version, route, reply in calls
        if reply.status == 200
        for error in schema.errors(version, schema.operations[version, method, route]["responseType"], reply.body)
    }
    assert wrong == set()


REQUESTS = [
    ("another operation", "POST", "/dedicated/servers", {}, None, "is no operation"),
    ("a query that is none", "GET", "/vrack", {"name": "one"}, None, "there is no name"),
    ("what is missing", "POST", "/vrack/{serviceName}/ip", {}, {}, "block is missing"),
    ("no block", "POST", "/vrack/{serviceName}/ip", {}, {"block": "57.131.167.176"}, "is no ipBlock"),
    ("a field more", "POST", "/dedicated/server/{serviceName}/reinstall", {}, {"operatingSystem": "x", "os": "x"}, "has no os"),
    ("a field less", "POST", "/dedicated/server/{serviceName}/reinstall", {}, {}, "operatingSystem of"),
    ("what cannot be set", "PUT", "/dedicated/server/{serviceName}", {}, {"rack": "R1"}, "rack of"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "method", "path", "query", "body", "complaint"), REQUESTS, ids=[r[0] for r in REQUESTS]
)
def test_a_wrong_request_is_told(schema, *, why, method, path, query, body, complaint):
    assert any(complaint in error for error in schema.request_errors("v1", method, path, query, body)), why
