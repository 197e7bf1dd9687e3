"""What is done with images that stay in a cloud as a copy of a machine: kept, and cloned when the machine is made from them."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KEPT, Kept
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, under_way
from sovereigncloud.kinds.instancemigration.steps import MoveStep, moving_instance, passed_over
from sovereigncloud.ports.errors import NotFound, Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStep(MoveStep):
    """One call, in the cloud where the copy is. `image`: that is kept, or cloned, or the clone."""

    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepDisk(KeptStep):
    """An image that was imported is the instance's, as a copy of a disk."""

    kept: Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneDisk(KeptStep):
    """`name`: all that the clone can be given in that call, and by which it is found. `copy`: that the image is of."""

    name: str
    copy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeClone(KeptStep):
    """It says all that the image says from which it was cloned: it is the move's, and no copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistClone(KeptStep):
    """A data disk outlives the machine."""


async def perform_kept(step: KeptStep, move: InstanceMigration, context: Context) -> Outcome:
    """Do one of them."""
    client = await context.open_nebula_for(step.cloud, move.metadata.namespace)
    match step:
        case KeepDisk():
            mark = context.mark(moving_instance(move, context))
            await client.update_image(step.image, {KEPT: str(step.kept), **mark.for_opennebula()})
        case CloneDisk():
            try:
                await client.moves.clone_image(step.image, step.name)
            except (Rejected, NotFound) as error:
                return passed_over(step.copy, error, move, context)
            return under_way(Reason.DISK_IMPORTED, step.target)
        case TakeClone():
            await client.update_image(step.image, {KEPT: CLEARED, **context.mark(move).for_opennebula()})
        case PersistClone():
            await client.set_persistent(step.image, persistent=True)
        case _:
            raise TypeError(f"not a step with a kept image: {step!r}")
    return done()
