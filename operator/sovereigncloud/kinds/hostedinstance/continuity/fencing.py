"""How a machine that must not run is kept from it, whatever it does just now. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of


@dataclass(frozen=True, slots=True)
class Fence:
    """`verb`: of one.vm.action; empty: it has to be waited, and looked at again `after` so many seconds."""

    verb: str
    says: str
    after: float = 5.0


def fencing_of(vm: Vm) -> Fence | None:
    """None: it does not run, and does not begin to by itself."""
    state = state_of(vm)
    match state.situation:
        case Situation.RUNNING:
            # At once: its guest has the address of the one that runs, and was cut off before anyway.
            return Fence("poweroff-hard", "power off")
        case Situation.QUEUED if state.words == "Pending":
            return Fence("hold", "hold it, since OpenNebula was about to start it")
        case Situation.LOST:
            return Fence("", "is on a host that does not report; it is powered off as soon as that does", 15.0)
        case Situation.BUSY | Situation.QUEUED | Situation.ENDING:
            return Fence("", f"is {state.words}")
        case _:
            return None
