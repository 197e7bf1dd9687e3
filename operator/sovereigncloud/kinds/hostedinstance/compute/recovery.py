"""A machine of which an operation failed: why, and who does something about it.

OpenNebula does nothing by itself. What is repeated without a person is what can lose nothing: it takes the disks as they are
and only starts the machine, or copies anew from images that stay. What was half way between two places is left to a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT
from sovereigncloud.api.instance_compute import Recovery
from sovereigncloud.core.outcome import Outcome, Phase, stalled
from sovereigncloud.core.plan import Action
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.compute.steps import RetryVm
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.retries import Tries, clock_time
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, TRIED_RECOVERY, noted
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_PAUSES = (60, 300)


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed.

    Attributes:
        retried: whether it is repeated without a person.
        why: it is, or is not.
        prefix: with what the message of its driver begins, as oned notes it. USER_TEMPLATE/ERROR outlives what it speaks of;
            one that begins so was written by this failure or by an earlier one of the same kind.
    """

    retried: bool
    why: str
    prefix: str


_START = r"(DEPLOY|RESTORE|Error deploying|Error restoring)\b"
_TRANSFER = r"Error executing image transfer script\b|(CLONE|LN|MV|MVDS|MKIMAGE|CONTEXT)\b"
_LONE = "its disks are as they were, and only the start is repeated"
_BETWEEN = "its disks were on their way between two places: a copy that is repeated may take half of one"

FAILURES = {
    "BootFailure": Failure(True, _LONE, _START),
    "MigrationBootFailure": Failure(
        True, "its disks and its memory have arrived, and only the start is repeated", _START
    ),
    "ResumeBootFailure": Failure(True, "its disks have arrived, and only the start is repeated", _START),
    "PreparingDisksFailure": Failure(True, "its disks are copied anew from images that stay", _TRANSFER),
    "CloningFailure": Failure(False, "an image of it is in error: it goes on by itself when that is mended", ""),
    "MigrationFailure": Failure(False, _BETWEEN, _TRANSFER),
    "ResumeFailure": Failure(False, _BETWEEN, _TRANSFER),
    "StopFailure": Failure(False, _BETWEEN, _TRANSFER),
    "UndeployFailure": Failure(False, _BETWEEN, _TRANSFER),
    "TerminationFailure": Failure(
        False, "what is to be kept of its disks is on its way back to the datastore: it could be lost", _TRANSFER
    ),
}
"""By the word of the state."""
_UNKNOWN = Failure(False, "this version does not know what failed", "")
# "Tue Nov 24 17:21:37 2026: DEPLOY: ...", in the time of the front-end.
_STAMPED = re.compile(r"(?P<when>\w{3} \w{3} +\d+ [\d:]{8} \d{4}): (?P<what>.+)", re.DOTALL)


def recovery(m: Machine) -> Part:
    """Tried again a few times with growing pauses, or left to a person; either is said."""
    if m.situation is not Situation.FAILED:
        tried = m.situation in AT_REST and noted(m.vm.notes.get(TRIED_RECOVERY, ""))
        return Part(steps=(m.note("forget what was tried", {TRIED_RECOVERY: CLEARED}),)) if tried else NOTHING
    failure = FAILURES.get(m.state.words, _UNKNOWN)
    what = f"VM {m.vm.id} in {where(m.cloud)} is in state {m.state.words}{_told(m, failure)}"
    by_hand = f"mend the cause and recover it there (onevm recover --retry {m.vm.id}), or delete this object"
    if m.resource.spec.recovery is Recovery.MANUAL:
        return Part(outcome=stalled(m.state.reason, f"{what}; spec.recovery is Manual: {by_hand}"))
    if not failure.retried:
        return Part(outcome=stalled(m.state.reason, f"{what}; not tried again, since {failure.why}: {by_hand}"))
    tries = Tries.read(m.vm.notes.get(TRIED_RECOVERY, ""), f"{m.state.words}/{m.asked}")
    if tries.over(_PAUSES):
        again = f"; or set annotation {RECONCILE_REQUESTED_AT} to have it tried again"
        return Part(
            outcome=stalled(m.state.reason, f"{what}; tried again {tries.count} times in vain: {by_hand}{again}")
        )
    due = tries.due(_PAUSES)
    if m.now < due:
        after = (due - m.now).total_seconds()
        message = f"{what}; tried again at {clock_time(due)}, since {failure.why}"
        return Part(outcome=Outcome(Phase.RETRY, m.state.reason, message, after=after))
    note = m.note("note that it is tried again", {TRIED_RECOVERY: tries.once_more(m.now)})
    step = RetryVm(
        action=Action.UPDATE,
        target=f"{m.target}: try again after {m.state.words}",
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        what=m.state.words,
    )
    said = Outcome(Phase.RETRY, m.state.reason, f"{what}; it is tried again, since {failure.why}")
    return Part(steps=(note, step), outcome=said)


def _told(m: Machine, failure: Failure) -> str:
    """The driver's message, where it can be of this failure; with its time, since it stays there for ever."""
    stamped = _STAMPED.fullmatch(m.vm.error)
    what = stamped["what"] if stamped else m.vm.error
    if not failure.prefix or not re.match(failure.prefix, what):
        return f"; see its log (onevm log {m.vm.id})"
    return f" ({stamped['when']}: {what})" if stamped else f" ({what})"
