"""An OpenNebula in memory behind the port of the kinds, as unkind as a real one: operations are queued, a second one is
refused meanwhile, what a state does not allow is refused. And the least of an engine to run a controller against it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from tests.unit.kinds.infrastructure_fakes import Parts
from tests.unit.kinds.storage_in_memory import Storage
from tests.unit.kinds.tenancies_in_memory import People

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.federatedzone import FederatedZone
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.securitygroup import SecurityGroup as SecurityGroupResource
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.api.tenant import Tenant
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.identity import Mark, mark_from_opennebula
from sovereigncloud.core.outcome import DONE, Outcome, Phase
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.contract.reservations import Reservation
from sovereigncloud.kinds.contract.tenancy import Tenancies, Tenancy, tenancies
from sovereigncloud.kinds.exit_readiness.facts import InstanceFacts, facts_of
from sovereigncloud.kinds.planning.addressing import contains, index_of, overlap
from sovereigncloud.kinds.tenant.observation import clouds_of
from sovereigncloud.kinds.virtualnetwork.leases import address_of
from sovereigncloud.ports.errors import Auth, Conflict, MissingSecret, NotFound, Quota, Rejected, Retry
from sovereigncloud.ports.opennebula.details import Particulars
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.login import Login
from sovereigncloud.ports.opennebula.networks import Lease
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup, SecurityRule
from sovereigncloud.ports.opennebula.views import (
    AddressRange,
    CloudView,
    Cluster,
    Datastore,
    Disk,
    Front,
    Host,
    Image,
    MarketplaceApp,
    Membership,
    Network,
    Nic,
    Pci,
    Template,
    Vm,
    clusters_by_host,
)
from sovereigncloud.ports.opennebula.vm_groups import VmGroup
from sovereigncloud.sovereignty.rules import Rules

NOW = datetime(2026, 11, 24, tzinfo=UTC)
US = 2
INSTALLATION = "inst-1"
RUNNING = (3, 3)
POWEROFF = (8, 0)
SUSPENDED = (5, 0)
STOPPED = (4, 0)
UNDEPLOYED = (9, 0)
PENDING = (1, 0)
HOLD = (2, 0)
DONE_STATE = (6, 0)
_NEXT = {
    (10, 0): PENDING, PENDING: (3, 1), (3, 1): (3, 2), (3, 2): RUNNING, (3, 18): POWEROFF, (3, 20): RUNNING,
    (3, 6): SUSPENDED, (3, 21): RUNNING, (3, 25): RUNNING, (3, 65): POWEROFF, (3, 62): RUNNING, (3, 63): POWEROFF,
    (3, 64): UNDEPLOYED, (3, 12): (3, 11), (3, 11): DONE_STATE, (3, 66): RUNNING, (3, 4): RUNNING, (3, 43): POWEROFF,
    (3, 45): SUSPENDED,
    (3, 17): RUNNING, (3, 33): POWEROFF, (3, 34): POWEROFF,
    (3, 24): RUNNING, (3, 69): RUNNING, (3, 70): POWEROFF, (3, 71): POWEROFF,
}  # fmt: skip
_COLD = {(10, 0), PENDING, HOLD, POWEROFF, UNDEPLOYED}
_FAILURES = {(3, 36), (3, 39), (3, 40)}
_MARK_KEYS = {"SOVEREIGNCLOUD_INSTALLATION", "SOVEREIGNCLOUD_OBJECT", "SOVEREIGNCLOUD_UID"}


def mark(kind: str, name: str, uid: str = "uid-1", namespace: str = "team", installation: str = INSTALLATION) -> Mark:
    return Mark(installation, f"{kind}/{namespace}/{name}", uid)


def vm(**fields: Any) -> Vm:
    """VM 12 "web", ours, running, 2 vcpu, 4Gi, on lan (network 3), its root disk 20Gi from image 7 "ubuntu"."""
    state, lcm_state = fields.pop("at", RUNNING)
    base = Vm(
        id=12, name="web", owner=US, state=state, lcm_state=lcm_state, cpu="2", vcpu=2, memory=4096,
        nics=(Nic(0, 3, "lan", "10.0.0.5", "02:00"),), disks=(Disk(0, 7, "ubuntu", 20480),),
        mark=mark("HostedInstance", "web"), host="one-1", scheduler_message="", error="",
    )  # fmt: skip
    return replace(base, **fields)


def network(**fields: Any) -> Network:
    """Network 3 "lan", somebody's, ready, VLAN 100."""
    base = Network(
        id=3, name="lan", owner=0, state=1, clusters=(0,), attributes={"VN_MAD": "802.1Q", "VLAN_ID": "100"},
        ranges=(AddressRange("10.0.0.5", 50, 0),), used_leases=0, mark=None,
    )  # fmt: skip
    return replace(base, **fields)


def image(**fields: Any) -> Image:
    """Image 7 "ubuntu", somebody's, ready, 10Gi."""
    base = Image(
        id=7, name="ubuntu", owner=0, type=0, state=1, size=10240, datastore_id=1, running_vms=0, mark=None, error="",
        source="",
    )  # fmt: skip
    return replace(base, **fields)


def host(number: int, **fields: Any) -> Host:
    """Host "one-<number>", monitored, in the default cluster, with 32 cores and 128Gi."""
    base = Host(
        id=number, name=f"one-{number}", state=2, cluster_id=0, im_mad="kvm", vm_mad="kvm", running_vms=0, max_cpu=3200,
        max_memory=128 * 1024 * 1024, mark=None,
    )  # fmt: skip
    return replace(base, **fields)


def group(number: int, name: str, **roles: set[int]) -> VmGroup:
    """VM group of namespace team, ours."""
    both = {"together": frozenset(), "apart": frozenset()} | {role: frozenset(vms) for role, vms in roles.items()}
    return VmGroup(number, f"team.{name}", US, Mark(INSTALLATION, f"VmGroup/team/{name}", name), both)


