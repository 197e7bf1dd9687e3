"""A machine that was left in a cloud that did not answer, while a copy of it became the instance's: it must not run.

The move that made the copy sees to it. When that object is gone, the instance does: it has recorded what it left behind, and its
machine tells it, too. What is there is powered off before anything else, and gets the mark of the move: no two carry the instance's.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, done, waiting
from sovereigncloud.core.plan import Action, Disruption, Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import needs_management, not_answering_yet, where, written_cloud
from sovereigncloud.kinds.hostedinstance.continuity.fencing import fencing_of
from sovereigncloud.kinds.hostedinstance.machine.step import under_way
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.kinds.movement.records import CAME_FROM, ENDED, LEFT, MOVED, CameFrom, read_came_from
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import Vm

_OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """`vm`: it is there, and carries the mark of the instance; None: it does not any more."""

    cloud: Key
    came_from: CameFrom
    vm: Vm | None
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Fenced:
    """What is done about it, and what is to be said of it."""

    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE


_NOTHING_LEFT = Fenced()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehindStep(Step):
    """In a cloud in which the instance is not any more. Without a verb: it is left, and forgotten."""

    cloud: Key
    came_from: CameFrom
    vm: int | None
    verb: str = ""


def left_where(vm: Vm) -> tuple[tuple[str, str], ...]:
    """What is to be recorded of the one whose place a machine takes, as it tells itself."""
    note = vm.notes.get(CAME_FROM, "")
    return ((LEFT, note),) if read_came_from(note) is not None else ()


async def left_behind(resource: HostedInstance, context: Context) -> LeftBehind | None:
    """None: there is none, or the move sees to it, or its cloud does not answer."""
    told = read_came_from(resource.external.get(LEFT, ""))
    cloud = written_cloud(told.cloud) if told is not None else None
    if told is None or cloud is None or _sees_to_it(told, context) or not answers(cloud, context):
        return None
    with contextlib.suppress(OutsideError, MissingSecret):
        view = await context.view(cloud)
        makers = await makers_of(view, cloud, resource.metadata.namespace, context)
        mark = context.mark(resource)
        vm = next(
            (one for one in view.vms.values() if one.owner in makers.owners and ownership(one.mark, mark) in _OURS),
            None,
        )
        return LeftBehind(cloud, told, vm, needs_management(cloud, context))
    return None


def _sees_to_it(told: CameFrom, context: Context) -> bool:
    kind, _, rest = told.move.partition("/")
    namespace, _, name = rest.partition("/")
    move = context.get(Key(kind, namespace, name)) if kind == InstanceMigration.crd.kind and name else None
    if move is None or ENDED in move.external or move.deleting or move.paused:
        return False
    return move.spec.management in {None, Management.MANAGE}


def answers(cloud: Key, context: Context) -> bool:
    """As far as is known: nobody asks it for that."""
    found = context.get(cloud)
    lost = isinstance(found, SovereignCloud) and found.status.lost_since
    return not lost and not_answering_yet(cloud, context) is None


async def came_after(vm: Vm | None, cloud: Key, resource: HostedInstance, context: Context) -> Key | None:
    """The cloud with a machine of the instance that was made in the place of this one, where nothing is recorded of either: the
    cluster was rebuilt, and found the old one first.
    """
    mark = context.mark(resource)
    for other in context.clouds(resource.metadata.namespace) if vm is not None else ():
        if other == cloud or not answers(other, context):
            continue
        with contextlib.suppress(OutsideError, MissingSecret):
            for one in (await context.view(other)).vms.values():
                told = read_came_from(one.notes.get(CAME_FROM, "")) if ownership(one.mark, mark) in _OURS else None
                if told is not None and told.cloud == where(cloud):
                    return other
    return None


def fenced(left: LeftBehind | None) -> Fenced:
    """What keeps it from running: before anything else is done."""
    if left is None:
        return _NOTHING_LEFT
    what = f"VM {left.came_from.vm} in {where(left.cloud)}, which was lost"
    if left.vm is None:
        return Fenced(steps=(_step(left, f"that {what}, is no machine of this instance any more", inside=True),))
    fence = fencing_of(left.vm)
    if fence is None:
        return Fenced(steps=(_step(left, f"{what}: left", vm=left.vm.id),))
    if not fence.verb:
        told = f"{what}, {fence.says}"
        return Fenced(outcome=waiting(Reason.FENCING, told, after=fence.after, available=True))
    step = _step(left, f"{what}: {fence.says}", vm=left.vm.id, verb=fence.verb)
    return Fenced(steps=(step,), outcome=waiting(Reason.FENCING, step.target, available=True))


def _step(
    left: LeftBehind, target: str, *, vm: int | None = None, verb: str = "", inside: bool = False
) -> LeftBehindStep:
    return LeftBehindStep(
        action=Action.MARK if vm is not None and not verb else Action.UPDATE,
        target=target,
        inside=inside,
        disruption=Disruption.RESTART if verb else Disruption.NONE,
        needs="" if inside else left.needs,
        cloud=left.cloud,
        came_from=left.came_from,
        vm=vm,
        verb=verb,
    )


async def fence_left_behind(step: LeftBehindStep, resource: HostedInstance, context: Context) -> Outcome:
    """One call, or none. It is forgotten only when it carries another mark."""
    if step.vm is None:
        return DONE.with_facts(**{LEFT: ""})
    client = await context.open_nebula_for(step.cloud, resource.metadata.namespace, step.vm)
    if step.verb:
        await client.act(step.vm, step.verb)
        return under_way(Reason.FENCING, step.target, alive=True)
    mark, instance = context.mark(resource), context.mark(resource).object
    of_move = Mark(mark.installation, step.came_from.move, step.came_from.uid)
    await client.update_vm(step.vm, {MOVED: instance, **of_move.for_opennebula()})
    return done(Reason.SOURCE_FENCED, step.target).with_facts(**{LEFT: ""})
