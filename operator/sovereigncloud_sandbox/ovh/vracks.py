"""``/vrack``: membership of servers' interfaces and of IP blocks, and tasks that vanish when they are done."""

import ipaddress
from typing import Final

from sovereigncloud_sandbox.ovh.calls import Call, Route, canonical_block
from sovereigncloud_sandbox.ovh.catalogue import REGIONS, may_be_announced_in, public_routing_regions
from sovereigncloud_sandbox.ovh.state import Effect, IpBlock, Server, Task, TaskKind, Vrack
from sovereigncloud_sandbox.ovh.wire import Json, bad_request, conflict, no_such_object, no_such_service, timestamp

_ATTACH_SERVER: Final = "dedicatedServer:apiovh:vrack/attach"
_ATTACH_IP: Final = "ip:apiovh:vrack/attach"
_ELIGIBLE_KEPT: Final = 5.0  # seconds that an answer stands; how long the real one does is not documented
_MIN_ADDRESSES: Final = 4  # network, gateway, broadcast, and one to use


def _list(call: Call) -> list[str]:
    return [vrack.name for vrack in call.seen(call.world.state.vracks.values())]


def _get(call: Call) -> Json:
    vrack = call.vrack()
    return {**vrack.document, "iam": vrack.resource.metadata()}


def _put(call: Call) -> None:
    vrack, body = call.vrack(), call.body()
    for name in ("name", "description"):
        if name in body:
            if not isinstance(body[name], str):
                raise bad_request(f"[{name}] Given data ({body[name]}) is not valid for type string")
            vrack.document[name] = body[name]


def _task_document(task: Task) -> Json:
    return {
        "id": task.id,
        "function": task.function,
        "status": task.status,
        "serviceName": task.service,
        "targetDomain": task.subject,
        "orderId": None,
        "todoDate": timestamp(task.created),
        "lastUpdate": None if task.updated is None else timestamp(task.updated),
    }


# -- interfaces


def _interfaces(call: Call) -> list[str]:
    return [vni["uuid"] for vni in call.world.interfaces(call.vrack().name)]


def _interface(call: Call) -> Json:
    vrack = call.vrack()
    uuid = call.given["dedicatedServerInterface"]
    if not any(vni["uuid"] == uuid for vni in call.world.interfaces(vrack.name)):
        raise no_such_object("dedicatedServerInterface", uuid)
    return {"dedicatedServerInterface": uuid, "vrack": vrack.name}


def _attach(call: Call) -> Json:
    vrack = call.vrack()
    uuid = call.required("dedicatedServerInterface")
    vni, server = _own_interface(call, uuid)
    # Two actions, one on each side (iamActions of this operation in OVHcloud's schema).
    call.demand(_ATTACH_SERVER, server.resource.urn)
    if vni["vrack"] == vrack.name:
        raise conflict(f"Server is already on vRack {vrack.name}")
    if vni["vrack"] is not None or call.world.active_task(Effect.ATTACHED, subject=uuid):
        raise conflict("Dedicated server interface is already on a private network")
    if not str(vni["mode"]).startswith("vrack") or not vni["enabled"]:
        raise bad_request(f"Interface {uuid} of mode {vni['mode']} cannot be added to a vRack")
    return _task_document(
        call.world.order(
            TaskKind.VRACK, vrack.name, "addDedicatedServerInterface", Effect.ATTACHED, uuid, value=vrack.name
        )
    )


def _own_interface(call: Call, uuid: str) -> tuple[Json, Server]:
    try:
        vni, server = call.world.vni(uuid), call.world.server_of(uuid)
    except KeyError:
        raise no_such_object("dedicatedServerInterface", uuid) from None
    if server.account != call.caller.account:
        raise no_such_object("dedicatedServerInterface", uuid)
    return vni, server


