"""A machine that is on its way to another cloud: its instance does nothing but follow, and records where it is once it is there."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode, SourceState
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, held
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import not_answering_yet, referred, where
from sovereigncloud.kinds.movement.records import BEGAN, CUT_OVER, ENDED, MOVED, MOVING
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import Vm

_LOOK_AGAIN = 5.0


def move_under_way(resource: HostedInstance, context: Context) -> InstanceMigration | None:
    """The one that has its machine: from when it began until the machine is recorded where it is then, or is back."""
    for one in context.users(resource.key, InstanceMigration.crd.kind):
        if not isinstance(one, InstanceMigration) or one.spec.mode != MigrationMode.EXECUTE:
            continue
        named = (one.metadata.namespace, one.spec.instance_ref.name)
        begun = BEGAN in one.external and not {CUT_OVER, ENDED} & one.external.keys()
        if begun and named == (resource.metadata.namespace, resource.metadata.name):
            return one
    return None


def noted_move(resource: HostedInstance, vm: Vm, context: Context) -> str:
    """The move that is noted on its machine, where that is not over: its status may have been lost with a cluster."""
    name = vm.notes.get(MOVING, "").partition(" ")[0].rpartition("/")[2]
    move = context.get(Key(InstanceMigration.crd.kind, resource.metadata.namespace, name)) if name else None
    if not isinstance(move, InstanceMigration) or move.spec.mode != MigrationMode.EXECUTE:
        return ""
    its = move.spec.instance_ref.name == resource.metadata.name and not {CUT_OVER, ENDED} & move.external.keys()
    return name if its else ""


def leaves_a_lost_cloud(move: InstanceMigration) -> bool:
    """Whether nothing is asked of where the machine was."""
    return move.spec.source_state == SourceState.LOST


def destination(move: InstanceMigration) -> Key:
    return referred(move.spec.to.cloud_ref, move.metadata.namespace)


async def left_by_a_move(resource: HostedInstance, context: Context) -> Outcome | None:
    """A machine that was this instance's when it moved, where no other of it is found in any cloud: between two writes of a move
    whose object is not here. A second copy would be made, so it waits for that object, or for a person.
    """
    mark = context.mark(resource)
    for cloud in context.clouds(resource.metadata.namespace):
        if not_answering_yet(cloud, context) is not None:
            continue
        with contextlib.suppress(OutsideError, MissingSecret):
            for vm in (await context.view(cloud)).vms.values():
                if (
                    vm.notes.get(MOVED) == mark.object
                    and vm.mark is not None
                    and vm.mark.installation == mark.installation
                ):
                    return _waits(vm, vm.mark, cloud, context)
    return None


def _waits(vm: Vm, mark: Mark, cloud: Key, context: Context) -> Outcome:
    move = mark.object.replace("/", " ", 1)
    is_there = context.get(Key(*mark.object.split("/", 2))) is not None
    waits = held(
        Reason.MOVING,
        f"VM {vm.id} in {where(cloud)} was left by {move}, and its copy is not found; apply that object again, or give the machine"
        " that is to run the mark of this instance",
        available=False,
    )
    return (
        replace(waits, after=_LOOK_AGAIN) if is_there else waits
    )  # that move goes on, and it is its machine in a moment
