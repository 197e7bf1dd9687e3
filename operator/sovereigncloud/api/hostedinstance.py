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
    """Source of the VM: exactly one of image, template and backup, as OpenNebula names in its cloud."""

    image: OutsideName | None = Field(
        default=None,
        description="OpenNebula name of a disk image; requires spec.vcpu and spec.memory. Exactly one of image, template"
        " and backup is set.",
    )
    template: OutsideName | None = Field(
        default=None,
        description="OpenNebula name of a VM template, which defines size and networks. Exactly one of image, template and"
        " backup is set.",
    )
    backup: OutsideName | None = Field(
        default=None,
        description="OpenNebula image name of a VM backup of this namespace, which defines size, disks and networks."
        " Exactly one of image, template and backup is set.",
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
    """cloud-init configuration for the first boot."""

    user_data_secret_ref: SecretKeyRef = Field(
        description="Secret in this namespace with the cloud-init user data. It is read once, at creation."
    )


class UpdatePolicy(Model):
    """Disruptive actions on a running VM that are allowed to apply spec. All are denied by default."""

    power_cycle: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="Changes that need a power cycle, for example of cpuModel, pciDevices, or memory and vcpu beyond"
        " hotResize. Allow: the VM is powered off, changed and started again. Deny (default): the change waits"
        " and status.plan shows it.",
    )
    replace: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="Changes that need a new VM: spec.source changed, or the VM was terminated outside the operator. Allow:"
        " the VM is created again with empty disks. Deny (default): the change waits and status shows it.",
    )
    move: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="Migration of a VM whose cloud spec.placement excludes. Allow: the operator creates one"
        " InstanceMigration, which shuts the VM down, copies it to the cloud that placement selects and starts"
        " it there. Deny (default): the change waits and status.plan shows it. A SovereigntyPolicy with"
        " onViolation: Relocate moves the VM unless Deny is set explicitly.",
    )


