"""one.vn.*."""

from sovereigncloud_sandbox.opennebula import networking, quota, render, rollout, vnets
from sovereigncloud_sandbox.opennebula.access import ADMIN, MANAGE, USE, authorize, authorize_create
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.infrastructure import cluster_of
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, lock_calls, owned_calls
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import internal, refused, unauthorized
from sovereigncloud_sandbox.opennebula.model import NetState, Vm, VNet
from sovereigncloud_sandbox.opennebula.template import Template, Vector, parse

# Users outside oneadmin's group may not set these (oned.conf: VNET_RESTRICTED_ATTR).
_RESTRICTED = frozenset(
    {
        "VN_MAD",
        "PHYDEV",
        "QINQ_TYPE",
        "BRIDGE",
        "CONF",
        "BRIDGE_CONF",
        "OVS_BRIDGE_CONF",
        "IP_LINK_CONF",
        "FILTER",
        "FILTER_IP_SPOOFING",
        "FILTER_MAC_SPOOFING",
        "CLUSTER_IDS",
        "EXTERNAL",
    }
)


def _changed(cloud: Cloud, one: VNet, template: Template) -> None:
    before = vnets.singles(one.template)
    vnets.update_well_known(one, template)
    _roll_out(cloud, one, vnets.live_changes(before, vnets.singles(one.template)))


def _roll_out(cloud: Cloud, one: VNet, changed: dict[str, str], ar_id: str = "") -> None:
    if changed:
        one.template.put("VNET_UPDATE", changed)
        if one.state is NetState.UPDATE_FAILURE:
            one.state = NetState.READY
        rollout.commit(cloud, _change_of(one, tuple(changed), ar_id), recover=False)


def _change_of(one: VNet, names: tuple[str, ...], ar_id: str = "") -> rollout.Change:
    def failed() -> None:
        one.state = NetState.UPDATE_FAILURE

    def ended() -> None:
        one.template.pop("VNET_UPDATE")

    def apply(vm: Vm) -> bool:
        return vnets.apply_to_cards(one, vm, names, ar_id)

    return rollout.Change(one.rollout, apply, card=True, failed=failed, ended=ended)


NET = Kind(
    kind="NET",
    prefix="one.vn",
    root="VNET_POOL",
    pool=lambda cloud: cloud.vnets,
    show=lambda _, one: render.vnet(one, leases=True),
    row=lambda _, one: render.vnet(one, leases=False),
    changed=_changed,
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
    vnets.establish(one, template)
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
    if one.state not in {NetState.READY, NetState.UPDATE_FAILURE}:
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
    vector = _vector(text, "AR", "Wrong AR definition. AR vector attribute is missing.")
    found = networking.find_range(one, vector.get("AR_ID", ""))
    before = dict(found.extra)
    networking.update_range(one, vector)
    _roll_out(context.cloud, one, vnets.live_changes(before, found.extra), str(found.ar_id))
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
    size = int(template.get("SIZE")) if template.get("SIZE").isdecimal() else 0
    if size < 1:
        raise refused("Reservation SIZE must be a greater than 0")
    existing = _reservation(context, oid, template.get("NETWORK_ID")) if template.get("NETWORK_ID") else None
    name = template.get("NAME")
    if not name and existing is None:
        raise refused("NAME for reservation has to be set")
    if "AR_ID" not in template and any(template.get(address) for address in ("IP", "MAC", "IP6")):
        raise refused("AR_ID must be specified for IP/MAC based reservations")
    parent: VNet = NET.find(context, oid, USE)
    if parent.parent is not None:
        raise refused("Cannot reserve addresses from a reserved VNET")
    owner = quota.Owner(existing.uid, existing.gid) if existing else quota.Owner(caller.uid, caller.gid)
    if existing is None:
        cloud.claim_name(cloud.vnets, "NET", name, caller.uid)
    quota.check(cloud, caller, owner, {("NETWORK", str(oid)): {"LEASES": size}})
    if existing is not None:
        networking.reserve(parent, existing, template)
        return existing.oid
    target = _new(context, name)
    target.parent = oid
    target.clusters = set(parent.clusters)
    vnets.update_well_known(target, parent.template.copy())
    networking.reserve(parent, target, template)
    for cluster in target.clusters:
        cloud.clusters[cluster].vnets.add(target.oid)
    _settle(cloud, target)
    return target.oid


def _reservation(context: Context, oid: int, text: str) -> VNet:
    """A reservation that is there and is to grow."""
    if not text.isdecimal():
        raise refused("NETWORK_ID must be equal or greater than 0")
    if int(text) == oid:
        raise refused("Cannot add a reservation from the same network")
    found = context.cloud.find(context.cloud.vnets, int(text), "NET")
    if found.parent is None:
        raise refused("Cannot add reservations to a non-reservation VNET")
    if found.parent != oid:
        raise refused(f"New reservations for virtual network {text} have to be from network {found.parent}")
    authorize(context.cloud, context.caller, MANAGE, found)
    return found


def recover(context: Context, oid: int, operation: int) -> Reply:
    cloud = context.cloud
    if operation not in range(4):
        raise refused("Wrong recovery operation code")
    one: VNet = NET.find(context, oid, MANAGE)
    coming = {NetState.INIT, NetState.LOCK_CREATE, NetState.LOCK_DELETE}
    match operation:
        case 0 if one.state in coming:
            one.state = NetState.ERROR
            one.template.put("ERROR", "Failure forced by user")
        case 1 if one.state is NetState.LOCK_DELETE:
            remove(cloud, one)
        case 1 if one.state not in {NetState.DONE, NetState.READY}:
            one.template.pop("ERROR")
            one.state = NetState.READY
            one.rollout.updated |= one.rollout.outdated
            one.rollout.outdated.clear()
        case 2 if one.state in {*coming, NetState.ERROR}:
            remove(cloud, one)
        case 3 if one.state is NetState.UPDATE_FAILURE:
            one.state = NetState.READY
            rollout.commit(cloud, _change_of(one, vnets.LIVE), recover=True)
        case _:
            word = ("failure", "success", "delete", "retry")[operation]
            raise internal(f"Could not perform 'recover {word}' on VN {oid}, wrong state {one.state.name}.")
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
    *lock_calls(NET),
)
