"""Plan part for spec.backup: configuration, schedule, requested backup, marks on images.

OpenNebula makes and prunes the backups. A requested backup does not affect readiness of the instance.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instance_disks import Backup, BackupMode
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.core.plan import Action, Drift, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import NoteOnVm
from sovereigncloud.kinds.hostedinstance.machine.machine import EMPTY_PART, Machine, Part, merge_parts
from sovereigncloud.kinds.hostedinstance.machine.requests import (
    Request,
    RequestRecord,
    RequestState,
    error_digest,
    read_request,
)
from sovereigncloud.kinds.hostedinstance.storage import backup_schedule
from sovereigncloud.kinds.hostedinstance.storage.backup_schedule import ScheduleRecord
from sovereigncloud.kinds.hostedinstance.storage.backup_steps import (
    PROBLEM,
    BackUp,
    ConfigureBackups,
    MarkBackup,
    ScheduleBackups,
    UnscheduleBackups,
)
from sovereigncloud.kinds.hostedinstance.storage.request_notes import FIELD, failure_message, record_request
from sovereigncloud.kinds.identity.name_resolution import resolve
from sovereigncloud.ports.opennebula.views import Datastore
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

BACKUP_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF})
SHOWS_WITHIN = 30.0
"""Seconds after a call until an idle VM shows the result."""
_BACKUP_DATASTORE = 3
_MODES = {BackupMode.FULL: "FULL", BackupMode.INCREMENTAL: "INCREMENT"}
_WORDS = {written: mode for mode, written in _MODES.items()}
_SCHEDULE, _STORE = "spec.backup.schedule", "spec.backup.store"
_REQUEST = FIELD[Request.BACKUP]
_note = partial(record_request, Request.BACKUP)


def backups(m: Machine) -> Part:
    """Plan everything in spec.backup; without it, backups in OpenNebula are left unchanged."""
    wanted = m.resource.spec.backup
    if wanted is None:
        return EMPTY_PART
    store = _store(m, wanted)
    if isinstance(store, Outcome):
        return Part(outcome=store)
    return merge_parts(
        (_configuration(m, wanted), _schedule(m, wanted, store.id), _request(m, wanted, store.id), _marks(m))
    )


def _store(m: Machine, wanted: Backup) -> Datastore | Outcome:
    stores = (store for store in m.view.datastores.values() if store.type == _BACKUP_DATASTORE)
    return resolve("backup datastore", wanted.store, stores, m.observed.pending_resources, where(m.cloud))


# ---------------------------------------------------------------------------------------------------------- configuration


def _configuration(m: Machine, wanted: Backup) -> Part:
    """Plan the number of kept backups and the mode."""
    found = m.vm.backups
    drift: list[Drift] = []
    if wanted.keep_last is not None and found.keep_last != wanted.keep_last:
        drift.append(Drift("spec.backup.keepLast", str(wanted.keep_last), str(found.keep_last or "all")))
    if wanted.mode is not None and found.mode != _MODES[wanted.mode]:
        drift.append(Drift("spec.backup.mode", wanted.mode, _WORDS.get(found.mode, found.mode or "nothing said")))
    if not drift or m.situation not in AT_REST:
        return Part(drift=tuple(drift))
    step = ConfigureBackups(
        action=Action.UPDATE,
        target=f"backups of {m.target}",
        fields=tuple(entry.path for entry in drift),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        keep_last=wanted.keep_last,
        mode=_MODES[wanted.mode] if wanted.mode is not None else None,
    )
    return Part(drift=tuple(drift), steps=(step,))


# -------------------------------------------------------------------------------------------------------------- schedule


def _schedule(m: Machine, wanted: Backup, store: int) -> Part:
    """Plan the scheduled backup action.

    The schedule is recorded on the VM before the action is created, and its id afterwards. So an action whose id was lost is
    found again, and an action that a person created is never changed.
    """
    noted = backup_schedule.read_schedule(m.vm.notes.get(backup_schedule.SCHEDULE_NOTE, ""))
    there = noted.number in m.vm.schedules
    if wanted.schedule is None:
        return _unscheduled(m, noted, there=there)
    try:
        backup_schedule.parse_recurrence(wanted.schedule)
    except backup_schedule.UnsupportedSchedule as error:
        return Part(outcome=stalled(Reason.INVALID_SPEC, f"{_SCHEDULE}: {error}"))
    asked = ScheduleRecord(noted.number if there else -1, store, wanted.schedule)
    if there and noted == asked:
        # Return before m.now is read: a time-dependent result would be compared again in each sweep.
        return EMPTY_PART
    asked = replace(asked, at=int(m.now.timestamp()))
    drift = _schedule_drift(m, wanted, noted, asked, there=there)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    recorded = m.resource.external.get(backup_schedule.SCHEDULE_FACT, "")
    if not there and noted == asked and recorded.isdigit() and int(recorded) in m.vm.schedules:
        return Part(steps=(_note_schedule(m, replace(asked, number=int(recorded))),))
    fields = tuple(entry.path for entry in drift) or (_SCHEDULE,)
    schedule = ScheduleBackups(
        action=Action.UPDATE if there else Action.SCHEDULE,
        target=f"schedule of backups of {m.target}",
        fields=fields,
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        cron=wanted.schedule,
        datastore=store,
        number=asked.number,
    )
    if there:
        return Part(drift=drift, steps=(schedule, _note_schedule(m, asked, *fields)))
    before = () if noted == asked else (_note_schedule(m, asked, *fields),)
    return Part(drift=drift, steps=(*before, schedule))


def _schedule_drift(
    m: Machine, wanted: Backup, noted: ScheduleRecord, asked: ScheduleRecord, *, there: bool
) -> tuple[Drift, ...]:
    if not there or noted.cron != asked.cron:
        return (Drift(_SCHEDULE, wanted.schedule or "", noted.cron if there else "not scheduled"),)
    known = m.view.datastores.get(noted.datastore)
    return (Drift(_STORE, wanted.store, known.name if known else f"datastore {noted.datastore}"),)


def _unscheduled(m: Machine, noted: ScheduleRecord, *, there: bool) -> Part:
    """Plan the deletion of our scheduled action after its removal from spec; others stay."""
    if not there or m.situation not in AT_REST:
        return EMPTY_PART
    drift = Drift(_SCHEDULE, "absent", noted.cron)
    step = UnscheduleBackups(
        action=Action.UPDATE,
        target=f"schedule of backups of {m.target}",
        fields=(_SCHEDULE,),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        number=noted.number,
    )
    return Part(drift=(drift,), steps=(step,))


def _note_schedule(m: Machine, noted: ScheduleRecord, *fields: str) -> NoteOnVm:
    return m.note("note when it is backed up", {backup_schedule.SCHEDULE_NOTE: noted.text}, *fields)


# ---------------------------------------------------------------------------------------------------------- request


def _request(m: Machine, wanted: Backup, store: int) -> Part:
    """Plan one backup per value of spec.backup.request.

    The request is recorded before the call, and done when a backup exists that did not exist before.
    """
    asked = read_request(m.vm, Request.BACKUP)
    if asked.in_progress and _evidence(m) != asked.before:
        return _finished(m, asked.now(RequestState.DONE), f'VM {m.vm.id} was backed up for request "{asked.token}"')
    if m.situation not in BACKUP_STATES:
        return EMPTY_PART
    if asked.state is RequestState.CALLED:
        if m.now.timestamp() - asked.at < SHOWS_WITHIN:
            return EMPTY_PART  # oned may still show the state before the call
        return _finished(m, asked.now(RequestState.FAILED), failure_message(Request.BACKUP, m, asked))
    new = RequestRecord(RequestState.ASKED, wanted.request or "", _evidence(m), error_digest(m.vm))
    if asked.state is RequestState.ASKED:
        return Part(steps=(_back_up(m, store), _note(m, asked.now(RequestState.CALLED))))
    if wanted.request is None or wanted.request == asked.token:
        return EMPTY_PART
    return Part(steps=(_note(m, new), _back_up(m, store), _note(m, new.now(RequestState.CALLED))))


def _evidence(m: Machine) -> str:
    """Return a value that changes with each backup: latest image id and increment."""
    return f"{max(m.vm.backups.images, default=-1)}:{m.vm.backups.increment}"


def _finished(m: Machine, asked: RequestRecord, says: str) -> Part:
    return Part(steps=(_note(m, asked, says),))


def _back_up(m: Machine, store: int) -> BackUp:
    return BackUp(
        action=Action.BACK_UP,
        target=f"{m.target} to datastore {store}",
        fields=(_REQUEST,),
        beside=PROBLEM[Request.BACKUP],
        cloud=m.cloud,
        vm=m.vm.id,
        datastore=store,
    )


def _marks(m: Machine) -> Part:
    """Plan marks on backup images made by OpenNebula.

    So their instance is known after the VM is deleted.
    """
    if m.situation not in AT_REST:
        return EMPTY_PART
    images = (m.view.images[number] for number in m.vm.backups.images if number in m.view.images)
    steps: tuple[Step, ...] = tuple(
        MarkBackup(
            action=Action.MARK,
            target=f'backup {image.id} "{image.name}" of {m.target}',
            fields=("spec.backup",),
            cloud=m.cloud,
            vm=m.vm.id,
            image=image.id,
        )
        for image in images
        if image.mark is None and image.owner == m.vm.owner
    )
    return Part(steps=steps)
