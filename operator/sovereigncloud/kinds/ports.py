"""The doors to the outside that the kinds need: few, small, idempotent verbs. `providers/` implements them.

Facts are in frozen values; ids are those of the API. A verb raises the errors of `kinds.errors` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.dns_port import Zones
from sovereigncloud.kinds.installer_port import Reach, VirtualAddress
from sovereigncloud.kinds.inventory_port import Inventory
from sovereigncloud.kinds.login_port import Login
from sovereigncloud.kinds.ordering_port import Shop
from sovereigncloud.kinds.reinstall_port import DiskGroup, InstallationTemplate, Part
from sovereigncloud.kinds.rights_port import Rights
from sovereigncloud.kinds.validation_port import Validation, ValidationState
from sovereigncloud.kinds.vrack_port import Vracks

# --- OpenNebula ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nic:
    id: int
    network_id: int
    network: str
    ip: str
    mac: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a VM. `size` in MiB. `image_id` is -1 for a volatile disk."""

    id: int
    image_id: int
    image: str
    size: int


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


@dataclass(frozen=True, slots=True)
class AddressRange:
    """An address range of a network: `id` in OpenNebula (-1: not there yet), IPv4 start and number of addresses."""

    ip: str
    size: int
    id: int = -1
    used: int = 0


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


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore. `type`: 0 image, 1 system, 2 file, 3 backup; sizes in MiB."""

    id: int
    name: str
    type: int
    state: int
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of hosts; datastores and networks may be in several."""

    id: int
    name: str
    datastores: frozenset[int]
    networks: frozenset[int]


@dataclass(frozen=True, slots=True)
class Template:
    id: int
    name: str
    owner: int


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


Attributes = Mapping[str, "str | Attributes | list[Attributes]"]
"""A template as nested values; the adapter writes it safely quoted in OpenNebula's XML form."""


