"""Disks, backups and snapshots of the OpenNebula in memory, behind the port `Storage`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sovereigncloud.ports.errors import Conflict, Rejected
from sovereigncloud.ports.opennebula.storage import ScheduledAction, TemplateDisk, VmSnapshot
from sovereigncloud.ports.opennebula.views import Disk, Image, Template

RUNNING, POWEROFF = (3, 3), (8, 0)
USED_PERSISTENT, READY, LOCKED = 8, 1, 4
BACKUP, DATABLOCK = 6, 2


class Storage:
    """Each verb writes into the OpenNebula that it belongs to. `fails`: verbs that are taken and come to nothing."""

    def __init__(self, one: Any) -> None:
        self.one = one
        self.actions: dict[int, list[ScheduledAction]] = {}
        self.fails: set[str] = set()
        self.reads: list[int] = []
        self.time = 1_795_000_000

    def _done(self, verb: str, *what: Any) -> None:
        self.one._wrote(verb, *what)
        self.one._answer(verb)

    def _at(self, vm_id: int, *allowed: tuple[int, int]) -> tuple[int, int]:
        return self.one._at(vm_id, *allowed)

    def _vm(self, vm_id: int, at: tuple[int, int] | None = None, **fields: Any) -> None:
        state = {} if at is None else {"state": at[0], "lcm_state": at[1]}
        self.one.vms[vm_id] = replace(self.one.vms[vm_id], **state, **fields)

    def _image(self, image_id: int, **fields: Any) -> None:
        self.one.images[image_id] = replace(self.one.images[image_id], **fields)

    # -- disks

    def disks_of(self, vm_id: int, template: dict[str, Any]) -> dict[str, tuple[Disk, ...]]:
        """Those of a new machine, of which its images know."""
        if "DISK" not in template:
            return {}
        disks = []
        for number, wanted in enumerate(template["DISK"]):
            image: Image = self.one.images[int(wanted["IMAGE_ID"])]
            disks.append(Disk(number, image.id, image.name, int(wanted.get("SIZE", image.size))))
            self._image(image.id, vms=(*image.vms, vm_id), state=USED_PERSISTENT if image.persistent else 2)
        return {"disks": tuple(disks)}

    async def attach_disk(self, vm_id: int, image_id: int, label: str) -> None:
        at = self._at(vm_id, RUNNING, POWEROFF)
        image: Image = self.one.images[image_id]
        if image.state not in {1, 2}:
            raise Rejected(f"Cannot acquire image {image_id}")
        disks = self.one.vms[vm_id].disks
        number = 1 + max((disk.id for disk in disks), default=0)
        disk = Disk(number, image_id, image.name, image.size, label)
        self._vm(vm_id, (3, 17) if at == RUNNING else (3, 33), disks=(*disks, disk))
        self._image(image_id, vms=(*image.vms, vm_id), state=USED_PERSISTENT if image.persistent else 2)
        self._done("attach_disk", vm_id, image_id, label)

    async def detach_disk(self, vm_id: int, disk_id: int) -> None:
        at = self._at(vm_id, RUNNING, POWEROFF)
        disks = self.one.vms[vm_id].disks
        gone = next(disk for disk in disks if disk.id == disk_id)
        self._vm(vm_id, (3, 17) if at == RUNNING else (3, 34), disks=tuple(disk for disk in disks if disk != gone))
        self.give_back(vm_id, (gone,))
        self._done("detach_disk", vm_id, disk_id)

    def give_back(self, vm_id: int, disks: tuple[Disk, ...]) -> None:
        for disk in disks:
            image = self.one.images.get(disk.image_id)
            if image is not None and vm_id in image.vms:
                vms = tuple(other for other in image.vms if other != vm_id)
                self._image(image.id, vms=vms, state=2 if vms else READY, size=max(image.size, disk.size))

    async def make_persistent(self, image_id: int) -> None:
        if self.one.images[image_id].vms:
            raise Conflict("Image has to be READY")
        self._image(image_id, persistent=True)
        self._done("make_persistent", image_id)

    # -- backups

    async def configure_backups(self, vm_id: int, *, keep_last: int | None, mode: str | None) -> None:
        known = self.one.vms[vm_id].backups
        changed = replace(
            known,
            keep_last=known.keep_last if keep_last is None else keep_last,
            mode=known.mode if mode is None else mode,
        )
        self._vm(vm_id, backups=changed)
        self._done("configure_backups", vm_id, keep_last, mode)

    async def scheduled(self, vm_id: int) -> tuple[ScheduledAction, ...]:
        self.reads.append(vm_id)
        return tuple(self.actions.get(vm_id, ()))

    async def schedule(self, vm_id: int, action: ScheduledAction) -> int:
        new = self.one._id()
        self.actions.setdefault(vm_id, []).append(replace(action, id=new))
        self._vm(vm_id, schedules=self.one.vms[vm_id].schedules | {new})
        self._done("schedule", vm_id, action)
        return int(new)

    async def reschedule(self, vm_id: int, action: ScheduledAction) -> None:
        others = [known for known in self.actions[vm_id] if known.id != action.id]
        assert len(others) < len(self.actions[vm_id]), "SCHED_ACTION doesn't exist"
        self.actions[vm_id] = [*others, action]
        self._done("reschedule", vm_id, action)

    async def unschedule(self, vm_id: int, action_id: int) -> None:
        self.actions[vm_id] = [known for known in self.actions[vm_id] if known.id != action_id]
        self._vm(vm_id, schedules=self.one.vms[vm_id].schedules - {action_id})
        self._done("unschedule", vm_id, action_id)

    async def back_up(self, vm_id: int, datastore_id: int) -> None:
        at = self._at(vm_id, RUNNING, POWEROFF)
        self._vm(vm_id, (3, 69) if at == RUNNING else (3, 70))
        self._done("back_up", vm_id, datastore_id)

    def tick(self, machine: Any, *, ended: bool) -> None:
        if machine.state == 3 and machine.lcm_state in {69, 70}:
            self.backed_up(machine.id)
        if ended:
            self.give_back(machine.id, machine.disks)

    def backed_up(self, vm_id: int) -> None:
        """What a backup that ends leaves."""
        if "back_up" in self.fails:
            return
        found, new = self.one.vms[vm_id], self.one._id()
        self.time += 60
        template: Image = self.one.images.get(7) or next(iter(self.one.images.values()))
        self.one.images[new] = replace(
            template, id=new, name=f"{vm_id} backup-{new}", owner=found.owner, type=BACKUP, state=READY, vms=(), mark=None,
            backup_of=vm_id, time=self.time, notes={},
        )  # fmt: skip
        images = (*found.backups.images, new)
        if found.backups.keep_last:
            images = images[-found.backups.keep_last :]
        self._vm(vm_id, backups=replace(found.backups, images=images))

    # -- snapshots, restore

    async def take_snapshot(self, vm_id: int, name: str) -> None:
        self._at(vm_id, RUNNING)
        known = self.one.vms[vm_id].snapshots
        self.time += 60
        made = VmSnapshot(1 + max((one.id for one in known), default=-1), name, self.time)
        self._vm(vm_id, (3, 24), snapshots=known if "take_snapshot" in self.fails else (*known, made))
        self._done("take_snapshot", vm_id, name)

    async def delete_snapshot(self, vm_id: int, snapshot_id: int) -> None:
        self._at(vm_id, RUNNING)
        left = tuple(one for one in self.one.vms[vm_id].snapshots if one.id != snapshot_id)
        self._vm(vm_id, (3, 24), snapshots=left)
        self._done("delete_snapshot", vm_id, snapshot_id)

    async def restore(self, vm_id: int, image_id: int, increment: int, disk_id: int) -> None:
        self._at(vm_id, POWEROFF)
        self._vm(vm_id, (3, 71))
        self._done("restore", vm_id, image_id, increment, disk_id)

    async def restore_elsewhere(self, image_id: int, datastore_id: int, name: str, *, addresses: bool) -> int:
        if any(image.name == f"{name}-disk-0" for image in self.one.images.values()):
            raise Conflict("NAME is already taken by IMAGE 0.")
        labels = self.one.backed_up_disks
        disks = []
        for number, label in enumerate(labels):
            new = self.one._id()
            self.one.images[new] = replace(
                self.one.images[image_id], id=new, name=f"{name}-disk-{number}", owner=2, state=LOCKED, notes={},
                type=DATABLOCK if number else 0, mark=None, backup_of=-1,
            )  # fmt: skip
            disks.append(TemplateDisk(new, label))
            if "restore_elsewhere" in self.fails:
                raise Rejected("Error restoring disk image")
        made = self.one._id()
        self.one.templates[made] = Template(made, name, 2, disks=tuple(disks))
        self._done("restore_elsewhere", image_id, datastore_id, name, addresses)
        return int(made)

    async def delete_template(self, template_id: int) -> None:
        del self.one.templates[template_id]
        self._done("delete_template", template_id)
