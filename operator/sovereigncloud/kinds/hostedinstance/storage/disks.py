"""The disks of a machine: the root disk grows, data disks are made, attached, grown and detached.

What is attached and belongs to nobody whom spec knows is reported and never detached: a person put it there, and what is on
it is theirs.
"""

from __future__ import annotations

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instance_disks import ROOT, InstanceDisk
from sovereigncloud.core.outcome import Outcome, Phase, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Drift, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.hostedinstance.machine.machine import NEEDS_POWER, NOTHING, Machine, Part, together
from sovereigncloud.kinds.hostedinstance.steps import GrowDisk
from sovereigncloud.kinds.hostedinstance.storage.data_disks import (
    Found,
    attached_images,
    data_disks,
    find,
    name_of,
    recorded_names,
)
from sovereigncloud.kinds.hostedinstance.storage.disk_steps import (
    AttachDisk,
    CreateDisk,
    DeleteDisk,
    DetachDisk,
    MakePersistent,
    MarkDisk,
    RecordDisk,
)
from sovereigncloud.kinds.hostedinstance.storage.image_checks import not_to_be_taken
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, POLICY, record, with_root
from sovereigncloud.kinds.identity.name_resolution import resolve
from sovereigncloud.kinds.identity.usage_rights import usable_images
from sovereigncloud.ports.opennebula.image_states import BOOTABLE_TYPES, DELETING, ready_for_a_machine
from sovereigncloud.ports.opennebula.views import Disk, Image
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_GROW_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF, Situation.UNDEPLOYED})
_PLUG_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF})
_IMAGE_DATASTORE = 0
_DEFAULT_DATASTORE = "default"


def root_disk(m: Machine) -> Part:
    """It grows while the machine runs or is off; it never shrinks."""
    wanted = m.sizes.root_size
    if wanted is None:
        return NOTHING
    root = m.root
    if root is None:
        return Part(outcome=stalled(Reason.NO_ROOT_DISK, f"{m.target} has no root disk; take spec.disks[root] out"))
    return _size(m, root, ROOT, wanted)


def disks(m: Machine) -> Part:
    """The data disks of spec, and what is attached beside them. Without spec.disks nothing is touched."""
    if m.resource.spec.disks is None:
        return NOTHING
    parts = [_data_disk(m, disk) for disk in data_disks(m.resource.spec)]
    parts += [_taken_out(m, name) for name in _not_in_spec(m)]
    if foreign := _foreign(m):
        parts.append(Part(drift=foreign))
    return together(parts)


# ---------------------------------------------------------------------------------------------------------------- sizes


def _size(m: Machine, disk: Disk, name: str, wanted: int) -> Part:
    if disk.size == wanted:
        return NOTHING
    drift = Drift(f"{_path(name)}.size", capacity.size(wanted), capacity.size(disk.size))
    if disk.size > wanted:
        trouble = stalled(
            Reason.CANNOT_SHRINK,
            f"the {name} disk of {m.target} has {drift.observed} and cannot shrink to {drift.desired};"
            f" set {drift.path} to {drift.observed}",
        )
        return Part(drift=(drift,), outcome=trouble)
    if m.situation not in AT_REST:
        return Part(drift=(drift,))
    step = GrowDisk(
        action=Action.UPDATE,
        target=f"disk {disk.id} of {m.target}",
        fields=(drift.path,),
        cause=m.cause,
        needs="" if m.situation in _GROW_STATES else NEEDS_POWER,
        cloud=m.cloud,
        vm=m.vm.id,
        disk=disk.id,
        size=wanted,
    )
    return Part(drift=(drift,), steps=(step,))


def _path(name: str) -> str:
    return f"spec.disks[{name}]"


# ----------------------------------------------------------------------------------------------------------- data disks


def _data_disk(m: Machine, wanted: InstanceDisk) -> Part:
    try:
        size = capacity.disk_size(wanted)
    except ValueError as error:
        return Part(outcome=stalled(Reason.INVALID_SPEC, str(error)))
    found = find(m, wanted.name)
    if len(found.images) > 1:
        ids = ", ".join(str(image.id) for image in sorted(found.images, key=lambda one: one.id))
        trouble = stalled(
            Reason.MULTIPLE_MATCHES,
            f'images {ids} are all marked as disk "{wanted.name}" of this instance; keep one, and remove {DISK} from the'
            " others in OpenNebula",
        )
        return Part(outcome=trouble)
    if found.image is not None and found.disk is not None:
        return _attached(m, wanted, found.image, found.disk, size)
    if found.image is not None:
        return _attach(m, wanted, found.image)
    if wanted.image is not None:
        return _from_image(m, wanted, wanted.image)
    return _new(m, wanted, found, size or 0)


