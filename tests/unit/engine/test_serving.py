"""Where probes and metrics are served."""

import socket
from types import SimpleNamespace

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from sovereigncloud.engine.settings import settings
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.kopf_app import serve


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
async def test_a_pod_answers_whatever_family_its_address_is_of(address):
    """An IPv6-only cluster has no 0.0.0.0 to ask, and `kubectl port-forward` asks at localhost."""
    if address == "[::1]" and not socket.has_ipv6:
        pytest.skip("the machine has no IPv6")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    engine, lease = SimpleNamespace(oldest_in_flight=0.0, synced=True), SimpleNamespace(held=True)
    server = await serve(settings({"SOVEREIGN_HTTP_PORT": str(port)}), engine, lease, Metrics(CollectorRegistry()))
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}:{port}/healthz") as reply:
            assert await reply.text() == "ok\n"
    finally:
        await server.cleanup()
