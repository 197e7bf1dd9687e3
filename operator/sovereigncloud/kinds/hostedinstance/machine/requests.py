"""State of one-time requests (backup, snapshot, restore), stored on the VM.

It is written to an attribute of the VM before anything is done.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.ports.opennebula.views import Vm

_ENDED = frozenset({"Done", "Failed"})
_PARTS = 6
"""Number of fields in `RequestRecord.text`."""


class Request(StrEnum):
    """Kind of request; the value is the VM attribute that stores its state."""

    BACKUP = "SOVEREIGNCLOUD_BACKUP_REQUEST"
    SNAPSHOT = "SOVEREIGNCLOUD_SNAPSHOT_REQUEST"
    RESTORE = "SOVEREIGNCLOUD_RESTORE_REQUEST"


class RequestState(StrEnum):
    """Progress of a request."""

    NONE = "none"
    ASKED = "asked"  # recorded; the call may have been made
    CALLED = "called"  # OpenNebula accepted the call
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A recorded request and its progress.

    Attributes:
        state: progress of the request.
        token: value of the request field in spec.
        before: state of the VM before the call, compared with the state after it to find the result.
        error: digest of the error on the VM before the call; oned never removes an error.
        ran: whether the VM ran before the call.
        at: time of this record, in seconds since the epoch.
    """

    state: RequestState = RequestState.NONE
    token: str = ""
    before: str = "-"
    error: str = "-"
    ran: bool = False
    at: int = 0

    @property
    def text(self) -> str:
        return f"{self.state} {self.token} {self.before} {self.error} {'ran' if self.ran else 'off'} {self.at}"

    def now(self, state: RequestState) -> Self:
        return replace(self, state=state)

    @property
    def in_progress(self) -> bool:
        return self.state in {RequestState.ASKED, RequestState.CALLED}


_NEVER = RequestRecord()


def read_request(vm: Vm, request: Request) -> RequestRecord:
    """Read a request from the VM; an empty request if the attribute is missing or malformed."""
    note = vm.notes.get(request)
    if not note:
        return _NEVER
    parts = note.split(" ")
    if len(parts) != _PARTS or parts[0] not in set(RequestState) or not parts[5].isdigit():
        return _NEVER
    return RequestRecord(RequestState(parts[0]), parts[1], parts[2], parts[3], parts[4] == "ran", int(parts[5]))


def error_digest(vm: Vm) -> str:
    """Return a digest of the error on a VM; "-" for none.

    A new error has another digest, since oned writes the time into it.
    """
    return hashlib.sha256(vm.error.encode()).hexdigest()[:8] if vm.error else "-"


def carried_requests(resource: HostedInstance) -> dict[str, str]:
    """Return attributes that keep a replacement VM from repeating completed requests."""
    told = resource.status.requests
    known = (
        {Request.BACKUP: told.backup, Request.SNAPSHOT: told.snapshot, Request.RESTORE: told.restore} if told else {}
    )
    return {
        request.value: RequestRecord(RequestState.DONE, one.request).text
        for request, one in known.items()
        if one is not None and one.request is not None and one.state in _ENDED
    }
