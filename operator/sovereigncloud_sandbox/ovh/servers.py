"""``/dedicated/server`` and ``/dedicated/installationTemplate``."""

from typing import Any, Final

from sovereigncloud_sandbox.ovh.calls import Call, Route
from sovereigncloud_sandbox.ovh.catalogue import INSTALL_STEPS, TEMPLATES
from sovereigncloud_sandbox.ovh.reinstall import reinstall
from sovereigncloud_sandbox.ovh.state import Effect, Server, Task, TaskKind
from sovereigncloud_sandbox.ovh.wire import Json, bad_request, day, no_such_object, refuse, timestamp

_WRITABLE: Final[dict[str, tuple[type, ...]]] = {
    "bootId": (int, type(None)),
    "bootScript": (str, type(None)),
    "efiBootloaderPath": (str, type(None)),
    "monitoring": (bool,),
    "noIntervention": (bool,),
    "rescueMail": (str, type(None)),
    "rescueSshKey": (str, type(None)),
    "rootDevice": (str, type(None)),
    "state": (str,),
}
_STATES: Final = ("error", "hacked", "hackedBlocked", "ok")


def _list(call: Call) -> list[str]:
    return [server.name for server in call.seen(call.world.state.servers.values())]


def _get(call: Call) -> Json:
    server = call.server()
    return {**server.document, "iam": server.resource.metadata()}


def _put(call: Call) -> None:
    server, body = call.server(), call.body()
    for name, value in body.items():
        kinds = _WRITABLE.get(name)
        if kinds is None:
            # The real API takes a whole object back, so what cannot be written is ignored, not refused.
            continue
        if not isinstance(value, kinds) or (name == "state" and value not in _STATES):
            raise bad_request(f"[{name}] Given data ({value}) is not valid for type {kinds[0].__name__}")
        server.document[name] = value


def _tasks(call: Call) -> list[int]:
    server = call.server()
    function, status = call.query.get("function"), call.query.get("status")
    return [
        task.id
        for task in call.world.visible_tasks(TaskKind.SERVER, server.name)
        if function in (None, task.function) and status in (None, task.status)
    ]


def _task(call: Call) -> Json:
    server = call.server()
    task = _visible(call, server)
    return {
        "taskId": task.id,
        "function": task.function,
        "status": task.status,
        "comment": task.comment,
        "startDate": timestamp(task.created),
        "lastUpdate": None if task.updated is None else timestamp(task.updated),
        "doneDate": timestamp(task.finished) if task.finished is not None and task.status == "done" else None,
        "needSchedule": False,
        "note": None,
        "plannedInterventionId": None,
        "tags": None,
        "ticketReference": None,
    }


def _visible(call: Call, server: Server) -> Task:
    for task in call.world.visible_tasks(TaskKind.SERVER, server.name):
        if str(task.id) == call.given["taskId"]:
            return task
    raise no_such_object("taskId", call.given["taskId"])


def _install_status(call: Call) -> Json:
    server = call.server()
    task = call.world.active_task(Effect.INSTALLED, server.name)
    if task is None or task.visible_at > call.world.clock():
        raise refuse(404, "Client::NotFound", "Server is not being installed or reinstalled at the moment")
    elapsed = call.world.clock() - task.created
    done = min(len(INSTALL_STEPS) - 1, int(len(INSTALL_STEPS) * elapsed / max(task.ends - task.created, 0.001)))
    return {
        "elapsedTime": int(elapsed),
        "progress": [
            {"comment": step, "error": None, "status": "done" if at < done else "doing" if at == done else "todo"}
            for at, step in enumerate(INSTALL_STEPS)
        ],
    }


def _compatible_templates(call: Call) -> Json:
    return {"ovh": list(call.server().compatible)}


def _nics(call: Call) -> list[str]:
    link = call.query.get("linkType")
    return [nic["mac"] for nic in call.server().nics if link in (None, nic["linkType"])]


def _nic(call: Call) -> Json:
    return _one(call.server().nics, "mac", call.given["mac"].lower())


def _vnis(call: Call) -> list[str]:
    query = call.query
    return [
        vni["uuid"]
        for vni in call.server().vnis
        if query.get("mode") in (None, vni["mode"])
        and query.get("name") in (None, vni["name"])
        and query.get("vrack") in (None, vni["vrack"])
        and query.get("enabled") in (None, str(vni["enabled"]).lower())
    ]


