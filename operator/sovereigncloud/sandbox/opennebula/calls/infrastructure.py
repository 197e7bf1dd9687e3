"""one.host.*, one.cluster.*, one.datastore.*."""

from collections.abc import Callable

from sovereigncloud.sandbox.opennebula import hosts, render, scheduler
from sovereigncloud.sandbox.opennebula.access import ADMIN, MANAGE, USE, authorize_create
from sovereigncloud.sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud.sandbox.opennebula.calls.shared import (
    Kind,
    chmod_call,
    chown_call,
    info_call,
    rename_call,
    update_call,
    whole_call,
)
from sovereigncloud.sandbox.opennebula.cloud import Cloud
from sovereigncloud.sandbox.opennebula.errors import internal, refused
from sovereigncloud.sandbox.opennebula.model import DATASTORE_TYPES, IMAGE, Cluster, Datastore, Host, HostState
from sovereigncloud.sandbox.opennebula.template import Template, parse

NO_CLUSTER, DEFAULT_CLUSTER = -1, 0
FIRST_FREE_ID = 100


def _host_changed(_: Cloud, host: Host, template: Template) -> None:
    host.template = template
    hosts.add_facts(host)


def _host_renamed(cloud: Cloud, host: Host) -> None:
    for oid in host.vms:
        vm = cloud.vms[oid]
        if vm.last is not None:
            vm.last.hostname = host.name
            vm.touch()


HOST = Kind(
    kind="HOST",
    prefix="one.host",
    root="HOST_POOL",
    pool=lambda cloud: cloud.hosts,
    show=lambda cloud, one: render.host(cloud, one, monitored=True),
    row=lambda cloud, one: render.host(cloud, one, monitored=False),
    unique="cloud",
    changed=_host_changed,
    renamed=_host_renamed,
)
CLUSTER = Kind(
    kind="CLUSTER",
    prefix="one.cluster",
    root="CLUSTER_POOL",
    pool=lambda cloud: cloud.clusters,
    show=lambda _, one: render.cluster(one),
    row=lambda _, one: render.cluster(one),
    unique="cloud",
)
DATASTORE = Kind(
    kind="DATASTORE",
    prefix="one.datastore",
    root="DATASTORE_POOL",
    pool=lambda cloud: cloud.datastores,
    show=lambda _, one: render.datastore(one),
    row=lambda _, one: render.datastore(one),
    unique="cloud",
)


def cluster_of(cloud: Cloud, oid: int) -> Cluster:
    """The cluster that a call means; -1 is the default one.

    Raises:
        OneError: 0x400.
    """
    return cloud.find(cloud.clusters, DEFAULT_CLUSTER if oid == NO_CLUSTER else oid, "CLUSTER")


# ------------------------------------------------------------------------------------------------------------- hosts


