"""Lifecycle transitions of VMs: the tables of lifecycle.py, driven by the cloud's clock."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sovereigncloud_sandbox.opennebula import affinity, contents, devices, networking, running, storage
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.lifecycle import DEPLOYED, FLOWS, Action, Lcm, State, Step, Where
from sovereigncloud_sandbox.opennebula.model import History, Host, Vm
from sovereigncloud_sandbox.opennebula.model_storage import Datastore

# The step that an injected failure names, and what the driver's message begins with (recorded).
_MESSAGE = {
    Lcm.BOOT_FAILURE: "DEPLOY: ",
    Lcm.PROLOG_FAILURE: "Error executing image transfer script: ",
    Lcm.EPILOG_FAILURE: "Error executing image transfer script: ",
}
# Drivers that say why, though the machine is as it was.
_SAYS = {
    Lcm.BACKUP: "BACKUP: ",
    Lcm.BACKUP_POWEROFF: "BACKUP: ",
    Lcm.RESTORE: "Error executing image transfer script: ",
}


def log_time(cloud: Cloud) -> str:
    """The time as oned writes it into ERROR and SCHED_MESSAGE."""
    return datetime.fromtimestamp(cloud.now, tz=UTC).strftime("%a %b %e %H:%M:%S %Y")


_STARTS = frozenset(lcm for lcm in Lcm if lcm.name.startswith("BOOT") and lcm is not Lcm.BOOT_FAILURE)
_BOOTS = frozenset({Lcm.BOOT, Lcm.BOOT_POWEROFF, Lcm.BOOT_UNDEPLOY})  # a fresh start of the hypervisor's process


@dataclass(frozen=True, slots=True)
class Then:
    """What happens when the last state of a flow is reached, and what is undone where a step fails."""

    done: Callable[[], None] = lambda: None
    undo: Callable[[], None] = lambda: None
    fails: str = ""  # what the hypervisor will say, where that is sure; an injected failure says nothing (observed)


_NOTHING = Then()


def begin(cloud: Cloud, vm: Vm, flow: str, then: Then = _NOTHING) -> None:
    """Start a flow now."""
    vm.flow += 1
    _take(cloud, vm, FLOWS[flow], vm.flow, then)


def trigger(cloud: Cloud, vm: Vm, expected: Where, flow: str, then: Then = _NOTHING) -> None:
    """Queue a flow: OK means queued, the state changes a moment later - if the machine is still where it was."""

    def start() -> None:
        if vm.where == expected and vm.oid in cloud.vms:
            begin(cloud, vm, flow, then)

    cloud.after(cloud.speeds.action_lag, start)


def _take(cloud: Cloud, vm: Vm, steps: tuple[Step, ...], serial: int, then: Then) -> None:
    step, *rest = steps
    enter(cloud, vm, step.state, step.lcm)
    if not step.dwell:
        then.done()
        vm.touch()
        return

    def leave() -> None:
        if vm.flow != serial:
            return
        message = cloud.trip(vm.name, step.lcm.name) or _unreachable(cloud, vm) if step.fails_to else None
        if step.fails_to is not None and message is None and then.fails:
            vm.user_template.put("ERROR", f"{log_time(cloud)}: {then.fails}")
            message = then.fails
        if step.fails_to is not None and message is not None:
            _fail(cloud, vm, step, message)
            then.undo()
            vm.touch()
        else:
            _take(cloud, vm, tuple(rest), serial, then)

    cloud.after(getattr(cloud.speeds, step.dwell), leave)


def _unreachable(cloud: Cloud, vm: Vm) -> str | None:
    """What each driver says of a host without power."""
    host = running.host_of(cloud, vm)
    return f"ssh: connect to host {host.name} port 22: No route to host" if host and not host.powered else None


def _fail(cloud: Cloud, vm: Vm, step: Step, message: str) -> None:
    where = step.fails_to or vm.where
    if where[1] is Lcm.RUNNING and vm.dead:
        where = (State.ACTIVE, Lcm.UNKNOWN)  # it did not end, and nobody can tell
    prefix = _MESSAGE.get(where[1]) or _SAYS.get(step.lcm)
    if prefix is not None:
        vm.user_template.put("ERROR", f"{log_time(cloud)}: {prefix}{message}")
    enter(cloud, vm, *where)


def enter(cloud: Cloud, vm: Vm, state: State, lcm: Lcm = Lcm.LCM_INIT) -> None:
    """Be in a state, with what belongs to it: capacity on the host, times in the history, resources given back."""
    lost = running.runs(cloud, vm) and vm.lcm is Lcm.UNKNOWN
    if vm.busy and not vm.dead and contents.guest_runs(vm):
        contents.scribble(cloud, vm)
    vm.state, vm.lcm, vm.shown_state = state, lcm, None
    if lcm is Lcm.PROLOG:
        contents.copied(cloud, vm)
    cloud.pending.discard(vm.oid)
    _note(cloud, vm)
    if state not in DEPLOYED:
        discharge(cloud, vm)
    if state is State.DONE:
        release(cloud, vm)
    if lcm in _BOOTS:
        most = (int(vm.template.get("VCPU_MAX") or vm.vcpu), int(vm.template.get("MEMORY_MAX") or vm.memory))
        vm.booted = (vm.vcpu, *most)
    if lcm in _STARTS:
        vm.dead = vm.gone = False
    # Nobody reached the host to end it there: oned forgets the machine, and it runs on.
    vm.wild = vm.wild or (lost and state is State.DONE)
    running.note(cloud, vm, cloud.now)
    vm.touch()


def _note(cloud: Cloud, vm: Vm) -> None:
    last, now = vm.last, cloud.second
    if last is None:
        return
    match vm.where:
        case (State.ACTIVE, Lcm.PROLOG | Lcm.PROLOG_RESUME | Lcm.PROLOG_UNDEPLOY | Lcm.PROLOG_MIGRATE):
            last.pstime = now
        case (State.ACTIVE, Lcm.BOOT | Lcm.BOOT_STOPPED | Lcm.BOOT_UNDEPLOY | Lcm.BOOT_MIGRATE):
            last.petime, last.rstime = now, now
        case (State.ACTIVE, Lcm.RUNNING):
            vm.deploy_id = vm.deploy_id or f"{last.hostname}:{vm.name}:{last.vm_mad}"
            last.rstime = last.rstime or now
        case (State.ACTIVE, Lcm.EPILOG | Lcm.EPILOG_STOP | Lcm.EPILOG_UNDEPLOY):
            last.retime, last.estime = last.retime or now, now
        case (State.POWEROFF | State.SUSPENDED, _):
            last.retime = last.retime or now
        case (State.STOPPED | State.UNDEPLOYED | State.DONE, _):
            last.retime, last.eetime, last.etime = last.retime or now, now if last.estime else 0, now
        case _:
            pass


# ---------------------------------------------------------------------------------------------------------- history


def act(vm: Vm, action: Action, uid: int, gid: int, request_id: int) -> None:
    """The current stay on a host ends by this action."""
    if vm.last is not None:
        vm.last.action, vm.last.uid, vm.last.gid, vm.last.request_id = action, uid, gid, request_id
        vm.touch()


def reopen(cloud: Cloud, vm: Vm) -> None:
    """A new stay on the same host begins: after a resume, and for each thing done to a running machine."""
    last = vm.last
    if last is None:
        return
    last.etime = cloud.second
    last.retime = last.retime or cloud.second
    fresh = replace(
        last,
        seq=last.seq + 1,
        stime=cloud.second,
        etime=0,
        pstime=0,
        petime=0,
        rstime=cloud.second,
        retime=0,
        estime=0,
        eetime=0,
        action=Action.NONE,
        uid=-1,
        gid=-1,
        request_id=-1,
    )
    vm.history.append(fresh)
    vm.touch()


# --------------------------------------------------------------------------------------------------------- capacity


def hundredths(cpu: float) -> int:
    return round(cpu * 100)


def fits(host: Host, cpu: float, memory: int) -> str:
    """Why a machine does not fit on a host; empty where it does. Memory in MB."""
    free_cpu, free_memory = host.total_cpu - host.cpu_usage, host.total_memory - host.mem_usage
    if hundredths(cpu) > free_cpu:
        return f"Not enough CPU: {hundredths(cpu)}/{free_cpu}"
    if memory * 1024 > free_memory:
        return f"Not enough memory: {memory * 1024}/{free_memory}"
    return ""


def charge(cloud: Cloud, vm: Vm, host: Host) -> None:
    """Take the machine's capacity on a host, giving back what it had elsewhere."""
    discharge(cloud, vm)
    size = sum(int(disk.get("SIZE", "0") or 0) for disk in vm.disks)
    vm.charged = (host.oid, hundredths(vm.cpu), vm.memory * 1024, size)
    host.cpu_usage += vm.charged[1]
    host.mem_usage += vm.charged[2]
    host.disk_usage += vm.charged[3]
    host.vms.add(vm.oid)
    if devices.fit(host, devices.requests(vm)):  # who calls has looked; meanwhile another may have taken it
        devices.assign(host, vm, devices.requests(vm))


