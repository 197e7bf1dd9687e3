"""Superseded VM: it stayed in a lost cloud while a copy replaced it, and must not run again.

The migration that created the copy fences it. If that object is gone, the instance does, because status and the
active VM both record the superseded one. It is powered off first and gets the mark of the migration: no two VMs carry
the instance's mark.
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
from sovereigncloud.kinds.contract.cloud_keys import where, written_cloud
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import needs_management, not_answering_yet
from sovereigncloud.kinds.hostedinstance.continuity.fencing import fencing_of
from sovereigncloud.kinds.hostedinstance.machine.observed import SupersededVm
from sovereigncloud.kinds.hostedinstance.machine.step import under_way
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.kinds.movement.records import CAME_FROM, ENDED, LEFT, MOVED, SupersededSource, read_superseded
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import Vm

_OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})


@dataclass(frozen=True, slots=True)
class FencingPlan:
    """Steps to fence the superseded VM, and their outcome."""

    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE


_NOTHING_LEFT = FencingPlan()


@dataclass(frozen=True, slots=True, kw_only=True)
class SupersededVmStep(Step):
    """Fencing step in a former cloud. Without `verb`: mark the VM as left and forget it."""

    cloud: Key
    came_from: SupersededSource
    vm: int | None
    verb: str = ""


def superseded_facts(vm: Vm) -> tuple[tuple[str, str], ...]:
    """Fact about the superseded VM, from the note on its replacement."""
    note = vm.notes.get(CAME_FROM, "")
    return ((LEFT, note),) if read_superseded(note) is not None else ()


async def find_superseded_vm(resource: HostedInstance, context: Context) -> SupersededVm | None:
    """The superseded VM, if this instance has to fence it.

    None if there is none, its migration fences it, or its cloud is unreachable.
    """
    told = read_superseded(resource.external.get(LEFT, ""))
    cloud = written_cloud(told.cloud) if told is not None else None
    if told is None or cloud is None or _migration_fences_it(told, context) or not is_reachable(cloud, context):
        return None
    with contextlib.suppress(OutsideError, MissingSecret):
        view = await context.view(cloud)
        makers = await makers_of(view, cloud, resource.metadata.namespace, context)
        mark = context.mark(resource)
        vm = next(
            (one for one in view.vms.values() if one.owner in makers.owners and ownership(one.mark, mark) in _OURS),
            None,
        )
        return SupersededVm(cloud, told, vm, needs_management(cloud, context))
    return None


def _migration_fences_it(told: SupersededSource, context: Context) -> bool:
    kind, _, rest = told.move.partition("/")
    namespace, _, name = rest.partition("/")
    move = context.get(Key(kind, namespace, name)) if kind == InstanceMigration.crd.kind and name else None
    if move is None or ENDED in move.external or move.deleting or move.paused:
        return False
    return move.spec.management in {None, Management.MANAGE}


def is_reachable(cloud: Key, context: Context) -> bool:
    """Whether a cloud counts as reachable; this makes no call."""
    found = context.get(cloud)
    lost = isinstance(found, SovereignCloud) and found.status.lost_since
    return not lost and not_answering_yet(cloud, context) is None


async def find_successor(vm: Vm | None, cloud: Key, resource: HostedInstance, context: Context) -> Key | None:
    """Cloud with a VM that superseded this one, if a rebuilt cluster found the old one first."""
    mark = context.mark(resource)
    for other in context.clouds(resource.metadata.namespace) if vm is not None else ():
        if other == cloud or not is_reachable(other, context):
            continue
        with contextlib.suppress(OutsideError, MissingSecret):
            for one in (await context.view(other)).vms.values():
                told = read_superseded(one.notes.get(CAME_FROM, "")) if ownership(one.mark, mark) in _OURS else None
                if told is not None and told.cloud == where(cloud):
                    return other
    return None


def plan_fencing(left: SupersededVm | None) -> FencingPlan:
    """Plan the fencing of the superseded VM, before anything else."""
    if left is None:
        return _NOTHING_LEFT
    what = f"VM {left.came_from.vm} in {where(left.cloud)}, which was lost"
    if left.vm is None:
        return FencingPlan(steps=(_step(left, f"that {what}, is no machine of this instance any more", inside=True),))
    fence = fencing_of(left.vm)
    if fence is None:
        return FencingPlan(steps=(_step(left, f"{what}: left", vm=left.vm.id),))
    if not fence.verb:
        told = f"{what}, {fence.says}"
        return FencingPlan(outcome=waiting(Reason.FENCING, told, after=fence.after, available=True))
    step = _step(left, f"{what}: {fence.says}", vm=left.vm.id, verb=fence.verb)
    return FencingPlan(steps=(step,), outcome=waiting(Reason.FENCING, step.target, available=True))


def _step(
    left: SupersededVm, target: str, *, vm: int | None = None, verb: str = "", inside: bool = False
) -> SupersededVmStep:
    return SupersededVmStep(
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


async def perform_fencing(step: SupersededVmStep, resource: HostedInstance, context: Context) -> Outcome:
    """Execute one fencing step; the VM is forgotten only once it carries another mark."""
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
