"""Traces cost nothing where nobody wants them, and their settings are the usual ones."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext

import pytest

from sovereigncloud.engine.settings import SettingsError, settings
from sovereigncloud.engine.telemetry.call_instrumentation import Calls
from sovereigncloud.engine.telemetry.tracing import Untraced, tracer
from sovereigncloud.providers.call_observer import Call


def python(script, **environment):
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SOVEREIGN_"))}
    return subprocess.run(
        [sys.executable, "-c", script], env=environ | environment, capture_output=True, text=True, check=False
    )


def test_where_nobody_wants_traces_nothing_of_opentelemetry_is_imported():
    script = """
        import sys, sovereigncloud.kopf_app, sovereigncloud.wiring, sovereigncloud.commands.run
        from sovereigncloud.engine.telemetry.tracing import tracer
        tracer("").shutdown()
        print([name for name in sys.modules if name.startswith("opentelemetry")])
    """
    assert python("\n".join(line.strip() for line in script.splitlines())).stdout == "[]\n"


def test_without_an_endpoint_a_span_is_nothing():
    assert isinstance(tracer(""), Untraced)
    with tracer("").trace("x", {}) as span:
        assert span.ids == ("", "")


@pytest.mark.parametrize(
    ("why", "environment", "endpoint"),
    [
        ("nothing is set", {}, ""),
        ("the chart's value", {"SOVEREIGN_TRACING_ENDPOINT": "http://a:4318"}, "http://a:4318"),
        ("the standard variable", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318"}, "http://b:4318"),
        ("both: the operator's own", {"SOVEREIGN_TRACING_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}, "http://a"),
        ("the chart sets it empty", {"SOVEREIGN_TRACING_ENDPOINT": "", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}, "http://b"),
    ],
)  # fmt: skip
def test_where_traces_go(why, environment, endpoint):
    assert settings(environment).tracing_endpoint == endpoint, why


def test_an_endpoint_that_is_no_url_is_refused():
    with pytest.raises(SettingsError, match="SOVEREIGN_TRACING_ENDPOINT"):
        settings({"SOVEREIGN_TRACING_ENDPOINT": "collector:4318"})


class Told:
    """Keeps what is told of a span."""

    ids = ("t", "s")

    def __init__(self):
        self.attributes, self.failed = {}, None

    def tell(self, attributes, *, failed=False):
        self.attributes, self.failed = dict(attributes), failed


@pytest.mark.parametrize(
    ("why", "code", "failed"),
    [
        ("done", "200", False),
        ("OpenNebula did it", "success", False),
        ("not being there is an answer", "404", False),
        ("so is having been changed by another", "409", False),
        ("refused", "403", True),
        ("ill", "503", True),
        ("nobody answered", "none", True),
        ("OpenNebula refused", "authorization", True),
    ],
)
def test_which_calls_are_errors_in_a_trace(why, code, failed):
    span = Told()

    class Tracer(Untraced):
        def call(self, name):
            assert name == "ovh GET /v1/ip/{}"
            return nullcontext(span)

    class Metrics:
        def asked(self, api, endpoint, code, seconds, *, retries):
            pass

    with Calls(Metrics(), Tracer()).during(call := Call("ovh", "GET /v1/ip/{}")):
        call.code, call.retries = code, 1
    assert span.failed == failed, why
    assert span.attributes == {
        "sovereign.api": "ovh",
        "sovereign.endpoint": "GET /v1/ip/{}",
        "sovereign.code": code,
        "sovereign.retries": 1,
    }


def test_an_operator_that_cannot_begin_says_so_in_json_too(tmp_path):
    nowhere = str(tmp_path / "no-kubeconfig")
    done = subprocess.run(
        [sys.executable, "-m", "sovereigncloud.cli", "run"],
        env={**os.environ, "SOVEREIGN_LOG_FORMAT": "json", "KUBECONFIG": nowhere, "SOVEREIGN_HTTP_PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["level"], "set KUBECONFIG or --context" in last["message"]) == ("CRITICAL", True)


def test_what_pyone_imports_and_nobody_uses_can_be_let_go():
    script = """
import sys, xmlrpc.client
from sovereigncloud.providers.opennebula.session import Connection, Login, Timeout, forget_bindings
assert "pyone.bindings" in sys.modules
forget_bindings()
assert not [name for name in sys.modules if name.startswith("pyone.bindings")]
try:
    Connection(Login("http://127.0.0.1:9/RPC2", "a", "b"), Timeout()).call("one.vm.info", 1, False)
except Exception as error:
    print(type(error).__name__)
"""
    assert python(script).stdout == "ConnectionError\n"
