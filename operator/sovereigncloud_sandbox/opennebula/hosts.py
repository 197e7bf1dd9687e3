"""Hosts coming up: INIT until the first monitoring, and with it the capacity of the datastores."""

from sovereigncloud_sandbox.opennebula import scheduler
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.model import Host, HostState
from sovereigncloud_sandbox.opennebula.template import Template

# Drivers that this front-end has. With an unknown IM a host stays INIT for ever (observed).
INFORMATION_DRIVERS = frozenset({"kvm", "qemu", "dummy"})


def add(cloud: Cloud, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> Host:
    """A host that will be monitored in a moment.

    Two hosts allocated at nearly the same time may both end up with the name of the later one, though both calls
    succeed: OpenNebula/one#7527. `host_race_window` 0 switches that off.
    """
    host = Host(cloud.next_id("HOST"), name, im_mad=im_mad, vm_mad=vm_mad, cluster_id=cluster_id)
    add_facts(host)
    cloud.hosts[host.oid] = host
    cloud.clusters[cluster_id].hosts.add(host.oid)
    last = cloud.last_host
    if last is not None and cloud.now - last[0] < cloud.speeds.host_race_window and last[1] in cloud.hosts:
        overwritten = cloud.hosts[last[1]]
        overwritten.name, overwritten.im_mad, overwritten.vm_mad = name, im_mad, vm_mad
        add_facts(overwritten)
    cloud.last_host = (cloud.now, host.oid)
    if im_mad in INFORMATION_DRIVERS:
        cloud.after(cloud.speeds.host_monitor, lambda: monitor(cloud, host))
    return host


def monitor(cloud: Cloud, host: Host) -> None:
    """The host reports for the first time, or again after it was enabled."""
    if host.oid not in cloud.hosts or host.state in {HostState.DISABLED, HostState.OFFLINE}:
        return
    if not host.powered:
        host.state = HostState.ERROR
        return
    host.state = HostState.MONITORED
    host.total_cpu, host.total_memory, host.max_disk = host.real_cpu, host.real_memory, host.real_disk
    host.monitored_at = cloud.second
    add_facts(host)
    cloud.after(cloud.speeds.datastore_monitor, lambda: monitor_datastores(cloud))
    scheduler.arm(cloud)


def monitor_datastores(cloud: Cloud) -> None:
    """The datastores report: until then they have 0 MB, and no image can be registered (observed)."""
    for one in cloud.datastores.values():
        one.total_mb = one.capacity


def add_facts(host: Host) -> None:
    """What monitoring writes into the template of a host."""
    template: Template = host.template
    facts = {
        "ARCH": "x86_64",
        "CPUSPEED": "3000",
        "HOSTNAME": host.name,
        "HYPERVISOR": host.vm_mad,
        "IM_MAD": host.im_mad,
        "KVM_CPU_FEATURES": "",
        "KVM_CPU_MODELS": "",
        "MODELNAME": "AMD EPYC 9124 16-Core Processor",
        "TOTALCPU": str(host.real_cpu),
        "TOTALMEMORY": str(host.real_memory),
        "VM_MAD": host.vm_mad,
    }
    if not host.monitored_at:
        facts = {}
    for name, value in facts.items():
        template.put(name, value)
    for name in ("RESERVED_CPU", "RESERVED_MEM"):
        if name not in template:
            template.put(name, "")