class HostedInstanceSpec(Managed):
    """Desired state of a VM: source, size, networks, power state, placement."""

    source: Source = Field(
        default=Source(),
        description="Source of the VM, resolved in the cloud where the VM is placed. May be absent only with adopt.",
    )
    adopt: Adopt | None = Field(
        default=None,
        description="Adopts an existing VM in the cloud of spec.placement. With management: Observe the operator writes"
        " nothing and shows differences in status. With Manage it marks the VM and waits for spec.approvedPlan"
        " before it changes existing differences. Fields that are absent in spec are not changed, including the"
        " name. Absent: the operator creates a VM.",
    )
    vcpu: Annotated[int, Field(ge=1, le=512)] | None = Field(
        default=None,
        description="Number of virtual processors, 1 to 512. Required with source.image. Absent with a template: the value"
        " of the template.",
    )
    cpu: Quantity | None = Field(
        default=None,
        description="Physical CPU share of the host in processors, for example 2, or 500m for half of one. Default at"
        " creation: the value of vcpu.",
        json_schema_extra=checked(CPU_SHARE),
    )
    memory: Quantity | None = Field(
        default=None,
        description="Memory in whole MiB, for example 4Gi or 512Mi. Required with source.image. Absent with a template: the"
        " value of the template.",
        json_schema_extra=checked(whole_mebibytes("16Mi", "16Ti")),
    )
    hot_resize: HotResize | None = Field(
        default=None,
        description="Limits up to which vcpu and memory can grow while the VM runs. Set at creation only; cannot be added"
        " or changed later. Absent: changes of vcpu and memory need a power cycle.",
    )
    cpu_model: CpuModel | None = Field(
        default=None,
        description="CPU model of the guest, for example host-passthrough. A change needs a power cycle. Absent: the"
        " hypervisor's default.",
    )
    pci_devices: Annotated[list[PciDevice], Field(max_length=8)] | None = Field(
        default=None,
        description="PCI passthrough devices such as GPUs. A change needs a power cycle. A VM with such a device cannot be"
        " migrated live. Absent: none, or those of the template.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    group: Group | None = Field(
        default=None,
        description="Affinity or anti-affinity group of the VM. Absent: OpenNebula's scheduler considers no other VMs.",
    )
    power: Literal[Power.RUNNING, Power.STOPPED, Power.SUSPENDED] | None = Field(
        default=None,
        description="Power state. Running: the operator starts the VM whenever it is off. Stopped: it shuts the VM down."
        " Suspended: it suspends the VM and keeps its memory on disk. Absent: it starts the VM once after"
        " creation; later the guest controls its power state.",
    )
    networks: Annotated[list[InstanceNetwork], Field(max_length=16)] | None = Field(
        default=None,
        description="NICs, one per network, in this order. Absent: those of the template, or none.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    disks: Disks | None = Field(
        default=None,
        description="Size of the root disk, and data disks. A data disk is an image of its own that is attached to the VM;"
        " an entry that is removed is detached. Absent: the disks of the image or template; data disks are not"
        " changed.",
        json_schema_extra=MAP_BY_NAME,
    )
    backup: Backup | None = Field(
        default=None,
        description="Backups: datastore, schedule and retention. Absent: the operator requests no backups and does not"
        " change OpenNebula's settings.",
    )
    snapshot: Snapshot | None = Field(default=None, description="Snapshot on request. Absent: none is taken.")
    restore: Restore | None = Field(
        default=None, description="Restore of a backup in place, on request. Absent: nothing is restored."
    )
    ssh_authorized_keys: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=8192)]], Field(max_length=32)] | None
    ) = Field(
        default=None,
        description="SSH public keys in authorized_keys format that may log in. The guest gets them once, at creation."
        " Absent: none.",
    )
    ssh_authorized_keys_secret_ref: SshKeysSecretRef | None = Field(
        default=None,
        description="Secret in this namespace with additional SSH public keys in authorized_keys format. It is read once,"
        " at creation. Absent: only sshAuthorizedKeys.",
    )
    cloud_init: CloudInit | None = Field(
        default=None, description="Configuration of cloud-init for the first boot. Absent: only SSH keys and network."
    )
    placement: Placement | None = Field(
        default=None,
        description="Constraints on where the VM may run. status.placement shows where it runs. Absent: any SovereignCloud"
        " that its namespace may use and that the policies allow.",
    )
    continuity: Continuity | None = Field(
        default=None,
        description="Failover when the cloud of the VM is unreachable: the VM starts in another cloud from its latest copy"
        " outside. The condition FailoverReady shows whether that is possible. Absent: the VM waits for its"
        " cloud.",
    )
    recovery: Literal[Recovery.RETRY, Recovery.MANUAL] | None = Field(
        default=None,
        description="What to do when a VM operation failed in OpenNebula. Retry (default): the operator asks OpenNebula to"
        " retry three times with growing pauses, only where that cannot lose data. Manual: an administrator"
        " recovers the VM.",
    )
    update_policy: UpdatePolicy | None = Field(
        default=None,
        description="Disruptive actions on the running VM that are allowed to apply spec. Absent: none.",
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
    id: str | None = Field(default=None, description="OpenNebula ID of the VM, as onevm shows it.")
    state: str | None = Field(
        default=None, description="OpenNebula state of the VM, for example Running, PoweredOff or Booting."
    )
    addresses: list[str] | None = Field(
        default=None, description="IP addresses of the VM, in the order of spec.networks."
    )
    primary_address: str | None = Field(default=None, description="First IP address of the VM, for logins.")
    networks: Annotated[list[InstanceNetworkStatus], Field(max_length=64)] | None = Field(
        default=None, description="NICs of the VM, in the order of spec.networks."
    )
    placement: PlacementStatus | None = Field(
        default=None, description="Where the VM runs, and why it was placed there."
    )
    console: str | None = Field(
        default=None,
        description="Console access: the URL in Sunstone, or the command on the host.",
    )
    disks: DisksStatus | None = Field(
        default=None, description="Data disks of the instance.", json_schema_extra=MAP_BY_NAME
    )
    backups: BackupsStatus | None = Field(
        default=None, description="Latest backups of the VM, newest first.", json_schema_extra=MAP_BY_NAME
    )
    snapshots: SnapshotsStatus | None = Field(default=None, description="Latest snapshots of the VM, newest first.")
    requests: RequestsStatus | None = Field(default=None, description="State of the one-time requests.")
    continuity: ContinuityStatus | None = Field(default=None, description="Data for a failover of the VM.")


class HostedInstance(Resource[HostedInstanceSpec, HostedInstanceStatus]):
    """A virtual machine in a SovereignCloud: created once and kept as declared; status.drift shows differences field
    by field.

    It waits for the cloud, the image and the networks that it refers to. A field that is absent in spec gets its
    default at creation and is never corrected; a declared field is kept as declared. A change that would disrupt the
    running VM waits until spec.updatePolicy allows it, and status.plan shows it.

    To inspect it: kubectl get hinst -o wide; kubectl describe hinst NAME; kubectl wait --for=condition=Ready
    hinst/NAME.

    With spec.adopt it takes over an existing VM instead of creating one.

    Deleting the object terminates the VM, unless spec.deletionPolicy is Retain; data disks are kept unless their own
    deletionPolicy is Delete. An adopted VM stays, and the operator's marks are removed, unless spec.deletionPolicy is
    Delete.
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
        """Return the effective deletion policy: Retain for an adopted VM unless spec sets another one."""
        if self.spec.deletion_policy is None and self.adopted:
            return DeletionPolicy.RETAIN
        return super().deletion_policy

    @property
    def adopted(self) -> bool:
        """Whether the VM was adopted or will be."""
        return was_there_before(self.external, "vm", self.spec.adopt)
