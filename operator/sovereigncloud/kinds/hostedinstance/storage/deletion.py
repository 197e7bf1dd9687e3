"""Plan for data disks after the VM is deleted: keep or delete by deletionPolicy."""

from __future__ import annotations

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import merge, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK, POLICY, is_root_disk
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage.data_disks import is_disk_of
from sovereigncloud.kinds.hostedinstance.storage.disk_steps import DeleteDisk
from sovereigncloud.ports.opennebula.image_states import DELETING
from sovereigncloud.ports.opennebula.views import Image

_LOCKED = 4


def plan_disk_deletion(resource: HostedInstance, observed: InstanceObservation) -> Plan:
    """Plan the deletion of unused images with policy Delete.

    An empty plan means that the finalizer can be removed.
    """
    cloud, view = observed.cloud, observed.view
    if cloud is None or view is None:
        return Plan()
    mine = [image for image in view.images.values() if is_disk_of(image, observed)]
    going = [image for image in mine if _is_deleted(resource, image) and not image.vms]
    steps = tuple(
        DeleteDisk(
            action=Action.DELETE,
            target=f'image {image.id} "{image.name}" of disk "{image.notes[DISK]}"',
            disruption=Disruption.DATA_LOSS,
            cloud=cloud,
            name=image.notes[DISK],
            image=image.id,
            image_name=image.name,
        )
        for image in going
        if image.state not in {DELETING, _LOCKED}
    )
    outcome = merge(
        waiting(Reason.DELETING_DISK, f'image {image.id} "{image.name}" is to be deleted') for image in going
    )
    return Plan(steps=steps, outcome=outcome)


def _is_deleted(resource: HostedInstance, image: Image) -> bool:
    """Return whether an image is deleted: by its policy in spec, else the one written on it."""
    name = image.notes[DISK]
    if is_root_disk(name):
        return True  # restored from a backup: deleted with its VM like any root disk
    declared = next((disk for disk in resource.spec.disks or () if disk.name == name), None)
    policy = image.notes.get(POLICY) if declared is None else declared.deletion_policy
    return policy == DeletionPolicy.DELETE
