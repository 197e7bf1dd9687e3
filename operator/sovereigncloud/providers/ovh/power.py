"""The port `Power` over the OVHcloud API."""

from __future__ import annotations

from sovereigncloud.ports.errors import Conflict, NotFound
from sovereigncloud.ports.ovh.account import Task
from sovereigncloud.providers.ovh.replies import PARSER
from sovereigncloud.providers.ovh.tasks import tasks_of
from sovereigncloud.providers.ovh.transport import Transport, path

_SERVER = "/v1/dedicated/server/{}"
_REBOOT = "hardReboot"


class PowerCalls:
    """Servers of one account."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls

    async def boot_of_type(self, service_name: str, kind: str) -> int:
        where = path(f"{_SERVER}/boot", service_name)
        reply = await self._calls.call("GET", where, query={"bootType": kind})
        found = PARSER.read(list[int], reply, what=f"OVHcloud GET {where}")
        if not found:
            raise NotFound(f"the server has no boot of type {kind}", where=f"OVHcloud GET {where}")
        return min(found)

    async def set_boot(self, service_name: str, boot: int, *, monitoring: bool, no_intervention: bool) -> None:
        wanted = {"bootId": boot, "monitoring": monitoring, "noIntervention": no_intervention}
        await self._calls.call("PUT", path(_SERVER, service_name), wanted)

    async def reboot(self, service_name: str) -> None:
        try:
            await self._calls.call("POST", path(f"{_SERVER}/reboot", service_name))
        except Conflict:
            return  # one is under way

    async def reboots(self, service_name: str) -> tuple[Task, ...]:
        return await tasks_of(self._calls, service_name, _REBOOT)
