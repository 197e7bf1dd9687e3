"""Plan part for a VM in a failure state: retry with pauses, or ask for manual recovery.

OpenNebula does not retry by itself. The operator retries only what cannot lose data: a start with unchanged disks, or a copy
from images that still exist. A failure during the transfer of disks between two places needs a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT
from sovereigncloud.api.instance_compute import Recovery
from sovereigncloud.core.outcome import Outcome, Phase, stalled
from sovereigncloud.core.plan import Action
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.compute.steps import RetryVm
from sovereigncloud.kinds.hostedinstance.machine.machine import EMPTY_PART, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.retries import RetryCounter, clock_time
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, RECOVERY_TRIES, note_value
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_PAUSES = (60, 300)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a failure state is handled.

    Attributes:
        retried: whether the operator retries it.
        why: reason of that decision, for messages.
        prefix: pattern of the start of the driver's message as oned records it. USER_TEMPLATE/ERROR is never removed; a
            message that matches was written by this failure or by an earlier one of the same kind.
    """

    retried: bool
    why: str
    prefix: str


_START = r"(DEPLOY|RESTORE|Error deploying|Error restoring)\b"
_TRANSFER = r"Error executing image transfer script\b|(CLONE|LN|MV|MVDS|MKIMAGE|CONTEXT)\b"
_DISKS_UNCHANGED = "its disks are unchanged, and only the start is repeated"
_TRANSFER_INTERRUPTED = "the transfer of its disks was interrupted, and a retry may copy incomplete ones"

FAILURES = {
    "BootFailure": Failure(True, _DISKS_UNCHANGED, _START),
    "MigrationBootFailure": Failure(
        True, "its disks and its memory have arrived, and only the start is repeated", _START
    ),
    "ResumeBootFailure": Failure(True, "its disks have arrived, and only the start is repeated", _START),
    "PreparingDisksFailure": Failure(True, "its disks are copied again from images that still exist", _TRANSFER),
    "CloningFailure": Failure(
        False, "one of its images is in error, and it continues by itself once that is fixed", ""
    ),
    "MigrationFailure": Failure(False, _TRANSFER_INTERRUPTED, _TRANSFER),
    "ResumeFailure": Failure(False, _TRANSFER_INTERRUPTED, _TRANSFER),
    "StopFailure": Failure(False, _TRANSFER_INTERRUPTED, _TRANSFER),
    "UndeployFailure": Failure(False, _TRANSFER_INTERRUPTED, _TRANSFER),
    "TerminationFailure": Failure(
        False, "its persistent disks were being copied back to the datastore and could be lost", _TRANSFER
    ),
}
"""By name of the LCM state."""
_UNKNOWN = Failure(False, "this version of the operator does not know this state", "")
# "Tue Nov 24 17:21:37 2026: DEPLOY: ...", in the time zone of the front-end.
_TIMESTAMPED = re.compile(r"(?P<when>\w{3} \w{3} +\d+ [\d:]{8} \d{4}): (?P<what>.+)", re.DOTALL)


def recovery(m: Machine) -> Part:
    """Retry a failed VM with growing pauses, or report that it needs manual recovery."""
    if m.situation is not Situation.FAILED:
        tried = m.situation in AT_REST and note_value(m.vm.notes.get(RECOVERY_TRIES, ""))
        return Part(steps=(m.note("forget what was tried", {RECOVERY_TRIES: CLEARED}),)) if tried else EMPTY_PART
    failure = FAILURES.get(m.state.words, _UNKNOWN)
    what = f"VM {m.vm.id} in {where(m.cloud)} is in state {m.state.words}{_driver_message(m, failure)}"
    by_hand = f"fix the cause and recover it there (onevm recover --retry {m.vm.id}), or delete this object"
    if m.resource.spec.recovery is Recovery.MANUAL:
        return Part(outcome=stalled(m.state.reason, f"{what}; spec.recovery is Manual: {by_hand}"))
    if not failure.retried:
        return Part(outcome=stalled(m.state.reason, f"{what}; not retried, since {failure.why}: {by_hand}"))
    tries = RetryCounter.read(m.vm.notes.get(RECOVERY_TRIES, ""), f"{m.state.words}/{m.asked}")
    if tries.over(_PAUSES):
        again = f"; or set annotation {RECONCILE_REQUESTED_AT} to have it retried"
        return Part(outcome=stalled(m.state.reason, f"{what}; {tries.count} retries failed: {by_hand}{again}"))
    due = tries.due(_PAUSES)
    if m.now < due:
        after = (due - m.now).total_seconds()
        message = f"{what}; retried at {clock_time(due)}, since {failure.why}"
        return Part(outcome=Outcome(Phase.RETRY, m.state.reason, message, after=after))
    note = m.note("note that it is tried again", {RECOVERY_TRIES: tries.once_more(m.now)})
    step = RetryVm(
        action=Action.UPDATE,
        target=f"{m.target}: try again after {m.state.words}",
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        what=m.state.words,
    )
    said = Outcome(Phase.RETRY, m.state.reason, f"{what}; it is retried, since {failure.why}")
    return Part(steps=(note, step), outcome=said)


def _driver_message(m: Machine, failure: Failure) -> str:
    """Return the driver's message if it matches this failure, else how to read the log."""
    stamped = _TIMESTAMPED.fullmatch(m.vm.error)
    what = stamped["what"] if stamped else m.vm.error
    if not failure.prefix or not re.match(failure.prefix, what):
        return f"; see its log (onevm log {m.vm.id})"
    return f" ({stamped['when']}: {what})" if stamped else f" ({what})"
