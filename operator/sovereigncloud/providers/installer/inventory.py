"""The inventory of one-deploy: who is front-end and node, which version, how the bonds are made. Pure, and no secret.

It is that of OVHcloud's guide; what differs, and why, is a table in the tests. The password is read by Ansible from the
mounted Secret, so that the inventory can stand in the Job itself and nothing has to be cleaned up after it. Hosts are named
by their address, and one-deploy names OpenNebula's hosts so too; networks and datastores are left out, since the operator
keeps them over the API and two writers would fight.
"""

from __future__ import annotations

from typing import Any

import yaml

from sovereigncloud.api.hosted import Role
from sovereigncloud.ports.installer.installation import Installation, InstallTarget
from sovereigncloud.providers.installer.firewall import firewall
from sovereigncloud.providers.installer.netplan import netplan
from sovereigncloud.providers.installer.ssh import ssh_arguments

CREDENTIALS = "/credentials"
CERTIFICATE = "/certificate"
Json = dict[str, Any]

# OVHcloud's Ubuntu templates, on which the reference architecture stands, let this user in with the key of the payload.
_USER = "ubuntu"
_PASSWORD = f"{{{{ lookup('ansible.builtin.file', '{CREDENTIALS}/password') }}}}"


def inventory(installation: Installation) -> Json:
    """The inventory as Ansible's YAML plug-in reads it."""
    return {
        "all": {"vars": {**_common(installation), **_leader(installation), **_reach(installation)}},
        "frontend": {"hosts": _group(installation, Role.FRONTEND)},
        "node": {"hosts": _group(installation, Role.NODE)},
    }


def render(installation: Installation) -> str:
    """The inventory as text."""
    text: str = yaml.safe_dump(inventory(installation), sort_keys=True, width=120)
    return text


def _common(installation: Installation) -> Json:
    return {
        "ansible_user": _USER,
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": ssh_arguments(installation),
        "ensure_keys_for": ["root"],
        "ensure_hostname": True,
        "ensure_hosts": True,
        "unattend_disable": True,
        "update_pkg_cache": True,
        "features": {"evpn": False},
        "one_version": installation.version,
        "one_pass": _PASSWORD,
    }


def _leader(installation: Installation) -> Json:
    """Several front-ends share a database and an address, one has a file for it."""
    leader = installation.virtual_ip
    if leader is None:
        return {"db_backend": "SQLite"}
    return {
        "db_backend": "MariaDB",
        "one_vip": leader.address,
        "one_vip_cidr": leader.cidr,
        "one_vip_if": leader.interface,
    }


def _reach(installation: Installation) -> Json:
    reach, found = installation.reach, Json()
    if reach.tls_secret:
        found["one_fqdn"] = reach.fqdn
        found["ssl"] = {
            "web_server": "nginx",
            "key": "/etc/ssl/private/opennebula-key.pem",
            "certchain": "/etc/ssl/certs/opennebula-certchain.pem",
        }
        found["certificate_source"] = CERTIFICATE
    if reach.source_ranges:
        found["firewall"] = firewall(installation)
    return found


def _group(installation: Installation, role: Role) -> dict[str, Json]:
    return {target.name: _host(installation, target) for target in installation.targets if role in target.roles}


def _host(installation: Installation, target: InstallTarget) -> Json:
    found: Json = {"ansible_host": target.address}
    # By MAC alone: the names that the kernel gives to cards are not known before one has logged in there.
    for name, macs in (("public_nics", target.public_macs), ("private_nics", target.private_macs)):
        if macs:
            found[name] = [{"macaddress": mac} for mac in macs]
    if target.public_macs or target.private_macs:
        leads = Role.FRONTEND in target.roles and installation.virtual_ip is not None
        found["netplan"] = netplan(
            target, installation.virtual_ip.interface if leads and installation.virtual_ip else ""
        )
    return found
