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
)
from sovereigncloud.api.rules import NAME_FITS_OUTSIDE, NEVER_SMALLER, checked, exactly_one, whole_mebibytes

CPU_SHARE = Rule(
    "quantity(string(self)).compareTo(quantity('10m')) >= 0 && quantity(string(self)).compareTo(quantity('512')) <= 0",
    "must be from 10m to 512 processors: write for example 500m or 2",
)


class Power(StrEnum):
    RUNNING = "Running"
    STOPPED = "Stopped"
    SUSPENDED = "Suspended"


class Source(Model):
    """Exactly one of image and template: names in OpenNebula, in the cloud where the machine is placed."""

    image: OutsideName | None = Field(default=None, description="An image of the cloud.")
    template: OutsideName | None = Field(default=None, description="A VM template of the cloud.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one("image", "template", remedy="image for a disk image, template for a VM template of the cloud"),
    )


class InstanceNetwork(Model):
    """A network card."""

    name: OutsideName = Field(description="A network of the cloud, by its name in OpenNebula.")


class InstanceDisk(Model):
    """A disk. `root` is the one that the image brings."""

    name: Literal["root"] = Field(description="root: the disk that the image brings.")
    size: Quantity = Field(
        description="Its size in whole MiB, for example 20Gi. It can grow, never shrink.",
        json_schema_extra=checked(whole_mebibytes("1Mi", "64Ti"), NEVER_SMALLER),
    )


class CloudInit(Model):
    user_data_secret_ref: SecretKeyRef = Field(description="Secret with the user data, under the key userData.")


class Placement(Model):
    """A constraint on where it runs; where it does run is in status."""

    cloud_ref: CloudRef | None = Field(default=None, description="This cloud and no other.")


class UpdatePolicy(Model):
    """What may happen to a running machine to follow spec. All Deny by default."""

    power_cycle: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None, description="Power it off and on where a change cannot be made while it runs."
    )
    replace: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None, description="Make it anew: after somebody terminated it, or where its source changed."
    )


class HostedInstanceSpec(Managed):
    """A virtual machine: source, size, networks, power state, placement."""

    source: Source = Field(description="What it is made from.")
    vcpu: Annotated[int, Field(ge=1, le=512)] | None = Field(default=None, description="Virtual processors.")
    cpu: Quantity | None = Field(
        default=None,
        description="Share of physical processors, for example 1 or 500m. Default at creation: vcpu.",
        json_schema_extra=checked(CPU_SHARE),
    )
    memory: Quantity | None = Field(
        default=None,
        description="Memory in whole MiB, for example 4Gi.",
        json_schema_extra=checked(whole_mebibytes("16Mi", "16Ti")),
    )
    power: Literal[Power.RUNNING, Power.STOPPED, Power.SUSPENDED] | None = Field(
        default=None, description="Running, Stopped or Suspended. Absent: started once, then the guest's own business."
    )
    networks: Annotated[list[InstanceNetwork], Field(max_length=16)] | None = Field(
        default=None,
        description="Its network cards, one per network.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    disks: Annotated[list[InstanceDisk], Field(max_length=16)] | None = Field(
        default=None,
        description="Its disks.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    ssh_authorized_keys: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=8192)]], Field(max_length=32)] | None
    ) = Field(default=None, description="Public keys that may log in, given to the guest at creation.")
    cloud_init: CloudInit | None = Field(default=None, description="User data, given to the guest at creation.")
    placement: Placement | None = Field(
        default=None, description="Where it may run. Absent: the only SovereignCloud of its namespace."
    )
    update_policy: UpdatePolicy | None = Field(default=None, description="What may happen to it to follow spec.")

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
    id: str | None = Field(default=None, description="Id of the virtual machine in OpenNebula.")
    state: str | None = Field(default=None, description="Its state in words, for example Running or PoweredOff.")
    addresses: list[str] | None = Field(default=None, description="Its addresses, in the order of spec.networks.")
    primary_address: str | None = Field(default=None, description="The first of its addresses.")
    placement: PlacementStatus | None = Field(default=None, description="Where it runs.")


class HostedInstance(Resource[HostedInstanceSpec, HostedInstanceStatus]):
    """A virtual machine in a SovereignCloud: made once, kept as declared, its differences shown field by field."""

    crd: ClassVar[Crd] = Crd(
        kind="HostedInstance",
        plural="hostedinstances",
        short_names=("hinst",),
        columns=(
            Column(name="Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Reason", json_path='.status.conditions[?(@.type=="Ready")].reason'),
            Column(name="State", json_path=".status.state"),
            Column(name="Address", json_path=".status.primaryAddress"),
            Column(name="Drift", json_path=".status.driftCount", type="integer"),
            Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
            Column(name="Cloud", json_path=".status.placement.cloud", priority=1),
            Column(name="Host", json_path=".status.placement.host", priority=1),
            Column(name="Message", json_path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE, _SOURCE_STAYS)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
