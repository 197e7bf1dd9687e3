"""What a move writes down, and how what it makes on the way is called.

A move is made once for each name. Which ones were is written on the machine: a Kubernetes cluster that is rebuilt from Git is given all
of them again, and each would pull back a machine that has moved on since.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.core.identity import Mark
from sovereigncloud.ports.opennebula.views import Vm

MOVING = "SOVEREIGNCLOUD_MOVING"
"""On the machine that is left: which move, since when, and whether it ran (`told`)."""
MOVED = "SOVEREIGNCLOUD_MOVED"
"""Likewise, from the moment of the change-over: the instance whose machine it was."""

REHEARSED = "SOVEREIGNCLOUD_REHEARSED"
"""On a machine that stays: when a copy of it last ran elsewhere, how many seconds that took, where, and as which move (`rehearsal`). It is
on the machine, since the proof must outlive the Kubernetes cluster, and goes with it: from another place the way out is another one."""
CAME_FROM = "SOVEREIGNCLOUD_CAME_FROM"
"""On a machine that was made from a copy: which one it takes the place of, in a cloud that did not answer (`CameFrom`)."""

# Keys of status.external
FROM = "from"
BEGAN = "began"
STOPPED = "stopped"
STARTED = "started"
RAN = "ran"
CUT_OVER = "cutOver"
CLEANED = "cleaned"
FAILED = "failed"
ENDED = "ended"
MARKET = "marketplace"
COPY = "copy"
COPY_TIME = "copyTime"
PROOF = "proof"
PASSED_OVER = "passedOver"
PASSED_AT = "passedOverAt"
RETURNED = "returned"
LEFT = "left"
"""Of an instance: the machine that it left behind in a cloud that did not answer (`CameFrom`)."""
DONE_BEFORE = "doneBefore"
"""The machine that tells that a move of this name was made before."""
_LONGEST = 500


def saved_name(uid: str, disk: str) -> str:
    """Of the image, the app and the imported image of one disk: what OpenNebula saves has nothing but a name. `uid`: of the move."""
    return f"exit-{uid}-{disk}"


@dataclass(frozen=True, slots=True)
class Note:
    """On the machine that is left.

    Attributes:
        uid: of the move, as it was when it began: a rebuilt cluster gives it another one, and what was made keeps its name.
        since: seconds since 1970.
        ran: it is to be started again where the move comes to nothing.
    """

    uid: str
    since: str
    ran: bool


def told(mark: Mark, since: str, *, ran: bool) -> str:
    """The note as it is written."""
    return f"{mark.object} {mark.uid} {since} {'ran' if ran else 'off'}"


def read_told(note: str, mark: Mark) -> Note | None:
    """None: no note of this move."""
    words = note.split(" ")
    if len(words) != 4 or words[0] != mark.object or not words[2].isdigit():
        return None
    return Note(words[1], words[2], words[3] == "ran")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """When it was (RFC 3339), how many seconds it took, in which cloud the copy ran, and the name of the InstanceMigration; empty:
    nobody wrote that down.
    """

    at: str
    took: int
    cloud: str
    move: str = ""


def rehearsal(one: Rehearsal) -> str:
    """As it is written on the machine."""
    return f"{one.at} {one.took} {one.cloud} {one.move}".rstrip()


def read_rehearsal(note: str) -> Rehearsal | None:
    """None: none that anybody can read."""
    words = note.split(" ")
    if len(words) not in {3, 4} or not words[1].isdigit():
        return None
    with contextlib.suppress(ValueError):
        seconds_of(words[0])
        return Rehearsal(words[0], int(words[1]), *words[2:])
    return None


def seconds_of(time: str) -> int:
    """Of a time in RFC 3339, UTC: since 1970. Raises ValueError."""
    return int(datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


@dataclass(frozen=True, slots=True)
class CameFrom:
    """A machine that was left where nobody could reach it, and what made another one in its place.

    Attributes:
        cloud: as namespace/name.
        vm: its number there.
        move: as in its mark, Kind/namespace/name, with its UID.
        outage: since when the cloud did not answer: seconds since 1970.
    """

    cloud: str
    vm: int
    move: str
    uid: str
    outage: str

    def __str__(self) -> str:
        return f"{self.cloud} {self.vm} {self.move} {self.uid} {self.outage}"


def read_came_from(note: str) -> CameFrom | None:
    """None: no such note."""
    words = note.split(" ")
    if len(words) != 5 or not words[1].lstrip("-").isdigit() or not words[4].isdigit():
        return None
    return CameFrom(words[0], int(words[1]), words[2], words[3], words[4])


def shortened(text: str) -> str:
    """A reason, as far as status.external takes it."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


MOVES = "SOVEREIGNCLOUD_MOVES"
"""On the machine: the names of the moves that brought it where it is, the oldest first."""
_MOVES_FACT = "moves"
"""In status.external: the same, for a machine that is made anew, and for who may not ask where it is; as far as there is room."""
_KEPT = 16
_LONGEST_FACT = 500


def moves_note(move: InstanceMigration, instance: HostedInstance, left: Vm) -> dict[str, str]:
    """What is written on the machine that a move makes. One that cannot be looked at tells nothing: then what is recorded of it."""
    names = (left.notes.get(MOVES) or instance.external.get(_MOVES_FACT, "")).split()
    others = [name for name in names if name != move.metadata.name]
    return {MOVES: " ".join([*others, move.metadata.name][-_KEPT:])}


def is_begun(move: InstanceMigration) -> bool:
    """Also where a rebuilt cluster found it changed over: it is brought to its end."""
    return bool({BEGAN, CUT_OVER} & move.external.keys())


def tells_of(vm: Vm, move: InstanceMigration) -> bool:
    """Whether a move of this name, or a rehearsal, was made of this machine and is over."""
    if move.spec.mode == MigrationMode.EXECUTE:
        return move.metadata.name in vm.notes.get(MOVES, "").split()
    proof = read_rehearsal(vm.notes.get(REHEARSED, ""))
    return proof is not None and proof.move == move.metadata.name


def is_recorded(instance: HostedInstance, move: InstanceMigration) -> bool:
    """Likewise of its machine, as far as its own status tells."""
    executes = move.spec.mode == MigrationMode.EXECUTE
    return executes and move.metadata.name in instance.external.get(_MOVES_FACT, "").split()


def moves_made(vm: Vm) -> tuple[tuple[str, str], ...]:
    """What is to be recorded of a machine: the newest of them that there is room for."""
    names = vm.notes.get(MOVES, "").split()
    while len(" ".join(names)) > _LONGEST_FACT:
        names = names[1:]
    return ((_MOVES_FACT, " ".join(names)),) if names else ()


def carried_moves(resource: HostedInstance) -> dict[str, str]:
    """What a machine that takes another one's place has to know."""
    names = resource.external.get(_MOVES_FACT, "")
    return {MOVES: names} if names else {}
