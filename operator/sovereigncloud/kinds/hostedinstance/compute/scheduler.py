"""Detection of a blocked OpenNebula scheduler.

VMs then stay Pending without a message while the API answers (observed).
"""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, waiting
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import PENDING

_PENDING_SECONDS = 300
"""Seconds in Pending without a message. A working scheduler writes one within ten seconds."""
_BLOCKED_VMS = 3
_WHAT_TO_DO = "check that it runs (oned.log, sched.log) and restart it"


def check_scheduled(vm: Vm, what: str, now: datetime) -> Outcome | None:
    """Return a waiting outcome for a Pending VM without a message of the scheduler."""
    if not _is_ignored(vm, now):
        return None
    return waiting(
        Reason.NOT_SCHEDULED,
        f"{what} has been Pending for more than {_PENDING_SECONDS // 60} minutes without a message from OpenNebula's scheduler,"
        f" which may be blocked: {_WHAT_TO_DO}",
    )


def check_scheduler(observed: InstanceObservation, now: datetime) -> Outcome | None:
    """Return why no more VMs are created while the scheduler is blocked.

    A large number of Pending VMs is what blocks it.
    """
    if observed.view is None or observed.cloud is None:
        return None
    ignored = [vm for vm in observed.view.vms.values() if _is_ignored(vm, now)]
    if len(ignored) < _BLOCKED_VMS:
        return None
    return waiting(
        Reason.NOT_SCHEDULED,
        f"not created yet: OpenNebula's scheduler in {where(observed.cloud)} may be blocked, since at least {_BLOCKED_VMS} VMs"
        f" have been Pending for more than {_PENDING_SECONDS // 60} minutes without a message from it: {_WHAT_TO_DO}",
    )


def _is_ignored(vm: Vm, now: datetime) -> bool:
    return vm.state == PENDING and not vm.scheduler_message and 0 < vm.since < now.timestamp() - _PENDING_SECONDS
