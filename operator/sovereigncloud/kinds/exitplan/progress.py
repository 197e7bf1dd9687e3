"""How far a move of an exit is, in the few words that matter to the exit. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.core.exit import Blocker
from sovereigncloud.kinds.movement.records import BEGAN, CUT_OVER, ENDED, FAILED


class Stage(StrEnum):
    UNDER_WAY = "UnderWay"
    MOVED = "Moved"
    REHEARSED = "Rehearsed"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one machine.

    Attributes:
        failure: why it did not; None: it did, or is under way.
        bytes, seconds: that were copied, and that it took; 0: not measured.
    """

    stage: Stage
    failure: Blocker | None = None
    bytes: int = 0
    seconds: int = 0


def progress_of(move: InstanceMigration) -> Progress:
    """A machine has moved once its instance has it elsewhere: how long the one that was left stays is the move's own business."""
    external, size, took = move.external, move.status.bytes or 0, move.status.downtime_seconds or 0
    rehearses = move.spec.mode == MigrationMode.REHEARSE
    if ENDED in external and FAILED in external:
        return Progress(Stage.FAILED, Blocker(Reason.MOVE_FAILED, _told(move, external[FAILED])))
    if CUT_OVER in external or (ENDED in external and not rehearses):
        return Progress(Stage.MOVED, None, size, took)
    if ENDED in external:
        return Progress(Stage.REHEARSED, None, size, took)
    told = move.status.condition("Stalled")
    if BEGAN not in external and told is not None and move.status.is_true("Stalled"):
        reason = Reason(told.reason) if told.reason in frozenset(Reason) else Reason.NOT_MOVABLE
        return Progress(Stage.FAILED, Blocker(reason, _told(move, told.message)))
    return Progress(Stage.UNDER_WAY)


def _told(move: InstanceMigration, why: str) -> str:
    return f"InstanceMigration {move.metadata.namespace}/{move.metadata.name}: {why}; delete it to have it tried again"
