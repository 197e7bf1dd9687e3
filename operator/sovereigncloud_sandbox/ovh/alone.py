"""Run the simulator standalone: ``python -m`` and ``sovereign sandbox ovh``."""

import asyncio
import ctypes
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.server import ENDPOINT, Simulator
from sovereigncloud_sandbox.ovh.state import State, parse_state
from sovereigncloud_sandbox.ovh.wire import Json
from sovereigncloud_sandbox.ovh.world import World

_PR_SET_PDEATHSIG = 1


def run(
    *,
    host: str,
    port: int,
    state_file: Path | None,
    server_ips: Sequence[str],
    announce: Callable[[Json], str],
    ssh_port: int = 0,
    die_with_parent: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM; `announce` makes the text that is printed once it listens."""
    if die_with_parent:
        # Also when the parent is killed: its own clean-up never runs then.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    world = World(_load(state_file))
    for pair in server_ips:
        name, _, address = pair.partition("=")
        tamper.patch_server(world, name, {"ip": address})
    asyncio.run(_serve(Simulator(world, state_file=state_file, ssh_port=ssh_port), host, port, announce))


def _load(state_file: Path | None) -> State | None:
    if state_file is None or not state_file.exists():
        return None
    return parse_state(json.loads(state_file.read_text(encoding="utf-8")))


async def _serve(simulator: Simulator, host: str, port: int, announce: Callable[[Json], str]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await simulator.start(host, port)
    try:
        sys.stdout.write(f"{announce(simulator.connection())}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await simulator.stop()


def explain(connection: Json) -> str:
    """How to point the unmodified `ovh` client at the simulator."""
    account = connection["accounts"][0]
    keys, client = account["applicationKeys"][0], account["serviceAccounts"][0]
    return f"""\
A simulated OVHcloud API listens on {connection["url"]} (account {account["nichandle"]}). Nothing here is real.

With the unmodified Python client (pip install ovh):

    import os, ovh
    ovh.client.ENDPOINTS["{ENDPOINT}"] = "{connection["endpoint"]}"
    client = ovh.Client(endpoint="{ENDPOINT}",
        application_key="{keys["applicationKey"]}",
        application_secret="{keys["applicationSecret"]}",
        consumer_key="{keys["consumerKey"]}")
    print(client.get("/dedicated/server"))

As a service account (OAuth2) over plain http:

    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    ovh.client.OAUTH2_TOKEN_URLS["{ENDPOINT}"] = "{connection["tokenURL"]}"
    client = ovh.Client(endpoint="{ENDPOINT}",
        client_id="{client["clientId"]}",
        client_secret="{client["clientSecret"]}")

Break things:  curl {connection["admin"]}/state
               curl -X POST {connection["admin"]}/faults -d '{{"preset": "bad-gateway", "count": 3}}'
Stop it with Ctrl-C."""
