"""What is in a cloud of OpenNebula, read in O(pages): facts in frozen values, ids those of the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sovereigncloud.core.identity import Mark
from sovereigncloud.ports.opennebula.networks import Lease
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup
from sovereigncloud.ports.opennebula.storage import NO_BACKUPS, TemplateDisk, VmBackups, VmSnapshot
from sovereigncloud.ports.opennebula.tenancy import TenancyView
from sovereigncloud.ports.opennebula.vm_groups import VmGroup
from sovereigncloud.ports.opennebula.zones import FederationView


@dataclass(frozen=True, slots=True)
class Nic:
    id: int
    network_id: int
    network: str
    ip: str
    mac: str
    groups: tuple[int, ...] = ()
    """Security groups that filter it, those of its network included."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a VM. `size` in MiB. `image_id` is -1 for a volatile disk. `label`: the name that the operator gave it."""

    id: int
    image_id: int
    image: str
    size: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Pci:
    """A PCI device, of a machine or of a host: vendor, device and class as four hexadecimal digits each.

    Attributes:
        id: PCI_ID in its machine.
        vm: the machine that has it; -1: free.
    """

    vendor: str
    device: str
    class_: str
    id: int = -1
    vm: int = -1

    def __str__(self) -> str:
        return f"{self.vendor}:{self.device}:{self.class_}"


@dataclass(frozen=True, slots=True)
class Membership:
    """Of a machine in a VM group, in one of its roles."""

    group: int
    role: str


@dataclass(frozen=True, slots=True)
class Vm:
    """A virtual machine as oned tells it. `memory` in MiB, `cpu` in cores (a share), states by number."""

    id: int
    name: str
    owner: int
    state: int
    lcm_state: int
    cpu: str
    vcpu: int
    memory: int
    nics: tuple[Nic, ...]
    disks: tuple[Disk, ...]
    mark: Mark | None
    host: str
    scheduler_message: str
    error: str
    notes: Mapping[str, str] = field(default_factory=dict)
    """Other SOVEREIGNCLOUD_* attributes of its user template, by full name: requests remembered outside."""
    vcpu_max: int = 0
    """As many processors as it may be given while it runs; 0: it has no room. `memory_max` likewise, in MiB."""
    memory_max: int = 0
    cpu_model: str = ""
    pci: tuple[Pci, ...] = ()
    groups: tuple[Membership, ...] = ()
    requirements: str = ""
    """SCHED_REQUIREMENTS: the hosts on which the scheduler may place it."""
    since: int = 0
    """Since when it waits for its first host (seconds since 1970); 0: it was on one, and since when nobody tells."""
    snapshots: tuple[VmSnapshot, ...] = ()
    backups: VmBackups = NO_BACKUPS
    schedules: frozenset[int] = frozenset()
    """Numbers of what OpenNebula is to do to it by itself."""
    system: int = -1
    """The datastore that it runs in, or ran in last."""
    stay: int = 0
    """When its last stay on a host began (seconds since 1970): also a backup ends one stay and begins another."""


@dataclass(frozen=True, slots=True)
class AddressRange:
    """An address range of a network: `id` in OpenNebula (-1: not there yet), IPv4 start and number of addresses."""

    ip: str
    size: int
    id: int = -1
    used: int = 0
    leases: tuple[Lease, ...] = ()
    parent: int = -1
    """Of a reservation: the range of the network that it was taken from."""


@dataclass(frozen=True, slots=True)
class Network:
    """A virtual network. `attributes`: the template keys by name as oned keeps them (VN_MAD, PHYDEV, VLAN_ID, MTU,
    GATEWAY, DNS, NETWORK_ADDRESS, NETWORK_MASK, FILTER_IP_SPOOFING, ...), the three of the mark left out; other
    SOVEREIGNCLOUD_* ones are among them.
    """

    id: int
    name: str
    owner: int
    state: int
    clusters: tuple[int, ...]
    attributes: Mapping[str, str]
    ranges: tuple[AddressRange, ...]
    used_leases: int
    mark: Mark | None
    vms: tuple[int, ...] = ()
    parent: int = -1
    """The network that it is a reservation of; -1: it is none."""
    outdated: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    """Machines that an update of it has not come to yet, and those that could not be updated."""


