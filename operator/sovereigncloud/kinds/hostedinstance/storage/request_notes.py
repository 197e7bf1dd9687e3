"""How a request is remembered on its machine, and what is said of one that came to nothing."""

from __future__ import annotations

from sovereigncloud.core.plan import Action
from sovereigncloud.kinds.hostedinstance.machine import requests as vm_requests
from sovereigncloud.kinds.hostedinstance.machine.machine import Machine
from sovereigncloud.kinds.hostedinstance.machine.requests import Asked, Request
from sovereigncloud.kinds.hostedinstance.storage.backup_steps import PROBLEM, NoteRequest

FIELD = {
    Request.BACKUP: "spec.backup.request",
    Request.SNAPSHOT: "spec.snapshot.request",
    Request.RESTORE: "spec.restore.request",
}
_ACTIONS = {Request.BACKUP: Action.BACK_UP, Request.SNAPSHOT: Action.SNAPSHOT, Request.RESTORE: Action.RESTORE}


def note(request: Request, m: Machine, asked: Asked, says: str = "", *, needs: str = "") -> NoteRequest:
    """The step that remembers how far it is. `says`: for the event at its end."""
    return NoteRequest(
        action=_ACTIONS[request],
        target=f'note of request "{asked.token}" on {m.target}: {asked.state}',
        fields=(FIELD[request],),
        beside=PROBLEM.get(request, ""),
        needs=needs,
        cloud=m.cloud,
        vm=m.vm.id,
        request=request,
        asked=asked,
        says=says,
    )


def failure(m: Machine, asked: Asked) -> str:
    """What is known of something that OpenNebula took and that came to nothing."""
    told = f": {m.vm.error}" if m.vm.error and vm_requests.error_of(m.vm) != asked.error else ""
    return (
        f'request "{asked.token}" for VM {m.vm.id} came to nothing{told}; see the log of the machine in OpenNebula, mend the'
        " cause, and ask with a new word"
    )
