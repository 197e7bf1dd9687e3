"""Going back to a backup, in place: powered off, restored, started again if it ran.

Once it is begun nothing else is done to the machine until it is over: what spec says of power must not start it in between.
Restoring twice gives the same disks, so where nobody knows whether it was called it is called again.
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
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine import requests as vm_requests
from sovereigncloud.kinds.hostedinstance.machine.machine import NEEDS_POWER, NEEDS_POWER_CYCLE, NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.requests import Asked, Request, State
from sovereigncloud.kinds.hostedinstance.storage.backup_steps import RestoreVm
from sovereigncloud.kinds.hostedinstance.storage.data_disks import find
from sovereigncloud.kinds.hostedinstance.storage.request_notes import FIELD, failure, note
from sovereigncloud.ports.opennebula.views import Image
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_REQUEST = FIELD[Request.RESTORE]
_note = partial(note, Request.RESTORE)
_ALL = -1
_LAST = -1
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Aim:
    """What is restored; -1: the last increment, all disks."""

    image: Image
    increment: int
    disk: int


def restore(m: Machine) -> Part:
    """What spec.restore asks for, and what was begun of an earlier request."""
    asked = vm_requests.read(m.vm, Request.RESTORE)
    if asked.in_progress:
        return _go_on(m, asked)
    wanted = m.resource.spec.restore
    if wanted is None or wanted.request == asked.token or m.situation not in AT_REST:
        return NOTHING
    aim = _aim(m, wanted)
    if isinstance(aim, Outcome):
        return Part(outcome=aim)
    if m.situation is Situation.RUNNING and m.wants(Power.STOPPED):
        return NOTHING  # it is powered off first, for that reason alone
    ran = m.situation is Situation.RUNNING
    new = Asked(State.ASKED, wanted.request, _written(aim), vm_requests.error_of(m.vm), ran)
    needs = "" if m.situation is Situation.POWERED_OFF or (ran and _may_cycle(m)) else NEEDS_POWER_CYCLE
    if not ran and m.situation is not Situation.POWERED_OFF:
        needs = NEEDS_POWER
    steps: tuple[Step, ...] = (
        _note(m, new, needs=needs),
        *((m.act("poweroff", _REQUEST, needs=needs, disruption=Disruption.RESTART),) if ran else ()),
        _restore(m, new, needs=needs),
        _note(m, new.now(State.CALLED), needs=needs),
        *((m.act("resume", _REQUEST, needs=needs),) if ran else ()),
        _note(m, new.now(State.DONE), _says(m, new), needs=needs),
    )
    return Part(steps=steps)


def is_begun(m: Machine) -> bool:
    """Whether nothing else may be done to the machine now."""
    return vm_requests.read(m.vm, Request.RESTORE).in_progress


def _go_on(m: Machine, asked: Asked) -> Part:
    if _read(m, asked) is None:
        # Whoever owns the machine can write on it, and the administrator restores: only its own backups, whatever it says.
        says = f'the note of request "{asked.token}" on VM {m.vm.id} names no backup of it: nothing is restored'
        return Part(steps=(_note(m, asked.now(State.FAILED), says),)) if m.situation in AT_REST else NOTHING
    off = m.situation is Situation.POWERED_OFF
    start = (m.act("resume", _REQUEST),) if asked.ran and not m.wants(Power.STOPPED) else ()
    end = _note(m, asked.now(State.DONE), _says(m, asked))
    if asked.state is State.CALLED:
        if vm_requests.error_of(m.vm) != asked.error and m.situation in AT_REST:
            end = _note(m, asked.now(State.FAILED), failure(m, asked))
        if m.situation is Situation.RUNNING:
            return Part(steps=(end,))
        return Part(steps=(*start, end)) if off else NOTHING
    called = (_restore(m, asked), _note(m, asked.now(State.CALLED)))
    if off:
        return Part(steps=(*called, *start, end))
    if m.situation is Situation.RUNNING:
        needs = "" if asked.ran or _may_cycle(m) else NEEDS_POWER_CYCLE
        stop = m.act("poweroff", _REQUEST, needs=needs, disruption=Disruption.RESTART)
        return Part(steps=(stop, *called, *start, end))
    return NOTHING


def _may_cycle(m: Machine) -> bool:
    policy = m.resource.spec.update_policy
    return policy is not None and policy.power_cycle is Consent.ALLOW


# ------------------------------------------------------------------------------------------------------ from what


def _aim(m: Machine, wanted: Restore) -> _Aim | Outcome:
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
    return _Aim(last, _LAST if wanted.increment is None else wanted.increment, disk)


def _disk(m: Machine, wanted: Restore) -> int | Outcome:
    if wanted.disk is None:
        return _ALL
    disk = m.root if wanted.disk == ROOT else find(m, wanted.disk).disk
    if disk is not None:
        return disk.id
    return stalled(
        Reason.INVALID_SPEC,
        f'spec.restore.disk: {m.target} has no disk "{wanted.disk}"; name root or one of spec.disks',
    )


def _written(aim: _Aim) -> str:
    return f"{aim.image.id}:{aim.increment}:{aim.disk}"


def _read(m: Machine, asked: Asked) -> tuple[int, int, int] | None:
    """Image, increment and disk; None where that is no backup of this machine."""
    try:
        image, increment, disk = (int(part) for part in asked.before.split(":"))
    except ValueError:
        return None
    return (image, increment, disk) if image in m.vm.backups.images else None


def _says(m: Machine, asked: Asked) -> str:
    return f"VM {m.vm.id} was restored from backup image {asked.before.partition(':')[0]}"


def _restore(m: Machine, asked: Asked, *, needs: str = "") -> RestoreVm:
    """As it was asked for, also when spec says something else meanwhile."""
    image, increment, disk = _read(m, asked) or (-1, _LAST, _ALL)
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
