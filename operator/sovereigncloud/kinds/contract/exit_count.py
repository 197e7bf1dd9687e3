"""How many instances of a cloud could leave it: the value behind column EXIT. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExitReadiness:
    """Exit readiness: `movable` of `machines` VMs could leave the cloud."""

    movable: int
    machines: int

    @property
    def told(self) -> str:
        """Text for the column; empty if the cloud has no VM."""
        return f"{self.movable}/{self.machines}" if self.machines else ""
