"""one.vn.* and one.secgroup.*."""

from sovereigncloud.sandbox.opennebula import machines, networking, quota, render
from sovereigncloud.sandbox.opennebula.access import ADMIN, MANAGE, USE, authorize_create
from sovereigncloud.sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud.sandbox.opennebula.calls.infrastructure import cluster_of
from sovereigncloud.sandbox.opennebula.calls.shared import Kind, owned_calls
from sovereigncloud.sandbox.opennebula.cloud import Cloud
from sovereigncloud.sandbox.opennebula.errors import internal, refused, unauthorized
from sovereigncloud.sandbox.opennebula.model import NetState, SecurityGroup, VNet
from sovereigncloud.sandbox.opennebula.template import Template, Vector, parse

NET = Kind(
    kind="NET",
    prefix="one.vn",
    root="VNET_POOL",
    pool=lambda cloud: cloud.vnets,
    show=lambda _, one: render.vnet(one, leases=True),
    row=lambda _, one: render.vnet(one, leases=False),
    changed=lambda _, one, template: networking.update_well_known(one, template),
)
SECGROUP = Kind(
    kind="SECGROUP",
    prefix="one.secgroup",
    root="SECURITY_GROUP_POOL",
    pool=lambda cloud: cloud.security_groups,
    show=lambda _, one: render.security_group(one),
    row=lambda _, one: render.security_group(one),
    changed=lambda _, one, template: set_rules(one, template),
)
# Users outside oneadmin's group may not set these (oned.conf: VNET_RESTRICTED_ATTR).
_RESTRICTED = frozenset(
    {"VN_MAD", "PHYDEV", "BRIDGE", "FILTER", "FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING", "CLUSTER_IDS"}
)


def _new(context: Context, name: str) -> VNet:
    caller = context.caller
    oid = context.cloud.next_id("NET")
    return VNet(oid, name, caller.uid, caller.gid, caller.user.name, caller.user.gname)


def _settle(cloud: Cloud, one: VNet) -> None:
    cloud.vnets[one.oid] = one

    def ready() -> None:
        if one.state is NetState.LOCK_CREATE:
            one.state = NetState.READY

    cloud.after(cloud.speeds.vnet, ready)


def allocate(context: Context, text: str, cluster_id: int) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    cluster = cluster_of(cloud, cluster_id)
    if not caller.admin:
        for attribute in template.names():
            if attribute in _RESTRICTED:
                raise unauthorized(caller.uid, f"VNET Template includes a restricted attribute {attribute}")
    authorize_create(cloud, caller, "NET")
    name = template.take("NAME")
    if not name:
        raise internal("No NAME in template for Virtual Network.")
    cloud.claim_name(cloud.vnets, "NET", name, caller.uid)
    one = _new(context, name)
    ranges = [value for value in template.pop("AR") if isinstance(value, dict)]
    networking.update_well_known(one, template)
    for vector in ranges:
        networking.add_range(one, vector)
    one.clusters.add(cluster.oid)
    cluster.vnets.add(one.oid)
    _settle(cloud, one)
    return one.oid


def delete(context: Context, oid: int) -> Reply:
    cloud = context.cloud
    one: VNet = NET.find(context, oid, MANAGE)
    if one.used_leases:
        raise refused("Cannot delete virtual network. Can not remove a virtual network with leases in use")
    if one.state in {NetState.LOCK_CREATE, NetState.LOCK_DELETE, NetState.DONE}:
        raise refused(f"Cannot delete virtual network. Can not remove a Virtual Network, wrong state {one.state.name}")
    one.state = NetState.LOCK_DELETE

    def vanish() -> None:
        remove(cloud, one)

    cloud.after(cloud.speeds.vnet, vanish)
    return oid


