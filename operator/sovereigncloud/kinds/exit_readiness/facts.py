"""Facts of a HostedInstance that decide whether its VM can leave its cloud.

They are cached per instance, so that ten thousand instances are not parsed again.
"""

from __future__ import annotations

from sovereigncloud.api.common.base import Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.exit import Blocker
from sovereigncloud.core.placement import Demand
from sovereigncloud.kinds.contract.instance_facts import CopyFacts, InstanceFacts
from sovereigncloud.kinds.hostedinstance.continuity.copies import missing_disks, recorded_copies, recorded_vm
from sovereigncloud.kinds.hostedinstance.machine.copy import Copy
from sovereigncloud.kinds.hostedinstance.machine.observed import bound_cloud
from sovereigncloud.kinds.hostedinstance.placement.resource_needs import demand_of
from sovereigncloud.ports.opennebula.views import Vm


def facts_of(resource: HostedInstance) -> InstanceFacts | None:
    """Facts of an instance; None if it has no VM."""
    cloud, number = bound_cloud(resource), resource.external.get("vm", "")
    if cloud is None or not number.isdigit():
        return None
    spec = resource.spec
    copies = sorted(recorded_copies(resource), key=lambda copy: copy.time, reverse=True)
    machine = recorded_vm(resource, copies[0] if copies else None)
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
        blocker=_unmanaged_blocker(resource),
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
    """Facts of a retained copy, which is usable in the cloud that holds it."""
    return CopyFacts(True, copy.kind, copy.name.rpartition("/")[0], -1, True, tuple(missing_disks(copy, resource)))


def _unmanaged_blocker(resource: HostedInstance) -> Blocker | None:
    name = f"HostedInstance {resource.metadata.namespace}/{resource.metadata.name}"
    if resource.deleting:
        return Blocker(Reason.NOT_MOVABLE, f"{name} is being deleted")
    if resource.paused or resource.spec.management is Management.OBSERVE:
        return Blocker(
            Reason.NOT_MOVABLE, f"{name} is paused or only observed; set spec.management: Manage and resume it"
        )
    return None
