"""Base classes of steps on a VM or image, and the VM attributes that several steps share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, Phase, done
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.ports.opennebula.client import OpenNebula

# Stored on the VM: the status of the object can be lost, and then the VM would never be started again.
RESUME = "SOVEREIGNCLOUD_RESUME"  # the spec fields that it was powered off for
RESIZE_REFUSED = "SOVEREIGNCLOUD_RESIZE_REFUSED"
MODEL_REFUSED = "SOVEREIGNCLOUD_CPU_MODEL_REFUSED"
PCI_REFUSED = "SOVEREIGNCLOUD_PCI_REFUSED"
HOT_RESIZE_TRIES = "SOVEREIGNCLOUD_RESIZE_TRIED"
MIGRATION_TRIES = "SOVEREIGNCLOUD_MOVE_TRIED"
RECOVERY_TRIES = "SOVEREIGNCLOUD_RECOVERY_TRIED"
LABELS = "SOVEREIGNCLOUD_LABELS"
REQUIREMENTS = "SCHED_REQUIREMENTS"
CLEARED = "NO"  # a merge cannot remove an attribute


@dataclass(frozen=True, slots=True, kw_only=True)
class VmStep(Step):
    """Base of all steps on a VM.

    They run as the user of the namespace, or as the administrator of the cloud if OpenNebula permits only that.
    """

    by_administrator: ClassVar[bool] = False

    cloud: Key
    vm: int


def reason_attribute(refused: str) -> str:
    """Return the attribute that holds the reason of a refusal."""
    return f"{refused}_BECAUSE"


def note_value(value: str) -> str:
    """Return the value of a note; empty if it was cleared."""
    return "" if value == CLEARED else value


def under_way(reason: Reason, message: str, *, alive: bool = False) -> Outcome:
    """Return the outcome of an accepted asynchronous call; the next view shows its result.

    Args:
        reason: of the condition.
        message: of the condition.
        alive: whether the VM stays available meanwhile.
    """
    return replace(done(reason, message), phase=Phase.WAITING, reason=reason, message=message, available=alive)


@dataclass(frozen=True, slots=True, kw_only=True)
class VmCall(VmStep):
    """A step on an existing VM that implements its own call (disks, backups, snapshots)."""

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCall(Step):
    """A step on an image or template that implements its own call; there may be no VM."""

    by_administrator: ClassVar[bool] = False

    cloud: Key

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        raise NotImplementedError
