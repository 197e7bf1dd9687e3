"""What becomes of the disks once the machine is gone: its data disks are kept or deleted, as declared."""

from __future__ import annotations

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import merge, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage.data_disks import belongs
from sovereigncloud.kinds.hostedinstance.storage.disk_steps import DeleteDisk
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, POLICY, with_root
from sovereigncloud.ports.opennebula.image_states import DELETING
from sovereigncloud.ports.opennebula.views import Image

_LOCKED = 4


def without_machine(resource: HostedInstance, observed: InstanceObservation) -> Plan:
    """Deletes images whose policy is Delete and that no machine uses; nothing left to do: the finalizer may go."""
    cloud, view = observed.cloud, observed.view
    if cloud is None or view is None:
        return Plan()
    mine = [image for image in view.images.values() if belongs(image, observed)]
    going = [image for image in mine if _goes(resource, image) and not image.vms]
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


def _goes(resource: HostedInstance, image: Image) -> bool:
    """As spec says now; of what spec does not name, as it was declared last."""
    name = image.notes[DISK]
    if with_root(name):
        return True  # restored from a backup, and gone with its machine like any other root disk
    declared = next((disk for disk in resource.spec.disks or () if disk.name == name), None)
    policy = image.notes.get(POLICY) if declared is None else declared.deletion_policy
    return policy == DeletionPolicy.DELETE
