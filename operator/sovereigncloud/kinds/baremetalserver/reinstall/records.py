"""What is remembered of a reinstallation on the server itself, in tags: asked for, begun, ended."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sovereigncloud.api import BareMetalServer

RECORD_TAG = "sovereigncloud.io/reinstall"


HISTORY_TAG = "sovereigncloud.io/reinstalled"


_HISTORY = 28  # digests of 8 characters and a dot fit into a tag of 256


class Stage(StrEnum):
    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Record:
    """What the server's tag says.

    Attributes:
        at: seconds since the epoch, of the last attempt.
        task: the task (RUNNING), or the newest reinstall task known before the attempt (REQUESTED).
    """

    token: str
    stage: Stage
    at: int = 0
    task: int = 0
    system: str = ""

    @property
    def text(self) -> str:
        match self.stage:
            case Stage.REQUESTED:
                return f"{self.token}:requested:{self.at}:{self.task}:{self.system}"
            case Stage.RUNNING:
                return f"{self.token}:{self.task}:{self.at}:{self.system}"
            case Stage.DONE:
                return f"{self.token}:done:{self.at}:{self.system}"


def read_record(tags: Mapping[str, str]) -> Record | None:
    """The record on a server. What nobody of ours wrote counts as done: it never leads to a reinstallation."""
    token, _, rest = tags.get(RECORD_TAG, "").partition(":")
    if not token:
        return None
    stage, _, rest = rest.partition(":")
    at, _, rest = rest.partition(":")
    when = int(at) if at.isdigit() else 0
    if stage == "requested":
        task, _, system = rest.partition(":")
        return Record(token, Stage.REQUESTED, when, int(task) if task.isdigit() else 0, system)
    if stage.isdigit():
        return Record(token, Stage.RUNNING, when, int(stage), rest)
    return Record(token, Stage.DONE, when, 0, rest)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:8]


def history(tags: Mapping[str, str], superseded: Record | None) -> str:
    """The digests of earlier tokens, with the one that is about to be overwritten."""
    known = [d for d in tags.get(HISTORY_TAG, "").split(".") if d]
    if superseded is not None and digest(superseded.token) not in known:
        known.append(digest(superseded.token))
    return ".".join(known[-_HISTORY:])


def carried_out(resource: BareMetalServer, tags: Mapping[str, str]) -> bool:
    """Whether the word in spec was already carried out, as far as the server or status remembers."""
    request = resource.spec.reinstall
    if request is None:
        return True
    record = read_record(tags)
    if record is not None and record.token == request.request:
        return record.stage is Stage.DONE
    return digest(request.request) in tags.get(HISTORY_TAG, "").split(".") or (
        resource.status.reinstalled == request.request
    )


def is_open(tags: Mapping[str, str]) -> bool:
    """Whether a reinstallation was begun and not yet seen to end."""
    record = read_record(tags)
    return record is not None and record.stage is not Stage.DONE
