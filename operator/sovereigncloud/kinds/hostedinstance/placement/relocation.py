"""The move that a machine makes by itself, since it should be somewhere else: one object, made once, and what became of it.

Its name follows from the machine that is left, not from where it goes: what is best may change while the move is there, and a
move that failed is not followed by another one until a person takes it away.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance, Source
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import stalled
from sovereigncloud.core.placement import Decision
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.placement.placement import Chosen, choose_for
from sovereigncloud.kinds.movement.records import ENDED, FAILED
from sovereigncloud.ports.opennebula.views import Vm

_LONGEST = 230
"""Of a name of 253 characters, so that what is put behind it has room."""


@dataclass(frozen=True, slots=True)
class Relocation:
    """Where it goes, or the move that is there.

    Attributes:
        name: of that object.
        chosen: where it is to go; None: the object is there.
        failed: why that move came to nothing.
        says: what it waits for.
    """

    name: str
    chosen: Chosen | None = None
    failed: str = ""
    says: str = ""


def name_of_move(resource: HostedInstance, cloud: Key, vm: Vm) -> str:
    digest = hashlib.sha256(f"{where(cloud)} {vm.id}".encode()).hexdigest()[:8]
    return f"{resource.metadata.name[:_LONGEST].rstrip('-.')}-relocate-{digest}"


async def relocation(resource: HostedInstance, cloud: Key, wanted: Key | None, vm: Vm, context: Context) -> Relocation:
    """Of a machine that is to leave.

    Args:
        resource: whose it is.
        cloud: in which it is.
        wanted: where it is to go; None: wherever is best.
        vm: the machine.
        context: to look in.
    """
    name = name_of_move(resource, cloud, vm)
    made = context.get(Key(InstanceMigration.crd.kind, resource.metadata.namespace, name))
    if isinstance(made, InstanceMigration):
        return Relocation(name, failed=_failed(made), says=_says(made))
    every = (wanted,) if wanted is not None else context.clouds(resource.metadata.namespace)
    others = tuple(one for one in every if one != cloud)
    if not others:
        only = (
            "spec.placement.cloudRef names that cloud" if wanted is not None else "its namespace may use no other cloud"
        )
        return Relocation(name, Chosen(Decision(None, ()), outcome=stalled(Reason.NO_COMPLIANT_PLACE, only)))
    return Relocation(name, await choose_for(as_it_moves(resource), context, others, bound=None, waits=False))


def as_it_moves(instance: HostedInstance) -> HostedInstance:
    """What is asked for in another cloud: no image, since its disks are brought along, and no group, which it joins there."""
    spec = instance.spec.model_copy(update={"source": Source(), "group": None})
    return instance.model_copy(update={"spec": spec})


def _failed(made: InstanceMigration) -> str:
    return made.external.get(FAILED, "") if ENDED in made.external else ""


def _says(made: InstanceMigration) -> str:
    """What holds it up."""
    for kind in ("Stalled", "Reconciling"):
        told = made.status.condition(kind)
        if told is not None and told.status == "True":
            return told.message
    return ""