def host_allocate(context: Context, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> Reply:
    cloud = context.cloud
    cluster = cluster_of(cloud, cluster_id)
    authorize_create(cloud, context.caller, "HOST")
    cloud.claim_name(cloud.hosts, "HOST", name)
    return hosts.add(cloud, name, im_mad, vm_mad, cluster.oid).oid


def host_status(context: Context, oid: int, status: int) -> Reply:
    host: Host = HOST.find(context, oid, ADMIN)
    set_host_status(context.cloud, host, status)
    return oid


def set_host_status(cloud: Cloud, host: Host, status: int) -> None:
    """0 enabled, 1 disabled, 2 offline.

    Raises:
        OneError: 0x2000, no such status.
    """
    match status:
        case 0:
            if host.state in {HostState.DISABLED, HostState.OFFLINE, HostState.ERROR}:
                host.state = HostState.INIT
                cloud.after(cloud.speeds.host_monitor, lambda: hosts.monitor(cloud, host))
        case 1:
            host.state = HostState.DISABLED
        case 2:
            host.state = HostState.OFFLINE
        case _:
            raise internal("Wrong status code")


def host_delete(context: Context, oid: int) -> Reply:
    cloud = context.cloud
    host: Host = HOST.find(context, oid, ADMIN)
    if host.vms:
        raise refused("Cannot delete host. Can not remove a host with running VMs")
    del cloud.hosts[oid]
    cloud.clusters[host.cluster_id].hosts.discard(oid)
    return oid


def host_monitoring(context: Context, oid: int) -> Reply:
    host: Host = HOST.find(context, oid, USE)
    record = render.host_monitoring(host) if host.monitored_at else ""
    return f"<MONITORING_DATA>{record}</MONITORING_DATA>"


def hostpool_monitoring(context: Context, _seconds: int) -> Reply:
    records = [render.host_monitoring(host) for host in context.cloud.hosts.values() if host.monitored_at]
    return render.pool("MONITORING_DATA", records)


# ---------------------------------------------------------------------------------------------------------- clusters


def cluster_allocate(context: Context, name: str) -> Reply:
    cloud = context.cloud
    authorize_create(cloud, context.caller, "CLUSTER")
    cloud.claim_name(cloud.clusters, "CLUSTER", name)
    cluster = Cluster(cloud.next_id("CLUSTER"), name, template=Template({"RESERVED_CPU": [""], "RESERVED_MEM": [""]}))
    cloud.clusters[cluster.oid] = cluster
    return cluster.oid


def cluster_delete(context: Context, oid: int) -> Reply:
    cluster: Cluster = CLUSTER.find(context, oid, ADMIN)
    if oid < FIRST_FREE_ID:
        raise refused("Cannot delete cluster. System Clusters (ID < 100) cannot be deleted.")
    for members, what in ((cluster.datastores, "datastores"), (cluster.hosts, "hosts"), (cluster.vnets, "vnets")):
        if members:
            raise refused(f"Cannot delete cluster. Cluster {oid} is not empty, it contains {len(members)} {what}.")
    del context.cloud.clusters[oid]
    return oid


def add_host(context: Context, oid: int, host_id: int) -> Reply:
    cloud = context.cloud
    cluster: Cluster = CLUSTER.find(context, oid, ADMIN)
    host = cloud.find(cloud.hosts, host_id, "HOST")
    cloud.clusters[host.cluster_id].hosts.discard(host_id)
    cluster.hosts.add(host_id)
    host.cluster_id = oid
    scheduler.arm(cloud)
    return oid


def del_host(context: Context, oid: int, host_id: int) -> Reply:
    CLUSTER.find(context, oid, ADMIN)
    return add_host(context, DEFAULT_CLUSTER, host_id)


def _member_calls(verb: str, kind: str) -> list[Call]:
    """one.cluster.addvnet and delvnet, adddatastore and deldatastore."""
    attribute = f"{verb}s"

    def change(context: Context, oid: int, member: int, *, add: bool) -> Reply:
        cloud = context.cloud
        cluster: Cluster = CLUSTER.find(context, oid, ADMIN)
        one = cloud.find(cloud.pools[kind], member, kind)
        update: Callable[[set[int], int], None] = set.add if add else set.discard
        update(getattr(cluster, attribute), member)
        update(one.clusters, oid)
        return oid

    def add(context: Context, oid: int, member: int) -> Reply:
        return change(context, oid, member, add=True)

    def remove(context: Context, oid: int, member: int) -> Reply:
        return change(context, oid, member, add=False)

    return [Call(f"one.cluster.add{verb}", "i i", add), Call(f"one.cluster.del{verb}", "i i", remove)]


# -------------------------------------------------------------------------------------------------------- datastores


def datastore_allocate(context: Context, text: str, cluster_id: int) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    cluster = cluster_of(cloud, cluster_id)
    authorize_create(cloud, caller, "DATASTORE")
    name, kind = template.take("NAME"), template.get("TYPE") or "IMAGE_DS"
    if kind not in DATASTORE_TYPES:
        raise internal(f"Unknown type {kind}")
    if not template.get("TM_MAD"):
        raise internal("No TM_MAD in template.")
    if not template.get("DS_MAD") and kind != "SYSTEM_DS":
        raise internal("No DS_MAD in template.")
    cloud.claim_name(cloud.datastores, "DATASTORE", name)
    template.put("TYPE", kind)
    one = Datastore(
        cloud.next_id("DATASTORE"),
        name,
        caller.uid,
        caller.gid,
        caller.user.name,
        caller.user.gname,
        template=template,
        ds_mad=template.get("DS_MAD") or "-",
        tm_mad=template.get("TM_MAD"),
        type=DATASTORE_TYPES[kind],
        clusters={cluster.oid},
    )
    cloud.datastores[one.oid] = one
    cluster.datastores.add(one.oid)
    if any(host.monitored_at for host in cloud.hosts.values()):
        cloud.after(cloud.speeds.datastore_monitor, lambda: hosts.monitor_datastores(cloud))
    return one.oid


def datastore_delete(context: Context, oid: int) -> Reply:
    one: Datastore = DATASTORE.find(context, oid, MANAGE)
    if one.images:
        raise refused(f"Cannot delete datastore. Datastore {oid} is not empty.")
    del context.cloud.datastores[oid]
    for cluster in context.cloud.clusters.values():
        cluster.datastores.discard(oid)
    return oid


def datastore_enable(context: Context, oid: int, enable: bool) -> Reply:
    one: Datastore = DATASTORE.find(context, oid, MANAGE)
    if one.type == IMAGE:
        raise internal("Only system datastores can be enabled or disabled")
    one.enabled = enable
    return oid


CALLS = (
    Call("one.host.allocate", "s s s i", host_allocate),
    Call("one.host.status", "i i", host_status),
    Call("one.host.delete", "i", host_delete),
    Call("one.host.monitoring", "i", host_monitoring),
    Call("one.hostpool.monitoring", "i=-1", hostpool_monitoring),
    info_call(HOST),
    update_call(HOST),
    rename_call(HOST),
    whole_call(HOST),
    Call("one.cluster.allocate", "s", cluster_allocate),
    Call("one.cluster.delete", "i", cluster_delete),
    Call("one.cluster.addhost", "i i", add_host),
    Call("one.cluster.delhost", "i i", del_host),
    *_member_calls("vnet", "NET"),
    *_member_calls("datastore", "DATASTORE"),
    info_call(CLUSTER),
    update_call(CLUSTER),
    rename_call(CLUSTER),
    whole_call(CLUSTER),
    Call("one.datastore.allocate", "s i", datastore_allocate),
    Call("one.datastore.delete", "i", datastore_delete),
    Call("one.datastore.enable", "i b", datastore_enable),
    info_call(DATASTORE),
    update_call(DATASTORE),
    rename_call(DATASTORE),
    chmod_call(DATASTORE),
    chown_call(DATASTORE),
    whole_call(DATASTORE),
)
