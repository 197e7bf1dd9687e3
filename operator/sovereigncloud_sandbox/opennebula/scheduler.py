"""The scheduler: in each cycle, pending VMs are placed on hosts, oldest first."""

import math

from sovereigncloud_sandbox.opennebula import affinity, devices, features, flows, placement, quota
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import refused
from sovereigncloud_sandbox.opennebula.model import Host, HostState, Vm
from sovereigncloud_sandbox.opennebula.model_storage import SYSTEM, Datastore

_NO_HOST = "Cannot dispatch VM: No hosts enabled to run VMs"
# Why hosts were not taken, in the order in which it is said (OpenNebula: SchedulerFailure.cc).
_REASONS = {
    "cpu": "[HOST] Not enough CPU on hosts: ",
    "memory": "[HOST] Not enough MEMORY on hosts: ",
    "devices": "[HOST] Unavailable PCI devices on hosts: ",
    "dispatch": "[HOST] Dispatch limit reached on hosts: ",
    "affinity": "[HOST] Cannot fulfill affinity constraints on hosts: ",
    "datastore": "[DS] Not enough capacity on datastores: ",
}


def arm(cloud: Cloud) -> None:
    """A cycle is due if machines wait; cycles keep to their own beat, whenever the machines came."""
    if cloud.scheduler_armed or not cloud.pending:
        return
    cloud.scheduler_armed = True
    period = max(cloud.speeds.scheduler, 0.01)
    # Half a period of distance: a beat computed from floating seconds may be the one that just was.
    beat = math.floor(cloud.now / period + 1.5) * period
    beat = max(beat, math.floor(cloud.quiet_until / period) * period)
    cloud.after(beat - cloud.now, lambda: _cycle(cloud))


def _cycle(cloud: Cloud) -> None:
    cloud.scheduler_armed = False
    hosts = [host for host in cloud.hosts.values() if host.state is HostState.MONITORED]
    for host in hosts:
        host.dispatched = 0
    for oid in sorted(cloud.pending):
        _place(cloud, cloud.vms[oid], hosts)
    arm(cloud)


def _place(cloud: Cloud, vm: Vm, hosts: list[Host]) -> None:
    usable, problem = placement.match(cloud, vm, hosts)
    rejected: dict[str, list[int]] = {}
    best: Host | None = None
    for host in usable:
        reason = _rejects(cloud, host, vm)
        if reason:
            rejected.setdefault(reason, []).append(host.oid)
        elif best is None or len(host.vms) < len(best.vms):
            best = host
    if best is not None:
        best.dispatched += 1
        owner = quota.Owner(vm.uid, vm.gid)
        if problem := quota.exceeded(cloud, owner, quota.cluster_use(cloud, vm, best.cluster_id)):
            vm.user_template.put("ERROR", f"{flows.log_time(cloud)}: [deploy] User [0] : {problem}.")
            vm.touch()
            return
        flows.deploy(cloud, vm, best, system_datastore(cloud, best))
    elif cloud.now - vm.pending_since >= cloud.speeds.scheduler * cloud.speeds.sched_message_cycles:
        _say(cloud, vm, rejected, problem)


def _rejects(cloud: Cloud, host: Host, vm: Vm) -> str:
    # Machines that belong together need room together, before the first of them is placed.
    together = [vm, *affinity.to_be_placed_with(cloud, vm)]
    shortage = flows.fits(host, sum(one.cpu for one in together), sum(one.memory for one in together))
    if shortage:
        return "cpu" if "CPU" in shortage else "memory"
    if not devices.fit(host, [wanted for one in together for wanted in devices.requests(one)]):
        return "devices"
    if host.dispatched >= cloud.speeds.max_host:
        return "dispatch"
    if not affinity.allows(cloud, vm, host):
        return "affinity"
    # With the ssh drivers a machine's disks are on the disk of its host.
    size = sum(int(disk.get("SIZE", "0") or 0) for disk in vm.disks)
    return "datastore" if size > host.max_disk - host.disk_usage else ""


def _say(cloud: Cloud, vm: Vm, rejected: dict[str, list[int]], problem: str) -> None:
    if not features.at_least(cloud.version, "7.0"):
        _put(cloud, vm, _as_in_6_10(vm, rejected, problem))
        return
    if "datastore" in rejected:
        systems = {system_datastore(cloud, cloud.hosts[oid]).oid for oid in rejected["datastore"]}
        rejected["datastore"] = sorted(systems)
    parts = [text + ",".join(map(str, rejected[key])) for key, text in _REASONS.items() if key in rejected]
    message = " ".join(parts) or problem or _NO_HOST
    _put(cloud, vm, message)


def _as_in_6_10(vm: Vm, rejected: dict[str, list[int]], problem: str) -> str:
    """The scheduler was a program of its own, and said less."""
    if rejected and not {"cpu", "memory", "devices"}.isdisjoint(rejected):
        return "Cannot dispatch VM: No host with enough capacity to deploy the VM"
    if "SCHED_REQUIREMENTS" in problem or "affinity" in rejected:
        wanted = vm.user_template.get("SCHED_REQUIREMENTS")
        return f"Cannot dispatch VM: No host meets capacity and SCHED_REQUIREMENTS: {wanted}"
    return problem or _NO_HOST


def _put(cloud: Cloud, vm: Vm, message: str) -> None:
    current = vm.user_template.get("SCHED_MESSAGE")
    if not current.endswith(f": {message}"):
        vm.user_template.put("SCHED_MESSAGE", f"{flows.log_time(cloud)}: {message}")
        vm.touch()


def system_datastore(cloud: Cloud, host: Host) -> Datastore:
    """The datastore in which a host keeps running disks.

    Raises:
        OneError: 0x800, its cluster has none.
    """
    for one in cloud.datastores.values():
        if one.type == SYSTEM and one.enabled and host.cluster_id in one.clusters:
            return one
    raise refused(f"No system datastores found in cluster [{host.cluster_id}]")
