"""one.vm.* that change a machine, but what concerns disks, NICs and snapshots."""

from collections.abc import Mapping

from sovereigncloud.sandbox.opennebula import context as guest_context
from sovereigncloud.sandbox.opennebula import flows, machines, quota, scheduler
from sovereigncloud.sandbox.opennebula.access import ADMIN, MANAGE, authorize
from sovereigncloud.sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud.sandbox.opennebula.calls.shared import (
    chmod_call,
    chown_call,
    lock_calls,
    rename_call,
    updated,
)
from sovereigncloud.sandbox.opennebula.calls.vm_reads import VM
from sovereigncloud.sandbox.opennebula.cloud import Cloud
from sovereigncloud.sandbox.opennebula.errors import Code, OneError, internal, refused
from sovereigncloud.sandbox.opennebula.lifecycle import (
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
from sovereigncloud.sandbox.opennebula.model import Host, HostState, Vm
from sovereigncloud.sandbox.opennebula.template import Template, parse

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
# What updateconf may replace (OpenNebula: VirtualMachineTemplate::UPDATECONF_ATTRS).
_CONF = ("OS", "FEATURES", "INPUT", "GRAPHICS", "VIDEO", "RAW", "CPU_MODEL", "BACKUP_CONFIG")


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
        machines.check_restricted(context.caller, parse(text), "User Template")
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
    if vm.state is State.ACTIVE and vm.where not in {_RUNNING, _UNKNOWN} and vm.lcm not in FAILURES:
        raise internal(f"configuration cannot be updated in state {state_name(*vm.where)}")
    if vm.state in {State.DONE, State.STOPPED, State.SUSPENDED}:
        raise internal(f"configuration cannot be updated in state {state_name(*vm.where)}")
    machines.check_restricted(context.caller, template, "Template")
    for name in _CONF:
        vector = template.vector(name)
        if vector is not None:
            kept = dict(vm.template.vector(name) or {}) if append or name == "OS" else {}
            vm.template.put(name, {**kept, **vector})
    context_vector = template.vector("CONTEXT")
    if context_vector is not None:
        current = vm.template.vector("CONTEXT") or {}
        merged = {**current, **context_vector} if append else context_vector
        guest_context.set_context(context.cloud, context.caller, vm, merged)
    vm.touch()
    return oid


def resize(context: Context, oid: int, text: str, enforce: bool) -> Reply:
    cloud = context.cloud
    template = parse(text)
    vm: Vm = VM.find(context, oid, MANAGE)
    cpu, memory, vcpu = (_positive(template, name) for name in ("CPU", "MEMORY", "VCPU"))
    new_cpu, new_memory = cpu or vm.cpu, int(memory) or vm.memory
    new_vcpu = str(int(vcpu)) if vcpu else vm.template.get("VCPU")
    more = {"CPU": new_cpu - vm.cpu, "MEMORY": float(new_memory - vm.memory)}
    quota.check(cloud, context.caller, quota.Owner(vm.uid, vm.gid), {("VM", ""): more})
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

        flows.begin(cloud, vm, "resize", flows.Then(undo=undo))
    return oid


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


def action(context: Context, name: str, oid: int) -> Reply:
    right = ADMIN if name in {"resched", "unresched"} else MANAGE
    vm: Vm = VM.find(context, oid, right)
    if name not in _FROM and name not in TRIGGERED:
        raise refused(f'Action "{name}" is not supported')
    try:
        _act(context, vm, name)
    except OneError as error:
        raise refused(f'Error performing action "{name}": {error.message}') from error
    return oid


def _act(context: Context, vm: Vm, name: str) -> None:
    cloud = context.cloud
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
    shortage = flows.fits(host, vm.cpu, vm.memory) if enforce else ""
    if shortage:
        raise refused(shortage)
    flows.deploy(cloud, vm, host, system)
    return oid


def migrate(context: Context, oid: int, hid: int, live: bool, enforce: bool, ds_id: int, _type: int) -> Reply:
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
    shortage = flows.fits(host, vm.cpu, vm.memory) if enforce else ""
    if shortage:
        raise refused(shortage)
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


# ------------------------------------------------------------------------------------------------ scheduled actions


def schedadd(context: Context, oid: int, text: str) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    vector = parse(text).vector("SCHED_ACTION")
    if vector is None or "ACTION" not in vector or "TIME" not in vector:
        raise internal("Wrong SCHED_ACTION: ACTION and TIME are needed")
    sched_id = max((int(one["ID"]) for one in vm.sched_actions), default=-1) + 1
    fixed = {"ID": str(sched_id), "PARENT_ID": str(oid), "TYPE": "VM", "DONE": "-1", "REPEAT": "-1", "WARNING": "0"}
    vm.sched_actions.append({**vector, **fixed})
    vm.touch()
    return sched_id


def schedupdate(context: Context, oid: int, sched_id: int, text: str) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    found = next((one for one in vm.sched_actions if one["ID"] == str(sched_id)), None)
    if found is None:
        raise internal(f"Sched action {sched_id} does not exist")
    found.update(parse(text).vector("SCHED_ACTION") or {})
    vm.touch()
    return sched_id


def scheddelete(context: Context, oid: int, sched_id: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    if not any(one["ID"] == str(sched_id) for one in vm.sched_actions):
        raise internal(f"Sched action {sched_id} does not exist")
    vm.sched_actions = [one for one in vm.sched_actions if one["ID"] != str(sched_id)]
    vm.touch()
    return oid


CALLS = (
    Call("one.vm.allocate", "s b=0", allocate),
    Call("one.vm.update", "i s i=0", update),
    Call("one.vm.updateconf", "i s i=0", updateconf),
    Call("one.vm.resize", "i s b=1", resize),
    Call("one.vm.action", "s i", action),
    Call("one.vm.deploy", "i i b=0 i=-1 s=", deploy),
    Call("one.vm.migrate", "i i b b=0 i=-1 i=0", migrate),
    Call("one.vm.recover", "i i", recover),
    Call("one.vm.schedadd", "i s", schedadd),
    Call("one.vm.schedupdate", "i i s", schedupdate),
    Call("one.vm.scheddelete", "i i", scheddelete),
    rename_call(VM),
    chmod_call(VM),
    chown_call(VM),
    *lock_calls(VM),
)
