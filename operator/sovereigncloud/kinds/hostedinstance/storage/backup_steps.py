"""Steps on backups, snapshots and restores of a VM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.requests import Request, RequestRecord, RequestState
from sovereigncloud.kinds.hostedinstance.machine.step import VmCall, under_way
from sovereigncloud.kinds.hostedinstance.storage import backup_schedule
from sovereigncloud.ports.opennebula.client import OpenNebula

PROBLEM = {Request.BACKUP: "backup.problem", Request.SNAPSHOT: "snapshot.problem"}
"""Key in `status.external` for the error of a request that does not affect readiness."""
_FAILED = {
    Request.BACKUP: Reason.BACKUP_FAILED,
    Request.SNAPSHOT: Reason.SNAPSHOT_FAILED,
    Request.RESTORE: Reason.RESTORE_FAILED,
}
_DONE = {Request.BACKUP: Reason.BACKED_UP, Request.SNAPSHOT: Reason.SNAPSHOT_TAKEN, Request.RESTORE: Reason.RESTORED}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRequest(VmCall):
    """Write the progress of a request to the VM. `says`: message of the event at its end."""

    request: Request
    asked: RequestRecord
    says: str = ""

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        written = replace(self.asked, at=int(context.now.timestamp()))
        await client.update_vm(self.vm, {self.request.value: written.text})
        ended = {RequestState.DONE: _DONE, RequestState.FAILED: _FAILED}.get(self.asked.state)
        outcome = done(ended[self.request], self.says) if ended else done()
        clears = {PROBLEM[self.request]: ""} if self.request in PROBLEM else {}
        return outcome.with_facts(**clears)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureBackups(VmCall):
    """Set how many backups are kept, and the backup mode."""

    keep_last: int | None
    mode: str | None

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.configure_backups(self.vm, keep_last=self.keep_last, mode=self.mode)
        return done(Reason.UPDATED, f"backups of VM {self.vm}: {', '.join(self.fields)} set")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleBackups(VmCall):
    """Create or update the scheduled backup action.

    `number`: id of the existing action; -1 if unknown.
    """

    cron: str
    datastore: int
    number: int = -1

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        wanted = backup_schedule.backup_action(self.cron, self.datastore, context.now, self.number)
        if self.number >= 0:
            await client.storage.reschedule(self.vm, wanted)
            return done(Reason.BACKUPS_SCHEDULED, f'backup schedule of VM {self.vm} changed to "{self.cron}"')
        # The answer of an earlier call may have been lost: then the action exists already.
        known = await client.storage.scheduled(self.vm)
        number = next((one.id for one in known if backup_schedule.is_same_recurrence(one, wanted)), -1)
        if number < 0:
            number = await client.storage.schedule(self.vm, wanted)
        outcome = done(Reason.BACKUPS_SCHEDULED, f'backups of VM {self.vm} are scheduled: "{self.cron}"')
        return outcome.with_facts(**{backup_schedule.SCHEDULE_FACT: str(number)})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnscheduleBackups(VmCall):
    """Delete the scheduled backup action."""

    number: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.unschedule(self.vm, self.number)
        message = f"backup schedule of VM {self.vm} removed"
        return done(Reason.BACKUPS_UNSCHEDULED, message).with_facts(**{backup_schedule.SCHEDULE_FACT: ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUp(VmCall):
    """Start a backup of the VM now."""

    datastore: int
    by_administrator: ClassVar[bool] = True

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.back_up(self.vm, self.datastore)
        return done(Reason.BACKING_UP, f"backing up VM {self.vm}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkBackup(VmCall):
    """Write the mark of the instance on a backup image.

    So its instance is known after the VM is deleted.
    """

    image: int
    by_administrator: ClassVar[bool] = True

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        await client.update_image(self.image, context.mark(resource).for_opennebula())
        return done()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSnapshot(VmCall):
    """Take a snapshot of a running VM."""

    name: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.take_snapshot(self.vm, self.name)
        return under_way(Reason.TAKING_SNAPSHOT, f'taking snapshot "{self.name}" of VM {self.vm}', alive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSnapshot(VmCall):
    """Delete a snapshot of a running VM."""

    snapshot: int
    name: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.delete_snapshot(self.vm, self.snapshot)
        return under_way(Reason.DELETING_SNAPSHOT, f'deleting snapshot "{self.name}" of VM {self.vm}', alive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreVm(VmCall):
    """Restore disks of a powered-off VM in place from a backup image."""

    image: int
    increment: int
    disk: int
    by_administrator: ClassVar[bool] = True

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.restore(self.vm, self.image, self.increment, self.disk)
        return done(Reason.RESTORING, f"restoring VM {self.vm} from backup image {self.image}")