def security_group(**fields: Any) -> SecurityGroup:
    """Security group 20 "web", ours, lets in port 443."""
    base = SecurityGroup(
        id=20, name="web", owner=US, rules=(SecurityRule("TCP", "INBOUND", "443"),), mark=mark("SecurityGroup", "web")
    )
    return replace(base, **fields)


OPEN = (SecurityRule("ALL", "OUTBOUND"), SecurityRule("ALL", "INBOUND"))


class OpenNebula:
    """The port, in memory. `journal` has every write; `lost`: verbs whose next answer is lost after the write."""

    def __init__(self, *things: Vm | Network | Image | SecurityGroup | Host | VmGroup) -> None:
        self.hosts = {t.id: t for t in things if isinstance(t, Host)}
        self.vm_group_pool = {t.id: t for t in things if isinstance(t, VmGroup)}
        self.vm_groups = VmGroups(self)
        self.parts = Parts()
        self.parts.markets[3] = Marketplace(3, "way-out", 0, 0, "http")
        self.silent_failures: set[str] = set()
        self.vms = {t.id: t for t in things if isinstance(t, Vm)}
        self.networks = {t.id: t for t in things if isinstance(t, Network)}
        self.images = {t.id: t for t in things if isinstance(t, Image)}
        self.datastores = {1: Datastore(1, "default", 0, 0, 10**6, 10**6), 0: Datastore(0, "system", 1, 0, 10, 10)}
        self.templates = {5: Template(5, "small", 0)}
        self.groups = {t.id: t for t in things if isinstance(t, SecurityGroup)}
        self.groups[0] = security_group(id=0, name="default", owner=0, rules=OPEN, mark=None)
        self.security_groups, self.addresses = Groups(self), Addresses(self)
        self.marketplace = (MarketplaceApp(31, "Ubuntu 24.04", 1, 2048, "OpenNebula Public"),)
        self.journal: list[tuple[Any, ...]] = []
        self.reads: list[str] = []
        self.lost: set[str] = set()
        self.refuse_resize: Exception | None = None
        self.hidden = False
        self.latency: float | None = None
        self.tells_owner = True
        self.overlapped = False
        self.next_id = 100
        self.people = self.tenancy = People(self)
        self.asking = ("", "")
        """Name and password of the user that asks who it is."""
        self.storage = Storage(self)
        self.backed_up_disks: tuple[str, ...] = ("",)

    # -- reads

    async def front(self) -> Front:
        self.reads.append("front")
        return Front("7.0", 0, "OpenNebula", US)

    async def view(self, began: float) -> CloudView:
        visible = {} if self.hidden else self.vms
        clusters = {
            number: Cluster(number, name, frozenset(), frozenset(), self._hosts_in(number))
            for number, name in self.people.clusters.items()
        }
        return CloudView(
            began=began,
            vms={v.id: v for v in visible.values() if v.state != 6},
            networks={} if self.hidden else {n.id: self._with_leases(n) for n in self.networks.values()},
            images={} if self.hidden else dict(self.images),
            hosts=dict(self.hosts),
            vm_groups=dict(self.vm_group_pool),
            empty_groups=tuple(one for one in self.vm_group_pool.values() if one.empty),
            datastores=dict(self.datastores),
            templates=dict(self.templates),
            owner=US if self.tells_owner else None,
            clusters=clusters,
            security_groups={} if self.hidden else {g.id: self._with_users(g) for g in self.groups.values()},
            host_clusters=clusters_by_host(self.hosts.values(), clusters),
            latency=self.latency,
        )

    async def login(self) -> Login:
        name, password = self.asking
        user = next((u for u in self.people.users.values() if u.name == name), None)
        if user is None or self.people.passwords[user.id] != password:
            raise Auth("User couldn't be authenticated, aborting call.")
        return Login(user.id, user.name, "", user.groups)

    async def vm(self, vm_id: int) -> Vm:
        self.reads.append(f"vm {vm_id}")
        if vm_id not in self.vms:
            raise NotFound(f"Error getting virtual machine [{vm_id}].")
        return self.vms[vm_id]

    async def particulars(self, member: str) -> dict[int, Particulars]:
        self.reads.append(f"particulars {member}")
        return {}

    async def apps(self) -> tuple[MarketplaceApp, ...]:
        self.reads.append("apps")
        return self.marketplace

    def _hosts_in(self, cluster: int) -> frozenset[int]:
        return frozenset(h.id for h in self.hosts.values() if h.cluster_id == cluster)

    def _with_leases(self, net: Network) -> Network:
        nics = [n for v in self.vms.values() if v.state != 6 for n in v.nics if n.network_id == net.id]
        ranges = tuple(
            replace(r, used=max(r.used, sum(contains(r, n.ip) for n in nics)) if r.ip else r.used) for r in net.ranges
        )
        return replace(net, ranges=ranges, used_leases=max(net.used_leases, len(nics)))

    def _with_users(self, group: SecurityGroup) -> SecurityGroup:
        using = {v.id for v in self.vms.values() if v.state != 6 and any(group.id in n.groups for n in v.nics)}
        late = {*group.outdated, *group.updating, *group.failed}
        return replace(group, updated=tuple(sorted(using - late)))

    # -- the course of time

    def tick(self) -> None:
        for v in list(self.vms.values()):
            after = _NEXT.get((v.state, v.lcm_state))
            if after and not (after == (3, 1) and v.scheduler_message):
                self._set(v.id, after)
            self.storage.tick(v, ended=after == DONE_STATE)
        for i in list(self.images.values()):
            if i.state == 4:
                self.images[i.id] = replace(i, state=1)
            elif i.state == 7:
                del self.images[i.id]
        for g in list(self.groups.values()):
            self.groups[g.id] = replace(g, updating=())
        for n in list(self.networks.values()):
            if n.state == 2:
                self.networks[n.id] = replace(n, state=1)
            elif n.state == 3:
                del self.networks[n.id]

    def _set(self, vm_id: int, at: tuple[int, int], **fields: Any) -> None:
        self.vms[vm_id] = replace(self.vms[vm_id], state=at[0], lcm_state=at[1], **fields)
        if at == DONE_STATE:
            self._expel(vm_id)

    # -- writes

    def _wrote(self, verb: str, *what: Any) -> None:
        self.journal.append((verb, *what))

    def _answer(self, verb: str) -> None:
        if verb in self.lost:
            self.lost.discard(verb)
            raise Retry("timed out", where=f"OpenNebula {verb}")

    def _at(self, vm_id: int, *allowed: tuple[int, int]) -> tuple[int, int]:
        if vm_id not in self.vms:
            raise NotFound(f"Error getting virtual machine [{vm_id}].")
        at = (self.vms[vm_id].state, self.vms[vm_id].lcm_state)
        if at not in allowed:
            raise Conflict(f"This action is not available for state {at}")
        return at

    def _id(self) -> int:
        self.next_id += 1
        return self.next_id

    async def create_vm(self, template: dict[str, Any]) -> int:
        new = self._id()
        self.vms[new] = vm(
            id=new, name=template["NAME"], at=PENDING, cpu=template["CPU"], vcpu=int(template["VCPU"]),
            memory=int(template["MEMORY"]), mark=mark_from_opennebula(template), host="",
            nics=tuple(self._nic(i, n) for i, n in enumerate(template["NIC"])),
            **self._surroundings(new, template),
        )  # fmt: skip
        self._wrote("create_vm", template)
        self._answer("create_vm")
        return new

    async def instantiate(self, template_id: int, name: str, extra: dict[str, Any]) -> int:
        new = self._id()
        nics = extra.get("NIC", [])
        self.vms[new] = vm(
            id=new, name=name, at=PENDING, cpu=extra.get("CPU", "1"), vcpu=int(extra.get("VCPU", 1)), host="",
            memory=int(extra.get("MEMORY", 1024)), mark=mark_from_opennebula(extra),
            nics=tuple(self._nic(i, n) for i, n in enumerate(nics)),
            **self._surroundings(new, extra),
        )  # fmt: skip
        self._wrote("instantiate", template_id, name, extra)
        self._answer("instantiate")
        return new

    def _surroundings(self, new: int, template: dict[str, Any]) -> dict[str, Any]:
        groups: tuple[Membership, ...] = ()
        if "VMGROUP" in template:
            groups = (Membership(int(template["VMGROUP"]["VMGROUP_ID"]), template["VMGROUP"]["ROLE"]),)
            self._enrol(new, groups[0])
        devices = [Pci(d.get("VENDOR", ""), d.get("DEVICE", ""), d.get("CLASS", "")) for d in template.get("PCI", [])]
        return {
            "vcpu_max": int(template.get("VCPU_MAX", 0)),
            "memory_max": int(template.get("MEMORY_MAX", 0)),
            "cpu_model": template.get("CPU_MODEL", {}).get("MODEL", ""),
            "pci": tuple(replace(one, id=number) for number, one in enumerate(devices)),
            "groups": groups,
            "requirements": template.get("SCHED_REQUIREMENTS", ""),
            "notes": _notes(template),
            **self.storage.disks_of(new, template),
        }

    def _enrol(self, vm_id: int, membership: Membership) -> None:
        found = self.vm_group_pool[membership.group]
        members = found.roles[membership.role] | {vm_id}
        self.vm_group_pool[found.id] = replace(found, roles={**found.roles, membership.role: members})

    def _expel(self, vm_id: int) -> None:
        for found in list(self.vm_group_pool.values()):
            roles = {role: members - {vm_id} for role, members in found.roles.items()}
            self.vm_group_pool[found.id] = replace(found, roles=roles)

    def _nic(self, number: int, nic: dict[str, str]) -> Nic:
        """OpenNebula adds the groups of the network to those that are asked for."""
        net = self.networks[int(nic["NETWORK_ID"])]
        groups = [*net.attributes.get("SECURITY_GROUPS", "0").split(","), *nic.get("SECURITY_GROUPS", "").split(",")]
        ip = nic.get("IP") or f"10.0.{net.id}.{number + 9}"
        if any(n.ip == ip and n.network_id == net.id for v in self.vms.values() if v.state != 6 for n in v.nics):
            raise Quota(f"Cannot get IP/MAC lease from virtual network {net.id}.")
        return Nic(number, net.id, net.name, ip, "02:01", tuple(sorted({int(g) for g in groups if g})))

    async def act(self, vm_id: int, action: str) -> None:
        match action:
            case "poweroff" | "poweroff-hard":
                self._at(vm_id, RUNNING, (3, 16))
                after = (3, 18)
            case "hold":
                self._at(vm_id, PENDING)
                after = HOLD
            case "suspend":
                self._at(vm_id, RUNNING)
                after = (3, 6)
            case "resume":
                at = self._at(vm_id, POWEROFF, SUSPENDED, STOPPED, UNDEPLOYED, (3, 16))
                after = {SUSPENDED: (3, 21), STOPPED: PENDING, UNDEPLOYED: PENDING}.get(at, (3, 20))
            case "release":
                self._at(vm_id, HOLD)
                after = PENDING
            case "terminate-hard":
                at_rest = (RUNNING, POWEROFF, SUSPENDED, STOPPED, UNDEPLOYED, (3, 16), (3, 12))
                at = self._at(vm_id, *at_rest, PENDING, HOLD, (10, 0), *_FAILURES)
                after = (3, 12) if at in at_rest else DONE_STATE
            case _:
                raise Rejected(f"Wrong action name {action}")
        self._set(vm_id, after)
        self._wrote("act", vm_id, action)
        self._answer("act")

    async def resize(self, vm_id: int, *, cpu: str, vcpu: int, memory: int) -> None:
        at = self._at(vm_id, *_COLD, RUNNING)
        if self.refuse_resize is not None:
            raise self.refuse_resize
        if "resize" not in self.silent_failures or at != RUNNING:
            self.vms[vm_id] = replace(self.vms[vm_id], cpu=f"{float(cpu):.2f}", vcpu=vcpu, memory=memory)
        if at == RUNNING:
            self._set(vm_id, (3, 66))
        self._wrote("resize", vm_id, cpu, vcpu, memory)
        self._answer("resize")

    async def resize_disk(self, vm_id: int, disk_id: int, size: int) -> None:
        at = self._at(vm_id, RUNNING, POWEROFF, UNDEPLOYED)
        disks = {d.id: d for d in self.vms[vm_id].disks}
        if size < disks[disk_id].size:
            raise Rejected("New disk size has to be greater than current one")
        disks[disk_id] = replace(disks[disk_id], size=size)
        after = {RUNNING: (3, 62), POWEROFF: (3, 63), UNDEPLOYED: (3, 64)}[at]
        self._set(vm_id, after, disks=tuple(disks.values()))
        self._wrote("resize_disk", vm_id, disk_id, size)
        self._answer("resize_disk")

    async def attach_nic(self, vm_id: int, nic: dict[str, str]) -> None:
        at = self._at(vm_id, RUNNING, POWEROFF)
        number = 1 + max((n.id for n in self.vms[vm_id].nics), default=-1)
        nics = (*self.vms[vm_id].nics, self._nic(number, nic))
        self._set(vm_id, (3, 25) if at == RUNNING else (3, 65), nics=nics)
        self._wrote("attach_nic", vm_id, nic)
        self._answer("attach_nic")

    async def detach_nic(self, vm_id: int, nic_id: int) -> None:
        at = self._at(vm_id, RUNNING, POWEROFF)
        nics = tuple(n for n in self.vms[vm_id].nics if n.id != nic_id)
        self._set(vm_id, (3, 25) if at == RUNNING else (3, 65), nics=nics)
        self._wrote("detach_nic", vm_id, nic_id)
        self._answer("detach_nic")

    async def update_vm(self, vm_id: int, attributes: dict[str, str]) -> None:
        found = self.vms[vm_id]
        notes = {**found.notes, **{k: v for k, v in attributes.items() if k not in {*_MARK_KEYS, "SCHED_REQUIREMENTS"}}}
        told = attributes.get("SCHED_REQUIREMENTS", found.requirements)
        marked = mark_from_opennebula(attributes) or found.mark
        self.vms[vm_id] = replace(found, notes=notes, mark=marked, requirements=told)
        self._wrote("update_vm", vm_id, attributes)
        self._answer("update_vm")

    async def unmark(self, member: str, member_id: int) -> None:
        pool: dict[int, Any] = {
            "vm": self.vms, "network": self.networks, "image": self.images, "security_group": self.groups,
        }[member]  # fmt: skip
        found = pool[member_id]
        kept = {"notes": {}} if member == "vm" else {}
        if member in {"image", "security_group"}:
            kept = {"notes": {k: v for k, v in found.notes.items() if not k.startswith("SOVEREIGNCLOUD_")}}
        if member == "network":
            kept = {"attributes": {k: v for k, v in found.attributes.items() if not k.startswith("SOVEREIGNCLOUD_")}}
        pool[member_id] = replace(found, mark=None, **kept)
        self._wrote("unmark", member, member_id)
        self._answer("unmark")

    async def rename_vm(self, vm_id: int, name: str) -> None:
        self.vms[vm_id] = replace(self.vms[vm_id], name=name)
        self._wrote("rename_vm", vm_id, name)
        self._answer("rename_vm")

    async def configure_vm(self, vm_id: int, attributes: dict[str, Any]) -> None:
        self._at(vm_id, *_COLD, RUNNING)
        self.vms[vm_id] = replace(self.vms[vm_id], cpu_model=attributes["CPU_MODEL"]["MODEL"])
        self._wrote("configure_vm", vm_id, attributes)
        self._answer("configure_vm")

    async def attach_pci(self, vm_id: int, device: dict[str, str]) -> None:
        self._at(vm_id, POWEROFF)
        if "attach_pci" in self.silent_failures:
            raise Rejected("Cannot assign PCI device in host. Check address and free devices")
        new = Pci(device.get("VENDOR", ""), device.get("DEVICE", ""), device.get("CLASS", ""), len(self.vms[vm_id].pci))
        self.vms[vm_id] = replace(self.vms[vm_id], pci=(*self.vms[vm_id].pci, new))
        self._wrote("attach_pci", vm_id, device)
        self._answer("attach_pci")

    async def detach_pci(self, vm_id: int, pci_id: int) -> None:
        self._at(vm_id, POWEROFF)
        left = tuple(one for one in self.vms[vm_id].pci if one.id != pci_id)
        self.vms[vm_id] = replace(self.vms[vm_id], pci=left)
        self._wrote("detach_pci", vm_id, pci_id)
        self._answer("detach_pci")

    async def retry_vm(self, vm_id: int) -> None:
        at = self._at(vm_id, *_FAILURES)
        if "retry_vm" not in self.silent_failures:
            self._set(vm_id, {(3, 36): (3, 2), (3, 39): (3, 1), (3, 40): (3, 11)}[at])
        self._wrote("retry_vm", vm_id)
        self._answer("retry_vm")

    async def move_vm(self, vm_id: int, host_id: int, *, live: bool) -> None:
        at = self._at(vm_id, *((RUNNING,) if live else (POWEROFF, SUSPENDED)))
        after = {RUNNING: (3, 4), POWEROFF: (3, 43), SUSPENDED: (3, 45)}[at]
        where = self.vms[vm_id].host if "move_vm" in self.silent_failures else self.hosts[host_id].name
        self._set(vm_id, after, host=where)
        self._wrote("move_vm", vm_id, host_id, live)
        self._answer("move_vm")

    async def create_network(self, template: dict[str, Any], cluster_id: int) -> int:
        if any(n.name == template["NAME"] and n.owner == US for n in self.networks.values()):
            raise Conflict("NAME is already taken by NET 0.")
        new = self._id()
        kept = {k: v for k, v in template.items() if k not in {"NAME", "AR", *_MARK_KEYS}}
        ranges = tuple(AddressRange(a["IP"], int(a["SIZE"]), i) for i, a in enumerate(template["AR"]))
        self.networks[new] = network(
            id=new, name=template["NAME"], owner=US, state=2, attributes=kept, ranges=ranges,
            mark=mark_from_opennebula(template),
        )  # fmt: skip
        self._wrote("create_network", template, cluster_id)
        self._answer("create_network")
        return new

    async def update_network(self, network_id: int, attributes: dict[str, str]) -> None:
        found = self.networks[network_id]
        kept = {**found.attributes, **{k: v for k, v in attributes.items() if k not in _MARK_KEYS}}
        self.networks[network_id] = replace(found, attributes=kept, mark=mark_from_opennebula(attributes) or found.mark)
        self._wrote("update_network", network_id, attributes)
        self._answer("update_network")

    async def add_range(self, network_id: int, range_: AddressRange) -> None:
        found = self.networks[network_id]
        number = 1 + max((r.id for r in found.ranges), default=-1)
        self.overlapped |= any(overlap(range_, r) for r in found.ranges if r.ip)
        self.networks[network_id] = replace(found, ranges=(*found.ranges, replace(range_, id=number)))
        self._wrote("add_range", network_id, range_.ip, range_.size)
        self._answer("add_range")

    async def resize_range(self, network_id: int, range_: AddressRange) -> None:
        found = self.networks[network_id]
        ranges = tuple(replace(r, size=range_.size) if r.id == range_.id else r for r in found.ranges)
        grows = any(r.id == range_.id and r.size < range_.size for r in found.ranges)
        self.overlapped |= grows and any(overlap(range_, r) for r in found.ranges if r.ip and r.id != range_.id)
        self.networks[network_id] = replace(found, ranges=ranges)
        self._wrote("resize_range", network_id, range_.id, range_.size)
        self._answer("resize_range")

    async def remove_range(self, network_id: int, range_id: int) -> None:
        found = self._with_leases(self.networks[network_id])
        if any(r.id == range_id and r.used for r in found.ranges):
            raise Rejected("Address Range has leases in use")
        ranges = tuple(r for r in self.networks[network_id].ranges if r.id != range_id)
        self.networks[network_id] = replace(self.networks[network_id], ranges=ranges)
        self._wrote("remove_range", network_id, range_id)
        self._answer("remove_range")

    async def delete_network(self, network_id: int) -> None:
        if self._with_leases(self.networks[network_id]).used_leases:
            raise Rejected("Can not remove a virtual network with leases in use")
        self.networks[network_id] = replace(self.networks[network_id], state=3)
        self._wrote("delete_network", network_id)
        self._answer("delete_network")

    async def create_image(self, template: dict[str, Any], datastore_id: int) -> int:
        if any(i.name == template["NAME"] and i.owner == US for i in self.images.values()):
            raise Conflict("NAME is already taken by IMAGE 0.")
        new = self._id()
        self.images[new] = image(
            id=new, name=template["NAME"], owner=US, state=4, mark=mark_from_opennebula(template),
            datastore_id=datastore_id, size=int(template.get("SIZE", 10240)), notes=_notes(template),
            type=2 if template.get("TYPE") == "DATABLOCK" else 0, persistent=template.get("PERSISTENT") == "YES",
            description=template.get("DESCRIPTION", ""), time=int(NOW.timestamp()),
        )  # fmt: skip
        self._wrote("create_image", template, datastore_id)
        self._answer("create_image")
        return new

    async def update_image(self, image_id: int, attributes: dict[str, str]) -> None:
        found = self.images[image_id]
        notes = {**found.notes, **_notes(attributes)}
        self.images[image_id] = replace(
            found,
            mark=mark_from_opennebula(attributes) or found.mark,
            notes=notes,
            description=attributes.get("DESCRIPTION", found.description),
        )
        self._wrote("update_image", image_id, attributes)
        self._answer("update_image")

    async def rename_image(self, image_id: int, name: str) -> None:
        if any(i.name == name and i.owner == self.images[image_id].owner for i in self.images.values()):
            raise Conflict("NAME collides with IMAGE 0.")
        self.images[image_id] = replace(self.images[image_id], name=name)
        self._wrote("rename_image", image_id, name)
        self._answer("rename_image")

    async def set_persistent(self, image_id: int, *, persistent: bool) -> None:
        if self.images[image_id].vms:
            raise Rejected("Could not make image persistent: Image cannot be in state USED.")
        self.images[image_id] = replace(self.images[image_id], persistent=persistent)
        self._wrote("set_persistent", image_id, persistent)
        self._answer("set_persistent")

    async def delete_image(self, image_id: int) -> None:
        self.images[image_id] = replace(self.images[image_id], state=7)
        self._wrote("delete_image", image_id)
        self._answer("delete_image")


