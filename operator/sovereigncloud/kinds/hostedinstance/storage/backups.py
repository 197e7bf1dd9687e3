"""Backups of a machine: how they are kept, when they are made, and one now on request.

OpenNebula makes and prunes them. A backup that was asked for is beside what is declared: the machine does its job meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instance_disks import Backup, BackupMode
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.core.plan import Action, Drift, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine import requests as vm_requests
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part, together
from sovereigncloud.kinds.hostedinstance.machine.requests import Asked, Request, State
from sovereigncloud.kinds.hostedinstance.steps import NoteOnVm
from sovereigncloud.kinds.hostedinstance.storage import backup_schedule as vm_backup_schedule
from sovereigncloud.kinds.hostedinstance.storage.backup_schedule import Noted
from sovereigncloud.kinds.hostedinstance.storage.backup_steps import (
    PROBLEM,
    BackUp,
    ConfigureBackups,
    MarkBackup,
    ScheduleBackups,
    UnscheduleBackups,
)
from sovereigncloud.kinds.hostedinstance.storage.request_notes import FIELD, failure, note
from sovereigncloud.kinds.identity.name_resolution import resolve
from sovereigncloud.ports.opennebula.views import Datastore
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

BACKUP_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF})
SHOWS_WITHIN = 30.0
"""Seconds after which a machine that is at rest shows what came of what was called."""
_BACKUP_DATASTORE = 3
_MODES = {BackupMode.FULL: "FULL", BackupMode.INCREMENTAL: "INCREMENT"}
_WORDS = {written: mode for mode, written in _MODES.items()}
_SCHEDULE, _STORE = "spec.backup.schedule", "spec.backup.store"
_REQUEST = FIELD[Request.BACKUP]
_note = partial(note, Request.BACKUP)


def backups(m: Machine) -> Part:
    """Everything that spec.backup says. Absent: what OpenNebula has is left as it is."""
    wanted = m.resource.spec.backup
    if wanted is None:
        return NOTHING
    store = _store(m, wanted)
    if isinstance(store, Outcome):
        return Part(outcome=store)
    return together((_config(m, wanted), _schedule(m, wanted, store.id), _request(m, wanted, store.id), _marks(m)))


def _store(m: Machine, wanted: Backup) -> Datastore | Outcome:
    stores = (store for store in m.view.datastores.values() if store.type == _BACKUP_DATASTORE)
    return resolve("backup datastore", wanted.store, stores, m.observed.on_their_way, where(m.cloud))


# ---------------------------------------------------------------------------------------------------------- how many


def _config(m: Machine, wanted: Backup) -> Part:
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


# -------------------------------------------------------------------------------------------------------------- when


def _schedule(m: Machine, wanted: Backup, store: int) -> Part:
    """One action that OpenNebula does by itself. Its number is noted on the machine, and before that what it is to be: so
    one whose number was lost is found again, and a person's own is never taken for it.
    """
    noted = vm_backup_schedule.read(m.vm.notes.get(vm_backup_schedule.NOTE, ""))
    there = noted.number in m.vm.schedules
    if wanted.schedule is None:
        return _unscheduled(m, noted, there=there)
    try:
        vm_backup_schedule.rhythm(wanted.schedule)
    except vm_backup_schedule.NotForOpenNebula as error:
        return Part(outcome=stalled(Reason.INVALID_SPEC, f"{_SCHEDULE}: {error}"))
    asked = Noted(noted.number if there else -1, store, wanted.schedule)
    if there and noted == asked:
        return NOTHING  # without a look at the time: it is another at each sweep, and each would compare this machine again
    asked = replace(asked, at=int(m.now.timestamp()))
    drift = _schedule_drift(m, wanted, noted, asked, there=there)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    recorded = m.resource.external.get(vm_backup_schedule.RECORD, "")
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


def _schedule_drift(m: Machine, wanted: Backup, noted: Noted, asked: Noted, *, there: bool) -> tuple[Drift, ...]:
    if not there or noted.cron != asked.cron:
        return (Drift(_SCHEDULE, wanted.schedule or "", noted.cron if there else "not scheduled"),)
    known = m.view.datastores.get(noted.datastore)
    return (Drift(_STORE, wanted.store, known.name if known else f"datastore {noted.datastore}"),)


def _unscheduled(m: Machine, noted: Noted, *, there: bool) -> Part:
    """spec.backup says nothing of a schedule any more: ours is taken away, a person's stays."""
    if not there or m.situation not in AT_REST:
        return NOTHING
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


def _note_schedule(m: Machine, noted: Noted, *fields: str) -> NoteOnVm:
    return m.note("note when it is backed up", {vm_backup_schedule.NOTE: noted.text}, *fields)


# ---------------------------------------------------------------------------------------------------------- one now


def _request(m: Machine, wanted: Backup, store: int) -> Part:
    """Once per word: remembered before the call, and done when there is a backup that was not there then."""
    asked = vm_requests.read(m.vm, Request.BACKUP)
    if asked.in_progress and _evidence(m) != asked.before:
        return _noted(m, asked.now(State.DONE), f'VM {m.vm.id} was backed up for request "{asked.token}"')
    if m.situation not in BACKUP_STATES:
        return NOTHING
    if asked.state is State.CALLED:
        if m.now.timestamp() - asked.at < SHOWS_WITHIN:
            return NOTHING  # oned may still show what was before
        return _noted(m, asked.now(State.FAILED), failure(m, asked))
    new = Asked(State.ASKED, wanted.request or "", _evidence(m), vm_requests.error_of(m.vm))
    if asked.state is State.ASKED:
        return Part(steps=(_back_up(m, store), _note(m, asked.now(State.CALLED))))
    if wanted.request is None or wanted.request == asked.token:
        return NOTHING
    return Part(steps=(_note(m, new), _back_up(m, store), _note(m, new.now(State.CALLED))))


def _evidence(m: Machine) -> str:
    """What changes with a backup: its image, or the number of its increment."""
    return f"{max(m.vm.backups.images, default=-1)}:{m.vm.backups.increment}"


def _noted(m: Machine, asked: Asked, says: str) -> Part:
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
    """Backups that OpenNebula made are marked like what we made: they outlive the machine, and then tell whose they are."""
    if m.situation not in AT_REST:
        return NOTHING
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
