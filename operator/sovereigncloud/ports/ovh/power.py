"""The door to the power of servers. There is no call that switches one off: it boots a kernel that does nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sovereigncloud.ports.ovh.account import Task

HARD_DISK, POWER_OFF = "harddisk", "power"
"""Types of boots. Their numbers are others from region to region."""


class Power(Protocol):
    async def boot_of_type(self, service_name: str, kind: str) -> int:
        """The number of the boot of a type. Raises NotFound."""
        ...

    async def set_boot(self, service_name: str, boot: int, *, monitoring: bool, no_intervention: bool) -> None:
        """What the next start boots, and whether OVHcloud watches: in one call, so that nobody is sent to a server that is off."""
        ...

    async def reboot(self, service_name: str) -> None:
        """Without asking its system. It takes effect after minutes; of a reboot that is asked for already nothing more comes."""
        ...

    async def reboots(self, service_name: str) -> tuple[Task, ...]:
        """Reboots that the API still knows, newest last."""
        ...
