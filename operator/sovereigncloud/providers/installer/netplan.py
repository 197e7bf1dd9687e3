"""Netplan of a server for the installer: bonds as on its first day, plus a VLAN for a shared address."""

from __future__ import annotations

import re
from typing import Any

from sovereigncloud.core import bonds
from sovereigncloud.ports.installer.installation import InstallTarget

Json = dict[str, Any]

_VLAN = re.compile(rf"^({bonds.PUBLIC}|{bonds.PRIVATE})\.([0-9]{{1,4}})$")


def netplan(target: InstallTarget, interface: str = "") -> Json:
    """Return the netplan: the bonds, and the VLAN `interface` of the shared address, if it is one."""
    found: Json = {**bonds.netplan(target.public_macs, target.private_macs)}
    vlan, network = _VLAN.match(interface), found["network"]
    if vlan is not None and vlan[1] in network["bonds"]:
        network["vlans"] = {interface: {"id": int(vlan[2]), "link": vlan[1], "dhcp4": False, "optional": True}}
    return found
