"""What every step of a machine is, and what several of them say: for the files that each define a family of steps.

Steps that know their own call: disks, backups, snapshots.
"""

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

# Remembered on the machine itself: a status can be lost, and then nobody would know that it is to be started again.
RESUME = "SOVEREIGNCLOUD_RESUME"  # the fields of spec for which it was powered off
REFUSED = "SOVEREIGNCLOUD_RESIZE_REFUSED"
MODEL_REFUSED = "SOVEREIGNCLOUD_CPU_MODEL_REFUSED"
PCI_REFUSED = "SOVEREIGNCLOUD_PCI_REFUSED"
TRIED_HOT = "SOVEREIGNCLOUD_RESIZE_TRIED"
TRIED_MOVE = "SOVEREIGNCLOUD_MOVE_TRIED"
TRIED_RECOVERY = "SOVEREIGNCLOUD_RECOVERY_TRIED"
LABELS = "SOVEREIGNCLOUD_LABELS"
REQUIREMENTS = "SCHED_REQUIREMENTS"
CLEARED = "NO"  # a merge cannot take an attribute away


@dataclass(frozen=True, slots=True, kw_only=True)
class VmStep(Step):
    """By the namespace's own user, or by the administrator of the cloud where OpenNebula gives nobody else the right."""

    by_administrator: ClassVar[bool] = False

    cloud: Key
    vm: int


def because(refused: str) -> str:
    """Where the reason of a refusal is noted."""
    return f"{refused}_BECAUSE"


def noted(value: str) -> str:
    """What a note says; empty where it was cleared."""
    return "" if value == CLEARED else value


def under_way(reason: Reason, message: str, *, alive: bool = False) -> Outcome:
    """The request was taken; what became of it is seen in the next view."""
    return replace(done(reason, message), phase=Phase.WAITING, reason=reason, message=message, available=alive)


@dataclass(frozen=True, slots=True, kw_only=True)
class VmCall(VmStep):
    """Something done to a machine, or for it."""

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCall(Step):
    """Something done in the cloud, where there may be no machine to it."""

    by_administrator: ClassVar[bool] = False

    cloud: Key

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        raise NotImplementedError
