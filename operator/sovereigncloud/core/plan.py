"""What a plan is: differences, and the ordered, typed steps that would remove them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from sovereigncloud.core.outcome import DONE, Outcome

LOST_PATH = "spec"
"""Path of a difference that is all of an object: it was made, and is not there any more."""


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
    """Why a step is there. The brakes hold only what an observation asked for."""

    DECLARED = "Declared"  # spec asks for something that is not there yet, or was changed
    OBSERVED = "Observed"  # reality changed behind the operator's back


@dataclass(frozen=True, slots=True)
class Drift:
    """One field in which reality differs. Values are for people: short, secrets redacted.

    Attributes:
        mendable: False where no step ever mends it, whatever driftPolicy says: it is reported.
    """

    path: str
    desired: str
    observed: str
    mendable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One external write. Each kind derives its own steps with what the write needs; `perform` matches on the class.

    Attributes:
        action: what is done.
        target: what it is done to, for people: "VM web", "interface 5c3c of ns3012345".
        fields: the paths of spec that ask for it; a step all of whose fields are only reported is not done.
        disruption: what it does to what runs.
        cost: what it would cost, if known.
        cause: declared or observed.
        needs: the field to set before it is done ("spec.updatePolicy.powerCycle: Allow"); empty: nothing.
        inside: it writes to Kubernetes only (a child object, a generated Secret): also done in Observe mode and while
            paused, since nothing outside changes.
        part: it makes a part of something that does its job without it, such as one host of a cloud.
        beside: it changes nothing of what is declared (a verification), so neither Ready nor Reconciling speak of it, and no
            approval is asked for: the word in spec that asks for it is one. It waits while anything that is declared is
            to be done, and what goes wrong with it is kept under this key of `status.external`. Empty: it is no such step.
        takes_back: it undoes what an earlier write may be about to make final. While one whose answer was lost may still take
            effect it waits, and then it is looked at once more.
        resumes: it goes on with what its object, which tells nothing of that, found begun: a process before this one did that, and
            what it asked for may still take effect, although the object is new here (a rebuilt cluster): what is made from then on
            waits for that.
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
    """Whether it writes down whose a thing is, and changes nothing of it: to who only looks, nothing is to be done."""
    beside: str = ""
    takes_back: bool = False
    resumes: bool = False
    shows_late: ClassVar[bool] = False
    """Whether what it makes is refused no second time and listed only seconds later, so that it waits until nothing that a process
    before this one asked for may still come to light, although its object is new here (a rebuilt cluster).
    """

    @property
    def takes_over(self) -> bool:
        """Whether it re-marks what a predecessor made: what differs then was reality before, so it is drift. A note on
        behalf of a field is no take-over.
        """
        return self.action is Action.MARK and not self.fields

    @property
    def dangerous(self) -> bool:
        """Whether the brakes count it: it recreates, deletes or disrupts because of what was observed."""
        return self.cause is Cause.OBSERVED and (
            self.action in {Action.CREATE, Action.REPLACE, Action.DELETE, Action.REINSTALL, Action.INSTALL}
            or self.disruption is not Disruption.NONE
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The pure answer to (resource, observed, now).

    Attributes:
        drift: every difference, also those that are not acted upon.
        steps: what would be done, in order; the loop does the first ones it may and looks again.
        outcome: what the observation itself says when there is nothing (more) to do: done, waiting, stalled.
        absent: something recorded outside is missing in the view, which is a hint and no proof. The brakes count it
            before anything is asked by id.
    """

    drift: tuple[Drift, ...] = ()
    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE
    absent: bool = False

    @property
    def hash(self) -> str:
        """Names exactly these steps; changed reality gives another hash and so voids an approval."""
        return plan_hash(self.steps, self.drift)


def plan_hash(steps: tuple[Step, ...], drift: tuple[Drift, ...] = (), *, salt: str = "") -> str:
    """Sixteen hex digits over what a person sees of the steps.

    Args:
        steps: in order.
        drift: the values that the steps would change; with other values it is another plan.
        salt: what else the plan depends on, see `Policy.salt`.
    """
    if not steps:
        return ""
    values = {d.path: [d.desired, d.observed] for d in drift}
    seen = [
        [s.action, s.target, [[f, *values.get(f, ())] for f in sorted(s.fields)], s.disruption, s.cost] for s in steps
    ]
    return hashlib.sha256(json.dumps([salt, seen]).encode()).hexdigest()[:16]


def is_part_of(step: Step, steps: tuple[Step, ...]) -> bool:
    """Whether a step is one of these, or what is left of one: on behalf of fewer fields, since some are reality already."""
    return any(
        (step.action, step.target, step.disruption, step.cost) == (s.action, s.target, s.disruption, s.cost)
        and set(step.fields) <= set(s.fields)
        for s in steps
    )
