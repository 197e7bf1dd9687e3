"""Netboot options of a server: its own disk, a rescue system, or a kernel that powers off.

Numbers and texts are those that clients have seen in Europe.
"""

from dataclasses import dataclass
from typing import Final

from sovereigncloud_sandbox.ovh.state import Server
from sovereigncloud_sandbox.ovh.wire import Json

HARDDISK: Final = 1
POWEROFF: Final = 95083
RESCUE: Final = 230242
BOOTS: Final[dict[int, Json]] = {
    HARDDISK: {"bootId": HARDDISK, "bootType": "harddisk", "kernel": "hd", "description": "Boot to disk"},
    POWEROFF: {"bootId": POWEROFF, "bootType": "power", "kernel": "poweroff", "description": "Power-off server"},
    RESCUE: {
        "bootId": RESCUE,
        "bootType": "rescue",
        "kernel": "rescue12-customer",
        "description": "Customer rescue system (Debian-12-based)",
    },
}


@dataclass(frozen=True, slots=True)
class Power:
    """The system of a server runs from now on, or does no more."""

    server: str
    address: str
    on: bool


def boot(server: Server) -> tuple[bool, bool]:
    """Boot a server as its boot says: whether it has power then, and whether its own system runs."""
    kind = BOOTS.get(server.document["bootId"] or HARDDISK, BOOTS[HARDDISK])["bootType"]
    return kind != "power", kind == "harddisk"