def remove(cloud: Cloud, one: VNet) -> None:
    """A network is gone, and what it had reserved is free."""
    for gone in one.ranges:
        networking.free_reservation(cloud, one, gone)
    cloud.vnets.pop(one.oid, None)
    for cluster in cloud.clusters.values():
        cluster.vnets.discard(one.oid)


def _changeable(context: Context, oid: int, method: str, right: str = MANAGE) -> VNet:
    one: VNet = NET.find(context, oid, right)
    if one.state not in {NetState.READY, NetState.ERROR}:
        raise refused(f"Could not execute {method}Virtual Network is in wrong state: {one.state.name}")
    return one


def _vector(text: str, name: str, missing: str) -> Vector:
    vector = parse(text).vector(name)
    if vector is None:
        raise internal(missing)
    return vector


def add_ar(context: Context, oid: int, text: str) -> Reply:
    one = _changeable(context, oid, "one.vn.add_ar", ADMIN)
    networking.add_range(one, _vector(text, "AR", "Wrong AR definition. AR vector attribute is missing."))
    return oid


def update_ar(context: Context, oid: int, text: str) -> Reply:
    one = _changeable(context, oid, "one.vn.update_ar")
    networking.update_range(one, _vector(text, "AR", "Wrong AR definition. AR vector attribute is missing."))
    return oid


def rm_ar(context: Context, oid: int, ar_id: int, force: bool) -> Reply:
    one = _changeable(context, oid, "one.vn.rm_ar", ADMIN)
    gone = networking.remove_range(one, ar_id, force=force)
    networking.free_reservation(context.cloud, one, gone)
    return oid


def free_ar(context: Context, oid: int, ar_id: int) -> Reply:
    return rm_ar(context, oid, ar_id, False)


def hold(context: Context, oid: int, text: str) -> Reply:
    networking.hold(_changeable(context, oid, "one.vn.hold"), _vector(text, "LEASES", "Empty lease description."))
    return oid


def release(context: Context, oid: int, text: str) -> Reply:
    one = _changeable(context, oid, "one.vn.release")
    networking.release_hold(one, _vector(text, "LEASES", "Empty lease description."))
    return oid


def reserve(context: Context, oid: int, text: str) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    parent: VNet = NET.find(context, oid, USE)
    if parent.parent is not None:
        raise refused("Cannot reserve addresses from a reserved VNET")
    if template.get("NETWORK_ID"):
        target = cloud.find(cloud.vnets, int(template.get("NETWORK_ID")), "NET")
        if target.parent != oid:
            raise refused("Cannot add reservations to a non-reservation VNET")
        networking.reserve(parent, target, template)
        return target.oid
    name = template.get("NAME")
    if not name:
        raise refused("NAME for reservation has to be set")
    size = float(template.get("SIZE") or 0)
    quota.check(cloud, caller, quota.Owner(caller.uid, caller.gid), {("NETWORK", str(oid)): {"LEASES": size}})
    cloud.claim_name(cloud.vnets, "NET", name, caller.uid)
    target = _new(context, name)
    target.parent = oid
    target.clusters = set(parent.clusters)
    networking.update_well_known(target, parent.template.copy())
    networking.reserve(parent, target, template)
    for cluster in target.clusters:
        cloud.clusters[cluster].vnets.add(target.oid)
    _settle(cloud, target)
    return target.oid


def recover(context: Context, oid: int, operation: int) -> Reply:
    one: VNet = NET.find(context, oid, MANAGE)
    match operation:
        case 0 if one.state in {NetState.LOCK_CREATE, NetState.LOCK_DELETE}:
            one.state = NetState.ERROR
        case 1 if one.state in {NetState.LOCK_CREATE, NetState.ERROR}:
            one.state = NetState.READY
        case 2 if one.state is not NetState.READY:
            remove(context.cloud, one)
        case 0 | 1 | 2 | 3:
            word = ("failure", "success", "delete", "retry")[operation]
            raise internal(f"Could not perform 'recover {word}' on VN {oid}, wrong state {one.state.name}.")
        case _:
            raise refused("Wrong recovery operation code")
    return oid


