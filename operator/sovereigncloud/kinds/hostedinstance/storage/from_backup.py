"""Creation of a VM from a backup: restore a VM template and images, then create the VM.

OpenNebula accepts only a name for what it restores. So the name contains the UID of this object, the backup and the
replaced VM: the result is found by that name and the expected owner, and is never restored twice. Then its images are
marked. An image of a data disk becomes that data disk if spec names it and none exists yet; other disks are part of the
new VM and deleted with it. The template is deleted as soon as the VM exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.core.identity import Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, Phase, merge, stalled, waiting
from sovereigncloud.core.plan import Action, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK, is_root_disk
from sovereigncloud.kinds.hostedinstance.machine.machine import EMPTY_PART, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage.data_disks import data_disks, is_disk_of
from sovereigncloud.kinds.hostedinstance.storage.disk_steps import (
    DeleteDisk,
    DeleteRestoredTemplate,
    MarkRestored,
    RestoreAsTemplate,
)
from sovereigncloud.kinds.identity.usage_rights import usable_images
from sovereigncloud.ports.opennebula.image_states import DELETING, ready_for_a_machine
from sovereigncloud.ports.opennebula.storage import TemplateDisk
from sovereigncloud.ports.opennebula.views import CloudView, Image, Template
from sovereigncloud.ports.opennebula.vm_states import AT_REST

_BACKUP = 6
_IMAGE_DATASTORE = 0
_LOCKED, _ERROR = 4, 5
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """Progress of a restore.

    `template` and `disks` (image ids) are set once the VM can be created.
    """

    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE
    template: Template | None = None
    disks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Restore:
    """Input of a restore. `replaced`: id of the lost VM; None if there was none."""

    resource: HostedInstance
    observed: InstanceObservation
    cloud: Key
    view: CloudView
    backup: Image
    replaced: int | None

    @property
    def name(self) -> str:
        number = "new" if self.replaced is None else str(self.replaced)
        return f"{_name_prefix(self.resource)}{self.backup.id}.{number}"

    @property
    def what(self) -> str:
        return f'backup {self.backup.id} "{self.backup.name}"'


def plan_restore(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView, replaced: int | None
) -> RestoreProgress | None:
    """Plan the restore for a new VM; None if it is not created from a backup."""
    backup: Image | Outcome | None = last_backup(observed, view, replaced)
    if backup is None and resource.spec.source.backup is not None:
        backup = _declared_backup(resource, observed, cloud, view)
    if backup is None:
        return None
    if isinstance(backup, Outcome):
        return RestoreProgress(outcome=backup)
    return _restored(_Restore(resource, observed, cloud, view, backup, replaced))


def last_backup(observed: InstanceObservation, view: CloudView, lost: int | None) -> Image | None:
    """Return the latest backup of a lost VM of this instance."""
    if lost is None:
        return None
    found = (
        image
        for image in view.images.values()
        if image.type == _BACKUP
        and image.backup_of == lost
        and image.owner in observed.owners
        and (image.mark is None or ownership(image.mark, observed.mark) in {Ownership.OURS, Ownership.PREDECESSOR})
    )
    return max(found, key=lambda image: (image.time, image.id), default=None)


def _declared_backup(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView
) -> Image | Outcome:
    """Return the backup named by spec.source.backup.

    It must be of a VM of this namespace, since it contains all data of that VM, whoever owns the image.
    """
    name = resource.spec.source.backup
    backups = [image for image in usable_images(view, observed.tenancy) if image.type == _BACKUP]
    matching = [image for image in backups if image.name == name]
    usable = [image for image in matching if _is_of_namespace(image, resource, observed, cloud, view)]
    if len(usable) == 1:
        return usable[0]
    if len(usable) > 1:
        ids = ", ".join(str(image.id) for image in usable)
        return stalled(
            Reason.MULTIPLE_MATCHES, f'{where(cloud)} has several backups called "{name}": {ids}; rename all but one'
        )
    ours = sorted(image.name for image in backups if _is_of_namespace(image, resource, observed, cloud, view))
    there = ", ".join(ours[-_SHOWN:]) or "none"
    return stalled(
        Reason.BACKUP_NOT_FOUND,
        f'{where(cloud)} has no backup called "{name}" of a machine of namespace {resource.metadata.namespace}; there are:'
        f" {there}",
    )


def _is_of_namespace(
    image: Image, resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView
) -> bool:
    """Return whether a backup belongs to the namespace: by its mark, else that of its VM.

    A backup of an unmarked VM belongs to the namespace of the cloud.
    """
    machine = view.vms.get(image.backup_of)
    mark = image.mark or (machine.mark if machine is not None else None)
    if mark is None:
        return cloud.namespace == resource.metadata.namespace
    namespace = f"/{resource.metadata.namespace}/"
    return mark.installation == observed.mark.installation and namespace in mark.object


# ------------------------------------------------------------------------------------------------------ progress


def _restored(r: _Restore) -> RestoreProgress:
    owned = [one for one in r.view.templates.values() if one.name == r.name and one.owner == r.observed.owner]
    template = max(owned, key=lambda one: one.id, default=None)
    if template is None:
        return _start_restore(r)
    aims = [(r.view.images.get(disk.image_id), name, policy) for disk, name, policy in _planned_disks(r, template)]
    if any(image is None and name for image, name, _ in aims):
        lost = f"an image restored from {r.what} was deleted: delete template {template.id} in {where(r.cloud)}"
        return RestoreProgress(outcome=stalled(Reason.IMAGE_ERROR, f"{lost} to have it restored again"))
    known = [(image, name, policy) for image, name, policy in aims if image is not None]
    marks = tuple(
        _mark(r, image, name, policy) for image, name, policy in known if name and image.notes.get(DISK) != name
    )
    surplus = tuple(
        _delete(r, image) for image, name, _ in known if not name and image.state not in {_LOCKED, DELETING}
    )
    of_machine = [image for image, name, _ in known if is_root_disk(name)]
    if (small := _check_root_size(r, of_machine)) is not None:
        return RestoreProgress(outcome=small)
    ready = merge(ready_for_a_machine(image, where(r.cloud)) for image in of_machine)
    if marks or surplus or ready.phase is not Phase.DONE:
        told = waiting(Reason.RESTORING, f"{r.what} is being restored in {where(r.cloud)}")
        return RestoreProgress(steps=(*marks, *surplus), outcome=ready if ready.phase is Phase.STALLED else told)
    return RestoreProgress(template=template, disks=tuple(image.id for image in of_machine))


def _check_root_size(r: _Restore, disks: list[Image]) -> Outcome | None:
    wanted = capacity.declared(r.resource.spec).root_size
    if wanted is None or not disks or wanted >= disks[0].size:
        return None
    needs = capacity.size(disks[0].size)
    return stalled(
        Reason.CANNOT_SHRINK,
        f"spec.disks[root].size {capacity.size(wanted)} is less than {r.what} holds, {needs}; set at least that",
    )


def _planned_disks(r: _Restore, template: Template) -> Iterator[tuple[TemplateDisk, str, str]]:
    """Yield name and deletion policy of each restored disk; an empty name if it is surplus."""
    declared = {disk.name: disk.deletion_policy or DeletionPolicy.RETAIN for disk in data_disks(r.resource.spec)}
    disks = [disk for disk in template.disks if disk.image_id >= 0]
    restored = {disk.image_id for disk in disks}
    has = {one.notes[DISK] for one in r.view.images.values() if one.id not in restored and is_disk_of(one, r.observed)}
    for number, disk in enumerate(disks):
        if number == 0:
            yield disk, ROOT, DeletionPolicy.DELETE
        elif not disk.label or r.resource.spec.disks is None:
            yield disk, f"{ROOT}.{number}", DeletionPolicy.DELETE
        elif disk.label in declared and disk.label not in has:
            yield disk, disk.label, declared[disk.label]
        else:
            yield disk, "", ""


def _start_restore(r: _Restore) -> RestoreProgress:
    """Start a restore; first delete images of a failed attempt, whose names would conflict."""
    left = [
        image
        for image in r.view.images.values()
        if image.owner == r.observed.owner and image.name.startswith(f"{r.name}-disk-") and not image.vms
    ]
    told = waiting(Reason.RESTORING, f"{r.what} is to be restored in {where(r.cloud)}")
    if left:
        return RestoreProgress(tuple(_delete(r, image) for image in left if image.state != DELETING), told)
    stores = {one.id: one for one in r.view.datastores.values() if one.type == _IMAGE_DATASTORE}
    store = next((one.id for one in stores.values() if one.name == "default"), min(stores, default=-1))
    if store < 0:
        message = f"{where(r.cloud)} has no datastore for images: {r.what} cannot be restored there"
        return RestoreProgress(outcome=stalled(Reason.DATASTORE_NOT_FOUND, message))
    step = RestoreAsTemplate(
        action=Action.RESTORE,
        target=f"{r.what} as a new machine in {where(r.cloud)}",
        cloud=r.cloud,
        backup=r.backup.id,
        datastore=store,
        name=r.name,
        addresses=r.replaced is not None,
    )
    return RestoreProgress((step,), told)


def _mark(r: _Restore, image: Image, name: str, policy: str) -> MarkRestored:
    return MarkRestored(
        action=Action.MARK,
        target=f'image {image.id} "{image.name}" as disk "{name}"',
        fields=("spec.source",),
        cloud=r.cloud,
        name=name,
        image=image.id,
        policy=policy,
    )


def _delete(r: _Restore, image: Image) -> DeleteDisk:
    return DeleteDisk(
        action=Action.DELETE,
        target=f'image {image.id} "{image.name}", restored and not needed',
        cloud=r.cloud,
        name="",
        image=image.id,
        image_name=image.name,
    )


def _name_prefix(resource: HostedInstance) -> str:
    return f"restore.{resource.metadata.uid}."


# --------------------------------------------------------------------------------------------------------- cleanup


def delete_restored_template(m: Machine) -> Part:
    """Plan the deletion of the restored template of an existing VM with a restored root disk."""
    root = m.root
    image = m.view.images.get(root.image_id) if root is not None else None
    if image is None or not image.name.startswith(_name_prefix(m.resource)) or m.situation not in AT_REST:
        return EMPTY_PART
    names = _name_prefix(m.resource)
    templates = (
        one for one in m.view.templates.values() if one.name.startswith(names) and one.owner in m.observed.owners
    )
    return Part(
        steps=tuple(
            DeleteRestoredTemplate(
                action=Action.UPDATE,
                target=f'template {one.id} "{one.name}", which {m.target} was made from',
                cloud=m.cloud,
                template=one.id,
            )
            for one in templates
        )
    )
