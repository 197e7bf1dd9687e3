"""``python -m sovereigncloud_sandbox.ovh``: the simulator for programs; prints one line of JSON, then serves."""

import argparse
import json
from pathlib import Path

from sovereigncloud_sandbox.ovh.alone import run


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m sovereigncloud_sandbox.ovh", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state-file", type=Path, help="where the world is kept; read at start if it exists")
    parser.add_argument("--server-ip", action="append", default=[], metavar="NAME=ADDRESS")
    parser.add_argument("--ssh-port", type=int, default=0, help="where sshd of installed servers answers; 0: nowhere")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")
    chosen = parser.parse_args()
    run(
        host=chosen.host,
        port=chosen.port,
        state_file=chosen.state_file,
        server_ips=chosen.server_ip,
        announce=json.dumps,
        ssh_port=chosen.ssh_port,
        die_with_parent=chosen.die_with_parent,
    )


if __name__ == "__main__":
    main()
