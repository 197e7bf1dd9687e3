"""one.vm.* that change a machine, but what concerns disks, NICs and snapshots."""

from collections.abc import Mapping

from sovereigncloud_sandbox.opennebula import backups, devices, flows, machines, placement, quota, scheduler
from sovereigncloud_sandbox.opennebula import context as guest_context
from sovereigncloud_sandbox.opennebula.access import ADMIN, MANAGE, authorize
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import chmod_call, chown_call, lock_calls, rename_call, updated
from sovereigncloud_sandbox.opennebula.calls.vm_reads import VM
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import Code, OneError, internal, refused
from sovereigncloud_sandbox.opennebula.lifecycle import (
    FAILURES,
    RECOVER_RETRY,
    RECOVER_SUCCESS,
    TRIGGERED,
    Action,
    Lcm,
    State,
    Where,
    state_name,
)
from sovereigncloud_sandbox.opennebula.model import Host, HostState, Vm
from sovereigncloud_sandbox.opennebula.template import Template, Vector, parse

_RUNNING: Where = (State.ACTIVE, Lcm.RUNNING)
_UNKNOWN: Where = (State.ACTIVE, Lcm.UNKNOWN)
_UNPLACED = frozenset({State.PENDING, State.HOLD, State.STOPPED, State.UNDEPLOYED})
_AT_ONCE = frozenset({State.INIT, State.PENDING, State.HOLD, State.CLONING, State.CLONING_FAILURE})
# Actions that happen within the call, and from where.
_FROM: Mapping[str, tuple[Where, ...]] = {
    "hold": ((State.PENDING, Lcm.LCM_INIT),),
    "release": ((State.HOLD, Lcm.LCM_INIT),),
    "reboot": (_RUNNING,),
    "reboot-hard": (_RUNNING,),
    "resched": (_RUNNING, _UNKNOWN, (State.POWEROFF, Lcm.LCM_INIT)),
    "unresched": (_RUNNING, _UNKNOWN, (State.POWEROFF, Lcm.LCM_INIT)),
}
# What updateconf may set (OpenNebula: VirtualMachineTemplate::UPDATECONF_ATTRS).
_CONF: Mapping[str, tuple[str, ...]] = {
    "OS": (
        "ARCH",
        "MACHINE",
        "KERNEL",
        "INITRD",
        "BOOTLOADER",
        "BOOT",
        "KERNEL_CMD",
        "ROOT",
        "SD_DISK_BUS",
        "UUID",
        "FIRMWARE",
        "FIRMWARE_FORMAT",
    ),
    "FEATURES": (
        "PAE",
        "ACPI",
        "APIC",
        "LOCALTIME",
        "HYPERV",
        "GUEST_AGENT",
        "VIRTIO_SCSI_QUEUES",
        "VIRTIO_BLK_QUEUES",
        "IOTHREADS",
        "GIC",
        "RAS",
        "MIGRATE_AUTO_CONVERGE",
        "MIGRATE_COMPRESSED",
    ),
    "INPUT": ("TYPE", "BUS"),
    "GRAPHICS": ("TYPE", "LISTEN", "PASSWD", "KEYMAP", "COMMAND"),
    "VIDEO": ("IOMMU", "ATS", "TYPE", "VRAM", "RESOLUTION"),
    "RAW": ("TYPE", "DATA", "VALIDATE", "DATA_VMX"),
    "CPU_MODEL": ("MODEL", "FEATURES"),
}
_NOT_CONFIGURED = frozenset({State.INIT, State.DONE, State.SUSPENDED, State.STOPPED})
_CONFIGURED_IN = frozenset(
    {
        Lcm.LCM_INIT,
        Lcm.PROLOG,
        Lcm.RUNNING,
        Lcm.EPILOG,
        Lcm.SHUTDOWN,
        Lcm.SHUTDOWN_POWEROFF,
        Lcm.HOTPLUG_SAVEAS_POWEROFF,
        Lcm.SHUTDOWN_UNDEPLOY,
        Lcm.EPILOG_UNDEPLOY,
        Lcm.PROLOG_UNDEPLOY,
        Lcm.HOTPLUG_PROLOG_POWEROFF,
        Lcm.HOTPLUG_EPILOG_POWEROFF,
        Lcm.PROLOG_MIGRATE_POWEROFF,
        Lcm.DISK_SNAPSHOT_POWEROFF,
        Lcm.DISK_SNAPSHOT_REVERT_POWEROFF,
        Lcm.DISK_SNAPSHOT_DELETE_POWEROFF,
        *FAILURES,
    }
)


