"""A move is made once for each name. Which ones were is written on the machine: a Kubernetes cluster that is rebuilt from Git is given all
of them again, and each would pull back a machine that has moved on since.
"""

from __future__ import annotations

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.kinds.migration_names import BEGAN, CUT_OVER, REHEARSED, read_rehearsal
from sovereigncloud.kinds.opennebula_view import Vm

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
