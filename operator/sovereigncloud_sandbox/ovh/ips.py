"""``/ip``: blocks, their route, moving and parking them, reverse names."""

import ipaddress
from typing import Final

from sovereigncloud_sandbox.ovh.calls import Call, Route, canonical_block, like
from sovereigncloud_sandbox.ovh.catalogue import campuses, may_be_announced_in
from sovereigncloud_sandbox.ovh.state import Effect, IpBlock, Task, TaskKind
from sovereigncloud_sandbox.ovh.wire import Json, bad_request, conflict, no_such_object, timestamp

_MOVE_TO_SERVER: Final = "dedicatedServer:apiovh:ip/additionalIp/move"
_MOVE_TO_VRACK: Final = "vrack:apiovh:ip/additionalIp/move"


def _list(call: Call) -> list[str]:
    return [block.block for block in call.seen(call.world.state.ips.values()) if _passes(call, block)]


def _passes(call: Call, block: IpBlock) -> bool:
    query, document = call.query, block.document
    ip, campus, routed = query.get("ip"), query.get("campus"), query.get("routedTo.serviceName")
    description = query.get("description")
    return (
        query.get("type") in (None, document["type"])
        and query.get("version") in (None, document["version"])
        and query.get("isAdditionalIp") in (None, str(document["isAdditionalIp"]).lower())
        and (campus is None or like(campus.lower(), str(document["campus"]).lower()))
        and (routed is None or (block.routed_to is not None and like(routed, block.routed_to)))
        and (description is None or like(description, document["description"] or ""))
        and (ip is None or _contains(canonical_block(ip, "ip"), block.block))
    )


def _contains(wanted: str, block: str) -> bool:
    inner, outer = ipaddress.ip_network(wanted), ipaddress.ip_network(block)
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _get(call: Call) -> Json:
    block = call.ip()
    return {**block.document, "iam": block.resource.metadata()}


def _put(call: Call) -> None:
    block, body = call.ip(), call.body()
    if "description" in body:
        block.document["description"] = body["description"]


def _campuses(_: Call) -> list[Json]:
    return campuses()


# -- moving


def _destinations(call: Call) -> Json:
    block, state = call.ip(), call.world.state
    servers = [
        {"service": server.name, "nexthop": None}
        for server in state.servers.values()
        if server.account == block.account and may_be_announced_in(block.home, server.document["region"])
    ]
    kinds = ("cloudProject", "dedicatedCloud", "hostingReseller", "ipLoadbalancing", "vmwareCloudDirector", "vps")
    return {**dict.fromkeys(kinds, None), "dedicatedServer": servers}


def _move(call: Call) -> Json:
    block = call.ip()
    target = call.required("to")
    _check_movable(call, block)
    server, vrack = call.world.state.servers.get(target), call.world.state.vracks.get(target)
    if server is not None and server.account == block.account:
        call.demand(_MOVE_TO_SERVER, server.resource.urn)
        if not may_be_announced_in(block.home, server.document["region"]):
            raise bad_request(f"Block {block.block} of region {block.home} cannot be moved to {target}")
    elif vrack is not None and vrack.account == block.account:
        call.demand(_MOVE_TO_VRACK, vrack.resource.urn)
    else:
        raise bad_request(f"[to] Unknown destination {target}")
    if block.routed_to == target:
        raise conflict(f"Block {block.block} is already routed to {target}")
    return _order(call, block, target)


def _park(call: Call) -> Json:
    block = call.ip()
    _check_movable(call, block)
    return _order(call, block, None)


def _check_movable(call: Call, block: IpBlock) -> None:
    if not block.document["isAdditionalIp"]:
        raise bad_request(f"Block {block.block} is not an Additional IP")
    if call.world.active_task(Effect.ROUTED, subject=block.block):
        raise conflict(f"A task is already running on block {block.block}")


def _order(call: Call, block: IpBlock, target: str | None) -> Json:
    return _task_document(
        call.world.order(TaskKind.IP, block.block, "genericMoveFloatingIp", Effect.ROUTED, block.block, value=target)
    )


def _task_document(task: Task) -> Json:
    return {
        "taskId": task.id,
        "function": task.function,
        "status": task.status,
        "comment": task.comment or None,
        "destination": None if task.value is None else {"serviceName": task.value},
        "startDate": timestamp(task.created),
        "lastUpdate": None if task.updated is None else timestamp(task.updated),
        "doneDate": timestamp(task.finished) if task.finished is not None and task.status == "done" else None,
    }


def _tasks(call: Call) -> list[int]:
    function, status = call.query.get("function"), call.query.get("status")
    return [
        task.id
        for task in call.world.visible_tasks(TaskKind.IP, call.ip().block)
        if function in (None, task.function) and status in (None, task.status)
    ]


def _task(call: Call) -> Json:
    for task in call.world.visible_tasks(TaskKind.IP, call.ip().block):
        if str(task.id) == call.given["taskId"]:
            return _task_document(task)
    raise no_such_object("taskId", call.given["taskId"])


# -- reverse names


def _reverses(call: Call) -> list[str]:
    return sorted(call.ip().reverses)


def _reverse(call: Call) -> Json:
    return _reverse_document(call.ip(), call.given["ipReverse"])


def _reverse_document(block: IpBlock, address: str) -> Json:
    if address not in block.reverses:
        raise no_such_object("ipReverse", address)
    return {"ipReverse": address, "reverse": block.reverses[address]}


def _set_reverse(call: Call) -> Json:
    block = call.ip()
    address, name = call.required("ipReverse"), call.required("reverse")
    try:
        inside = ipaddress.ip_address(address) in ipaddress.ip_network(block.block)
    except ValueError:
        inside = False
    if not inside:
        raise bad_request(f"[ipReverse] Given data ({address}) is not valid for type ip")
    if address not in call.world.resolve(name):
        # In the words that were seen (terraform-provider-ovh PR#54).
        raise bad_request(f"{name.rstrip('.')}. does not resolve to {address}")
    block.reverses[address] = name if name.endswith(".") else f"{name}."
    return _reverse_document(block, address)


def _delete_reverse(call: Call) -> None:
    block = call.ip()
    _reverse_document(block, call.given["ipReverse"])
    del block.reverses[call.given["ipReverse"]]


_I: Final = "/ip/{ip}"
_A: Final = "ip:apiovh:"
_REVERSE: Final = f"{_I}/reverse"

ROUTES: Final = (
    Route("GET", "/ip", _list, f"{_A}get"),
    Route("GET", "/ip/campus", _campuses, public=True),
    Route("GET", _I, _get, f"{_A}get"),
    Route("PUT", _I, _put, f"{_A}edit"),
    Route("GET", f"{_I}/move", _destinations, f"{_A}move/get"),
    Route("POST", f"{_I}/move", _move, f"{_A}move"),
    Route("POST", f"{_I}/park", _park, f"{_A}park"),
    Route("GET", f"{_I}/task", _tasks, f"{_A}task/get"),
    Route("GET", f"{_I}/task/{{taskId}}", _task, f"{_A}task/get"),
    Route("GET", _REVERSE, _reverses, f"{_A}reverse/get"),
    Route("POST", _REVERSE, _set_reverse, f"{_A}reverse/create"),
    Route("GET", f"{_REVERSE}/{{ipReverse}}", _reverse, f"{_A}reverse/get"),
    Route("DELETE", f"{_REVERSE}/{{ipReverse}}", _delete_reverse, f"{_A}reverse/delete"),
)
