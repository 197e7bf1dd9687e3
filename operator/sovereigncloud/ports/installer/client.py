"""Port to the installer: install OpenNebula, join federations, run the validation suite."""

from __future__ import annotations

from typing import Protocol

from sovereigncloud.ports.installer.federation import FederationChange
from sovereigncloud.ports.installer.installation import Installation, InstallState
from sovereigncloud.ports.installer.validation import Validation, ValidationState


class Installer(Protocol):
    """Bootstraps OpenNebula on servers that have an operating system."""

    async def state(self, installation: Installation) -> InstallState: ...
    async def start(self, installation: Installation) -> None:
        """Idempotent: the same hash never starts a second run."""
        ...

    async def federation(self, change: FederationChange) -> InstallState:
        """What became of making a cloud a member of a federation, or taking it out of one."""
        ...

    async def federate(self, change: FederationChange) -> None:
        """Idempotent: one change is begun once. Raises Conflict while the installer, or another run, is at work there."""
        ...

    async def validation(self, wanted: Validation) -> ValidationState:
        """What became of a run of one-deploy-validation."""
        ...

    async def validate(self, wanted: Validation) -> None:
        """Idempotent: one run is made once. Raises Conflict while the installer, or another run, is at work there."""
        ...
