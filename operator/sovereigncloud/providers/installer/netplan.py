"""The network of a server as netplan reads it: the two bonds of OVHcloud's guide, their cards told by MAC."""

from __future__ import annotations

import re
from typing import Any

from sovereigncloud.kinds.ports import InstallTarget

Json = dict[str, Any]

PUBLIC, PRIVATE = "public_bond", "vrack_bond"
_VLAN = re.compile(rf"^({PUBLIC}|{PRIVATE})\.([0-9]{{1,4}})$")


def netplan(target: InstallTarget, interface: str = "") -> Json:
    """The bonds; `interface` of the shared address, where it is a VLAN on one of them, is made, too.

    Since 25 November 2025 bonds of new servers span two cards while older ones keep pairs on one card, so never by order
    (OVHcloud docs, lacp-resilience-scale-hg).
    """
    ethernets: Json = {}
    bonds: Json = {}
    for bond, prefix, macs, dhcp in (
        (PUBLIC, "public", target.public_macs, True),
        (PRIVATE, "private", target.private_macs, False),
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
            "accept-ra": False,
            "dhcp4": dhcp,
            "optional": not dhcp,
            "parameters": _bonding(len(macs)),
        }
    network = {"version": 2, "renderer": "networkd", "ethernets": ethernets, "bonds": bonds}
    vlan = _VLAN.match(interface)
    if vlan is not None and vlan[1] in bonds:
        network["vlans"] = {interface: {"id": int(vlan[2]), "link": vlan[1], "dhcp4": False, "optional": True}}
    return {"network": network}


def _bonding(cards: int) -> Json:
    if cards == 1:
        return {"mode": "active-backup", "mii-monitor-interval": 100}
    return {
        "mode": "802.3ad",
        "lacp-rate": "fast",
        "transmit-hash-policy": "layer3+4",
        "mii-monitor-interval": 100,
    }
