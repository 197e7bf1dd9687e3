"""The machine that moves is shut down, so that all that it writes is copied. Pure.

Its guest is asked. One that does not listen is left running: OpenNebula's driver gives up after some time, without a word. Then its power is cut, which is told in the plan and as an event.
"""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation
from sovereigncloud.kinds.instancemigration.steps import Act, Remember, failed
from sovereigncloud.kinds.movement.records import BEGAN, STOPPED
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

PATIENCE = 120
"""Seconds after which a guest that still runs is not asked once more. How long the driver waits for it comes before that."""
_LOOK_AGAIN = 5.0


def powered_off(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan | None:
    """None: it is."""
    if seen.old is None or seen.source is None:
        return None
    state = state_of(seen.old)
    what = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}'
    is_copied = any(one.saved is not None for one in seen.disks)
    match state.situation:
        case Situation.POWERED_OFF:
            return _told_when(move, seen)
        case Situation.RUNNING if is_copied:
            return Plan(steps=(failed(f"{what} was started while it was copied: what is written there would be lost"),))
        case Situation.RUNNING:
            step = _stop(move, seen, what, now)
            return Plan(steps=(step,), outcome=waiting(Reason.POWERING_OFF, step.target))
        case Situation.BUSY if is_copied:
            return None  # a disk is being saved
        case Situation.BUSY | Situation.LOST | Situation.QUEUED:
            return Plan(outcome=waiting(state.reason, f"{what} is {state.words}", after=_LOOK_AGAIN))
        case _:
            return Plan(steps=(failed(f"{what} is {state.words}, which was not to be expected while it moves"),))


def _stop(move: InstanceMigration, seen: MigrationObservation, what: str, now: datetime) -> Step:
    if seen.old is None or seen.source is None:
        raise ValueError("no machine to stop")
    asked = move.external.get(STOPPED)
    listens = asked is None or now.timestamp() - int(asked) < PATIENCE
    how = (
        "power off, so that all that it writes is copied"
        if listens
        else "cut its power, since its guest was asked to shut down and did not"
    )
    return Act(
        action=Action.UPDATE,
        target=f"{what}: {how}",
        disruption=Disruption.RESTART,
        cloud=seen.source.cloud,
        vm=seen.old.id,
        verb="poweroff" if listens else "poweroff-hard",
        reason=Reason.POWERING_OFF if listens else Reason.POWER_CUT,
        stopping=True,
    )


def _told_when(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """Since when it is down, where the answer to that call, or the status, was lost: at the latest since the move began."""
    if STOPPED in move.external or seen.note is None or not seen.note.ran:
        return None
    since = Remember(
        action=Action.UPDATE,
        target="since when the machine is down",
        inside=True,
        facts=((STOPPED, move.external[BEGAN]),),
    )
    return Plan(steps=(since,), outcome=waiting(Reason.MOVING, "the machine is powered off"))
