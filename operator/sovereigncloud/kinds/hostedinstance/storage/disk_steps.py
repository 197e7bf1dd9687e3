"""Steps on data disks and on images restored from a backup."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.disk_names import image_attributes, record_key
from sovereigncloud.kinds.hostedinstance.machine.step import ImageCall, VmCall, under_way
from sovereigncloud.ports.opennebula.client import OpenNebula


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDisk(VmCall):
    """Create an empty image for a data disk; `size` in MiB."""

    name: str
    image_name: str
    size: int
    policy: str
    datastore: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        made = await client.create_image(
            {
                "NAME": self.image_name,
                "TYPE": "DATABLOCK",
                "SIZE": str(self.size),
                "PERSISTENT": "YES",
                # virtio can be attached to a running VM; qcow2 can be backed up incrementally.
                "DEV_PREFIX": "vd",
                "FORMAT": "qcow2",
                **image_attributes(self.name, self.policy, context.mark(resource)),
            },
            self.datastore,
        )
        message = f'image {made} "{self.image_name}" created for disk "{self.name}"'
        return done(Reason.CREATED, message, **{record_key(self.name): str(made)})


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkDisk(VmCall):
    """Write instance, disk name and deletion policy to an image."""

    name: str
    image: int
    policy: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        await client.update_image(self.image, image_attributes(self.name, self.policy, context.mark(resource)))
        return done(
            Reason.MARKED, f'image {self.image} is disk "{self.name}" now', **{record_key(self.name): str(self.image)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePersistent(VmCall):
    """Make a restored image persistent.

    Otherwise the VM would use a clone that is deleted with the VM.
    """

    image: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.make_persistent(self.image)
        return done()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachDisk(VmCall):
    """Attach an image as data disk."""

    name: str
    image: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.attach_disk(self.vm, self.image, self.name)
        message = f'attaching disk "{self.name}" (image {self.image}) to VM {self.vm}'
        outcome = under_way(Reason.ATTACHING_DISK, message, alive=True)
        return outcome.with_facts(**{record_key(self.name): str(self.image)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachDisk(VmCall):
    """Detach a data disk. `fate`: what happens to its image, for messages."""

    name: str
    disk: int
    fate: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.detach_disk(self.vm, self.disk)
        return under_way(
            Reason.DETACHING_DISK, f'detaching disk "{self.name}" from VM {self.vm}; {self.fate}', alive=True
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDisk(ImageCall):
    """Delete the image of a data disk, or a surplus restored image (`name` empty)."""

    name: str
    image: int
    image_name: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.delete_image(self.image)
        of = f' of disk "{self.name}"' if self.name else ""
        message = f'image {self.image} "{self.image_name}"{of} is being deleted'
        outcome = waiting(Reason.DELETING_DISK, message, available=True)
        return outcome.with_facts(**{record_key(self.name): ""}) if self.name else outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDisk(ImageCall):
    """Record the image id of a disk in status; an empty `image` removes it.

    Changes nothing in OpenNebula.
    """

    name: str
    image: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        return done().with_facts(**{record_key(self.name): self.image})


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreAsTemplate(ImageCall):
    """Restore a backup as a new VM template and images called `name`."""

    backup: int
    datastore: int
    name: str
    addresses: bool

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        made = await client.storage.restore_elsewhere(self.backup, self.datastore, self.name, addresses=self.addresses)
        return waiting(Reason.RESTORING, f"backup {self.backup} is being restored as template {made}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRestored(ImageCall):
    """Write instance, disk name and deletion policy to a restored image."""

    name: str
    image: int
    policy: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        await client.update_image(self.image, image_attributes(self.name, self.policy, context.mark(resource)))
        return done()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRestoredTemplate(ImageCall):
    """Delete the VM template that a restore created."""

    template: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.delete_template(self.template)
        return done()
