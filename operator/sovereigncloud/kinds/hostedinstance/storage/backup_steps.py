"""What can be done about backups and snapshots of a machine, and how each of it is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.requests import Asked, Request, State
from sovereigncloud.kinds.hostedinstance.machine.step import VmCall, under_way
from sovereigncloud.kinds.hostedinstance.storage import backup_schedule
from sovereigncloud.ports.opennebula.client import OpenNebula

PROBLEM = {Request.BACKUP: "backup.problem", Request.SNAPSHOT: "snapshot.problem"}
"""The key of `status.external` for what went wrong with a request that is done beside what is declared."""
_FAILED = {
    Request.BACKUP: Reason.BACKUP_FAILED,
    Request.SNAPSHOT: Reason.SNAPSHOT_FAILED,
    Request.RESTORE: Reason.RESTORE_FAILED,
}
_DONE = {Request.BACKUP: Reason.BACKED_UP, Request.SNAPSHOT: Reason.SNAPSHOT_TAKEN, Request.RESTORE: Reason.RESTORED}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRequest(VmCall):
    """Remember on the machine how far a request is. `says`: for the event at its end."""

    request: Request
    asked: Asked
    says: str = ""

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        written = replace(self.asked, at=int(context.now.timestamp()))
        await client.update_vm(self.vm, {self.request.value: written.text})
        ended = {State.DONE: _DONE, State.FAILED: _FAILED}.get(self.asked.state)
        outcome = done(ended[self.request], self.says) if ended else done()
        clears = {PROBLEM[self.request]: ""} if self.request in PROBLEM else {}
        return outcome.with_facts(**clears)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureBackups(VmCall):
    keep_last: int | None
    mode: str | None

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.configure_backups(self.vm, keep_last=self.keep_last, mode=self.mode)
        return done(Reason.UPDATED, f"backups of VM {self.vm}: {', '.join(self.fields)} set")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleBackups(VmCall):
    """Have OpenNebula make them. `number` is that of what is scheduled already; -1: nothing is known to be."""

    cron: str
    datastore: int
    number: int = -1

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        wanted = backup_schedule.action(self.cron, self.datastore, context.now, self.number)
        if self.number >= 0:
            await client.storage.reschedule(self.vm, wanted)
            return done(Reason.BACKUPS_SCHEDULED, f'backups of VM {self.vm} are scheduled anew: "{self.cron}"')
        # What was asked for before, and whose answer was lost, is there already.
        known = await client.storage.scheduled(self.vm)
        number = next((one.id for one in known if backup_schedule.same(one, wanted)), -1)
        if number < 0:
            number = await client.storage.schedule(self.vm, wanted)
        outcome = done(Reason.BACKUPS_SCHEDULED, f'backups of VM {self.vm} are scheduled: "{self.cron}"')
        return outcome.with_facts(**{backup_schedule.RECORD: str(number)})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnscheduleBackups(VmCall):
    number: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.unschedule(self.vm, self.number)
        message = f"no backups of VM {self.vm} are scheduled any more"
        return done(Reason.BACKUPS_UNSCHEDULED, message).with_facts(**{backup_schedule.RECORD: ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUp(VmCall):
    datastore: int
    by_administrator: ClassVar[bool] = True

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.back_up(self.vm, self.datastore)
        return done(Reason.BACKING_UP, f"backing up VM {self.vm}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkBackup(VmCall):
    """So that it is known whose it is when the machine is gone."""

    image: int
    by_administrator: ClassVar[bool] = True

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        await client.update_image(self.image, context.mark(resource).for_opennebula())
        return done()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSnapshot(VmCall):
    name: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.take_snapshot(self.vm, self.name)
        return under_way(Reason.TAKING_SNAPSHOT, f'taking snapshot "{self.name}" of VM {self.vm}', alive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSnapshot(VmCall):
    snapshot: int
    name: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.delete_snapshot(self.vm, self.snapshot)
        return under_way(Reason.DELETING_SNAPSHOT, f'deleting snapshot "{self.name}" of VM {self.vm}', alive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreVm(VmCall):
    image: int
    increment: int
    disk: int
    by_administrator: ClassVar[bool] = True

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.restore(self.vm, self.image, self.increment, self.disk)
        return done(Reason.RESTORING, f"restoring VM {self.vm} from backup image {self.image}")
