"""HostedInstance: a virtual machine."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.adoption import Adopt, was_there_before
from sovereigncloud.api.common.base import (
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
from sovereigncloud.api.common.rules import NAME_FITS_OUTSIDE, checked, exactly_one, whole_mebibytes
from sovereigncloud.api.continuity import Continuity, ContinuityStatus
from sovereigncloud.api.instance_compute import (
    MEMORY_ROOM_IS_ENOUGH,
    ROOM_IS_ENOUGH,
    CpuModel,
    Group,
    HotResize,
    PciDevice,
    Recovery,
)
from sovereigncloud.api.instance_disks import (
    MAP_BY_NAME,
    Backup,
    BackupsStatus,
    Disks,
    DisksStatus,
    RequestsStatus,
    Restore,
    Snapshot,
    SnapshotsStatus,
    SshKeysSecretRef,
)
from sovereigncloud.api.instance_networks import InstanceNetwork, InstanceNetworkStatus
from sovereigncloud.api.instance_placement import Placement, PlacementStatus

CPU_SHARE = Rule(
    "!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('10m')) >= 0 && quantity(string(self)).compareTo(quantity('512')) <= 0",
    "must be from 10m to 512 processors: write for example 500m or 2",
)


class Power(StrEnum):
    RUNNING = "Running"
    STOPPED = "Stopped"
    SUSPENDED = "Suspended"


class Source(Model):
    """Exactly one of image, template and backup: names in OpenNebula, in the cloud where the machine is placed."""

    image: OutsideName | None = Field(
        default=None,
        description="A disk image, by its name in OpenNebula; spec.vcpu and spec.memory say the rest. Exactly one of image,"
        " template and backup is set.",
    )
    template: OutsideName | None = Field(
        default=None,
        description="A VM template, by its name in OpenNebula, which brings its own size and networks. Exactly one of image,"
        " template and backup is set.",
    )
    backup: OutsideName | None = Field(
        default=None,
        description="A backup of a machine of this namespace, by the name of its image in OpenNebula, which brings size, disks"
        " and networks of that machine. Exactly one of image, template and backup is set.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "image",
            "template",
            "backup",
            remedy="image for a disk image, template for a VM template of the cloud, backup for a backup image",
        ),
    )


class CloudInit(Model):
    """What cloud-init does in the guest at its first start."""

    user_data_secret_ref: SecretKeyRef = Field(
        description="Secret that holds the cloud-init user data, in this namespace. Read once, when the machine is made."
    )


class UpdatePolicy(Model):
    """What may happen to a running machine to follow spec. All Deny by default."""

    power_cycle: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="A change that cannot be made while the machine runs, such as cpuModel, pciDevices, or memory and vcpu"
        " beyond hotResize. Allow: it is powered off, changed and started again. Deny (default): the change waits and status.plan shows it.",
    )
    replace: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="A change that needs another machine: spec.source was changed, or somebody terminated it. Allow: it is"
        " made anew with empty disks. Deny (default): that waits, and status says so.",
    )
    move: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="It is in a cloud that spec.placement excludes. Allow: one InstanceMigration is made, which shuts it down, copies"
        " it to the cloud that placement chooses and starts it there. Deny (default): that waits, and status.plan shows it. A"
        " SovereigntyPolicy with onViolation: Relocate moves it unless Deny is written here.",
    )


class HostedInstanceSpec(Managed):
    """A virtual machine: source, size, networks, power state, placement."""

    source: Source = Field(
        default=Source(),
        description="What the machine is made from, resolved in the cloud where it is placed. May be absent only with adopt.",
    )
    adopt: Adopt | None = Field(
        default=None,
        description="A machine that somebody made, in the cloud of spec.placement, to be managed from now on. With management:"
        " Observe nothing is written, and status shows what differs. With Manage it is marked, and what differed at that"
        " moment waits for spec.approvedPlan. What spec leaves out stays as it is, its name too. Absent: a machine is made.",
    )
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
    hot_resize: HotResize | None = Field(
        default=None,
        description="Room to grow: up to it vcpu and memory are raised while the machine runs. Made with the machine, and"
        " neither added nor changed later. Absent: vcpu and memory are changed in a power cycle.",
    )
    cpu_model: CpuModel | None = Field(
        default=None,
        description="Model of processor that the guest sees, for example host-passthrough. Changed in a power cycle. Absent:"
        " the hypervisor's default.",
    )
    pci_devices: Annotated[list[PciDevice], Field(max_length=8)] | None = Field(
        default=None,
        description="Devices of the host that the machine gets for itself, such as GPUs. Changed in a power cycle. Such a"
        " machine cannot be moved live. Absent: none, or those of the template.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    group: Group | None = Field(
        default=None,
        description="Machines that it runs together with, or apart from. Absent: OpenNebula places it without regard to"
        " others.",
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
    disks: Disks | None = Field(
        default=None,
        description="Size of the root disk, and data disks. A data disk is an image of its own, attached to the machine: one"
        " that is taken out is detached. Absent: the disks of the image or template, and no data disk is touched.",
        json_schema_extra=MAP_BY_NAME,
    )
    backup: Backup | None = Field(
        default=None,
        description="Backups: where to, when, how many. Absent: none are asked for, and what OpenNebula has is left as it is.",
    )
    snapshot: Snapshot | None = Field(default=None, description="A snapshot on request. Absent: none is taken.")
    restore: Restore | None = Field(
        default=None, description="Going back to a backup, on request, in place. Absent: nothing is restored."
    )
    ssh_authorized_keys: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=8192)]], Field(max_length=32)] | None
    ) = Field(
        default=None,
        description="Public keys, one line each as in authorized_keys, that may log in. Given to the guest once, at its"
        " creation. Absent: none.",
    )
    ssh_authorized_keys_secret_ref: SshKeysSecretRef | None = Field(
        default=None,
        description="Secret with further public keys, as in an authorized_keys file, in this namespace. Read once, when the"
        " machine is made. Absent: only sshAuthorizedKeys.",
    )
    cloud_init: CloudInit | None = Field(
        default=None, description="What cloud-init does at the first start. Absent: nothing beyond keys and network."
    )
    placement: Placement | None = Field(
        default=None,
        description="Where the machine may run: a constraint, never a record. Absent: any SovereignCloud that its namespace may"
        " use and that the policies allow. Where it does run is in status.placement.",
    )
    continuity: Continuity | None = Field(
        default=None,
        description="What happens when its cloud is lost: it is started elsewhere from its last copy outside. The condition"
        " FailoverReady says beforehand whether that could be done. Absent: it waits for its cloud.",
    )
    recovery: Literal[Recovery.RETRY, Recovery.MANUAL] | None = Field(
        default=None,
        description="When starting it failed. Retry (default): OpenNebula is asked to try again, three times with growing"
        " pauses; only where that can lose no data. Manual: a person does.",
    )
    update_policy: UpdatePolicy | None = Field(
        default=None,
        description="What may happen to the running machine to follow a change of spec. Absent: nothing that it would notice.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.source) || !has(self.source.image) || has(self.adopt) || (has(self.vcpu) && has(self.memory))",
            "a machine made from an image needs vcpu and memory: set both (a template brings its own)",
        ),
        ROOM_IS_ENOUGH,
        MEMORY_ROOM_IS_ENOUGH,
        Rule(
            "has(self.source) || has(self.adopt)",
            "source is needed: an image or a template to make the machine from; or adopt, with the id of one that is there",
        ),
    )


# It stands on the whole object, whose status tells whether there is a machine: a misspelt image, of which none was made, is
# corrected by an edit, and so by a commit to Git.
_SOURCE_STAYS = Rule(
    "!has(oldSelf.status) || !has(oldSelf.status.id) || has(self.spec.adopt) || !has(oldSelf.spec.source)"
    " || (has(self.spec.source) && self.spec.source == oldSelf.spec.source)"
    " || (has(self.spec.updatePolicy) && has(self.spec.updatePolicy.replace)"
    " && self.spec.updatePolicy.replace == 'Allow')",
    "source cannot be changed on a machine that exists: set updatePolicy.replace: Allow to have it made anew, which"
    " loses the data of its root disk, or make another HostedInstance",
    field=".spec.source",
)


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
    networks: Annotated[list[InstanceNetworkStatus], Field(max_length=64)] | None = Field(
        default=None, description="The network cards, in the order of spec.networks."
    )
    placement: PlacementStatus | None = Field(default=None, description="Where the machine does run, and why there.")
    console: str | None = Field(
        default=None,
        description="How to reach its screen and keyboard: its page in Sunstone, or the command on its host.",
    )
    disks: DisksStatus | None = Field(default=None, description="The data disks.", json_schema_extra=MAP_BY_NAME)
    backups: BackupsStatus | None = Field(
        default=None, description="The last backups of the machine, the newest first.", json_schema_extra=MAP_BY_NAME
    )
    snapshots: SnapshotsStatus | None = Field(
        default=None, description="The last snapshots of the machine, the newest first."
    )
    requests: RequestsStatus | None = Field(default=None, description="What became of what was asked for once.")
    continuity: ContinuityStatus | None = Field(
        default=None, description="What there is to start the machine from when its cloud is lost."
    )


class HostedInstance(Resource[HostedInstanceSpec, HostedInstanceStatus]):
    """A virtual machine in a SovereignCloud: made once, kept as declared, its differences shown field by field.

    It waits for the cloud, the image and the networks that it names. A field that is left out is set once, when the machine
    is made, and never corrected; a field that is declared is kept as it is. Nothing that a running machine would notice is
    done without spec.updatePolicy: the change waits, and status.plan shows it.

    Look with: kubectl get hinst -o wide; kubectl describe hinst NAME; kubectl wait --for=condition=Ready hinst/NAME.

    With spec.adopt it takes over a machine that somebody made, instead of making one.

    Deleting the object terminates the machine, unless spec.deletionPolicy is Retain; data disks are kept unless their own
    deletionPolicy is Delete. An adopted machine stays as it was, without a trace of the operator, unless spec.deletionPolicy
    is Delete.
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
                Column(name="Country", json_path=".status.placement.country"),
                Column(name="Failover", json_path='.status.conditions[?(@.type=="FailoverReady")].reason'),
                Column(name="Compliant", json_path='.status.conditions[?(@.type=="Compliant")].status'),
            ),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE, _SOURCE_STAYS)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE

    @property
    def deletion_policy(self) -> DeletionPolicy:
        """What was there before stays, unless spec says otherwise."""
        if self.spec.deletion_policy is None and self.adopted:
            return DeletionPolicy.RETAIN
        return super().deletion_policy

    @property
    def adopted(self) -> bool:
        """Whether its machine was there before: it was adopted, or is to be."""
        return was_there_before(self.external, "vm", self.spec.adopt)
