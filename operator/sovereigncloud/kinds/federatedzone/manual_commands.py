"""Shell commands for a person where the operator has no SSH login.

The same steps as its Ansible play. Pure.
"""

from __future__ import annotations

from sovereigncloud.ports.installer.federation import Change
from sovereigncloud.ports.opennebula.zones import SOLO

_SERVICES = "opennebula opennebula-flow opennebula-gate opennebula-fireedge"
_DUMP = "/var/lib/one/federated.db"
_AUTH = "one_auth oneflow_auth oneform_auth onegate_auth sunstone_auth"


def to_change(
    change: Change, where: str, zone: int, master: str = "", master_where: str = "", server: int = SOLO
) -> tuple[str, ...]:
    """Return the commands that change the federation mode of a front-end.

    Args:
        change: the desired mode.
        where: name of the cloud.
        zone: id of its zone.
        master: MASTER_ONED of a slave.
        master_where: name of the master's cloud.
        server: SERVER_ID of the front-end in an HA cloud; each keeps its own.
    """
    here = f"# on the front-end of {where}, as root:" if server == SOLO else f"# on each front-end of {where}, as root:"
    match change:
        case Change.MASTER:
            return (here, *_configured("MASTER", 0, "", server), *_restart())
        case Change.STANDALONE:
            return (here, *_configured("STANDALONE", 0, "", server), *_restart())
        case Change.SLAVE:
            return (
                f"# on the front-end of {master_where}, as root:",
                "umask 077",
                f"onedb backup --federated -f {_DUMP}",
                f"# bring {_DUMP} from there to the front-end of {where}, and of /var/lib/one/.one: {_AUTH}",
                here,
                f"systemctl stop {_SERVICES}",
                "onedb backup -f /var/lib/one/before-federation.db",
                *_configured("SLAVE", zone, master, server),
                f"onedb restore --federated -f {_DUMP}",
                "chown oneadmin:oneadmin /var/lib/one/.one/*_auth",
                f"systemctl start {_SERVICES}",
                f"rm {_DUMP}  # on both: it holds passwords",
            )


def _configured(mode: str, zone: int, master: str, server: int) -> tuple[str, ...]:
    number = str(server) if server == SOLO else "AS-IT-IS"
    return (
        "cp -p /etc/one/oned.conf /etc/one/oned.conf.before-federation",
        "# in /etc/one/oned.conf, in place of the FEDERATION that is there:",
        f'FEDERATION = [ MODE = "{mode}", ZONE_ID = {zone}, SERVER_ID = {number}, MASTER_ONED = "{master}" ]',
    )


def _restart() -> tuple[str, ...]:
    return ("systemctl restart opennebula",)


def to_catch_up(where: str, master_where: str, endpoint: str) -> tuple[str, ...]:
    """Return the commands for a slave that lags although a record was written for it."""
    return (
        f"# from the front-end of {master_where}: does the slave answer there?",
        f"curl -sS -o /dev/null -w '%{{http_code}}\\n' {endpoint}",
        f"# if it does, on the front-end of {master_where}, as root:",
        "systemctl restart opennebula",
        f"# if it still stays behind, on the front-end of {master_where}, as root:",
        f"onedb backup --federated -f {_DUMP}",
        f"# bring {_DUMP} to the front-end of {where}, and there, as root:",
        "systemctl stop opennebula",
        f"onedb restore --federated -f {_DUMP}",
        "systemctl start opennebula",
    )