class VmGroups:
    """VM groups of it: oned puts a machine that is in one into a second one, too (OpenNebula/one#8016)."""

    def __init__(self, front: OpenNebula) -> None:
        self._front = front

    async def create(self, name: str, policies: dict[str, str], made_by: Mark) -> int:
        front = self._front
        if any(one.name == name and one.owner == US for one in front.vm_group_pool.values()):
            raise Conflict("NAME is already taken by VMGROUP 0.")
        new = front._id()
        front.vm_group_pool[new] = VmGroup(new, name, US, made_by, {role: frozenset() for role in policies})
        front._wrote("create_group", name)
        front._answer("create_group")
        return new

    async def delete(self, group_id: int) -> None:
        if group_id not in self._front.vm_group_pool:
            raise NotFound(f"Error getting VMGroup [{group_id}].")
        if not self._front.vm_group_pool[group_id].empty:
            raise Conflict("Cannot delete: VM group in use")
        del self._front.vm_group_pool[group_id]
        self._front._wrote("delete_group", group_id)
        self._front._answer("delete_group")

    async def join(self, vm_id: int, group_id: int, role: str) -> None:
        found = self._front.vms[vm_id]
        joined = Membership(group_id, role)
        self._front.vms[vm_id] = replace(found, groups=(*found.groups, joined))
        self._front._enrol(vm_id, joined)
        self._front._wrote("join", vm_id, group_id, role)
        self._front._answer("join")

    async def leave(self, vm_id: int) -> None:
        self._front.vms[vm_id] = replace(self._front.vms[vm_id], groups=())
        self._front._expel(vm_id)
        self._front._wrote("leave", vm_id)
        self._front._answer("leave")