def _vni(call: Call) -> Json:
    return _one(call.server().vnis, "uuid", call.given["uuid"])


def _one(things: list[Json], key: str, wanted: str) -> Json:
    for thing in things:
        if thing[key] == wanted:
            return dict(thing)
    raise no_such_object(key, wanted)


def _hardware(call: Call) -> Json:
    return dict(call.server().hardware)


def _network(call: Call) -> Json:
    return dict(call.server().network)


def _orderable(call: Call) -> Json:
    return dict(call.server().orderable)


def _service_infos(call: Call) -> Json:
    server = call.server()
    return {
        "canDeleteAtExpiration": True,
        "contactAdmin": server.account,
        "contactBilling": server.account,
        "contactTech": server.account,
        "creation": day(server.created),
        "domain": server.name,
        "engagedUpTo": None if server.engaged_until is None else day(server.engaged_until),
        "expiration": day(server.expires),
        "possibleRenewPeriod": [1, 12],
        "renew": {
            "automatic": True,
            "deleteAtExpiration": server.ends,
            "forced": False,
            "manualPayment": False,
            "period": server.renew_period,
        },
        "renewalType": "automaticV2016",
        "serviceId": server.service_id,
        "status": "ok",
    }


def _edit_service_infos(call: Call) -> None:
    server, body = call.server(), call.body()
    renew = body.get("renew")
    if renew is None:
        return
    # ``service.RenewType``: these three cannot be left out.
    missing = [name for name in ("automatic", "deleteAtExpiration", "forced") if not isinstance(renew.get(name), bool)]
    if missing:
        raise bad_request(f"Missing parameter: [renew.{missing[0]}]")
    server.ends = renew["deleteAtExpiration"]
    server.renew_period = renew.get("period") or server.renew_period


def _templates(_: Call) -> list[str]:
    return list(TEMPLATES)


def _template(call: Call) -> Any:
    template = TEMPLATES.get(call.given["templateName"])
    if template is None:
        raise no_such_object("templateName", call.given["templateName"])
    return template.document()


_S: Final = "/dedicated/server/{serviceName}"
_A: Final = "dedicatedServer:apiovh:"

ROUTES: Final = (
    Route("GET", "/dedicated/server", _list, f"{_A}get"),
    Route("GET", _S, _get, f"{_A}get"),
    Route("PUT", _S, _put, f"{_A}put"),
    Route("GET", f"{_S}/task", _tasks, f"{_A}task/get"),
    Route("GET", f"{_S}/task/{{taskId}}", _task, f"{_A}task/get"),
    Route("POST", f"{_S}/reinstall", reinstall, f"{_A}reinstall"),
    Route("GET", f"{_S}/install/status", _install_status, f"{_A}install/status/get"),
    Route("GET", f"{_S}/install/compatibleTemplates", _compatible_templates, f"{_A}install/compatibleTemplates/get"),
    Route("GET", f"{_S}/networkInterfaceController", _nics, f"{_A}networkInterfaceController/get"),
    Route("GET", f"{_S}/networkInterfaceController/{{mac}}", _nic, f"{_A}networkInterfaceController/get"),
    Route("GET", f"{_S}/virtualNetworkInterface", _vnis, f"{_A}virtualNetworkInterface/get"),
    Route("GET", f"{_S}/virtualNetworkInterface/{{uuid}}", _vni, f"{_A}virtualNetworkInterface/get"),
    Route("GET", f"{_S}/specifications/hardware", _hardware, f"{_A}specifications/hardware/get"),
    Route("GET", f"{_S}/specifications/network", _network, f"{_A}specifications/network/get"),
    Route("GET", f"{_S}/specifications/ip", _orderable, f"{_A}specifications/ip/get"),
    Route("GET", f"{_S}/serviceInfos", _service_infos, f"{_A}serviceInfos/get"),
    Route("PUT", f"{_S}/serviceInfos", _edit_service_infos, f"{_A}serviceInfos/edit"),
    Route("GET", "/dedicated/installationTemplate", _templates, public=True),
    Route("GET", "/dedicated/installationTemplate/{templateName}", _template, public=True),
)
