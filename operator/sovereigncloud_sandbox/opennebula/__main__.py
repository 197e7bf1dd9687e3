"""python -m sovereigncloud_sandbox.opennebula --listen 127.0.0.1:2633"""

import argparse

from sovereigncloud_sandbox.opennebula.command import Options, run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sovereigncloud_sandbox.opennebula", description="A simulated OpenNebula front-end."
    )
    parser.add_argument("--listen", default="127.0.0.1:0", help="address of the front-end, port 0 for any")
    parser.add_argument("--admin-listen", default="127.0.0.1:0", help="address of the admin door, port 0 for any")
    parser.add_argument("--name", default="sandbox", help="name of the cloud at the admin door")
    parser.add_argument("--password", default="opennebula", help="password of oneadmin")
    parser.add_argument("--host", action="append", help="name of a host, repeatable (default: two hosts)")
    parser.add_argument("--empty", action="store_true", help="no cloud: they are made through the admin door")
    given = parser.parse_args()
    hosts = tuple(given.host) if given.host else Options().hosts
    run(Options(given.listen, given.admin_listen, given.name, given.password, hosts, given.empty))


main()