class Addresses:
    """The port of holds and reservations of an OpenNebula in memory."""

    def __init__(self, one: OpenNebula) -> None:
        self.one = one

    def _take(self, network_id: int, ip: str, size: int, holder: str, number: int) -> AddressRange:
        found = self.one._with_leases(self.one.networks[network_id])
        for r in found.ranges:
            at = index_of(r, ip) if contains(r, ip) else -1
            if at < 0 or at + size > r.size:
                continue
            if any(at <= lease.index < at + size for lease in r.leases):
                break
            more = tuple(Lease(at + n, holder, number) for n in range(size))
            self._put(network_id, r.id, (*r.leases, *more))
            return r
        raise Rejected("Not enough free addresses in an address range")

    def _put(self, network_id: int, range_id: int, leases: tuple[Lease, ...]) -> None:
        found = self.one.networks[network_id]
        ranges = tuple(replace(r, leases=leases, used=len(leases)) if r.id == range_id else r for r in found.ranges)
        self.one.networks[network_id] = replace(found, ranges=ranges, used_leases=sum(len(r.leases) for r in ranges))

    async def hold(self, network_id: int, ip: str) -> None:
        self._take(network_id, ip, 1, "HOLD", -1)
        self._done("hold", network_id, ip)

    async def release(self, network_id: int, ip: str) -> None:
        for r in self.one.networks[network_id].ranges:
            self._put(network_id, r.id, tuple(x for x in r.leases if (x.holder, address_of(r, x)) != ("HOLD", ip)))
        self._done("release", network_id, ip)

    async def reserve(self, parent_id: int, reservation: dict[str, str]) -> int:
        ip, size = reservation["IP"], int(reservation["SIZE"])
        assert int(reservation["AR_ID"]) >= 0, "AR_ID must be specified for IP/MAC based reservations"
        target = int(reservation.get("NETWORK_ID", -1))
        if target < 0:
            if any(n.name == reservation["NAME"] and n.owner == US for n in self.one.networks.values()):
                raise Conflict("NAME is already taken by NET 0.")
            target = self.one._id()
        source = self._take(parent_id, ip, size, "NET", target)
        known = self.one.networks.get(target)
        if known is None:
            parent = self.one.networks[parent_id]
            known = network(
                id=target, name=reservation["NAME"], owner=US, state=2, attributes=parent.attributes, ranges=(),
                parent=parent_id, mark=parent.mark,
            )  # fmt: skip
        number = 1 + max((r.id for r in known.ranges), default=-1)
        self.one.networks[target] = replace(
            known, ranges=(*known.ranges, AddressRange(ip, size, number, parent=source.id))
        )
        self._done("reserve", parent_id, reservation)
        return target

    async def free_range(self, network_id: int, range_id: int) -> None:
        found = self.one._with_leases(self.one.networks[network_id])
        gone = next(r for r in found.ranges if r.id == range_id)
        if gone.used:
            raise Rejected("Address Range has leases in use")
        kept = tuple(r for r in self.one.networks[network_id].ranges if r.id != range_id)
        self.one.networks[network_id] = replace(self.one.networks[network_id], ranges=kept)
        for r in self.one.networks[found.parent].ranges:
            begin = index_of(r, gone.ip) if contains(r, gone.ip) else r.size
            leases = tuple(x for x in r.leases if not begin <= x.index < begin + gone.size)
            self._put(found.parent, r.id, leases)
        self._done("free_range", network_id, range_id)

    def _done(self, verb: str, *what: Any) -> None:
        self.one._wrote(verb, *what)
        self.one._answer(verb)


