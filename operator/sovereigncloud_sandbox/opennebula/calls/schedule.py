"""one.vm.schedadd and its like, and the doing of what they planned."""

from collections.abc import Callable, Mapping
from itertools import count

from sovereigncloud_sandbox.opennebula import planned
from sovereigncloud_sandbox.opennebula.access import MANAGE, Caller
from sovereigncloud_sandbox.opennebula.calls import backup, vm_devices
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.vm import action
from sovereigncloud_sandbox.opennebula.calls.vm_reads import VM
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import Code, OneError, internal, refused
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.opennebula.model import ONEADMIN, Vm
from sovereigncloud_sandbox.opennebula.template import Vector, parse


def _wanted(text: str) -> Vector | None:
    return parse(text).vector("SCHED_ACTION")


def schedadd(context: Context, oid: int, text: str) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    if vm.state is State.DONE:
        raise internal(f"Unable to create Scheduled Action for Virtual Machine {oid}, it's in DONE state")
    vector = _wanted(text)
    if vector is None:
        raise refused("No SCHED_ACTION attribute in template")
    try:
        return planned.add(context.cloud, vm, planned.read(vector, vm.stime))
    except planned.PlanError as error:
        raise refused(str(error)) from error


def schedupdate(context: Context, oid: int, sched_id: int, text: str) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    vector = _wanted(text)
    if vector is None:
        raise internal("No SCHED_ACTION attribute in template")
    found = next((one for one in vm.sched_actions if one["ID"] == str(sched_id)), None)
    if found is None:
        raise internal(f"SCHED_ACTION with id = {sched_id} doesn't exist")
    try:
        found.update(planned.read(vector, vm.stime, found))
    except planned.PlanError as error:
        raise internal(str(error)) from error
    planned.arm(context.cloud, vm)
    return sched_id


def scheddelete(context: Context, oid: int, sched_id: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    kept = [one for one in vm.sched_actions if one["ID"] != str(sched_id)]
    if len(kept) == len(vm.sched_actions):
        raise OneError(Code.NO_EXISTS, f"Error getting scheduled action [{sched_id}].", sched_id)
    vm.sched_actions = kept
    vm.touch()
    return sched_id


# -------------------------------------------------------------------------------------------------------------- doing

# With what arguments each action is called; what is not here takes none.
_ARGUMENTS: Mapping[str, tuple[str, str, Callable[..., Reply]]] = {
    "snapshot-create": ("s", "snapshot-name", vm_devices.snapshot_create),
    "snapshot-revert": ("i", "snapshot-id", vm_devices.snapshot_revert),
    "snapshot-delete": ("i", "snapshot-id", vm_devices.snapshot_delete),
    "disk-snapshot-create": ("is", "disk-id, snapshot-name", vm_devices.disk_snapshot_create),
    "disk-snapshot-revert": ("ii", "disk-id, snapshot-id", vm_devices.disk_snapshot_revert),
    "disk-snapshot-delete": ("ii", "disk-id, snapshot-id", vm_devices.disk_snapshot_delete),
    "backup": ("ii", "datastore-id, reset", backup.backup),
}
_request_ids = count(1_000_000)


def perform(cloud: Cloud) -> Callable[[Vm, Mapping[str, str]], str]:
    """Gives a function that does a planned action as oneadmin, and says why it could not."""

    def act(vm: Vm, one: Mapping[str, str]) -> str:
        user = cloud.users[ONEADMIN]
        context = Context(cloud, Caller(user, frozenset(user.groups)), next(_request_ids))
        try:
            _act(context, vm, one)
        except OneError as error:
            return f"[{one['ACTION']}] {error.message}"
        except ValueError as error:
            return str(error)
        return ""

    return act


def _act(context: Context, vm: Vm, one: Mapping[str, str]) -> None:
    name = one["ACTION"]
    if name not in _ARGUMENTS:
        action(context, name, vm.oid)
        return
    kinds, format_, call = _ARGUMENTS[name]
    given = [part for part in one["ARGS"].split(",") if part]
    if name == "backup":
        if not vm.history:
            raise ValueError(f"Unable to run scheduled backup for VM: {vm.oid}, the VM doesn't have history.")
        given += ["0"] if len(given) == 1 else []
    malformed = ValueError(f"Missing or malformed ARGS for: {name}. Format: {format_}")
    if len(given) < len(kinds):
        raise malformed
    arguments: list[str | int] = []
    for kind, text in zip(kinds, given, strict=False):
        if kind == "i" and not text.strip().lstrip("-").isdecimal():
            raise malformed
        arguments.append(int(text) if kind == "i" else text)
    call(context, vm.oid, *arguments)


CALLS = (
    Call("one.vm.schedadd", "i s", schedadd),
    Call("one.vm.schedupdate", "i i s", schedupdate),
    Call("one.vm.scheddelete", "i i", scheddelete),
)
