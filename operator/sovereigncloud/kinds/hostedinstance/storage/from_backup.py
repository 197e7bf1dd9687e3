"""A machine from a backup: restored as a VM template and images, marked, and then made like from any template.

OpenNebula takes nothing but a name for what it restores. So the name has this object's UID, the backup, and the machine that
is replaced: it is found by that name, under the expected owner only, and the same is never restored twice. Its images are then
marked. What was a data disk is one again where spec names it and there is no such disk yet; the rest is part of the new machine
and goes with it. The template goes as soon as the machine is there.
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
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage.data_disks import belongs, data_disks
from sovereigncloud.kinds.hostedinstance.storage.disk_steps import (
    DeleteDisk,
    DeleteRestoredTemplate,
    MarkRestored,
    RestoreElsewhere,
)
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, with_root
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
class Restored:
    """How far it is. `template` and `disks` (ids of images) once the machine can be made."""

    steps: tuple[Step, ...] = ()
    outcome: Outcome = DONE
    template: Template | None = None
    disks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Restoring:
    """What is restored, and for what. `replaced`: the machine that was lost; None: there was none."""

    resource: HostedInstance
    observed: InstanceObservation
    cloud: Key
    view: CloudView
    backup: Image
    replaced: int | None

    @property
    def name(self) -> str:
        number = "new" if self.replaced is None else str(self.replaced)
        return f"{_names_of(self.resource)}{self.backup.id}.{number}"

    @property
    def what(self) -> str:
        return f'backup {self.backup.id} "{self.backup.name}"'


def from_backup(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView, replaced: int | None
) -> Restored | None:
    """None: it is not made from a backup."""
    backup: Image | Outcome | None = last_backup(observed, view, replaced)
    if backup is None and resource.spec.source.backup is not None:
        backup = _named(resource, observed, cloud, view)
    if backup is None:
        return None
    if isinstance(backup, Outcome):
        return Restored(outcome=backup)
    return _restored(_Restoring(resource, observed, cloud, view, backup, replaced))


def last_backup(observed: InstanceObservation, view: CloudView, lost: int | None) -> Image | None:
    """Of a machine of this object that is gone."""
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


def _named(resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView) -> Image | Outcome:
    """Of this namespace: a backup holds all that its machine held, whoever owns it in OpenNebula."""
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
    """By its mark, else by that of its machine; a backup of nobody's machine is for whoever has the cloud."""
    machine = view.vms.get(image.backup_of)
    mark = image.mark or (machine.mark if machine is not None else None)
    if mark is None:
        return cloud.namespace == resource.metadata.namespace
    namespace = f"/{resource.metadata.namespace}/"
    return mark.installation == observed.mark.installation and namespace in mark.object


# ------------------------------------------------------------------------------------------------------ step by step


def _restored(r: _Restoring) -> Restored:
    owned = [one for one in r.view.templates.values() if one.name == r.name and one.owner == r.observed.owner]
    template = max(owned, key=lambda one: one.id, default=None)
    if template is None:
        return _begin(r)
    aims = [(r.view.images.get(disk.image_id), name, policy) for disk, name, policy in _aims(r, template)]
    if any(image is None and name for image, name, _ in aims):
        lost = f"an image of what was restored from {r.what} is gone: delete template {template.id} in {where(r.cloud)}"
        return Restored(outcome=stalled(Reason.IMAGE_ERROR, f"{lost}, and it is restored again"))
    known = [(image, name, policy) for image, name, policy in aims if image is not None]
    marks = tuple(
        _mark(r, image, name, policy) for image, name, policy in known if name and image.notes.get(DISK) != name
    )
    surplus = tuple(
        _delete(r, image) for image, name, _ in known if not name and image.state not in {_LOCKED, DELETING}
    )
    of_machine = [image for image, name, _ in known if with_root(name)]
    if (small := _too_small(r, of_machine)) is not None:
        return Restored(outcome=small)
    ready = merge(ready_for_a_machine(image, where(r.cloud)) for image in of_machine)
    if marks or surplus or ready.phase is not Phase.DONE:
        told = waiting(Reason.RESTORING, f"{r.what} is being restored in {where(r.cloud)}")
        return Restored(steps=(*marks, *surplus), outcome=ready if ready.phase is Phase.STALLED else told)
    return Restored(template=template, disks=tuple(image.id for image in of_machine))