def _attached(m: Machine, wanted: InstanceDisk, image: Image, disk: Disk, size: int | None) -> Part:
    steps: tuple[Step, ...] = ()
    if m.resource.external.get(record(wanted.name)) != str(image.id):
        steps = (_note(m, wanted.name, str(image.id)),)
    marked = _marked(m, wanted, image)
    grown = NOTHING if size is None else _size(m, disk, wanted.name, size)
    return Part(drift=(*marked.drift, *grown.drift), steps=(*steps, *marked.steps, *grown.steps), outcome=grown.outcome)


def _marked(m: Machine, wanted: InstanceDisk, image: Image) -> Part:
    """What its image says of it. One that nobody marked is somebody's own: nothing is written on it."""
    if image.mark is None:
        return NOTHING
    policy = _policy(wanted)
    told = image.notes.get(POLICY, "")
    path = f"{_path(wanted.name)}.deletionPolicy"
    right = image.mark == m.observed.mark and image.notes.get(DISK) == wanted.name
    if right and told == policy:
        return NOTHING
    drift = (Drift(path, policy, told or "nothing"),) if told != policy and right else ()
    return Part(drift=drift, steps=(_mark(m, wanted.name, image, policy, path),))


def _policy(wanted: InstanceDisk) -> str:
    return wanted.deletion_policy or DeletionPolicy.RETAIN


def _mark(m: Machine, name: str, image: Image, policy: str, path: str) -> MarkDisk:
    return MarkDisk(
        action=Action.MARK,
        target=f'image {image.id} "{image.name}" as disk "{name}" of {m.target}',
        fields=(path,),
        cloud=m.cloud,
        vm=m.vm.id,
        name=name,
        image=image.id,
        policy=policy,
    )


def _attach(m: Machine, wanted: InstanceDisk, image: Image) -> Part:
    drift = (Drift(_path(wanted.name), "attached", f'image {image.id} "{image.name}" is not attached'),)
    trouble = ready_for_a_machine(image, where(m.cloud))
    if trouble.phase is not Phase.DONE or m.situation not in AT_REST:
        return Part(drift=drift, outcome=trouble)
    marked = _marked(m, wanted, image)
    if image.mark is not None and not image.persistent:
        # It was restored from a backup: made persistent before it is used, so that its data outlives the machine.
        keep = MakePersistent(
            action=Action.UPDATE, target=f"image {image.id}", fields=(drift[0].path,), cloud=m.cloud, vm=m.vm.id,
            image=image.id,
        )  # fmt: skip
        return Part(drift=drift, steps=(*marked.steps, keep))
    step = AttachDisk(
        action=Action.ATTACH,
        target=f'disk "{wanted.name}" (image {image.id} "{image.name}") to {m.target}',
        fields=(drift[0].path,),
        cause=m.cause,
        needs="" if m.situation in _PLUG_STATES else NEEDS_POWER,
        cloud=m.cloud,
        vm=m.vm.id,
        name=wanted.name,
        image=image.id,
    )
    return Part(drift=drift, steps=(*marked.steps, step))


def _from_image(m: Machine, wanted: InstanceDisk, name: str) -> Part:
    """An image that is there: taken over if another instance of the namespace left it behind, else used as it is."""
    drift = (Drift(_path(wanted.name), "attached", "absent"),)
    candidates = [image for image in usable_images(m.view, m.observed.tenancy) if image.type in BOOTABLE_TYPES]
    image = resolve("image", name, candidates, m.observed.on_their_way, where(m.cloud))
    if isinstance(image, Outcome):
        return Part(drift=drift, outcome=image)
    disk = next((one for one in m.vm.disks if one.image_id == image.id), None)
    if disk is not None:
        return _attached(m, wanted, image, disk, None if wanted.size is None else capacity.disk_size(wanted))
    trouble = not_to_be_taken(m, wanted.name, image)
    if trouble.phase is not Phase.DONE:
        return Part(drift=drift, outcome=trouble)
    return _attach(m, wanted, image)


