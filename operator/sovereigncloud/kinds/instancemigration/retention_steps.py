"""Steps on retained images: retain them, clone them, and prepare the clones as disks."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KEPT, RetainedImage
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, under_way
from sovereigncloud.kinds.instancemigration.steps import MigrationStep, copy_skipped, required_instance
from sovereigncloud.ports.errors import NotFound, Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionStep(MigrationStep):
    """A call in the cloud that holds the copy. `image`: retained image, or its clone."""

    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainImage(RetentionStep):
    """Mark an imported image as a retained copy of a disk of the instance."""

    kept: RetainedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneDisk(RetentionStep):
    """Clone a retained image. `name`: identifies the clone; `copy`: the copy it belongs to."""

    name: str
    copy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceCloneMarks(RetentionStep):
    """Replace the inherited copy attributes of a clone by the mark of the migration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistClone(RetentionStep):
    """Make the clone persistent, as data disks outlive the VM."""


async def perform_retention(step: RetentionStep, move: InstanceMigration, context: Context) -> Outcome:
    """Execute one step on a retained image."""
    client = await context.open_nebula_for(step.cloud, move.metadata.namespace)
    match step:
        case RetainImage():
            mark = context.mark(required_instance(move, context))
            await client.update_image(step.image, {KEPT: str(step.kept), **mark.for_opennebula()})
        case CloneDisk():
            try:
                await client.moves.clone_image(step.image, step.name)
            except (Rejected, NotFound) as error:
                return copy_skipped(step.copy, error, move, context)
            return under_way(Reason.DISK_IMPORTED, step.target)
        case ReplaceCloneMarks():
            await client.update_image(step.image, {KEPT: CLEARED, **context.mark(move).for_opennebula()})
        case PersistClone():
            await client.set_persistent(step.image, persistent=True)
        case _:
            raise TypeError(f"not a step with a kept image: {step!r}")
    return done()