# --------------------------------------------------------------------------------------------------- security groups

_PROTOCOLS = frozenset({"ALL", "TCP", "UDP", "ICMP", "ICMPV6", "IPSEC"})


def set_rules(one: SecurityGroup, template: Template) -> None:
    """Take over a new template.

    Raises:
        OneError: 0x2000, a rule is wrong.
    """
    for rule in template.vectors("RULE"):
        if rule.get("PROTOCOL", "").upper() not in _PROTOCOLS:
            raise internal(f"Wrong RULE/PROTOCOL {rule.get('PROTOCOL', '')}.")
        if rule.get("RULE_TYPE", "").upper() not in {"INBOUND", "OUTBOUND"}:
            raise internal("Wrong RULE/RULE_TYPE, it has to be INBOUND or OUTBOUND.")
        if "RANGE" in rule and rule["PROTOCOL"].upper() not in {"TCP", "UDP"}:
            raise internal("RANGE can only be set for TCP and UDP protocols.")
    one.template = template


def secgroup_allocate(context: Context, text: str) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    authorize_create(cloud, caller, "SECGROUP")
    name = template.take("NAME")
    if not name:
        raise internal("No NAME in template for Security Group.")
    cloud.claim_name(cloud.security_groups, "SECGROUP", name, caller.uid)
    one = SecurityGroup(cloud.next_id("SECGROUP"), name, caller.uid, caller.gid, caller.user.name, caller.user.gname)
    set_rules(one, template)
    cloud.security_groups[one.oid] = one
    return one.oid


def secgroup_clone(context: Context, oid: int, name: str) -> Reply:
    cloud, caller = context.cloud, context.caller
    source: SecurityGroup = SECGROUP.find(context, oid, USE)
    cloud.claim_name(cloud.security_groups, "SECGROUP", name, caller.uid)
    one = SecurityGroup(
        cloud.next_id("SECGROUP"),
        name,
        caller.uid,
        caller.gid,
        caller.user.name,
        caller.user.gname,
        template=source.template.copy(),
    )
    cloud.security_groups[one.oid] = one
    return one.oid


def secgroup_commit(context: Context, oid: int, _recovery: bool) -> Reply:
    one: SecurityGroup = SECGROUP.find(context, oid, MANAGE)
    for vm_id in one.vms:
        vm = context.cloud.vms.get(vm_id)
        if vm is not None:
            machines.set_security_rules(context.cloud, vm)
            vm.touch()
    return oid


def secgroup_delete(context: Context, oid: int) -> Reply:
    one: SecurityGroup = SECGROUP.find(context, oid, MANAGE)
    if oid == 0:
        raise refused("Cannot delete security group. The default security group (ID 0) cannot be deleted.")
    if one.vms:
        raise refused("Cannot delete security group. The security group has VMs using it")
    del context.cloud.security_groups[oid]
    return oid


CALLS = (
    Call("one.vn.allocate", "s i", allocate),
    Call("one.vn.delete", "i", delete),
    Call("one.vn.add_ar", "i s", add_ar),
    Call("one.vn.update_ar", "i s", update_ar),
    Call("one.vn.rm_ar", "i i b=0", rm_ar),
    Call("one.vn.free_ar", "i i", free_ar),
    Call("one.vn.hold", "i s", hold),
    Call("one.vn.release", "i s", release),
    Call("one.vn.reserve", "i s", reserve),
    Call("one.vn.recover", "i i", recover),
    *owned_calls(NET),
    Call("one.secgroup.allocate", "s", secgroup_allocate),
    Call("one.secgroup.clone", "i s", secgroup_clone),
    Call("one.secgroup.commit", "i b", secgroup_commit),
    Call("one.secgroup.delete", "i", secgroup_delete),
    *(call for call in owned_calls(SECGROUP) if "lock" not in call.name),
)
