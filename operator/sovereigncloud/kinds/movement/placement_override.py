"""A machine that an exit brought where its spec.placement does not say. It is written on the machine, since it has to outlive the exit,
the move, and the Kubernetes cluster: nothing pulls it back.

It stands for the placement that was overridden. With another one in spec, a person has thought of it since, and that is a wish like any
other; unless it names the cloud that was left once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.exitplan import ExitPlan
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import DONE, Outcome, blocked
from sovereigncloud.kinds.endpoint.clouds import referred, where
from sovereigncloud.kinds.hostedinstance.placement.eviction import leaving
from sovereigncloud.kinds.movement.records import FROM
from sovereigncloud.ports.opennebula.views import Vm

if TYPE_CHECKING:
    from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation

EXITED = "SOVEREIGNCLOUD_EXITED"
"""On the machine: the ExitPlan, the cloud that was left, and which placement it overrode."""
PLACEMENT_OVERRIDDEN = "PlacementOverridden"
_EXITED_FACT = "exited"
"""In status.external: the same note."""


def exit_note(move: InstanceMigration, instance: HostedInstance) -> dict[str, str]:
    """What is written on the machine that a move makes; nothing where it is no part of an exit."""
    key = exit_key(move)
    if key is None:
        return {}
    return {EXITED: f"{key.namespace}/{key.name} {move.external.get(FROM) or '-'} {_digest(instance)}"}


def exited(vm: Vm) -> tuple[tuple[str, str], ...]:
    """What is to be recorded, for the machine that may once be made anew in its place."""
    note = vm.notes.get(EXITED, "")
    return ((_EXITED_FACT, note),) if note else ()


def no_longer_exited(resource: HostedInstance, vm: Vm) -> tuple[str, ...]:
    """The record to be forgotten, where a move has brought it elsewhere since."""
    return (_EXITED_FACT,) if resource.external.get(_EXITED_FACT) and not vm.notes.get(EXITED) else ()


def carried_exit(resource: HostedInstance) -> dict[str, str]:
    """What a machine that takes another one's place has to know: it stays where the exit brought that."""
    note = resource.external.get(_EXITED_FACT, "")
    return {EXITED: note} if note else {}


def overridden_by(resource: HostedInstance, vm: Vm) -> str:
    """The ExitPlan that overrides its placement; empty: none does."""
    note = vm.notes.get(EXITED)
    if not note:
        return ""
    words = note.split(" ")
    if len(words) != 3:
        return ""
    plan, left, digest = words
    placement = resource.spec.placement
    named = placement.cloud_ref if placement is not None else None
    names_it = named is not None and where(referred(named, resource.metadata.namespace)) == left
    return plan if names_it or digest == _digest(resource) else ""


def without_overridden(resource: HostedInstance, vm: Vm) -> HostedInstance:
    """As its plan has to see it: what an exit overrode is asked for no more."""
    if resource.spec.placement is None or not overridden_by(resource, vm):
        return resource
    return resource.model_copy(update={"spec": resource.spec.model_copy(update={"placement": None})})


def exit_key(move: InstanceMigration) -> Key | None:
    """The ExitPlan that a move is part of."""
    ref = move.spec.exit_plan_ref
    return Key(ExitPlan.crd.kind, ref.namespace or move.metadata.namespace, ref.name) if ref is not None else None


def not_its_exit(move: InstanceMigration, source: Key | None, found: object) -> Outcome:
    """Why a move is not the exit's that it names: it would override a placement in nobody's name. DONE: it is. What has begun is
    not asked any more: it ends by itself, whatever becomes of the exit.

    Args:
        move: before it begins.
        source: the cloud that it leaves.
        found: what is there under the name of the exit.
    """
    key = exit_key(move)
    if key is None or source is None:
        return DONE
    name = f"ExitPlan {key.namespace}/{key.name}"
    if not isinstance(found, ExitPlan) or found.deleting:
        return blocked(
            f"there is no {name}, whose part this is; make the ExitPlan, or a migration without spec.exitPlanRef"
        )
    if str(found.spec.mode) != str(move.spec.mode):
        return blocked(f"{name} is not in mode {move.spec.mode} (spec.mode: {found.spec.mode})")
    goes_to = referred(move.spec.to.cloud_ref, move.metadata.namespace)
    if goes_to not in {referred(one.cloud_ref, key.namespace) for one in found.spec.to}:
        return blocked(f"{name} does not lead to {where(goes_to)}: see its spec.to")
    if key.namespace not in {source.namespace, move.metadata.namespace}:
        return blocked(f"{name} is in neither the namespace of {where(source)} nor in that of the machine")
    return DONE


def placement_overridden(
    resource: HostedInstance, observed: InstanceObservation, vm: Vm
) -> tuple[Mapping[str, str], ...]:
    """The condition, while spec says otherwise."""
    plan = overridden_by(resource, vm)
    says = _says_otherwise(resource, observed) if plan else ""
    if not says or observed.cloud is None:
        return ()
    message = (
        f"ExitPlan {plan} brought it to {where(observed.cloud)}, and {says}: that is no drift, and nothing brings it back. Let"
        " spec.placement say where it may be now; to have it back, make an InstanceMigration"
    )
    return ({"type": PLACEMENT_OVERRIDDEN, "status": "True", "reason": Reason.PLACED_BY_EXIT, "message": message},)


def kept_override(resource: HostedInstance) -> tuple[Mapping[str, str], ...]:
    """As it was said before: nobody could look."""
    found = resource.status.condition(PLACEMENT_OVERRIDDEN)
    if found is None:
        return ()
    return ({"type": found.type, "status": str(found.status), "reason": found.reason, "message": found.message},)


def _says_otherwise(resource: HostedInstance, observed: InstanceObservation) -> str:
    """What of spec.placement excludes where it is; empty: nothing."""
    if observed.cloud is None:
        return ""
    why = leaving(resource, observed.cloud, observed.wanted, observed.whereabouts)
    return f"{why.drift[0].path} says {why.drift[0].desired}" if why is not None and why.drift else ""


def _digest(resource: HostedInstance) -> str:
    placement = resource.spec.placement
    text = placement.model_dump_json(by_alias=True, exclude_none=True) if placement is not None else ""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