def _notes(template: dict[str, Any]) -> dict[str, str]:
    return {k: v for k, v in template.items() if k.startswith("SOVEREIGNCLOUD_") and k not in _MARK_KEYS}


class Groups:
    """The port of security groups of an OpenNebula in memory."""

    def __init__(self, one: OpenNebula) -> None:
        self.one = one

    async def create(self, name: str, rules: tuple[SecurityRule, ...], attributes: dict[str, str]) -> int:
        if any(g.name == name and g.owner == US for g in self.one.groups.values()):
            raise Conflict("NAME is already taken by SECURITY GROUP 100.")
        new = self.one._id()
        self.one.groups[new] = security_group(id=new, name=name, rules=rules, mark=mark_from_opennebula(attributes))
        self._done("create_group", name)
        return new

    async def update(self, group_id: int, attributes: dict[str, str]) -> None:
        self._merge(group_id, attributes)
        self._done("update_group", group_id)

    async def set_rules(self, group_id: int, rules: tuple[SecurityRule, ...], attributes: dict[str, str]) -> None:
        self._merge(group_id, attributes, rules=rules)
        self._done("set_rules", group_id)

    def _merge(self, group_id: int, attributes: dict[str, str], **fields: Any) -> None:
        found = self.one.groups[group_id]
        notes = {**found.notes, **{k: v for k, v in attributes.items() if k not in _MARK_KEYS}}
        marked = mark_from_opennebula(attributes) or found.mark
        self.one.groups[group_id] = replace(found, notes=notes, mark=marked, **fields)

    async def commit(self, group_id: int, *, recover: bool = False) -> None:
        found = self.one._with_users(self.one.groups[group_id])
        aim = (*found.outdated, *found.failed) if recover else found.vms
        self.one.groups[group_id] = replace(found, updated=(), outdated=(), failed=(), updating=tuple(aim))
        self._done("commit", group_id)

    async def rename(self, group_id: int, name: str) -> None:
        self.one.groups[group_id] = replace(self.one.groups[group_id], name=name)
        self._done("rename_group", group_id, name)

    async def delete(self, group_id: int) -> None:
        if group_id == 0 or self.one._with_users(self.one.groups[group_id]).vms:
            raise Rejected("Cannot delete security group. The security group has VMs using it")
        del self.one.groups[group_id]
        self._done("delete_group", group_id)

    async def attach(self, vm_id: int, nic_id: int, group_id: int) -> None:
        self._filter(vm_id, nic_id, lambda groups: groups | {group_id})
        self._done("attach_group", vm_id, nic_id, group_id)

    async def detach(self, vm_id: int, nic_id: int, group_id: int) -> None:
        self._filter(vm_id, nic_id, lambda groups: groups - {group_id})
        self._done("detach_group", vm_id, nic_id, group_id)

    def _filter(self, vm_id: int, nic_id: int, change: Any) -> None:
        at = self.one._at(vm_id, RUNNING, POWEROFF)
        found = self.one.vms[vm_id]
        nics = tuple(
            replace(n, groups=tuple(sorted(change(set(n.groups))))) if n.id == nic_id else n for n in found.nics
        )
        self.one._set(vm_id, (3, 25) if at == RUNNING else (3, 65), nics=nics)

    def _done(self, verb: str, *what: Any) -> None:
        self.one._wrote(verb, *what)
        self.one._answer(verb)


