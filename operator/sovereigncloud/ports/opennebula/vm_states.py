"""The states of a virtual machine, in words, and what they allow.

STATE and LCM_STATE are numbers in OpenNebula; LCM_STATE means something only while STATE is ACTIVE. Numbers from
include/VirtualMachine.h of release 7.4.0, flows as observed on a real oned.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.opennebula.views import Vm


class Situation(StrEnum):
    """What a state means for whoever wants to do something to the machine."""

    QUEUED = "Queued"  # not placed on a host yet
    HELD = "Held"  # a person holds it back from the scheduler
    RUNNING = "Running"
    POWERED_OFF = "PoweredOff"
    SUSPENDED = "Suspended"
    STOPPED = "Stopped"  # saved to the datastore, off the host
    UNDEPLOYED = "Undeployed"  # shut down, off the host
    BUSY = "Busy"  # an operation is under way; a second one is refused
    ENDING = "Ending"  # being terminated
    FAILED = "Failed"  # an operation failed, and OpenNebula does nothing more by itself
    LOST = "Lost"  # its host does not report
    GONE = "Gone"


TERMINATED = "Terminated"
DENIED = "Denied"  # no state of OpenNebula: it denies the recorded machine

AT_REST = frozenset(
    {
        Situation.RUNNING,
        Situation.POWERED_OFF,
        Situation.SUSPENDED,
        Situation.STOPPED,
        Situation.UNDEPLOYED,
    }
)


@dataclass(frozen=True, slots=True)
class VmState:
    """A state in words.

    Attributes:
        words: CamelCase, for `status.state`.
        situation: what it allows.
        guest_runs: whether the guest runs meanwhile.
    """

    words: str
    situation: Situation
    guest_runs: bool = False

    @property
    def reason(self) -> Reason:
        """Why nothing is done to the machine now; for a state that is not one of rest."""
        return Reason(self.words) if self.words in _REASONS else Reason.UNKNOWN_STATE


_REASONS = frozenset(Reason)
_ACTIVE = 3
PENDING = 1

_STATES = {
    0: VmState("Init", Situation.QUEUED),
    PENDING: VmState("Pending", Situation.QUEUED),
    2: VmState("OnHold", Situation.HELD),
    4: VmState("Stopped", Situation.STOPPED),
    5: VmState("Suspended", Situation.SUSPENDED),
    6: VmState(TERMINATED, Situation.GONE),
    8: VmState("PoweredOff", Situation.POWERED_OFF),
    9: VmState("Undeployed", Situation.UNDEPLOYED),
    10: VmState("CloningDisks", Situation.QUEUED),
    11: VmState("CloningFailure", Situation.FAILED),
}


def _busy(words: str, *, guest_runs: bool = False) -> VmState:
    return VmState(words, Situation.BUSY, guest_runs)


def _failed(words: str) -> VmState:
    return VmState(words, Situation.FAILED)


_LCM_STATES = {
    0: _busy("Starting"),
    1: _busy("PreparingDisks"),
    2: _busy("Booting"),
    3: VmState("Running", Situation.RUNNING, guest_runs=True),
    4: _busy("LiveMigrating", guest_runs=True),
    5: _busy("Stopping"),
    6: _busy("Suspending"),
    7: _busy("Migrating"),
    8: _busy("Migrating"),
    9: _busy("Resuming"),
    10: _busy("Stopping"),
    11: VmState("Terminating", Situation.ENDING),
    12: VmState("Terminating", Situation.ENDING),
    15: _busy("Resubmitting"),
    16: VmState("Unknown", Situation.LOST),
    17: _busy("AttachingDisk", guest_runs=True),
    18: _busy("PoweringOff"),
    19: _busy("Booting"),
    20: _busy("Booting"),
    21: _busy("Resuming"),
    22: _busy("Resuming"),
    23: VmState("Terminating", Situation.ENDING),
    24: _busy("TakingSnapshot", guest_runs=True),
    25: _busy("AttachingNetwork", guest_runs=True),
    26: _busy("SavingDisk", guest_runs=True),
    27: _busy("SavingDisk"),
    28: _busy("SavingDisk"),
    29: _busy("Undeploying"),
    30: _busy("Undeploying"),
    31: _busy("Resuming"),
    32: _busy("Resuming"),
    33: _busy("AttachingDisk"),
    34: _busy("AttachingDisk"),
    35: _busy("Migrating"),
    36: _failed("BootFailure"),
    37: _failed("MigrationBootFailure"),
    38: _failed("MigrationFailure"),
    39: _failed("PreparingDisksFailure"),
    40: _failed("TerminationFailure"),
    41: _failed("StopFailure"),
    42: _failed("UndeployFailure"),
    43: _busy("Migrating"),
    44: _failed("MigrationFailure"),
    45: _busy("Migrating"),
    46: _failed("MigrationFailure"),
    47: _failed("ResumeBootFailure"),
    48: _failed("ResumeBootFailure"),
    49: _failed("ResumeFailure"),
    50: _failed("ResumeFailure"),
    51: _busy("TakingDiskSnapshot"),
    52: _busy("RevertingDiskSnapshot"),
    53: _busy("DeletingDiskSnapshot"),
    54: _busy("TakingDiskSnapshot"),
    55: _busy("RevertingDiskSnapshot"),
    56: _busy("DeletingDiskSnapshot"),
    57: _busy("TakingDiskSnapshot", guest_runs=True),
    59: _busy("DeletingDiskSnapshot", guest_runs=True),
    60: _busy("Migrating"),
    61: _failed("MigrationFailure"),
    62: _busy("ResizingDisk", guest_runs=True),
    63: _busy("ResizingDisk"),
    64: _busy("ResizingDisk"),
    65: _busy("AttachingNetwork"),
    66: _busy("Resizing", guest_runs=True),
    67: _busy("SavingDisk"),
    68: _busy("SavingDisk"),
    69: _busy("BackingUp", guest_runs=True),
    70: _busy("BackingUp"),
    71: _busy("Restoring"),
}


def state_of(vm: Vm) -> VmState:
    """Its state in words. A number that this version does not know is waited for, never acted upon."""
    if vm.state == _ACTIVE:
        return _LCM_STATES.get(vm.lcm_state) or _busy(f"LcmState{vm.lcm_state}")
    return _STATES.get(vm.state) or _busy(f"State{vm.state}")