def discharge(cloud: Cloud, vm: Vm) -> None:
    """Give the machine's capacity back."""
    if vm.charged is None:
        return
    hid, cpu, memory, disk = vm.charged
    vm.charged = None
    host = cloud.hosts.get(hid)
    if host is not None:
        host.cpu_usage -= cpu
        host.mem_usage -= memory
        host.disk_usage -= disk
        host.vms.discard(vm.oid)
        devices.give_back(host, vm)


def recharge(cloud: Cloud, vm: Vm) -> None:
    """The machine has another size now."""
    if vm.charged is not None:
        charge(cloud, vm, cloud.hosts[vm.charged[0]])


# ------------------------------------------------------------------------------------------------ placing, leaving


def deploy(cloud: Cloud, vm: Vm, host: Host, datastore: Datastore) -> None:
    """Place a machine that is PENDING, HOLD, STOPPED or UNDEPLOYED, and let it boot."""
    flow = "deploy"
    if vm.last is not None and vm.last.action in {Action.STOP, Action.UNDEPLOY, Action.UNDEPLOY_HARD}:
        flow = "deploy-stopped" if vm.last.action is Action.STOP else "deploy-undeployed"
    open_stay(cloud, vm, host, datastore)
    vm.template.put("TM_MAD_SYSTEM", datastore.tm_mad)
    vm.user_template.pop("SCHED_MESSAGE")
    graphics = vm.template.vector("GRAPHICS")
    if graphics is not None:
        graphics.setdefault("PORT", str(5900 + vm.oid))
    begin(cloud, vm, flow)


def open_stay(cloud: Cloud, vm: Vm, host: Host, datastore: Datastore) -> None:
    """A stay on a host begins."""
    stay = History(
        seq=len(vm.history),
        hid=host.oid,
        hostname=host.name,
        cluster_id=host.cluster_id,
        ds_id=datastore.oid,
        vm_mad=host.vm_mad,
        tm_mad=datastore.tm_mad,
        stime=cloud.second,
    )
    vm.history.append(stay)
    charge(cloud, vm, host)
    vm.touch()


def pend(cloud: Cloud, vm: Vm) -> None:
    """Wait for the scheduler."""
    enter(cloud, vm, State.PENDING)
    vm.pending_since = cloud.now
    cloud.pending.add(vm.oid)


def release(cloud: Cloud, vm: Vm) -> None:
    """A machine is done: its addresses and images are free."""
    vm.etime = cloud.second
    vm.sched_actions.clear()
    cloud.planned.discard(vm.oid)
    for nic in vm.nics:
        networking.give_back(cloud, nic, vm.oid)
    for disk in vm.disks:
        storage.give_back(cloud, disk, vm.oid)
    for group in cloud.security_groups.values():
        group.rollout.discard(vm.oid)
    affinity.leave(cloud, vm)
