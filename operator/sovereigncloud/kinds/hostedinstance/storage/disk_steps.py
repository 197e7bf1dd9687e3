"""What can be done to the data disks of a machine, and how each of it is done."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.step import ImageCall, VmCall, under_way
from sovereigncloud.kinds.hostedinstance.storage.names import marks, record
from sovereigncloud.ports.opennebula.client import OpenNebula


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDisk(VmCall):
    """A new empty image. `size` in MiB."""

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
                # virtio, which takes a disk while it runs; and a format that can be backed up incrementally.
                "DEV_PREFIX": "vd",
                "FORMAT": "qcow2",
                **marks(self.name, self.policy, context.mark(resource)),
            },
            self.datastore,
        )
        message = f'image {made} "{self.image_name}" created for disk "{self.name}"'
        return done(Reason.CREATED, message, **{record(self.name): str(made)})


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkDisk(VmCall):
    """Write on an image whose disk it is, and what is to become of it."""

    name: str
    image: int
    policy: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        await client.update_image(self.image, marks(self.name, self.policy, context.mark(resource)))
        return done(
            Reason.MARKED, f'image {self.image} is disk "{self.name}" now', **{record(self.name): str(self.image)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePersistent(VmCall):
    """Of an image that was restored: the machine is to work on it, not on a copy that goes with the machine."""

    image: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.make_persistent(self.image)
        return done()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachDisk(VmCall):
    name: str
    image: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.attach_disk(self.vm, self.image, self.name)
        message = f'attaching disk "{self.name}" (image {self.image}) to VM {self.vm}'
        outcome = under_way(Reason.ATTACHING_DISK, message, alive=True)
        return outcome.with_facts(**{record(self.name): str(self.image)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachDisk(VmCall):
    """`fate`: what becomes of its image, for people."""

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
    name: str
    image: int
    image_name: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.delete_image(self.image)
        of = f' of disk "{self.name}"' if self.name else ""
        message = f'image {self.image} "{self.image_name}"{of} is being deleted'
        outcome = waiting(Reason.DELETING_DISK, message, available=True)
        return outcome.with_facts(**{record(self.name): ""}) if self.name else outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDisk(ImageCall):
    """Record which image it is, or (`image` empty) that there is none any more. Nothing outside."""

    name: str
    image: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        return done().with_facts(**{record(self.name): self.image})


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreElsewhere(ImageCall):
    """A backup as a template and images called `name`."""

    backup: int
    datastore: int
    name: str
    addresses: bool

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        made = await client.storage.restore_elsewhere(self.backup, self.datastore, self.name, addresses=self.addresses)
        return waiting(Reason.RESTORING, f"backup {self.backup} is being restored as template {made}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRestored(ImageCall):
    """Write on an image that was restored which disk it is."""

    name: str
    image: int
    policy: str

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:
        await client.update_image(self.image, marks(self.name, self.policy, context.mark(resource)))
        return done()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRestoredTemplate(ImageCall):
    template: int

    async def do(self, client: OpenNebula, context: Context, resource: HostedInstance) -> Outcome:  # noqa: ARG002
        await client.storage.delete_template(self.template)
        return done()
