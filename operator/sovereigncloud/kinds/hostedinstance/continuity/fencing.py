"""Fencing of a superseded VM: how to stop it from any state. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of


@dataclass(frozen=True, slots=True)
class Fence:
    """Next fencing action. `verb`: of one.vm.action; empty: wait and check again `after` seconds."""

    verb: str
    says: str
    after: float = 5.0


def fencing_of(vm: Vm) -> Fence | None:
    """Fencing action for a VM; None if it is stopped and stays stopped."""
    state = state_of(vm)
    match state.situation:
        case Situation.RUNNING:
            # Hard: its guest has the addresses of the active VM, and was cut off before anyway.
            return Fence("poweroff-hard", "power off")
        case Situation.QUEUED if state.words == "Pending":
            return Fence("hold", "hold it, since OpenNebula was about to start it")
        case Situation.LOST:
            return Fence("", "is on a host that does not report; it is powered off as soon as that does", 15.0)
        case Situation.BUSY | Situation.QUEUED | Situation.ENDING:
            return Fence("", f"is {state.words}")
        case _:
            return None
