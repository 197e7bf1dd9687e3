"""Placement override: an ExitPlan moved the VM to a cloud that spec.placement does not allow.

The override is noted on the VM, because it must outlive the ExitPlan, the migration and the Kubernetes cluster:
nothing moves the VM back. It holds for the spec.placement it overrode; it ends when that changes, unless the new one
names the cloud that was left.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.exitplan import ExitPlan
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import DONE, Outcome, blocked
from sovereigncloud.kinds.contract.cloud_keys import referred, where
from sovereigncloud.kinds.movement.records import FROM
from sovereigncloud.ports.opennebula.views import Vm

if TYPE_CHECKING:
    pass

EXITED = "SOVEREIGNCLOUD_EXITED"
"""Note on the VM: ExitPlan, cloud that was left, digest of the overridden placement."""
PLACEMENT_OVERRIDDEN = "PlacementOverridden"
_EXITED_FACT = "exited"
"""Key in status.external with the same note."""


def exit_note(move: InstanceMigration, instance: HostedInstance) -> dict[str, str]:
    """Override note for the VM that a migration creates; empty if it is not part of an exit."""
    key = exit_key(move)
    if key is None:
        return {}
    return {EXITED: f"{key.namespace}/{key.name} {move.external.get(FROM) or '-'} {_digest(instance)}"}


def exit_facts(vm: Vm) -> tuple[tuple[str, str], ...]:
    """Facts to record from the override note, for a VM that may be recreated."""
    note = vm.notes.get(EXITED, "")
    return ((_EXITED_FACT, note),) if note else ()


def stale_exit_facts(resource: HostedInstance, vm: Vm) -> tuple[str, ...]:
    """Keys of a recorded override that the VM no longer carries."""
    return (_EXITED_FACT,) if resource.external.get(_EXITED_FACT) and not vm.notes.get(EXITED) else ()


def carried_exit_note(resource: HostedInstance) -> dict[str, str]:
    """Override note for a VM that is created as a replacement."""
    note = resource.external.get(_EXITED_FACT, "")
    return {EXITED: note} if note else {}


def overridden_by(resource: HostedInstance, vm: Vm) -> str:
    """The ExitPlan whose override is in force; empty: none."""
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
    """The instance without spec.placement if an exit overrides it."""
    if resource.spec.placement is None or not overridden_by(resource, vm):
        return resource
    return resource.model_copy(update={"spec": resource.spec.model_copy(update={"placement": None})})


def exit_key(move: InstanceMigration) -> Key | None:
    """Key of the ExitPlan that a migration belongs to; None: none."""
    ref = move.spec.exit_plan_ref
    return Key(ExitPlan.crd.kind, ref.namespace or move.metadata.namespace, ref.name) if ref is not None else None


def check_exit_plan(move: InstanceMigration, source: Key | None, found: object) -> Outcome:
    """Check that the ExitPlan which a migration names covers it; DONE if it does.

    Otherwise anybody could override a placement. A migration that has begun is not checked again.

    Args:
        move: a migration that has not begun.
        source: its source cloud.
        found: the object under the name of the ExitPlan, if any.
    """
    key = exit_key(move)
    if key is None or source is None:
        return DONE
    name = f"ExitPlan {key.namespace}/{key.name}"
    if not isinstance(found, ExitPlan) or found.deleting:
        return blocked(
            f"{name} (spec.exitPlanRef) does not exist; create it, or create a migration without spec.exitPlanRef"
        )
    if str(found.spec.mode) != str(move.spec.mode):
        return blocked(f"{name} is not in mode {move.spec.mode} (spec.mode: {found.spec.mode})")
    goes_to = referred(move.spec.to.cloud_ref, move.metadata.namespace)
    if goes_to not in {referred(one.cloud_ref, key.namespace) for one in found.spec.to}:
        return blocked(
            f"{name} does not list {where(goes_to)} in its spec.to; add it there, or correct spec.to of this migration"
        )
    if key.namespace not in {source.namespace, move.metadata.namespace}:
        return blocked(
            f"{name} is neither in the namespace of {where(source)} nor in that of the instance; create an ExitPlan in one of them"
        )
    return DONE


def _digest(resource: HostedInstance) -> str:
    placement = resource.spec.placement
    text = placement.model_dump_json(by_alias=True, exclude_none=True) if placement is not None else ""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
