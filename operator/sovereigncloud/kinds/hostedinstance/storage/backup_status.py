"""Condition BackedUp: whether scheduled backups happen.

OpenNebula itself does not report that a scheduled backup failed.
"""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage import backup_schedule
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import state_of

BACKED_UP = "BackedUp"


def backed_up(resource: HostedInstance, observed: InstanceObservation, vm: Vm) -> tuple[Mapping[str, str], ...]:
    """Return the condition BackedUp of a scheduled VM: False if the last due one is missing."""
    backup, view, now = resource.spec.backup, observed.view, observed.now
    if backup is None or backup.schedule is None or view is None or now is None:
        return ()
    noted = backup_schedule.read_schedule(vm.notes.get(backup_schedule.SCHEDULE_NOTE, ""))
    if noted.number not in vm.schedules:
        return ()
    made = (view.images[number].time for number in vm.backups.images if number in view.images)
    since = max(noted.at, *made, 0)
    if not since or not backup_schedule.is_overdue(noted.cron, since, now):
        message = f'OpenNebula backs VM {vm.id} up by the schedule "{noted.cron}"'
        return ({"type": BACKED_UP, "status": "True", "reason": Reason.BACKED_UP, "message": message},)
    message = (
        f'the last backup of VM {vm.id} that was due by the schedule "{noted.cron}" is missing: the VM is'
        f" {state_of(vm).words}; see its log (onevm log {vm.id}) and the free space of datastore {noted.datastore}"
    )
    return ({"type": BACKED_UP, "status": "False", "reason": Reason.BACKUP_OVERDUE, "message": message},)


def previous_backed_up(resource: HostedInstance) -> tuple[Mapping[str, str], ...]:
    """Return the condition BackedUp unchanged, when the cloud could not be observed."""
    before = resource.status.condition(BACKED_UP)
    if before is None:
        return ()
    return ({"type": BACKED_UP, "status": before.status, "reason": before.reason, "message": before.message},)