class OpenNebula(Protocol):
    """One OpenNebula front-end under one credential."""

    async def front(self) -> Front: ...
    async def login(self) -> Login:
        """Who the credential is."""
        ...

    async def view(self, began: float) -> CloudView:
        """Read every pool once, in pages. `began` is stamped on the view by the caller before the first read."""
        ...

    async def vm(self, vm_id: int) -> Vm:
        """One VM, also a DONE one. Raises NotFound; Auth for an id that another user or another oned holds."""
        ...

    async def apps(self) -> tuple[MarketplaceApp, ...]: ...

    async def create_vm(self, template: Attributes) -> int: ...
    async def instantiate(self, template_id: int, name: str, extra: Attributes) -> int: ...
    async def act(self, vm_id: int, action: str) -> None:
        """one.vm.action: resume, poweroff, suspend, terminate-hard, ... OK means queued, not done (observed)."""
        ...

    async def resize(self, vm_id: int, *, cpu: str, vcpu: int, memory: int) -> None: ...
    async def resize_disk(self, vm_id: int, disk_id: int, size: int) -> None: ...
    async def attach_nic(self, vm_id: int, nic: Attributes) -> None:
        """`nic` is what stands inside NIC=[...]."""
        ...

    async def detach_nic(self, vm_id: int, nic_id: int) -> None: ...
    async def update_vm(self, vm_id: int, attributes: Attributes) -> None:
        """Merge into USER_TEMPLATE by top-level key."""
        ...

    async def rename_vm(self, vm_id: int, name: str) -> None: ...
    async def move_vm(self, vm_id: int, host_id: int, *, live: bool) -> None:
        """one.vm.migrate to a host that has room for it. Not live, a running machine is saved, moved and resumed. OK means
        queued; a move that fails leaves it where it was and says nothing (observed)."""
        ...

    async def give_up_vm(self, vm_id: int) -> None:
        """one.vm.recover, delete: of a machine whose host is lost. Its disks are gone."""
        ...

    async def update_zone(self, zone_id: int, attributes: Attributes) -> None:
        """Merge into the zone's template by top-level key."""
        ...

    async def create_network(self, template: Attributes, cluster_id: int) -> int: ...
    async def update_network(self, network_id: int, attributes: Attributes) -> None:
        """Merge by top-level key. Address ranges are not part of it."""
        ...

    async def add_range(self, network_id: int, range_: AddressRange) -> None: ...
    async def resize_range(self, network_id: int, range_: AddressRange) -> None: ...
    async def remove_range(self, network_id: int, range_id: int) -> None: ...
    async def delete_network(self, network_id: int) -> None: ...

    async def create_image(self, template: Attributes, datastore_id: int) -> int: ...
    async def update_image(self, image_id: int, attributes: Attributes) -> None: ...
    async def delete_image(self, image_id: int) -> None: ...

    async def create_host(self, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> int:
        """Serialised per cloud: two parallel allocates can yield two hosts of one name (OpenNebula/one#7527)."""
        ...

    async def update_host(self, host_id: int, attributes: Attributes) -> None: ...
    async def enable_host(self, host_id: int) -> None: ...
    async def disable_host(self, host_id: int) -> None: ...
    async def delete_host(self, host_id: int) -> None: ...

    async def create_cluster(self, name: str) -> int:
        """Raises Conflict when one of that name is there."""
        ...

    async def join_cluster(self, cluster_id: int, member: str, member_id: int) -> None:
        """`member`: host, datastore or network. Joining again changes nothing."""
        ...


# --- OVHcloud --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerSummary:
    """What one bulk read (/v2/iam/resource) tells of a server."""

    service_name: str
    urn: str
    display_name: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VrackView:
    """A vRack: interface uuid -> service name of its server; IP blocks routed to it; its tags."""

    name: str
    urn: str
    tags: Mapping[str, str]
    interfaces: Mapping[str, str]
    blocks: frozenset[str]


@dataclass(frozen=True, slots=True)
class AccountView:
    """What the sweep compares with, read in a handful of calls per account, not per server.

    Attributes:
        vrack_tags: the tags of every vRack of the account, by its name, also of those whose members nobody asked for.
        requests: what it took to read this.
    """

    began: float
    servers: Mapping[str, ServerSummary]
    vracks: Mapping[str, VrackView]
    vrack_tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """One dedicated server in detail."""

    service_name: str
    urn: str
    display_name: str
    tags: Mapping[str, str]
    ip: str
    region: str
    availability_zone: str
    datacenter: str
    os: str
    state: str
    power_state: str
    monitoring: bool
    no_intervention: bool
    commercial_range: str


@dataclass(frozen=True, slots=True)
class Interface:
    """A virtual network interface. Mode: public, vrack, public_aggregation, vrack_aggregation."""

    uuid: str
    name: str
    mode: str
    enabled: bool
    vrack: str
    macs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a dedicated server: init, todo, doing, done, cancelled, customerError, ovhError."""

    id: int
    function: str
    status: str
    comment: str


@dataclass(frozen=True, slots=True)
class InstallStep:
    comment: str
    status: str
    error: str


@dataclass(frozen=True, slots=True)
class IpBlock:
    """An IP block; `routed_to` is the service that it is routed to, empty when parked. `regions`: where it can be used."""

    block: str
    routed_to: str
    urn: str
    tags: Mapping[str, str]
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reinstallation:
    """What is asked of POST /dedicated/server/{sn}/reinstall."""

    operating_system: str
    hostname: str
    ssh_key: str = ""
    post_installation_script: str = field(default="", repr=False)
    partitions: tuple[Part, ...] = ()


class Ovh(Protocol):
    """One OVHcloud account under one credential."""

    @property
    def vracks(self) -> Vracks: ...
    @property
    def zones(self) -> Zones: ...
    @property
    def rights(self) -> Rights:
        """What the credential may do."""
        ...

    @property
    def inventory(self) -> Inventory:
        """What the account has, beside its servers."""
        ...

    @property
    def orders(self) -> Shop:
        """Ordering and the end of services."""
        ...

    async def view(self, began: float, vracks: frozenset[str]) -> AccountView: ...
    async def server(self, service_name: str) -> Server: ...
    async def interfaces(self, service_name: str) -> tuple[Interface, ...]: ...
    async def disk_groups(self, service_name: str) -> tuple[DiskGroup, ...]:
        """The disk groups of the server: a reinstall erases all of them."""
        ...

    async def compatible_systems(self, service_name: str) -> frozenset[str]: ...
    async def template(self, name: str) -> InstallationTemplate:
        """What an operating system's installation takes. Raises NotFound."""
        ...

    async def reinstall(self, service_name: str, request: Reinstallation) -> int:
        """Starts it; returns the task id. Raises AlreadyRunning with the id of the task that runs. What was sent is in no
        message of an error: it may be secret.
        """
        ...

    async def reinstall_tasks(self, service_name: str) -> tuple[Task, ...]:
        """Reinstall tasks that the API still knows, newest last; purged ones are gone."""
        ...

    async def install_progress(self, service_name: str) -> tuple[InstallStep, ...]:
        """Steps of the running installation; empty when none runs."""
        ...

    async def rename(self, service_name: str, display_name: str) -> None:
        """Takes effect after up to 10 minutes (Terraform provider, services.go)."""
        ...

    async def set_monitoring(self, service_name: str, *, monitoring: bool, no_intervention: bool) -> None: ...
    async def tag(self, urn: str, tags: Mapping[str, str]) -> None: ...
    async def untag(self, urn: str, keys: frozenset[str]) -> None: ...

    async def attach_interface(self, vrack: str, uuid: str) -> None:
        """Returns when the request was taken; whether it took effect shows only on the interface."""
        ...

    async def detach_interface(self, vrack: str, uuid: str) -> None: ...
    async def block(self, block: str, max_age: float = 0.0) -> IpBlock:
        """One block. `max_age`: seconds that an answer may be old; what was written meanwhile is always seen."""
        ...

    async def attach_block(self, vrack: str, block: str, region: str = "") -> None:
        """Route a block to a vRack, announced in a region; empty: in its own."""
        ...

    async def detach_block(self, vrack: str, block: str) -> None: ...


# --- the installer of OpenNebula ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InstallTarget:
    """A server as the installer sees it. `address` is where SSH answers; MACs tell the bonds apart."""

    name: str
    address: str
    roles: tuple[str, ...]
    public_macs: tuple[str, ...]
    private_macs: tuple[str, ...]
    host_key: str = ""
    """As known_hosts takes it; empty: none is pinned."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be installed. `hash` names exactly this: one Job per cloud and hash, never two at once."""

    cloud: str
    namespace: str
    owner_uid: str
    version: str
    architecture: str
    targets: tuple[InstallTarget, ...]
    credentials_secret: str
    hash: str
    virtual_ip: VirtualAddress | None = None
    reach: Reach = field(default_factory=Reach)
    only_certificate: bool = False
    """Nothing but the certificate is brought to the front-ends."""


@dataclass(frozen=True, slots=True)
class InstallState:
    """State: Absent, Running, Succeeded, Failed."""

    state: str
    message: str = ""


class Installer(Protocol):
    """Bootstraps OpenNebula on servers that have an operating system."""

    async def state(self, installation: Installation) -> InstallState: ...
    async def start(self, installation: Installation) -> None:
        """Idempotent: the same hash never starts a second run."""
        ...

    async def validation(self, wanted: Validation) -> ValidationState:
        """What became of a run of one-deploy-validation."""
        ...

    async def validate(self, wanted: Validation) -> None:
        """Idempotent: one run is made once. Raises Conflict while the installer, or another run, is at work there."""
        ...


# --- Kubernetes, as the kinds see it -------------------------------------------------------------------------------------


class Kubernetes(Protocol):
    """Rare reads and writes beside status and finalizers."""

    async def secret(self, namespace: str, name: str) -> Mapping[str, str]:
        """Decoded values. Raises MissingSecret."""
        ...

    async def create_secret(
        self, namespace: str, name: str, values: Mapping[str, str], labels: Mapping[str, str]
    ) -> bool:
        """False when one of that name is there already: a generated Secret is never overwritten."""
        ...

    async def generate_credentials(self, namespace: str, name: str, username: str, labels: Mapping[str, str]) -> bool:
        """Make a Secret with username, a generated password and an SSH key pair (password, sshPrivateKey,
        sshPublicKey). False when one of that name is there already: it is never overwritten."""
        ...

    async def delete_secret(self, namespace: str, name: str) -> None: ...
    async def apply(self, manifest: Mapping[str, object]) -> None:
        """Server-side apply as the operator's field manager: children that a SovereignCloud composes."""
        ...

    async def delete(self, kind: str, namespace: str, name: str) -> None: ...
