"""Plan the shutdown of the source VM before its disks are copied. Pure.

A guest gets a graceful shutdown request (ACPI). If it ignores the request, OpenNebula's driver gives up after a while
without an error. Then the VM is powered off hard, which the plan and an event report.
"""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation
from sovereigncloud.kinds.instancemigration.steps import RecordFacts, VmAction, fail_migration
from sovereigncloud.kinds.movement.records import BEGAN, STOPPED
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

PATIENCE = 120
"""Seconds after which a guest that still runs is powered off hard.

The timeout of OpenNebula's driver comes before that.
"""
_LOOK_AGAIN = 5.0


def shut_down_source(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan | None:
    """Plan the shutdown of the source VM; None if it is off or a disk is being saved."""
    if seen.old is None or seen.source is None:
        return None
    state = state_of(seen.old)
    what = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}'
    is_copied = any(one.saved is not None for one in seen.disks)
    match state.situation:
        case Situation.POWERED_OFF:
            return _record_shutdown_time(move, seen)
        case Situation.RUNNING if is_copied:
            return Plan(
                steps=(
                    fail_migration(f"{what} was started while its disks were copied; data written since would be lost"),
                )
            )
        case Situation.RUNNING:
            step = _stop(move, seen, what, now)
            return Plan(steps=(step,), outcome=waiting(Reason.POWERING_OFF, step.target))
        case Situation.BUSY if is_copied:
            return None  # a disk is being saved
        case Situation.BUSY | Situation.LOST | Situation.QUEUED:
            return Plan(outcome=waiting(state.reason, f"{what} is {state.words}", after=_LOOK_AGAIN))
        case _:
            return Plan(steps=(fail_migration(f"{what} is {state.words}, which is unexpected during a migration"),))


def _stop(move: InstanceMigration, seen: MigrationObservation, what: str, now: datetime) -> Step:
    if seen.old is None or seen.source is None:
        raise ValueError("no machine to stop")
    asked = move.external.get(STOPPED)
    listens = asked is None or now.timestamp() - int(asked) < PATIENCE
    how = (
        "power off, so that all its data is copied"
        if listens
        else "power off hard, because its guest ignored the shutdown request"
    )
    return VmAction(
        action=Action.UPDATE,
        target=f"{what}: {how}",
        disruption=Disruption.RESTART,
        cloud=seen.source.cloud,
        vm=seen.old.id,
        verb="poweroff" if listens else "poweroff-hard",
        reason=Reason.POWERING_OFF if listens else Reason.POWER_CUT,
        stopping=True,
    )


def _record_shutdown_time(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """Record a missing shutdown time as the begin of the migration.

    The time is missing when the response to the shutdown call, or the status, was lost.
    """
    if STOPPED in move.external or seen.note is None or not seen.note.ran:
        return None
    since = RecordFacts(
        action=Action.UPDATE,
        target="since when the source VM is down",
        inside=True,
        facts=((STOPPED, move.external[BEGAN]),),
    )
    return Plan(steps=(since,), outcome=waiting(Reason.MOVING, "the source VM is powered off"))
