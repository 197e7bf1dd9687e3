"""The network of a server as netplan reads it: the two bonds of OVHcloud's guide, their cards told by MAC.

Never by the order of the cards: since 25 November 2025 bonds of new servers span two cards while older ones keep pairs on one
(OVHcloud docs, lacp-resilience-scale-hg). Which card belongs to which bond the API's virtual network interfaces tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

PUBLIC, PRIVATE = "public_bond", "vrack_bond"

Tree: TypeAlias = "dict[str, Tree] | list[str] | str | int | bool"


def netplan(public_macs: Sequence[str], private_macs: Sequence[str]) -> dict[str, Tree]:
    """The bonds; of cards that are not known there is none."""
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
