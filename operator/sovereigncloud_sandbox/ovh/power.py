"""Power of servers: ``/boot`` and ``/reboot``, reported to the simulated OpenNebula.

There is no call that switches a server off: it is given the boot of type ``power``, whose kernel is ``poweroff``, and
rebooted; with ``harddisk`` and another reboot its own system runs again. In rescue it has power, and its system does not
run.
"""

import asyncio
import contextlib
from typing import Final

import aiohttp

from sovereigncloud_sandbox.ovh.boots import BOOTS, Power
from sovereigncloud_sandbox.ovh.calls import Call, Route
from sovereigncloud_sandbox.ovh.state import Effect, TaskKind
from sovereigncloud_sandbox.ovh.wire import Json, bad_request, no_such_object, refuse, timestamp

_AGAIN: Final = 0.2  # seconds until a door that did not answer is asked again
_TYPES: Final = ("harddisk", "internal", "network", "power", "rescue")


def _boots(call: Call) -> list[int]:
    call.server()
    wanted = call.query.get("bootType")
    if wanted is not None and wanted not in _TYPES:
        raise bad_request(f"[bootType] Given data ({wanted}) is not valid for type dedicated.server.BootTypeEnum")
    return [number for number, one in BOOTS.items() if wanted in (None, one["bootType"])]


def _boot(call: Call) -> Json:
    call.server()
    number = call.given["bootId"]
    if not number.isdecimal() or int(number) not in BOOTS:
        raise no_such_object("bootId", number)
    return dict(BOOTS[int(number)])


def _reboot(call: Call) -> Json:
    server, world = call.server(), call.world
    for effect in (Effect.INSTALLED, Effect.REBOOTED):
        task = world.active_task(effect, server.name)
        if task is not None:
            raise refuse(
                400,
                "Client::BadRequest::TaskAlreadyExists",
                f"Task {task.id} of type {task.function} with status {task.status} "
                f"is already running on server {server.name}",
            )
    order = world.order(
        TaskKind.SERVER,
        server.name,
        "hardReboot",
        Effect.REBOOTED,
        server.name,
        comment="Reboot asked",
        takes=world.state.timing.reboot,
    )
    if server.document["monitoring"] and not server.document["noIntervention"]:
        server.technician_visits += 1  # as with a reinstallation: monitoring sees the machine go down
    return {
        "taskId": order.id,
        "function": order.function,
        "status": order.status,
        "comment": order.comment,
        "startDate": timestamp(order.created),
        "lastUpdate": None,
        "doneDate": None,
        "needSchedule": False,
        "note": None,
        "plannedInterventionId": None,
        "tags": None,
        "ticketReference": None,
    }


_S: Final = "/dedicated/server/{serviceName}"
_A: Final = "dedicatedServer:apiovh:"

ROUTES: Final = (
    Route("GET", f"{_S}/boot", _boots, f"{_A}boot/get"),
    Route("GET", f"{_S}/boot/{{bootId}}", _boot, f"{_A}boot/get"),
    Route("POST", f"{_S}/reboot", _reboot, f"{_A}reboot"),
)


class Wire:
    """The line from the servers to whatever runs on them: a simulated OpenNebula, at its admin door."""

    def __init__(self) -> None:
        self.door = ""
        self._events: asyncio.Queue[Power] = asyncio.Queue()

    def tell(self, event: Power) -> None:
        """Pass an event on, in order; without a door nobody hears of it."""
        if self.door:
            self._events.put_nowait(event)

    async def run(self) -> None:
        """Tell until cancelled; a door that does not answer is asked again."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                event = await self._events.get()
                while True:
                    if await self._told(session, event):
                        break
                    await asyncio.sleep(_AGAIN)

    async def _told(self, session: aiohttp.ClientSession, event: Power) -> bool:
        body = {"address": event.address, "on": event.on}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.post(f"{self.door.rstrip('/')}/power", json=body) as reply:
                return reply.status < 500
        return False
