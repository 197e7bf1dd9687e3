"""one.vmgroup.*, and machines that join or leave a group."""

from sovereigncloud_sandbox.opennebula import affinity, render
from sovereigncloud_sandbox.opennebula.access import MANAGE, USE, authorize, authorize_create
from sovereigncloud_sandbox.opennebula.affinity import VmGroup
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, lock_calls, owned_calls
from sovereigncloud_sandbox.opennebula.calls.vm_reads import VM
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import OneError, internal, refused
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.opennebula.model import Vm
from sovereigncloud_sandbox.opennebula.template import Template, Vector, parse


def _changed(_: Cloud, group: VmGroup, template: Template) -> None:
    if group.vms:
        raise internal(f"VM Group has {len(group.vms)} VMs")
    template.pop("ROLE")  # roles have calls of their own
    affinity.check(group, template)
    group.template = template


VMGROUP = Kind(
    kind="VMGROUP",
    prefix="one.vmgroup",
    root="VM_GROUP_POOL",
    pool=lambda cloud: cloud.vm_groups,
    show=lambda _, one: render.vm_group(one),
    row=lambda _, one: render.vm_group(one),
    changed=_changed,
)


def allocate(context: Context, text: str) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    authorize_create(cloud, caller, "VMGROUP")
    name = template.take("NAME")
    cloud.claim_name(cloud.vm_groups, "VMGROUP", name, caller.uid)
    group = VmGroup(cloud.next_id("VMGROUP"), name, caller.uid, caller.gid, caller.user.name, caller.user.gname)
    for role in template.vectors("ROLE"):
        affinity.add_role(group, role)
    template.pop("ROLE")
    affinity.check(group, template)
    group.template = template
    cloud.vm_groups[group.oid] = group
    return group.oid


def delete(context: Context, oid: int) -> Reply:
    VMGROUP.find(context, oid, MANAGE)
    del context.cloud.vm_groups[oid]  # members or not: their attribute then means nothing (OpenNebula: no check there)
    return oid


# ------------------------------------------------------------------------------------------------------------- roles


def _role(text: str) -> Vector:
    try:
        role = parse(text).vector("ROLE")
    except OneError as error:
        raise affinity.as_action(error) from error
    if role is None:
        raise refused("No ROLE attribute in template")
    return role


def _consistent(group: VmGroup) -> None:
    try:
        affinity.check(group, group.template)
    except OneError as error:
        raise affinity.as_action(error) from error


def role_add(context: Context, oid: int, text: str) -> Reply:
    group: VmGroup = VMGROUP.find(context, oid, MANAGE)
    try:
        affinity.add_role(group, _role(text))
    except OneError as error:
        raise affinity.as_action(error) from error
    _consistent(group)
    return oid


def role_delete(context: Context, oid: int, role_id: int) -> Reply:
    group: VmGroup = VMGROUP.find(context, oid, MANAGE)
    role = group.roles.get(role_id)
    if role is None:
        raise refused(f"Unable to delete role {role_id}, the role doesn't exists")
    if affinity.members(role):
        raise refused(f"Unable to delete role {role_id}, the role has assigned VMs ")
    del group.roles[role_id]
    _consistent(group)
    return oid


def role_update(context: Context, oid: int, role_id: int, text: str) -> Reply:
    group: VmGroup = VMGROUP.find(context, oid, MANAGE)
    wanted = _role(text)
    role = group.roles.get(role_id)
    if role is None:
        raise refused(f"VMGroup {oid} doesn't have role {role_id}")
    if affinity.members(role):
        raise refused(f"VMGroup {oid} Role {role_id} has VMs, unable to update")
    name = wanted.get("NAME", "")
    if name and name != role["NAME"] and group.role(name) is not None:
        reason = f"can not update name, role with name {name} already exists"
        raise refused(f"VMGroup {oid} Role {role_id} {reason}")
    role.update({key: value for key, value in wanted.items() if key not in {"VMS", "ID"}})
    _consistent(group)
    return oid


# ---------------------------------------------------------------------------------------------------------- machines


def vm_join(context: Context, oid: int, group_id: int, role: str) -> Reply:
    cloud = context.cloud
    vm: Vm = VM.find(context, oid, MANAGE)
    group = cloud.find(cloud.vm_groups, group_id, "VMGROUP")
    authorize(cloud, context.caller, USE, group)
    if vm.state is State.ACTIVE:
        affinity.refuse_conflict(cloud, vm, group, role)
    try:
        affinity.join(cloud, vm, {"VMGROUP_ID": str(group_id), "ROLE": role})
    except OneError as error:
        raise affinity.as_action(error) from error
    vm.touch()
    return oid


def vm_leave(context: Context, oid: int) -> Reply:
    vm: Vm = VM.find(context, oid, MANAGE)
    affinity.leave(context.cloud, vm)
    vm.template.pop("VMGROUP")
    vm.touch()
    return oid


CALLS = (
    Call("one.vmgroup.allocate", "s", allocate),
    Call("one.vmgroup.delete", "i", delete),
    Call("one.vmgroup.roleadd", "i s", role_add),
    Call("one.vmgroup.roledelete", "i i", role_delete),
    Call("one.vmgroup.roleupdate", "i i s", role_update),
    *owned_calls(VMGROUP),
    *lock_calls(VMGROUP),
    Call("one.vm.vmgroupadd", "i i s", vm_join),
    Call("one.vm.vmgroupdel", "i", vm_leave),
)