class World:
    """What a controller sees: clouds by name in namespace team, other resources, secrets."""

    def __init__(self, resources: tuple[Any, ...] = (), **clouds: OpenNebula | Exception | None) -> None:
        self.now = NOW
        self.admitted = False
        self.sweeping = False
        self.fronts = {Key("SovereignCloud", "team", name): front for name, front in clouds.items()}
        self.resources = {r.key: r for r in resources}
        self.built: dict[str, dict[str, Any]] = {}
        self.told: dict[str, Any] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.kubernetes = SimpleNamespace(
            secret=self._secret, generate_login=self._generate_login, delete_secret=self._delete_secret
        )
        self.as_user: dict[Key, Any] = {}
        """Clients of the users of tenants, by cloud; without one the cloud's own client."""
        self.rules: list[Rules] = []
        """Of the policies that bind namespace team."""
        self.reservations: list[tuple[Key, Reservation]] = []
        self.lost: dict[str, str] = {}
        """Since when a cloud does not answer, by its name."""
        self.distances: dict[tuple[Key, Key], float] = {}
        self.located: dict[str, dict[str, Any]] = {}
        """What is told of a cloud: its labels, providerRef and status.locations, by its name."""
        self.asked_as: list[tuple[str, int | None]] = []
        self.asked_anew: list[str] = []
        """For which namespaces, and for which machine, a client was asked for."""

    async def _secret(self, namespace: str, name: str) -> dict[str, str]:
        if name not in self.secrets:
            raise MissingSecret(f"no Secret {namespace}/{name}")
        return self.secrets[name]

    async def _generate_login(self, namespace: str, name: str, username: str, labels: dict[str, str]) -> bool:
        del namespace, labels
        if name in self.secrets:
            return False
        self.secrets[name] = {"username": username, "password": f"secret-{name}"}
        return True

    async def _delete_secret(self, namespace: str, name: str) -> None:
        del namespace
        self.secrets.pop(name, None)

    own_namespace = "sovereign-system"

    def policies(self, namespace: str, cloud: Key) -> tuple[Rules, ...]:
        del namespace
        return tuple(one for one in self.rules if one.binding.binds_cloud(cloud))

    def inhabitants(self, cloud: Key) -> tuple[InstanceFacts, ...]:
        found = (facts_of(r) for _, r in sorted(self.resources.items()) if isinstance(r, HostedInstance))
        return tuple(one for one in found if one is not None and one.cloud == cloud)

    def everything(self, kind: str) -> tuple[Any, ...]:
        return tuple(r for key, r in sorted(self.resources.items()) if key.kind == kind)

    def promise(self, cloud: Key, promise: Reservation) -> None:
        self.reservations = [(at, one) for at, one in self.reservations if one.object != promise.object] + [
            (cloud, promise)
        ]

    def promised(self, cloud: Key, began: float) -> tuple[Reservation, ...]:
        del began
        return tuple(promise for there, promise in self.reservations if there == cloud)

    def silent_since(self, cloud: Key) -> None:
        """What is lost is told by the status of its cloud."""

    def distance(self, one: Key, other: Key) -> float | None:
        return self.distances.get((one, other), self.distances.get((other, one)))

    async def has_secret(self, namespace: str, name: str) -> bool | None:
        del namespace
        return None if self.sweeping else name in self.secrets

    def _tenancies(self) -> Tenancies:
        return tenancies(r for r in self.resources.values() if isinstance(r, Tenant))

    def tenancy(self, namespace: str, cloud: Key) -> Tenancy | None:
        return self._tenancies().get((namespace, cloud))

    def clouds(self, namespace: str) -> tuple[Key, ...]:
        own = [key for key in self.fronts if key.namespace == namespace]
        lent = [cloud for (whose, cloud), one in self._tenancies().items() if whose == namespace and one.allowed]
        return tuple(dict.fromkeys((*own, *(cloud for cloud in lent if cloud in self.fronts))))

    def mark(self, resource: Any) -> Mark:
        meta = resource.metadata
        return mark(resource.key.kind, meta.name, meta.uid, meta.namespace)

    def get(self, key: Key) -> Any:
        if key in self.fronts:
            endpoint = None if self.fronts[key] is None else "http://127.0.0.1/RPC2"
            spec = self.built.get(
                key.name, {"existing": {"endpoint": "http://x/RPC2", "credentialsSecretRef": {"name": "s"}}}
            )
            about = self.located.get(key.name, {})
            meta = {"name": key.name, "namespace": key.namespace, "labels": about.get("labels", {})}
            status = {"endpoint": endpoint, "locations": about.get("locations"), "lostSince": self.lost.get(key.name)}
            status = {**status, **self.told, **about.get("status", {})}
            spec = {**spec, **about.get("spec", {})}
            return SovereignCloud.model_validate({"metadata": meta, "spec": spec, "status": status})
        return self.resources.get(key)

    def users(self, key: Key, *kinds: str) -> list[Any]:
        return [r for r in self.resources.values() if not kinds or r.key.kind in kinds]

    async def open_nebula(self, cloud: Key) -> OpenNebula:
        assert not self.sweeping, "a sweep has nothing but the view"
        return await self._front(cloud)

    async def open_nebula_for(
        self,
        cloud: Key,
        namespace: str,
        vm: int | None = None,
        security_group: int | None = None,
        *,
        anew: bool = False,
    ) -> OpenNebula:
        self.asked_as.append((namespace, vm))
        self.asked_anew += [namespace] if anew else []
        if cloud in self.as_user and self.tenancy(namespace, cloud) is not None:
            return await self.as_user[cloud](self.tenancy(namespace, cloud), vm, security_group)
        return await self.open_nebula(cloud)

    async def _front(self, cloud: Key) -> OpenNebula:
        front = self.fronts[cloud]
        if isinstance(front, Exception):
            raise front
        return front

    async def view(self, cloud: Key) -> CloudView:
        front = await self._front(cloud)
        view = await front.view(0.0)
        tenants = [r for r in self.resources.values() if isinstance(r, Tenant)]
        listed = any(here.cloud == cloud for tenant in tenants for here in clouds_of(tenant))
        return replace(view, tenancy=await front.tenancy.view()) if listed and hasattr(front, "tenancy") else view


