"""Steps that record a request on its VM, and the message of a failed request."""

from __future__ import annotations

from sovereigncloud.core.plan import Action
from sovereigncloud.kinds.hostedinstance.machine.machine import Machine
from sovereigncloud.kinds.hostedinstance.machine.requests import Request, RequestRecord, error_digest
from sovereigncloud.kinds.hostedinstance.storage.backup_steps import PROBLEM, NoteRequest

FIELD = {
    Request.BACKUP: "spec.backup.request",
    Request.SNAPSHOT: "spec.snapshot.request",
    Request.RESTORE: "spec.restore.request",
}
_ACTIONS = {Request.BACKUP: Action.BACK_UP, Request.SNAPSHOT: Action.SNAPSHOT, Request.RESTORE: Action.RESTORE}


def record_request(
    request: Request, m: Machine, asked: RequestRecord, says: str = "", *, needs: str = ""
) -> NoteRequest:
    """Build the step that records the progress of a request.

    `says`: message of the event at its end.
    """
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


def failure_message(request: Request, m: Machine, asked: RequestRecord) -> str:
    """Return the error message of a request that OpenNebula accepted but did not complete."""
    told = f": {m.vm.error}" if m.vm.error and error_digest(m.vm) != asked.error else ""
    return (
        f'request "{asked.token}" for VM {m.vm.id} failed{told}; see its log (onevm log {m.vm.id}), fix the cause, and set'
        f" {FIELD[request]} to a new value"
    )
