"""The simulator as a program: one cloud, an admin door, and a line of JSON that says where they are."""

import asyncio
import contextlib
import ctypes
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer
from aiohttp import web

from sovereigncloud_sandbox.opennebula.admin import admin_application
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec
from sovereigncloud_sandbox.opennebula.sandbox import OneSandbox

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Started:
    """Where a started simulator is, and how to get in. Printed as JSON; the password is one of a sandbox."""

    endpoint: str
    admin: str
    username: str
    password: str = field(repr=False)

    def json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Options:
    """What the program is asked for. Addresses are "host:port", port 0 for any."""

    listen: str = "127.0.0.1:0"
    admin_listen: str = "127.0.0.1:0"
    name: str = "sandbox"
    password: str = field(default="opennebula", repr=False)
    hosts: Sequence[str] = ("127.0.0.2", "127.0.0.3")
    empty: bool = False  # no cloud yet: whoever installs makes them through the admin door


@contextlib.asynccontextmanager
async def started(options: Options) -> AsyncIterator[tuple[OneSandbox, Started]]:
    """A simulator with its admin door, until the end of the block.

    Raises:
        OSError: an address is in use.
    """
    sandbox = OneSandbox()
    runner = web.AppRunner(admin_application(sandbox), access_log=None, shutdown_timeout=0.2)
    try:
        endpoint = ""
        if not options.empty:
            hosts = tuple(HostSpec(name) for name in options.hosts)
            spec = CloudSpec(options.name, options.listen, oneadmin_password=options.password, hosts=hosts)
            endpoint = await sandbox.create(spec)
        host, _, port = options.admin_listen.rpartition(":")
        await runner.setup()
        await web.TCPSite(runner, host, int(port)).start()
        admin = f"http://{host}:{runner.addresses[0][1]}/_admin"
        yield sandbox, Started(endpoint, admin, "oneadmin", options.password)
    finally:
        await runner.cleanup()
        await sandbox.close()


def run(options: Options, announce: Callable[[Started], str] = Started.json) -> None:
    """Serve until SIGINT, SIGTERM, or the death of the process that started this one."""
    _die_with_parent()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, announce))


def opennebula(
    listen: Annotated[str, typer.Option(help="Address of the front-end; port 0 takes a free one.")] = "127.0.0.1:2633",
    admin: Annotated[str, typer.Option(help="Address of the admin door.")] = "127.0.0.1:0",
    password: Annotated[str, typer.Option(help="Password of oneadmin.")] = "opennebula",
    host: Annotated[list[str] | None, typer.Option(help="Name of a host, repeatable. Default: two hosts.")] = None,
) -> None:
    """Run a simulated OpenNebula front-end. Nothing in it is real; no machine runs."""
    hosts = tuple(host) if host else Options().hosts
    run(Options(listen=listen, admin_listen=admin, password=password, hosts=hosts), explain)


def explain(where: Started) -> str:
    """How to point unmodified clients at the simulator."""
    return f"""\
A simulated OpenNebula listens on {where.endpoint}. Nothing here is real.

With the unmodified Python binding (pip install pyone):

    import pyone
    one = pyone.OneServer("{where.endpoint}", session="{where.username}:{where.password}")
    print([host.NAME for host in one.hostpool.info().HOST])

Look and break things:  curl {where.admin}/clouds
Stop it with Ctrl-C."""


async def _serve(options: Options, announce: Callable[[Started], str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with started(options) as (_, where):
        sys.stdout.write(announce(where) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
