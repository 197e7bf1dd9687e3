"""HostedInstance: a virtual machine."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.base import (
    CloudRef,
    Column,
    Consent,
    Crd,
    DeletionPolicy,
    Managed,
    Model,
    OutsideName,
    Quantity,
    Resource,
    Rule,
    SecretKeyRef,
    Status,
    columns,
)
from sovereigncloud.api.rules import NAME_FITS_OUTSIDE, NEVER_SMALLER, checked, exactly_one, whole_mebibytes

CPU_SHARE = Rule(
    "!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('10m')) >= 0 && quantity(string(self)).compareTo(quantity('512')) <= 0",
    "must be from 10m to 512 processors: write for example 500m or 2",
)


class Power(StrEnum):
    RUNNING = "Running"
    STOPPED = "Stopped"
    SUSPENDED = "Suspended"


class Source(Model):
    """Exactly one of image and template: names in OpenNebula, in the cloud where the machine is placed."""

    image: OutsideName | None = Field(
        default=None,
        description="A disk image, by its name in OpenNebula; spec.vcpu and spec.memory say the rest. Exactly one of image and"
        " template is set.",
    )
    template: OutsideName | None = Field(
        default=None,
        description="A VM template, by its name in OpenNebula, which brings its own size and networks. Exactly one of image"
        " and template is set.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one("image", "template", remedy="image for a disk image, template for a VM template of the cloud"),
    )


class InstanceNetwork(Model):
    """A network card."""

    name: OutsideName = Field(
        description="A network of the cloud, by its name in OpenNebula; the VirtualNetwork of that name need not be in this"
        " namespace, nor exist."
    )


class InstanceDisk(Model):
    """A disk. `root` is the one that the image brings."""

    name: Literal["root"] = Field(description="Which disk. root: the one that the image brings.")
    size: Quantity = Field(
        description="Size of the disk in whole MiB, for example 20Gi. It can grow, never shrink.",
        json_schema_extra=checked(whole_mebibytes("1Mi", "64Ti"), NEVER_SMALLER),
    )


class CloudInit(Model):
    """What cloud-init does in the guest at its first start."""

    user_data_secret_ref: SecretKeyRef = Field(
        description="Secret that holds the cloud-init user data, in this namespace. Read once, when the machine is made."
    )


class Placement(Model):
    """A constraint on where it runs; where it does run is in status."""

    cloud_ref: CloudRef | None = Field(
        default=None,
        description="This cloud and no other. Absent: the only SovereignCloud of the namespace.",
    )


class UpdatePolicy(Model):
    """What may happen to a running machine to follow spec. All Deny by default."""

    power_cycle: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="A change that cannot be made while the machine runs, such as memory or vcpu. Allow: it is powered off,"
        " changed and started again. Deny (default): the change waits and status.plan shows it.",
    )
    replace: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="A change that needs another machine: spec.source was changed, or somebody terminated it. Allow: it is"
        " made anew with empty disks. Deny (default): that waits, and status says so.",
    )


class HostedInstanceSpec(Managed):
    """A virtual machine: source, size, networks, power state, placement."""

    source: Source = Field(description="What the machine is made from, resolved in the cloud where it is placed.")
    vcpu: Annotated[int, Field(ge=1, le=512)] | None = Field(
        default=None,
        description="Number of virtual processors, 1 to 512. Needed with source.image. Absent with a template: the template's.",
    )
    cpu: Quantity | None = Field(
        default=None,
        description="Share of the host's physical processors, for example 2, or 500m for half of one. Default at creation:"
        " as many as vcpu.",
        json_schema_extra=checked(CPU_SHARE),
    )
    memory: Quantity | None = Field(
        default=None,
        description="Memory in whole MiB, for example 4Gi or 512Mi. Needed with source.image. Absent with a template: the"
        " template's.",
        json_schema_extra=checked(whole_mebibytes("16Mi", "16Ti")),
    )
    power: Literal[Power.RUNNING, Power.STOPPED, Power.SUSPENDED] | None = Field(
        default=None,
        description="Running: it is started whenever it is off. Stopped: it is shut down. Suspended: it is paused and its"
        " memory kept on disk. Absent: it is started once, then power is the guest's own business.",
    )
    networks: Annotated[list[InstanceNetwork], Field(max_length=16)] | None = Field(
        default=None,
        description="Network cards, one per network, in this order. Absent: those of the template, or none.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    disks: Annotated[list[InstanceDisk], Field(max_length=16)] | None = Field(
        default=None,
        description="Sizes of the disks. Absent: as large as the image or template makes them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    ssh_authorized_keys: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=8192)]], Field(max_length=32)] | None
    ) = Field(
        default=None,
        description="Public keys, one line each as in authorized_keys, that may log in. Given to the guest once, at its"
        " creation. Absent: none.",
    )
    cloud_init: CloudInit | None = Field(
        default=None, description="What cloud-init does at the first start. Absent: nothing beyond keys and network."
    )
    placement: Placement | None = Field(
        default=None,
        description="Where the machine may run: a constraint, never a record. Absent: the only SovereignCloud of its"
        " namespace. Where it does run is in status.placement.",
    )
    update_policy: UpdatePolicy | None = Field(
        default=None,
        description="What may happen to the running machine to follow a change of spec. Absent: nothing that it would notice.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.source.image) || (has(self.vcpu) && has(self.memory))",
            "a machine made from an image needs vcpu and memory: set both (a template brings its own)",
        ),
    )


# It stands on the whole object, whose status tells whether there is a machine: a misspelt image, of which none was made, is
# corrected by an edit, and so by a commit to Git.
_SOURCE_STAYS = Rule(
    "!has(oldSelf.status) || !has(oldSelf.status.id) || self.spec.source == oldSelf.spec.source"
    " || (has(self.spec.updatePolicy) && has(self.spec.updatePolicy.replace)"
    " && self.spec.updatePolicy.replace == 'Allow')",
    "source cannot be changed on a machine that exists: set updatePolicy.replace: Allow to have it made anew, which"
    " loses the data of its root disk, or make another HostedInstance",
    field=".spec.source",
)


class PlacementStatus(Model):
    cloud: str | None = Field(default=None, description="The SovereignCloud that it runs in, as namespace/name.")
    host: str | None = Field(default=None, description="The host that it runs on.")


class HostedInstanceStatus(Status):
    id: str | None = Field(default=None, description="Number of the virtual machine in OpenNebula, as onevm shows it.")
    state: str | None = Field(
        default=None, description="What OpenNebula says the machine does, for example Running, PoweredOff or Booting."
    )
    addresses: list[str] | None = Field(
        default=None, description="IP addresses of the machine, in the order of spec.networks."
    )
    primary_address: str | None = Field(
        default=None, description="The first IP address of the machine, the one to log in to."
    )
    placement: PlacementStatus | None = Field(default=None, description="Where the machine does run.")


class HostedInstance(Resource[HostedInstanceSpec, HostedInstanceStatus]):
    """A virtual machine in a SovereignCloud: made once, kept as declared, its differences shown field by field.

    It waits for the cloud, the image and the networks that it names. A field that is left out is set once, when the machine
    is made, and never corrected; a field that is declared is kept as it is. Nothing that a running machine would notice is
    done without spec.updatePolicy: the change waits, and status.plan shows it.

    Look with: kubectl get hinst -o wide; kubectl describe hinst NAME; kubectl wait --for=condition=Ready hinst/NAME.

    Deleting the object terminates the machine and its disks, unless spec.deletionPolicy is Retain.
    """

    crd: ClassVar[Crd] = Crd(
        kind="HostedInstance",
        plural="hostedinstances",
        short_names=("hinst",),
        columns=columns(
            Column(name="State", json_path=".status.state"),
            Column(name="Address", json_path=".status.primaryAddress"),
            wide=(
                Column(name="VM", json_path=".status.id"),
                Column(name="VCPU", json_path=".spec.vcpu", type="integer"),
                Column(name="Memory", json_path=".spec.memory"),
                Column(name="Image", json_path=".spec.source.image"),
                Column(name="Cloud", json_path=".status.placement.cloud"),
                Column(name="Host", json_path=".status.placement.host"),
            ),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE, _SOURCE_STAYS)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
