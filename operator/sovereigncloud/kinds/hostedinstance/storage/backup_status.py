"""Whether a machine is backed up as its schedule says: OpenNebula tells nobody that a scheduled backup failed."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage import backup_schedule
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import state_of

BACKED_UP = "BackedUp"


def backed_up(resource: HostedInstance, observed: InstanceObservation, vm: Vm) -> tuple[Mapping[str, str], ...]:
    """The condition BackedUp, while OpenNebula follows a schedule: False where the last backup that was due is not there."""
    backup, view, now = resource.spec.backup, observed.view, observed.now
    if backup is None or backup.schedule is None or view is None or now is None:
        return ()
    noted = backup_schedule.read(vm.notes.get(backup_schedule.NOTE, ""))
    if noted.number not in vm.schedules:
        return ()
    made = (view.images[number].time for number in vm.backups.images if number in view.images)
    since = max(noted.at, *made, 0)
    if not since or not backup_schedule.is_overdue(noted.cron, since, now):
        message = f'OpenNebula backs VM {vm.id} up by the schedule "{noted.cron}"'
        return ({"type": BACKED_UP, "status": "True", "reason": Reason.BACKED_UP, "message": message},)
    message = (
        f'OpenNebula was to back VM {vm.id} up by the schedule "{noted.cron}" and there is no backup of that time: the machine'
        f" is {state_of(vm).words}; see its log on the front-end and the room in datastore {noted.datastore}"
    )
    return ({"type": BACKED_UP, "status": "False", "reason": Reason.BACKUP_OVERDUE, "message": message},)


def kept_backed_up(resource: HostedInstance) -> tuple[Mapping[str, str], ...]:
    """As it was said before: nobody could look."""
    before = resource.status.condition(BACKED_UP)
    if before is None:
        return ()
    return ({"type": BACKED_UP, "status": before.status, "reason": before.reason, "message": before.message},)