def _detach(call: Call) -> Json:
    vrack = call.vrack()
    uuid = call.given["dedicatedServerInterface"]
    if not any(vni["uuid"] == uuid for vni in call.world.interfaces(vrack.name)):
        raise no_such_object("dedicatedServerInterface", uuid)
    if call.world.active_task(Effect.DETACHED, subject=uuid):
        raise conflict(f"A task is already running on interface {uuid}")
    return _task_document(
        call.world.order(TaskKind.VRACK, vrack.name, "removeDedicatedServerInterface", Effect.DETACHED, uuid)
    )


def _details(call: Call) -> list[Json]:
    return [_detail(vni) for vni in call.world.interfaces(call.vrack().name)]


def _detail(vni: Json) -> Json:
    return {
        "dedicatedServer": vni["serverName"],
        "dedicatedServerInterface": vni["uuid"],
        "name": vni["name"],
    }


# -- blocks


def _blocks(call: Call) -> list[str]:
    return [block.block for block in call.world.blocks(call.vrack().name)]


def _member_block(call: Call, vrack: Vrack) -> IpBlock:
    wanted = canonical_block(call.given["ip"], "ip")
    for block in call.world.blocks(vrack.name):
        if block.block == wanted:
            return block
    raise no_such_object("ip", wanted)


def _block(call: Call) -> Json:
    block = _member_block(call, call.vrack())
    network = ipaddress.ip_network(block.block)
    # First = network, penultimate = gateway, last = broadcast (guide "Configuring an IP block in a vRack").
    # The schema's type is ipBlock, so with a mask.
    gateway = f"{network.broadcast_address - 1}/32" if network.version == 4 else None
    return {
        "ip": block.block,
        "gateway": gateway,
        "region": block.announced_in or block.home,
        "zone": None,
    }


def _add_block(call: Call) -> Json:
    vrack = call.vrack()
    wanted = canonical_block(call.required("block"), "block")
    block = call.world.state.ips.get(wanted)
    if block is None or block.account != call.caller.account:
        raise no_such_service()
    call.demand(_ATTACH_IP, block.resource.urn)
    if not block.document["isAdditionalIp"]:
        raise bad_request(f"Block {wanted} is not an Additional IP")
    if ipaddress.ip_network(wanted).num_addresses < _MIN_ADDRESSES:
        raise bad_request(f"Block {wanted} is too small: a vRack needs at least {_MIN_ADDRESSES} addresses")
    if block.routed_to in call.world.state.vracks:
        raise conflict(f"Block {wanted} is already on vRack {block.routed_to}")
    if call.world.active_task(Effect.ROUTED, subject=wanted):
        raise conflict(f"A task is already running on block {wanted}")
    block.announced_in = _announced_in(call, block)
    return _task_document(
        call.world.order(TaskKind.VRACK, vrack.name, "addBlockToBridgeDomain", Effect.ROUTED, wanted, value=vrack.name)
    )


def _announced_in(call: Call, block: IpBlock) -> str:
    region = call.body().get("region")
    if region is None:
        return block.home
    if region not in REGIONS:
        raise bad_request(f"[region] Unknown region {region}")
    if not may_be_announced_in(block.home, region):
        raise bad_request(f"Block {block.block} of region {block.home} cannot be announced in region {region}")
    return str(region)


def _remove_block(call: Call) -> Json:
    vrack = call.vrack()
    block = _member_block(call, vrack)
    if call.world.active_task(Effect.ROUTED, subject=block.block):
        raise conflict(f"A task is already running on block {block.block}")
    return _task_document(
        call.world.order(TaskKind.VRACK, vrack.name, "removeBlockFromBridgeDomain", Effect.ROUTED, block.block)
    )


# -- the rest


