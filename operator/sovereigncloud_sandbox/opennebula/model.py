"""The objects that a cloud holds."""

from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address
from typing import ClassVar

from sovereigncloud_sandbox.opennebula.lifecycle import Action, Lcm, State, Where
from sovereigncloud_sandbox.opennebula.template import Template, Vector

ONEADMIN = 0
ONEADMIN_GROUP = 0


class HostState(IntEnum):
    """HOST STATE."""

    INIT = 0
    MONITORED = 2
    ERROR = 3
    DISABLED = 4
    OFFLINE = 8


class NetState(IntEnum):
    """VNET STATE."""

    INIT = 0
    READY = 1
    LOCK_CREATE = 2
    LOCK_DELETE = 3
    DONE = 4
    ERROR = 5
    UPDATE_FAILURE = 6


@dataclass(slots=True)
class Permissions:
    """Nine bits, in the order of one.*.chmod."""

    owner_u: int = 1
    owner_m: int = 1
    owner_a: int = 0
    group_u: int = 0
    group_m: int = 0
    group_a: int = 0
    other_u: int = 0
    other_m: int = 0
    other_a: int = 0


PERMISSION_BITS = tuple(Permissions.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Lock:
    """Level 1 USE, 2 MANAGE, 3 ADMIN."""

    level: int
    owner: int
    since: int


@dataclass(slots=True)
class PoolObject:
    """What all objects share. The names of owner and group are kept as oned keeps them: users go, their objects stay."""

    kind: ClassVar[str] = ""

    oid: int
    name: str
    uid: int = ONEADMIN
    gid: int = ONEADMIN_GROUP
    uname: str = "oneadmin"
    gname: str = "oneadmin"
    template: Template = field(default_factory=Template)
    permissions: Permissions = field(default_factory=Permissions)
    lock: Lock | None = None


@dataclass(slots=True)
class Cluster(PoolObject):
    kind: ClassVar[str] = "CLUSTER"

    hosts: set[int] = field(default_factory=set)
    datastores: set[int] = field(default_factory=set)
    vnets: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Host(PoolObject):
    """Memory in KiB and CPU in hundredths, as oned reports them; 0 until the first monitoring."""

    kind: ClassVar[str] = "HOST"

    im_mad: str = "kvm"
    vm_mad: str = "kvm"
    cluster_id: int = 0
    state: HostState = HostState.INIT
    real_cpu: int = 3200
    real_memory: int = 128 * 1024 * 1024
    real_disk: int = 900_000
    total_cpu: int = 0
    total_memory: int = 0
    max_disk: int = 0
    cpu_usage: int = 0
    mem_usage: int = 0
    disk_usage: int = 0
    vms: set[int] = field(default_factory=set)
    pci: list[Vector] = field(default_factory=list)
    monitored_at: int = 0
    without_power: set[str] = field(default_factory=set)  # why: what oned knows of that, it knows from monitoring
    dispatched: int = 0

    @property
    def powered(self) -> bool:
        return not self.without_power


@dataclass(slots=True)
class Rollout:
    """How far a change has come to the machines that it concerns."""

    updated: set[int] = field(default_factory=set)
    outdated: set[int] = field(default_factory=set)
    updating: set[int] = field(default_factory=set)
    error: set[int] = field(default_factory=set)
    serial: int = 0  # of the last change: an older one goes no further

    @property
    def all(self) -> set[int]:
        return self.updated | self.outdated | self.updating | self.error

    def __contains__(self, oid: int) -> bool:
        return oid in self.updated or oid in self.outdated or oid in self.updating or oid in self.error

    def discard(self, oid: int) -> None:
        """A machine has it no longer."""
        for some in (self.updated, self.outdated, self.updating, self.error):
            some.discard(oid)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds an address: a VM, or a reservation (NET). VM -1 is an address on hold."""

    holder: str
    oid: int


@dataclass(slots=True)
class AddressRange:
    """A range of addresses; leases by index."""

    ar_id: int
    type: str
    size: int
    mac: int
    ip: int | None = None
    extra: Vector = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)
    next_index: int = 0
    parent_ar: int | None = None

    def ip_at(self, index: int) -> str:
        return str(IPv4Address(self.ip + index)) if self.ip is not None else ""

    def mac_at(self, index: int) -> str:
        digits = f"{self.mac + index:012x}"
        return ":".join(digits[at : at + 2] for at in range(0, 12, 2))

    def index_of(self, *, ip: str = "", mac: str = "") -> int | None:
        """The index of an address; None where it is not in this range."""
        if ip:
            if self.ip is None:
                return None
            index = int(IPv4Address(ip)) - self.ip
        else:
            index = int(mac.replace(":", ""), 16) - self.mac
        return index if 0 <= index < self.size else None


@dataclass(slots=True)
class VNet(PoolObject):
    kind: ClassVar[str] = "NET"

    state: NetState = NetState.LOCK_CREATE
    vn_mad: str = "bridge"
    bridge: str = ""
    bridge_type: str = "linux"
    phydev: str = ""
    vlan_id: str = ""
    outer_vlan_id: str = ""
    vlan_automatic: bool = False
    parent: int | None = None
    clusters: set[int] = field(default_factory=set)
    ranges: list[AddressRange] = field(default_factory=list)
    next_ar: int = 0
    rollout: Rollout = field(default_factory=Rollout)

    @property
    def used_leases(self) -> int:
        return sum(len(one.leases) for one in self.ranges)

    def vms(self) -> list[int]:
        holders = {lease.oid for one in self.ranges for lease in one.leases.values() if lease.holder == "VM"}
        return sorted(holders - {-1})


@dataclass(slots=True)
class SecurityGroup(PoolObject):
    kind: ClassVar[str] = "SECGROUP"

    rollout: Rollout = field(default_factory=Rollout)


@dataclass(slots=True)
class History:
    """One stay of a machine on a host."""

    seq: int
    hid: int
    hostname: str
    cluster_id: int
    ds_id: int
    vm_mad: str
    tm_mad: str
    stime: int
    etime: int = 0
    pstime: int = 0
    petime: int = 0
    rstime: int = 0
    retime: int = 0
    estime: int = 0
    eetime: int = 0
    action: Action = Action.NONE
    uid: int = -1
    gid: int = -1
    request_id: int = -1


@dataclass(slots=True)
class DiskSnapshots:
    """SNAPSHOTS of one disk."""

    disk_id: int
    next_id: int = 0
    current: int = -1
    snapshots: list[Vector] = field(default_factory=list)


@dataclass(slots=True)
class Vm(PoolObject):
    """A virtual machine. `template` is what oned works with, `user_template` what users write."""

    kind: ClassVar[str] = "VM"

    state: State = State.PENDING
    lcm: Lcm = Lcm.LCM_INIT
    stime: int = 0
    etime: int = 0
    deploy_id: str = ""
    resched: bool = False
    on_hold: bool = False
    user_template: Template = field(default_factory=Template)
    history: list[History] = field(default_factory=list)
    sched_actions: list[Vector] = field(default_factory=list)
    backup_config: Vector = field(default_factory=dict)
    backup_ids: set[int] = field(default_factory=set)
    contents: dict[str, str] = field(default_factory=dict)  # digest by DISK_ID, of what is no persistent image
    snapshot_contents: dict[tuple[int, int], str] = field(default_factory=dict)  # by disk and snapshot
    dead: bool = False  # its process went with the power of its host, whatever oned knows
    gone: bool = False  # and does not come back with it
    wild: bool = False  # its process is there, though oned has forgotten it
    busy: bool = False  # the guest writes all the time
    booted: tuple[int, int, int] | None = None  # VCPUs at the last boot; VCPUs and MB that it may grow to
    disk_snapshots: dict[int, DiskSnapshots] = field(default_factory=dict)
    pending_since: float = 0
    flow: int = 0  # serial of the flow under way: the timers of an older one are void
    charged: tuple[int, int, int, int] | None = None  # host id, CPU, memory, disk taken there
    shown_state: tuple[int, int] | None = None  # in place of the true one: a state of a version to come
    more_xml: str = ""
    xml: bytes | None = None  # rendered and escaped, until something changes
    short_xml: bytes | None = None

    @property
    def where(self) -> Where:
        return (self.state, self.lcm)

    @property
    def last(self) -> History | None:
        return self.history[-1] if self.history else None

    @property
    def disks(self) -> list[Vector]:
        return self.template.vectors("DISK")

    @property
    def nics(self) -> list[Vector]:
        return self.template.vectors("NIC")

    @property
    def cpu(self) -> float:
        return float(self.template.get("CPU", "0"))

    @property
    def memory(self) -> int:
        """MB."""
        return int(self.template.get("MEMORY", "0"))

    @property
    def vcpu(self) -> int:
        return int(self.template.get("VCPU") or 1)

    def touch(self) -> None:
        """Something changed: what was rendered is stale."""
        self.xml = None
        self.short_xml = None
