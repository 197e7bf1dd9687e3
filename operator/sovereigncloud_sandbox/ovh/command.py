"""``sovereign sandbox ovh``: the simulator alone, for anyone who wants to try a client against it."""

from pathlib import Path
from typing import Annotated

import typer

from sovereigncloud_sandbox.ovh.alone import explain, run


def ovh(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8200,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    state_file: Annotated[
        Path | None, typer.Option(help="Where the world is kept; read at start if it exists.", dir_okay=False)
    ] = None,
    server_ip: Annotated[
        list[str] | None, typer.Option(help="NAME=ADDRESS: give a simulated server another address.")
    ] = None,
    ssh_port: Annotated[
        int, typer.Option(help="Port where sshd of installed servers with a loopback address answers; 0: nowhere.")
    ] = 0,
) -> None:
    """Run a simulated OVHcloud API. Nothing it says is real; nothing can be bought."""
    run(host=host, port=port, state_file=state_file, server_ips=server_ip or (), announce=explain, ssh_port=ssh_port)
