"""Plan of an object: differences, and the ordered, typed steps that would remove them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from sovereigncloud.core.outcome import DONE, Outcome

LOST_PATH = "spec"
"""Path of a difference that concerns the whole object: it was created and no longer exists."""


class Action(StrEnum):
    CREATE = "Create"
    UPDATE = "Update"
    REPLACE = "Replace"
    DELETE = "Delete"
    ATTACH = "Attach"
    DETACH = "Detach"
    REINSTALL = "Reinstall"
    INSTALL = "Install"
    MARK = "Mark"
    MOVE = "Move"
    VERIFY = "Verify"
    BACK_UP = "BackUp"
    SNAPSHOT = "Snapshot"
    SCHEDULE = "Schedule"
    RESTORE = "Restore"


class Disruption(StrEnum):
    NONE = "None"
    CONNECTION = "Connection"
    RESTART = "Restart"
    REBUILD = "Rebuild"
    DATA_LOSS = "DataLoss"


class Cause(StrEnum):
    """Reason for a step. The change limits hold only steps caused by an observation."""

    DECLARED = "Declared"  # spec asks for something that is not there yet, or was changed
    OBSERVED = "Observed"  # reality changed behind the operator's back


@dataclass(frozen=True, slots=True)
class Drift:
    """Field in which reality differs. Values are for people: short, secrets redacted.

    Attributes:
        mendable: False where no step corrects it, whatever driftPolicy says: it is reported.
    """

    path: str
    desired: str
    observed: str
    mendable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One external write. Each kind derives its own steps with the data of the write; `perform` matches on the class.

    Attributes:
        action: what is done.
        target: the object of the action, for people: "VM web", "interface 5c3c of ns3012345".
        fields: paths of spec that ask for it; a step all of whose fields are only reported is not done.
        disruption: its effect on running workloads.
        cost: what it would cost, if known.
        cause: declared or observed.
        needs: the field to set before it is done ("spec.updatePolicy.powerCycle: Allow"); empty: none.
        inside: it writes to Kubernetes only (a child object, a generated Secret): also done in Observe mode and while
            paused, since nothing outside changes.
        part: it creates a part of something that works without it, such as one host of a cloud.
        beside: it changes nothing that is declared (a verification), so Ready and Reconciling ignore it, and it needs no
            approval beyond the field in spec that requests it. It waits while any declared change is to be done, and its
            failure is kept under this key of `status.external`. Empty: no such step.
        takes_back: it undoes what an earlier write may be about to make final. It waits while an unanswered write may still
            take effect, and then the object is evaluated once more.
        resumes: it continues work that an earlier process began and that the object (of a rebuilt cluster) does not record. A
            request of that process may still take effect, so later creations wait for that.
    """

    action: Action
    target: str
    fields: tuple[str, ...] = ()
    disruption: Disruption = Disruption.NONE
    cost: str = ""
    cause: Cause = Cause.DECLARED
    needs: str = ""
    inside: bool = False
    part: bool = False
    only_marks: ClassVar[bool] = False
    """Whether it only writes an ownership mark; a read-only view shows no such step."""
    beside: str = ""
    takes_back: bool = False
    resumes: bool = False
    shows_late: ClassVar[bool] = False
    """Whether the API accepts a duplicate of what it creates and lists it only seconds later.

    It then waits until no request of an earlier process may still show, although its object is new here (a rebuilt
    cluster).
    """

    @property
    def takes_over(self) -> bool:
        """Whether it changes the mark of a predecessor: what differs then existed before, so it is drift.

        A note on behalf of a field is no take-over.
        """
        return self.action is Action.MARK and not self.fields

    @property
    def dangerous(self) -> bool:
        """Whether the change limits count it: it recreates, deletes or disrupts because of an observation."""
        return self.cause is Cause.OBSERVED and (
            self.action in {Action.CREATE, Action.REPLACE, Action.DELETE, Action.REINSTALL, Action.INSTALL}
            or self.disruption is not Disruption.NONE
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Pure result of (resource, observed, now).

    Attributes:
        drift: every difference, also those that are not acted upon.
        steps: what would be done, in order; the loop does the first ones it may and evaluates again.
        outcome: result of the observation when there is no (further) step: done, waiting, stalled.
        absent: a recorded external resource is missing in the view, which is a hint and no proof. The change limits count it
            before it is looked up by id.
    """

    drift: tuple[Drift, ...] = ()
    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE
    absent: bool = False

    @property
    def hash(self) -> str:
        """Identifies exactly these steps; changed reality gives another hash and so voids an approval."""
        return plan_hash(self.steps, self.drift)


def plan_hash(steps: tuple[Step, ...], drift: tuple[Drift, ...] = (), *, salt: str = "") -> str:
    """Return sixteen hex digits over the visible parts of the steps.

    Args:
        steps: in order.
        drift: the values that the steps would change; other values make another plan.
        salt: further inputs of the plan, see `Policy.salt`.
    """
    if not steps:
        return ""
    values = {d.path: [d.desired, d.observed] for d in drift}
    seen = [
        [s.action, s.target, [[f, *values.get(f, ())] for f in sorted(s.fields)], s.disruption, s.cost] for s in steps
    ]
    return hashlib.sha256(json.dumps([salt, seen]).encode()).hexdigest()[:16]


def is_part_of(step: Step, steps: tuple[Step, ...]) -> bool:
    """Return whether a step is one of these, or the rest of one whose other fields are already reality."""
    return any(
        (step.action, step.target, step.disruption, step.cost) == (s.action, s.target, s.disruption, s.cost)
        and set(step.fields) <= set(s.fields)
        for s in steps
    )