_KINDS = {
    kind.crd.kind: kind
    for kind in (
        HostedInstance,
        InstanceMigration,
        VirtualNetwork,
        MachineImage,
        SecurityGroupResource,
        Tenant,
        FederatedZone,
    )
}


def resource(kind: str, name: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> Any:
    metadata = {"name": name, "namespace": "team", "uid": "uid-1", "generation": 1, **meta}
    if metadata.pop("deleting", False):
        metadata["deletionTimestamp"] = NOW
    return _KINDS[kind].model_validate({"kind": kind, "metadata": metadata, "spec": spec, "status": status or {}})


def again(before: Any, spec: dict[str, Any] | None = None, **meta: Any) -> Any:
    """As it would come back from the API server, with another spec or other metadata."""
    declared = before.spec.model_dump(by_alias=True, exclude_none=True) | (spec or {})
    status = before.status.model_dump(by_alias=True, exclude_none=True)
    meta = {"uid": before.metadata.uid, "namespace": before.metadata.namespace} | meta
    return resource(before.crd.kind, before.metadata.name, declared, status, **meta)


SETTLED = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}


async def look(controller: Any, wanted: Any, world: World) -> Plan:
    return controller.plan(wanted, await controller.observe(wanted, world), NOW)


async def run(controller: Any, wanted: Any, world: World) -> tuple[Any, Plan, Outcome]:
    """Once through the loop, as far as a kind notices: the resource with its new status, the plan, the outcome."""
    world.admitted = False
    observed = await controller.observe(wanted, world)
    plan = controller.plan(wanted, observed, world.now)
    if plan.absent:
        world.admitted = True
        observed = await controller.observe(wanted, world)
        plan = controller.plan(wanted, observed, world.now)
    outcome = plan.outcome
    error = None
    doable = [step for step in plan.steps if not step.needs]
    if doable:
        outcome = DONE
    for step in doable:
        try:
            outcome = outcome.merge(await controller.perform(step, wanted, world))
        except (Retry, Conflict, Rejected, Quota) as caught:
            error = caught
            break
        if outcome.phase is not Phase.DONE or outcome.after is not None:
            break
    external = {**wanted.external, **outcome.facts}
    ready = not doable and error is None and outcome.phase is Phase.DONE
    status = {key: value for key, value in controller.status(wanted, observed).items() if value is not None}
    own = status.pop("conditions", ())
    status |= {
        "external": {key: value for key, value in external.items() if value},
        "observedGeneration": wanted.metadata.generation,
        "conditions": [
            {"type": "Ready", "status": "True" if ready else "False", "reason": "Ready"},
            *(
                [{"type": "Reconciling", "status": "True", "reason": outcome.reason}]
                if outcome.phase is Phase.WAITING
                else []
            ),
            {"type": "Drifted", "status": "True" if plan.drift and wanted.settled else "False", "reason": "Drift"},
            *own,
        ],
    }
    settled = wanted.model_copy(update={"status": type(wanted.status).model_validate(status)})
    return settled, plan, outcome
