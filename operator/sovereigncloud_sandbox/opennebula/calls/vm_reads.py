"""Reading machines: one.vm.info and monitoring, one.vmpool.*."""

from sovereigncloud_sandbox.opennebula import quota, render, render_vm
from sovereigncloud_sandbox.opennebula.access import USE
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, Listing, page
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import internal
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.opennebula.model import Vm

VM = Kind(
    kind="VM",
    prefix="one.vm",
    root="VM_POOL",
    pool=lambda cloud: cloud.vms,
    show=lambda _, vm: render_vm.render(vm, vm.history),
    row=lambda _, vm: render_vm.render(vm, vm.history[-1:]),
    unique="",
    takes=quota.taken_by,
)
_ANY, _NOT_DONE = -2, -1
_RUNNING = (State.ACTIVE, Lcm.RUNNING)


def info(context: Context, oid: int, _decrypt: bool) -> Reply:
    vm: Vm = VM.find(context, oid, USE, locks=False)
    return render_vm.render(vm, vm.history)


def _listed(context: Context, listing: Listing, state: int, query: str) -> list[Vm]:
    if query:
        raise internal("JSON query search is not supported")
    members: list[Vm] = page(context.cloud, context.caller, context.cloud.vms.values(), listing)
    if state == _NOT_DONE:
        return [vm for vm in members if vm.state is not State.DONE]
    return members if state == _ANY else [vm for vm in members if vm.state == state]


def pool_info(context: Context, flag: int, start: int, end: int, state: int, query: str) -> Reply:
    return _pool([render_vm.short(vm) for vm in _listed(context, Listing(flag, start, end), state, query)])


def pool_infoextended(context: Context, flag: int, start: int, end: int, state: int, query: str) -> Reply:
    return _pool([render_vm.extended(vm) for vm in _listed(context, Listing(flag, start, end), state, query)])


def pool_infoset(context: Context, oids: str, extended: bool) -> Reply:
    wanted = {int(oid) for oid in oids.split(",") if oid.strip().isdecimal()}
    chosen = [vm for vm in _listed(context, Listing(-2, -1, -1), _ANY, "") if vm.oid in wanted]
    return _pool([render_vm.extended(vm) if extended else render_vm.short(vm) for vm in chosen])


def _pool(members: list[bytes]) -> bytes:
    return b"&lt;VM_POOL&gt;" + b"".join(members) + b"&lt;/VM_POOL&gt;"


def monitoring(context: Context, oid: int) -> Reply:
    vm: Vm = VM.find(context, oid, USE, locks=False)
    return f"<MONITORING_DATA>{_monitoring(context.cloud, vm)}</MONITORING_DATA>"


def pool_monitoring(context: Context, flag: int, _seconds: int) -> Reply:
    members = _listed(context, Listing(flag, -1, -1), _NOT_DONE, "")
    return render.pool("MONITORING_DATA", [_monitoring(context.cloud, vm) for vm in members])


def _monitoring(cloud: Cloud, vm: Vm) -> str:
    if vm.where != _RUNNING:
        return ""
    return (
        f"<MONITORING><CPU><![CDATA[0.0]]></CPU><ID>{vm.oid}</ID><MEMORY><![CDATA[{vm.memory * 1024}]]></MEMORY>"
        f"<TIMESTAMP>{cloud.second}</TIMESTAMP></MONITORING>"
    )


CALLS = (
    Call("one.vm.info", "i b=0", info),
    Call("one.vm.monitoring", "i", monitoring),
    Call("one.vmpool.info", "i i i i s=", pool_info),
    Call("one.vmpool.infoextended", "i i i i s=", pool_infoextended),
    Call("one.vmpool.infoset", "s b", pool_infoset),
    Call("one.vmpool.monitoring", "i i=-1", pool_monitoring),
)
