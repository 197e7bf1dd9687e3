"""A scheduler of OpenNebula that does not say a word: it can block while the API answers (observed)."""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, waiting
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import PENDING

_PATIENCE = 300
"""Seconds. A scheduler at work has said after ten why it does not place a machine."""
_ENOUGH = 3
_WHAT_TO_DO = "look whether it runs (oned.log, sched.log) and restart it"


def not_a_word(vm: Vm, what: str, now: datetime) -> Outcome | None:
    """What is said of a machine that waits for its first host and about which the scheduler is silent."""
    if not _unheard(vm, now):
        return None
    return waiting(
        Reason.NOT_SCHEDULED,
        f"{what} is Pending for more than {_PATIENCE // 60} minutes, and OpenNebula's scheduler has not said a word about it:"
        f" {_WHAT_TO_DO}",
    )


def not_now(observed: InstanceObservation, now: datetime) -> Outcome | None:
    """Why no machine more is made: what blocked a scheduler was a crowd that waited for it."""
    if observed.view is None or observed.cloud is None:
        return None
    unheard = [vm for vm in observed.view.vms.values() if _unheard(vm, now)]
    if len(unheard) < _ENOUGH:
        return None
    return waiting(
        Reason.NOT_SCHEDULED,
        f"not made yet: OpenNebula's scheduler in {where(observed.cloud)} has not said a word about {_ENOUGH} machines or more"
        f" that are Pending for over {_PATIENCE // 60} minutes: {_WHAT_TO_DO}",
    )


def _unheard(vm: Vm, now: datetime) -> bool:
    return vm.state == PENDING and not vm.scheduler_message and 0 < vm.since < now.timestamp() - _PATIENCE
