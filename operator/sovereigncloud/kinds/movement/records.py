"""Records of a migration: notes on VMs, keys in status.external, names of temporary objects.

A migration is done once per name, and the VM lists which ones were. Otherwise a Kubernetes cluster rebuilt from Git
would apply all of them again and pull back VMs that have moved on since.
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
"""Note on the source VM: which migration, since when, and whether the VM ran (`MigrationNote`)."""
MOVED = "SOVEREIGNCLOUD_MOVED"
"""Note on the source VM from the cutover on: the instance whose VM it was."""

REHEARSED = "SOVEREIGNCLOUD_REHEARSED"
"""Note on a VM that stays: its last successful rehearsal (`Rehearsal`).

It is on the VM because the proof must outlive the Kubernetes cluster, and must end when the VM moves: a different
place has a different way out.
"""
CAME_FROM = "SOVEREIGNCLOUD_CAME_FROM"
"""Note on a VM recreated from a copy: the VM in a lost cloud that it supersedes (`SupersededSource`)."""

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
"""Key of an instance: the superseded VM in a lost cloud (`SupersededSource`)."""
DONE_BEFORE = "doneBefore"
"""Key: the VM which records that a migration of this name was done before."""
_LONGEST = 500


def saved_name(uid: str, disk: str) -> str:
    """Name of the image, app and imported image of one disk.

    OpenNebula's `disk-saveas` takes nothing but a name to find it by. `uid`: of the migration.
    """
    return f"exit-{uid}-{disk}"


@dataclass(frozen=True, slots=True)
class MigrationNote:
    """Migration note on the source VM.

    Attributes:
        uid: of the migration when it began: a rebuilt cluster assigns another one, but temporary objects keep their names.
        since: seconds since 1970.
        ran: whether a rollback has to start the VM again.
    """

    uid: str
    since: str
    ran: bool


def migration_note(mark: Mark, since: str, *, ran: bool) -> str:
    """Format a migration note."""
    return f"{mark.object} {mark.uid} {since} {'ran' if ran else 'off'}"


def read_migration_note(note: str, mark: Mark) -> MigrationNote | None:
    """Parse a migration note; None if it is not of this migration."""
    words = note.split(" ")
    if len(words) != 4 or words[0] != mark.object or not words[2].isdigit():
        return None
    return MigrationNote(words[1], words[2], words[3] == "ran")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A successful rehearsal: time (RFC 3339), seconds, cloud of the copy, InstanceMigration.

    `move` is empty in notes of older versions.
    """

    at: str
    took: int
    cloud: str
    move: str = ""


def rehearsal(one: Rehearsal) -> str:
    """Format a rehearsal record."""
    return f"{one.at} {one.took} {one.cloud} {one.move}".rstrip()


def read_rehearsal(note: str) -> Rehearsal | None:
    """Parse a rehearsal record; None if it is not readable."""
    words = note.split(" ")
    if len(words) not in {3, 4} or not words[1].isdigit():
        return None
    with contextlib.suppress(ValueError):
        seconds_of(words[0])
        return Rehearsal(words[0], int(words[1]), *words[2:])
    return None


def seconds_of(time: str) -> int:
    """Seconds since 1970 of an RFC 3339 time in UTC. Raises ValueError."""
    return int(datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


@dataclass(frozen=True, slots=True)
class SupersededSource:
    """The superseded VM in a lost cloud, and the migration that replaced it.

    Attributes:
        cloud: as namespace/name.
        vm: id of the VM there.
        move: Kind/namespace/name of the migration, as in its mark, with its UID.
        outage: start of the outage, in seconds since 1970.
    """

    cloud: str
    vm: int
    move: str
    uid: str
    outage: str

    def __str__(self) -> str:
        return f"{self.cloud} {self.vm} {self.move} {self.uid} {self.outage}"


def read_superseded(note: str) -> SupersededSource | None:
    """Parse the note about the superseded VM; None if there is none."""
    words = note.split(" ")
    if len(words) != 5 or not words[1].lstrip("-").isdigit() or not words[4].isdigit():
        return None
    return SupersededSource(words[0], int(words[1]), words[2], words[3], words[4])


def shortened(text: str) -> str:
    """Cut a text to the length that status.external allows."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


MOVES = "SOVEREIGNCLOUD_MOVES"
"""Note on the VM: names of the migrations that were done, oldest first."""
_MOVES_FACT = "moves"
"""Key in status.external: the same list, for a VM that is recreated or unreachable."""
_KEPT = 16
_LONGEST_FACT = 500


def migrations_note(move: InstanceMigration, instance: HostedInstance, left: Vm) -> dict[str, str]:
    """List of done migrations for the VM that a migration creates.

    It is taken from the source VM, or from the record if the VM cannot be read.
    """
    names = (left.notes.get(MOVES) or instance.external.get(_MOVES_FACT, "")).split()
    others = [name for name in names if name != move.metadata.name]
    return {MOVES: " ".join([*others, move.metadata.name][-_KEPT:])}


def is_begun(move: InstanceMigration) -> bool:
    """Whether a migration has begun, also if a rebuilt cluster only found it after the cutover."""
    return bool({BEGAN, CUT_OVER} & move.external.keys())


def records_migration(vm: Vm, move: InstanceMigration) -> bool:
    """Whether the VM records that this migration or rehearsal was done."""
    if move.spec.mode == MigrationMode.EXECUTE:
        return move.metadata.name in vm.notes.get(MOVES, "").split()
    proof = read_rehearsal(vm.notes.get(REHEARSED, ""))
    return proof is not None and proof.move == move.metadata.name


def is_recorded(instance: HostedInstance, move: InstanceMigration) -> bool:
    """Whether status of the instance records that this migration was done."""
    executes = move.spec.mode == MigrationMode.EXECUTE
    return executes and move.metadata.name in instance.external.get(_MOVES_FACT, "").split()


def migration_facts(vm: Vm) -> tuple[tuple[str, str], ...]:
    """Facts to record from the VM's list of migrations: the newest that fit."""
    names = vm.notes.get(MOVES, "").split()
    while len(" ".join(names)) > _LONGEST_FACT:
        names = names[1:]
    return ((_MOVES_FACT, " ".join(names)),) if names else ()


def carried_migrations(resource: HostedInstance) -> dict[str, str]:
    """List of done migrations for a VM that is created as a replacement."""
    names = resource.external.get(_MOVES_FACT, "")
    return {MOVES: names} if names else {}