def not_available(vm: Vm) -> OneError:
    return refused(f"This action is not available for state {state_name(*vm.where)}")


# ----------------------------------------------------------------------------------------------------------- create


def allocate(context: Context, text: str, hold: bool) -> Reply:
    vm = machines.allocate(context.cloud, context.caller, machines.Request(parse(text), hold=hold))
    return vm.oid


# ----------------------------------------------------------------------------------------------------------- update


def update(context: Context, oid: int, text: str, append: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    template = updated(vm.user_template, text, append)
    try:
        machines.check_restricted(context.caller, parse(text), "User Template", vm.user_template)
    except OneError as error:
        raise internal("Cannot update template. " + error.message.partition(" : ")[2]) from error
    vm.user_template = template
    vm.touch()
    scheduler.arm(context.cloud)
    return oid


def updateconf(context: Context, oid: int, text: str, append: int) -> Reply:
    if append not in {0, 1}:
        raise OneError(Code.RPC_API, "Wrong update type")
    template = parse(text)
    vm: Vm = VM.find(context, oid, MANAGE)
    machines.check_restricted(context.caller, template, "Template")
    if vm.state in _NOT_CONFIGURED or (vm.state is State.ACTIVE and vm.lcm not in _CONFIGURED_IN):
        raise internal(f"configuration cannot be updated in state {state_name(*vm.where)}")
    wanted_context, wanted_backups = template.vector("CONTEXT"), template.vector("BACKUP_CONFIG")
    if wanted_context is not None and vm.template.vector("CONTEXT") is None:
        raise internal("Virtual machine does not have context, cannot add a new one.")
    if wanted_backups is not None:
        backups.refuse_increments(vm, wanted_backups)
        backups.configure(vm, wanted_backups, append=bool(append))
    for name, known in _CONF.items():
        _set_conf(vm, name, template.vector(name), known, append=bool(append))
    vm.touch()
    if wanted_context is not None:
        current = vm.template.vector("CONTEXT") or {}
        merged = {**current, **wanted_context} if append else wanted_context
        guest_context.set_context(context.cloud, context.caller, vm, merged)
        if vm.where == _RUNNING and vm.template.vector("CONTEXT") != current:
            flows.begin(context.cloud, vm, "disk")  # the context disk is made again under the running guest
    return oid


def _set_conf(vm: Vm, name: str, wanted: Vector | None, known: tuple[str, ...], *, append: bool) -> None:
    """A replacing update takes away what it does not name: whole vectors too."""
    given = {key: value for key, value in (wanted or {}).items() if key in known and value}
    if not given:
        if not append:
            vm.template.pop(name)
        return
    kept = dict(vm.template.vector(name) or {})
    if not append:
        kept = {key: value for key, value in kept.items() if key not in known}
    vm.template.put(name, {**kept, **given})


def resize(context: Context, oid: int, text: str, enforce: bool) -> Reply:
    cloud = context.cloud
    template = parse(text)
    vm: Vm = VM.find(context, oid, MANAGE)
    cpu, memory, vcpu = (_positive(template, name) for name in ("CPU", "MEMORY", "VCPU"))
    new_cpu, new_memory = cpu or vm.cpu, int(memory) or vm.memory
    new_vcpu = str(int(vcpu)) if vcpu else vm.template.get("VCPU")
    quota.check(cloud, context.caller, quota.Owner(vm.uid, vm.gid), _growth(cloud, vm, new_cpu, new_memory))
    if vm.state in {State.STOPPED, State.DONE, State.SUSPENDED} or (vm.state is State.ACTIVE and vm.where != _RUNNING):
        raise refused(f"Cannot resize a VM in state {state_name(*vm.where)}")
    if (new_cpu, new_memory, new_vcpu) == (vm.cpu, vm.memory, vm.template.get("VCPU")):
        return oid
    if enforce:
        _check_growth(cloud, vm, new_cpu, new_memory)
    before = vm.template.copy()
    vm.template.put("CPU", f"{new_cpu:g}")
    vm.template.put("MEMORY", str(new_memory))
    if new_vcpu:
        vm.template.put("VCPU", new_vcpu)
    flows.recharge(cloud, vm)
    vm.touch()
    if vm.state is State.PENDING:
        scheduler.arm(cloud)
    if vm.state in {State.ACTIVE, State.POWEROFF}:
        flows.act(vm, Action.RESIZE, context.caller.uid, context.caller.gid, context.request_id)
        flows.reopen(cloud, vm)
    if vm.state is State.ACTIVE:

        def undo() -> None:
            for name in ("CPU", "MEMORY", "VCPU"):
                vm.template.put(name, *before.values(name))
            flows.recharge(cloud, vm)

        flows.begin(cloud, vm, "resize", flows.Then(undo=undo, fails=_cannot_grow(cloud, vm)))
    return oid


def _cannot_grow(cloud: Cloud, vm: Vm) -> str:
    """What libvirt says to a size that the running domain was not made for; the dummy driver takes all (observed)."""
    host = cloud.hosts.get(vm.charged[0]) if vm.charged else None
    if vm.booted is None or host is None or host.vm_mad == "dummy":
        return ""
    booted, most_vcpus, most_memory = vm.booted
    if vm.vcpu > most_vcpus:
        reason = f"requested vcpus '{vm.vcpu}' is greater than max allowable vcpus '{most_vcpus}' for the live domain"
        return f"RESIZE: Failed to resize VCPU to {vm.vcpu} on one-{vm.oid}: error: invalid argument: {reason}"
    if vm.vcpu < booted:
        reason = "failed to find appropriate hotpluggable vcpus to reach the desired target vcpu count"
        return f"RESIZE: Failed to resize VCPU to {vm.vcpu} on one-{vm.oid}: error: invalid argument: {reason}"
    if vm.memory > most_memory:
        return "RESIZE: error: invalid argument: cannot set memory higher than max memory"
    return ""


def _growth(cloud: Cloud, vm: Vm, cpu: float, memory: int) -> quota.Use:
    more = {"CPU": cpu - vm.cpu, "MEMORY": float(memory - vm.memory)}
    if quota.is_running(vm):
        more |= {f"RUNNING_{metric}": amount for metric, amount in more.items()}
    return {("VM", key): more for key in quota.keys(cloud, vm)}


def _positive(template: Template, name: str) -> float:
    try:
        value = float(template.get(name) or 0)
    except ValueError:
        value = 0
    if value < 0:
        kind = "float or integer" if name == "CPU" else "integer"
        raise internal(f"{name} must be a positive {kind} value.")
    return value


def _check_growth(cloud: Cloud, vm: Vm, cpu: float, memory: int) -> None:
    host = cloud.hosts.get(vm.charged[0]) if vm.charged else None
    if host is None or vm.charged is None:
        return
    free_cpu = host.total_cpu - host.cpu_usage
    free_memory = host.total_memory - host.mem_usage
    more_cpu, more_memory = flows.hundredths(cpu) - vm.charged[1], memory * 1024 - vm.charged[2]
    if more_cpu > free_cpu:
        raise refused(f"Not enough CPU: {more_cpu}/{free_cpu}")
    if more_memory > free_memory:
        raise refused(f"Not enough memory: {more_memory}/{free_memory}")


# ---------------------------------------------------------------------------------------------------------- actions


class _OverQuota(Exception):
    """A machine may not run again."""


def action(context: Context, name: str, oid: int) -> Reply:
    right = ADMIN if name in {"resched", "unresched"} else MANAGE
    vm: Vm = VM.find(context, oid, right)
    if name not in _FROM and name not in TRIGGERED:
        raise refused(f'Action "{name}" is not supported')
    try:
        _act(context, vm, name)
    except _OverQuota as error:
        raise refused(str(error)) from error  # 0x800, where every other call says 0x200
    except OneError as error:
        raise refused(f'Error performing action "{name}": {error.message}') from error
    return oid


def _act(context: Context, vm: Vm, name: str) -> None:
    cloud = context.cloud
    if name == "resume" and not quota.is_running(vm):
        machine = quota.running_use(vm)["VM", ""]
        problem = quota.exceeded(
            cloud, quota.Owner(vm.uid, vm.gid), {("VM", key): machine for key in quota.keys(cloud, vm)}
        )
        if problem:
            raise _OverQuota(problem)
    if name in _FROM:
        if vm.where not in _FROM[name]:
            raise not_available(vm)
        _at_once(cloud, vm, name)
    elif name == "resume" and vm.state in {State.STOPPED, State.UNDEPLOYED}:
        _schedule(cloud, vm)
    elif name.startswith("terminate") and vm.state is State.DONE:
        return  # observed: OK
    elif name.startswith("terminate") and vm.state in _AT_ONCE:
        flows.begin(cloud, vm, "done")
    else:
        _trigger(context, vm, name)


def _at_once(cloud: Cloud, vm: Vm, name: str) -> None:
    match name:
        case "hold":
            flows.enter(cloud, vm, State.HOLD)
        case "release":
            _schedule(cloud, vm)
        case "resched" | "unresched":
            vm.resched = name == "resched"
            vm.touch()
        case _:  # a reboot leaves the state unchanged (observed)
            pass


def _schedule(cloud: Cloud, vm: Vm) -> None:
    flows.pend(cloud, vm)
    scheduler.arm(cloud)


def _trigger(context: Context, vm: Vm, name: str) -> None:
    means, ways = TRIGGERED[name]
    flow = ways.get(vm.where)
    if flow is None:
        if name.startswith("terminate"):
            raise refused(f"Could not terminate VM {vm.oid}, wrong state {state_name(*vm.where)}.")
        raise not_available(vm)
    if name == "resume":
        flows.reopen(context.cloud, vm)
    else:
        flows.act(vm, means, context.caller.uid, context.caller.gid, context.request_id)
    flows.trigger(context.cloud, vm, vm.where, flow)


def deploy(context: Context, oid: int, hid: int, enforce: bool, ds_id: int, _template: str) -> Reply:
    cloud = context.cloud
    host = cloud.find(cloud.hosts, hid, "HOST")
    vm: Vm = VM.find(context, oid, ADMIN)
    authorize(cloud, context.caller, MANAGE, host)
    system = cloud.find(cloud.datastores, ds_id, "DATASTORE") if ds_id >= 0 else scheduler.system_datastore(cloud, host)
    if vm.state not in _UNPLACED:
        raise refused(f"Deploy action is not available for state {state_name(*vm.where)}")
    if host.cluster_id not in system.clusters:
        raise refused(f"datastore [{system.oid}] and host [{hid}] are not in the same cluster [{host.cluster_id}].")
    _check_host(host, vm, enforce=enforce)
    quota.check(cloud, context.caller, quota.Owner(vm.uid, vm.gid), quota.cluster_use(cloud, vm, host.cluster_id))
    flows.deploy(cloud, vm, host, system)
    return oid


def _check_host(host: Host, vm: Vm, *, enforce: bool) -> None:
    shortage = flows.fits(host, vm.cpu, vm.memory) if enforce else ""
    if shortage:
        raise refused(shortage)
    if not devices.fit(host, devices.requests(vm)):
        raise refused("Unavailable PCI device.")


def migrate(context: Context, oid: int, hid: int, live: bool, enforce: bool, ds_id: int, kind: int) -> Reply:
    cloud = context.cloud
    host = cloud.find(cloud.hosts, hid, "HOST")
    vm: Vm = VM.find(context, oid, ADMIN)
    ways = {
        _RUNNING: "migrate-live" if live else "migrate",
        _UNKNOWN: "migrate",
        (State.POWEROFF, Lcm.LCM_INIT): "migrate-poweroff",
        (State.SUSPENDED, Lcm.LCM_INIT): "migrate-suspended",
    }
    flow = ways.get(vm.where)
    last = vm.last
    if flow is None or last is None:
        raise refused(f"Migrate action is not available for state {state_name(*vm.where)}")
    if last.hid == hid and ds_id in {-1, last.ds_id}:
        raise refused(f"VM is already running on host [{hid}] and datastore [{last.ds_id}]")
    if host.cluster_id != last.cluster_id:
        # The system datastore of the machine is none of that cluster's (OpenNebula: VirtualMachineMigrate).
        raise refused(f"Cannot migrate to a different cluster. VM running in cluster {last.cluster_id}")
    if host.state is HostState.OFFLINE:
        raise refused("Cannot migrate VM, host offline")
    if last.hid != hid:
        _check_host(host, vm, enforce=enforce)
    if devices.requests(vm) and vm.state is not State.POWEROFF and kind not in {1, 2}:
        way = "use poweroff or poweroff-hard flag for migrating a VM with PCI devices"
        raise refused(f"Cannot migrate VM [{oid}], {way}")
    within = placement.clusters(cloud, vm)
    if within is not None and host.cluster_id not in within:
        raise refused(
            f"Cannot migrate  VM [{oid}] to host [{hid}]. Host is in cluster [{host.cluster_id}], and VM requires to be "
            f"placed on cluster [{','.join(map(str, sorted(within)))}]"
        )
    means = Action.LIVE_MIGRATE if live else Action.MIGRATE
    flows.act(vm, means, context.caller.uid, context.caller.gid, context.request_id)
    flows.trigger(cloud, vm, vm.where, flow, flows.Then(done=lambda: _move(cloud, vm, host)))
    return oid


def _move(cloud: Cloud, vm: Vm, host: Host) -> None:
    if vm.last is not None:
        vm.last.etime = cloud.second
    flows.open_stay(cloud, vm, host, scheduler.system_datastore(cloud, host))
    if vm.last is not None:
        vm.last.rstime = cloud.second


# ---------------------------------------------------------------------------------------------------------- recover


def recover(context: Context, oid: int, operation: int) -> Reply:
    if operation not in range(6):
        raise refused("Wrong recovery operation code")
    vm: Vm = VM.find(context, oid, ADMIN)
    cloud = context.cloud
    match operation:
        case 0 | 1 | 2:
            _recover(cloud, vm, operation)
        case 3:
            flows.act(vm, Action.DELETE, context.caller.uid, context.caller.gid, context.request_id)
            if vm.state is not State.DONE:
                flows.begin(cloud, vm, "done")
        case 4:
            if vm.state in {State.DONE, State.PENDING, State.HOLD}:
                raise refused(f"Could not perform a delete-recreate on VM {oid}, wrong state {vm.state.name}.")
            flows.act(vm, Action.DELETE_RECREATE, context.caller.uid, context.caller.gid, context.request_id)
            vm.flow += 1
            vm.deploy_id = ""
            flows.pend(cloud, vm)
            flows.discharge(cloud, vm)
            scheduler.arm(cloud)
        case _:
            if vm.state is not State.DONE:
                flows.begin(cloud, vm, "done")
            del cloud.vms[oid]
    return oid


def _recover(cloud: Cloud, vm: Vm, operation: int) -> None:
    if vm.state is State.CLONING_FAILURE and operation == 1:
        machines.wait(cloud, vm)
        return
    if vm.state is not State.ACTIVE:
        what = "a retry" if operation == 2 else "a recover operation"
        raise refused(f"Could not perform {what} on VM {vm.oid}, wrong state {state_name(*vm.where)}.")
    if operation == 0:
        return  # a failed machine stays failed (observed)
    flow = (RECOVER_SUCCESS if operation == 1 else RECOVER_RETRY).get(vm.lcm)
    if flow is not None:
        flows.trigger(cloud, vm, vm.where, flow)


CALLS = (
    Call("one.vm.allocate", "s b=0", allocate),
    Call("one.vm.update", "i s i=0", update),
    Call("one.vm.updateconf", "i s i=0", updateconf),
    Call("one.vm.resize", "i s b=1", resize),
    Call("one.vm.action", "s i", action),
    Call("one.vm.deploy", "i i b=0 i=-1 s=", deploy),
    Call("one.vm.migrate", "i i b b=0 i=-1 i=0", migrate),
    Call("one.vm.recover", "i i", recover),
    rename_call(VM),
    chmod_call(VM),
    chown_call(VM),
    *lock_calls(VM),
)