@dataclass(frozen=True, slots=True)
class Increment:
    """Of a backup: its number, the snapshot that holds it, when it was made."""

    id: int
    source: str
    time: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image. `size` in MiB; type and state by number; `vms`: ids of machines that use it."""

    id: int
    name: str
    owner: int
    type: int
    state: int
    size: int
    datastore_id: int
    running_vms: int
    mark: Mark | None
    error: str
    source: str
    vms: tuple[int, ...] = ()
    persistent: bool = False
    """A machine that is made from it works on the image itself."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Other SOVEREIGNCLOUD_* attributes of its template, by full name."""
    time: int = 0
    """When it was made, or its last increment: seconds since the epoch."""
    backup_of: int = -1
    """Of a backup: the machine that it was made of."""
    description: str = ""
    public: bool = False
    """Every user of that OpenNebula may use it."""
    increments: tuple[Increment, ...] = ()
    backup_disks: tuple[int, ...] = ()
    """Of a backup: the numbers of the disks in it."""
    backup_job: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """A hypervisor host. `cpu` in hundredths of a core, `memory` in KiB, as oned counts them."""

    id: int
    name: str
    state: int
    cluster_id: int
    im_mad: str
    vm_mad: str
    running_vms: int
    max_cpu: int
    max_memory: int
    mark: Mark | None
    notes: Mapping[str, str] = field(default_factory=dict)
    """Other SOVEREIGNCLOUD_* attributes of its template, by full name, those that say something."""
    pci: tuple[Pci, ...] = ()


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore. `type`: 0 image, 1 system, 2 file, 3 backup; sizes in MiB; `images`: ids of what is in it. `attributes`:
    the single attributes of its template but for the mark, secrets among them as oned shows them.
    """

    id: int
    name: str
    type: int
    state: int
    total: int
    free: int
    owner: int = 0
    driver: str = ""
    transfer: str = ""
    clusters: frozenset[int] = frozenset()
    images: tuple[int, ...] = ()
    mark: Mark | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of hosts; datastores and networks may be in several. `attributes`: as those of a datastore."""

    id: int
    name: str
    datastores: frozenset[int]
    networks: frozenset[int]
    hosts: frozenset[int] = frozenset()
    mark: Mark | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Template:
    id: int
    name: str
    owner: int
    requirements: str = ""
    disks: tuple[TemplateDisk, ...] = ()
    notes: frozenset[str] = frozenset()
    """Names of SOVEREIGNCLOUD_* attributes that a machine made from it would have."""
    public: bool = False
    """Every user of that OpenNebula may use it."""


@dataclass(frozen=True, slots=True)
class MarketplaceApp:
    """An appliance. State 1 is ready; `size` in MiB."""

    id: int
    name: str
    state: int
    size: int
    marketplace: str


@dataclass(frozen=True, slots=True)
class CloudView:
    """Everything the sweep compares with, read in O(pages). Immutable; shared by all objects of a cloud.

    Attributes:
        began: when the read began (monotonic clock of the engine, seconds): only what was written before counts.
        vms: by id, DONE ones left out.
        owner: id of the credential's user, the owner of what it creates; None: not read along, ask `front`. A sweep
            over a thousand machines must not ask a thousand times.
    """

    began: float
    vms: Mapping[int, Vm]
    networks: Mapping[int, Network]
    images: Mapping[int, Image]
    hosts: Mapping[int, Host]
    datastores: Mapping[int, Datastore]
    templates: Mapping[int, Template] = field(default_factory=dict)
    owner: int | None = None
    clusters: Mapping[int, Cluster] = field(default_factory=dict)
    tenancy: TenancyView | None = None
    """Groups, users and VDCs; None: not read, since no Tenant lists the cloud."""
    vm_groups: Mapping[int, VmGroup] = field(default_factory=dict)
    empty_groups: tuple[VmGroup, ...] = ()
    """Those of `vm_groups` that nobody is in: few, and each machine of a sweep asks for them."""
    security_groups: Mapping[int, SecurityGroup] = field(default_factory=dict)
    federation: FederationView | None = None
    """None: not read, since no FederatedZone names the cloud."""
    host_clusters: HostClusters = field(default_factory=dict)
    """The name of the cluster that a host is in, by the host's name: asked for each machine of a sweep."""
    latency: float | None = None
    """Milliseconds: the quickest of the last small calls, measured from where the operator runs. Moves by itself."""


HostClusters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Front:
    """Who answers at an endpoint. `user_id` is the id of the credential's user (the owner of what it creates). `notes`: the
    SOVEREIGNCLOUD_* attributes of its zone's template, by full name: requests remembered outside.
    """

    version: str
    zone_id: int
    zone_name: str
    user_id: int
    notes: Mapping[str, str] = field(default_factory=dict)


def clusters_by_host(hosts: Iterable[Host], clusters: Mapping[int, Cluster]) -> HostClusters:
    """See `CloudView.host_clusters`."""
    names = {number: cluster.name for number, cluster in clusters.items()}
    return {host.name: names.get(host.cluster_id, str(host.cluster_id)) for host in hosts}