def _eligible_services(call: Call) -> Json:
    vrack, world = call.vrack(), call.world
    now = world.clock()
    since = world.state.eligible_since.setdefault(vrack.name, now)
    ready = now - since >= world.state.timing.eligible_services
    if now - since >= world.state.timing.eligible_services + _ELIGIBLE_KEPT:
        # What was worked out is old by now: it is begun anew, and this question gets no answer yet.
        world.state.eligible_since[vrack.name], ready = now, False
    # The schema has status, result and errors and no words for status; that it must be polled follows from them.
    return {
        "createdAt": timestamp(since),
        "status": "done" if ready else "pending",
        "errors": [],
        "result": _eligible(call, ready=ready),
    }


def _eligible(call: Call, *, ready: bool) -> Json:
    kinds = (
        "cloudProject",
        "dedicatedCloud",
        "dedicatedCloudDatacenter",
        "dedicatedConnect",
        "dedicatedServer",
        "ipLoadbalancing",
        "ipv6",
        "legacyVrack",
        "ovhCloudConnect",
        "vmwareCloudDirectorVirtualDataCenter",
        "vrackServices",
    )
    result: Json = dict.fromkeys(kinds, [] if ready else None)
    state, account = call.world.state, call.caller.account
    free = [
        _detail(vni)
        for server in state.servers.values()
        if server.account == account
        for vni in server.vnis
        if vni["vrack"] is None and vni["enabled"] and str(vni["mode"]).startswith("vrack")
        if vni["uuid"] not in state.ineligible
    ]
    blocks = [
        block.block
        for block in state.ips.values()
        if block.account == account and block.document["isAdditionalIp"] and block.routed_to not in state.vracks
    ]
    result["dedicatedServerInterface"] = free if ready else None
    result["ip"] = blocks if ready else None
    return result


def _tasks(call: Call) -> list[int]:
    return [task.id for task in call.world.visible_tasks(TaskKind.VRACK, call.vrack().name)]


def _task(call: Call) -> Json:
    for task in call.world.visible_tasks(TaskKind.VRACK, call.vrack().name):
        if str(task.id) == call.given["taskId"]:
            return _task_document(task)
    raise no_such_object("taskId", call.given["taskId"])


def _public_routing(call: Call) -> list[Json]:
    region = call.query.get("region")
    return [one for one in public_routing_regions() if region in (None, one["region"])]


_V: Final = "/vrack/{serviceName}"
_A: Final = "vrack:apiovh:"
_DSI: Final = f"{_V}/dedicatedServerInterface"
_DSI_ONE: Final = f"{_DSI}/{{dedicatedServerInterface}}"

ROUTES: Final = (
    Route("GET", "/vrack", _list, f"{_A}get"),
    Route("GET", "/vrack/publicRoutingRegion", _public_routing),
    Route("GET", _V, _get, f"{_A}get"),
    Route("PUT", _V, _put, f"{_A}put"),
    Route("GET", _DSI, _interfaces, f"{_A}dedicatedServerInterface/get"),
    Route("POST", _DSI, _attach, f"{_A}dedicatedServerInterface/attach"),
    Route("GET", _DSI_ONE, _interface, f"{_A}dedicatedServerInterface/get"),
    Route("DELETE", _DSI_ONE, _detach, f"{_A}dedicatedServerInterface/detach"),
    Route("GET", f"{_V}/dedicatedServerInterfaceDetails", _details, f"{_A}dedicatedServerInterfaceDetails/get"),
    Route("GET", f"{_V}/ip", _blocks, f"{_A}ip/get"),
    Route("POST", f"{_V}/ip", _add_block, f"{_A}ip/attach"),
    Route("GET", f"{_V}/ip/{{ip}}", _block, f"{_A}ip/get"),
    Route("DELETE", f"{_V}/ip/{{ip}}", _remove_block, f"{_A}ip/detach"),
    Route("GET", f"{_V}/eligibleServices", _eligible_services, f"{_A}eligibleServices/get"),
    Route("GET", f"{_V}/task", _tasks, f"{_A}task/get"),
    Route("GET", f"{_V}/task/{{taskId}}", _task, f"{_A}task/get"),
)
