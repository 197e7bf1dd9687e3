"""Delete the retained copies of a VM with its HostedInstance (deletionPolicy: Delete)."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import retained_images
from sovereigncloud.kinds.hostedinstance.continuity.superseded_copy import is_reachable
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation, LocatedImage
from sovereigncloud.kinds.hostedinstance.storage.disk_steps import DeleteDisk
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.image_states import DELETING

_BUSY = frozenset({DELETING, 4, 6})
"""Image states that refuse deletion: also LOCKED and CLONE."""


async def with_retained_copies(
    resource: HostedInstance, observed: InstanceObservation, context: Context
) -> InstanceObservation:
    """Find the retained copies of an instance that is being deleted.

    An unreachable cloud does not block the deletion; copies there stay and remain identifiable.
    """
    if not resource.deleting or resource.deletion_policy is not DeletionPolicy.DELETE:
        return observed
    namespace, mark = resource.metadata.namespace, context.mark(resource)
    found: list[LocatedImage] = []
    for cloud in context.clouds(namespace):
        if not is_reachable(cloud, context):
            continue
        with contextlib.suppress(OutsideError, MissingSecret):
            view = await context.view(cloud)
            makers = await makers_of(view, cloud, namespace, context)
            found += [
                LocatedImage(cloud, image) for image, _ in retained_images(view.images.values(), mark, makers.owners)
            ]
    return replace(observed, kept=tuple(found)) if found else observed


def delete_retained_copies(plan: Plan, observed: InstanceObservation) -> Plan:
    """Delete the retained copies after the VM and its disks."""
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
    going = waiting(Reason.DELETING_DISK, f"deleting the retained copies of the VM: {told}")
    return replace(plan, steps=(*plan.steps, *steps), outcome=plan.outcome.merge(going))