def _new(m: Machine, wanted: InstanceDisk, found: Found, size: int) -> Part:
    path = _path(wanted.name)
    if found.lost is not None:
        drift = Drift(path, f"image {found.lost}", "gone", mendable=False)
        trouble = stalled(
            Reason.EXTERNALLY_DELETED,
            f'image {found.lost} of disk "{wanted.name}" of {m.target} is gone, and what was on it; take the disk out of'
            " spec.disks, and then add it again to have a new empty one",
        )
        return Part(drift=(drift,), outcome=trouble)
    name = f"{m.resource.outside_name[:90]}-{wanted.name}"
    namesake = next((i for i in m.view.images.values() if i.name == name and i.owner == m.observed.owner), None)
    if namesake is not None:
        taken = f'image {namesake.id} of user {namesake.owner} in {where(m.cloud)} is called "{name}" already'
        return Part(
            outcome=stalled(
                Reason.NAME_TAKEN, f"{taken}; rename it there, or name it in {path}.image to have it attached"
            )
        )
    datastore = _datastore(m)
    if isinstance(datastore, Outcome):
        return Part(outcome=datastore)
    drift = Drift(path, "attached", "absent")
    if m.situation not in AT_REST:
        return Part(drift=(drift,))
    step = CreateDisk(
        action=Action.CREATE,
        target=f'image "{name}" for disk "{wanted.name}" of {m.target}',
        fields=(path,),
        cause=m.cause,
        part=True,
        cloud=m.cloud,
        vm=m.vm.id,
        name=wanted.name,
        image_name=name,
        size=size,
        policy=_policy(wanted),
        datastore=datastore,
    )
    return Part(drift=(drift,), steps=(step,), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _datastore(m: Machine) -> int | Outcome:
    """Where the image of the root disk is, else the one called default, else the only one for images."""
    root = m.root
    image = m.view.images.get(root.image_id) if root is not None else None
    stores = {one.id: one for one in m.view.datastores.values() if one.type == _IMAGE_DATASTORE}
    if image is not None and image.datastore_id in stores:
        return image.datastore_id
    named = [one.id for one in stores.values() if one.name == _DEFAULT_DATASTORE] or sorted(stores)
    if named:
        return named[0]
    return stalled(
        Reason.DATASTORE_NOT_FOUND, f"{where(m.cloud)} has no datastore for images, so no data disk can be made"
    )


# ------------------------------------------------------------------------------------------------------ not in spec


def _not_in_spec(m: Machine) -> tuple[str, ...]:
    """Data disks of this instance that spec does not name, attached or recorded."""
    recorded = recorded_names(m.resource.external)
    if not (m.disk_names or recorded):
        return ()
    named = {disk.name for disk in data_disks(m.resource.spec)} | {ROOT}
    attached = (name_of(disk, m) for disk, _ in attached_images(m))
    known = [*(name for name in attached if name is not None), *recorded]
    return tuple(name for name in dict.fromkeys(known) if name not in named and not with_root(name))


def _taken_out(m: Machine, name: str) -> Part:
    """Detached; then its image is kept, or deleted, as was declared while spec named it."""
    found = find(m, name)
    image, disk = found.image, found.disk
    if image is None:
        return Part(steps=(_note(m, name, ""),)) if found.lost is not None and not found.images else NOTHING
    deletes = image.mark == m.observed.mark and image.notes.get(POLICY) == DeletionPolicy.DELETE
    what = f'image {image.id} "{image.name}"'
    delete = DeleteDisk(
        action=Action.DELETE,
        target=f'{what} of disk "{name}"',
        fields=(_path(name),),
        disruption=Disruption.DATA_LOSS,
        cause=m.cause,
        cloud=m.cloud,
        name=name,
        image=image.id,
        image_name=image.name,
    )
    if disk is None:
        if image.state == DELETING:
            return Part(outcome=waiting(Reason.DELETING_DISK, f"{what} is being deleted", available=True))
        return Part(steps=(delete,)) if deletes and not image.vms else NOTHING
    drift = (Drift(_path(name), "absent", f"disk {disk.id}, {what}"),)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    detach = DetachDisk(
        action=Action.DETACH,
        target=f'disk {disk.id} "{name}" from {m.target}',
        fields=(_path(name),),
        disruption=Disruption.NONE if deletes or image.persistent else Disruption.DATA_LOSS,
        cause=m.cause,
        needs="" if m.situation in _PLUG_STATES else NEEDS_POWER,
        cloud=m.cloud,
        vm=m.vm.id,
        name=name,
        disk=disk.id,
        fate=f"{what} is deleted then" if deletes else f"{what} is kept",
    )
    return Part(drift=drift, steps=(detach, delete) if deletes else (detach,))


def _note(m: Machine, name: str, image: str) -> RecordDisk:
    return RecordDisk(
        action=Action.UPDATE, target=f'disk "{name}" of {m.target}', inside=True, cloud=m.cloud, name=name, image=image
    )


def _foreign(m: Machine) -> tuple[Drift, ...]:
    """What somebody attached. Of a template's own disks, clones and volatile ones, nobody can tell who brought them."""
    if m.situation not in AT_REST:
        return ()
    root, by_image = m.root, m.resource.spec.source.image is not None
    strange = [
        disk
        for disk in m.vm.disks
        if disk != root
        and name_of(disk, m) is None
        and not _named_in_spec(m, disk)
        and (by_image or _is_persistent(m, disk))
    ]
    if not strange:
        return ()
    return tuple(
        Drift(
            _path(disk.image or f"disk-{disk.id}"),
            "absent",
            f"disk {disk.id}, which somebody attached: it is only reported",
            mendable=False,
        )
        for disk in strange
    )


def _is_persistent(m: Machine, disk: Disk) -> bool:
    image = m.view.images.get(disk.image_id)
    return image is not None and image.persistent


def _named_in_spec(m: Machine, disk: Disk) -> bool:
    return disk.image_id >= 0 and any(wanted.image == disk.image for wanted in data_disks(m.resource.spec))
