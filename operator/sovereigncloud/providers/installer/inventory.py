"""The inventory of one-deploy: who is front-end and node, which version, how the bonds are made. Pure, and no secret.

The password is read by Ansible from the mounted Secret, so that the inventory can stand in the Job itself and nothing
has to be cleaned up after it. Hosts are named by their address, and one-deploy names OpenNebula's hosts so too; networks
and datastores are left out, since the operator keeps them over the API and two writers would fight.
"""

from __future__ import annotations

from typing import Any

import yaml

from sovereigncloud.api.sovereigncloud import Role
from sovereigncloud.kinds.ports import Installation, InstallTarget

CREDENTIALS = "/credentials"
Json = dict[str, Any]

# OVHcloud's Ubuntu templates, on which the reference architecture stands, let this user in with the key of the payload.
_USER = "ubuntu"
_PASSWORD = f"{{{{ lookup('ansible.builtin.file', '{CREDENTIALS}/password') }}}}"


def inventory(installation: Installation) -> Json:
    """The inventory as Ansible's YAML plug-in reads it."""
    return {
        "all": {
            "vars": {
                "ansible_user": _USER,
                "ansible_become": True,
                "ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new",
                "one_version": installation.version,
                "one_pass": _PASSWORD,
                "db_backend": "SQLite",
                "features": {
                    "gate": True,
                    "flow": True,
                    "gui": True,
                    "prometheus": False,
                    "ceph": False,
                    "evpn": False,
                },
                "ds": {"mode": "ssh"},
                "unattend_disable": True,
                "ensure_keys_for": ["root"],
                "ensure_hostname": True,
            }
        },
        "frontend": {"hosts": _group(installation, Role.FRONTEND)},
        "node": {"hosts": _group(installation, Role.NODE)},
    }


def render(installation: Installation) -> str:
    """The inventory as text."""
    text: str = yaml.safe_dump(inventory(installation), sort_keys=True, width=120)
    return text


def _group(installation: Installation, role: Role) -> dict[str, Json]:
    return {target.name: _host(target) for target in installation.targets if role in target.roles}


def _host(target: InstallTarget) -> Json:
    found: Json = {"ansible_host": target.address}
    if target.public_macs or target.private_macs:
        found["netplan"] = netplan(target)
    return found


def netplan(target: InstallTarget) -> Json:
    """The two bonds of OVHcloud's guide, their cards told by MAC.

    Since 25 November 2025 bonds of new servers span two cards while older ones keep pairs on one card, so never by order
    (OVHcloud docs, lacp-resilience-scale-hg).
    """
    ethernets: Json = {}
    bonds: Json = {}
    for bond, prefix, macs, dhcp in (
        ("public_bond", "public", target.public_macs, True),
        ("vrack_bond", "private", target.private_macs, False),
    ):
        if not macs:
            continue
        names = [f"{prefix}{number}" for number in range(len(macs))]
        ethernets |= {
            name: {"match": {"macaddress": mac}, "optional": True} for name, mac in zip(names, macs, strict=True)
        }
        bonds[bond] = {
            "interfaces": names,
            "macaddress": macs[0],
            "dhcp4": dhcp,
            "optional": not dhcp,
            "parameters": _bonding(len(macs)),
        }
    return {"network": {"version": 2, "renderer": "networkd", "ethernets": ethernets, "bonds": bonds}}


def _bonding(cards: int) -> Json:
    if cards == 1:
        return {"mode": "active-backup", "mii-monitor-interval": 100}
    return {
        "mode": "802.3ad",
        "lacp-rate": "fast",
        "transmit-hash-policy": "layer3+4",
        "mii-monitor-interval": 100,
    }
