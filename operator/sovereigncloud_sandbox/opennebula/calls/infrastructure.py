"""one.host.*, one.cluster.*, one.datastore.*."""

from collections.abc import Callable, Mapping

from sovereigncloud_sandbox.opennebula import hosts, render, scheduler
from sovereigncloud_sandbox.opennebula.access import ADMIN, MANAGE, USE, authorize, authorize_create
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, owned_calls, unowned_calls, whole_call
from sovereigncloud_sandbox.opennebula.cloud import FIRST_FREE_ID, Cloud
from sovereigncloud_sandbox.opennebula.errors import internal, refused
from sovereigncloud_sandbox.opennebula.model import Cluster, Host, HostState
from sovereigncloud_sandbox.opennebula.model_storage import BACKUP, DATASTORE_TYPES, IMAGE, Datastore
from sovereigncloud_sandbox.opennebula.secrets_at_rest import OF_DATASTORES, unseal
from sovereigncloud_sandbox.opennebula.template import Template, parse

NO_CLUSTER, DEFAULT_CLUSTER = -1, 0


def _host_changed(_: Cloud, host: Host, template: Template) -> None:
    host.template = template
    hosts.add_facts(host)


def _host_renamed(cloud: Cloud, host: Host) -> None:
    for oid in host.vms:
        vm = cloud.vms[oid]
        if vm.last is not None:
            vm.last.hostname = host.name
            vm.touch()


# What may not change while there are images (OpenNebula: src/datastore/Datastore.cc).
_FIXED = ("LVM_THIN_ENABLE", "NFS_AUTO_ENABLE", "NFS_AUTO_HOST", "NFS_AUTO_OPTS", "NFS_AUTO_PATH")


def _datastore_changed(_: Cloud, one: Datastore, template: Template) -> None:
    unseal(template, one.template, OF_DATASTORES)
    if one.images:
        for name in _FIXED:
            if template.get(name) != one.template.get(name):
                raise internal(f"Cannot update option {name} in a datastore with existing images")
    for name, value in (("DS_MAD", one.ds_mad), ("TM_MAD", one.tm_mad)):
        if value != "-" and not template.get(name):
            template.put(name, value)
    if one.type == BACKUP or not template.get("TYPE"):
        template.put("TYPE", next(text for text, kind in DATASTORE_TYPES.items() if kind == one.type))
    one.type = DATASTORE_TYPES.get(template.get("TYPE").upper(), IMAGE)
    one.ds_mad = template.get("DS_MAD") or "-"
    one.tm_mad = "-" if one.type == BACKUP else template.get("TM_MAD")
    one.template = template


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
    changed=_datastore_changed,
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
    host: Host = HOST.find(context, host_id, ADMIN)
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
        authorize(cloud, context.caller, ADMIN, one)
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


# Drivers that this front-end has, and the attributes that they need (OpenNebula: share/etc/oned.conf, DS_MAD_CONF).
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "ceph": ("DISK_TYPE", "BRIDGE_LIST"),
    "dev": ("DISK_TYPE",),
    "dummy": (),
    "fs": (),
    "interactive": (),
    "iscsi_libvirt": ("DISK_TYPE", "ISCSI_HOST"),
    "lvm": (),
    "restic": ("RESTIC_PASSWORD",),
    "rsync": ("RSYNC_HOST", "RSYNC_USER"),
}
_TM_MADS = frozenset(
    {"-", "ceph", "dev", "dummy", "fs_lvm", "fs_lvm_ssh", "iscsi_libvirt", "local", "qcow2", "shared", "ssh"}
)


def _check_drivers(kind: str, template: Template) -> None:
    ds_mad, tm_mad = template.get("DS_MAD"), template.get("TM_MAD")
    if kind == "SYSTEM_DS":
        if ds_mad and ds_mad != "-":
            raise internal("SYSTEM datastores cannot have DS_MAD defined.")
    elif not ds_mad:
        raise internal("No DS_MAD in template.")
    elif ds_mad not in _REQUIRED:
        raise internal(f'DS_MAD named "{ds_mad}" is not defined in oned.conf')
    for attribute in _REQUIRED.get(ds_mad, ()):
        if not template.get(attribute):
            raise internal(f'Datastore template is missing the "{attribute}" attribute or it\'s empty.')
    if kind == "BACKUP_DS":
        return
    if not tm_mad:
        raise internal("No TM_MAD in template.")
    if tm_mad not in _TM_MADS:
        raise internal(f'TM_MAD named "{tm_mad}" is not defined in oned.conf')


def datastore_info(context: Context, oid: int, decrypt: bool) -> Reply:
    one: Datastore = DATASTORE.find(context, oid, USE, locks=False)
    return render.datastore(one, clear=decrypt and context.caller.admin)


def datastore_allocate(context: Context, text: str, cluster_id: int) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    cluster = cluster_of(cloud, cluster_id)
    authorize_create(cloud, caller, "DATASTORE")
    name, kind = template.take("NAME"), template.get("TYPE").upper()
    if kind not in DATASTORE_TYPES:
        kind = "IMAGE_DS"  # what oned does not know is an image datastore, without a word
    _check_drivers(kind, template)
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
        tm_mad="-" if kind == "BACKUP_DS" else template.get("TM_MAD"),
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
    *unowned_calls(HOST),
    Call("one.cluster.allocate", "s", cluster_allocate),
    Call("one.cluster.delete", "i", cluster_delete),
    Call("one.cluster.addhost", "i i", add_host),
    Call("one.cluster.delhost", "i i", del_host),
    *_member_calls("vnet", "NET"),
    *_member_calls("datastore", "DATASTORE"),
    *unowned_calls(CLUSTER),
    Call("one.datastore.allocate", "s i", datastore_allocate),
    Call("one.datastore.delete", "i", datastore_delete),
    Call("one.datastore.enable", "i b", datastore_enable),
    Call("one.datastore.info", "i b=0", datastore_info),
    *(call for call in owned_calls(DATASTORE, whole_call) if call.name != "one.datastore.info"),
)
