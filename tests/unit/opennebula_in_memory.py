"""An OpenNebula in memory behind the port of the kinds, as unkind as a real one: operations are queued, a second one is
refused meanwhile, what a state does not allow is refused. And the least of an engine to run a controller against it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from sovereigncloud.api.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.identity import Mark, mark_from_opennebula
from sovereigncloud.core.outcome import DONE, Outcome, Phase
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.addressing import contains, overlap
from sovereigncloud.kinds.errors import Conflict, MissingSecret, NotFound, Quota, Rejected, Retry
from sovereigncloud.kinds.ports import (
    AddressRange,
    CloudView,
    Datastore,
    Disk,
    Front,
    Image,
    MarketplaceApp,
    Network,
    Nic,
    Template,
    Vm,
)

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
    (3, 64): UNDEPLOYED, (3, 12): (3, 11), (3, 11): DONE_STATE,
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


class OpenNebula:
    """The port, in memory. `journal` has every write; `lost`: verbs whose next answer is lost after the write."""

    def __init__(self, *things: Vm | Network | Image) -> None:
        self.vms = {t.id: t for t in things if isinstance(t, Vm)}
        self.networks = {t.id: t for t in things if isinstance(t, Network)}
        self.images = {t.id: t for t in things if isinstance(t, Image)}
        self.datastores = {1: Datastore(1, "default", 0, 0, 10**6, 10**6), 0: Datastore(0, "system", 1, 0, 10, 10)}
        self.templates = {5: Template(5, "small", 0)}
        self.marketplace = (MarketplaceApp(31, "Ubuntu 24.04", 1, 2048, "OpenNebula Public"),)
        self.journal: list[tuple[Any, ...]] = []
        self.reads: list[str] = []
        self.lost: set[str] = set()
        self.refuse_resize: Exception | None = None
        self.hidden = False
        self.tells_owner = True
        self.overlapped = False
        self.next_id = 100

    # -- reads

    async def front(self) -> Front:
        self.reads.append("front")
        return Front("7.0", 0, "OpenNebula", US)

    async def view(self, began: float) -> CloudView:
        visible = {} if self.hidden else self.vms
        return CloudView(
            began=began,
            vms={v.id: v for v in visible.values() if v.state != 6},
            networks={} if self.hidden else {n.id: self._with_leases(n) for n in self.networks.values()},
            images={} if self.hidden else dict(self.images),
            hosts={},
            datastores=dict(self.datastores),
            templates=dict(self.templates),
            owner=US if self.tells_owner else None,
        )

    async def vm(self, vm_id: int) -> Vm:
        self.reads.append(f"vm {vm_id}")
        if vm_id not in self.vms:
            raise NotFound(f"Error getting virtual machine [{vm_id}].")
        return self.vms[vm_id]

    async def apps(self) -> tuple[MarketplaceApp, ...]:
        self.reads.append("apps")
        return self.marketplace

    def _with_leases(self, net: Network) -> Network:
        nics = [n for v in self.vms.values() if v.state != 6 for n in v.nics if n.network_id == net.id]
        ranges = tuple(
            replace(r, used=max(r.used, sum(contains(r, n.ip) for n in nics)) if r.ip else r.used) for r in net.ranges
        )
        return replace(net, ranges=ranges, used_leases=max(net.used_leases, len(nics)))

    # -- the course of time

    def tick(self) -> None:
        for v in list(self.vms.values()):
            after = _NEXT.get((v.state, v.lcm_state))
            if after and not (after == (3, 1) and v.scheduler_message):
                self._set(v.id, after)
        for i in list(self.images.values()):
            if i.state == 4:
                self.images[i.id] = replace(i, state=1)
            elif i.state == 7:
                del self.images[i.id]
        for n in list(self.networks.values()):
            if n.state == 2:
                self.networks[n.id] = replace(n, state=1)
            elif n.state == 3:
                del self.networks[n.id]

    def _set(self, vm_id: int, at: tuple[int, int], **fields: Any) -> None:
        self.vms[vm_id] = replace(self.vms[vm_id], state=at[0], lcm_state=at[1], **fields)

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
        disk = template["DISK"][0]
        source = self.images[int(disk["IMAGE_ID"])]
        self.vms[new] = vm(
            id=new, name=template["NAME"], at=PENDING, cpu=template["CPU"], vcpu=int(template["VCPU"]),
            memory=int(template["MEMORY"]), mark=mark_from_opennebula(template), host="",
            disks=(Disk(0, source.id, source.name, int(disk.get("SIZE", source.size))),),
            nics=tuple(self._nic(i, int(n["NETWORK_ID"])) for i, n in enumerate(template["NIC"])),
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
            nics=tuple(self._nic(i, int(n["NETWORK_ID"])) for i, n in enumerate(nics)),
        )  # fmt: skip
        self._wrote("instantiate", template_id, name, extra)
        self._answer("instantiate")
        return new

    def _nic(self, number: int, network_id: int) -> Nic:
        net = self.networks[network_id]
        return Nic(number, network_id, net.name, f"10.0.{network_id}.{number + 9}", "02:01")

    async def act(self, vm_id: int, action: str) -> None:
        match action:
            case "poweroff":
                self._at(vm_id, RUNNING, (3, 16))
                after = (3, 18)
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
        self._at(vm_id, *_COLD)
        if self.refuse_resize is not None:
            raise self.refuse_resize
        self.vms[vm_id] = replace(self.vms[vm_id], cpu=f"{float(cpu):.2f}", vcpu=vcpu, memory=memory)
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
        nics = (*self.vms[vm_id].nics, self._nic(number, int(nic["NETWORK_ID"])))
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
        notes = {**found.notes, **{k: v for k, v in attributes.items() if k not in _MARK_KEYS}}
        self.vms[vm_id] = replace(found, notes=notes, mark=mark_from_opennebula(attributes) or found.mark)
        self._wrote("update_vm", vm_id, attributes)
        self._answer("update_vm")

    async def rename_vm(self, vm_id: int, name: str) -> None:
        self.vms[vm_id] = replace(self.vms[vm_id], name=name)
        self._wrote("rename_vm", vm_id, name)
        self._answer("rename_vm")

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
            datastore_id=datastore_id,
        )  # fmt: skip
        self._wrote("create_image", template, datastore_id)
        self._answer("create_image")
        return new

    async def update_image(self, image_id: int, attributes: dict[str, str]) -> None:
        found = self.images[image_id]
        self.images[image_id] = replace(found, mark=mark_from_opennebula(attributes) or found.mark)
        self._wrote("update_image", image_id, attributes)
        self._answer("update_image")

    async def delete_image(self, image_id: int) -> None:
        self.images[image_id] = replace(self.images[image_id], state=7)
        self._wrote("delete_image", image_id)
        self._answer("delete_image")


class World:
    """What a controller sees: clouds by name in namespace team, other resources, secrets."""

    def __init__(self, resources: tuple[Any, ...] = (), **clouds: OpenNebula | Exception | None) -> None:
        self.now = NOW
        self.admitted = False
        self.sweeping = False
        self.fronts = {Key("SovereignCloud", "team", name): front for name, front in clouds.items()}
        self.resources = {r.key: r for r in resources}
        self.built: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.kubernetes = SimpleNamespace(secret=self._secret)

    async def _secret(self, namespace: str, name: str) -> dict[str, str]:
        if name not in self.secrets:
            raise MissingSecret(f"no Secret {namespace}/{name}")
        return self.secrets[name]

    def clouds(self, namespace: str) -> tuple[Key, ...]:
        return tuple(key for key in self.fronts if key.namespace == namespace)

    def mark(self, resource: Any) -> Mark:
        meta = resource.metadata
        return mark(resource.key.kind, meta.name, meta.uid, meta.namespace)

    def get(self, key: Key) -> Any:
        if key in self.fronts:
            endpoint = None if self.fronts[key] is None else "http://127.0.0.1/RPC2"
            spec = self.built.get(
                key.name, {"existing": {"endpoint": "http://x/RPC2", "credentialsSecretRef": {"name": "s"}}}
            )
            meta = {"name": key.name, "namespace": key.namespace}
            return SovereignCloud.model_validate({"metadata": meta, "spec": spec, "status": {"endpoint": endpoint}})
        return self.resources.get(key)

    def users(self, key: Key, *kinds: str) -> list[Any]:
        return [r for r in self.resources.values() if not kinds or r.key.kind in kinds]

    async def open_nebula(self, cloud: Key) -> OpenNebula:
        assert not self.sweeping, "a sweep has nothing but the view"
        return await self._front(cloud)

    async def _front(self, cloud: Key) -> OpenNebula:
        front = self.fronts[cloud]
        if isinstance(front, Exception):
            raise front
        return front

    async def view(self, cloud: Key) -> CloudView:
        return await (await self._front(cloud)).view(0.0)


_KINDS = {"HostedInstance": HostedInstance, "VirtualNetwork": VirtualNetwork, "MachineImage": MachineImage}


def resource(kind: str, name: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> Any:
    metadata = {"name": name, "namespace": "team", "uid": "uid-1", "generation": 1, **meta}
    if metadata.pop("deleting", False):
        metadata["deletionTimestamp"] = NOW
    return _KINDS[kind].model_validate({"kind": kind, "metadata": metadata, "spec": spec, "status": status or {}})


SETTLED = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}
_GENERIC = {"observedGeneration", "conditions", "external"}


async def look(controller: Any, wanted: Any, world: World) -> Plan:
    return controller.plan(wanted, await controller.observe(wanted, world), NOW)


async def run(controller: Any, wanted: Any, world: World) -> tuple[Any, Plan, Outcome]:
    """Once through the loop, as far as a kind notices: the resource with its new status, the plan, the outcome."""
    world.admitted = False
    observed = await controller.observe(wanted, world)
    plan = controller.plan(wanted, observed, NOW)
    if plan.absent:
        world.admitted = True
        observed = await controller.observe(wanted, world)
        plan = controller.plan(wanted, observed, NOW)
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
    status |= {
        "external": {key: value for key, value in external.items() if value},
        "observedGeneration": wanted.metadata.generation,
        "conditions": [
            {"type": "Ready", "status": "True" if ready else "False", "reason": "Ready"},
            {"type": "Drifted", "status": "True" if plan.drift and wanted.settled else "False", "reason": "Drift"},
        ],
    }
    settled = wanted.model_copy(update={"status": type(wanted.status).model_validate(status)})
    return settled, plan, outcome
