"""The network of a server as the installer wants it: that of its first day, and a VLAN for an address that servers share."""

from __future__ import annotations

import re
from typing import Any

from sovereigncloud.kinds.baremetalserver.network import bonds
from sovereigncloud.ports.installer.installation import InstallTarget

Json = dict[str, Any]

_VLAN = re.compile(rf"^({bonds.PUBLIC}|{bonds.PRIVATE})\.([0-9]{{1,4}})$")


def netplan(target: InstallTarget, interface: str = "") -> Json:
    """The bonds; `interface` of the shared address, where it is a VLAN on one of them, is made, too."""
    found: Json = {**bonds.netplan(target.public_macs, target.private_macs)}
    vlan, network = _VLAN.match(interface), found["network"]
    if vlan is not None and vlan[1] in network["bonds"]:
        network["vlans"] = {interface: {"id": int(vlan[2]), "link": vlan[1], "dhcp4": False, "optional": True}}
    return found
