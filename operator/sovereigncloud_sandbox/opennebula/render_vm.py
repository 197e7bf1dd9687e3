"""A virtual machine as XML: the whole of vm.info and infoextended, and the short form of vmpool.info."""

from sovereigncloud_sandbox.opennebula.lifecycle import Action
from sovereigncloud_sandbox.opennebula.model import DiskSnapshots, History, Vm
from sovereigncloud_sandbox.opennebula.render import head, ids, lock, permissions, quoted, tag
from sovereigncloud_sandbox.opennebula.template import Vector, vector_xml
from sovereigncloud_sandbox.opennebula.wire import escape, escaped_bytes

# What vmpool.info keeps of a disk, in its order (recorded).
_SHORT_DISK = (
    "DISK_ID",
    "DATASTORE",
    "DATASTORE_ID",
    "IMAGE",
    "IMAGE_ID",
    "SIZE",
    "TYPE",
    "CLONE",
    "CLONE_TARGET",
    "LN_TARGET",
    "DISK_SNAPSHOT_TOTAL_SIZE",
)
_SHORT_NIC = ("IP", "MAC", "NETWORK", "NETWORK_ID", "NIC_ID", "SECURITY_GROUPS")
# What vmpool.info keeps of USER_TEMPLATE (OpenNebula: src/vm/VirtualMachineTemplate.cc).
_SHORT_USER = (
    "LABELS",
    "ERROR",
    "SCHED_MESSAGE",
    "SCHED_RANK",
    "SCHED_DS_RANK",
    "SCHED_REQUIREMENTS",
    "SCHED_DS_REQUIREMENTS",
    "USER_PRIORITY",
)


def extended(vm: Vm) -> bytes:
    """The body of infoextended, escaped for XML-RPC; rendered again only after a change."""
    if vm.xml is None:
        vm.xml = escaped_bytes(render(vm, vm.history[-1:]))
    return vm.xml


def short(vm: Vm) -> bytes:
    """The body of vmpool.info, escaped for XML-RPC."""
    if vm.short_xml is None:
        vm.short_xml = escaped_bytes(render_short(vm))
    return vm.short_xml


def render(vm: Vm, history: list[History]) -> str:
    """With the whole history this is vm.info, with the last record infoextended."""
    state, lcm = vm.shown_state or (int(vm.state), int(vm.lcm))
    records = "".join([_history(vm.oid, one) for one in history])
    scheduled = "".join([_planned(one) for one in vm.sched_actions])
    action_ids = "".join([f"<ID>{one['ID']}</ID>" for one in vm.sched_actions])
    template = vm.template.xml()
    if scheduled:
        template = template.removesuffix("</TEMPLATE>") + scheduled + "</TEMPLATE>"
    snapshots = "".join([_snapshots(one) for one in vm.disk_snapshots.values()])
    return (
        f"<VM>{head(vm)}{permissions(vm)}<LAST_POLL>0</LAST_POLL><STATE>{state}</STATE><LCM_STATE>{lcm}</LCM_STATE>"
        f"<PREV_STATE>{state}</PREV_STATE><PREV_LCM_STATE>{lcm}</PREV_LCM_STATE><RESCHED>{int(vm.resched)}</RESCHED>"
        f"<STIME>{vm.stime}</STIME><ETIME>{vm.etime}</ETIME><DEPLOY_ID>{vm.deploy_id}</DEPLOY_ID>{lock(vm)}"
        f"<MONITORING></MONITORING><SCHED_ACTIONS>{action_ids}</SCHED_ACTIONS>{template}"
        f"{vm.user_template.xml('USER_TEMPLATE')}"
        f"{tag('HISTORY_RECORDS', records) if records else '<HISTORY_RECORDS/>'}{snapshots}"
        f"{_backups(vm)}{vm.more_xml}</VM>"
    )


# The elements of SCHED_ACTION, in oned's order (OpenNebula: src/sam/ScheduledAction.cc).
PLANNED = (
    "ID",
    "PARENT_ID",
    "TYPE",
    "ACTION",
    "ARGS",
    "TIME",
    "REPEAT",
    "DAYS",
    "END_TYPE",
    "END_VALUE",
    "DONE",
    "MESSAGE",
    "WARNING",
)


def _planned(one: Vector) -> str:
    return f"<SCHED_ACTION>{''.join([tag(name, escape(one[name])) for name in PLANNED])}</SCHED_ACTION>"


