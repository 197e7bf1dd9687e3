"""Relocation: the InstanceMigration that an eviction creates, and its progress.

Its name follows from the source VM, not from the target, which may change while it is pending. A failed migration is
not followed by another one until a person deletes it.
"""

from __future__ import annotations

import hashlib

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance, Source
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import stalled
from sovereigncloud.core.placement import Decision
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.observed import PlacementResult, Relocation
from sovereigncloud.kinds.hostedinstance.placement.placement import choose_place
from sovereigncloud.kinds.movement.records import ENDED, FAILED
from sovereigncloud.ports.opennebula.views import Vm

_LONGEST = 230
"""Longest prefix of a name of 253 characters that leaves room for the suffix."""


def relocation_name(resource: HostedInstance, cloud: Key, vm: Vm) -> str:
    digest = hashlib.sha256(f"{where(cloud)} {vm.id}".encode()).hexdigest()[:8]
    return f"{resource.metadata.name[:_LONGEST].rstrip('-.')}-relocate-{digest}"


async def relocation(resource: HostedInstance, cloud: Key, wanted: Key | None, vm: Vm, context: Context) -> Relocation:
    """Choose the target of an evicted VM, or report on the existing migration.

    Args:
        resource: its instance.
        cloud: that it is in.
        wanted: the required target; None: the best one.
        vm: the VM.
        context: the reconcile context.
    """
    name = relocation_name(resource, cloud, vm)
    made = context.get(Key(InstanceMigration.crd.kind, resource.metadata.namespace, name))
    if isinstance(made, InstanceMigration):
        return Relocation(name, failed=_failed(made), says=_says(made))
    every = (wanted,) if wanted is not None else context.clouds(resource.metadata.namespace)
    others = tuple(one for one in every if one != cloud)
    if not others:
        only = (
            "spec.placement.cloudRef names that cloud" if wanted is not None else "its namespace may use no other cloud"
        )
        return Relocation(name, PlacementResult(Decision(None, ()), outcome=stalled(Reason.NO_COMPLIANT_PLACE, only)))
    return Relocation(name, await choose_place(relocated_instance(resource), context, others, bound=None, waits=False))


def relocated_instance(instance: HostedInstance) -> HostedInstance:
    """The instance as it is placed in another cloud: without image, which is copied, and VM group."""
    spec = instance.spec.model_copy(update={"source": Source(), "group": None})
    return instance.model_copy(update={"spec": spec})


def _failed(made: InstanceMigration) -> str:
    return made.external.get(FAILED, "") if ENDED in made.external else ""


def _says(made: InstanceMigration) -> str:
    """Message of the condition that keeps the migration waiting."""
    for kind in ("Stalled", "Reconciling"):
        told = made.status.condition(kind)
        if told is not None and told.status == "True":
            return told.message
    return ""
