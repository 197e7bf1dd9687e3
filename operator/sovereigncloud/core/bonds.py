"""Build the netplan document of a server: the two bonds of OVHcloud's guide.

NICs are matched by MAC address. Their order is no criterion: since 25 November 2025 bonds of new servers span two
network adapters while older ones keep pairs on one (OVHcloud docs, lacp-resilience-scale-hg). The API's virtual
network interfaces tell which NIC belongs to which bond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

PUBLIC, PRIVATE = "public_bond", "vrack_bond"

Tree: TypeAlias = "dict[str, Tree] | list[str] | str | int | bool"


def netplan(public_macs: Sequence[str], private_macs: Sequence[str]) -> dict[str, Tree]:
    """Build the netplan document; a bond without known NICs is left out."""
    ethernets: dict[str, Tree] = {}
    bonds: dict[str, Tree] = {}
    for bond, prefix, macs, dhcp in ((PUBLIC, "public", public_macs, True), (PRIVATE, "private", private_macs, False)):
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
    return {"network": {"version": 2, "renderer": "networkd", "ethernets": ethernets, "bonds": bonds}}


def _bonding(cards: int) -> dict[str, Tree]:
    if cards == 1:
        return {"mode": "active-backup", "mii-monitor-interval": 100}
    return {
        "mode": "802.3ad",
        "lacp-rate": "fast",
        "transmit-hash-policy": "layer3+4",
        "mii-monitor-interval": 100,
    }