def _too_small(r: _Restoring, disks: list[Image]) -> Outcome | None:
    wanted = capacity.declared(r.resource.spec).root_size
    if wanted is None or not disks or wanted >= disks[0].size:
        return None
    needs = capacity.size(disks[0].size)
    return stalled(
        Reason.CANNOT_SHRINK,
        f"spec.disks[root].size {capacity.size(wanted)} is less than {r.what} holds, {needs}; set at least that",
    )


def _aims(r: _Restoring, template: Template) -> Iterator[tuple[TemplateDisk, str, str]]:
    """What each disk is to be, and what becomes of it then; an empty name: it is one too many."""
    declared = {disk.name: disk.deletion_policy or DeletionPolicy.RETAIN for disk in data_disks(r.resource.spec)}
    disks = [disk for disk in template.disks if disk.image_id >= 0]
    restored = {disk.image_id for disk in disks}
    has = {one.notes[DISK] for one in r.view.images.values() if one.id not in restored and belongs(one, r.observed)}
    for number, disk in enumerate(disks):
        if number == 0:
            yield disk, ROOT, DeletionPolicy.DELETE
        elif not disk.label or r.resource.spec.disks is None:
            yield disk, f"{ROOT}.{number}", DeletionPolicy.DELETE
        elif disk.label in declared and disk.label not in has:
            yield disk, disk.label, declared[disk.label]
        else:
            yield disk, "", ""


def _begin(r: _Restoring) -> Restored:
    """What an attempt left that came to nothing goes first: its names would be in the way."""
    left = [
        image
        for image in r.view.images.values()
        if image.owner == r.observed.owner and image.name.startswith(f"{r.name}-disk-") and not image.vms
    ]
    told = waiting(Reason.RESTORING, f"{r.what} is to be restored in {where(r.cloud)}")
    if left:
        return Restored(tuple(_delete(r, image) for image in left if image.state != DELETING), told)
    stores = {one.id: one for one in r.view.datastores.values() if one.type == _IMAGE_DATASTORE}
    store = next((one.id for one in stores.values() if one.name == "default"), min(stores, default=-1))
    if store < 0:
        message = f"{where(r.cloud)} has no datastore for images: {r.what} cannot be restored there"
        return Restored(outcome=stalled(Reason.DATASTORE_NOT_FOUND, message))
    step = RestoreElsewhere(
        action=Action.RESTORE,
        target=f"{r.what} as a new machine in {where(r.cloud)}",
        cloud=r.cloud,
        backup=r.backup.id,
        datastore=store,
        name=r.name,
        addresses=r.replaced is not None,
    )
    return Restored((step,), told)


def _mark(r: _Restoring, image: Image, name: str, policy: str) -> MarkRestored:
    return MarkRestored(
        action=Action.MARK,
        target=f'image {image.id} "{image.name}" as disk "{name}"',
        fields=("spec.source",),
        cloud=r.cloud,
        name=name,
        image=image.id,
        policy=policy,
    )


def _delete(r: _Restoring, image: Image) -> DeleteDisk:
    return DeleteDisk(
        action=Action.DELETE,
        target=f'image {image.id} "{image.name}", restored and not needed',
        cloud=r.cloud,
        name="",
        image=image.id,
        image_name=image.name,
    )


def _names_of(resource: HostedInstance) -> str:
    return f"restore.{resource.metadata.uid}."


# --------------------------------------------------------------------------------------------------------- afterwards


def left_behind(m: Machine) -> Part:
    """The template that the machine was made from. Only a machine whose root disk was restored is looked at."""
    root = m.root
    image = m.view.images.get(root.image_id) if root is not None else None
    if image is None or not image.name.startswith(_names_of(m.resource)) or m.situation not in AT_REST:
        return NOTHING
    names = _names_of(m.resource)
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
