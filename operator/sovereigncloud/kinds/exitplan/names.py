"""How an exit's runs and moves are called, and what it writes down of a run. The same each time, so that nothing is made twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from sovereigncloud.api.common.base import GROUP, Key
from sovereigncloud.api.exitplan import ExitMode, ExitPlan

RUN_LABEL = f"{GROUP}/exit-run"
RUN, BEGAN, ENDED = "run", "began", "ended"
"""Keys of status.external: the run that is under way or was last, and when it began and was over, seconds since 1970."""
_REHEARSAL, _EXIT = "r", "x"
_LONGEST = 253
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Run:
    """A rehearsal or an execution. `ended`: 0: it is under way."""

    name: str
    began: int
    ended: int = 0

    @property
    def rehearses(self) -> bool:
        return self.name.startswith(_REHEARSAL)


def run_of(exit_plan: ExitPlan) -> Run | None:
    """The one that is under way, or was last."""
    external = exit_plan.external
    name, began, ended = (external.get(key, "") for key in (RUN, BEGAN, ENDED))
    if not name or not began.isdigit():
        return None
    return Run(name, int(began), int(ended) if ended.isdigit() else 0)


def execution_of(exit_plan: ExitPlan) -> str:
    """There is one for each object."""
    return f"{_EXIT}{_digest(exit_plan.metadata.uid)}"


def rehearsal_at(exit_plan: ExitPlan, due: datetime) -> str:
    """By when it was due: whoever begins it, and how often, it is that one."""
    return f"{_REHEARSAL}{_digest(exit_plan.metadata.uid)}-{due.astimezone(UTC):%Y%m%d%H%M%S}"


def is_of_mode(run: Run, mode: ExitMode) -> bool:
    return mode is not ExitMode.PLAN and run.rehearses == (mode is ExitMode.REHEARSE)


def move_key(exit_plan: ExitPlan, instance: Key, run: str) -> Key:
    """Of the InstanceMigration of a machine in a run."""
    name = f"{exit_plan.metadata.name}-{instance.name}-{run}"
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - len(run) - _DIGEST - 2].rstrip('-.')}-{_digest(name)}-{run}"
    return Key("InstanceMigration", instance.namespace, name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
