"""Plan part for spec.restore: restore a VM in place from a backup.

The VM is powered off, restored, and started again if it ran. Until the restore ends no other part changes the VM, so that
spec.power cannot start it meanwhile. A restore is idempotent: if it is unknown whether it was called, it is called again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sovereigncloud.api.common.base import Consent
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import Power
from sovereigncloud.api.instance_disks import ROOT, Restore
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.core.plan import Action, Disruption, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.machine import (
    EMPTY_PART,
    NEEDS_POWER,
    NEEDS_POWER_CYCLE,
    Machine,
    Part,
)
from sovereigncloud.kinds.hostedinstance.machine.requests import (
    Request,
    RequestRecord,
    RequestState,
    error_digest,
    read_request,
)
from sovereigncloud.kinds.hostedinstance.storage.backup_steps import RestoreVm
from sovereigncloud.kinds.hostedinstance.storage.data_disks import find_data_disk
from sovereigncloud.kinds.hostedinstance.storage.request_notes import FIELD, failure_message, record_request
from sovereigncloud.ports.opennebula.views import Image
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_REQUEST = FIELD[Request.RESTORE]
_note = partial(record_request, Request.RESTORE)
_ALL = -1
_LAST = -1
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _RestoreSource:
    """Source of a restore: backup image, increment (-1: last) and disk id (-1: all)."""

    image: Image
    increment: int
    disk: int


def restore(m: Machine) -> Part:
    """Plan the restore requested by spec.restore, or continue an earlier one."""
    asked = read_request(m.vm, Request.RESTORE)
    if asked.in_progress:
        return _continue(m, asked)
    wanted = m.resource.spec.restore
    if wanted is None or wanted.request == asked.token or m.situation not in AT_REST:
        return EMPTY_PART
    aim = _restore_source(m, wanted)
    if isinstance(aim, Outcome):
        return Part(outcome=aim)
    if m.situation is Situation.RUNNING and m.wants(Power.STOPPED):
        return EMPTY_PART  # the power part powers it off first
    ran = m.situation is Situation.RUNNING
    new = RequestRecord(RequestState.ASKED, wanted.request, _format_source(aim), error_digest(m.vm), ran)
    needs = "" if m.situation is Situation.POWERED_OFF or (ran and _power_cycle_allowed(m)) else NEEDS_POWER_CYCLE
    if not ran and m.situation is not Situation.POWERED_OFF:
        needs = NEEDS_POWER
    steps: tuple[Step, ...] = (
        _note(m, new, needs=needs),
        *((m.act("poweroff", _REQUEST, needs=needs, disruption=Disruption.RESTART),) if ran else ()),
        _restore(m, new, needs=needs),
        _note(m, new.now(RequestState.CALLED), needs=needs),
        *((m.act("resume", _REQUEST, needs=needs),) if ran else ()),
        _note(m, new.now(RequestState.DONE), _success_message(m, new), needs=needs),
    )
    return Part(steps=steps)


def is_begun(m: Machine) -> bool:
    """Return whether a restore is in progress, so that no other part may change the VM."""
    return read_request(m.vm, Request.RESTORE).in_progress


def _continue(m: Machine, asked: RequestRecord) -> Part:
    if _parse_source(m, asked) is None:
        # The owner of the VM can write its attributes, and the restore runs as administrator: accept only its own backups.
        says = (
            f'the record of request "{asked.token}" on VM {m.vm.id} names no backup of this VM, so nothing was restored; set'
            f" {_REQUEST} to a new value"
        )
        return Part(steps=(_note(m, asked.now(RequestState.FAILED), says),)) if m.situation in AT_REST else EMPTY_PART
    off = m.situation is Situation.POWERED_OFF
    start = (m.act("resume", _REQUEST),) if asked.ran and not m.wants(Power.STOPPED) else ()
    end = _note(m, asked.now(RequestState.DONE), _success_message(m, asked))
    if asked.state is RequestState.CALLED:
        if error_digest(m.vm) != asked.error and m.situation in AT_REST:
            end = _note(m, asked.now(RequestState.FAILED), failure_message(Request.RESTORE, m, asked))
        if m.situation is Situation.RUNNING:
            return Part(steps=(end,))
        return Part(steps=(*start, end)) if off else EMPTY_PART
    called = (_restore(m, asked), _note(m, asked.now(RequestState.CALLED)))
    if off:
        return Part(steps=(*called, *start, end))
    if m.situation is Situation.RUNNING:
        needs = "" if asked.ran or _power_cycle_allowed(m) else NEEDS_POWER_CYCLE
        stop = m.act("poweroff", _REQUEST, needs=needs, disruption=Disruption.RESTART)
        return Part(steps=(stop, *called, *start, end))
    return EMPTY_PART


def _power_cycle_allowed(m: Machine) -> bool:
    policy = m.resource.spec.update_policy
    return policy is not None and policy.power_cycle is Consent.ALLOW


# ------------------------------------------------------------------------------------------------------ source


def _restore_source(m: Machine, wanted: Restore) -> _RestoreSource | Outcome:
    disk = _disk(m, wanted)
    if isinstance(disk, Outcome):
        return disk
    known = [m.view.images[number] for number in m.vm.backups.images if number in m.view.images]
    chosen = [image for image in known if wanted.backup in {None, image.name}]
    if not chosen:
        names = ", ".join(f'"{image.name}"' for image in known[-_SHOWN:]) or "none"
        which = f'called "{wanted.backup}"' if wanted.backup else "at all"
        return stalled(
            Reason.BACKUP_NOT_FOUND,
            f"{m.target} in {where(m.cloud)} has no backup {which}; there are: {names}. Set spec.restore.backup, or make one"
            " with spec.backup.request",
        )
    last = max(chosen, key=lambda image: (image.time, image.id))
    return _RestoreSource(last, _LAST if wanted.increment is None else wanted.increment, disk)


def _disk(m: Machine, wanted: Restore) -> int | Outcome:
    if wanted.disk is None:
        return _ALL
    disk = m.root if wanted.disk == ROOT else find_data_disk(m, wanted.disk).disk
    if disk is not None:
        return disk.id
    return stalled(
        Reason.INVALID_SPEC,
        f'spec.restore.disk: {m.target} has no disk "{wanted.disk}"; name root or one of spec.disks',
    )


def _format_source(aim: _RestoreSource) -> str:
    return f"{aim.image.id}:{aim.increment}:{aim.disk}"


def _parse_source(m: Machine, asked: RequestRecord) -> tuple[int, int, int] | None:
    """Parse image, increment and disk of a recorded restore; None if no backup of this VM."""
    try:
        image, increment, disk = (int(part) for part in asked.before.split(":"))
    except ValueError:
        return None
    return (image, increment, disk) if image in m.vm.backups.images else None


def _success_message(m: Machine, asked: RequestRecord) -> str:
    return f"VM {m.vm.id} was restored from backup image {asked.before.partition(':')[0]}"


def _restore(m: Machine, asked: RequestRecord, *, needs: str = "") -> RestoreVm:
    """Build the restore step from the recorded request, regardless of later changes of spec."""
    image, increment, disk = _parse_source(m, asked) or (-1, _LAST, _ALL)
    return RestoreVm(
        action=Action.RESTORE,
        target=f"{m.target} from backup image {image}",
        fields=(_REQUEST,),
        disruption=Disruption.DATA_LOSS,
        needs=needs,
        cloud=m.cloud,
        vm=m.vm.id,
        image=image,
        increment=increment,
        disk=disk,
    )
