"""Snapshots of a machine on request. OpenNebula takes and deletes them only while it runs."""

from __future__ import annotations

from functools import partial

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.core.plan import Action, Step
from sovereigncloud.kinds.hostedinstance.machine import requests as vm_requests
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.requests import Asked, Request, State
from sovereigncloud.kinds.hostedinstance.storage.backup_steps import PROBLEM, DeleteSnapshot, TakeSnapshot
from sovereigncloud.kinds.hostedinstance.storage.request_notes import FIELD, note
from sovereigncloud.ports.opennebula.storage import VmSnapshot
from sovereigncloud.ports.opennebula.vm_states import Situation

_OURS = "sovereigncloud-"
_KEEP = "spec.snapshot.keepLast"
_REQUEST = FIELD[Request.SNAPSHOT]
_note = partial(note, Request.SNAPSHOT)
_INCREMENTAL = "INCREMENT"


def snapshots(m: Machine) -> Part:
    """One per word, and no more of them than are to be kept. A snapshot that was asked for is beside what is declared."""
    wanted = m.resource.spec.snapshot
    if wanted is None:
        return NOTHING
    asked = vm_requests.read(m.vm, Request.SNAPSHOT)
    taken = {one.name: one for one in m.vm.snapshots if not one.busy}
    if asked.state is State.ASKED and _name(asked.token) in taken:
        says = f'snapshot "{_name(asked.token)}" of VM {m.vm.id} was taken'
        return Part(steps=(_note(m, asked.now(State.DONE), says),))
    if wanted.request != asked.token and (impossible := _impossible(m)) is not None:
        return Part(outcome=impossible)
    if m.situation is not Situation.RUNNING:
        return NOTHING
    if asked.state is State.ASKED:
        return Part(steps=(_take(m, asked.token),))
    if wanted.request != asked.token:
        new = Asked(State.ASKED, wanted.request)
        return Part(steps=(_note(m, new), _take(m, wanted.request)))
    return Part(steps=_too_many(m, wanted.keep_last))


def is_ours(snapshot: VmSnapshot) -> bool:
    """Whether it was asked for in spec; every other one is a person's."""
    return snapshot.name.startswith(_OURS)


def _name(token: str) -> str:
    return f"{_OURS}{token}"


def _impossible(m: Machine) -> Outcome | None:
    if m.vm.backups.mode != _INCREMENTAL:
        return None
    return stalled(
        Reason.SNAPSHOT_NOT_POSSIBLE,
        f"{m.target} is backed up incrementally, and OpenNebula takes no snapshots of such a machine: set spec.backup.mode:"
        " Full, or take spec.snapshot out",
    )


def _too_many(m: Machine, keep: int | None) -> tuple[Step, ...]:
    if keep is None:
        return ()
    ours = sorted((one for one in m.vm.snapshots if is_ours(one)), key=lambda one: one.id)
    return tuple(
        DeleteSnapshot(
            action=Action.SNAPSHOT,
            target=f'snapshot {one.id} "{one.name}" of {m.target}: older than the last {keep}',
            fields=(_KEEP,),
            beside=PROBLEM[Request.SNAPSHOT],
            cloud=m.cloud,
            vm=m.vm.id,
            snapshot=one.id,
            name=one.name,
        )
        for one in ours[:-keep]
        if not one.busy
    )


def _take(m: Machine, token: str) -> TakeSnapshot:
    return TakeSnapshot(
        action=Action.SNAPSHOT,
        target=f'snapshot "{_name(token)}" of {m.target}',
        fields=(_REQUEST,),
        beside=PROBLEM[Request.SNAPSHOT],
        cloud=m.cloud,
        vm=m.vm.id,
        name=_name(token),
    )
