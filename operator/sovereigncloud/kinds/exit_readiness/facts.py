"""What of a HostedInstance tells whether its machine could leave its cloud: kept for each, so that ten thousand are not read anew."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.exit import Blocker
from sovereigncloud.core.placement import Demand
from sovereigncloud.kinds.hostedinstance.continuity.copies import Copy, missing_disks, remembered, remembered_machine
from sovereigncloud.kinds.hostedinstance.observation import bound_cloud
from sovereigncloud.kinds.hostedinstance.placement.resource_needs import demand_of
from sovereigncloud.ports.opennebula.views import Vm


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """What decides where a copy can be used; for thousands of machines it is the same few. `lacks`: disks that are not in it."""

    outside: bool
    driver: str
    server: str
    store: int
    complete: bool
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """Of a machine that is there.

    Attributes:
        key: of its HostedInstance.
        cloud: that it is in.
        vm: its number there.
        labels: of the HostedInstance.
        demand: as it is remembered, else as spec says; for when nobody can look at the machine.
        networks: likewise.
        store: where its backups go; empty: nowhere.
        copies: of it, the newest first.
        blocker: why it moves nowhere.
    """

    key: Key
    cloud: Key
    vm: int
    labels: tuple[tuple[str, str], ...]
    demand: Demand
    networks: tuple[str, ...]
    store: str
    copies: tuple[CopyFacts, ...] = ()
    blocker: Blocker | None = None


def facts_of(resource: HostedInstance) -> InstanceFacts | None:
    """None: it has no machine that could leave."""
    cloud, number = bound_cloud(resource), resource.external.get("vm", "")
    if cloud is None or not number.isdigit():
        return None
    spec = resource.spec
    copies = sorted(remembered(resource), key=lambda copy: copy.time, reverse=True)
    machine = remembered_machine(resource, copies[0] if copies else None)
    networks = (nic.network for nic in machine.nics) if machine else (network.name for network in spec.networks or ())
    return InstanceFacts(
        key=resource.key,
        cloud=cloud,
        vm=int(number),
        labels=tuple(sorted(resource.metadata.labels.items())),
        demand=_remembered(machine) if machine is not None else demand_of(resource, ()),
        networks=tuple(dict.fromkeys(networks)),
        store=(spec.backup.store or "") if spec.backup is not None else "",
        copies=tuple(_copy(copy, resource) for copy in copies),
        blocker=_left_alone(resource),
    )


def _remembered(machine: Vm) -> Demand:
    return Demand(
        cpu=round(float(machine.cpu or 0) * 100),
        memory=machine.memory,
        root=sum(disk.size for disk in machine.disks if not disk.label),
        data=sum(disk.size for disk in machine.disks if disk.label),
    )


def _copy(copy: Copy, resource: HostedInstance) -> CopyFacts:
    held = copy.held
    lacks = tuple(missing_disks(copy, resource))
    return CopyFacts(copy.outside, held.driver, copy.server, held.store, bool(held.chain), lacks)


def image_facts(copy: Copy, resource: HostedInstance) -> CopyFacts:
    """Of one that a rehearsal kept: it is where it can be used."""
    return CopyFacts(True, copy.kind, copy.name.rpartition("/")[0], -1, True, tuple(missing_disks(copy, resource)))


def _left_alone(resource: HostedInstance) -> Blocker | None:
    name = f"HostedInstance {resource.metadata.namespace}/{resource.metadata.name}"
    if resource.deleting:
        return Blocker(Reason.NOT_MOVABLE, f"{name} is being deleted")
    if resource.paused or resource.spec.management is Management.OBSERVE:
        return Blocker(
            Reason.NOT_MOVABLE, f"{name} is paused or only observed; let it be managed (spec.management: Manage)"
        )
    return None
