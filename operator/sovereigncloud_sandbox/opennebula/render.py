"""Objects as XML, element by element in the order and with the quirks of a real oned 7.4.0 (recorded replies)."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sovereigncloud_sandbox.opennebula.model import (
    PERMISSION_BITS,
    AddressRange,
    Cluster,
    Host,
    Lease,
    PoolObject,
    Rollout,
    SecurityGroup,
    VNet,
)
from sovereigncloud_sandbox.opennebula.model_people import Group, User, Vdc, Zone
from sovereigncloud_sandbox.opennebula.model_storage import Datastore, Image, MarketApp, Marketplace, VmTemplate
from sovereigncloud_sandbox.opennebula.secrets_at_rest import OF_DATASTORES, sealed
from sovereigncloud_sandbox.opennebula.template import Template, vector_xml

if TYPE_CHECKING:
    from sovereigncloud_sandbox.opennebula.affinity import VmGroup
    from sovereigncloud_sandbox.opennebula.cloud import Cloud

NO_QUOTAS = (
    "<DATASTORE_QUOTA></DATASTORE_QUOTA><NETWORK_QUOTA></NETWORK_QUOTA><VM_QUOTA></VM_QUOTA><IMAGE_QUOTA></IMAGE_QUOTA>"
)

# ALLOCATED: an index and who holds it, the kind in the upper and the id in the lower 32 bits.
_HOLDER_BITS = {"VM": 0x10_0000_0000, "NET": 0x40_0000_0000}


def tag(name: str, value: object) -> str:
    return f"<{name}>{value}</{name}>"


def quoted(name: str, value: object) -> str:
    return f"<{name}><![CDATA[{value}]]></{name}>"


def ids(name: str, members: Iterable[int]) -> str:
    inner = "".join([f"<ID>{member}</ID>" for member in sorted(members)])
    return f"<{name}>{inner}</{name}>"


def head(one: PoolObject) -> str:
    return (
        f"<ID>{one.oid}</ID><UID>{one.uid}</UID><GID>{one.gid}</GID>"
        f"<UNAME>{one.uname}</UNAME><GNAME>{one.gname}</GNAME><NAME>{one.name}</NAME>"
    )


def permissions(one: PoolObject) -> str:
    inner = "".join([f"<{bit.upper()}>{getattr(one.permissions, bit)}</{bit.upper()}>" for bit in PERMISSION_BITS])
    return f"<PERMISSIONS>{inner}</PERMISSIONS>"


def lock(one: PoolObject) -> str:
    if one.lock is None:
        return ""
    held = one.lock
    inner = f"<LOCKED>{held.level}</LOCKED><OWNER>{held.owner}</OWNER><TIME>{held.since}</TIME><REQ_ID>0</REQ_ID>"
    return f"<LOCK>{inner}</LOCK>"


def empty_or(name: str, value: str) -> str:
    return quoted(name, value) if value else f"<{name}/>"


# --------------------------------------------------------------------------------------------------- infrastructure


def cluster(one: Cluster) -> str:
    members = ids("HOSTS", one.hosts) + ids("DATASTORES", one.datastores) + ids("VNETS", one.vnets)
    return f"<CLUSTER><ID>{one.oid}</ID><NAME>{one.name}</NAME>{members}{one.template.xml()}</CLUSTER>"


def host(cloud: "Cloud", one: Host, *, monitored: bool) -> str:
    """`monitored` adds the newest monitoring record: host.info has it, the pool has not."""
    share = (
        f"<MEM_USAGE>{one.mem_usage}</MEM_USAGE><CPU_USAGE>{one.cpu_usage}</CPU_USAGE>"
        f"<TOTAL_MEM>{one.total_memory}</TOTAL_MEM><TOTAL_CPU>{one.total_cpu}</TOTAL_CPU>"
        f"<MAX_MEM>{one.total_memory}</MAX_MEM><MAX_CPU>{one.total_cpu}</MAX_CPU>"
        f"<RUNNING_VMS>{len(one.vms)}</RUNNING_VMS><VMS_THREAD>1</VMS_THREAD>"
        f"<DATASTORES>{quoted('DISK_USAGE', one.disk_usage)}{quoted('FREE_DISK', one.max_disk - one.disk_usage)}"
        f"{quoted('MAX_DISK', one.max_disk)}{quoted('USED_DISK', one.disk_usage)}</DATASTORES>"
        f"<PCI_DEVICES>{_pci(one)}</PCI_DEVICES>{_numa(one)}"
    )
    return (
        f"<HOST><ID>{one.oid}</ID><NAME>{one.name}</NAME><STATE>{int(one.state)}</STATE>"
        f"<PREV_STATE>{int(one.state)}</PREV_STATE>{quoted('IM_MAD', one.im_mad)}{quoted('VM_MAD', one.vm_mad)}"
        f"<CLUSTER_ID>{one.cluster_id}</CLUSTER_ID><CLUSTER>{cloud.clusters[one.cluster_id].name}</CLUSTER>"
        f"<HOST_SHARE>{share}</HOST_SHARE>{ids('VMS', one.vms)}{one.template.xml()}"
        f"{host_monitoring(one) if monitored else '<MONITORING/>'}</HOST>"
    )


def _pci(one: Host) -> str:
    if not one.monitored_at:
        return ""
    return "".join([f"<PCI>{vector_xml(device)}</PCI>" for device in one.pci])


def _numa(one: Host) -> str:
    if not one.monitored_at:
        return "<NUMA_NODES></NUMA_NODES>"
    cores = "".join(
        f"<CORE>{quoted('CPUS', f'{core}:-1')}{quoted('DEDICATED', 'NO')}{quoted('FREE', 1)}{quoted('ID', core)}</CORE>"
        for core in range(min(8, one.total_cpu // 100))
    )
    pages = f"<HUGEPAGE>{quoted('PAGES', 0)}{quoted('SIZE', 2048)}{quoted('USAGE', 0)}</HUGEPAGE>"
    memory = f"<MEMORY>{quoted('DISTANCE', 0)}{quoted('TOTAL', one.total_memory)}{quoted('USAGE', 0)}</MEMORY>"
    return f"<NUMA_NODES><NODE>{cores}{pages}{memory}{quoted('NODE_ID', 0)}</NODE></NUMA_NODES>"


def host_monitoring(one: Host) -> str:
    if not one.monitored_at:
        return "<MONITORING/>"
    capacity = (
        quoted("FREE_CPU", one.total_cpu - one.cpu_usage)
        + quoted("FREE_MEMORY", one.total_memory - one.mem_usage)
        + quoted("USED_CPU", one.cpu_usage)
        + quoted("USED_MEMORY", one.mem_usage)
    )
    page = f"<HUGEPAGE>{quoted('FREE', 0)}{quoted('SIZE', 2048)}</HUGEPAGE>"
    memory = f"<MEMORY>{quoted('FREE', one.total_memory - one.mem_usage)}{quoted('USED', one.mem_usage)}</MEMORY>"
    return (
        f"<MONITORING><TIMESTAMP>{one.monitored_at}</TIMESTAMP><ID>{one.oid}</ID><CAPACITY>{capacity}</CAPACITY>"
        f"<SYSTEM>{quoted('NETRX', 0)}{quoted('NETTX', 0)}</SYSTEM>"
        f"<NUMA_NODE>{page}{memory}{quoted('NODE_ID', 0)}</NUMA_NODE></MONITORING>"
    )


def datastore(one: Datastore, *, clear: bool = False) -> str:
    """`clear` shows the secrets; without it they are as they are kept."""
    template = one.template if clear else sealed(one.template, OF_DATASTORES)
    return (
        f"<DATASTORE>{head(one)}{permissions(one)}{quoted('DS_MAD', one.ds_mad)}{quoted('TM_MAD', one.tm_mad)}"
        f"{quoted('BASE_PATH', f'/var/lib/one//datastores/{one.oid}')}<TYPE>{one.type}</TYPE><DISK_TYPE>0</DISK_TYPE>"
        f"<STATE>{0 if one.enabled else 1}</STATE>{ids('CLUSTERS', one.clusters)}<TOTAL_MB>{one.total_mb}</TOTAL_MB>"
        f"<FREE_MB>{one.free_mb}</FREE_MB><USED_MB>{one.used_mb}</USED_MB>{ids('IMAGES', one.images)}"
        f"{template.xml()}</DATASTORE>"
    )


# ---------------------------------------------------------------------------------------------------------- networks


def vnet(one: VNet, *, leases: bool) -> str:
    """`leases` is the form of vn.info; the pool packs them into AR/ALLOCATED."""
    ranges = "".join([_range(one_range, leases=leases) for one_range in one.ranges])
    parent = tag("PARENT_NETWORK_ID", one.parent) if one.parent is not None else "<PARENT_NETWORK_ID/>"
    return (
        f"<VNET>{head(one)}{permissions(one)}{lock(one)}{ids('CLUSTERS', one.clusters)}{quoted('BRIDGE', one.bridge)}"
        f"{quoted('BRIDGE_TYPE', one.bridge_type)}{quoted('STATE', int(one.state))}{quoted('PREV_STATE', int(one.state))}"
        f"{parent}<TEMPLATE_ID/>{quoted('VN_MAD', one.vn_mad)}"
        f"{empty_or('PHYDEV', one.phydev)}{empty_or('VLAN_ID', one.vlan_id)}"
        f"{empty_or('OUTER_VLAN_ID', one.outer_vlan_id)}<VLAN_ID_AUTOMATIC>{int(one.vlan_automatic)}</VLAN_ID_AUTOMATIC>"
        f"<OUTER_VLAN_ID_AUTOMATIC>0</OUTER_VLAN_ID_AUTOMATIC><USED_LEASES>{one.used_leases}</USED_LEASES>"
        f"<VROUTERS></VROUTERS>{_rollout(one.rollout)}{one.template.xml()}<AR_POOL>{ranges}</AR_POOL></VNET>"
    )


def _rollout(one: Rollout) -> str:
    return (
        f"{ids('UPDATED_VMS', one.updated)}{ids('OUTDATED_VMS', one.outdated)}{ids('UPDATING_VMS', one.updating)}"
        f"{ids('ERROR_VMS', one.error)}"
    )


def _range(one: AddressRange, *, leases: bool) -> str:
    attributes = {
        **one.extra,
        "AR_ID": str(one.ar_id),
        "MAC": one.mac_at(0),
        "NEXT_INDEX": str(one.next_index),
        "SHARED": "NO",
        "SIZE": str(one.size),
        "TYPE": one.type,
    }
    if one.ip is not None:
        attributes["IP"] = one.ip_at(0)
    if one.parent_ar is not None:
        attributes["PARENT_NETWORK_AR_ID"] = str(one.parent_ar)
    if not leases:
        if one.leases:
            attributes["ALLOCATED"] = "".join([f" {at} {_packed(lease)}" for at, lease in sorted(one.leases.items())])
        return f"<AR>{vector_xml(attributes)}</AR>"
    ends = quoted("MAC_END", one.mac_at(one.size - 1))
    if one.ip is not None:
        ends += quoted("IP_END", one.ip_at(one.size - 1))
    held = "".join([_lease(one, at, lease) for at, lease in sorted(one.leases.items())])
    used = tag("USED_LEASES", len(one.leases))
    return f"<AR>{vector_xml(attributes)}{ends}{used}{tag('LEASES', held) if held else '<LEASES/>'}</AR>"


def _packed(lease: Lease) -> int:
    return _HOLDER_BITS[lease.holder] | (lease.oid & 0xFFFF_FFFF)


def _lease(one: AddressRange, index: int, lease: Lease) -> str:
    ip = quoted("IP", one.ip_at(index)) if one.ip is not None else ""
    holder = quoted("VM" if lease.holder == "VM" else "VNET", lease.oid)
    return f"<LEASE>{ip}{quoted('MAC', one.mac_at(index))}{holder}</LEASE>"


def security_group(one: SecurityGroup) -> str:
    return f"<SECURITY_GROUP>{head(one)}{permissions(one)}{_rollout(one.rollout)}{one.template.xml()}</SECURITY_GROUP>"


# ------------------------------------------------------------------------------------------------ images, templates


def image(one: Image) -> str:
    snapshots = quoted("ALLOW_ORPHANS", "NO") + quoted("CURRENT_BASE", -1) + quoted("NEXT_SNAPSHOT", 0)
    return (
        f"<IMAGE>{head(one)}{lock(one)}{permissions(one)}<TYPE>{one.type}</TYPE><DISK_TYPE>0</DISK_TYPE>"
        f"<PERSISTENT>{int(one.persistent)}</PERSISTENT><REGTIME>{one.regtime}</REGTIME><MODTIME>{one.modtime}</MODTIME>"
        f"{quoted('SOURCE', one.source)}{quoted('PATH', one.path)}{quoted('FORMAT', one.format)}{quoted('FS', one.fs)}"
        f"<SIZE>{one.size}</SIZE><STATE>{int(one.state)}</STATE><PREV_STATE>{int(one.state)}</PREV_STATE>"
        f"<RUNNING_VMS>{len(one.vms)}</RUNNING_VMS><CLONING_OPS>{len(one.clones) + len(one.app_clones)}</CLONING_OPS>"
        f"<CLONING_ID>{one.cloning_id}</CLONING_ID><TARGET_SNAPSHOT>-1</TARGET_SNAPSHOT>"
        f"<DATASTORE_ID>{one.datastore_id}</DATASTORE_ID><DATASTORE>{one.datastore}</DATASTORE>{ids('VMS', one.vms)}"
        f"{ids('CLONES', one.clones)}{ids('APP_CLONES', one.app_clones)}{one.template.xml()}<SNAPSHOTS>{snapshots}</SNAPSHOTS>"
        f"<BACKUP_INCREMENTS>{_increments(one)}</BACKUP_INCREMENTS>{ids('BACKUP_DISK_IDS', one.backup_disks)}</IMAGE>"
    )


def _increments(one: Image) -> str:
    return "".join([f"<INCREMENT>{vector_xml(increment)}</INCREMENT>" for increment in one.increments])


def vm_template(one: VmTemplate) -> str:
    return (
        f"<VMTEMPLATE>{head(one)}{lock(one)}{permissions(one)}<REGTIME>{one.regtime}</REGTIME>"
        f"{one.template.xml()}</VMTEMPLATE>"
    )


def vm_group(one: "VmGroup") -> str:
    roles = "".join([f"<ROLE>{vector_xml(role)}</ROLE>" for role in one.roles.values()])
    return f"<VM_GROUP>{head(one)}{permissions(one)}{lock(one)}<ROLES>{roles}</ROLES>{one.template.xml()}</VM_GROUP>"


def marketplace(one: Marketplace) -> str:
    return (
        f"<MARKETPLACE>{head(one)}<STATE>{0 if one.enabled else 1}</STATE>{quoted('MARKET_MAD', one.market_mad)}"
        f"{quoted('ZONE_ID', one.zone_id)}<TOTAL_MB>{one.total_mb}</TOTAL_MB><FREE_MB>{max(0, one.total_mb - one.used_mb)}</FREE_MB><USED_MB>{one.used_mb}</USED_MB>{ids('MARKETPLACEAPPS', one.apps)}"
        f"{permissions(one)}{one.template.xml()}</MARKETPLACE>"
    )


def market_app(cloud: "Cloud", one: MarketApp) -> str:
    head_ = f"<ID>{one.oid}</ID><UID>{one.uid}</UID><GID>{one.gid}</GID><UNAME>{one.uname}</UNAME><GNAME>{one.gname}</GNAME>"
    return (
        f"<MARKETPLACEAPP>{head_}{lock(one)}<REGTIME>{one.regtime}</REGTIME><NAME>{one.name}</NAME>"
        f"{quoted('ZONE_ID', one.zone_id)}{quoted('ORIGIN_ID', one.origin_id)}{quoted('SOURCE', one.source)}{quoted('MD5', one.md5)}"
        f"<SIZE>{one.size}</SIZE>{quoted('DESCRIPTION', one.description)}{quoted('VERSION', one.version)}"
        f"{quoted('FORMAT', one.format)}{quoted('APPTEMPLATE64', one.app_template)}"
        f"<MARKETPLACE_ID>{one.market_id}</MARKETPLACE_ID>"
        f"<MARKETPLACE>{cloud.marketplaces[one.market_id].name}</MARKETPLACE><STATE>{int(one.state)}</STATE><TYPE>{one.type}</TYPE>"
        f"{permissions(one)}{one.template.xml()}</MARKETPLACEAPP>"
    )


# ------------------------------------------------------------------------------------------------------------ people


def user(one: User, quotas: str = "") -> str:
    tokens = "".join(
        f"<LOGIN_TOKEN><TOKEN>{token.token}</TOKEN><EXPIRATION_TIME>{token.expires}</EXPIRATION_TIME>"
        f"<EGID>{token.egid}</EGID></LOGIN_TOKEN>"
        for token in one.tokens
    )
    defaults = f"<DEFAULT_USER_QUOTAS>{NO_QUOTAS}</DEFAULT_USER_QUOTAS>" if quotas else ""
    return (
        f"<USER><ID>{one.oid}</ID><GID>{one.gid}</GID>{ids('GROUPS', one.groups)}<GNAME>{one.gname}</GNAME>"
        f"<NAME>{one.name}</NAME>{quoted('PASSWORD', one.password)}{quoted('AUTH_DRIVER', one.driver)}"
        f"<ENABLED>{int(one.enabled)}</ENABLED>{tokens}{one.template.xml()}{quotas}{defaults}</USER>"
    )


def group(one: Group, members: Iterable[int], quotas: str = "") -> str:
    extended = ""
    if quotas:
        defaults = f"<DEFAULT_GROUP_QUOTAS>{NO_QUOTAS}</DEFAULT_GROUP_QUOTAS>"
        extended = f"{quotas}{vlan_rules(one)}{defaults}"
    return (
        f"<GROUP><ID>{one.oid}</ID><NAME>{one.name}</NAME>{one.template.xml()}{ids('USERS', members)}"
        f"{ids('ADMINS', one.admins)}{extended}</GROUP>"
    )


def vlan_rules(one: Group) -> str:
    return f"<VLAN_RULES>{quoted('ID', one.oid)}</VLAN_RULES>"


def vdc(one: Vdc) -> str:
    def pairs(outer: str, inner: str, members: set[tuple[int, int]]) -> str:
        rows = "".join(
            f"<{inner}><ZONE_ID>{zone_id}</ZONE_ID><{inner}_ID>{oid}</{inner}_ID></{inner}>"
            for zone_id, oid in sorted(members)
        )
        return f"<{outer}>{rows}</{outer}>"

    return (
        f"<VDC><ID>{one.oid}</ID><NAME>{one.name}</NAME>{ids('GROUPS', one.groups)}"
        f"{pairs('CLUSTERS', 'CLUSTER', one.clusters)}{pairs('HOSTS', 'HOST', one.hosts)}"
        f"{pairs('DATASTORES', 'DATASTORE', one.datastores)}{pairs('VNETS', 'VNET', one.vnets)}"
        f"{one.template.xml()}</VDC>"
    )


def zone(one: Zone) -> str:
    servers = "".join(
        f"<SERVER>{quoted('ENDPOINT', server.endpoint)}{quoted('ID', server.oid)}{quoted('NAME', server.name)}</SERVER>"
        for server in one.servers
    )
    return (
        f"<ZONE><ID>{one.oid}</ID><NAME>{one.name}</NAME><STATE>{0 if one.enabled else 1}</STATE>"
        f"{one.template.xml()}<SERVER_POOL>{servers}</SERVER_POOL></ZONE>"
    )


def raft(status: Mapping[str, int]) -> str:
    """What a front-end says about itself."""
    return tag("RAFT", "".join(tag(name, value) for name, value in status.items()))


def configuration(attributes: Template) -> str:
    return attributes.xml("OPENNEBULA_CONFIGURATION")


def pool(name: str, members: Iterable[str]) -> str:
    return f"<{name}>{''.join(members)}</{name}>"
