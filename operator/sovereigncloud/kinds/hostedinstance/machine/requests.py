"""What was asked for once, as it is remembered on the machine itself: written before anything is done, and read back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.ports.opennebula.views import Vm

_ENDED = frozenset({"Done", "Failed"})
_PARTS = 6
"""As `Asked.text` writes it."""


class Request(StrEnum):
    """The attribute of the machine for each kind of request."""

    BACKUP = "SOVEREIGNCLOUD_BACKUP_REQUEST"
    SNAPSHOT = "SOVEREIGNCLOUD_SNAPSHOT_REQUEST"
    RESTORE = "SOVEREIGNCLOUD_RESTORE_REQUEST"


class State(StrEnum):
    """How far a request is."""

    NONE = "none"
    ASKED = "asked"  # it may have been called
    CALLED = "called"  # it was called, and OpenNebula took it
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes:
        state: how far it is.
        token: the word in spec.
        before: what the machine looked like when it was asked for, so that what came of it can be told.
        error: names the error that was on the machine then, which oned never takes away.
        ran: the machine ran then.
        at: when this was written, in seconds since the epoch.
    """

    state: State = State.NONE
    token: str = ""
    before: str = "-"
    error: str = "-"
    ran: bool = False
    at: int = 0

    @property
    def text(self) -> str:
        return f"{self.state} {self.token} {self.before} {self.error} {'ran' if self.ran else 'off'} {self.at}"

    def now(self, state: State) -> Self:
        return replace(self, state=state)

    @property
    def in_progress(self) -> bool:
        return self.state in {State.ASKED, State.CALLED}


_NEVER = Asked()


def read(vm: Vm, request: Request) -> Asked:
    """What is remembered on a machine; nothing where it is none, or none that can be read."""
    note = vm.notes.get(request)
    if not note:
        return _NEVER
    parts = note.split(" ")
    if len(parts) != _PARTS or parts[0] not in set(State) or not parts[5].isdigit():
        return _NEVER
    return Asked(State(parts[0]), parts[1], parts[2], parts[3], parts[4] == "ran", int(parts[5]))


def error_of(vm: Vm) -> str:
    """Names the error on a machine: another one is a new one, since oned writes the time into it."""
    return hashlib.sha256(vm.error.encode()).hexdigest()[:8] if vm.error else "-"


def carried_requests(resource: HostedInstance) -> dict[str, str]:
    """What a machine that takes another one's place has to know: what was asked for and done is not done to it again."""
    told = resource.status.requests
    known = (
        {Request.BACKUP: told.backup, Request.SNAPSHOT: told.snapshot, Request.RESTORE: told.restore} if told else {}
    )
    return {
        request.value: Asked(State.DONE, one.request).text
        for request, one in known.items()
        if one is not None and one.request is not None and one.state in _ENDED
    }
