"""What becomes of the copies that rehearsals kept of a machine: they go with its HostedInstance, where it goes with all that it had."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KeptCopy, kept_images
from sovereigncloud.kinds.hostedinstance.continuity.superseded_copy import answers
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage.disk_steps import DeleteDisk
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.image_states import DELETING

_BUSY = frozenset({DELETING, 4, 6})
"""Also being written, and being cloned."""


async def with_kept(resource: HostedInstance, observed: InstanceObservation, context: Context) -> InstanceObservation:
    """Of an instance that goes. A cloud that does not answer does not hold it up: what is there stays, and tells what it is."""
    if not resource.deleting or resource.deletion_policy is not DeletionPolicy.DELETE:
        return observed
    namespace, mark = resource.metadata.namespace, context.mark(resource)
    found: list[KeptCopy] = []
    for cloud in context.clouds(namespace):
        if not answers(cloud, context):
            continue
        with contextlib.suppress(OutsideError, MissingSecret):
            view = await context.view(cloud)
            makers = await makers_of(view, cloud, namespace, context)
            found += [KeptCopy(cloud, image) for image, _ in kept_images(view.images.values(), mark, makers.owners)]
    return replace(observed, kept=tuple(found)) if found else observed


def without_copies(plan: Plan, observed: InstanceObservation) -> Plan:
    """They go after the machine and its disks."""
    if not observed.kept:
        return plan
    steps = tuple(
        DeleteDisk(
            action=Action.DELETE,
            target=f'image {one.image.id} "{one.image.name}" in {where(one.cloud)}, a copy of the machine',
            disruption=Disruption.DATA_LOSS,
            cloud=one.cloud,
            name="",
            image=one.image.id,
            image_name=one.image.name,
        )
        for one in observed.kept
        if one.image.state not in _BUSY and not one.image.vms
    )
    told = ", ".join(f"image {one.image.id} in {where(one.cloud)}" for one in observed.kept)
    going = waiting(Reason.DELETING_DISK, f"copies of the machine are to be deleted: {told}")
    return replace(plan, steps=(*plan.steps, *steps), outcome=plan.outcome.merge(going))