def _backups(vm: Vm) -> str:
    config = (
        f"<BACKUP_CONFIG>{vector_xml(vm.backup_config)}</BACKUP_CONFIG>" if vm.backup_config else "<BACKUP_CONFIG/>"
    )
    return f"<BACKUPS>{config}{ids('BACKUP_IDS', vm.backup_ids)}</BACKUPS>"


def _history(oid: int, one: History) -> str:
    return (
        f"<HISTORY><OID>{oid}</OID><SEQ>{one.seq}</SEQ><HOSTNAME>{one.hostname}</HOSTNAME><HID>{one.hid}</HID>"
        f"<CID>{one.cluster_id}</CID><STIME>{one.stime}</STIME><ETIME>{one.etime}</ETIME>"
        f"{quoted('VM_MAD', one.vm_mad)}{quoted('TM_MAD', one.tm_mad)}<DS_ID>{one.ds_id}</DS_ID><PLAN_ID>-1</PLAN_ID>"
        f"<ACTION_ID>0</ACTION_ID><PSTIME>{one.pstime}</PSTIME><PETIME>{one.petime}</PETIME>"
        f"<RSTIME>{one.rstime}</RSTIME><RETIME>{one.retime}</RETIME><ESTIME>{one.estime}</ESTIME>"
        f"<EETIME>{one.eetime}</EETIME><ACTION>{int(one.action)}</ACTION><UID>{one.uid}</UID><GID>{one.gid}</GID>"
        f"<REQUEST_ID>{one.request_id}</REQUEST_ID></HISTORY>"
    )


def _snapshots(one: DiskSnapshots) -> str:
    rows = "".join([f"<SNAPSHOT>{vector_xml(snapshot)}</SNAPSHOT>" for snapshot in one.snapshots])
    return (
        f"<SNAPSHOTS>{quoted('ALLOW_ORPHANS', 'NO')}{quoted('CURRENT_BASE', one.current)}"
        f"{quoted('DISK_ID', one.disk_id)}{quoted('NEXT_SNAPSHOT', one.next_id)}{rows}</SNAPSHOTS>"
    )


def render_short(vm: Vm) -> str:
    state, lcm = vm.shown_state or (int(vm.state), int(vm.lcm))
    template = "".join([tag(name, vm.template.get(name)) for name in ("CPU", "MEMORY", "VCPU")])
    template += "".join([f"<DISK>{_some(disk, _SHORT_DISK)}</DISK>" for disk in vm.disks])
    template += "".join([f"<NIC>{_some(nic, _SHORT_NIC)}</NIC>" for nic in vm.nics])
    if graphics := vm.template.vector("GRAPHICS"):
        template += f"<GRAPHICS>{vector_xml(graphics)}</GRAPHICS>"
    user = "".join([quoted(name, vm.user_template.get(name)) for name in _SHORT_USER if name in vm.user_template])
    user_template = f"<USER_TEMPLATE>{user}</USER_TEMPLATE>" if vm.user_template else "<USER_TEMPLATE/>"
    held = f"<LOCK><LOCKED>{vm.lock.level}</LOCKED></LOCK>" if vm.lock else ""
    last = _short_history(vm.oid, vm.history[-1]) if vm.history else ""
    return (
        f"<VM>{head(vm)}<LAST_POLL>0</LAST_POLL><STATE>{state}</STATE><LCM_STATE>{lcm}</LCM_STATE>"
        f"<RESCHED>{int(vm.resched)}</RESCHED><STIME>{vm.stime}</STIME><ETIME>{vm.etime}</ETIME>"
        f"<DEPLOY_ID>{vm.deploy_id}</DEPLOY_ID>{held}<TEMPLATE>{template}</TEMPLATE><MONITORING/>{user_template}"
        f"{tag('HISTORY_RECORDS', last) if last else '<HISTORY_RECORDS/>'}</VM>"
    )


def _some(vector: Vector, names: tuple[str, ...]) -> str:
    return "".join([quoted(name, vector[name]) for name in names if name in vector])


def _short_history(oid: int, one: History) -> str:
    return (
        f"<HISTORY><OID>{oid}</OID><SEQ>{one.seq}</SEQ>{quoted('HOSTNAME', one.hostname)}<HID>{one.hid}</HID>"
        f"<CID>{one.cluster_id}</CID><DS_ID>{one.ds_id}</DS_ID>{quoted('VM_MAD', one.vm_mad)}"
        f"{quoted('TM_MAD', one.tm_mad)}{quoted('ACTION', int(one.action or Action.NONE))}</HISTORY>"
    )
