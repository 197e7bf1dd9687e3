"""What a person types where the operator is not let in: the same as its own play does, line by line. Pure."""

from __future__ import annotations

from sovereigncloud.ports.installer.federation import Change
from sovereigncloud.ports.opennebula.zones import SOLO

_SERVICES = "opennebula opennebula-flow opennebula-gate opennebula-fireedge"
_DUMP = "/var/lib/one/federated.db"
_AUTH = "one_auth oneflow_auth oneform_auth onegate_auth sunstone_auth"


def to_change(
    change: Change, where: str, zone: int, master: str = "", master_where: str = "", server: int = SOLO
) -> tuple[str, ...]:
    """To make the front-end of a cloud what it is to be.

    Args:
        change: what that is.
        where: the cloud, for people.
        zone: number of its zone.
        master: MASTER_ONED of a slave.
        master_where: the master's cloud, for people.
        server: number of the front-end among several; each keeps its own.
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
    """For a slave that stays behind although the master was given a record for it."""
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
